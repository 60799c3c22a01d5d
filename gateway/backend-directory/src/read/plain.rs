//! The meaning of a scalar without quotes: the YAML 1.2 core schema, and the cases in which other
//! readers disagree with it. Never guesses.

use cofferdam_core::model::json::LARGEST_INTEGER;
use serde_json::{Number, Value};

/// The value of a plain scalar. True if readers disagree about it.
pub fn plain(text: &str) -> (Value, bool) {
    let kept = |doubtful| (Value::String(text.to_owned()), doubtful);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return (Value::Null, false),
        "true" | "True" | "TRUE" => return (Value::Bool(true), false),
        "false" | "False" | "FALSE" => return (Value::Bool(false), false),
        _ => {}
    }
    // Booleans in YAML 1.1, strings in 1.2.
    if ["y", "yes", "n", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return kept(true);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if [".inf", ".nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return kept(true);
    }
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return kept(false);
    }
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return match u64::from_str_radix(digits, 16) {
            Ok(number) if text.starts_with("0x") && number <= LARGEST_INTEGER => {
                (Value::Number(number.into()), false)
            }
            _ => kept(digits.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_')),
        };
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse::<i64>() {
            Ok(number)
                if (unsigned == "0" || !unsigned.starts_with('0'))
                    && number.unsigned_abs() <= LARGEST_INTEGER =>
            {
                (Value::Number(number.into()), false)
            }
            // Octal for one reader and decimal for another, or beyond the range of some reader.
            _ => kept(true),
        };
    }
    // What Rust takes for a float beyond YAML's grammar (`inf`, `1e`) does not begin with a digit
    // or does not parse.
    if unsigned
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'))
    {
        return match text.parse::<f64>().ok().and_then(Number::from_f64) {
            // A double of this form is a number to every reader only with a dot.
            Some(number) if text.contains('.') => (Value::Number(number), false),
            Some(_) => kept(true),
            None => kept(false),
        };
    }
    // Octal and binary forms, grouped digits, and minutes and seconds: numbers to some readers.
    let numeric = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b':');
    let grouped = unsigned.contains(['_', ':']) && unsigned.bytes().all(numeric);
    kept(unsigned.starts_with("0o") || unsigned.starts_with("0b") || grouped)
}
