//! The infrastructure of a history: objects with preconditions, runs with rights, and requests that
//! arrive late. It knows what really happened.

use cofferdam_core::model::id::{CallId, Fence};
use std::collections::{BTreeMap, BTreeSet};

/// The state of an operation's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    /// As it was approved.
    Before,
    /// As the operation leaves it.
    After,
    /// As others left it.
    Other,
}

/// A request for an effect: the operation of a call, under a lease.
pub(super) type Request = (CallId, u32, Fence);

/// The infrastructure.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    objects: BTreeMap<(CallId, u32), Object>,
    runs: BTreeMap<CallId, BTreeSet<Fence>>,
    /// Requests of ended runners that have not arrived yet.
    pub underway: Vec<Request>,
    /// The effects that happened, in order.
    pub effects: Vec<Request>,
    /// The newest lease that recovered a job.
    recovered: BTreeMap<CallId, Fence>,
}

impl Cluster {
    /// Makes the run of a job under a lease, with its rights.
    pub fn make(&mut self, call: &CallId, fence: Fence) {
        self.runs.entry(call.clone()).or_default().insert(fence);
    }

    /// Removes the runs of a job up to this lease.
    pub fn remove(&mut self, call: &CallId, through: Fence) {
        if let Some(runs) = self.runs.get_mut(call) {
            runs.retain(|fence| *fence > through);
        }
    }

    /// Removes what earlier leases left, as a runner does that recovers a job. Requests under them
    /// are refused from then on.
    pub fn recover(&mut self, call: &CallId, fence: Fence, removes: bool) {
        if removes {
            self.remove(call, Fence(fence.0.saturating_sub(1)));
        }
        self.recovered.insert(call.clone(), fence);
    }

    /// The runs of a job that are there.
    pub fn runs(&self, call: &CallId) -> BTreeSet<Fence> {
        self.runs.get(call).cloned().unwrap_or_default()
    }

    /// The object of an operation.
    pub fn object(&self, call: &CallId, operation: u32) -> Object {
        self.objects.get(&(call.clone(), operation)).copied().unwrap_or(Object::Before)
    }

    /// Others change the object of an operation.
    pub fn interfere(&mut self, call: &CallId, operation: u32) {
        self.objects.insert((call.clone(), operation), Object::Other);
    }

    /// Returns whether the effect of a request would happen: its run has rights, and the object is
    /// as approved, if the request compares it.
    pub fn permits(&self, (call, operation, fence): &Request, compares: bool) -> bool {
        self.runs.get(call).is_some_and(|runs| runs.contains(fence))
            && (!compares || self.object(call, *operation) == Object::Before)
    }

    /// Lets the effect of a request happen.
    pub fn apply(&mut self, request: Request) {
        self.objects.insert((request.0.clone(), request.1), Object::After);
        self.effects.push(request);
    }

    /// Returns whether a newer lease recovered the job of this request.
    pub fn is_outdated(&self, (call, _, fence): &Request) -> bool {
        let newer = self.effects.iter().any(|(other, _, newer)| other == call && newer > fence);
        newer || self.recovered.get(call).is_some_and(|newer| newer > fence)
    }

    /// The operations of a call whose effect happened.
    pub fn applied(&self, call: &CallId) -> BTreeSet<u32> {
        self.effects
            .iter()
            .filter(|(of, ..)| of == call)
            .map(|(_, operation, _)| *operation)
            .collect()
    }
}
