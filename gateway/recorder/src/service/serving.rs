//! The reports of gateways on the sets that they serve, and the end of a set: questions that no set
//! supports are closed, and queued jobs of its policy are decided once more. Never ends either for a
//! gateway that may come back.

use super::Recorder;
use crate::gateways::Left;
use crate::leases::Via;
use crate::store::change::{Change, Done};
use crate::waiters::locked;
use cofferdam_core::model::id::{CallId, TrustDigest};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::Proposed;
use std::sync::Arc;

/// The event of another set that is announced.
pub(super) const RELOAD: &str = "reload";

/// The event of an announced set that is in use.
const RELOADED: &str = "reloaded";

/// The event of an announced set that is not used: the one before stays in use.
const NOT_LOADED: &str = "not-loaded";

/// Milliseconds for which a repeated end is known: longer than a request waits in a socket.
const REPEATED_MS: i64 = 120_000;

/// The most repeated ends that are known: those of all gateways' calls after one lost connection.
const REPEATED: usize = 4_096;

impl Recorder {
    /// Notes the set that a gateway serves.
    pub(super) async fn serving(
        &self,
        (seat, via): (u64, Via),
        (digest, trust): (TrustDigest, Arc<Trust>),
        limits: RoleLimits,
    ) -> Result<Proposed, RoleError> {
        let now = self.now().as_millisecond();
        let (entry, trusts, settled) = {
            let mut gateways = locked(&self.inner.shared.gateways);
            let before = gateways.digest(seat);
            let entry = gateways.announced(seat).or_else(|| gateways.left_announced());
            let entry = entry.map(|announced| {
                Arc::new(if announced == digest {
                    set_entry(RELOADED, before, digest)
                } else {
                    set_entry(NOT_LOADED, Some(announced), digest)
                })
            });
            let trusts = gateways.trusts_with((seat, via), &trust, now);
            (entry, trusts, gateways.is_settled(via, now))
        };
        match (settled, entry) {
            (true, entry) => drop(self.submit(Change::Retire(trusts.clone(), entry)).await?),
            (false, Some(entry)) => drop(self.submit(Change::End(entry)).await?),
            (false, None) => {}
        }
        let after = {
            let mut gateways = locked(&self.inner.shared.gateways);
            gateways.serve((seat, via), (digest, trust), limits, now);
            gateways.trusts()
        };
        // Another gateway changed its set at the same time.
        let same = after.len() == trusts.len() && after.iter().all(|one| trusts.contains(one));
        if settled && !same {
            self.submit(Change::Retire(after, None)).await?;
        }
        self.reopen(via).await?;
        // Each job that waits for a decision is offered under this set.
        self.offer_again(seat);
        Ok(Proposed::Done)
    }

    /// Handles sets that count no more.
    pub(super) async fn end_sets(&self, left: Left) {
        for (announced, before) in left.unreported {
            let after = before.unwrap_or(announced);
            let entry = Arc::new(set_entry(NOT_LOADED, Some(announced), after));
            if let Err(error) = self.submit(Change::End(entry)).await {
                tracing::warn!(what = "reload", %error, "a reload without an end is not recorded");
            }
        }
        if !left.fewer {
            return;
        }
        let trusts = locked(&self.inner.shared.gateways).trusts();
        let retired = async {
            if !trusts.is_empty() {
                self.submit(Change::Retire(trusts, None)).await?;
            }
            self.reopen(Via::Local).await
        };
        if let Err(error) = retired.await {
            // The next report of a gateway repeats it, and a runner checks the policy itself.
            tracing::debug!(%error, "jobs of a gateway that left are not decided once more yet");
        }
    }

    /// Takes every job from the queue that was decided by a policy that no gateway has, and that no
    /// runner claimed. Not for a gateway of another host before the others may have reported.
    pub(super) async fn reopen(&self, via: Via) -> Result<(), RoleError> {
        let now = self.now().as_millisecond();
        if !locked(&self.inner.shared.gateways).is_settled(via, now) {
            return Ok(());
        }
        let policies = || locked(&self.inner.shared.gateways).policies();
        while let Some(policies) = policies() {
            let Done::Reopened { more: true } = self.submit(Change::Reopen(policies)).await? else {
                break;
            };
        }
        Ok(())
    }

    /// Returns whether the end of a call may be recorded already: it came again, or came again
    /// before, and this is the late first request.
    pub(super) fn is_repeated(&self, again: bool, call: Option<&CallId>) -> bool {
        let Some(call) = call else { return again };
        let now = self.now().as_millisecond();
        let mut repeated = locked(&self.inner.shared.repeated);
        if again {
            repeated.retain(|_, at| now.saturating_sub(*at) < REPEATED_MS);
            if repeated.len() < REPEATED {
                repeated.insert(call.clone(), now);
            }
        }
        again || repeated.contains_key(call)
    }

    /// Refuses a new change while the disk is nearly full. A repeated one passes: the call is known,
    /// and `is_done` says by its phase that the first request was carried out.
    pub(super) async fn check_room_for(
        &self,
        call: &CallId,
        is_done: impl Fn(Phase) -> bool,
    ) -> Result<(), RoleError> {
        let Err(short) = self.check_room() else { return Ok(()) };
        match self.inner.reader.job(call).await? {
            Some((_, phase)) if is_done(phase) => Ok(()),
            _ => Err(short),
        }
    }
}

/// The ledger entry about another set of tools, executors, policy and trust.
pub(super) fn set_entry(what: &str, before: Option<TrustDigest>, after: TrustDigest) -> Entry {
    let event = Event::Administered { what: what.to_owned(), by: "gateway".to_owned() };
    let mut entry = Entry::of(event, None, "");
    entry.trust = Some(after);
    let digests = serde_json::json!({ "before": before, "after": after });
    entry.with("digests", digests.to_string())
}
