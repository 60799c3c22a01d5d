//! The names of spans and attributes the edge emits, in one place: OpenTelemetry's conventions for
//! HTTP, MCP and GenAI, which still move. Arguments and results are never attributes.

use crate::deny::Deny;
use cofferdam_core::model::caller::TraceParent;
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The span's name as exported; tracing itself wants a constant.
pub const SPAN_NAME: &str = "otel.name";
/// `server` for both spans.
pub const SPAN_KIND: &str = "otel.kind";
/// `GET`, `POST`, `DELETE`.
pub const HTTP_METHOD: &str = "http.request.method";
/// One of the edge's routes.
pub const HTTP_ROUTE: &str = "http.route";
/// Of the answer.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// `tools/call` and so on.
pub const MCP_METHOD: &str = "mcp.method.name";
/// Revision.
pub const MCP_VERSION: &str = "mcp.protocol.version";
/// The request's id as text.
pub const RPC_ID: &str = "jsonrpc.request.id";
/// JSON-RPC error code, where one is answered.
pub const RPC_STATUS: &str = "rpc.response.status_code";
/// The tool.
pub const TOOL: &str = "gen_ai.tool.name";
/// `execute_tool`, for tool calls.
pub const OPERATION: &str = "gen_ai.operation.name";
/// Why it failed: a code, or `tool_error`. Marks the span as failed.
pub const ERROR_TYPE: &str = "error.type";
/// `tcp`.
pub const TRANSPORT: &str = "network.transport";
/// `http`.
pub const PROTOCOL: &str = "network.protocol.name";
/// The client's own trace context: the telemetry layer makes the span a child of it, and exports
/// the field no further.
pub const TRACEPARENT: &str = "traceparent";

/// The span of one HTTP request: `POST /mcp`.
pub fn http_span(method: &str, route: &str) -> Span {
    info_span!(
        "http",
        { SPAN_NAME } = format!("{method} {route}"),
        { SPAN_KIND } = "server",
        { HTTP_METHOD } = method,
        { HTTP_ROUTE } = route,
        { HTTP_STATUS } = Empty,
        { ERROR_TYPE } = Empty,
    )
}

/// What is known of one MCP request (or its plain-HTTP twin) when its span opens.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `tools/call`.
    pub method: &'a str,
    /// Tool, where there is one.
    pub tool: Option<&'a str>,
    /// Revision; none for plain HTTP.
    pub version: Option<&'a str>,
    /// The request's id as text; none for plain HTTP.
    pub id: Option<&'a str>,
    /// The client's trace context.
    pub trace: Option<&'a TraceParent>,
}

/// The span of one MCP request: `tools/call {tool}`.
pub fn call_span(call: Call<'_>) -> Span {
    let name =
        call.tool.map_or_else(|| call.method.to_owned(), |tool| format!("{} {tool}", call.method));
    info_span!(
        "mcp",
        { SPAN_NAME } = name,
        { SPAN_KIND } = "server",
        { MCP_METHOD } = call.method,
        { MCP_VERSION } = call.version,
        { RPC_ID } = call.id,
        { TOOL } = call.tool,
        { OPERATION } = call.tool.map(|_| "execute_tool"),
        { TRANSPORT } = "tcp",
        { PROTOCOL } = "http",
        { TRACEPARENT } = call.trace.map(|trace| trace.0.as_str()),
        { RPC_STATUS } = Empty,
        { ERROR_TYPE } = Empty,
    )
}

/// Writes a refusal's code on a call's span.
pub fn record_refusal(span: &Span, deny: Option<&Deny>) {
    let Some(deny) = deny else { return };
    let code = deny.row().code.to_string();
    span.record(RPC_STATUS, code.as_str());
    if deny.is_error() {
        span.record(ERROR_TYPE, code.as_str());
    }
}
