//! The register of callers: the static tokens that were given, and the last use of each caller. A
//! token that has ended stays ended, whatever the agents file says later. Never has a token itself.

use super::batch::{Batch, ChangeError};
use super::change::Done;
use crate::store::sql::{self, Connection};
use cofferdam_core::model::callers::{GivenToken, ServedCaller};
use cofferdam_core::model::id::TokenDigest;
use cofferdam_core::model::limit::SHOWN_CALLERS;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::protocol::RoleError;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The event of tokens that ended, or that a backup brought back.
const TOKENS: &str = "tokens";

/// A registered token.
struct Known<'a> {
    agent: &'a str,
    ended: bool,
    back: bool,
}

/// Registers the tokens of an agents file, and ends those that are missing in the only file there
/// is. Returns those that ended earlier. An end, and a return, becomes a ledger entry.
pub(crate) async fn register_tokens(
    given: &[GivenToken],
    (ended, only): (&[TokenDigest], bool),
    batch: &mut Batch,
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let rows: Vec<(String, String, bool, bool)> =
        sql::query_as("SELECT digest, agent, ended IS NOT NULL, back IS NOT NULL FROM tokens")
            .fetch_all(&mut *connection)
            .await?;
    let known: BTreeMap<&str, Known<'_>> = rows
        .iter()
        .map(|(digest, agent, ended, back)| {
            (digest.as_str(), Known { agent, ended: *ended, back: *back })
        })
        .collect();
    let file: BTreeMap<String, &GivenToken> =
        given.iter().map(|given| (given.token.to_string(), given)).collect();
    let ended: BTreeSet<String> = ended.iter().map(ToString::to_string).collect();
    let has_ended =
        |digest: &str| ended.contains(digest) || known.get(digest).is_some_and(|known| known.ended);
    let ends: Vec<&str> = known
        .iter()
        .filter(|(digest, known)| {
            !known.ended && (only && !file.contains_key(**digest) || ended.contains(**digest))
        })
        .map(|(digest, _)| *digest)
        .collect();
    let restored: Vec<(&str, &GivenToken)> = file
        .iter()
        .filter(|(digest, _)| has_ended(digest))
        .map(|(digest, given)| (digest.as_str(), *given))
        .collect();
    // A return is told once, and not at each start.
    let returns: Vec<(&str, &GivenToken)> = restored
        .iter()
        .filter(|(digest, _)| known.get(digest).is_none_or(|known| !known.back))
        .copied()
        .collect();
    let now = batch.now_ms();
    let all = file.keys().chain(&ended).map(String::as_str).collect::<BTreeSet<_>>();
    for digest in all.into_iter().filter(|digest| !known.contains_key(digest)) {
        sql::query("INSERT INTO tokens (digest, agent, since, ended) VALUES (?, ?, ?, ?)")
            .bind(digest.to_owned())
            .bind(file.get(digest).map(|given| given.agent.clone()).unwrap_or_default())
            .bind(now)
            .bind(ended.contains(digest).then_some(now))
            .execute(&mut *connection)
            .await?;
    }
    for (statement, digests) in [
        ("UPDATE tokens SET ended = ? WHERE digest = ?", ends.clone()),
        (
            "UPDATE tokens SET back = ? WHERE digest = ?",
            returns.iter().map(|(digest, _)| *digest).collect(),
        ),
    ] {
        for digest in digests {
            let query = sql::query(statement).bind(now).bind(digest.to_owned());
            query.execute(&mut *connection).await?;
        }
    }
    if !ends.is_empty() || !returns.is_empty() {
        let ends: BTreeSet<&str> =
            ends.iter().filter_map(|digest| Some(known.get(digest)?.agent)).collect();
        let returns: BTreeSet<&str> =
            returns.iter().map(|(_, given)| given.agent.as_str()).collect();
        let told = json!({"ended": ends, "refused": returns});
        let event = Event::Administered { what: TOKENS.to_owned(), by: "gateway".to_owned() };
        batch.record(Entry::of(event, None, "").with("agents", told.to_string()));
    }
    Ok(Done::EndedTokens(restored.iter().map(|(_, given)| given.token).collect()))
}

/// Registers the last uses of callers. With too many callers, those of the oldest uses are
/// forgotten.
pub(crate) async fn register_uses(
    served: &[ServedCaller],
    connection: &mut Connection,
) -> Result<Done, ChangeError> {
    let roles: Vec<String> = served
        .iter()
        .map(|caller| serde_json::to_string(&caller.roles))
        .collect::<Result<_, _>>()
        .map_err(|error| RoleError::Refused(format!("roles cannot be stored: {error}")))?;
    for (caller, roles) in served.iter().zip(roles) {
        sql::query(
            "INSERT INTO callers (name, roles, person, used) VALUES (?, ?, ?, ?) ON CONFLICT \
             (name) DO UPDATE SET roles = excluded.roles, person = excluded.person, used = \
             CASE WHEN callers.used > excluded.used THEN callers.used ELSE excluded.used END",
        )
        .bind(caller.name.clone())
        .bind(roles)
        .bind(caller.person.clone())
        .bind(caller.used.as_millisecond())
        .execute(&mut *connection)
        .await?;
    }
    sql::query(
        "DELETE FROM callers WHERE used < (SELECT used FROM callers ORDER BY used DESC LIMIT 1 \
         OFFSET ?)",
    )
    .bind(SHOWN_CALLERS)
    .execute(connection)
    .await?;
    Ok(Done::Noted)
}
