//! The work of a runner in the order of its numbered steps, and the infrastructure that it changes.

use crate::recorder::{Answer, Report};
use crate::rules::Rules;
use crate::state::{Bounds, Object, Place, Promise, State, below};
use cofferdam_core::model::run::{JobStep, Outcome, Phase};

/// The end of an effect, as the infrastructure answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Happened,
    Refused,
}

impl State {
    /// The report that a runner owes next; `None` if it has another thing to do.
    pub fn due(&self, rules: &Rules, at: usize) -> Option<Report> {
        Some(match self.runners[at].place {
            Place::After(JobStep::NamespaceMade) => Report::Prepared,
            Place::After(JobStep::NamespaceRecorded) => Report::Acting,
            Place::After(JobStep::ActingRecorded | JobStep::OperationRecorded)
                if rules.intends_first =>
            {
                Report::Started
            }
            Place::After(JobStep::OperationEffected) => Report::Done,
            Place::After(JobStep::NamespaceRemoved) => Report::Gone,
            Place::Ending(outcome) => Report::Finished(outcome),
            _ => return None,
        })
    }

    /// Sends the report that is due, and goes on by its answer.
    pub fn send(&mut self, rules: &Rules, bounds: &Bounds, at: usize, answered: bool) {
        let Some(report) = self.due(rules, at) else { return };
        let answer = self.report(rules, at, report);
        if !answered {
            self.runners[at].connected = 0;
            return;
        }
        let runner = &mut self.runners[at];
        match (answer, report) {
            (Answer::None, _) => {}
            (Answer::Refused, Report::Acting) => runner.place = Place::Ending(Outcome::Cancelled),
            (Answer::Fenced, Report::Prepared) => {
                // Only this runner knows the run.
                let (job, run) = (usize::from(runner.job), 1 << runner.fence);
                self.jobs[job].runs &= !run;
                self.end_runner(at);
            }
            (Answer::Fenced | Answer::Refused, _) => self.end_runner(at),
            (Answer::Recorded, report) => {
                runner.number += 1;
                runner.place = match report {
                    Report::Prepared => Place::After(JobStep::NamespaceRecorded),
                    Report::Acting => Place::After(JobStep::ActingRecorded),
                    Report::Started => Place::After(JobStep::OperationStarted),
                    Report::Done => {
                        runner.effects |= 1 << runner.operation;
                        runner.operation += 1;
                        if runner.operation == bounds.operations {
                            Place::Ending(Outcome::Succeeded)
                        } else {
                            Place::After(JobStep::OperationRecorded)
                        }
                    }
                    Report::Finished(_) => Place::After(JobStep::OutcomeRecorded),
                    Report::Gone => return self.end_runner(at),
                };
            }
        }
    }

    /// Returns whether a runner can go on without its recorder.
    pub fn can_proceed(&self, rules: &Rules, at: usize) -> bool {
        let place = self.runners[at].place;
        self.due(rules, at).is_none() && !matches!(place, Place::Idle | Place::Claiming)
    }

    /// Does the next step that needs no recorder.
    pub fn proceed(&mut self, rules: &Rules, bounds: &Bounds, at: usize) {
        let runner = self.runners[at];
        let held = self.is_holder(&runner);
        let job = &mut self.jobs[usize::from(runner.job)];
        let run = 1 << runner.fence;
        let next = match runner.place {
            Place::After(JobStep::Claimed) => {
                job.runs &= !below(runner.fence);
                Place::After(JobStep::Admitted)
            }
            Place::After(JobStep::Admitted) => {
                job.runs |= run;
                job.late |= if held { 0 } else { run };
                Place::After(JobStep::NamespaceMade)
            }
            Place::Sweep => {
                if rules.removes_rights {
                    job.runs &= !below(runner.fence);
                }
                if job.phase == Phase::TearingDown && job.outcome.is_some() {
                    Place::After(JobStep::NamespaceRemoved)
                } else {
                    Place::Look
                }
            }
            Place::Look => return self.look(rules, bounds, at),
            Place::After(JobStep::OutcomeRecorded) => {
                job.runs &= !(below(runner.fence) | run);
                Place::After(JobStep::NamespaceRemoved)
            }
            _ => match self.effect(rules, runner.job, runner.operation, runner.fence) {
                Effect::Happened => Place::After(JobStep::OperationEffected),
                Effect::Refused => Place::Ending(Outcome::Failed),
            },
        };
        self.runners[at].place = next;
    }

    /// Finds the outcome of a job whose runner was lost while it acted.
    fn look(&mut self, rules: &Rules, bounds: &Bounds, at: usize) {
        let runner = &mut self.runners[at];
        let job = &mut self.jobs[usize::from(runner.job)];
        job.acted = job.acted.max(runner.fence);
        let mut unclear = !rules.looks;
        runner.effects = job.done;
        for operation in 0..bounds.operations {
            let bit = 1 << operation;
            if job.started & bit == 0 || job.done & bit != 0 {
                continue;
            }
            match job.objects[usize::from(operation)] {
                Object::Before => {}
                Object::After => runner.effects |= bit,
                Object::Other => unclear = true,
            }
        }
        let all = (1 << bounds.operations) - 1;
        runner.place = Place::Ending(if unclear {
            Outcome::Indeterminate
        } else if runner.effects == all {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        });
    }

    /// A request for an effect arrives at the infrastructure: it happens if the run has its rights
    /// and the object is as it was approved.
    fn effect(&mut self, rules: &Rules, job: u8, operation: u8, fence: u8) -> Effect {
        let stored = &mut self.jobs[usize::from(job)];
        let (at, bit) = (usize::from(operation), 1 << operation);
        let has_rights = stored.runs & (1 << fence) != 0;
        let fits = !rules.pins_effects || stored.objects[at] == Object::Before;
        if !has_rights || !fits {
            return Effect::Refused;
        }
        let broken = [
            (stored.started & bit == 0, Promise::Intent),
            (stored.applied & bit != 0, Promise::Once),
            (fence < stored.acted, Promise::Order),
            (!stored.signed, Promise::Approval),
        ];
        stored.objects[at] = Object::After;
        stored.applied |= bit;
        stored.acted = stored.acted.max(fence);
        for (is_broken, promise) in broken {
            if is_broken {
                self.breaks(promise);
            }
        }
        Effect::Happened
    }

    /// The request of a crashed runner arrives.
    pub fn arrive(&mut self, rules: &Rules, at: u8) {
        let job = &mut self.jobs[usize::from(at)];
        if let Some((operation, fence)) = job.underway.take() {
            self.effect(rules, at, operation, fence);
        }
    }

    /// The effect of a runner has no answer and cannot be read back: it happened, or its request is
    /// still underway.
    pub fn stays_unknown(&mut self, rules: &Rules, at: usize, happened: bool) {
        let runner = self.runners[at];
        self.jobs[usize::from(runner.job)].underway = Some((runner.operation, runner.fence));
        if happened {
            self.arrive(rules, runner.job);
        }
        self.runners[at].place = Place::Ending(Outcome::Indeterminate);
    }
}
