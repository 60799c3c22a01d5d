//! `/console/calls/ID/proof`: the proofs of a call's entries, for the script that checks them in the
//! browser. The recorder makes them; nothing here vouches for them.

use super::Visit;
use super::frame::twin;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::respond::Answer;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk};

impl<F: Front> Edge<F> {
    /// The proofs as JSON.
    pub(super) async fn proof(&self, visit: &Visit<'_>, call: &CallId) -> Result<Answer, Deny> {
        match self.ask_recorder(&visit.person, ConsoleAsk::Proof { call: call.clone() }).await? {
            ConsoleAnswer::Proof(proof) => twin(&proof),
            _ => Err(Deny::Broken),
        }
    }
}
