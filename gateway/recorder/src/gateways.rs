//! The sets that gateways serve, in memory. Several gateways may serve one recorder: during a
//! rolling reload they serve different sets, and each set counts while a gateway serves it. Never
//! decides a job: the gateway decides it, and the runner by its own trust file.

use crate::leases::{KEPT_MS, Via};
use cofferdam_core::model::id::{PolicyDigest, TrustDigest};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::trust::Trust;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The number of the one gateway of a recorder that gives no seats to gateways.
pub(crate) const ONE: u64 = 1;

/// The number of the set that the recorder knows at its start, by its own trust file.
const AT_START: u64 = 0;

/// The policies of which a gateway serves one; `None` if none is known, and then each counts.
pub(crate) type Policies = Option<Arc<BTreeSet<PolicyDigest>>>;

/// The set of one gateway.
#[derive(Debug, Clone, Default)]
struct Set {
    /// The digest of its trust file.
    digest: Option<TrustDigest>,
    policy: Option<PolicyDigest>,
    /// Another set that is announced and not in use yet: its digest and policy.
    announced: Option<(TrustDigest, PolicyDigest)>,
    /// The trust file; `None` before the gateway reports it.
    trust: Option<Arc<Trust>>,
    /// False if its gateway left: the set counts until another gateway reports one.
    is_there: bool,
    /// The time, in milliseconds, until which the set of a gateway that left counts beside those of
    /// others: its link may come back.
    until: i64,
}

impl Set {
    fn counts(&self, now_ms: i64) -> bool {
        self.is_there || self.until > now_ms
    }
}

/// The effects of the end of a gateway's connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// True if a set counts no more.
    pub fewer: bool,
    /// The announced sets that their gateways did not report, each with the digest of the set before.
    pub unreported: Vec<(TrustDigest, Option<TrustDigest>)>,
}

/// The sets of all gateways.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    sets: BTreeMap<u64, Set>,
    seats: u64,
    /// The limits of roles of the newest report.
    limits: Arc<RoleLimits>,
    /// The policies of `sets`.
    policies: Policies,
    /// The time, in milliseconds, until which gateways of the recorder before may come back. Before
    /// it, no question and no queued job is ended for the set of one of them.
    settles: i64,
    /// True if a report came before that time.
    withheld: bool,
}

impl Gateways {
    /// The set that the recorder's own trust file names, until a gateway reports one.
    pub fn begin(&mut self, digest: TrustDigest, policy: PolicyDigest, now_ms: i64) {
        let until = now_ms.saturating_add(KEPT_MS);
        let set = Set { digest: Some(digest), policy: Some(policy), until, ..Set::default() };
        (self.settles, self.withheld) = (until, false);
        self.sets.insert(AT_START, set);
        self.count();
    }

    /// Returns whether the sets of all gateways are known. `via`: the way of the one that reports. A
    /// gateway of this host is the only one. Notes a report before that time.
    pub fn is_settled(&mut self, via: Via, now_ms: i64) -> bool {
        let settled = via == Via::Local || now_ms >= self.settles;
        self.withheld |= !settled;
        settled
    }

    /// The number of a new gateway.
    pub fn seat(&mut self) -> u64 {
        self.seats += 1;
        ONE + self.seats
    }

    /// The digest of a gateway's set before an announcement, or that of the sets before.
    pub fn digest(&self, seat: u64) -> Option<TrustDigest> {
        let own = self.sets.get(&seat).and_then(|set| set.digest);
        own.or_else(|| self.sets.values().rev().find_map(|set| set.digest))
    }

    /// The announced set of a gateway.
    pub fn announced(&self, seat: u64) -> Option<TrustDigest> {
        self.sets.get(&seat)?.announced.map(|(digest, _)| digest)
    }

    /// The announced set of a gateway that left before it reported it: the next report of a gateway
    /// is its end.
    pub fn left_announced(&mut self) -> Option<TrustDigest> {
        let left = self.sets.values_mut().find(|set| !set.is_there && set.announced.is_some());
        left?.announced.take().map(|(digest, _)| digest)
    }

    /// Notes the announcement of another set.
    pub fn announce(&mut self, seat: u64, digest: TrustDigest, policy: PolicyDigest) {
        let before = self.sets.get(&seat).cloned();
        // A gateway that reported nothing yet announces in place of the set at the start.
        let before = before.or_else(|| self.sets.remove(&AT_START)).unwrap_or_default();
        let set = Set { announced: Some((digest, policy)), is_there: true, ..before };
        self.sets.insert(seat, set);
        self.count();
    }

    /// Notes the set that a gateway serves. Sets of gateways that left count no more, unless their
    /// links may come back; a gateway of this host is the only one.
    pub fn serve(
        &mut self,
        (seat, via): (u64, Via),
        (digest, trust): (TrustDigest, Arc<Trust>),
        limits: RoleLimits,
        now_ms: i64,
    ) {
        self.sets.retain(|_, set| set.is_there || via == Via::Link && set.until > now_ms);
        let (digest, policy) = (Some(digest), Some(trust.policy));
        let set = Set { digest, policy, trust: Some(trust), is_there: true, ..Set::default() };
        self.sets.insert(seat, set);
        self.limits = Arc::new(limits);
        self.count();
    }

    /// Handles the end of a gateway's connection. Its set counts no more, unless it was the last
    /// gateway: then it counts until the next report. The set of a link counts for [`KEPT_MS`].
    pub fn leave(&mut self, (seat, via): (u64, Via), now_ms: i64) -> Left {
        if let Some(set) = self.sets.get_mut(&seat) {
            set.is_there = false;
            set.until = if via == Via::Link { now_ms.saturating_add(KEPT_MS) } else { 0 };
        }
        self.expire(now_ms)
    }

    /// Removes the sets of gateways that did not come back in time, while there is another gateway.
    /// True in `fewer` also once after a start, if reports had to wait for other gateways.
    pub fn expire(&mut self, now_ms: i64) -> Left {
        if !self.sets.values().any(|set| set.is_there) {
            return Left::default();
        }
        let gone: Vec<u64> =
            self.sets.iter().filter(|(_, set)| !set.counts(now_ms)).map(key).collect();
        let waited = self.withheld && now_ms >= self.settles;
        self.withheld &= !waited;
        let mut left = Left { fewer: waited || !gone.is_empty(), unreported: Vec::new() };
        for set in gone.iter().filter_map(|seat| self.sets.remove(seat)) {
            left.unreported.extend(set.announced.map(|(announced, _)| (announced, set.digest)));
        }
        self.count();
        left
    }

    /// The policies of the jobs that runners may claim: those of the sets in use, and of a set that
    /// is announced in place of the set before.
    pub fn policies(&self) -> Policies {
        self.policies.clone()
    }

    /// The trust files of all sets after this gateway uses this one.
    pub fn trusts_with(
        &self,
        (seat, via): (u64, Via),
        trust: &Arc<Trust>,
        now_ms: i64,
    ) -> Vec<Arc<Trust>> {
        let counts = |set: &Set| set.is_there || via == Via::Link && set.until > now_ms;
        let others = self.sets.iter().filter(|(other, set)| **other != seat && counts(set));
        others.filter_map(|(_, set)| set.trust.clone()).chain([Arc::clone(trust)]).collect()
    }

    /// The trust files of all sets.
    pub fn trusts(&self) -> Vec<Arc<Trust>> {
        self.sets.values().filter_map(|set| set.trust.clone()).collect()
    }

    /// Returns whether this gateway may decide a job that was decided with this policy before: no
    /// gateway does before it reported its set, or while another set of it is announced; and not one
    /// with another policy, while a gateway has that one.
    pub fn decides(&self, (seat, via): (u64, Via), policy: PolicyDigest, now_ms: i64) -> bool {
        let Some(own) = self.sets.get(&seat) else { return seat == ONE };
        let serves = |set: &Set| set.counts(now_ms) && set.policy == Some(policy);
        let settled = via == Via::Local || now_ms >= self.settles;
        let other = || settled && !self.sets.values().any(serves);
        own.announced.is_none() && (own.policy == Some(policy) || other())
    }

    /// The limits of roles of the newest report.
    pub fn limits(&self) -> Arc<RoleLimits> {
        Arc::clone(&self.limits)
    }

    fn count(&mut self) {
        let policy = |set: &Set| set.announced.map(|(_, policy)| policy).or(set.policy);
        let policies: BTreeSet<_> = self.sets.values().filter_map(policy).collect();
        self.policies = (!policies.is_empty()).then(|| Arc::new(policies));
    }
}

fn key<T>((seat, _): (&u64, T)) -> u64 {
    *seat
}
