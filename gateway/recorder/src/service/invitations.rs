//! Invitations of approvers: made and ended by operator commands, used by the gateway for a person's
//! browser. No invitation enrols a key: an operator does, after a comparison.

use super::Recorder;
use crate::store::change::Change;
use crate::store::{Invite, used_up};
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::Proposed;
use cofferdam_core::protocol::operator_recorder::{InvitationDecision, Operate, Operated};

/// The most characters of a person's name, as `approver add` takes it.
const PERSON: usize = 128;

impl Recorder {
    /// The person whom a link invites.
    pub(super) async fn invited(&self, digest: &str) -> Result<Proposed, RoleError> {
        let now = self.now().as_millisecond();
        let person = self.inner.reader.invited(digest, now).await?.ok_or_else(used_up)?;
        Ok(Proposed::Invited { person })
    }

    /// Uses a link for a passkey.
    pub(super) async fn enrol(
        &self,
        digest: String,
        passkey: String,
    ) -> Result<Proposed, RoleError> {
        self.check_room()?;
        let read = Passkey::read(&passkey)
            .ok_or_else(|| RoleError::Refused("this is no line of a passkey".to_owned()))?;
        let change = Invite::Use { digest, passkey, fingerprint: read.fingerprint() };
        self.submit(Change::Invite(change)).await?;
        Ok(Proposed::Done)
    }

    /// Makes, lists and ends invitations for an operator command.
    pub(super) async fn invitations(
        &self,
        operate: Operate,
        by: String,
    ) -> Result<Operated, RoleError> {
        let change = match operate {
            Operate::Invite { person, digest, expires } => {
                let visible = person.bytes().all(|byte| byte.is_ascii_graphic());
                if !(1..=PERSON).contains(&person.len()) || !visible || digest.len() != 64 {
                    return Err(RoleError::Refused("this is no invitation of a person".to_owned()));
                }
                self.check_room()?;
                Invite::Make { person, digest, expires, by }
            }
            Operate::EndInvitation { person, decision } => {
                if let InvitationDecision::Confirmed { passkey } = &decision
                    && passkey.len() != 64
                {
                    return Err(RoleError::Refused("this is no digest of a passkey".to_owned()));
                }
                Invite::End { person, decision, by }
            }
            _ => {
                let now = self.now().as_millisecond();
                let invitations = self.inner.reader.invitations(now).await?;
                return Ok(Operated::Invitations { invitations });
            }
        };
        self.submit(Change::Invite(change)).await?;
        Ok(Operated::Done)
    }
}
