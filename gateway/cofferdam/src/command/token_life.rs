//! The life of an agent's token: read from the command line, counted from the time of the command.

use jiff::{SignedDuration, Timestamp};

/// The longest life: about ten years. A longer one is a token without an end.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366 * 10);

/// The life of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLife {
    /// The token has no end.
    Endless,
    /// The token ends after this time.
    For(SignedDuration),
}

impl TokenLife {
    /// Parses `30d`, `12h`, `8w`, `90m`, or `never` for a token without an end.
    ///
    /// # Errors
    /// The text has another form, or the life is 0 or longer than ten years.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || {
            "write a number and m, h, d or w, such as `30d`, at most ten years; or `never`"
                .to_owned()
        };
        if text == "never" {
            return Ok(Self::Endless);
        }
        span(text).map(Self::For).ok_or_else(form)
    }

    /// The end of a token that is made now, in whole seconds.
    pub fn end(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Endless => None,
            Self::For(life) => {
                Timestamp::from_second(now.as_second().saturating_add(life.as_secs())).ok()
            }
        }
    }
}

/// Reads a number and m, h, d or w: more than 0, and at most ten years.
pub fn span(text: &str) -> Option<SignedDuration> {
    let (count, unit) = text.split_at_checked(text.len().saturating_sub(1))?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let plain = count.bytes().all(|byte| byte.is_ascii_digit());
    let count: i64 = count.parse().ok().filter(|_| plain)?;
    let span = count.checked_mul(seconds).map(SignedDuration::from_secs)?;
    (SignedDuration::ZERO < span && span <= LONGEST).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_a_number_and_a_unit() {
        let now = "2026-12-01T10:00:00.7Z".parse().unwrap();
        for (text, end) in [
            ("never", None),
            ("1m", Some("2026-12-01T10:01:00Z")),
            ("12h", Some("2026-12-01T22:00:00Z")),
            ("30d", Some("2026-12-31T10:00:00Z")),
            ("8w", Some("2027-01-26T10:00:00Z")),
        ] {
            let told = TokenLife::parse(text).unwrap().end(now).map(|end| end.to_string());
            assert_eq!(told.as_deref(), end, "{text}");
        }
        for text in [
            "",
            "d",
            "0d",
            "-1d",
            "+1d",
            "30",
            "30 d",
            "1y",
            "1.5h",
            "4000d",
            "99999999999999999999w",
            "3\u{e9}",
        ] {
            assert!(TokenLife::parse(text).unwrap_err().contains("`30d`"), "{text}");
        }
    }
}
