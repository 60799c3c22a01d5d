//! Which revision a message speaks, and whether its headers say what its body says. Decided for each request by itself: nothing is
//! remembered of a connection or a client.

use super::message::Message;
use crate::deny::{Deny, REVISIONS};
use crate::header::{decoded, excerpt, mirrored};
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
    /// 2025-11-25, without sessions.
    Legacy,
}

impl Era {
    /// Its revision.
    pub fn revision(self) -> &'static str {
        let [modern, legacy] = REVISIONS;
        match self {
            Self::Modern => modern,
            Self::Legacy => legacy,
        }
    }

    fn of(revision: &str) -> Result<Self, Deny> {
        [Self::Modern, Self::Legacy]
            .into_iter()
            .find(|era| era.revision() == revision)
            .ok_or_else(|| Deny::Version { requested: excerpt(revision) })
    }
}

/// The era of a request, its headers checked against its body.
pub fn of_request(headers: &HeaderMap, message: &Message) -> Result<Era, Deny> {
    let header = mirrored(headers, VERSION_HEADER)?;
    let era = match (header, message.meta.get(VERSION_META)) {
        (_, Some(body)) if !body.is_string() => return Err(Deny::Meta("`io.modelcontextprotocol/protocolVersion` must be a string")),
        // A legacy client has agreed on nothing yet when it initializes.
        (None, None) if message.method == "initialize" => Era::Legacy,
        (None, _) => {
            return Err(Deny::Header(format!("`MCP-Protocol-Version` is missing; this server speaks {}", REVISIONS.join(" and "))));
        }
        (Some(header), None) => Era::of(header)?,
        (Some(header), Some(body)) if body == header => Era::of(header)?,
        (Some(header), Some(body)) => {
            let body = excerpt(body.as_str().unwrap_or_default());
            return Err(Deny::Header(format!("`MCP-Protocol-Version` is `{}` and the body says `{body}`", excerpt(header))));
        }
    };
    let must = era == Era::Modern;
    if must && !message.meta.contains_key(VERSION_META) {
        return Err(Deny::Meta("`_meta` must name `io.modelcontextprotocol/protocolVersion`"));
    }
    method_matches(headers, message, must)?;
    if must && !message.meta.get(CAPABILITIES_META).is_some_and(Value::is_object) {
        return Err(Deny::Meta("`_meta` must hold the object `io.modelcontextprotocol/clientCapabilities`"));
    }
    Ok(era)
}

/// Notifications need no headers, but those they have must be right.
pub fn of_notification(headers: &HeaderMap, message: &Message) -> Result<(), Deny> {
    if let Some(header) = mirrored(headers, VERSION_HEADER)? {
        Era::of(header)?;
    }
    method_matches(headers, message, false)
}

/// `Mcp-Method` mirrors `method`, so that what stands between can route by it; it must not be able to see another request than we do.
fn method_matches(headers: &HeaderMap, message: &Message, must: bool) -> Result<(), Deny> {
    match mirrored(headers, METHOD_HEADER)? {
        Some(header) if header == message.method => Ok(()),
        Some(header) => {
            Err(Deny::Header(format!("`Mcp-Method` is `{}` and the body says `{}`", excerpt(header), excerpt(&message.method))))
        }
        None if must => Err(Deny::Header("`Mcp-Method` is missing".into())),
        None => Ok(()),
    }
}

/// `Mcp-Name` mirrors the tool's name; checked once that name is known to be one.
pub fn name_matches(headers: &HeaderMap, name: &str, era: Era) -> Result<(), Deny> {
    match mirrored(headers, NAME_HEADER)? {
        Some(header) => {
            let value = decoded(header).map_err(|fault| Deny::Header(format!("`Mcp-Name` {fault}")))?;
            if value == name {
                Ok(())
            } else {
                Err(Deny::Header(format!("`Mcp-Name` is `{}` and the body says `{}`", excerpt(&value), excerpt(name))))
            }
        }
        None if era == Era::Modern => Err(Deny::Header("`Mcp-Name` is missing".into())),
        None => Ok(()),
    }
}
