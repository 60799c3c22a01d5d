//! An operator cancels a call, with a reason that its agent reads. The entry has the operator's name,
//! and is written with the change.

use super::{ConsoleError, invalid, name_of};
use crate::service::{Recorder, misplaced_answer};
use crate::store::change::{Change, Done};
use cofferdam_core::model::console_role::ConsolePerson;
use cofferdam_core::model::escape::unseen;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::Cancellation;
use cofferdam_core::model::limit::PURPOSE;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleRefusal};
use serde_json::json;

impl Recorder {
    /// Cancels a call for a person whose role may do so.
    pub(super) async fn cancel_as(
        &self,
        person: &ConsolePerson,
        call: CallId,
        because: String,
    ) -> Result<ConsoleAnswer, ConsoleError> {
        if !(1..=PURPOSE).contains(&because.chars().count()) || unseen(&because).is_some() {
            return Err(invalid(format!(
                "give the reason in 1 to {PURPOSE} visible characters; the agent reads it"
            )));
        }
        let cancellation = Cancellation { by: name_of(person), because };
        let request = json!({ "ask": "cancel", "role": person.role, "sign_in": person.by });
        let request = request.to_string();
        match self.submit(Change::CancelBy { cancellation, request, call }).await {
            Ok(Done::Cancelled { at_once }) => Ok(ConsoleAnswer::Cancelled { at_once }),
            Ok(_) => Err(misplaced_answer().into()),
            Err(RoleError::Refused(why) | RoleError::NotFound(why)) => {
                Err(ConsoleError::Refused(ConsoleRefusal::NotOpen, why))
            }
            Err(error) => Err(error.into()),
        }
    }
}
