//! Words of others in messages: programs for chat and mail make links of more than addresses with a
//! scheme. Breaks everything that such a program takes for a link, and stays readable. Never removes
//! a word.

use crate::model::escape::{line, short};

/// Schemes that programs make links of without `//` behind them.
const SCHEMES: [&str; 20] = [
    "bitcoin",
    "callto",
    "cid",
    "data",
    "facetime",
    "file",
    "geo",
    "im",
    "javascript",
    "magnet",
    "mailto",
    "maps",
    "news",
    "sip",
    "sips",
    "skype",
    "sms",
    "tel",
    "urn",
    "xmpp",
];

/// Dots of other scripts, which some programs take for the one of domains.
const STOPS: [char; 3] = ['\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// The fewest characters of the last part of a domain.
const LAST_PART: usize = 2;

/// The dots in an IPv4 address.
const IPV4_DOTS: usize = 3;

/// Writes words of others on one line, in at most so many characters, with each link broken:
/// `https[:]//evil[.]example`, `ann@example[.]com`, `10[.]0[.]0[.]1`, `mailto[:]eve`,
/// `[\\]server\share`. Numbers and versions stay as they are.
pub fn unlinked(text: &str, most: usize) -> String {
    let letters: Vec<char> = line(text.trim()).chars().collect();
    let mut broken = String::with_capacity(letters.len());
    let mut rest = letters.as_slice();
    let mut before: &[char] = &[];
    while let Some((letter, after)) = rest.split_first() {
        match letter {
            ':' if names_scheme(before, after) => broken.push_str("[:]"),
            '.' if joins_domain(before, after) => broken.push_str("[.]"),
            // Sentences end with these too, without a blank behind them.
            stop if STOPS.contains(stop)
                && before.last().is_some_and(char::is_ascii_alphanumeric)
                && joins_domain(before, after) =>
            {
                broken.extend(['[', *stop, ']']);
            }
            // A share of Windows: the path of two bars and a name.
            '\\' if after.first() == Some(&'\\') => {
                broken.push_str("[\\\\]");
                rest = after.get(1..).unwrap_or_default();
                before = taken(&letters, rest);
                continue;
            }
            _ => broken.push(*letter),
        }
        rest = after;
        before = taken(&letters, rest);
    }
    short(broken, most)
}

/// The letters before the rest.
fn taken<'a>(letters: &'a [char], rest: &[char]) -> &'a [char] {
    letters.get(..letters.len().saturating_sub(rest.len())).unwrap_or_default()
}

/// True if a colon ends a scheme: before `//`, or between a known scheme and a word.
fn names_scheme(before: &[char], after: &[char]) -> bool {
    if let [first, second, ..] = after
        && is_slash(*first)
        && is_slash(*second)
    {
        return true;
    }
    let word: String = run(before.iter().rev().copied(), |letter| letter.is_ascii_alphanumeric());
    let word: String = word.chars().rev().collect::<String>().to_ascii_lowercase();
    SCHEMES.contains(&word.as_str()) && after.first().is_some_and(|next| !next.is_whitespace())
}

fn is_slash(letter: char) -> bool {
    matches!(letter, '/' | '\\')
}

/// True if a dot could be part of a domain or of an IPv4 address.
fn joins_domain(before: &[char], after: &[char]) -> bool {
    if !before.last().is_some_and(|last| is_of_domain(*last)) {
        return false;
    }
    let next = run(after.iter().copied(), is_of_domain);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(&next) {
        return next.chars().count() >= LAST_PART;
    }
    let of_number = |letter: char| letter.is_ascii_digit() || letter == '.';
    let (head, tail) =
        (run(before.iter().rev().copied(), of_number), run(after.iter().copied(), of_number));
    let dots = 1 + head.matches('.').count() + tail.trim_end_matches('.').matches('.').count();
    !next.is_empty() && dots >= IPV4_DOTS
}

/// A letter, a digit or a mark of any script, and the two signs that domains have.
fn is_of_domain(letter: char) -> bool {
    let is_sign = letter.is_ascii_punctuation() && !matches!(letter, '-' | '_');
    !letter.is_whitespace() && !is_sign && !STOPS.contains(&letter)
}

/// The letters from the beginning on that are of this kind.
fn run(letters: impl Iterator<Item = char>, of_kind: impl Fn(char) -> bool) -> String {
    letters.take_while(|letter| of_kind(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_link_is_broken_and_stays_readable() {
        for (text, expect) in [
            // Addresses with a scheme.
            ("see https://evil.example/a", "see https[:]//evil[.]example/a"),
            ("HTTPS://EVIL.EXAMPLE", "HTTPS[:]//EVIL[.]EXAMPLE"),
            ("slack://open msteams:/\\x", "slack[:]//open msteams[:]/\\x"),
            ("mailto:eve@evil.example", "mailto[:]eve@evil[.]example"),
            ("(tel:+49123) javascript:alert(1)", "(tel[:]+49123) javascript[:]alert(1)"),
            // Domains alone.
            ("go to evil.example now", "go to evil[.]example now"),
            ("www.evil.co.uk.", "www[.]evil[.]co[.]uk."),
            ("evil.com/approve?x=1#y", "evil[.]com/approve?x=1#y"),
            ("(evil.com)", "(evil[.]com)"),
            ("xn--evl-fma.xn--p1ai", "xn--evl-fma[.]xn--p1ai"),
            ("b\u{fc}cher.example", "b\u{fc}cher[.]example"),
            ("cafe\u{301}.com", "cafe\u{301}[.]com"),
            ("evil\u{3002}com", "evil[\u{3002}]com"),
            ("evil\u{ff0e}com evil\u{ff61}com", "evil[\u{ff0e}]com evil[\u{ff61}]com"),
            ("a_b.evil-x.io:8443/p", "a_b[.]evil-x[.]io:8443/p"),
            ("evil.com:443", "evil[.]com:443"),
            // A file and a domain look the same.
            ("app.conf and run.sh", "app[.]conf and run[.]sh"),
            // Mail addresses, addresses of machines, shares.
            ("ask eve@evil.example", "ask eve@evil[.]example"),
            ("10.0.0.1 and 10.0.0.1:80/x.", "10[.]0[.]0[.]1 and 10[.]0[.]0[.]1:80/x."),
            (r"open \\evil\share", r"open [\\]evil\share"),
            // Invisible letters are shown, and break nothing open.
            ("ev\u{200b}il.com", r"ev\u{200b}il[.]com"),
            ("evil\u{200b}.com", r"evil\u{200b}.com"),
        ] {
            assert_eq!(unlinked(text, 300), expect, "{text}");
        }
    }

    #[test]
    fn other_words_stay_as_they_are() {
        for text in [
            "Scale web to 3.",
            "Set nginx:1.27.3 and cpu 0.5 to 1.5",
            "End. Then e.g. go on... or not",
            "at 10:30, ratio 3:1, key: value",
            "\u{518d}\u{8d77}\u{52d5}\u{3059}\u{308b}\u{3002}\u{6b21}\u{306b}",
            "data: 5, file : x",
        ] {
            assert_eq!(unlinked(text, 300), text);
        }
    }

    #[test]
    fn a_text_is_cut_after_its_links_are_broken() {
        assert_eq!(unlinked("xx a.com", 6), "xx a[\u{2026}");
        assert_eq!(unlinked(&"x".repeat(301), 300), format!("{}\u{2026}", "x".repeat(299)));
    }
}
