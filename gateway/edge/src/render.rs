//! Replies of the Front in the form of MCP and of plain HTTP. One file renders both, so that their
//! content is the same. Adds no text, except for arguments that do not fit, where the Front has
//! none.

use crate::deny::Deny;
use crate::respond::{self, Answer};
use cofferdam_core::model::answer::{
    Changed, Effect, Listed, Proof, Refusal, RefusalKind, Reply, Success, ToolListing,
};
use cofferdam_core::model::job::Found;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

/// The key of `_meta` with id, plan digest and ledger index, in every result of a call.
pub const CALL_META: &str = "cofferdam.dev/call";

/// The member of `structuredContent` with the facts of a call that still waits.
pub const PENDING: &str = "pending";

/// The form of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// MCP since 2026-07-28: structured content is any JSON.
    Modern,
    /// MCP before 2026-07-28: structured content and its schema are objects or absent.
    Legacy,
    /// Plain HTTP: a call that still waits has a status of its own.
    Plain,
}

/// Renders a reply as the result of `tools/call`. A reply that is not a tool result is a refusal of
/// the edge.
pub fn tool_result(reply: Reply, form: Form) -> Result<Map<String, Value>, Deny> {
    let (text, structured, proof, is_error) = match reply {
        Reply::Success(Success { text, structured, proof, complete }) => {
            let structured = if complete { structured } else { json!({ PENDING: structured }) };
            (text, Some(structured), Some(proof), false)
        }
        Reply::Listed(Listed { text, structured }) => (text, Some(structured), None, false),
        Reply::Refused(refusal) => (refusal.text(), None, Some(refusal.proof), true),
        Reply::BadArguments { path, reason } => (bad_arguments(&path, &reason), None, None, true),
        other => return Err(deny_of(other)),
    };
    let mut result = Map::new();
    result.insert("content".into(), json!([{"type": "text", "text": text}]));
    if let Some(structured) = structured.filter(|value| value.is_object() || form != Form::Legacy) {
        result.insert("structuredContent".into(), structured);
    }
    if is_error {
        result.insert("isError".into(), Value::Bool(true));
    }
    if let Some(proof) = proof {
        result.insert("_meta".into(), json!({ CALL_META: proof_value(&proof) }));
    }
    Ok(result)
}

/// Renders a reply as a plain HTTP response.
pub fn plain(reply: Reply) -> Result<Answer, Deny> {
    match reply {
        Reply::Success(Success { text, structured, proof, complete }) => {
            let (status, member) =
                if complete { (StatusCode::OK, "result") } else { (StatusCode::ACCEPTED, PENDING) };
            let body = json!({ member: structured, "text": text, "call": proof.call,
            "plan": proof.plan, "ledger": proof.ledger });
            Ok(respond::json(status, &body))
        }
        Reply::Listed(Listed { text, structured }) => {
            Ok(respond::json(StatusCode::OK, &json!({"result": structured, "text": text})))
        }
        Reply::Refused(refusal) => {
            Ok(respond::json(status_of(refusal.kind), &json!({"error": refusal_value(&refusal)})))
        }
        Reply::BadArguments { path, reason } => {
            let body = json!({"error": {"path": path, "reason": reason,
            "text": bad_arguments(&path, &reason)}});
            Ok(respond::json(StatusCode::UNPROCESSABLE_ENTITY, &body))
        }
        other => Err(deny_of(other)),
    }
}

/// Renders a refusal of the edge as a JSON-RPC error response.
pub fn rpc_error(deny: &Deny, id: Option<&Value>) -> Answer {
    refused(respond::json(deny.row().mcp, &rpc_error_body(deny, id)), deny)
}

/// The body of a JSON-RPC error response. Its `id` is null if none was read: some official clients
/// lose an error without this member.
pub fn rpc_error_body(deny: &Deny, id: Option<&Value>) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": rpc_error_of(deny)})
}

/// The error object of a JSON-RPC response.
pub fn rpc_error_of(deny: &Deny) -> Value {
    let mut error = json!({"code": deny.row().code, "message": deny.to_string()});
    if let (Some(data), Some(error)) = (deny.data(), error.as_object_mut()) {
        error.insert("data".into(), data);
    }
    error
}

/// A refusal of the edge for plain HTTP clients.
pub fn plain_error(deny: &Deny) -> Answer {
    let mut error = json!({"text": deny.to_string()});
    if let (Some(code), Some(error)) = (deny.word(), error.as_object_mut()) {
        error.insert("code".into(), json!(code));
    }
    refused(respond::json(deny.row().plain, &json!({"error": error})), deny)
}

/// Marks the response with its refusal, for counters and spans.
pub fn refused(answer: Answer, deny: &Deny) -> Answer {
    let mut answer = respond::refusing(answer, deny);
    answer.extensions_mut().insert(deny.clone());
    answer
}

/// Renders a tool as lists show it.
pub fn listing(tool: &ToolListing, form: Form) -> Value {
    let mut listed = json!({
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "annotations": annotations(tool),
    });
    let output = if form == Form::Plain {
        tool.output_schema.clone()
    } else {
        output_schema(&tool.output_schema)
    };
    let fits = form != Form::Legacy || output.get("type") == Some(&json!("object"));
    if let (Some(listed), true, true) =
        (listed.as_object_mut(), fits, tool.output_schema.is_object())
    {
        listed.insert("outputSchema".into(), output);
    }
    listed
}

/// The hints for clients. A hint with the default value of MCP is left out, because models pay for
/// each byte of a list. A read-only tool destroys nothing and may be repeated.
fn annotations(tool: &ToolListing) -> Value {
    // Every tool works in the one environment, never outside of it.
    let mut hints = json!({"openWorldHint": false});
    let told = [
        ("readOnlyHint", tool.read_only, tool.read_only),
        ("destructiveHint", tool.destructive, !tool.read_only && !tool.destructive),
        ("idempotentHint", tool.idempotent, !tool.read_only && tool.idempotent),
    ];
    if let Some(hints) = hints.as_object_mut() {
        hints.extend(
            told.into_iter()
                .filter(|(.., told)| *told)
                .map(|(name, value, _)| (name.to_owned(), json!(value))),
        );
    }
    hints
}

/// The keywords of a schema that allows further members. With them a waiting call needs no
/// alternative of its own.
const OPEN: [&str; 6] = ["type", "properties", "title", "description", "$defs", "definitions"];

/// The output schema of a tool, which also allows the result of a waiting call: official clients
/// check every successful result against the schema. Definitions stay at the root, where references
/// point.
fn output_schema(own: &Value) -> Value {
    let mut own = own.as_object().cloned().unwrap_or_default();
    if own.keys().all(|key| OPEN.contains(&key.as_str())) {
        let properties = own.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert(PENDING.into(), json!({"type": "object"}));
        }
        return Value::Object(own);
    }
    let mut root = Map::new();
    for key in ["$schema", "$id", "$defs", "definitions"] {
        if let Some(value) = own.remove(key) {
            root.insert(key.into(), value);
        }
    }
    if own.get("type") == Some(&json!("object")) {
        root.insert("type".into(), json!("object"));
    }
    let pending = json!({
        "type": "object",
        "title": "Still waiting",
        "properties": { PENDING: {"description": "What is known of the call so far; `job_get` tells more."} },
        "required": [PENDING],
        "additionalProperties": false,
    });
    root.insert("anyOf".into(), json!([own, pending]));
    Value::Object(root)
}

fn proof_value(proof: &Proof) -> Value {
    json!({"id": proof.call, "plan": proof.plan, "ledger": proof.ledger})
}

fn refusal_value(refusal: &Refusal) -> Value {
    let indexes =
        |effects: &[Effect]| effects.iter().map(|effect| effect.index).collect::<Vec<_>>();
    let (changed, standing) = match &refusal.changed {
        Changed::Nothing => ("nothing", None),
        Changed::All => ("all", None),
        Changed::Undone => ("undone", None),
        Changed::Unknown => ("unknown", None),
        Changed::Partly(standing) => ("partly", Some(standing)),
        Changed::Resolved(Found::Succeeded) => ("resolved as succeeded", None),
        Changed::Resolved(Found::Failed) => ("resolved as failed", None),
    };
    let mut value = json!({
        "verb": refusal.verb,
        "call": refusal.proof.call,
        "rule": refusal.rule,
        "environment": refusal.environment.name,
        "changed": changed,
        "why": refusal.why,
        "allowed": refusal.allowed,
        "next": refusal.next,
        "plan": refusal.proof.plan,
        "ledger": refusal.proof.ledger,
        "text": refusal.text(),
    });
    if let (Some(object), Some(standing)) = (value.as_object_mut(), standing) {
        object.insert("in_effect".into(), json!(indexes(&standing.in_effect)));
        object.insert("not_known".into(), json!(indexes(&standing.unknown)));
    }
    value
}

/// The text for arguments that do not fit. `path` is a JSON Pointer.
pub fn bad_arguments(path: &str, reason: &str) -> String {
    let place = path
        .strip_prefix('/')
        .map(|rest| format!(" in `{}`", rest.replace('/', ".")))
        .unwrap_or_default();
    format!(
        "BAD ARGUMENTS{place}: {reason}\nNothing was changed.\nAllowed: what the tool's input \
         schema describes\nNext: correct the arguments and call again"
    )
}

fn status_of(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::Denied => StatusCode::FORBIDDEN,
        RefusalKind::Declined => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::Unsuccessful => StatusCode::OK,
        RefusalKind::Absent => StatusCode::NOT_FOUND,
    }
}

/// Converts a reply that is an error of the protocol rather than a result.
fn deny_of(reply: Reply) -> Deny {
    match reply {
        Reply::UnknownTool { name } => Deny::UnknownTool(crate::header::excerpt(&name)),
        Reply::Unavailable { reason } => Deny::Unavailable(reason),
        Reply::Busy { reason, retry_after_seconds } => {
            Deny::Queue { why: reason, seconds: retry_after_seconds }
        }
        Reply::OverLimit { reason, retry_after_seconds } => {
            Deny::Budget { why: reason, seconds: retry_after_seconds }
        }
        // The callers above handle these. If one does not, the response is an error, never a
        // success.
        Reply::Success(_) | Reply::Listed(_) | Reply::Refused(_) | Reply::BadArguments { .. } => {
            Deny::Broken
        }
    }
}
