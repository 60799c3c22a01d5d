//! Reads `[limits]`: what each agent may use at once.

use super::toml_reader::Section;
use cofferdam_core::protocol::role_settings::Limits;
use cofferdam_edge::{CALLS, EACH, WAITS, WITHOUT_TOKEN};

/// The bounds of the rate and of its burst: more requests than the largest come from no machine.
const REQUESTS: (i64, i64) = (1, 1_000_000);

/// Reads the section; each key has a default.
pub(super) fn check(section: &mut Section<'_>) -> Option<Limits> {
    let places = |most: usize| (1, i64::try_from(most).unwrap_or(i64::MAX));
    let usual = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let mut read = |name, default, bounds| {
        u32::try_from(section.integer(name, default, bounds)).unwrap_or(u32::MAX)
    };
    Some(Limits {
        requests_per_second: read("requests_per_second", i64::from(EACH.rate.per_second), REQUESTS),
        burst: read("burst", i64::from(EACH.rate.burst), REQUESTS),
        calls: read("calls", usual(EACH.calls), places(CALLS)),
        waits: read("waits", usual(EACH.waits), places(WAITS)),
        without_token_per_second: read(
            "without_token_per_second",
            i64::from(WITHOUT_TOKEN.per_second),
            REQUESTS,
        ),
    })
}
