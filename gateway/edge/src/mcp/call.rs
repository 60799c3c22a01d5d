//! The parameters of `tools/call`, as far as they have a meaning without the tool. Never reads the
//! arguments.

use crate::deny::Deny;
use cofferdam_core::journey::ports::FrontCall;
use cofferdam_core::model::caller::{Principal, TraceParent};
use cofferdam_core::model::limit::{PERSON_MS, WAIT_MS};
use serde_json::{Map, Value};

/// The key of `_meta` with the client's idempotency key.
pub const KEY_META: &str = "cofferdam.dev/idempotency-key";

/// Longest idempotency key, in characters: a UUID and a prefix of the client.
const KEY_LONGEST: usize = 128;

/// Longest name of a tool, in characters, as MCP allows.
const NAME_LONGEST: usize = 128;

/// A call in the right form.
#[derive(Debug)]
pub struct Called {
    /// The call for the Front.
    pub call: FrontCall,
    /// True if a tool could have this name.
    pub name_is_valid: bool,
}

/// Reads the parameters of `tools/call`.
pub fn read(
    principal: Principal,
    mut params: Map<String, Value>,
    meta: &Map<String, Value>,
) -> Result<Called, Deny> {
    let tool = super::message::text(&params, "name")?.to_owned();
    let arguments = match params.remove("arguments") {
        None => Value::Object(Map::new()),
        Some(arguments @ Value::Object(_)) => arguments,
        Some(_) => return Err(Deny::Params("`arguments` must be an object".into())),
    };
    let key = match meta.get(KEY_META) {
        None => None,
        Some(Value::String(text)) => Some(key(text).ok_or_else(|| bad_key(KEY_META))?),
        Some(_) => return Err(bad_key(KEY_META)),
    };
    let trace = meta.get("traceparent").and_then(Value::as_str).and_then(trace);
    let name_is_valid = is_name(&tool);
    let call = FrontCall {
        principal,
        tool,
        arguments,
        key,
        trace,
        wait_ms: WAIT_MS,
        person_ms: PERSON_MS,
    };
    Ok(Called { call, name_is_valid })
}

/// Returns whether MCP allows this name. Any other name belongs to no tool, and the Front does not
/// get it.
pub fn is_name(name: &str) -> bool {
    (1..=NAME_LONGEST).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte))
}

/// Reads an idempotency key: visible ASCII.
pub fn key(text: &str) -> Option<String> {
    let valid =
        (1..=KEY_LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    valid.then(|| text.to_owned())
}

/// The refusal of a key in another form.
pub fn bad_key(place: &str) -> Deny {
    Deny::Params(format!("`{place}` must be 1 to {KEY_LONGEST} visible ASCII characters"))
}

/// Reads W3C trace context, level 1. Text in another form counts as absent, as that specification
/// asks (§3.2.2.5).
pub fn trace(text: &str) -> Option<TraceParent> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let named = |part: &str| part.bytes().any(|byte| byte != b'0');
    let valid = parts.next().is_none()
        && version == "00"
        && hex(trace, 32)
        && hex(span, 16)
        && hex(flags, 2)
        && named(trace)
        && named(span);
    valid.then(|| TraceParent(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_contexts_of_another_form_do_not_exist() {
        let check = |text: &str, expect: bool| assert_eq!(trace(text).is_some(), expect, "{text}");
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false);
        check("", false);
    }

    #[test]
    fn keys_and_names() {
        assert!(key("a").is_some() && key(&"k".repeat(128)).is_some());
        assert!(
            key("").is_none()
                && key("a b").is_none()
                && key("ä").is_none()
                && key(&"k".repeat(129)).is_none()
        );
        assert!(is_name("deployment_scale") && is_name("a/b.c-d"));
        assert!(!is_name("") && !is_name("a b") && !is_name("ä") && !is_name(&"n".repeat(129)));
    }
}
