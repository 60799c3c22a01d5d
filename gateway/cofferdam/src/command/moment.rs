//! A time on the command line: a time ago, a date or a time. Read with the time of the command.

use super::token_life::span;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The forms of a time.
const FORM: &str = "write a time ago as a number and m, h, d or w (`7d`), a date of UTC \
                    (`2026-11-30`), or a time (`2026-11-30T15:00:00Z`)";

/// A time as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This long before the command.
    Ago(jiff::SignedDuration),
    /// This time.
    At(Timestamp),
}

impl Moment {
    /// Parses `7d`, `2026-11-30` or `2026-11-30T15:00:00Z`. A date is its first instant in UTC.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(span) = span(text) {
            return Ok(Self::Ago(span));
        }
        let time = text.parse::<Timestamp>().ok();
        let date = || {
            let date: Date = (text.len() == "2026-11-30".len()).then(|| text.parse().ok())??;
            date.to_zoned(TimeZone::UTC).ok().map(|start| start.timestamp())
        };
        time.or_else(date).map(Self::At).ok_or_else(|| FORM.to_owned())
    }

    /// The time, seen from now.
    pub fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
            Self::At(time) => time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_ago_a_date_or_a_time() {
        let now: Timestamp = "2026-12-01T10:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("7d", "2026-11-24T10:00:00Z"),
            ("90m", "2026-12-01T08:30:00Z"),
            ("2026-11-30", "2026-11-30T00:00:00Z"),
            ("2026-11-30T15:00:00Z", "2026-11-30T15:00:00Z"),
            ("2026-11-30T15:00:00+02:00", "2026-11-30T13:00:00Z"),
        ] {
            assert_eq!(Moment::parse(text).unwrap().time(now).to_string(), expected, "{text}");
        }
        for text in
            ["", "7", "0d", "yesterday", "2026-13-01", "2026-11-30T15:00", "20261130", "-7d"]
        {
            assert!(Moment::parse(text).unwrap_err().contains("`7d`"), "{text}");
        }
    }
}
