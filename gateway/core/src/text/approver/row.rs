//! One line of a value, and how a long one is shortened: the part that differs stays, and each gap
//! says how long it is. Never splits an escape.

/// Characters that stay on either side of a difference.
const AROUND: usize = 20;

/// A line of a value, every character legible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    text: String,
    quoted: bool,
}

impl Row {
    /// A line of a text: shown between quotation marks.
    pub(super) fn quoted(line: &str) -> Self {
        let text = crate::model::escape::legible_quoted(line);
        Self { text: text.get(1..text.len() - 1).unwrap_or_default().to_owned(), quoted: true }
    }

    /// A line of JSON, legible already.
    pub(super) fn json(text: String) -> Self {
        Self { text, quoted: false }
    }

    /// The whole row, without shortening.
    pub(super) fn whole(&self) -> String {
        self.part(&self.text)
    }

    /// In at most about `most` characters: its first and its last part.
    pub(super) fn cut(&self, most: usize) -> String {
        if self.length() <= most { self.whole() } else { self.ends(&self.text, most) }
    }

    /// A line that goes and the line that comes in its place, each in at most about `most`
    /// characters: without what is the same at both ends.
    pub(super) fn pair(&self, other: &Self, most: usize) -> (String, String) {
        if self.length() <= most && other.length() <= most {
            return (self.whole(), other.whole());
        }
        let first = self.text.chars().zip(other.text.chars()).take_while(|(a, b)| a == b).count();
        let left = self.length().min(other.length()) - first;
        let last = self
            .text
            .chars()
            .rev()
            .zip(other.text.chars().rev())
            .take(left)
            .take_while(|(a, b)| a == b)
            .count();
        let (first, last) = (first.saturating_sub(AROUND), last.saturating_sub(AROUND));
        (self.between(first, last, most), other.between(first, last, most))
    }

    fn length(&self) -> usize {
        self.text.chars().count()
    }

    fn part(&self, text: &str) -> String {
        if self.quoted { format!("\"{text}\"") } else { text.to_owned() }
    }

    /// Without this many characters at the beginning and at the end.
    fn between(&self, first: usize, last: usize, most: usize) -> String {
        let (before, rest) = split(&self.text, first);
        let (middle, after) = split(rest, rest.chars().count().saturating_sub(last));
        let same = |text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("[{} characters, the same]", text.chars().count())
            }
        };
        let middle = if middle.chars().count() <= most {
            self.part(middle)
        } else {
            self.ends(middle, most)
        };
        [same(before), middle, same(after)]
            .iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The first and the last part, with the length of the gap.
    fn ends(&self, text: &str, most: usize) -> String {
        let (head, rest) = split(text, most - most / 3);
        let (gap, tail) = split(rest, rest.chars().count().saturating_sub(most / 3));
        format!(
            "{} [{} more characters: show --full] {}",
            self.part(head),
            gap.chars().count(),
            self.part(tail)
        )
    }
}

/// Splits after this many characters, or before the escape that would be split.
fn split(text: &str, characters: usize) -> (&str, &str) {
    let at = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    let head = text.get(..at).unwrap_or(text);
    let open = head.rfind('\\').map(|slash| {
        // In a run of backslashes each second one belongs to the one before it.
        let run =
            head.get(..=slash).unwrap_or_default().chars().rev().take_while(|c| *c == '\\').count();
        (slash, run % 2 == 1)
    });
    let at = match open {
        Some((slash, true)) if !text.get(slash..at).is_some_and(is_whole) => slash,
        _ => at,
    };
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// True if what begins with a backslash holds that escape to its end.
fn is_whole(escape: &str) -> bool {
    if escape.starts_with("\\u{") {
        escape.contains('}')
    } else {
        escape.chars().count() > 1 && escape != "\\u"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_keeps_its_ends_and_says_how_long_the_gap_is() {
        assert_eq!(Row::quoted("short").cut(30), "\"short\"");
        let long = format!("begin{}end", "x".repeat(100));
        assert_eq!(
            Row::quoted(&long).cut(12),
            r#""beginxxx" [96 more characters: show --full] "xend""#
        );
        assert_eq!(Row::json("y".repeat(20)).cut(6), "yyyy [14 more characters: show --full] yy");
    }

    #[test]
    fn of_two_long_lines_the_difference_stays() {
        let line =
            |word: &str| Row::quoted(&format!("{}{word}{}", "a".repeat(100), "b".repeat(50)));
        let (old, new) = line("one").pair(&line("two"), 80);
        let (a, b) = ("a".repeat(20), "b".repeat(20));
        assert_eq!(
            old,
            format!("[80 characters, the same] \"{a}one{b}\" [30 characters, the same]")
        );
        assert_eq!(
            new,
            format!("[80 characters, the same] \"{a}two{b}\" [30 characters, the same]")
        );
        let (old, new) = Row::quoted("x").pair(&Row::quoted(&"x".repeat(200)), 90);
        assert_eq!(old, "\"x\"");
        assert!(
            new.starts_with(r#""xxx"#) && new.contains("more characters: show --full]"),
            "{new}"
        );
    }

    #[test]
    fn no_escape_is_split() {
        let row = |text: &str| Row::quoted(text).text;
        for (text, at) in [("ab\u{202e}cd", 5), ("ab\ncdefgh", 3), ("ab\\cdefgh", 3)] {
            assert_eq!(split(&row(text), at).0, "ab", "{text:?}");
        }
        assert_eq!(split(&row("ab\\cd"), 4).0, r"ab\\");
        assert_eq!(split(&row("a\u{202e}b"), 9).0, r"a\u{202e}");
        assert_eq!(split(r"a\\u{1}", 4).0, r"a\\u");
    }
}
