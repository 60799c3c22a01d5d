//! The seat of a gateway: several may ask one recorder, each with a set of its own. Never lets one
//! gateway speak for another.

use super::Recorder;
use crate::leases::Via;
use crate::waiters::locked;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};

/// The seat of a gateway: its connection, its set and the calls that are offered to it.
#[derive(Clone)]
pub struct GatewaySeat {
    recorder: Recorder,
    via: Via,
    number: u64,
}

impl GatewaySeat {
    pub(super) fn new(recorder: Recorder, via: Via) -> Self {
        let number = locked(&recorder.inner.shared.gateways).seat();
        Self { recorder, via, number }
    }

    /// Handles a request of the gateway.
    /// # Errors
    /// The refusal of the request.
    pub async fn propose(&self, propose: Propose) -> Result<Proposed, RoleError> {
        match propose {
            // Each host of a gateway has an agents file, and they are changed one after the other.
            // A token that one of them lacks has not ended: the command that ends one says so.
            Propose::Tokens { given, ended } if self.via == Via::Link => {
                self.recorder.tokens(given, ended, false).await
            }
            propose => self.recorder.propose_by((self.number, self.via), propose).await,
        }
    }

    /// Handles the end of the connection. Calls that were offered to this gateway are offered again.
    pub async fn left(self) {
        self.recorder.gateway_left((self.number, self.via)).await;
    }
}
