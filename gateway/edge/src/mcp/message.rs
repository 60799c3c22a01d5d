//! One JSON-RPC message as MCP allows it: a request or a notification, never a batch, never a
//! response. Knows no method.
//! The envelope is read liberally: clients write `null`, `[]` or `""` for an absent member. The
//! arguments of a tool are not changed.

use crate::body::unmarked;
use crate::deny::Deny;
use cofferdam_core::model::json;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A message in the right form.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// The request's id: a string or a whole number; `None` for a notification.
    pub id: Option<Value>,
    /// The JSON-RPC method.
    pub method: String,
    /// The parameters, without `_meta`.
    pub params: Map<String, Value>,
    /// The member `_meta` of the parameters.
    pub meta: Map<String, Value>,
}

/// A message in the wrong form, with its id if one could be read.
#[derive(Debug, PartialEq)]
pub struct Malformed {
    /// The id, if it is valid.
    pub id: Option<Value>,
    /// The refusal of the message.
    pub deny: Deny,
}

/// Reads a body: strictly as JSON, then as JSON-RPC.
pub fn read(body: &[u8]) -> Result<Message, Malformed> {
    let body = unmarked(body);
    let value = json::strict(body).map_err(|error| Malformed {
        id: id_of(body),
        deny: Deny::NotJson(bounded(&error.to_string())),
    })?;
    let refuse = |id: Option<Value>, why: &'static str| Malformed { id, deny: Deny::NotRpc(why) };
    let mut members = match value {
        Value::Object(members) => members,
        Value::Array(_) => {
            return Err(refuse(
                None,
                "JSON-RPC batches (revision 2025-03-26) are not served; send one message per \
                 request",
            ));
        }
        _ => return Err(refuse(None, "it must be an object")),
    };
    let id = match members.remove("id") {
        None => None,
        Some(id @ Value::String(_)) => Some(id),
        Some(id @ Value::Number(_)) if id.is_i64() || id.is_u64() => Some(id),
        // A notification gets no response, so its id does not matter.
        Some(Value::Null) if is_notification(&members) => None,
        Some(_) => {
            return Err(refuse(
                None,
                "`id` must be a string or a whole number; only a notification has none",
            ));
        }
    };
    if members.get("jsonrpc") != Some(&Value::String("2.0".into())) {
        return Err(refuse(id, "`jsonrpc` must be \"2.0\""));
    }
    if ["result", "error"].iter().any(|key| members.get(*key).is_some_and(|value| !value.is_null()))
    {
        return Err(refuse(id, "responses are not taken"));
    }
    let method = match members.remove("method") {
        Some(Value::String(method)) => method,
        Some(_) => return Err(refuse(id, "`method` must be a string")),
        None => return Err(refuse(id, "`method` is missing")),
    };
    let refuse = |why| Malformed { id: id.clone(), deny: Deny::Meta(why) };
    let mut params = match members.remove("params") {
        Some(Value::Object(params)) => params,
        given if is_absent(given.as_ref()) => Map::new(),
        _ => return Err(refuse("`params` must be an object")),
    };
    let mut meta = match params.remove("_meta") {
        Some(Value::Object(meta)) => meta,
        given if is_absent(given.as_ref()) => Map::new(),
        _ => return Err(refuse("`_meta` must be an object")),
    };
    clear(&mut params, &["cursor", "arguments"]);
    clear(&mut meta, &["progressToken", "io.modelcontextprotocol/protocolVersion"]);
    Ok(Message { id, method, params, meta })
}

/// The text of a parameter that a request must have.
///
/// # Errors
/// [`Deny::Params`]: it is missing, or no text.
pub fn text<'a>(params: &'a Map<String, Value>, name: &str) -> Result<&'a str, Deny> {
    match params.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Deny::Params(format!("`{name}` must be a string"))),
        None => Err(Deny::Params(format!("`{name}` is missing"))),
    }
}

/// Removes the values that clients write for an absent member: `null` anywhere, and an empty list
/// or text in these members.
fn clear(members: &mut Map<String, Value>, empty: &[&str]) {
    members.retain(|key, value| {
        !(value.is_null() || empty.contains(&key.as_str()) && is_absent(Some(value)))
    });
}

fn is_absent(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

fn is_notification(members: &Map<String, Value>) -> bool {
    members
        .get("method")
        .and_then(Value::as_str)
        .is_some_and(|method| method.starts_with("notifications/"))
}

/// Returns the id of a body that is refused before it is read as a message, or `None` if there is
/// no id or more than one.
pub fn id_of(body: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Identified {
        id: Value,
    }
    let identified: Identified = serde_json::from_slice(unmarked(body)).ok()?;
    Some(identified.id).filter(|id| id.is_string() || id.is_i64() || id.is_u64())
}

/// Bounds the text of the JSON reader, which can quote a key of 200 KB from the body.
pub fn bounded(text: &str) -> String {
    const LONGEST: usize = 300;
    text.chars().take(LONGEST).collect()
}
