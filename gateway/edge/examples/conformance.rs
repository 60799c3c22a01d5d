//! A server for the official MCP conformance suite: the real edge before a Front that has the
//! suite's fixture tools, as far as tools answer in text. It is nothing more: it plans nothing,
//! decides nothing and changes nothing.
//!
//! `tests/it/conformance.rs` runs the suite against it. By hand:
//!
//! ```text
//! cargo run -p cofferdam-edge --example conformance -- 127.0.0.1:3921
//! node …/conformance/dist/index.js server --url http://127.0.0.1:3921/mcp --requirements 2026-07-28
//! ```

use cofferdam_core::journey::ports::{
    Answered, Front, FrontCall, ProgressSink, Readiness, Unauthenticated,
};
use cofferdam_core::model::answer::{
    Changed, Listed, Proof, Refusal, RefusalKind, Reply, Success, ToolListing, ToolListings,
};
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::{CallId, PlanDigest};
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::RoleError;
use cofferdam_edge::{Calls, EdgeSettings, serve};
use serde_json::{Value, json};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

struct Fixtures;

fn proof() -> Proof {
    Proof { call: CallId::from_random(7), plan: Some(PlanDigest::of(b"plan")), ledger: Some(1) }
}

fn tool(name: &str, description: &str, input_schema: Value) -> ToolListing {
    ToolListing {
        name: name.to_owned(),
        title: description.to_owned(),
        description: description.to_owned(),
        input_schema,
        output_schema: Value::Null,
        read_only: true,
        destructive: false,
        idempotent: true,
    }
}

fn with_output(name: &str, description: &str, input_schema: Value) -> ToolListing {
    let output_schema = json!({"type": "object", "properties": {"replicas": {"type": "integer"}},
    "required": ["replicas"]});
    ToolListing { output_schema, ..tool(name, description, input_schema) }
}

fn said(text: String) -> Reply {
    Reply::Success(Success {
        structured: json!({"text": text}),
        text,
        proof: proof(),
        complete: true,
    })
}

impl Front for Fixtures {
    async fn authenticate(&self, _token: Option<&str>) -> Result<Principal, Unauthenticated> {
        Ok(Principal {
            name: "suite".into(),
            anonymous: true,
            roles: Vec::new(),
            person: None,
            act: Vec::new(),
        })
    }

    async fn list(&self, _principal: &Principal) -> Result<ToolListings, RoleError> {
        let none = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let tools = vec![
            tool(
                "json_schema_2020_12_tool",
                "Has a schema with definitions",
                json!({
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "$defs": {
                        "address": {
                            "$anchor": "addressDef",
                            "type": "object",
                            "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
                        }
                    },
                    "properties": {
                        "name": {"type": "string"},
                        "address": {"$ref": "#/$defs/address"},
                        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                        "phone": {"type": "string"},
                        "email": {"type": "string"}
                    },
                    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
                    "if": {"properties": {"contactMethod": {"const": "phone"}},
                    "required": ["contactMethod"]},
                    "then": {"required": ["phone"]},
                    "else": {"required": ["email"]},
                    "additionalProperties": false
                }),
            ),
            tool("test_error_handling", "Always refuses", none.clone()),
            tool("test_logging_tool", "Logs nothing to its client", none.clone()),
            tool("test_simple_text", "Answers with a sentence", none.clone()),
            tool("test_tool_with_progress", "Tells how it goes on", none.clone()),
            with_output("waits", "Answers that the call still waits", none.clone()),
            with_output("works", "Answers as its output schema says", none),
        ];
        Ok(tools.into_iter().map(Arc::new).collect())
    }

    async fn call(&self, call: FrontCall, progress: &ProgressSink) -> Reply {
        match call.tool.as_str() {
            "test_simple_text" | "test_logging_tool" => {
                said("This is a simple text response for testing.".into())
            }
            "test_tool_with_progress" => {
                for step in 1..=3 {
                    progress(format!("step {step} of 3"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                said("This tool told its progress.".into())
            }
            "json_schema_2020_12_tool" => said(format!("called with {}", call.arguments)),
            "works" => Reply::Success(Success {
                text: "3".into(),
                structured: json!({"replicas": 3}),
                proof: proof(),
                complete: true,
            }),
            "waits" => Reply::Success(Success {
                text: "WAITING".into(),
                structured: json!({"phase": "queued"}),
                proof: proof(),
                complete: false,
            }),
            "test_error_handling" => Reply::Refused(Refusal {
                kind: RefusalKind::Declined,
                verb: "DECLINED",
                proof: proof(),
                rule: "tool".into(),
                environment: Environment { name: "suite".into(), id: "0".into() },
                changed: Changed::Nothing,
                why: "this tool intentionally returns an error for testing".into(),
                allowed: "nothing".into(),
                next: "call another tool".into(),
            }),
            _ => Reply::UnknownTool { name: call.tool },
        }
    }

    async fn preview(&self, call: FrontCall) -> Reply {
        Reply::UnknownTool { name: call.tool }
    }

    async fn job(
        &self,
        _principal: &Principal,
        _call: &CallId,
        _wait_ms: u64,
        _hear: &ProgressSink,
    ) -> Reply {
        Reply::Unavailable { reason: "this server has no jobs".into() }
    }

    async fn calls(&self, _: &Principal, _: bool, _: u32) -> Reply {
        Reply::Listed(Listed { text: "none".into(), structured: json!({"calls": []}) })
    }

    async fn cancel(&self, _principal: &Principal, _call: &CallId) -> Reply {
        Reply::Unavailable { reason: "this server has no jobs".into() }
    }

    fn instructions(&self) -> String {
        "A server for the conformance suite.".into()
    }

    fn environment(&self) -> String {
        "suite".into()
    }

    async fn ready(&self) -> Readiness {
        Readiness::default()
    }

    fn answered(&self, _: &Answered) {}

    fn active(&self, _: u32) {}

    fn mixed_revisions(&self, _: &str) {}

    async fn metrics(&self) -> String {
        String::new()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3921".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("MCP on http://{}/mcp", listener.local_addr()?);
    let settings = EdgeSettings::local();
    let calls = Calls::new(settings.calls);
    let drained =
        serve(listener, Arc::new(Fixtures), settings, calls, std::future::pending()).await;
    println!("{drained:?}");
    Ok(())
}
