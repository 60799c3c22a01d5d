//! Texts of others that a person signs: each character is shown as it is, or written as `\u{…}`
//! where it could be taken for another. Never leaves a character out, and never shows two texts
//! alike.

use super::is_unseen;
use serde_json::Value;

/// The number of explained characters, at most. A text with more of them cannot be judged by
/// reading it.
const EXPLAINED: usize = 20;

/// Letters of other scripts that can be taken for a letter of `a-z` or `A-Z`, with that letter.
const LOOKALIKES: [(&str, &str); 4] = [
    ("аеорсухіјѕһԁԛԝӏѵАВЕКМНОРСТУХІЈЅ", "aeopcyxijshdqwlvABEKMHOPCTYXIJS"),
    ("οανριυκγΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "oavpiukyABEZHIKMNOPTYX"),
    ("օոսհցզ", "onuhgq"),
    ("ıɡɑſ", "igaf"),
];

/// The letter, digit or sign of ASCII that this character is easily taken for.
fn lookalike(c: char) -> Option<char> {
    // Fullwidth forms lie in the order of ASCII.
    if let '\u{ff01}'..='\u{ff5e}' = c {
        return u32::from(c).checked_sub(0xfee0).and_then(char::from_u32);
    }
    let pairs = |(others, ascii): &(&'static str, &'static str)| others.chars().zip(ascii.chars());
    LOOKALIKES.iter().flat_map(pairs).find(|(other, _)| *other == c).map(|(_, ascii)| ascii)
}

/// Scripts that run from left to right and whose words are shown as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Georgian,
    Ethiopic,
    Indian,
    SouthEastAsian,
    EastAsian,
}

/// The script of a letter; `None` of a letter that is never shown as it is: it runs from right to
/// left, is a form of another letter, or is rare.
fn script(c: char) -> Option<Script> {
    if c.is_numeric() && !c.is_ascii() {
        return None;
    }
    Some(match c {
        // Without letters that lost their dot, or can be taken for another letter.
        '\u{131}' | '\u{138}' | '\u{149}' | '\u{17f}' => return None,
        'a'..='z'
        | 'A'..='Z'
        | '\u{c0}'..='\u{d6}'
        | '\u{d8}'..='\u{f6}'
        | '\u{f8}'..='\u{17f}' => Script::Latin,
        '\u{1cd}'..='\u{1dc}' | '\u{218}'..='\u{21b}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        '\u{531}'..='\u{587}' => Script::Armenian,
        '\u{10d0}'..='\u{10ff}' => Script::Georgian,
        '\u{1200}'..='\u{137f}' => Script::Ethiopic,
        '\u{900}'..='\u{ddf}' => Script::Indian,
        '\u{e01}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17d3}' => {
            Script::SouthEastAsian
        }
        '\u{3005}'
        | '\u{3041}'..='\u{30ff}'
        | '\u{3105}'..='\u{312f}'
        | '\u{3400}'..='\u{4dbf}' => Script::EastAsian,
        '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{20000}'..='\u{3ffff}' => {
            Script::EastAsian
        }
        _ => return None,
    })
}

/// True if it belongs to a word.
fn in_word(c: char) -> bool {
    !is_unseen(c) && (c.is_alphanumeric() || (!c.is_ascii() && script(c).is_some()))
}

/// True if a word can be read as it is: letters of one script, and not only letters that can be
/// taken for others.
fn is_honest(word: &str) -> bool {
    if word.is_ascii() {
        return true;
    }
    let letters = || word.chars().filter(|c| !c.is_ascii_digit());
    let of = letters().next().and_then(script);
    of.is_some() && letters().all(|c| script(c) == of) && !letters().all(|c| lookalike(c).is_some())
}

/// True if a sign that is no letter and not of ASCII is shown as it is: neither an arrow nor a
/// quotation mark, which could pose as ours, nor a form of a sign of ASCII.
fn is_plain_sign(before: Option<char>, c: char, after: Option<char>) -> bool {
    // A dash in a name could be taken for a hyphen.
    let free = |side: Option<char>| side.is_none_or(|c| c == ' ' || c.is_ascii_digit());
    match c {
        '–' | '—' => free(before) && free(after),
        '…' | '’' | '€' | '£' | '¥' | '§' | '°' | '×' | '±' | '¿' | '¡' | '©' | '®' | '™' => {
            true
        }
        '\u{3001}' | '\u{3002}' | '\u{300c}'..='\u{300f}' => true,
        '\u{1f300}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6ff}' | '\u{1f900}'..='\u{1f9ff}' => true,
        _ => false,
    }
}

/// Writes a text; `quote`: for a place between quotation marks.
fn write(out: &mut String, text: &str, quote: bool) {
    let (mut rest, mut before) = (text, None);
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len()).max(c.len_utf8());
        let (word, after) = rest.split_at(end);
        if in_word(c) {
            let honest = is_honest(word);
            word.chars().for_each(|c| {
                if honest || c.is_ascii() { out.push(c) } else { out.extend(c.escape_unicode()) }
            });
        } else {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' if quote => out.push_str("\\\""),
                '\n' if quote => out.push_str("\\n"),
                c if is_unseen(c) => out.extend(c.escape_unicode()),
                c if c.is_ascii() || is_plain_sign(before, c, after.chars().next()) => out.push(c),
                c => out.extend(c.escape_unicode()),
            }
        }
        before = word.chars().next_back();
        rest = after;
    }
}

/// A text on one line, for a place without quotation marks.
pub fn legible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    write(&mut out, text, false);
    out
}

/// A text on one line, between quotation marks.
pub fn legible_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    write(&mut out, text, true);
    out.push('"');
    out
}

/// A value as JSON on one line, with texts as [`legible_quoted`] writes them.
pub fn legible_json(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(",");
    match value {
        Value::String(text) => legible_quoted(text),
        Value::Array(members) => {
            format!("[{}]", joined(members.iter().map(legible_json).collect()))
        }
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}:{}", legible_quoted(key), legible_json(value))
            };
            format!("{{{}}}", joined(members.iter().map(member).collect()))
        }
        other => other.to_string(),
    }
}

/// The legend of a legible text: the name of each character that it shows as `\u{…}`, each once, in
/// the order of the text.
pub fn legend(legible: &str) -> Vec<String> {
    let mut found: Vec<char> = Vec::new();
    let mut rest = legible;
    while let Some(at) = rest.find('\\') {
        let after = rest.get(at + 1..).unwrap_or_default();
        if let Some(number) = after.strip_prefix("u{") {
            let written = number
                .split('}')
                .next()
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .and_then(char::from_u32);
            found.extend(written.filter(|c| !found.contains(c)));
        }
        // The sign after a backslash is never the beginning of another escape.
        rest = after.strip_prefix('\\').unwrap_or(after);
    }
    let more = found.len().saturating_sub(EXPLAINED);
    let explained = found.into_iter().take(EXPLAINED).map(explain);
    explained.chain((more > 0).then(|| format!("and {more} more"))).collect()
}

fn explain(c: char) -> String {
    let why = match c {
        c if is_unseen(c) => "cannot be seen".to_owned(),
        c if lookalike(c).is_some() => format!("looks like {}", lookalike(c).unwrap_or(c)),
        '\u{590}'..='\u{8ff}'
        | '\u{fb1d}'..='\u{fdff}'
        | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}'
        | '\u{1e800}'..='\u{1efff}' => "runs from right to left".to_owned(),
        c if c.is_alphanumeric() => "does not fit the letters beside it, or is rare".to_owned(),
        _ => "is no plain sign".to_owned(),
    };
    format!("{} is U+{:04X} ({why})", c.escape_unicode(), u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn honest_words_are_shown_as_they_are() {
        let honest = [
            "web in Zürich, 5 replicas – now",
            "веб на версия2",
            "Ελλάδα",
            "日本 4 ページ",
            "नमस्ते",
            "it’s 20 €…",
            "Łódź, Iași, Hà Nội",
            "10–20",
            "🚀",
            "",
        ];
        for text in honest {
            assert_eq!(legible(text), text);
        }
    }

    #[test]
    fn no_character_is_taken_for_another() {
        for (text, shown) in [
            ("scale wеb", r"scale w\u{435}b"),
            ("Ａpproved", r"\u{ff21}pproved"),
            // Wholly of another script, and made to be taken for a name.
            ("рау", r"\u{440}\u{430}\u{443}"),
            ("web１", r"web\u{ff11}"),
            ("registry․example", r"registry\u{2024}example"),
            ("team∕web", r"team\u{2215}web"),
            ("web‐api web–api", r"web\u{2010}api web\u{2013}api"),
            ("𝐰eb", r"\u{1d430}eb"),
            ("Ⅰ ℓ \u{212a} ⅼ", r"\u{2160} \u{2113} \u{212a} \u{217c}"),
            ("e\u{301} l\u{338}", r"e\u{301} l\u{338}"),
            ("५ ٥ ５", r"\u{96b} \u{665} \u{ff15}"),
            ("1 → 2", r"1 \u{2192} 2"),
            ("x” needed", r"x\u{201d} needed"),
            ("ᏔᎬᏴ", r"\u{13d4}\u{13ac}\u{13f4}"),
            ("ɡo", r"\u{261}o"),
            ("שלום", r"\u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
            ("عدد 5", r"\u{639}\u{62f}\u{62f} 5"),
            ("a\u{202e}b\n", r"a\u{202e}b\u{a}"),
        ] {
            assert_eq!(legible(text), shown, "{text}");
        }
    }

    #[test]
    fn an_escape_that_others_wrote_is_not_ours() {
        assert_eq!(legible(r"\u{435}"), r"\\u{435}");
        assert_eq!(legible_quoted("a\"b\\\u{202e}\n"), r#""a\"b\\\u{202e}\n""#);
        assert_eq!(
            legible_json(&json!({"wеb": ["\u{1b}", 1, null, {}]})),
            r#"{"w\u{435}b":["\u{1b}",1,null,{}]}"#
        );
        assert_eq!(
            legend(r"\\u{435} w\u{435}b \\\u{5d0} \u{435}"),
            [r"\u{435} is U+0435 (looks like e)", r"\u{5d0} is U+05D0 (runs from right to left)",]
        );
        assert_eq!(
            legend(r"\u{202e}\u{2192}\u{ff11}"),
            [
                r"\u{202e} is U+202E (cannot be seen)",
                r"\u{2192} is U+2192 (is no plain sign)",
                r"\u{ff11} is U+FF11 (looks like 1)",
            ]
        );
        assert_eq!(
            legend(&legible("①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳㉑")).last().map(String::as_str),
            Some("and 1 more")
        );
    }
}
