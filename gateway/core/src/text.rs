//! Characters that a reader and a model would not see alike. Never repairs a text: it is taken as it is or refused.

/// The first control, bidirectional or invisible character of a text.
pub fn unseen(text: &str) -> Option<char> {
    text.chars().find(|c| is_unseen(*c))
}

/// Unicode 16: general categories Cc and Cf, line and paragraph separators, variation selectors, fillers, and private use.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Letters that look like a letter of `a-z` or `A-Z` and are not, with what they look like: Cyrillic, Greek, and a few
/// more that stand in names made to deceive.
const LOOKALIKES: [(&str, &str); 3] = [
    ("аеорсухіјѕһԁԛԝӏАВЕКМНОРСТУХІЈЅ", "aeopcyxijshdqwlABEKMHOPCTYXIJS"),
    ("οανρικυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "oavpikuABEZHIKMNOPTYX"),
    ("ıɡɑ", "iga"),
];

/// The ASCII letter or digit that this character is easily taken for.
fn lookalike(c: char) -> Option<char> {
    // Fullwidth forms lie in the order of ASCII.
    if let '\u{ff01}'..='\u{ff5e}' = c {
        return u32::from(c).checked_sub(0xfee0).and_then(char::from_u32);
    }
    LOOKALIKES.iter().find_map(|(others, ascii)| others.chars().zip(ascii.chars()).find(|(other, _)| *other == c)).map(|(_, ascii)| ascii)
}

/// Whether it is a letter or digit of another script than Latin: no accent, no umlaut.
fn is_foreign(c: char) -> bool {
    c.is_alphanumeric() && !c.is_ascii() && !matches!(c, '\u{aa}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}') || lookalike(c).is_some()
}

/// Words in which a letter is easily taken for another: of mixed scripts, or made of look-alikes alone. Each once, in
/// the order of the text, with the code points; nothing where every letter is what it seems.
pub fn lookalikes(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_ascii()) {
        let letters = || word.chars().filter(|c| c.is_alphanumeric());
        let mixed = letters().any(|c| c.is_ascii_alphabetic()) && letters().any(is_foreign);
        let posing = letters().all(|c| lookalike(c).is_some() || c.is_ascii_digit());
        if !mixed && !posing {
            continue;
        }
        let mut points: Vec<String> = Vec::new();
        for c in letters().filter(|c| is_foreign(*c)) {
            let like = lookalike(c).map(|ascii| format!(" (looks like {ascii})")).unwrap_or_default();
            let point = format!("U+{:04X}{like}", u32::from(c));
            if !points.contains(&point) {
                points.push(point);
            }
        }
        let told = format!("{} has {}", quoted(word), points.join(", "));
        if !found.contains(&told) {
            found.push(told);
        }
    }
    found
}

/// A text as a reader may safely see it: quoted, control and invisible characters escaped, cut nowhere.
pub fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => shown.extend(['\\', c]),
            '\n' => shown.push_str("\\n"),
            c if is_unseen(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown.push('"');
    shown
}

/// A text on one line: control and invisible characters escaped.
pub fn line(text: &str) -> String {
    text.chars().flat_map(|c| if is_unseen(c) { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// A fault with its causes, each said once: `cannot read the trust file: permission denied`. A cause that the text before it has is left out, as
/// many libraries put their cause into their own text and give it as the cause again.
pub fn chain(fault: &(dyn std::error::Error + 'static)) -> String {
    let mut told = fault.to_string();
    let mut cause = fault.source();
    while let Some(fault) = cause {
        let said = fault.to_string();
        if !told.contains(said.as_str()) {
            told.push_str(": ");
            told.push_str(&said);
        }
        cause = fault.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Nested {
        #[error("the store failed: {0}")]
        Twice(#[source] Box<Nested>),
        #[error("cannot open `{0}`")]
        Once(&'static str, #[source] std::io::Error),
        #[error(transparent)]
        Through(std::io::Error),
    }

    #[test]
    fn a_cause_is_said_once() {
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let check = |fault: Nested, expect: &str| assert_eq!(chain(&fault), expect);
        check(Nested::Once("a", denied()), "cannot open `a`: permission denied");
        check(Nested::Twice(Box::new(Nested::Once("a", denied()))), "the store failed: cannot open `a`: permission denied");
        check(Nested::Twice(Box::new(Nested::Through(denied()))), "the store failed: permission denied");
    }

    #[test]
    fn letters_that_look_like_others_are_named() {
        for honest in ["web in Zürich, 5 replicas", "веб на кириллице", "Ελλάδα", "日本 4", ""] {
            assert_eq!(lookalikes(honest), [""; 0], "{honest}");
        }
        assert_eq!(lookalikes("scale wеb, wеb"), [r#""wеb" has U+0435 (looks like e)"#]);
        assert_eq!(lookalikes("Ａpproved"), [r#""Ａpproved" has U+FF21 (looks like A)"#]);
        // Wholly of another script, and made to be taken for a name.
        assert_eq!(lookalikes("рау"), [r#""рау" has U+0440 (looks like p), U+0430 (looks like a), U+0443 (looks like y)"#]);
        assert_eq!(lookalikes("web１"), [r#""web１" has U+FF11 (looks like 1)"#]);
        assert_eq!(lookalikes("wݐb"), [r#""wݐb" has U+0750"#]);
    }

    #[test]
    fn what_cannot_be_seen_is_found_and_escaped() {
        assert_eq!(unseen("Scale web to 5 – now, in Zürich"), None);
        for bad in ["a\u{202e}b", "a\u{200b}b", "a\nb", "a\u{e0041}b", "\u{feff}a", "a\u{e000}b", "\u{2800}"] {
            assert!(unseen(bad).is_some(), "{bad:?}");
        }
        assert_eq!(quoted("a\"b\u{202e}\n"), r#""a\"b\u{202e}\n""#);
    }
}
