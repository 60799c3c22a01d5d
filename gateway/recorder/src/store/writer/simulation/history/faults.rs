//! The faults of processes in a history: a runner ends, pauses or loses its connection; the
//! recorder ends, or is paused while another one takes over. Never touches the store by itself.

use super::{History, Paused};
use crate::leases::{NO_SEAT, Via};
use crate::store::change::Change;
use crate::store::writer::simulation::recorder::End;
use crate::store::writer::simulation::runner::{Place, Runner};
use cofferdam_core::model::job::Obstacle;
use cofferdam_core::model::run::JobStep;

impl History<'_> {
    /// A runner ends, pauses, or loses its connection; or its job meets an obstacle.
    pub(super) fn disturb(&mut self, at: usize) {
        let kind = self.numbers.below(4);
        self.note(&(at, kind));
        match kind {
            0 => self.end_runner(at),
            1 => {
                let pause = i64::try_from(self.numbers.below(90_000)).unwrap();
                self.runners[at].paused_until = self.now + pause;
            }
            2 => {
                let now = self.clock().as_millisecond();
                let runner = &mut self.runners[at];
                runner.connected = false;
                if let (Some(job), Some(process)) = (&runner.job, &mut self.active) {
                    let (call, seat) = (&job.job.call, (NO_SEAT, Via::Link));
                    process.leases.left(call, job.fence, seat, now);
                }
            }
            _ => self.meet(at),
        }
    }

    /// A runner process ends, perhaps with a request underway. Its supervisor may say so.
    pub(super) fn end_runner(&mut self, at: usize) {
        let runner = std::mem::replace(&mut self.runners[at], Runner::new());
        let Some(job) = runner.job else { return };
        let (call, fence) = (job.job.call.clone(), job.fence);
        if runner.place == Place::After(JobStep::OperationStarted) {
            self.cluster.underway.push((call.clone(), runner.operation, fence));
        }
        if self.active.is_some() && self.numbers.once_in(2) {
            let lost = Change::Lose { call, fence, obstacle: None };
            self.waiting.push((super::Sender::Sweep, lost));
        }
    }

    /// The job of a runner meets an obstacle: the runner gives it back.
    fn meet(&mut self, at: usize) {
        let runner = &self.runners[at];
        let can = matches!(
            runner.place,
            Place::After(JobStep::Claimed | JobStep::OutcomeRecorded) | Place::Sweep | Place::Look
        );
        if let (true, Some(job), Some(_)) = (can, &runner.job, &self.active) {
            let obstacle = Some(Obstacle::new("away", "wait"));
            let (call, fence) = (job.job.call.clone(), job.fence);
            self.waiting.push((super::Sender::Sweep, Change::Lose { call, fence, obstacle }));
            self.runners[at] = Runner::new();
        }
    }

    /// The recorder ends between two commits, or is paused while another one takes over.
    pub(super) async fn disturb_recorder(&mut self) {
        if self.fails(60) {
            self.end_recorder();
        } else if self.paused.is_none() && self.fails(60) {
            let waiting = std::mem::take(&mut self.waiting);
            let paused = self.active.take().map(|process| Paused { process, waiting });
            self.paused = paused;
            self.disconnect();
            self.counts.take_overs += 1;
            self.start().await;
        }
    }

    /// A recorder that was paused goes on: it commits what waits in it, if it can.
    pub(super) async fn wake_paused(&mut self) {
        let Some(Paused { mut process, waiting }) = self.paused.take() else { return };
        let now = self.clock();
        let changes: Vec<_> = waiting.into_iter().map(|(_, change)| change).collect();
        if !changes.is_empty() {
            process.commit(self.store, &changes, (now, End::Answered), self.planted).await;
        }
        self.note(&("awake", changes.len()));
    }

    /// The recorder process ends: requests that wait get no answer.
    pub(super) fn end_recorder(&mut self) {
        self.active = None;
        self.waiting.clear();
        self.disconnect();
        self.note(&"end");
    }

    /// Every party loses its connection to the recorder.
    fn disconnect(&mut self) {
        for runner in &mut self.runners {
            (runner.connected, runner.waits) = (false, false);
        }
        for gateway in &mut self.gateways {
            gateway.disconnect();
        }
    }
}
