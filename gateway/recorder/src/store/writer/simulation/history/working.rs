//! The runners of a history at work: each follows the numbered steps of production's runner, and
//! hears answers. Never starts an effect without a connection.

use super::{History, Sender};
use crate::store::change::{Answer, Change, Done};
use crate::store::writer::simulation::call::Call;
use crate::store::writer::simulation::cluster::Object;
use crate::store::writer::simulation::planted::Planted;
use crate::store::writer::simulation::runner::{Place, Runner};
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::run::{JobStep, Outcome, Phase};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::runner_recorder::RunnerEvent;

impl History<'_> {
    /// A runner does its next step.
    pub(super) async fn work(&mut self, at: usize) {
        if self.runners[at].waits || self.runners[at].paused_until > self.now {
            return;
        }
        if self.fails(25) {
            return self.disturb(at);
        }
        let place = self.runners[at].place;
        self.note(&(at, place));
        let begun = place == Place::After(JobStep::OperationStarted);
        if self.runners[at].lost && !begun {
            self.runners[at] = Runner::new();
            return;
        }
        // A request for an effect that has begun needs no connection.
        if !self.runners[at].connected && !begun {
            return self.connect(at).await;
        }
        if place == Place::Idle {
            return self.claim(at).await;
        }
        let stops =
            matches!(place, Place::After(JobStep::ActingRecorded | JobStep::OperationRecorded));
        if stops && self.runners[at].cancelled {
            self.runners[at].place = Place::Ending(Outcome::Cancelled);
        } else if stops && self.planted == Planted::EffectFirst {
            self.effect(at).await;
        } else if self.runners[at].due().is_some() {
            self.send(at, |runner| runner.report());
        } else {
            self.proceed(at).await;
        }
    }

    /// A runner without a job asks for one: when the recorder wakes it, and sometimes by itself.
    async fn claim(&mut self, at: usize) {
        if !self.numbers.once_in(20) && !self.store.is_claimable().await {
            return;
        }
        let token = self.numbers.next();
        self.runners[at].token.get_or_insert(token);
        self.send(at, |runner| Some(runner.claim()));
    }

    /// A runner sends a request. It may be doubled.
    fn send(&mut self, at: usize, request: impl Fn(&Runner) -> Option<Change>) {
        let (Some(_), Some(change)) = (&self.active, request(&self.runners[at])) else { return };
        if self.fails(25) {
            self.late.extend(request(&self.runners[at]));
            self.counts.doubled += 1;
        }
        self.runners[at].waits = true;
        self.waiting.push((Sender::Runner(at), change));
    }

    /// A runner connects, and resumes its job by its token.
    async fn connect(&mut self, at: usize) {
        let now = self.clock();
        let Some(process) = &mut self.active else { return };
        let runner = &mut self.runners[at];
        let Some(job) = &runner.job else {
            runner.connected = true;
            return;
        };
        let (call, fence) = (job.job.call.clone(), job.fence);
        if self.store.holds(&call, fence).await {
            process.leased(call, fence, now);
            runner.connected = true;
        } else {
            runner.lost = true;
        }
    }

    /// A step of a runner that needs no recorder.
    async fn proceed(&mut self, at: usize) {
        let Some(job) = &self.runners[at].job else { return };
        let (call, fence) = (job.job.call.clone(), job.fence);
        let over = job.phase == Phase::TearingDown;
        let next = match self.runners[at].place {
            Place::After(JobStep::Claimed) => {
                self.cluster.remove(&call, Fence(fence.0 - 1));
                if self.numbers.once_in(12) {
                    Place::Ending(Outcome::Refused)
                } else {
                    Place::After(JobStep::Admitted)
                }
            }
            Place::After(JobStep::Admitted) => {
                self.cluster.make(&call, fence);
                Place::After(JobStep::NamespaceMade)
            }
            Place::Sweep => {
                let removes = self.planted != Planted::KeptRights;
                self.cluster.recover(&call, fence, removes);
                if over { Place::After(JobStep::NamespaceRemoved) } else { Place::Look }
            }
            Place::Look => self.look(at, &call),
            Place::After(JobStep::OutcomeRecorded) => {
                if self.planted != Planted::NoTeardown {
                    self.cluster.remove(&call, fence);
                }
                Place::After(JobStep::NamespaceRemoved)
            }
            _ => return self.effect(at).await,
        };
        self.runners[at].place = next;
    }

    /// Finds the outcome of a job whose runner was lost while it acted.
    fn look(&mut self, at: usize, call: &CallId) -> Place {
        let Some(job) = &self.runners[at].job else { return Place::Idle };
        match self.planted {
            Planted::Guesses => return Place::Ending(Outcome::Succeeded),
            Planted::Doubts => return Place::Ending(Outcome::Indeterminate),
            _ => {}
        }
        let records = job.operations.clone();
        let total = usize::try_from(self.call(call).operations).unwrap();
        let runner = &mut self.runners[at];
        let mut unclear = false;
        for record in records {
            match (record.after.is_some(), self.cluster.object(call, record.index)) {
                (true, _) | (false, Object::After) => drop(runner.effects.insert(record.index)),
                (false, Object::Before) => {}
                (false, Object::Other) => unclear = true,
            }
        }
        Place::Ending(match (unclear, runner.effects.len() == total) {
            (true, _) => Outcome::Indeterminate,
            (false, true) => Outcome::Succeeded,
            (false, false) => Outcome::Failed,
        })
    }

    pub(super) fn call(&self, call: &CallId) -> &Call {
        self.calls.iter().find(|known| known.job.call == *call).unwrap()
    }

    /// A runner hears the answer to its request.
    pub(super) fn answer(&mut self, at: usize, change: Change, answer: Answer) {
        if !std::mem::take(&mut self.runners[at].waits) || !self.runners[at].connected {
            // Its connection was lost meanwhile.
            return;
        }
        let operations = self.runners[at].job.as_ref().map(|job| job.job.call.clone());
        let operations = operations.map_or(0, |call| self.call(&call).operations);
        let runner = &mut self.runners[at];
        match (change, answer) {
            (_, Err(RoleError::Unavailable(_))) => {}
            (Change::Claim { .. }, Ok(Done::Leased(Some(job)))) => {
                runner.place = if job.phase == Phase::Leased {
                    Place::After(JobStep::Claimed)
                } else {
                    Place::Sweep
                };
                (runner.job, runner.number, runner.lost) = (Some(job), 1, false);
            }
            (Change::Move { events, .. }, Ok(_)) => {
                let Some(event) = events.first() else { return };
                runner.place = runner.after(event, operations);
                if runner.place == Place::Idle {
                    let over = std::mem::replace(runner, Runner::new()).job;
                    if let (Some(job), Some(process)) = (over, &mut self.active) {
                        process.leases.released(&job.job.call, job.fence);
                    }
                }
            }
            (Change::Move { events, .. }, Err(RoleError::Refused(_)))
                if events.first() == Some(&RunnerEvent::Acting) =>
            {
                runner.place = Place::Ending(Outcome::Cancelled);
            }
            (Change::Move { .. }, Err(_)) => *runner = Runner::new(),
            _ => {}
        }
    }
}
