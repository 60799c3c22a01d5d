//! Reads `Retry-After`: the pause for which a server asks, in seconds or until a date. Never longer
//! than the bound, whatever a server says.

use cofferdam_core::protocol::courier_recorder::LONGEST_RETRY_AFTER_MS;
use jiff::Timestamp;
use std::time::{Duration, SystemTime};

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(LONGEST_RETRY_AFTER_MS);

/// Returns the pause from `now` on. `None` if the value has no form of HTTP, or asks for no pause.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    let pause = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are a long pause.
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        until.duration_since(SystemTime::from(now)).ok()?
    };
    (!pause.is_zero()).then_some(pause.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date_and_has_a_bound() {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        let now = Timestamp::from_second(784_111_777).unwrap();
        let check = |value: &str, seconds: Option<u64>| {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value:?}");
        };
        check("7", Some(7));
        check(" 120\t", Some(120));
        check("3600", Some(3_600));
        check("3601", Some(3_600));
        check("99999999999999999999999999", Some(3_600));
        check("0", None);
        // Each form of a date that HTTP has.
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Sunday, 06-Nov-94 08:50:37 GMT", Some(60));
        check("Sun Nov  6 08:50:37 1994", Some(60));
        check("Mon, 07 Nov 1994 08:49:37 GMT", Some(3_600));
        check("Sun, 06 Nov 1994 08:49:37 GMT", None);
        check("Sat, 05 Nov 1994 08:49:37 GMT", None);
        for wrong in ["", "-1", "1.5", "+7", "1e3", "soon", "7s", "1994-11-06T08:50:37Z"] {
            check(wrong, None);
        }
    }
}
