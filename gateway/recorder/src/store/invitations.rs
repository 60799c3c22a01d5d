//! Invitations of approvers: made by an operator, used once by a person's browser, ended by the
//! operator's confirmation. Never writes a trust file: no invitation gives a right by itself.

use super::batch::{Batch, ChangeError};
use super::change::Done;
use super::read::Reader;
use crate::store::sql::{self, Connection};
use cofferdam_core::model::record::{Entry, Event, INVITATION_USED, OPERATOR};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::operator_recorder::{Invitation, InvitationDecision};
use jiff::Timestamp;
use serde_json::json;

/// Most invitations that are open at once: an operator reads them as one list.
const OPEN: i64 = 64;

/// A change of invitations.
#[derive(Debug)]
pub enum Invite {
    /// Stores an invitation, in place of an older one of the same person.
    Make {
        /// The name of the person.
        person: String,
        /// SHA-256 of the link's secret, in hexadecimal.
        digest: String,
        /// The end of the link.
        expires: Timestamp,
        /// The operating-system user.
        by: String,
    },
    /// Uses the link: its passkey waits for an operator from now on.
    Use {
        /// SHA-256 of the link's secret, in hexadecimal.
        digest: String,
        /// The line of the passkey.
        passkey: String,
        /// The number that the person sees.
        fingerprint: String,
    },
    /// Ends the invitation of a person.
    End {
        /// The name of the person.
        person: String,
        /// The decision of the operator.
        decision: InvitationDecision,
        /// The operating-system user.
        by: String,
    },
}

/// Applies a change of invitations, with its ledger entry.
pub(crate) async fn invite(
    change: &Invite,
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let now = batch.now_ms();
    let (what, by, request) = match change {
        Invite::Make { person, digest, expires, by } => {
            sql::query(
                "DELETE FROM invitations WHERE person = ? OR (expires <= ? AND passkey IS NULL)",
            )
            .bind(person.clone())
            .bind(now)
            .execute(&mut *connection)
            .await?;
            let open: i64 = sql::query_scalar("SELECT count(*) FROM invitations")
                .fetch_one(&mut *connection)
                .await?;
            if open >= OPEN {
                return Err(RoleError::Refused(format!(
                    "there are {OPEN} open invitations; confirm some of them with `cofferdam \
                     approver confirm`"
                ))
                .into());
            }
            sql::query("INSERT INTO invitations (person, digest, expires) VALUES (?, ?, ?)")
                .bind(person.clone())
                .bind(digest.clone())
                .bind(expires.as_millisecond())
                .execute(&mut *connection)
                .await?;
            (format!("{OPERATOR}invite"), by.clone(), json!({"person": person, "expires": expires}))
        }
        Invite::Use { digest, passkey, fingerprint } => {
            let person: Option<String> = sql::query_scalar(
                "UPDATE invitations SET passkey = ? WHERE digest = ? AND expires > ? AND passkey \
                 IS NULL RETURNING person",
            )
            .bind(passkey.clone())
            .bind(digest.clone())
            .bind(now)
            .fetch_optional(&mut *connection)
            .await?;
            let Some(person) = person else { return Err(used_up().into()) };
            let told = json!({"person": person, "fingerprint": fingerprint, "passkey": passkey});
            (INVITATION_USED.to_owned(), "gateway".to_owned(), told)
        }
        Invite::End { person, decision, by } => {
            let ended = sql::query("DELETE FROM invitations WHERE person = ?")
                .bind(person.clone())
                .execute(&mut *connection)
                .await?;
            if ended.rows_affected() == 0 {
                return Err(RoleError::NotFound(format!("no invitation of `{person}`")).into());
            }
            let (command, told) = match decision {
                InvitationDecision::Confirmed { passkey } => {
                    ("confirm", json!({"person": person, "passkey_digest": passkey}))
                }
                InvitationDecision::Discarded => ("discard", json!({"person": person})),
            };
            (format!("{OPERATOR}{command}"), by.clone(), told)
        }
    };
    let event = Event::Administered { what, by };
    batch.record(Entry::of(event, None, "").with("request", request.to_string()));
    Ok(Done::Noted)
}

/// The refusal of a link that is no open invitation, whatever the cause.
pub(crate) fn used_up() -> RoleError {
    RoleError::Refused(
        "this invitation was used, has run out or was replaced; ask an operator for a new one \
         (`cofferdam approver invite`)"
            .to_owned(),
    )
}

impl Reader {
    /// All invitations that are open, or whose passkey waits for an operator, by person.
    pub async fn invitations(&self, now_ms: i64) -> Result<Vec<Invitation>, ChangeError> {
        let rows: Vec<(String, i64, Option<String>)> = sql::query_as(
            "SELECT person, expires, passkey FROM invitations WHERE expires > ? OR passkey IS NOT \
             NULL ORDER BY person",
        )
        .bind(now_ms)
        .fetch_all(self.readers()?)
        .await?;
        let read = |(person, expires, passkey): (String, i64, Option<String>)| {
            let expires = Timestamp::from_millisecond(expires).ok()?;
            Some(Invitation { person, expires, passkey })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// The person of an open link that was not used.
    pub async fn invited(&self, digest: &str, now_ms: i64) -> Result<Option<String>, ChangeError> {
        Ok(sql::query_scalar(
            "SELECT person FROM invitations WHERE digest = ? AND expires > ? AND passkey IS NULL",
        )
        .bind(digest.to_owned())
        .bind(now_ms)
        .fetch_optional(self.readers()?)
        .await?)
    }
}
