//! The gateways of a history: they connect, serve a policy, load another one, and end. The sets are
//! in the recorder's own memory, with production's code. Never decides a call.

use super::{History, Sender};
use crate::leases::Via;
use crate::store::change::{Answer, Change};
use crate::store::writer::simulation::recorder::trusted;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::protocol::RoleError;

/// The number of policies.
const POLICIES: usize = 3;

/// A gateway.
pub(super) struct Gateway {
    /// Its number at the recorder; `None` without a connection.
    pub seat: Option<u64>,
    /// The policy that it serves.
    pub policy: usize,
    /// The policy that it announced.
    next: Option<usize>,
    /// A request has no answer yet.
    pub waits: bool,
}

/// The entry about a set.
fn set_entry(what: &str) -> std::sync::Arc<Entry> {
    let event = Event::Administered { what: what.to_owned(), by: "gateway".to_owned() };
    Entry::of(event, None, "").into()
}

impl Gateway {
    /// A gateway that just started.
    pub fn new() -> Self {
        Self { seat: None, policy: 0, next: None, waits: false }
    }

    /// Loses its connection. A reload that was not answered begins again.
    pub fn disconnect(&mut self) {
        (self.seat, self.next, self.waits) = (None, None, false);
    }
}

impl History<'_> {
    /// A gateway does its next step.
    pub(super) fn govern(&mut self, at: usize) {
        if self.fails(12) {
            return self.end_gateway(at);
        }
        let reloads = self.fails(6);
        let Some(process) = &mut self.active else { return };
        let gateway = &mut self.gateways[at];
        let Some(seat) = gateway.seat else {
            let seat = process.gateways.seat();
            gateway.seat = Some(seat);
            let set = trusted(gateway.policy);
            process.gateways.serve((seat, Via::Local), set, RoleLimits::default(), self.now);
            process.uses_others();
            return;
        };
        if gateway.waits {
            return;
        }
        let change = match gateway.next {
            None if reloads => {
                let next = (gateway.policy + 1) % POLICIES;
                let (digest, trust) = trusted(next);
                gateway.next = Some(next);
                process.gateways.announce(seat, digest, trust.policy);
                process.uses_others();
                Change::End(set_entry("reload"))
            }
            Some(next) if !process.reopens => {
                let trusts =
                    process.gateways.trusts_with((seat, Via::Local), &trusted(next).1, self.now);
                Change::Retire(trusts, Some(set_entry("reloaded")))
            }
            _ => return,
        };
        gateway.waits = true;
        self.note(&(at, "set"));
        self.waiting.push((Sender::Gateway(at), change));
    }

    /// A gateway ends: the recorder sees the end of its connection.
    fn end_gateway(&mut self, at: usize) {
        let Some(seat) = self.gateways[at].seat else { return };
        self.gateways[at].disconnect();
        self.waiting.retain(|(sender, _)| *sender != Sender::Gateway(at));
        if let Some(process) = &mut self.active
            && process.gateways.leave((seat, Via::Local), self.now).fewer
        {
            process.uses_others();
        }
        self.note(&(at, "gateway ends"));
    }

    /// A gateway hears the answer to a step of its reload.
    pub(super) fn hear_set(&mut self, at: usize, change: &Change, answer: &Answer) {
        let gateway = &mut self.gateways[at];
        gateway.waits = false;
        let (Some(next), Some(seat), Some(process)) =
            (gateway.next, gateway.seat, &mut self.active)
        else {
            return;
        };
        match (change, answer) {
            (Change::Retire(..), Ok(_)) => {
                process.gateways.serve(
                    (seat, Via::Local),
                    trusted(next),
                    RoleLimits::default(),
                    self.now,
                );
                process.uses_others();
                (gateway.policy, gateway.next) = (next, None);
                self.counts.reloads += 1;
            }
            (Change::End(_), Err(RoleError::Unavailable(_))) => {
                // The reload is refused: the set before stays.
                let set = trusted(gateway.policy);
                process.gateways.serve((seat, Via::Local), set, RoleLimits::default(), self.now);
                process.uses_others();
                gateway.next = None;
            }
            _ => {}
        }
    }
}
