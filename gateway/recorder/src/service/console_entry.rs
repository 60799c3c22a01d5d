//! Checks the role of a person at the console by the recorder's own trust file and settings, never
//! by the gateway's word. Never gives a right to approve.

use super::Recorder;
use cofferdam_core::model::console_role::{ConsolePerson, ConsoleRole, SignInKind};
use cofferdam_core::protocol::RoleError;

impl Recorder {
    /// Checks that this person has this role now.
    ///
    /// # Errors
    /// The trust file gives the person no such role, or the settings give it to no person of
    /// the issuer; or the trust file cannot be read.
    pub fn check_entry(&self, person: &ConsolePerson) -> Result<(), RoleError> {
        let ConsolePerson { name, role, by } = person;
        let may = match by {
            SignInKind::Passkey => self.trusted()?.trust.has_role(name, *role),
            SignInKind::Oidc => {
                *role != ConsoleRole::Approver && self.inner.settings.oidc_roles.contains(role)
            }
        };
        if may {
            return Ok(());
        }
        Err(RoleError::Refused(match by {
            SignInKind::Passkey => format!(
                "`{name}` does not have the role `{role}` in the recorder's trust file; `cofferdam \
                 people list` names people and roles"
            ),
            SignInKind::Oidc => format!(
                "the recorder's settings give no person the role `{role}` by `[people.oidc]`; add it \
                 there, and start the server again"
            ),
        }))
    }
}
