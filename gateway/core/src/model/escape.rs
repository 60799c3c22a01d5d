//! Characters that a reader and a model would not see alike. Never repairs a text: it is taken as
//! it is or refused.

mod legible;

pub use legible::{legend, legible, legible_json, legible_quoted};

/// The first control, bidirectional or invisible character of a text.
pub fn unseen(text: &str) -> Option<char> {
    text.chars().find(|c| is_unseen(*c))
}

/// Unicode 16: general categories Cc and Cf, line and paragraph separators, variation selectors,
/// fillers, and private use.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// A text as a reader may safely see it: quoted, control and invisible characters escaped, cut
/// nowhere.
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
    text.chars()
        .flat_map(|c| if is_unseen(c) { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// In at most so many characters: a longer text ends in `…`.
pub fn short(text: String, most: usize) -> String {
    if text.chars().count() <= most {
        text
    } else {
        text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
    }
}

/// Text on one line and cut where it is long: at an end that shows, with the closing quote of a
/// value that has one.
pub fn shown(text: &str, most: usize) -> String {
    let text = line(text);
    if text.chars().count() <= most {
        return text;
    }
    let quote = if text.starts_with('"') { "\"" } else { "" };
    format!("{}…{quote}", text.chars().take(most).collect::<String>())
}

/// An error with its causes, each said once: `cannot read the trust file: permission denied`. A
/// cause that the text before it has is left out, as many libraries put their cause into their own
/// text and give it as the cause again.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !told.contains(said.as_str()) {
            told.push_str(": ");
            told.push_str(&said);
        }
        cause = error.source();
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
        let check = |error: Nested, expect: &str| assert_eq!(chain(&error), expect);
        check(Nested::Once("a", denied()), "cannot open `a`: permission denied");
        check(
            Nested::Twice(Box::new(Nested::Once("a", denied()))),
            "the store failed: cannot open `a`: permission denied",
        );
        check(
            Nested::Twice(Box::new(Nested::Through(denied()))),
            "the store failed: permission denied",
        );
    }

    #[test]
    fn what_cannot_be_seen_is_found_and_escaped() {
        assert_eq!(unseen("Scale web to 5 – now, in Zürich"), None);
        for bad in [
            "a\u{202e}b",
            "a\u{200b}b",
            "a\nb",
            "a\u{e0041}b",
            "\u{feff}a",
            "a\u{e000}b",
            "\u{2800}",
        ] {
            assert!(unseen(bad).is_some(), "{bad:?}");
        }
        assert_eq!(quoted("a\"b\u{202e}\n"), r#""a\"b\u{202e}\n""#);
    }
}
