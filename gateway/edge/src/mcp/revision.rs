//! The revision of a message, and the check that its headers agree with its body. Each request is
//! checked alone: nothing is remembered of a connection or a client.

use super::message::Message;
use crate::deny::{Deny, REVISIONS};
use crate::header::{agreed, decoded, excerpt, mirrored, mismatch};
use hyper::HeaderMap;
use serde_json::Value;

const VERSION_HEADER: &str = "mcp-protocol-version";
const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";

const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";
/// The key of `_meta` with the capabilities of the client.
pub const CAPABILITIES_META: &str = "io.modelcontextprotocol/clientCapabilities";

/// The two forms of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Revision 2026-07-28: every request is complete by itself.
    Modern,
    /// Earlier revisions, without sessions. The differences between them are not used here, or are
    /// members that older clients ignore.
    Legacy,
}

/// The era of a request, and its revision if the request names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRevision {
    /// The form of the response.
    pub era: Era,
    /// The revision, for telemetry.
    pub revision: Option<&'static str>,
}

impl RequestRevision {
    /// A legacy request without a revision: before 2025-06-18 there was no header, and some later
    /// clients send none.
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

/// The revision that answers a handshake: the offered one if it is a legacy revision of this
/// server, else the newest legacy one. A client that does not have that one leaves.
pub fn agreed_on(offered: &str) -> &'static str {
    let [_modern, legacy @ ..] = REVISIONS;
    let [newest, ..] = legacy;
    legacy.into_iter().find(|revision| *revision == offered).unwrap_or(newest)
}

/// Returns the era of a request after a check of its headers against its body.
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
                let error = "`MCP-Protocol-Version` is missing and `_meta` in the body says";
                return Err(Deny::Header(format!(
                    "{error} `{said}`; send `MCP-Protocol-Version: {said}`"
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

/// Checks a notification. It needs no headers, but its headers must be right.
pub fn of_notification(headers: &HeaderMap, message: &Message) -> Result<(), Deny> {
    if let Some(header) = version(headers, message)? {
        RequestRevision::of(header)?;
    }
    method_matches(headers, message, false)
}

/// Returns the revision in the header, or `None` if the header is empty. In a handshake the body
/// alone offers a revision.
fn version<'a>(headers: &'a HeaderMap, message: &Message) -> Result<Option<&'a str>, Deny> {
    if message.method == "initialize" {
        return Ok(None);
    }
    Ok(agreed(headers, VERSION_HEADER).map_err(mismatch)?.filter(|header| !header.is_empty()))
}

/// `Mcp-Method` mirrors `method`, so that proxies can route by it. A proxy must not see another
/// request than this server.
fn method_matches(headers: &HeaderMap, message: &Message, must: bool) -> Result<(), Deny> {
    let method = excerpt(&message.method);
    match mirrored(headers, METHOD_HEADER)? {
        Some(header) if header == message.method => Ok(()),
        Some(header) => Err(differs("Mcp-Method", header, &method)),
        None if must => Err(missing("Mcp-Method", &method)),
        None => Ok(()),
    }
}

/// `Mcp-Name` mirrors the name that a request is about: of a tool or a prompt, the address of a
/// resource, or the id of a task. It is checked after the name itself.
pub fn name_matches(headers: &HeaderMap, name: &str, era: Era) -> Result<(), Deny> {
    match mirrored(headers, NAME_HEADER)? {
        Some(header) => {
            let value =
                decoded(header).map_err(|error| Deny::Header(format!("`Mcp-Name` {error}")))?;
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
