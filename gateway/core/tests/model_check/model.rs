//! The actions of every party and the promises, for the model checker.

use crate::rules::Rules;
use crate::state::{Bounds, Object, Place, Promise, State};
use cofferdam_core::model::run::{Event, JobStep, Outcome, Phase};
use stateright::{Model, Property};

/// The most lease epochs in one history: more do not fit into the bits of a state.
const FENCES: u8 = 15;

/// The job protocol within these bounds and by these rules.
#[derive(Clone)]
pub struct Protocol {
    pub bounds: Bounds,
    pub rules: Rules,
}

/// Something that one party does, or a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The gateway enqueues a job; false: the answer is lost.
    Enqueue(usize, bool),
    /// The recorder answers and ends before its commit.
    EnqueueUncommitted(usize),
    /// The people sign.
    Sign(usize),
    /// The gateway or time moves a job without a lease.
    Decide(usize, Event),
    /// A person, the gateway or time ends a job.
    End(usize, Outcome),
    /// A runner claims a job at a recorder; false: the answer is lost.
    Claim(usize, (usize, usize), bool),
    /// A runner sends the report that is due; false: the answer is lost.
    Report(usize, bool),
    /// A runner does its next step.
    Proceed(usize),
    /// A check of the runner refuses the job.
    Refuse(usize),
    /// A runner hears of a cancellation.
    Hear(usize),
    /// An effect has no answer; true: it happened.
    Unknown(usize, bool),
    /// A runner lets its job go because of an obstacle.
    LetGo(usize),
    /// A connection is lost.
    Disconnect(usize),
    /// A runner comes back with its lease.
    Resume(usize),
    /// A runner process ends; true: its request is underway.
    Crash(usize, bool),
    /// A recorder ends a lease without heartbeats.
    Expire(usize, usize),
    /// A request that was underway arrives.
    Arrive(usize),
    /// Others change an object.
    Interfere(usize, usize),
    /// The reaper removes what is left of a closed job.
    Reap(usize),
    /// A recorder process ends.
    Stop(usize),
    /// A standby becomes the sequencer.
    TakeOver(usize),
}

impl Action {
    /// The price of an action in faults and in words of people and time.
    pub fn price(&self, state: &State) -> (u8, u8) {
        match *self {
            Self::Enqueue(_, false)
            | Self::EnqueueUncommitted(_)
            | Self::Claim(_, _, false)
            | Self::Report(_, false)
            | Self::Unknown(..)
            | Self::LetGo(_)
            | Self::Disconnect(_)
            | Self::Interfere(..)
            | Self::Stop(_) => (1, 0),
            // The clock of a runner without a connection ends its lease.
            Self::Crash(runner, request) => {
                let alone = state.runners[runner].connected == 0 && !request;
                (u8::from(!alone), 0)
            }
            // A runner with a connection to this recorder was paused.
            Self::Expire(job, recorder) => {
                let holder = state.runners.iter().any(|runner| {
                    runner.has_job()
                        && usize::from(runner.job) == job
                        && state.is_holder(runner)
                        && usize::from(runner.connected) == recorder + 1
                });
                (u8::from(holder), 0)
            }
            Self::TakeOver(_) => (u8::from(state.sequencer().is_some()), 0),
            Self::End(..) | Self::Refuse(_) | Self::Decide(_, Event::Reopen) => (0, 1),
            _ => (0, 0),
        }
    }
}

impl Protocol {
    /// The actions of clients, people and gateways for a job.
    fn of_people(&self, state: &State, at: usize, add: &mut impl FnMut(Action)) {
        let job = &state.jobs[at];
        if state.sequencer().is_none() {
            return;
        }
        if !job.acknowledged {
            add(Action::Enqueue(at, true));
            if !job.stored {
                add(Action::Enqueue(at, false));
                if !self.rules.commits_first {
                    add(Action::EnqueueUncommitted(at));
                }
            }
        }
        if !job.stored {
            return;
        }
        match job.phase {
            Phase::AwaitingApproval => {
                if !job.permitted && !job.approved {
                    add(Action::Sign(at));
                }
                if job.approved || !self.rules.asks_people {
                    add(Action::Decide(at, Event::Approve));
                    add(Action::End(at, Outcome::Refused));
                }
                if !job.permitted {
                    add(Action::End(at, Outcome::Rejected));
                }
                add(Action::End(at, Outcome::Expired));
                add(Action::End(at, Outcome::Cancelled));
            }
            Phase::Queued => {
                add(Action::Decide(at, Event::Reopen));
                add(Action::End(at, Outcome::Expired));
                add(Action::End(at, Outcome::Cancelled));
            }
            Phase::Leased | Phase::Prepared | Phase::Acting if !job.cancelled => {
                add(Action::End(at, Outcome::Cancelled));
            }
            _ => {}
        }
    }

    /// The actions of infrastructure, reaper and recorders for a job.
    fn of_the_rest(&self, state: &State, at: usize, add: &mut impl FnMut(Action)) {
        let job = &state.jobs[at];
        if job.underway.is_some() {
            add(Action::Arrive(at));
        }
        if job.phase == Phase::Closed && job.runs != 0 {
            add(Action::Reap(at));
        }
        for operation in 0..usize::from(self.bounds.operations) {
            if job.stored && job.phase != Phase::Closed && job.objects[operation] != Object::Other {
                add(Action::Interfere(at, operation));
            }
        }
        for (recorder, _) in state.recorders.iter().enumerate().filter(|(_, it)| it.term > 0) {
            if job.leased && self.rules.leases_end {
                add(Action::Expire(at, recorder));
            }
        }
    }

    /// The actions of a runner.
    fn of_runner(&self, state: &State, at: usize, add: &mut impl FnMut(Action)) {
        let runner = &state.runners[at];
        if !runner.has_job() {
            let jobs = state.jobs.iter().enumerate();
            for (job, _) in jobs.filter(|(_, it)| {
                let again = it.leased && it.token == runner.token;
                it.stored && (again || (self.rules.is_claimable)(it.phase, it.leased))
            }) {
                let recorders = state.recorders.iter().enumerate();
                for (recorder, _) in recorders.filter(|(_, it)| it.term > 0) {
                    add(Action::Claim(at, (job, recorder), true));
                    add(Action::Claim(at, (job, recorder), false));
                }
            }
            return;
        }
        let job = &state.jobs[usize::from(runner.job)];
        add(Action::Crash(at, false));
        if runner.connected == 0 {
            if state.sequencer().is_some() {
                add(Action::Resume(at));
            }
        } else {
            add(Action::Disconnect(at));
        }
        if state.can_proceed(&self.rules, at) {
            add(Action::Proceed(at));
        } else if runner.connected > 0 {
            add(Action::Report(at, true));
            add(Action::Report(at, false));
        }
        match runner.place {
            Place::After(JobStep::OperationStarted) => {
                add(Action::Crash(at, true));
                add(Action::Unknown(at, true));
                add(Action::Unknown(at, false));
            }
            Place::After(JobStep::Claimed) => {
                add(Action::Refuse(at));
                add(Action::LetGo(at));
            }
            Place::Sweep | Place::Look | Place::After(JobStep::OutcomeRecorded) => {
                add(Action::LetGo(at));
            }
            Place::After(JobStep::ActingRecorded | JobStep::OperationRecorded) if job.cancelled => {
                add(Action::Hear(at));
            }
            _ => {}
        }
    }

    /// Does an action.
    fn act(&self, state: &mut State, action: Action) {
        let (rules, bounds) = (&self.rules, &self.bounds);
        match action {
            Action::Enqueue(job, answered) => state.enqueue(rules, job, answered),
            Action::EnqueueUncommitted(job) => {
                state.jobs[job].acknowledged = true;
                state.end_recorder(state.sequencer().unwrap_or_default());
            }
            Action::Sign(job) => {
                state.jobs[job].signed = true;
                state.jobs[job].approved = true;
            }
            Action::Decide(job, event) => state.decide(rules, job, event),
            Action::End(job, outcome) => state.end_job(rules, job, outcome),
            Action::Claim(runner, at, answered) => state.claim(rules, runner, at, answered),
            Action::Report(runner, answered) => state.send(rules, bounds, runner, answered),
            Action::Proceed(runner) => state.proceed(rules, bounds, runner),
            Action::Refuse(runner) => {
                state.runners[runner].place = Place::Ending(Outcome::Refused);
            }
            Action::Hear(runner) => {
                state.runners[runner].place = Place::Ending(Outcome::Cancelled);
            }
            Action::Unknown(runner, happened) => state.stays_unknown(rules, runner, happened),
            Action::LetGo(at) => {
                let runner = state.runners[at];
                let Some(recorder) = usize::from(runner.connected).checked_sub(1) else { return };
                if state.is_holder(&runner) {
                    state.lose(rules, usize::from(runner.job), recorder, true);
                }
                state.end_runner(at);
            }
            Action::Disconnect(runner) => state.runners[runner].connected = 0,
            Action::Resume(runner) => {
                let recorder = state.sequencer().unwrap_or_default();
                state.resume(rules, runner, recorder);
            }
            Action::Crash(at, request) => {
                let runner = state.runners[at];
                if request {
                    state.jobs[usize::from(runner.job)].underway =
                        Some((runner.operation, runner.fence));
                }
                state.end_runner(at);
            }
            Action::Expire(job, recorder) => state.lose(rules, job, recorder, false),
            Action::Arrive(job) => state.arrive(rules, u8::try_from(job).unwrap_or_default()),
            Action::Interfere(job, operation) => {
                state.jobs[job].objects[operation] = Object::Other;
            }
            Action::Reap(job) => state.jobs[job].runs = 0,
            Action::Stop(recorder) => state.end_recorder(recorder),
            Action::TakeOver(recorder) => state.take_over(recorder),
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(&self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut add = |action: Action| {
            let (faults, words) = action.price(state);
            if faults <= state.faults && words <= state.words {
                actions.push(action);
            }
        };
        for job in 0..state.jobs.len() {
            self.of_people(state, job, &mut add);
            self.of_the_rest(state, job, &mut add);
        }
        for runner in 0..state.runners.len() {
            self.of_runner(state, runner, &mut add);
        }
        if let Some(sequencer) = state.sequencer() {
            add(Action::Stop(sequencer));
        }
        if let Some(standby) = state.recorders.iter().position(|recorder| recorder.term == 0) {
            add(Action::TakeOver(standby));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let (faults, words) = action.price(last);
        state.faults -= faults;
        state.words -= words;
        self.act(&mut state, action);
        // Runners are alike.
        state.runners.sort_unstable();
        (state != *last).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.newest < FENCES
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("an acknowledged job is stored", |_, state: &State| {
                state.jobs.iter().all(|job| job.stored || !job.acknowledged)
            }),
            Property::always("an effect has a durable intent", |_, state: &State| {
                state.keeps(Promise::Intent)
            }),
            Property::always("an effect happens once", |_, state: &State| {
                state.keeps(Promise::Once)
            }),
            Property::always("no effect under an older lease", |_, state: &State| {
                state.keeps(Promise::Order)
            }),
            Property::always("no effect before the signatures", |_, state: &State| {
                state.keeps(Promise::Approval)
            }),
            Property::always("an outcome is written once", |_, state: &State| {
                state.keeps(Promise::OneOutcome)
            }),
            Property::always("an outcome tells the effects", |_, state: &State| {
                state.jobs.iter().all(|job| match job.outcome {
                    None | Some(Outcome::Indeterminate) => true,
                    Some(_) => job.told == job.applied,
                })
            }),
            Property::always("indeterminate only in its window", |_, state: &State| {
                state.keeps(Promise::Indeterminate)
            }),
            Property::always("a closed job has an outcome", |_, state: &State| {
                state.jobs.iter().all(|job| job.phase != Phase::Closed || job.outcome.is_some())
            }),
            Property::always("a closed job was torn down", |_, state: &State| {
                let left = |runs: u16, late: u16| runs & !late != 0;
                !state.jobs.iter().any(|job| job.phase == Phase::Closed && left(job.runs, job.late))
            }),
            Property::always("commits follow each other", |_, state: &State| {
                state.keeps(Promise::OneHistory)
            }),
            Property::always("one claim gets one lease", |_, state: &State| {
                state.keeps(Promise::OneClaim)
            }),
            Property::always("a repeated report is answered", |_, state: &State| {
                state.keeps(Promise::Repeat)
            }),
            Property::always("nothing is left at the end", |model: &Self, state: &State| {
                let is_over = state.jobs.iter().all(|job| job.phase == Phase::Closed);
                if is_over && state.jobs.iter().all(|job| job.runs == 0) {
                    return true;
                }
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                let free = |action: &Action| action.price(state) == (0, 0);
                actions.into_iter().any(|action| free(&action))
            }),
            Property::eventually("every job closes", |_, state: &State| {
                state.jobs.iter().all(|job| job.phase == Phase::Closed)
            }),
        ]
    }
}
