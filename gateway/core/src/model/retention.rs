//! Retention: the times after which the recorder removes rows from its store. The ledger is not
//! among them: its entries and proofs stay.

use super::limit::{REJECTION_SECONDS, RETENTION_DAYS_JOBS, RETENTION_DAYS_KEYS};
use serde::{Deserialize, Serialize};
use std::fmt;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// The rows that have a time of retention each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retained {
    /// Idempotency keys, by the time of their first use. A removed key is a new key.
    IdempotencyKeys,
    /// Rejections of plans by people, by the time of the rejection.
    Rejections,
    /// The payloads of ledger entries and the record's keys, by the time of the entry; with them
    /// the documents of closed jobs.
    Payloads,
    /// Closed jobs, by the time of their outcome.
    ClosedJobs,
}

impl Retained {
    /// All of them, in the order of removal.
    pub const ALL: [Self; 4] =
        [Self::IdempotencyKeys, Self::Rejections, Self::Payloads, Self::ClosedJobs];

    /// The word of the configuration and of the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::IdempotencyKeys => "idempotency_keys",
            Self::Rejections => "rejections",
            Self::Payloads => "payloads",
            Self::ClosedJobs => "closed_jobs",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }

    /// The shortest retention, in seconds: the time in which a row may still be needed.
    pub const fn least_seconds(self) -> u64 {
        match self {
            // Longer than a permit and a held call.
            Self::IdempotencyKeys | Self::ClosedJobs => DAY,
            // A rejection is in effect for this time.
            Self::Rejections => REJECTION_SECONDS.unsigned_abs(),
            // Longer than a question to people, which may wait for a week, and its permit.
            Self::Payloads => 8 * DAY,
        }
    }
}

impl fmt::Display for Retained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::IdempotencyKeys => "idempotency keys",
            Self::Rejections => "rejections",
            Self::Payloads => "payloads of entries",
            Self::ClosedJobs => "closed jobs",
        })
    }
}

/// The retention of each kind, in seconds; `None` keeps the rows for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The retention of closed jobs.
    pub closed_jobs: Option<u64>,
    /// The retention of idempotency keys; never longer than that of closed jobs.
    pub idempotency_keys: Option<u64>,
    /// The retention of rejections.
    pub rejections: Option<u64>,
    /// The retention of payloads.
    pub payloads: Option<u64>,
}

impl Retention {
    /// The retention of an installation that sets none: evidence stays, and what only saves work
    /// goes.
    pub const fn usual() -> Self {
        Self {
            closed_jobs: Some(RETENTION_DAYS_JOBS * DAY),
            idempotency_keys: Some(RETENTION_DAYS_KEYS * DAY),
            rejections: Some(DAY),
            payloads: None,
        }
    }

    /// The retention of one kind, in seconds.
    pub const fn seconds(&self, what: Retained) -> Option<u64> {
        match what {
            Retained::IdempotencyKeys => self.idempotency_keys,
            Retained::Rejections => self.rejections,
            Retained::Payloads => self.payloads,
            Retained::ClosedJobs => self.closed_jobs,
        }
    }
}
