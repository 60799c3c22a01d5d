//! The recorder's commits in a history: what it adds by itself, and who hears which answer. Never
//! answers before the commit, except by a wrong rule.

use super::{History, Sender};
use crate::store::change::{Answer, Change, Done};
use crate::store::writer::simulation::planted::Planted;
use crate::store::writer::simulation::recorder::End;
use cofferdam_core::protocol::RoleError;

impl History<'_> {
    /// The recorder ends leases without heartbeats and jobs out of time, and looks at the queue
    /// after a reload. Doubled messages arrive.
    pub(super) fn sweep(&mut self) {
        let now = self.clock().as_millisecond();
        let Some(process) = &self.active else { return };
        for (call, fence) in process.leases.overdue(now) {
            self.waiting.push((Sender::Sweep, Change::Lose { call, fence, obstacle: None }));
        }
        if let Some(policies) = process.gateways.policies().filter(|_| process.reopens) {
            self.waiting.push((Sender::Sweep, Change::Reopen(policies)));
        }
        if self.numbers.once_in(5) {
            self.waiting.push((Sender::Sweep, Change::Expire));
        }
        if !self.late.is_empty() && (!self.faults || self.numbers.once_in(4)) {
            let at = self.numbers.below(self.late.len());
            let double = self.late.remove(at);
            self.waiting.push((Sender::Double, double));
        }
    }

    /// The recorder commits what waits, together.
    pub(super) async fn commit(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        if self.planted == Planted::KeptPermits {
            waiting.retain(|(_, change)| !matches!(change, Change::Reopen(_)));
            self.pretend_to_reopen();
        }
        let (senders, changes): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        if changes.is_empty() {
            return;
        }
        let end = if self.fails(12) {
            [End::Before, End::After, End::Unknown, End::Refused][self.numbers.below(4)]
        } else {
            End::Answered
        };
        let now = self.clock();
        self.counts.commits += 1;
        self.counts.changes += changes.len() as u64;
        let Some(process) = &mut self.active else { return };
        let committed = process.commit(self.store, &changes, (now, end), self.planted).await;
        let Some(answers) = committed else { return self.end_recorder() };
        for ((sender, change), answer) in senders.into_iter().zip(changes).zip(answers) {
            self.note(&(&sender, answer.as_ref().map(std::mem::discriminant)));
            self.check_lease(&answer);
            match sender {
                Sender::Call(at) => self.hear(at, answer),
                Sender::Runner(at) => self.answer(at, change, answer),
                Sender::Gateway(at) => self.hear_set(at, &change, &answer),
                Sender::Sweep => self.swept(&change, &answer),
                Sender::Double => {}
            }
        }
        if end == End::Before {
            // Only by a wrong rule: the answers are there, and the commit is not.
            self.end_recorder();
        }
    }

    /// The wrong rule of kept permits: the queue is said to be looked at.
    fn pretend_to_reopen(&mut self) {
        if let Some(process) = &mut self.active
            && let Some(policies) = process.gateways.policies().filter(|_| process.reopens)
        {
            process.reopened(&policies);
        }
    }

    /// Notes the lease of an answer in the recorder's memory.
    fn check_lease(&mut self, answer: &Answer) {
        let (Ok(Done::Leased(Some(job))), Some(process)) = (answer, &mut self.active) else {
            return;
        };
        let now = jiff::Timestamp::from_millisecond(self.now + self.skew).unwrap();
        process.leased(job.job.call.clone(), job.fence, now);
        if job.fence > self.newest && job.phase == cofferdam_core::model::run::Phase::Leased {
            let allowed = process.allowed.as_ref();
            let may = allowed.is_none_or(|allowed| allowed.contains(&job.job.policy));
            assert!(may, "a runner got a job of a policy that no gateway serves");
        }
        self.newest = self.newest.max(job.fence);
    }

    /// The recorder hears the answer to a change of its own.
    fn swept(&mut self, change: &Change, answer: &Answer) {
        let Some(process) = &mut self.active else { return };
        match (change, answer) {
            (Change::Lose { call, fence, .. }, Ok(_) | Err(RoleError::Fenced)) => {
                process.leases.released(call, *fence);
            }
            (Change::Reopen(policies), Ok(Done::Reopened { more: false })) => {
                process.reopened(policies);
            }
            _ => {}
        }
    }
}
