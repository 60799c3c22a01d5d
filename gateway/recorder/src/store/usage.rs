//! What each principal uses of the store on a day, against its budgets. Written in the transaction of
//! the entries, so that it survives restarts and holds for all gateways. Never refuses entries of
//! runners, approvers and operators.

use super::batch::{Batch, to_i64, to_u64};
use super::change::Change;
use crate::store::sql::{self, Connection};
use cofferdam_core::model::budget::Budgets;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::stop::{Stop, covering, is_stopped};
use cofferdam_core::model::subject::Subject;
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Most principals whose use is kept in memory. With more, the use is read from the store again.
const PRINCIPALS: usize = 4_096;

/// Bytes of an entry beside its payloads: the leaf, the row and its part of the tree.
const ENTRY: usize = 1_024;

/// The pause before the next try while too many calls wait for a person, in seconds.
const PEOPLE_SECONDS: u64 = 60;

/// The remedy for a budget of a day.
const OPERATOR: &str = "if the work needs more, an operator can raise the limit";

/// Jobs and bytes of one principal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub jobs: u64,
    pub bytes: u64,
}

impl Amount {
    fn plus(self, more: Self) -> Self {
        let (jobs, bytes) = (self.jobs.saturating_add(more.jobs), self.bytes);
        Self { jobs, bytes: bytes.saturating_add(more.bytes) }
    }
}

/// The use of today, of the principals that were seen.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    day: i64,
    of: BTreeMap<String, Amount>,
}

/// The use so far, and the budgets.
#[derive(Clone, Copy)]
pub(crate) struct Purse<'a> {
    pub usage: &'a Usage,
    pub budgets: &'a Budgets,
    /// The limits of roles, which take the place of the budgets.
    pub roles: &'a RoleLimits,
    /// The stops of operators.
    pub stops: &'a [Stop],
}

/// The day of a time, in days since 1970.
pub(crate) fn day_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(DAY)
}

impl Usage {
    /// Reads the use of the principals of these changes, as far as it is not known.
    pub async fn load(
        &mut self,
        changes: &[Change],
        now: Timestamp,
        connection: &mut Connection,
    ) -> sqlx::Result<()> {
        let day = day_of(now);
        if day != self.day || self.of.len() >= PRINCIPALS {
            (self.day, self.of) = (day, BTreeMap::new());
        }
        let principals: BTreeSet<&String> = changes
            .iter()
            .filter_map(|change| match change {
                Change::End(entry) | Change::EndAgain(entry) => Some(&entry.principal),
                Change::Enqueue { entry, .. } => Some(&entry.principal),
                _ => None,
            })
            .filter(|principal| !self.of.contains_key(*principal))
            .collect();
        for principal in principals {
            let row: Option<(i64, i64)> =
                sql::query_as("SELECT jobs, bytes FROM usage WHERE day = ?1 AND principal = ?2")
                    .bind(day)
                    .bind(principal)
                    .fetch_optional(&mut *connection)
                    .await?;
            let amount = row
                .map(|(jobs, bytes)| Amount { jobs: to_u64(jobs), bytes: to_u64(bytes) })
                .unwrap_or_default();
            self.of.insert(principal.clone(), amount);
        }
        Ok(())
    }

    /// Adds what a commit used.
    pub fn add(&mut self, used: &BTreeMap<String, Amount>) {
        for (principal, more) in used {
            let amount = self.of.entry(principal.clone()).or_default();
            *amount = amount.plus(*more);
        }
    }

    /// Forgets what it knows: it is not known if a commit happened.
    pub fn forget(&mut self) {
        self.of.clear();
    }
}

impl Purse<'_> {
    /// Charges an entry of a call, and its jobs, to its principal.
    ///
    /// # Errors
    /// [`RoleError::Stopped`]: an operator stopped such calls. [`RoleError::OverLimit`]: a budget of
    /// the day was used up before.
    pub fn charge(
        self,
        entry: &Entry,
        roles: &[String],
        jobs: u64,
        batch: &mut Batch,
    ) -> Result<(), RoleError> {
        self.check_stops(entry)?;
        let size = entry.payloads.values().map(String::len).fold(ENTRY, usize::saturating_add);
        let more = Amount { jobs, bytes: u64::try_from(size).unwrap_or(u64::MAX) };
        let stored = self.usage.of.get(&entry.principal).copied().unwrap_or_default();
        let in_batch = batch.used.entry(entry.principal.clone()).or_default();
        let used = stored.plus(*in_batch);
        let Budgets { jobs_per_day, ledger_bytes_per_day, .. } = self.budgets_of(roles);
        let over = |limit: &str, why: String, now: Timestamp| {
            let left = DAY - now.as_second().rem_euclid(DAY);
            Err(RoleError::OverLimit {
                limit: limit.to_owned(),
                why,
                retry_after_seconds: to_u64(left),
            })
        };
        if jobs > 0 && used.jobs >= jobs_per_day {
            let why = format!("had {jobs_per_day} jobs today, its limit; {OPERATOR}");
            return over("jobs_per_day", why, batch.now);
        }
        if used.bytes >= ledger_bytes_per_day {
            let mib = ledger_bytes_per_day >> 20;
            let why = format!("wrote {mib} MiB into the ledger today, its limit; {OPERATOR}");
            return over("ledger_mib_per_day", why, batch.now);
        }
        *in_batch = in_batch.plus(more);
        Ok(())
    }

    /// Refuses a result, a job or a permit that an operator stopped.
    ///
    /// # Errors
    /// [`RoleError::Stopped`].
    pub fn check_stops(self, entry: &Entry) -> Result<(), RoleError> {
        let tool = entry.tool.as_ref().map_or("", |(name, _)| name.as_str());
        match covering(self.stops, tool, &entry.principal) {
            Some(stop) if is_stopped(&entry.event) => Err(RoleError::Stopped { why: stop.why() }),
            _ => Ok(()),
        }
    }

    /// Charges the end of a call without a job. Entries of operators, of reloads and of the recorder
    /// itself are no ends of calls, and have no budget: an installation that is busy can always be
    /// operated and started.
    ///
    /// # Errors
    /// Those of [`Purse::charge`].
    pub fn charge_end(self, entry: &Entry, batch: &mut Batch) -> Result<(), RoleError> {
        if !matches!(entry.event, Event::Ended { .. }) {
            return Ok(());
        }
        let roles = if self.roles.is_empty() { Vec::new() } else { roles_of(entry) };
        self.charge(entry, &roles, 0, batch)
    }

    fn budgets_of(self, roles: &[String]) -> Budgets {
        self.budgets.with(&self.roles.of(roles))
    }

    /// Refuses one more call of a caller with these roles that waits for a person, beside so many.
    pub fn ask(self, roles: &[String], waiting: u64) -> Result<(), RoleError> {
        let most = self.budgets_of(roles).waiting_approvals;
        if waiting < most {
            return Ok(());
        }
        Err(RoleError::OverLimit {
            limit: "waiting_approvals".to_owned(),
            why: format!(
                "has {most} calls that wait for a person, its limit; `calls_list` shows them, and \
                 `job_cancel` withdraws one"
            ),
            retry_after_seconds: PEOPLE_SECONDS,
        })
    }
}

/// The roles of the caller, as the entry of its call has them.
fn roles_of(entry: &Entry) -> Vec<String> {
    let subject = entry.payloads.get("subject");
    let subject = subject.and_then(|text| serde_json::from_str::<Subject>(text).ok());
    subject.map(|subject| subject.properties.roles).unwrap_or_default()
}

/// The calls of a principal that wait for a person.
pub(crate) async fn waiting(principal: &str, connection: &mut Connection) -> sqlx::Result<u64> {
    let count: i64 = sql::query_scalar(
        "SELECT count(*) FROM jobs WHERE phase = 'awaiting_approval' AND approved = 0 AND \
         principal = ?1",
    )
    .bind(principal)
    .fetch_one(connection)
    .await?;
    Ok(to_u64(count))
}

/// Removes the use of days before yesterday.
pub(crate) async fn remove_old(now: Timestamp, connection: &mut Connection) -> sqlx::Result<()> {
    let query = sql::query("DELETE FROM usage WHERE day < ?1 - 1").bind(day_of(now));
    query.execute(connection).await.map(drop)
}

/// The bound values of a row.
pub(crate) fn columns(amount: Amount) -> (i64, i64) {
    (to_i64(amount.jobs), to_i64(amount.bytes))
}
