//! The budgets of one principal in the store: jobs and ledger entries of a day, and calls that wait
//! for a person. A day is one of UTC. Jobs that are stored already are never refused.

use super::role_limits::OwnLimits;
use serde::{Deserialize, Serialize};

/// The budgets of each principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// The most calls that wait for a person at once.
    pub waiting_approvals: u64,
    /// The most new jobs in a day, those that wait for a person included.
    pub jobs_per_day: u64,
    /// The bytes of the first entries of calls, 1,024 and the payloads for each. After them, no
    /// further call is recorded on that day. Entries of runners, permits and withdrawals are not
    /// counted.
    pub ledger_bytes_per_day: u64,
}

impl Budgets {
    /// The defaults: people cannot look at more questions, and an agent in a loop fills no disk.
    pub const fn usual() -> Self {
        Self { waiting_approvals: 100, jobs_per_day: 20_000, ledger_bytes_per_day: 1 << 30 }
    }

    /// The same with the limits of a caller's roles.
    pub fn with(self, own: &OwnLimits) -> Self {
        let bytes = own.ledger_mib_per_day.map(|mib| mib.saturating_mul(1 << 20));
        Self {
            waiting_approvals: own.waiting_approvals.unwrap_or(self.waiting_approvals),
            jobs_per_day: own.jobs_per_day.unwrap_or(self.jobs_per_day),
            ledger_bytes_per_day: bytes.unwrap_or(self.ledger_bytes_per_day),
        }
    }

    /// No bounds, for measurements.
    pub const fn unlimited() -> Self {
        Self { waiting_approvals: u64::MAX, jobs_per_day: u64::MAX, ledger_bytes_per_day: u64::MAX }
    }
}
