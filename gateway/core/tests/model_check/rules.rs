//! The rules of the model: production's own functions wherever production has one, and the habits
//! of runners and of the infrastructure. A mutation replaces one of them.

use cofferdam_core::model::id::Fence;
use cofferdam_core::model::lease_rules;
use cofferdam_core::model::run::{Event, IllegalEvent, Outcome, Phase};

/// The result of a table or rule: a phase, or an event that is not allowed.
pub type Next = Result<Phase, IllegalEvent>;

/// The result of a lost lease: the phase, and the outcome if the loss ends the job.
pub type Lost = Result<(Phase, Option<Outcome>), IllegalEvent>;

/// The rules that a model follows.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Production's table of transitions.
    pub next: fn(Phase, Event) -> Next,
    pub is_claimable: fn(Phase, bool) -> bool,
    pub is_held: fn(bool, Fence, Fence) -> bool,
    pub is_operating: fn(Phase) -> bool,
    pub is_reportable: fn(Phase, Outcome) -> bool,
    pub is_writable: fn(Option<Outcome>) -> bool,
    pub lost: fn(Phase, u32, bool) -> Lost,
    pub ended: fn(Phase, u32) -> Next,
    /// A recorder commits only in the term of the store.
    pub is_sequencer: fn(u64, u64) -> bool,
    /// A claim with this token has the job's lease already.
    pub is_same_claim: fn(bool, u8, u8) -> bool,
    /// The report with this number was the newest one of the lease.
    pub is_repeated: fn(u8, u8) -> bool,
    /// A runner acts only after its intent is durable.
    pub intends_first: bool,
    /// An operation that was started is not started again.
    pub starts_once: bool,
    /// An effect is pinned to the approved state of its object.
    pub pins_effects: bool,
    /// A runner that recovers a job first removes the rights of the lost one.
    pub removes_rights: bool,
    /// A runner that recovers a job reads the infrastructure and does not guess.
    pub looks: bool,
    /// Signatures are complete before the permit.
    pub asks_people: bool,
    /// A change is committed before its answer.
    pub commits_first: bool,
    /// A lease without heartbeats ends.
    pub leases_end: bool,
}

impl Rules {
    /// The rules of production.
    pub const PRODUCTION: Self = Self {
        next: Phase::next,
        is_claimable: lease_rules::is_claimable,
        is_held: lease_rules::is_held,
        is_operating: lease_rules::is_operating,
        is_reportable: lease_rules::is_reportable,
        is_writable: lease_rules::is_writable,
        lost: lease_rules::lost,
        ended: lease_rules::ended,
        is_sequencer: |stored, own| stored == own,
        is_same_claim: |leased, stored, given| leased && stored == given,
        is_repeated: |newest, number| newest == number,
        intends_first: true,
        starts_once: true,
        pins_effects: true,
        removes_rights: true,
        looks: true,
        asks_people: true,
        commits_first: true,
        leases_end: true,
    };
}
