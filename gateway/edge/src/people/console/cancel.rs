//! `/console/calls/ID/cancel`: an operator cancels a call, with a reason. The request has the
//! protections of an approval's page, and the recorder checks the role itself.

use super::Visit;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::people::request::value;
use crate::respond::{self, Answer};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::console_role::ConsoleRole;
use cofferdam_core::model::escape::unseen;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::limit::PURPOSE;
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

/// The words of the operator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    because: String,
}

impl<F: Front> Edge<F> {
    /// Hands the cancellation in.
    pub(super) async fn cancel_call(
        &self,
        visit: &Visit<'_>,
        sent: &[u8],
        call: &CallId,
    ) -> Result<Answer, Deny> {
        let Cancel { because } = value(sent)?;
        let because = because.trim();
        let length = because.chars().count();
        if !(1..=PURPOSE).contains(&length) || unseen(because).is_some() {
            return Err(Deny::Refused(format!(
                "give a reason of 1 to {PURPOSE} visible characters; the agent reads it"
            )));
        }
        // Without the role, the recorder refuses with its own code.
        let acting = visit.signed_in.acting_as(ConsoleRole::Operator);
        let person = acting.as_ref().unwrap_or(&visit.person);
        let ask = ConsoleAsk::Cancel { call: call.clone(), because: because.to_owned() };
        let ConsoleAnswer::Cancelled { at_once } = self.ask_recorder(person, ask).await? else {
            return Err(Deny::Broken);
        };
        let text = if at_once {
            "The call is cancelled."
        } else {
            "The runner of the call was asked to stop."
        };
        Ok(respond::json(StatusCode::OK, &json!({"at_once": at_once, "text": text})))
    }
}
