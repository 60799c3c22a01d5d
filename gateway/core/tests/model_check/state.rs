//! The state of the model: what the store has, what each process believes, what the infrastructure
//! is like, and which promises were broken. Small numbers, so that states are compared fast.

use cofferdam_core::model::run::{JobStep, Outcome, Phase};

/// The bounds of one check.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Jobs that are enqueued.
    pub jobs: usize,
    /// Operations of each job, at most two.
    pub operations: u8,
    /// Runners at a time; each ends with its job, and another one takes its place.
    pub runners: usize,
    /// Faults in one history: crashes, lost connections and answers, pauses, take-overs, changes by
    /// others, obstacles.
    pub faults: u8,
    /// Events by people and time: cancelled, rejected, withdrawn, out of time, reopened, refused.
    pub words: u8,
    /// The jobs wait for a person.
    pub asks: bool,
    /// Leases that were lost before the history begins.
    pub lost_before: u8,
}

/// A promise that a history can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// An effect has a durable intent.
    Intent,
    /// An effect happens once for an operation.
    Once,
    /// No effect under an older lease after a newer one acted.
    Order,
    /// No effect before the people have signed.
    Approval,
    /// The outcome is written once.
    OneOutcome,
    /// An outcome is indeterminate only if an operation has begun and its end is not recorded.
    Indeterminate,
    /// Each commit follows the newest one.
    OneHistory,
    /// One claim gets one lease.
    OneClaim,
    /// A repeated report gets its first answer.
    Repeat,
}

/// The object of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    /// As it was approved.
    Before,
    /// As the operation leaves it.
    After,
    /// As others left it.
    Other,
}

/// A job: its row in the store, its client, its part of the infrastructure.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Job {
    pub stored: bool,
    /// Its gateway has the answer to its enqueuing.
    pub acknowledged: bool,
    pub phase: Phase,
    pub outcome: Option<Outcome>,
    pub fence: u8,
    pub leased: bool,
    pub attempts: u8,
    pub cancelled: bool,
    pub approved: bool,
    pub permitted: bool,
    pub stuck: bool,
    /// The token of the claim that has the lease.
    pub token: u8,
    /// The number of the newest report under the lease.
    pub moved: u8,
    /// Operations with a durable `started`, one bit each.
    pub started: u8,
    /// Operations with a durable `done`.
    pub done: u8,
    /// Operations in effect, as the outcome tells.
    pub told: u8,
    /// People have signed.
    pub signed: bool,
    /// The objects of its operations.
    pub objects: [Object; 2],
    /// Operations whose effect happened.
    pub applied: u8,
    /// The newest lease that acted on the infrastructure or read it to find the outcome.
    pub acted: u8,
    /// The run namespaces with their rights, one bit for each lease epoch.
    pub runs: u16,
    /// Those that were made after their lease was lost.
    pub late: u16,
    /// A request of a crashed runner that has not arrived yet: operation and lease epoch.
    pub underway: Option<(u8, u8)>,
}

/// A recorder process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recorder {
    /// The term that it believes to have; 0 for a standby.
    pub term: u8,
    /// Others committed since its last commit.
    pub behind: bool,
}

/// The place of a runner in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// It has asked for nothing.
    Idle,
    /// It claimed a job, and the answer was lost.
    Claiming,
    /// This step of its job is done.
    After(JobStep),
    /// It recovers a job: it removes what is left of earlier runners.
    Sweep,
    /// It recovers a job: it reads the infrastructure.
    Look,
    /// It reports this outcome.
    Ending(Outcome),
}

/// A runner process with its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Runner {
    pub place: Place,
    pub job: u8,
    pub fence: u8,
    pub token: u8,
    /// The number of its next report.
    pub number: u8,
    /// The operation that it carries out.
    pub operation: u8,
    /// Operations in effect, as it knows.
    pub effects: u8,
    /// Its recorder: 0 for none, otherwise the index and one.
    pub connected: u8,
}

impl Runner {
    /// A new process.
    pub const NEW: Self = Self {
        place: Place::Idle,
        job: 0,
        fence: 0,
        token: 0,
        number: 0,
        operation: 0,
        effects: 0,
        connected: 0,
    };

    /// Returns whether it has a job, as it believes.
    pub fn has_job(&self) -> bool {
        !matches!(self.place, Place::Idle | Place::Claiming)
    }
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub jobs: Vec<Job>,
    pub runners: Vec<Runner>,
    pub recorders: [Recorder; 2],
    /// The newest lease epoch.
    pub newest: u8,
    /// The term in the store.
    pub term: u8,
    /// Faults that may still happen.
    pub faults: u8,
    /// Events by people and time that may still happen.
    pub words: u8,
    broken: u16,
}

impl State {
    /// The state before the first event.
    pub fn first(bounds: &Bounds) -> Self {
        let job = Job {
            stored: false,
            acknowledged: false,
            phase: if bounds.asks { Phase::AwaitingApproval } else { Phase::Queued },
            outcome: None,
            fence: bounds.lost_before,
            leased: false,
            attempts: bounds.lost_before,
            cancelled: false,
            approved: false,
            permitted: !bounds.asks,
            stuck: false,
            token: 0,
            moved: 0,
            started: 0,
            done: 0,
            told: 0,
            signed: !bounds.asks,
            objects: [Object::Before; 2],
            applied: 0,
            acted: 0,
            runs: 0,
            late: 0,
            underway: None,
        };
        Self {
            jobs: vec![job; bounds.jobs],
            runners: vec![Runner::NEW; bounds.runners],
            recorders: [Recorder { term: 1, behind: false }, Recorder { term: 0, behind: false }],
            newest: bounds.lost_before,
            term: 1,
            faults: bounds.faults,
            words: bounds.words,
            broken: 0,
        }
    }

    /// Notes a broken promise.
    pub fn breaks(&mut self, promise: Promise) {
        self.broken |= 1 << promise as u16;
    }

    /// Returns whether a promise was kept so far.
    pub fn keeps(&self, promise: Promise) -> bool {
        self.broken & (1 << promise as u16) == 0
    }

    /// The recorder that is the sequencer.
    pub fn sequencer(&self) -> Option<usize> {
        self.recorders.iter().position(|recorder| recorder.term == self.term)
    }

    /// A token that no process and no lease has.
    pub fn fresh_token(&self) -> u8 {
        let known = |token: &u8| {
            self.jobs.iter().any(|job| job.token == *token)
                || self.runners.iter().any(|runner| runner.token == *token)
        };
        (1..).find(|token| !known(token)).unwrap_or(u8::MAX)
    }

    /// Returns whether this runner holds the lease that it believes to hold.
    pub fn is_holder(&self, runner: &Runner) -> bool {
        let job = &self.jobs[usize::from(runner.job)];
        job.leased && job.fence == runner.fence
    }

    /// Ends a runner process; a new one takes its place.
    pub fn end_runner(&mut self, at: usize) {
        self.runners[at] = Runner::NEW;
    }

    /// Ends a recorder process; it starts again as a standby.
    pub fn end_recorder(&mut self, at: usize) {
        self.recorders[at] = Recorder { term: 0, behind: false };
        for runner in &mut self.runners {
            if usize::from(runner.connected) == at + 1 {
                runner.connected = 0;
            }
        }
    }
}

/// The bits below a lease epoch.
pub fn below(fence: u8) -> u16 {
    (1 << fence) - 1
}
