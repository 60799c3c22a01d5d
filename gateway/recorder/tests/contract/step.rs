//! The steps of a history and their answers: plain data that a store and the model both understand.
//! Never a word of an error's text, only its kind.

use cofferdam_core::model::job::Found;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::protocol::RoleError;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Calls of a history.
pub const CALLS: usize = 7;
/// Runners of a history.
pub const SEATS: usize = 3;
/// Agents, each with its own jobs.
pub const AGENTS: [&str; 2] = ["agent", "other"];
/// People: the first one asked for each call, the others are named by the rule.
pub const PEOPLE: [&str; 3] = ["ann", "bob", "carl"];
/// The objects of plans with one: jobs about the same object wait for each other.
pub const OBJECTS: [&str; 2] = ["web", "api"];
/// The milliseconds of a lease without a heartbeat.
pub const LEASE_MS: i64 = 30_000;

/// A job that the gateway proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub call: usize,
    pub agent: usize,
    pub plan: usize,
    /// The object of the plan; none for a question.
    pub object: Option<usize>,
    /// The number of signatures; `None` if it has its permit.
    pub quorum: Option<u32>,
    pub key: Option<usize>,
    pub other_arguments: bool,
    pub seen: Option<usize>,
    /// Minutes until the permit or the question ends.
    pub minutes: i64,
}

impl Proposal {
    /// A permitted job of the first agent for a day.
    pub fn of(call: usize, plan: usize) -> Self {
        Self {
            call,
            agent: 0,
            plan,
            object: None,
            quorum: None,
            key: None,
            other_arguments: false,
            seen: None,
            minutes: 24 * 60,
        }
    }
}

/// A report of a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Prepared,
    Acting,
    Started(u32, bool),
    Done(u32, bool),
    Finished(Outcome),
    Gone,
}

/// One step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Enqueue(Proposal),
    /// A call ends without a job.
    End(usize),
    Claim(usize),
    /// A runner reports; `stale` names an older lease.
    Report {
        seat: usize,
        told: Vec<Told>,
        stale: bool,
    },
    LetGo(usize),
    /// A heartbeat; a runner whose lease is over leaves, and another one takes its seat.
    Beat(usize),
    Note(usize),
    Cancel {
        call: usize,
        agent: usize,
    },
    Sign {
        call: usize,
        person: usize,
        reject: bool,
        forged: bool,
    },
    Permit(usize),
    Withdraw(usize),
    Resolve(usize, Found),
    Erase(usize),
    /// Time passes, and the recorder sweeps.
    Pass(i64),
    /// The recorder ends and starts again; every lease is over after it.
    Restart,
    /// The reads of one agent about one plan and one key.
    Read {
        agent: usize,
        plan: usize,
        key: usize,
    },
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NotFound,
    Refused,
    Fenced,
    TooLarge,
    Busy,
    OverLimit,
    Stopped,
    Unavailable,
}

impl From<RoleError> for Kind {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::NotFound(_) => Self::NotFound,
            RoleError::Refused(_) => Self::Refused,
            RoleError::Fenced => Self::Fenced,
            RoleError::TooLarge(_) => Self::TooLarge,
            RoleError::Busy { .. } => Self::Busy,
            RoleError::OverLimit { .. } => Self::OverLimit,
            RoleError::Stopped { .. } => Self::Stopped,
            RoleError::Unavailable(_) => Self::Unavailable,
        }
    }
}

/// A job under a lease, as its runner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub call: usize,
    pub fence: u64,
    pub phase: Phase,
    pub outcome: Option<Outcome>,
    /// The operations that were begun, each with its end.
    pub operations: Vec<(u32, bool, bool)>,
    pub earlier: Vec<u64>,
    pub given_up: bool,
}

/// The answer to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Recorded(u64),
    Joined(usize),
    Leased(Option<Box<Lease>>),
    Lease {
        cancelled: bool,
    },
    Released,
    Signed(u32),
    Done,
    Read(Box<Summary>),
    /// There was nothing to do: the seat has no job, or the call is repeated as it is.
    Skipped,
    Failed(Kind),
}

/// The reads of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The job of an equal call, with the milliseconds since its end.
    pub same: Option<(usize, u64)>,
    /// The call of the key.
    pub key: Option<usize>,
    /// The end of a person's denial.
    pub rejected_until: Option<i64>,
    /// The agent's own calls, newest first.
    pub calls: Vec<(usize, Phase, Option<Outcome>)>,
    /// The same without those that have an outcome.
    pub open: Vec<usize>,
    pub phases: BTreeMap<Phase, u64>,
    pub outcomes: BTreeMap<Outcome, u64>,
    pub verdicts: BTreeMap<String, u64>,
    pub entries: u64,
}

/// A job, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub phase: Phase,
    pub outcome: Option<Outcome>,
    pub claimed: bool,
    pub ledger: u64,
    pub expires: i64,
    pub version: u64,
    pub operations: Vec<(u32, bool, bool)>,
    pub notes: Vec<u64>,
    pub found: Option<Found>,
    /// The tries of a stuck job.
    pub tries: Option<u32>,
    /// The signatures that its rule asks for, while it waits for people.
    pub asks: Option<u32>,
    pub created: i64,
    /// Its agent withdrew it while a runner had it.
    pub stopping: bool,
    pub has_plan: bool,
}

/// An entry of the ledger: its kind, its word if it has one, and its call.
pub type Entry = (String, String, Option<usize>);

fn proposal() -> impl Strategy<Value = Proposal> {
    let plan_and_call = (0..CALLS, 0..AGENTS.len(), 0..3usize);
    let kind = prop_oneof![
        3 => prop::option::of(0..OBJECTS.len()).prop_map(|object| (object, None)),
        2 => (1..3u32).prop_map(|quorum| (None, Some(quorum))),
    ];
    let key = prop::option::weighted(0.3, 0..2usize);
    let rest = (prop::bool::weighted(0.1), prop::option::weighted(0.1, 0..CALLS));
    let minutes = prop_oneof![3 => Just(24 * 60), 1 => Just(5)];
    (plan_and_call, kind, key, rest, minutes).prop_map(
        |((call, agent, plan), (object, quorum), key, (other_arguments, seen), minutes)| Proposal {
            call,
            agent,
            plan,
            object,
            quorum,
            key,
            other_arguments,
            seen,
            minutes,
        },
    )
}

fn told() -> impl Strategy<Value = Vec<Told>> {
    let operation = || (0..2u32, prop::bool::weighted(0.2));
    let outcome = prop::sample::select(cofferdam_core::model::run::OUTCOMES.to_vec());
    let likely = prop::sample::select(vec![
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::Indeterminate,
        Outcome::Cancelled,
    ]);
    let one = prop_oneof![
        4 => Just(Told::Prepared),
        4 => Just(Told::Acting),
        2 => operation().prop_map(|(number, undo)| Told::Started(number, undo)),
        2 => operation().prop_map(|(number, undo)| Told::Done(number, undo)),
        2 => likely.prop_map(Told::Finished),
        1 => outcome.prop_map(Told::Finished),
        3 => Just(Told::Gone),
    ];
    let whole = Just(vec![Told::Prepared, Told::Acting, Told::Started(0, false)]);
    prop_oneof![6 => prop::collection::vec(one, 1..3), 2 => whole]
}

/// The steps of one history.
pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let (seat, call, agent) = (|| 0..SEATS, || 0..CALLS, || 0..AGENTS.len());
    let found = prop_oneof![Just(Found::Succeeded), Just(Found::Failed)];
    let pass = prop_oneof![
        4 => Just(1_500),
        2 => Just(LEASE_MS + 1_000),
        2 => Just(61_000),
        1 => Just(5 * 60_000),
    ];
    let report = (seat(), told(), prop::bool::weighted(0.05));
    let sign = (call(), 0..PEOPLE.len(), prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    let step = prop_oneof![
        8 => proposal().prop_map(Step::Enqueue),
        1 => call().prop_map(Step::End),
        7 => seat().prop_map(Step::Claim),
        12 => report.prop_map(|(seat, told, stale)| Step::Report { seat, told, stale }),
        2 => seat().prop_map(Step::LetGo),
        3 => seat().prop_map(Step::Beat),
        1 => seat().prop_map(Step::Note),
        2 => (call(), agent()).prop_map(|(call, agent)| Step::Cancel { call, agent }),
        5 => sign.prop_map(|(call, person, reject, forged)| {
            Step::Sign { call, person, reject, forged }
        }),
        3 => call().prop_map(Step::Permit),
        1 => call().prop_map(Step::Withdraw),
        2 => (call(), found).prop_map(|(call, found)| Step::Resolve(call, found)),
        1 => call().prop_map(Step::Erase),
        3 => pass.prop_map(Step::Pass),
        1 => Just(Step::Restart),
        2 => (agent(), 0..3usize, 0..2usize)
            .prop_map(|(agent, plan, key)| Step::Read { agent, plan, key }),
    ];
    prop::collection::vec(step, 1..most)
}
