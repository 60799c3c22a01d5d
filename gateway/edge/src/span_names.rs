//! The spans that the edge opens: one for each HTTP request, and one for each MCP request. Names come
//! from the one list of telemetry names. Arguments and results are never attributes.

use crate::deny::Deny;
use cofferdam_core::model::caller::TraceParent;
use cofferdam_core::protocol::telemetry_names::{
    ERROR_TYPE, GEN_AI_OPERATION_NAME, GEN_AI_TOOL_NAME, HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, JSONRPC_REQUEST_ID, MCP_METHOD_NAME,
    MCP_PROTOCOL_VERSION, NETWORK_PROTOCOL_NAME, NETWORK_TRANSPORT, RPC_RESPONSE_STATUS_CODE,
    SPAN_KIND, SPAN_NAME, TRACEPARENT,
};
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The span of one HTTP request: `POST /mcp`.
pub fn http_span(method: &str, route: &str) -> Span {
    info_span!(
        "http",
        { SPAN_NAME } = format!("{method} {route}"),
        { SPAN_KIND } = "server",
        { HTTP_REQUEST_METHOD } = method,
        { HTTP_ROUTE } = route,
        { HTTP_RESPONSE_STATUS_CODE } = Empty,
        { ERROR_TYPE } = Empty,
    )
}

/// The facts of one MCP request, or of the same request over plain HTTP, at the start of its span.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The JSON-RPC method, such as `tools/call`.
    pub method: &'a str,
    /// The tool, if the request names one.
    pub tool: Option<&'a str>,
    /// The MCP revision; `None` for plain HTTP.
    pub version: Option<&'a str>,
    /// The request's id as text; `None` for plain HTTP.
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
        { MCP_METHOD_NAME } = call.method,
        { MCP_PROTOCOL_VERSION } = call.version,
        { JSONRPC_REQUEST_ID } = call.id,
        { GEN_AI_TOOL_NAME } = call.tool,
        { GEN_AI_OPERATION_NAME } = call.tool.map(|_| "execute_tool"),
        { NETWORK_TRANSPORT } = "tcp",
        { NETWORK_PROTOCOL_NAME } = "http",
        { TRACEPARENT } = call.trace.map(|trace| trace.0.as_str()),
        { RPC_RESPONSE_STATUS_CODE } = Empty,
        { ERROR_TYPE } = Empty,
    )
}

/// Records the code of a refusal in the span of a call.
pub fn record_refusal(span: &Span, deny: Option<&Deny>) {
    let Some(deny) = deny else { return };
    let code = deny.row().code.to_string();
    span.record(RPC_RESPONSE_STATUS_CODE, code.as_str());
    if deny.is_error() {
        span.record(ERROR_TYPE, code.as_str());
    }
}
