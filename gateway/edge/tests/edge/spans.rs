//! The spans of the edge: one for each request and one for each call, with the attributes of the
//! conventions, and without arguments or tokens.

use crate::front::{FakeFront, TOKEN};
use crate::wire::{FromAgent, Request, Server};
use expect_test::expect;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

type Fields = BTreeMap<String, String>;

/// Keeps the fields of every span, in the order of their start.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(u64, Fields)>>>);

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Layer<Registry> for Kept {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, Registry>) {
        let mut fields = Fields::new();
        attributes.record(&mut Into(&mut fields));
        self.0.lock().unwrap().push((id.into_u64(), fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, Registry>) {
        let mut spans = self.0.lock().unwrap();
        if let Some((_, fields)) = spans.iter_mut().rev().find(|(known, _)| *known == id.into_u64())
        {
            values.record(&mut Into(fields));
        }
    }
}

#[tokio::test]
async fn spans_of_calls() {
    let kept = Kept::default();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(kept.clone()));
    let server = Server::start(FakeFront::default()).await;
    let meta = json!({"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"});
    let call = Request::modern(
        "tools/call",
        json!({"name": "denied", "arguments": {"password": "hunter2"}, "_meta": meta}),
    );
    server.send(&call.with_token()).await;
    server.send(&Request::modern("tools/run", json!({}))).await;
    server.send(&Request::call("down", json!({}))).await;
    server.send(&Request::new("POST", "/v1/tools/scale").json(&json!({}))).await;
    drop(guard);
    let spans = kept.0.lock().unwrap();
    let text: String = spans.iter().map(|(_, fields)| format!("{fields:#?}\n")).collect();
    assert!(!text.contains("hunter2") && !text.contains(TOKEN));
    expect![[r#"
        {
            "http.request.method": "\"POST\"",
            "http.response.status_code": "200",
            "http.route": "\"/mcp\"",
            "otel.kind": "\"server\"",
            "otel.name": "\"POST /mcp\"",
        }
        {
            "error.type": "\"tool_error\"",
            "gen_ai.operation.name": "\"execute_tool\"",
            "gen_ai.tool.name": "\"denied\"",
            "jsonrpc.request.id": "\"7\"",
            "mcp.method.name": "\"tools/call\"",
            "mcp.protocol.version": "\"2026-07-28\"",
            "network.protocol.name": "\"http\"",
            "network.transport": "\"tcp\"",
            "otel.kind": "\"server\"",
            "otel.name": "\"tools/call denied\"",
            "traceparent": "\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
        }
        {
            "http.request.method": "\"POST\"",
            "http.response.status_code": "404",
            "http.route": "\"/mcp\"",
            "otel.kind": "\"server\"",
            "otel.name": "\"POST /mcp\"",
        }
        {
            "jsonrpc.request.id": "\"7\"",
            "mcp.method.name": "\"other\"",
            "mcp.protocol.version": "\"2026-07-28\"",
            "network.protocol.name": "\"http\"",
            "network.transport": "\"tcp\"",
            "otel.kind": "\"server\"",
            "otel.name": "\"other\"",
            "rpc.response.status_code": "\"-32601\"",
        }
        {
            "error.type": "\"503\"",
            "http.request.method": "\"POST\"",
            "http.response.status_code": "503",
            "http.route": "\"/mcp\"",
            "otel.kind": "\"server\"",
            "otel.name": "\"POST /mcp\"",
        }
        {
            "error.type": "\"-32603\"",
            "gen_ai.operation.name": "\"execute_tool\"",
            "gen_ai.tool.name": "\"down\"",
            "jsonrpc.request.id": "\"7\"",
            "mcp.method.name": "\"tools/call\"",
            "mcp.protocol.version": "\"2026-07-28\"",
            "network.protocol.name": "\"http\"",
            "network.transport": "\"tcp\"",
            "otel.kind": "\"server\"",
            "otel.name": "\"tools/call down\"",
            "rpc.response.status_code": "\"-32603\"",
        }
        {
            "http.request.method": "\"POST\"",
            "http.response.status_code": "200",
            "http.route": "\"/v1/tools/{name}\"",
            "otel.kind": "\"server\"",
            "otel.name": "\"POST /v1/tools/{name}\"",
        }
        {
            "gen_ai.operation.name": "\"execute_tool\"",
            "gen_ai.tool.name": "\"scale\"",
            "mcp.method.name": "\"tools/call\"",
            "network.protocol.name": "\"http\"",
            "network.transport": "\"tcp\"",
            "otel.kind": "\"server\"",
            "otel.name": "\"tools/call scale\"",
        }
    "#]]
    .assert_eq(&text);
}
