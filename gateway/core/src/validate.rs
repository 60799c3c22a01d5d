//! Validate: arguments are held against the tool's schema and become canonical bytes. Everybody downstream sees only those. Never follows a
//! reference out of a schema, and never runs a pattern that could take more than linear time.

mod cycle;
mod lint;
mod listed;
mod schema;
mod words;

pub use lint::{Oddity, RootCombinator, Warning, Which, lint};
pub use listed::listed;
pub use schema::{Schema, SchemaFault};

use crate::caller::Caller;
use crate::discover::{FoundCall, LoadedTool};
use crate::id::ArgumentsDigest;
use crate::{json, limit, text};
use serde_json::Value;
use std::sync::Arc;

/// The member of the arguments that is the host's: the agent's words on why, outside schema and digest.
pub const PURPOSE: &str = "purpose";

/// A call whose arguments the tool's schema accepts.
#[derive(Debug)]
#[must_use]
pub struct ValidCall {
    caller: Caller,
    tool: Arc<LoadedTool>,
    arguments: Value,
    canonical: String,
    digest: ArgumentsDigest,
    purpose: Option<String>,
}

/// What is wrong with arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {reason}")]
pub struct ArgumentsFault {
    /// JSON Pointer into the arguments.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl ArgumentsFault {
    fn at(path: &str, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into() }
    }

    /// Says that an argument which may be absent is to be left out, where `null` or an empty text
    /// was sent for it.
    fn if_optional(mut self, schema: &Value, arguments: &Value) -> Self {
        let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
        let Some(name) = self.path.strip_prefix('/').filter(|name| !name.contains('/')) else { return self };
        let name = name.replace("~1", "/").replace("~0", "~");
        let required = schema.get("required").and_then(Value::as_array);
        let required = required.is_some_and(|names| names.iter().any(|one| one.as_str() == Some(&name)));
        if !required && arguments.get(&name).is_some_and(empty) {
            self.reason.push_str(&format!("; `{name}` is optional: leave it out"));
        }
        self
    }
}

/// Takes the purpose out, holds the rest against the schema, makes it canonical.
pub fn validate(call: FoundCall) -> Result<ValidCall, ArgumentsFault> {
    let (caller, tool, mut arguments) = call.into_parts();
    let members = arguments.as_object_mut().ok_or_else(|| ArgumentsFault::at("", "the arguments are not an object"))?;
    let purpose = members.remove(PURPOSE).map(purpose).transpose()?.flatten();
    let (canonical, digest) = canonical(&tool, &arguments)?;
    Ok(ValidCall { caller, tool, arguments, canonical, digest, purpose })
}

/// Arguments that were accepted once and were stored canonically, held against the schema again.
pub(crate) fn again(caller: Caller, tool: Arc<LoadedTool>, stored: &str, purpose: Option<String>) -> Result<ValidCall, ArgumentsFault> {
    let arguments = json::strict(stored.as_bytes()).map_err(|fault| ArgumentsFault::at("", fault.to_string()))?;
    let (canonical, digest) = canonical(&tool, &arguments)?;
    Ok(ValidCall { caller, tool, arguments, canonical, digest, purpose })
}

fn canonical(tool: &LoadedTool, arguments: &Value) -> Result<(String, ArgumentsDigest), ArgumentsFault> {
    let text = json::canonical(arguments).map_err(|fault| ArgumentsFault::at("", fault.to_string()))?;
    if text.len() > limit::ARGUMENTS {
        return Err(ArgumentsFault::at("", format!("{} bytes; at most {} are taken", text.len(), limit::ARGUMENTS)));
    }
    tool.input().check(arguments).map_err(|fault| fault.if_optional(tool.input().value(), arguments))?;
    let digest = ArgumentsDigest::of(text.as_bytes());
    Ok((text, digest))
}

fn purpose(value: Value) -> Result<Option<String>, ArgumentsFault> {
    let at = |reason: String| ArgumentsFault::at("/purpose", reason);
    match value {
        Value::Null => Ok(None),
        Value::String(words) => match (words.chars().count(), text::unseen(&words)) {
            (0, _) => Ok(None),
            (count, _) if count > limit::PURPOSE => Err(at(format!("{count} characters; at most {} are taken", limit::PURPOSE))),
            (_, Some(odd)) => Err(at(format!("the character U+{:04X} cannot be seen; leave it out", u32::from(odd)))),
            (_, None) => Ok(Some(words)),
        },
        _ => Err(at("not a string".to_owned())),
    }
}

impl ValidCall {
    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The tool.
    pub fn tool(&self) -> &LoadedTool {
        &self.tool
    }

    /// The arguments.
    pub fn arguments(&self) -> &Value {
        &self.arguments
    }

    /// The arguments as canonical JSON: what the tool is given.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Their digest.
    pub fn digest(&self) -> ArgumentsDigest {
        self.digest
    }

    /// The agent's words on why.
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_for_an_optional_argument_is_to_be_left_out() {
        let schema = json!({
            "type": "object",
            "properties": {"kind": {"type": "string", "minLength": 1}, "name": {"type": "string", "minLength": 1}},
            "required": ["name"],
        });
        let schema = schema::Schema::of_input(&schema).unwrap();
        let check = |arguments: Value, remedy: &str| {
            let fault = schema.check(&arguments).unwrap_err().if_optional(schema.value(), &arguments);
            assert_eq!(fault.reason.split_once("; ").map_or("", |(_, remedy)| remedy), remedy, "{arguments}");
        };
        check(json!({"name": "web", "kind": null}), "`kind` is optional: leave it out");
        check(json!({"name": "web", "kind": ""}), "`kind` is optional: leave it out");
        check(json!({"name": "web", "kind": 5}), "");
        check(json!({"name": null}), "");
        check(json!({"name": ""}), "");
    }
}
