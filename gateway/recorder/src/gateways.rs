//! The sets that gateways serve, in memory. Several gateways may serve one recorder: during a
//! rolling reload they serve different sets, and each set counts while a gateway serves it. Never
//! decides a job: the gateway decides it, and the runner by its own trust file.

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
}

impl Gateways {
    /// The set that the recorder's own trust file names, until a gateway reports one.
    pub fn begin(&mut self, digest: TrustDigest, policy: PolicyDigest) {
        let set = Set { digest: Some(digest), policy: Some(policy), ..Set::default() };
        self.sets.insert(AT_START, set);
        self.count();
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

    /// Notes the announcement of another set.
    pub fn announce(&mut self, seat: u64, digest: TrustDigest, policy: PolicyDigest) {
        let before = self.sets.get(&seat).cloned();
        // A gateway that reported nothing yet announces in place of the set at the start.
        let before = before.or_else(|| self.sets.remove(&AT_START)).unwrap_or_default();
        let set = Set { announced: Some((digest, policy)), is_there: true, ..before };
        self.sets.insert(seat, set);
        self.count();
    }

    /// Notes the set that a gateway serves. Sets of gateways that left count no more.
    pub fn serve(
        &mut self,
        seat: u64,
        (digest, trust): (TrustDigest, Arc<Trust>),
        limits: RoleLimits,
    ) {
        self.sets.retain(|_, set| set.is_there);
        let (digest, policy) = (Some(digest), Some(trust.policy));
        let set = Set { digest, policy, announced: None, trust: Some(trust), is_there: true };
        self.sets.insert(seat, set);
        self.limits = Arc::new(limits);
        self.count();
    }

    /// Handles the end of a gateway's connection. Its set counts no more, unless it was the last
    /// gateway: then it counts until the next report. Returns whether a policy counts no more.
    pub fn leave(&mut self, seat: u64) -> bool {
        let others = self.sets.iter().any(|(other, set)| *other != seat && set.is_there);
        if others {
            let left = self.sets.remove(&seat).is_some();
            self.count();
            return left;
        }
        if let Some(set) = self.sets.get_mut(&seat) {
            set.is_there = false;
        }
        false
    }

    /// The policies of the jobs that runners may claim: those of the sets in use, and of a set that
    /// is announced in place of the set before.
    pub fn policies(&self) -> Policies {
        self.policies.clone()
    }

    /// The policies after this gateway used this set, with the trust files of all sets then.
    pub fn trusts_with(&self, seat: u64, trust: &Arc<Trust>) -> Vec<Arc<Trust>> {
        let others = self.sets.iter().filter(|(other, set)| **other != seat && set.is_there);
        others.filter_map(|(_, set)| set.trust.clone()).chain([Arc::clone(trust)]).collect()
    }

    /// The trust files of all sets.
    pub fn trusts(&self) -> Vec<Arc<Trust>> {
        self.sets.values().filter_map(|set| set.trust.clone()).collect()
    }

    /// Returns whether this gateway may decide a job that was decided with this policy before: no
    /// gateway does before it reported its set, or while another set of it is announced; and not one
    /// with another policy, while a gateway has that one.
    pub fn decides(&self, seat: u64, policy: PolicyDigest) -> bool {
        let Some(own) = self.sets.get(&seat) else { return seat == ONE };
        let serves = |set: &Set| set.is_there && set.policy == Some(policy);
        own.announced.is_none() && (own.policy == Some(policy) || !self.sets.values().any(serves))
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
