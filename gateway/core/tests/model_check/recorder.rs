//! The changes of recorders: each is one commit. Transitions and guards are those of [`Rules`].

use crate::rules::Rules;
use crate::state::{Place, Promise, Recorder, Runner, State};
use cofferdam_core::model::id::Fence;
use cofferdam_core::model::run::{Event, JobStep, Outcome, Phase};

/// A report of a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    Prepared,
    Acting,
    Started,
    Done,
    Finished(Outcome),
    Gone,
}

/// The answer to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Recorded,
    /// The job was cancelled, or the phase does not allow the event.
    Refused,
    /// The lease is over.
    Fenced,
    /// The recorder ended instead of an answer.
    None,
}

/// The lease epoch as production has it.
fn fence(number: u8) -> Fence {
    Fence(u64::from(number))
}

impl State {
    /// Begins the commit of a recorder. False if it is not the sequencer any more: it ends.
    fn commits(&mut self, rules: &Rules, recorder: usize) -> bool {
        let own = self.recorders[recorder];
        if !(rules.is_sequencer)(u64::from(self.term), u64::from(own.term)) {
            self.end_recorder(recorder);
            return false;
        }
        if own.behind {
            self.breaks(Promise::OneHistory);
        }
        for (at, other) in self.recorders.iter_mut().enumerate() {
            other.behind |= at != recorder && other.term > 0;
        }
        true
    }

    /// Takes the lock of the sequencer, and the next term.
    pub fn take_over(&mut self, recorder: usize) {
        self.term += 1;
        self.recorders[recorder] = Recorder { term: self.term, behind: false };
    }

    /// Stores a job. The gateway gets its answer, unless that is lost.
    pub fn enqueue(&mut self, rules: &Rules, job: usize, answered: bool) {
        let Some(recorder) = self.sequencer() else { return };
        // A repeated request finds the job by its call id.
        if self.jobs[job].stored || self.commits(rules, recorder) {
            self.jobs[job].stored = true;
            self.jobs[job].acknowledged |= answered;
        }
    }

    /// Ends a job without a lease, or asks its runner to stop.
    pub fn end_job(&mut self, rules: &Rules, job: usize, outcome: Outcome) {
        let Some(recorder) = self.sequencer() else { return };
        if !self.commits(rules, recorder) {
            return;
        }
        let stored = &mut self.jobs[job];
        match stored.phase {
            Phase::AwaitingApproval | Phase::Queued => {
                if let Ok(phase) = (rules.ended)(stored.phase, u32::from(stored.attempts)) {
                    stored.phase = phase;
                    self.finish(rules, job, outcome, 0);
                }
            }
            _ => stored.cancelled = true,
        }
    }

    /// Queues a job after its second decision, or takes it back for another one.
    pub fn decide(&mut self, rules: &Rules, job: usize, event: Event) {
        let Some(recorder) = self.sequencer() else { return };
        if !self.commits(rules, recorder) {
            return;
        }
        let job = &mut self.jobs[job];
        if let Ok(phase) = (rules.next)(job.phase, event) {
            job.phase = phase;
            job.permitted = true;
            job.approved = event == Event::Reopen;
        }
    }

    /// Writes the outcome of a job, with the operations in effect that it tells.
    fn finish(&mut self, rules: &Rules, job: usize, outcome: Outcome, told: u8) -> bool {
        let stored = &mut self.jobs[job];
        if !(rules.is_writable)(stored.outcome) {
            return false;
        }
        let (again, known) = (stored.outcome.is_some(), stored.started == stored.done);
        (stored.outcome, stored.told, stored.stuck) = (Some(outcome), told, false);
        if again {
            self.breaks(Promise::OneOutcome);
        }
        if outcome == Outcome::Indeterminate && known {
            self.breaks(Promise::Indeterminate);
        }
        true
    }

    /// Leases a job to a runner, or gives a repeated claim its lease again.
    pub fn claim(&mut self, rules: &Rules, at: usize, (job, recorder): (usize, usize), told: bool) {
        let runner = &mut self.runners[at];
        if runner.token == 0 {
            let token = self.fresh_token();
            self.runners[at].token = token;
        }
        let token = self.runners[at].token;
        if !self.commits(rules, recorder) {
            return;
        }
        let same = |leased, stored| (rules.is_same_claim)(leased, stored, token);
        let held = self.jobs.iter().position(|job| same(job.leased, job.token));
        let job = held.unwrap_or(job);
        if held.is_none() {
            if self.jobs.iter().any(|job| job.leased && job.token == token) {
                self.breaks(Promise::OneClaim);
            }
            let Ok(phase) = (rules.next)(self.jobs[job].phase, Event::Lease) else { return };
            self.newest += 1;
            let stored = &mut self.jobs[job];
            if stored.phase == Phase::Queued {
                stored.attempts += 1;
                stored.stuck = false;
            }
            (stored.phase, stored.leased, stored.fence) = (phase, true, self.newest);
            (stored.token, stored.moved) = (token, 0);
        }
        let stored = &self.jobs[job];
        let runner = &mut self.runners[at];
        if !told {
            (runner.place, runner.connected) = (Place::Claiming, 0);
            return;
        }
        *runner = Runner {
            place: match stored.phase {
                Phase::Leased => Place::After(JobStep::Claimed),
                _ => Place::Sweep,
            },
            job: u8::try_from(job).unwrap_or_default(),
            fence: stored.fence,
            token,
            number: 1,
            connected: u8::try_from(recorder + 1).unwrap_or_default(),
            ..Runner::NEW
        };
    }

    /// Gives a runner on a new connection its job again, if it still has the lease.
    pub fn resume(&mut self, rules: &Rules, at: usize, recorder: usize) {
        let runner = self.runners[at];
        let job = &self.jobs[usize::from(runner.job)];
        let held = (rules.is_held)(job.leased, fence(job.fence), fence(runner.fence));
        if held && (rules.is_same_claim)(job.leased, job.token, runner.token) {
            self.runners[at].connected = u8::try_from(recorder + 1).unwrap_or_default();
        } else {
            self.end_runner(at);
        }
    }

    /// Ends a lease: its runner is lost, or let the job go because of an obstacle.
    pub fn lose(&mut self, rules: &Rules, job: usize, recorder: usize, obstacle: bool) {
        if !self.commits(rules, recorder) {
            return;
        }
        let stored = &mut self.jobs[job];
        stored.leased = false;
        let stuck = stored.stuck;
        stored.stuck |= obstacle;
        if stuck {
            return;
        }
        let lost = (rules.lost)(stored.phase, u32::from(stored.attempts), stored.cancelled);
        let Ok((phase, ends)) = lost else { return };
        stored.phase = phase;
        if let Some(outcome) = ends {
            self.finish(rules, job, outcome, 0);
        }
    }

    /// Applies the report of a runner, once however often it is sent.
    pub fn report(&mut self, rules: &Rules, at: usize, report: Report) -> Answer {
        let runner = self.runners[at];
        let recorder = usize::from(runner.connected) - 1;
        if !self.commits(rules, recorder) {
            return Answer::None;
        }
        let at = usize::from(runner.job);
        let job = &self.jobs[at];
        if !(rules.is_held)(job.leased, fence(job.fence), fence(runner.fence)) {
            return Answer::Fenced;
        }
        if (rules.is_repeated)(job.moved, runner.number) {
            return Answer::Recorded;
        }
        let again = job.moved == runner.number;
        if self.apply(rules, at, &runner, report) {
            let job = &mut self.jobs[at];
            job.moved = runner.number;
            job.stuck = false;
            return Answer::Recorded;
        }
        if again {
            self.breaks(Promise::Repeat);
        }
        Answer::Refused
    }

    /// Applies an event to a job. False if it is refused.
    fn apply(&mut self, rules: &Rules, at: usize, runner: &Runner, report: Report) -> bool {
        let job = &mut self.jobs[at];
        let operation = 1 << runner.operation;
        let event = match report {
            Report::Acting if job.cancelled => return false,
            Report::Started | Report::Done if !(rules.is_operating)(job.phase) => return false,
            Report::Started => {
                let fits = !rules.starts_once || job.started & operation == 0;
                job.started |= operation;
                return fits;
            }
            Report::Done => {
                let fits = job.started & operation != 0 && job.done & operation == 0;
                job.done |= if fits { operation } else { 0 };
                return fits;
            }
            Report::Finished(outcome) => {
                let next = (rules.next)(job.phase, Event::Finish);
                let Ok(phase) = next else { return false };
                if !(rules.is_reportable)(job.phase, outcome)
                    || !self.finish(rules, at, outcome, runner.effects)
                {
                    return false;
                }
                self.jobs[at].phase = phase;
                return true;
            }
            Report::Prepared => Event::Prepare,
            Report::Acting => Event::Act,
            Report::Gone => Event::Gone,
        };
        let Ok(phase) = (rules.next)(job.phase, event) else { return false };
        job.phase = phase;
        job.leased &= event != Event::Gone;
        true
    }
}
