//! Times as text. Reads no clock.

use jiff::Timestamp;

/// Whole seconds, UTC, in the form of RFC 3339: `2026-11-24T10:00:00Z`.
pub fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The minute that the time is in, UTC, in the same form: `2026-11-24T10:07:00Z`.
pub fn whole_minutes(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:00Z").to_string()
}
