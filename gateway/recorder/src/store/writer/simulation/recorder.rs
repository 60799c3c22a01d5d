//! A recorder process of a history: its memory, which ends with it. Each commit is production's own
//! code. Never knows what another process did, except by the store.

use super::planted::Planted;
use super::store::{LEASE, Store};
use crate::backlog::Backlog;
use crate::gateways::{Gateways, Policies};
use crate::leases::Leases;
use crate::ledger::note::origin;
use crate::store::batch::{Batch, ChangeError, Head, WriteContext};
use crate::store::change::{Answer, Change};
use crate::store::usage::{Purse, Usage};
use crate::store::writer::apply::apply_all;
use cofferdam_core::model::id::{CallId, Fence, PolicyDigest, TrustDigest};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The end of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Committed and answered.
    Answered,
    /// The process ends before the commit.
    Before,
    /// The process ends after the commit, before any answer.
    After,
    /// Committed; the process gets no answer of the store, and goes on.
    Unknown,
    /// The store takes no commit: it is rolled back, and refused.
    Refused,
}

/// The memory of a process.
pub(super) struct Process {
    term: u64,
    head: Head,
    /// The store may have a commit that is not in `head`.
    behind: bool,
    pub leases: Leases,
    pub gateways: Gateways,
    /// Queued jobs of other policies have to be decided once more.
    pub reopens: bool,
    /// The policies whose jobs a runner may get; `None` before the first look at the queue.
    pub allowed: Option<BTreeSet<PolicyDigest>>,
}

impl Process {
    /// Starts a process as the sequencer: its memory comes from the store. Leases are kept for one
    /// more term.
    pub async fn start(
        store: &mut Store,
        (digest, policy): (TrustDigest, PolicyDigest),
        now: Timestamp,
    ) -> Self {
        store.term += 1;
        store.changed();
        let mut gateways = Gateways::default();
        // The gateways are of this host: none of them may come back.
        gateways.begin(digest, policy, i64::MIN);
        let mut process = Self {
            term: store.term,
            head: store.verified().await.0,
            behind: false,
            leases: Leases::default(),
            gateways,
            reopens: true,
            allowed: None,
        };
        process.take_leases(store, now).await;
        let event = Event::Administered { what: "start".to_owned(), by: "recorder".to_owned() };
        let start = [Change::End(Entry::of(event, None, "").into())];
        process.commit(store, &start, (now, End::Answered), Planted::Nothing).await;
        process
    }

    async fn take_leases(&mut self, store: &mut Store, now: Timestamp) {
        for (call, fence) in store.standing().await {
            if !self.leases.has(&call, fence) {
                self.leased(call, fence, now);
            }
        }
    }

    /// Notes a lease or a sign of life of its runner.
    pub fn leased(&mut self, call: CallId, fence: Fence, now: Timestamp) {
        let until = now.as_millisecond() + i64::try_from(LEASE * 1_000).unwrap();
        self.leases.leased(call, fence, until);
    }

    /// Notes that the policies may be others, and that the queue has to be looked at.
    pub fn uses_others(&mut self) {
        if let (Some(allowed), Some(now)) = (&mut self.allowed, self.gateways.policies()) {
            allowed.extend(now.iter().copied());
        }
        self.reopens = true;
    }

    /// Notes that the queue has only jobs of these policies.
    pub fn reopened(&mut self, policies: &BTreeSet<PolicyDigest>) {
        self.allowed = Some(policies.clone());
        let now: Policies = self.gateways.policies();
        self.reopens = now.is_some_and(|now| *now != *policies);
    }

    /// Commits changes together. `None` if the process ends: no change has an answer.
    pub async fn commit(
        &mut self,
        store: &mut Store,
        changes: &[Change],
        (now, end): (Timestamp, End),
        planted: Planted,
    ) -> Option<Vec<Answer>> {
        // Production reads the term in each transaction.
        if self.term != store.term && planted != Planted::OldTerm {
            return None;
        }
        if self.behind && planted != Planted::OldHead {
            self.head = store.verified().await.0;
            self.take_leases(store, now).await;
        }
        self.behind = false;
        let committed = Box::pin(self.transact(store, changes, (now, end))).await;
        let answers = committed.unwrap_or_else(|error| panic!("a commit fails: {error:?}"));
        match end {
            End::Before if planted == Planted::EarlyAnswer => Some(answers),
            End::Before | End::After => None,
            End::Unknown | End::Refused => {
                self.behind = end == End::Unknown;
                let error = RoleError::Unavailable("the store failed".to_owned());
                Some(changes.iter().map(|_| Err(error.clone())).collect())
            }
            End::Answered => Some(answers),
        }
    }

    async fn transact(
        &mut self,
        store: &mut Store,
        changes: &[Change],
        (now, end): (Timestamp, End),
    ) -> Result<Vec<Answer>, ChangeError> {
        let settings = &store.settings;
        let mut batch = Batch::new(&self.head, now);
        let (usage, roles) = (Usage::default(), RoleLimits::default());
        let purse = Purse { usage: &usage, budgets: &settings.budgets, roles: &roles, stops: &[] };
        let backlog = Backlog::default();
        let bounds = (&backlog, &self.gateways.policies(), purse);
        let origin = origin(&settings.environment);
        let context =
            WriteContext { origin: &origin, random: &settings.random, key: &settings.key };
        let mut transaction = store.connection.begin_write().await?;
        let answers = apply_all(changes, settings, bounds, &mut batch, &mut transaction).await?;
        let written = batch.seal(self.head.clone(), &context)?.write(&mut transaction).await?;
        if matches!(end, End::Before | End::Refused) {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
            if !written.touched.is_empty() {
                store.changed();
            }
            if end != End::Unknown {
                self.head = written.head;
            }
        }
        Ok(answers)
    }
}

/// The trust file of a policy.
pub(super) fn trusted(policy: usize) -> (TrustDigest, Arc<cofferdam_core::model::trust::Trust>) {
    let mut trust = cofferdam_testkit::build::trust(cofferdam_testkit::build::environment());
    trust.policy = PolicyDigest::of(&policy.to_be_bytes());
    (TrustDigest::of(&policy.to_be_bytes()), Arc::new(trust))
}
