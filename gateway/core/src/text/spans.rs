//! Relative times for people. The present time is passed in; nothing here reads a clock.

use jiff::{SignedDuration, Timestamp};

/// `12 s ago`, `5 min ago`, `3 h ago`, `2 days ago`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", length(now.duration_since(then)))
}

/// The time until `then`: `in 48 min`, or `over`.
pub fn until(then: Timestamp, now: Timestamp) -> String {
    if then <= now { "over".to_owned() } else { format!("in {}", length(then.duration_since(now))) }
}

/// A length in whole units, rounded down; a negative one is zero.
fn length(span: SignedDuration) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match span.as_secs().max(0) {
        seconds @ ..MINUTE => format!("{seconds} s"),
        seconds @ ..HOUR => format!("{} min", seconds / MINUTE),
        // Up to two days in hours, where half a day matters.
        seconds if seconds < 2 * DAY => format!("{} h", seconds / HOUR),
        seconds => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_one_unit() {
        let start = Timestamp::UNIX_EPOCH;
        for (seconds, told) in [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ] {
            let then = start + SignedDuration::from_secs(seconds);
            assert_eq!(ago(start, then), format!("{told} ago"));
            let expect = if seconds <= 0 { "over".to_owned() } else { format!("in {told}") };
            assert_eq!(until(then, start), expect);
        }
    }
}
