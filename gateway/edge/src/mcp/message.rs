//! One JSON-RPC message as MCP allows it: a request or a notification, never a batch, never a response. Says nothing about methods.

use crate::deny::Deny;
use cofferdam_core::json;
use serde_json::{Map, Value};

/// A message of the right form.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// The request's id: a string or a whole number; none for a notification.
    pub id: Option<Value>,
    /// Its method.
    pub method: String,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// `params._meta`.
    pub meta: Map<String, Value>,
}

/// A message of the wrong form, with the id to answer to where it could be read.
#[derive(Debug, PartialEq)]
pub struct Malformed {
    /// The id, where there is a valid one.
    pub id: Option<Value>,
    /// What is wrong.
    pub deny: Deny,
}

/// Reads a body: strictly as JSON, then as JSON-RPC.
pub fn read(body: &[u8]) -> Result<Message, Malformed> {
    let value = json::strict(body).map_err(|fault| Malformed { id: None, deny: Deny::NotJson(bounded(&fault.to_string())) })?;
    let refuse = |id: Option<Value>, why: &'static str| Malformed { id, deny: Deny::NotRpc(why) };
    let mut members = match value {
        Value::Object(members) => members,
        Value::Array(_) => return Err(refuse(None, "batches are not served; send one message per request")),
        _ => return Err(refuse(None, "it must be an object")),
    };
    let id = match members.remove("id") {
        None => None,
        Some(id @ Value::String(_)) => Some(id),
        Some(id @ Value::Number(_)) if id.is_i64() || id.is_u64() => Some(id),
        Some(_) => return Err(refuse(None, "`id` must be a string or a whole number")),
    };
    if members.get("jsonrpc") != Some(&Value::String("2.0".into())) {
        return Err(refuse(id, "`jsonrpc` must be \"2.0\""));
    }
    if members.contains_key("result") || members.contains_key("error") {
        return Err(refuse(id, "responses are not taken"));
    }
    let method = match members.remove("method") {
        Some(Value::String(method)) => method,
        Some(_) => return Err(refuse(id, "`method` must be a string")),
        None => return Err(refuse(id, "`method` is missing")),
    };
    let mut params = match members.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(Malformed { id, deny: Deny::Meta("`params` must be an object") }),
    };
    let meta = match params.remove("_meta") {
        None => Map::new(),
        Some(Value::Object(meta)) => meta,
        Some(_) => return Err(Malformed { id, deny: Deny::Meta("`_meta` must be an object") }),
    };
    Ok(Message { id, method, params, meta })
}

/// The reader's words can quote the body, a key of 200 KB included.
pub fn bounded(text: &str) -> String {
    const LONGEST: usize = 300;
    text.chars().take(LONGEST).collect()
}
