//! What the gateway and the people of a call ask for, and how they hear the answers. Never decides
//! whether a change is allowed.

use super::{History, Sender};
use crate::leases::Via;
use crate::store::change::{Answer, Done};
use crate::store::writer::simulation::call::{Asked, Open};
use crate::store::writer::simulation::recorder::trusted;
use cofferdam_core::protocol::RoleError;

impl History<'_> {
    /// The gateway or people of a call ask for something, or ask again without an answer.
    pub(super) async fn ask(&mut self, at: usize) {
        let waits = self.waiting.iter().any(|(sender, _)| *sender == Sender::Call(at));
        let gateway = self.numbers.below(self.gateways.len());
        if waits || self.gateways[gateway].seat.is_none() || self.active.is_none() {
            return;
        }
        let now = self.clock();
        let call = self.calls[at].job.call.clone();
        let row = self.store.row(&call).await;
        let next = match self.calls[at].open {
            Some(open) => Some(open.asked),
            None => self.calls[at].next(row, &mut self.numbers),
        };
        let Some(asked) = next else { return };
        let policy = trusted(self.gateways[gateway].policy).1.policy;
        if self.calls[at].open.is_none() {
            let known = self.calls[at].job.policy;
            if asked == Asked::Enqueue {
                self.calls[at].job.policy = policy;
            } else if matches!(asked, Asked::Permit | Asked::Withdraw)
                && !self.decides(gateway, known)
            {
                return;
            }
            let number = self.numbers.next();
            self.calls[at].open = Some(Open { asked, number, policy });
        }
        self.calls[at].signed |= asked == Asked::Sign;
        self.note(&(at, asked));
        let change = self.calls[at].change(now);
        if self.fails(25) {
            let double = self.calls[at].change(now);
            self.counts.doubled += 1;
            self.late.push(double);
        }
        // A lost message is sent again: it has no answer.
        if !self.fails(25) {
            self.waiting.push((Sender::Call(at), change));
        }
    }

    /// Returns whether this gateway decides a job of this policy.
    fn decides(&self, gateway: usize, policy: cofferdam_core::model::id::PolicyDigest) -> bool {
        let seat = self.gateways[gateway].seat;
        let process = self.active.as_ref().zip(seat);
        process.is_some_and(|(process, seat)| {
            process.gateways.decides((seat, Via::Local), policy, self.now)
        })
    }

    /// A gateway or people hear the answer to their request.
    pub(super) fn hear(&mut self, at: usize, answer: Answer) {
        if matches!(answer, Err(RoleError::Unavailable(_))) || self.fails(25) {
            // It is asked again.
            return;
        }
        let call = &mut self.calls[at];
        let Some(open) = call.open.take() else { return };
        match (open.asked, answer) {
            (Asked::Enqueue, Ok(Done::Recorded(recorded))) => {
                call.acknowledged = Some(recorded.index);
            }
            (Asked::Enqueue, other) => panic!("an enqueued job has no answer: {other:?}"),
            (Asked::Permit, Ok(_)) => call.job.policy = open.policy,
            _ => {}
        }
    }
}
