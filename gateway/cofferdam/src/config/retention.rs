//! Reads `[retention]`: a time for each kind of rows, with its lower bound.

use super::toml_reader::Section;
use cofferdam_core::model::retention::{Retained, Retention};

/// The word that keeps rows.
const FOREVER: &str = "forever";

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// The longest retention in hours: ten thousand years; more is `forever`.
const MOST_HOURS: u64 = 87_600_000;

/// Reads the section; each key has a default.
pub(super) fn check(section: &mut Section<'_>) -> Option<Retention> {
    let usual = Retention::usual();
    let mut read = |what| time(section, what, usual.seconds(what));
    let retention = Retention {
        closed_jobs: read(Retained::ClosedJobs),
        idempotency_keys: read(Retained::IdempotencyKeys),
        rejections: read(Retained::Rejections),
        payloads: read(Retained::Payloads),
    };
    let forever = u64::MAX;
    let (jobs, keys) =
        (retention.closed_jobs.unwrap_or(forever), retention.idempotency_keys.unwrap_or(forever));
    section.hold(
        Retained::ClosedJobs.word(),
        jobs >= keys,
        "closed jobs would be removed before their idempotency keys",
        "give at least the time of `idempotency_keys`: a key answers with its job",
    );
    Some(retention)
}

/// Reads one time in seconds; `None` is for ever.
fn time(section: &mut Section<'_>, what: Retained, usual: Option<u64>) -> Option<u64> {
    let key = what.word();
    let Some(text) = section.optional_string(key) else { return usual };
    if text == FOREVER {
        return None;
    }
    let least = what.least_seconds();
    let Some(seconds) = seconds(&text) else {
        section.report(
            key,
            &format!("`{text}` is no time"),
            "write whole days (\"30d\"), whole hours (\"36h\") or \"forever\"",
        );
        return usual;
    };
    section.hold(
        key,
        seconds >= least,
        &format!("`{text}` is too short: these rows may still be needed"),
        &format!("give at least \"{}\"", words(least)),
    );
    Some(seconds)
}

/// Seconds of a text such as `30d`.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let hours = match unit {
        "d" => 24,
        "h" => 1,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let hours = number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(hours)?;
    (hours <= MOST_HOURS).then_some(hours * HOUR)
}

fn words(seconds: u64) -> String {
    if seconds.is_multiple_of(DAY) {
        format!("{}d", seconds / DAY)
    } else {
        format!("{}h", seconds / HOUR)
    }
}
