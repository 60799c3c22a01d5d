//! Validate: arguments are checked against the tool's schema and become canonical bytes. All later
//! stages see only those. Never follows a reference out of a schema, and never runs a pattern that
//! could take more than linear time.

use crate::model::escape;
use crate::tool::schema::ArgumentsError;
use crate::tool::schema::PURPOSE;

use crate::model::caller::Caller;
use crate::model::id::ArgumentsDigest;
use crate::model::{json, limit};
use crate::stage::discover::FoundCall;
use crate::tool::load::LoadedTool;
use serde_json::Value;
use std::sync::Arc;

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

/// Takes the purpose out, checks the rest with the schema, and makes it canonical.
pub fn validate(call: FoundCall) -> Result<ValidCall, ArgumentsError> {
    let (caller, tool, mut arguments) = call.into_parts();
    let members = arguments
        .as_object_mut()
        .ok_or_else(|| ArgumentsError::at("", "the arguments are not an object"))?;
    let purpose = members.remove(PURPOSE).map(purpose).transpose()?.flatten();
    let (canonical, digest) = canonical(&tool, &arguments)?;
    Ok(ValidCall { caller, tool, arguments, canonical, digest, purpose })
}

/// Checks arguments again that were accepted once and were stored canonically.
pub(crate) fn again(
    caller: Caller,
    tool: Arc<LoadedTool>,
    stored: &str,
    purpose: Option<String>,
) -> Result<ValidCall, ArgumentsError> {
    let arguments = json::strict(stored.as_bytes())
        .map_err(|error| ArgumentsError::at("", error.to_string()))?;
    let (canonical, digest) = canonical(&tool, &arguments)?;
    Ok(ValidCall { caller, tool, arguments, canonical, digest, purpose })
}

fn canonical(
    tool: &LoadedTool,
    arguments: &Value,
) -> Result<(String, ArgumentsDigest), ArgumentsError> {
    let text =
        json::canonical(arguments).map_err(|error| ArgumentsError::at("", error.to_string()))?;
    if text.len() > limit::ARGUMENTS {
        return Err(ArgumentsError::at(
            "",
            format!("{} bytes; at most {} are taken", text.len(), limit::ARGUMENTS),
        ));
    }
    tool.input()
        .check(arguments)
        .map_err(|error| error.if_optional(tool.input().value(), arguments))?;
    let digest = ArgumentsDigest::of(text.as_bytes());
    Ok((text, digest))
}

fn purpose(value: Value) -> Result<Option<String>, ArgumentsError> {
    let at = |reason: String| ArgumentsError::at("/purpose", reason);
    match value {
        Value::Null => Ok(None),
        Value::String(words) => match (words.chars().count(), escape::unseen(&words)) {
            (0, _) => Ok(None),
            (count, _) if count > limit::PURPOSE => {
                Err(at(format!("{count} characters; at most {} are taken", limit::PURPOSE)))
            }
            (_, Some(odd)) => Err(at(format!(
                "the character U+{:04X} cannot be seen; leave it out",
                u32::from(odd)
            ))),
            (_, None) => Ok(Some(words)),
        },
        _ => Err(at("not a string".to_owned())),
    }
}

impl ValidCall {
    /// The caller of the call.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The tool of the call.
    pub fn tool(&self) -> &LoadedTool {
        &self.tool
    }

    /// The validated arguments.
    pub fn arguments(&self) -> &Value {
        &self.arguments
    }

    /// The arguments as canonical JSON: what the tool is given.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The digest of the canonical arguments.
    pub fn digest(&self) -> ArgumentsDigest {
        self.digest
    }

    /// The purpose that the agent gave.
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
            "properties": {"kind": {"type": "string", "minLength": 1}, "name": {"type": "string",
            "minLength": 1}},
            "required": ["name"],
        });
        let schema = crate::tool::schema::Schema::of_input(&schema).unwrap();
        let check = |arguments: Value, remedy: &str| {
            let error =
                schema.check(&arguments).unwrap_err().if_optional(schema.value(), &arguments);
            assert_eq!(
                error.reason.split_once("; ").map_or("", |(_, remedy)| remedy),
                remedy,
                "{arguments}"
            );
        };
        check(json!({"name": "web", "kind": null}), "`kind` is optional: leave it out");
        check(json!({"name": "web", "kind": ""}), "`kind` is optional: leave it out");
        check(json!({"name": "web", "kind": 5}), "");
        check(json!({"name": null}), "");
        check(json!({"name": ""}), "");
    }
}
