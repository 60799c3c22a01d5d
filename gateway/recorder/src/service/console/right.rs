//! The requests that each role may make at the console. `console_entry.rs` checks the role itself.

use super::ConsoleError;
use cofferdam_core::model::console_role::ConsoleRole;
use cofferdam_core::protocol::console::{ConsoleAsk, ConsoleRefusal};

/// Checks that a person in this role may make this request.
pub(super) fn check(role: ConsoleRole, ask: &ConsoleAsk) -> Result<(), ConsoleError> {
    match ask {
        ConsoleAsk::Cancel { .. } if !role.may_cancel() => {
            let why = format!("the role `{role}` may not cancel a call; ask an operator");
            Err(ConsoleError::Refused(ConsoleRefusal::MayNotCancel, why))
        }
        ConsoleAsk::Agents | ConsoleAsk::Overview if !role.sees_all() => {
            let why = "this page is for auditors and operators; ask one of them".to_owned();
            Err(ConsoleError::Refused(ConsoleRefusal::NotForRole, why))
        }
        ConsoleAsk::Calls { .. }
        | ConsoleAsk::Changes { .. }
        | ConsoleAsk::Story { .. }
        | ConsoleAsk::Proof { .. }
        | ConsoleAsk::Waiting
        | ConsoleAsk::Agents
        | ConsoleAsk::Overview
        | ConsoleAsk::Cancel { .. } => Ok(()),
    }
}
