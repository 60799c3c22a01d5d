//! Reads `[limits]`: what each agent may use at once and in a day.

use super::toml_reader::Section;
use cofferdam_core::model::budget::Budgets;
use cofferdam_core::model::role_limits::{MOST_JOBS, MOST_MIB, MOST_QUESTIONS, MOST_REQUESTS};
use cofferdam_core::protocol::role_settings::Limits;
use cofferdam_edge::{CALLS, EACH, WAITS, WITHOUT_TOKEN};

/// The bounds of the rate and of its burst.
const REQUESTS: (i64, i64) = (1, MOST_REQUESTS.cast_signed());

/// The bounds of calls that wait for a person.
const QUESTIONS: (i64, i64) = (1, MOST_QUESTIONS.cast_signed());

/// The bounds of jobs in a day.
const JOBS: (i64, i64) = (1, MOST_JOBS.cast_signed());

/// The bounds of the ledger's growth in a day, in MiB.
const MIB: (i64, i64) = (1, MOST_MIB.cast_signed());

/// Reads the section; each key has a default.
pub(super) fn check(section: &mut Section<'_>) -> Option<(Limits, Budgets)> {
    let places = |most: usize| (1, i64::try_from(most).unwrap_or(i64::MAX));
    let usual = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let mut read = |name, default, bounds| {
        u32::try_from(section.integer(name, default, bounds)).unwrap_or(u32::MAX)
    };
    let limits = Limits {
        requests_per_second: read("requests_per_second", i64::from(EACH.rate.per_second), REQUESTS),
        burst: read("burst", i64::from(EACH.rate.burst), REQUESTS),
        calls: read("calls", usual(EACH.calls), places(CALLS)),
        waits: read("waits", usual(EACH.waits), places(WAITS)),
        without_token_per_second: read(
            "without_token_per_second",
            i64::from(WITHOUT_TOKEN.per_second),
            REQUESTS,
        ),
    };
    let usual = Budgets::usual();
    let mut read = |name, default: u64, bounds| {
        let default = i64::try_from(default).unwrap_or(i64::MAX);
        u64::try_from(section.integer(name, default, bounds)).unwrap_or(1)
    };
    let budgets = Budgets {
        waiting_approvals: read("waiting_approvals", usual.waiting_approvals, QUESTIONS),
        jobs_per_day: read("jobs_per_day", usual.jobs_per_day, JOBS),
        ledger_bytes_per_day: read("ledger_mib_per_day", usual.ledger_bytes_per_day >> 20, MIB)
            << 20,
    };
    Some((limits, budgets))
}
