//! Which revision a message speaks, and whether its headers say what its body says. Decided for
//! each request by itself: nothing is remembered of a connection or a client.

use super::message::Message;
use crate::deny::{Deny, REVISIONS};
use crate::header::{agreed, decoded, excerpt, mirrored, mismatch};
use hyper::HeaderMap;
use serde_json::Value;

const VERSION_HEADER: &str = "mcp-protocol-version";
const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";

const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_META: &str = "io.modelcontextprotocol/clientCapabilities";

/// The two ways of speaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28: every request stands alone.
    Modern,
    /// Before, without sessions. What these revisions differ in is not used here, or is a member
    /// that older clients pass over.
    Legacy,
}

/// A request's era, and its revision where the request names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRevision {
    /// How it is answered.
    pub era: Era,
    /// For telemetry.
    pub revision: Option<&'static str>,
}

impl RequestRevision {
    /// A legacy request that names no revision: before 2025-06-18 there was no header, and some
    /// clients of later revisions send none.
    const UNNAMED: Self = Self { era: Era::Legacy, revision: None };

    fn of(revision: &str) -> Result<Self, Deny> {
        let known = REVISIONS.into_iter().find(|known| *known == revision);
        let [modern, ..] = REVISIONS;
        match known {
            Some(known) => {
                let era = if known == modern { Era::Modern } else { Era::Legacy };
                Ok(Self { era, revision: Some(known) })
            }
            None => Err(Deny::Version { requested: excerpt(revision) }),
        }
    }
}

/// The revision that answers a handshake: the one that was offered, where it is a legacy one of
/// ours; else the newest of these, and the client may leave if it cannot speak it.
pub fn agreed_on(offered: &str) -> &'static str {
    let [_modern, legacy @ ..] = REVISIONS;
    let [newest, ..] = legacy;
    legacy.into_iter().find(|revision| *revision == offered).unwrap_or(newest)
}

/// The era of a request, its headers checked against its body.
pub fn of_request(headers: &HeaderMap, message: &Message) -> Result<RequestRevision, Deny> {
    let said = match message.meta.get(VERSION_META) {
        Some(Value::String(said)) => Some(said.as_str()),
        Some(_) => {
            return Err(Deny::Meta("`io.modelcontextprotocol/protocolVersion` must be a string"));
        }
        None => None,
    };
    let spoken = match (version(headers, message)?, said) {
        (None, None) => RequestRevision::UNNAMED,
        (Some(header), None) => RequestRevision::of(header)?,
        (Some(header), Some(said)) if header == said => RequestRevision::of(said)?,
        (Some(header), Some(said)) => {
            return Err(Deny::Mixed { header: excerpt(header), body: excerpt(said) });
        }
        (None, Some(said)) => {
            let spoken = RequestRevision::of(said)?;
            if spoken.era == Era::Modern && message.method != "initialize" {
                let fault = "`MCP-Protocol-Version` is missing and `_meta` in the body says";
                return Err(Deny::Header(format!(
                    "{fault} `{said}`; send `MCP-Protocol-Version: {said}`"
                )));
            }
            spoken
        }
    };
    let must = spoken.era == Era::Modern;
    if must && said.is_none() {
        return Err(Deny::Meta("`_meta` must name `io.modelcontextprotocol/protocolVersion`"));
    }
    method_matches(headers, message, must)?;
    if must && !message.meta.get(CAPABILITIES_META).is_some_and(Value::is_object) {
        return Err(Deny::Meta(
            "`_meta` must hold the object `io.modelcontextprotocol/clientCapabilities`",
        ));
    }
    Ok(spoken)
}

/// Notifications need no headers, but those they have must be right.
pub fn of_notification(headers: &HeaderMap, message: &Message) -> Result<(), Deny> {
    if let Some(header) = version(headers, message)? {
        RequestRevision::of(header)?;
    }
    method_matches(headers, message, false)
}

/// What the header says; none where it is empty. In a handshake it decides nothing: only the body
/// says what is offered.
fn version<'a>(headers: &'a HeaderMap, message: &Message) -> Result<Option<&'a str>, Deny> {
    if message.method == "initialize" {
        return Ok(None);
    }
    Ok(agreed(headers, VERSION_HEADER).map_err(mismatch)?.filter(|header| !header.is_empty()))
}

/// `Mcp-Method` mirrors `method`, so that what stands between can route by it; it must not be able
/// to see another request than we do.
fn method_matches(headers: &HeaderMap, message: &Message, must: bool) -> Result<(), Deny> {
    let method = excerpt(&message.method);
    match mirrored(headers, METHOD_HEADER)? {
        Some(header) if header == message.method => Ok(()),
        Some(header) => Err(differs("Mcp-Method", header, &method)),
        None if must => Err(missing("Mcp-Method", &method)),
        None => Ok(()),
    }
}

/// `Mcp-Name` mirrors the tool's name; checked once that name is known to be one.
pub fn name_matches(headers: &HeaderMap, name: &str, era: Era) -> Result<(), Deny> {
    match mirrored(headers, NAME_HEADER)? {
        Some(header) => {
            let value =
                decoded(header).map_err(|fault| Deny::Header(format!("`Mcp-Name` {fault}")))?;
            if value == name { Ok(()) } else { Err(differs("Mcp-Name", &value, &excerpt(name))) }
        }
        None if era == Era::Modern => Err(missing("Mcp-Name", &excerpt(name))),
        None => Ok(()),
    }
}

fn differs(name: &str, header: &str, body: &str) -> Deny {
    let header = excerpt(header);
    Deny::Header(format!(
        "`{name}` is `{header}` and the body says `{body}`; send what the body says"
    ))
}

fn missing(name: &str, body: &str) -> Deny {
    Deny::Header(format!("`{name}` is missing; send `{name}: {body}`"))
}
