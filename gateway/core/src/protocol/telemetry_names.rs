//! The one list of names in telemetry: attributes of spans, labels of metrics and fields of log
//! lines. Sources: the OpenTelemetry semantic conventions for MCP, GenAI and HTTP (state of
//! 2026-11), and names of Cofferdam under `cofferdam.`. Holds names and never a value: only names on
//! [`ATTRIBUTES`] and [`LOGGED`] leave a process.

/// The JSON-RPC method of a request: `tools/call`.
pub const MCP_METHOD_NAME: &str = "mcp.method.name";
/// The MCP revision of a request: `2026-07-28`.
pub const MCP_PROTOCOL_VERSION: &str = "mcp.protocol.version";
/// The JSON-RPC id of a request, as text.
pub const JSONRPC_REQUEST_ID: &str = "jsonrpc.request.id";
/// The JSON-RPC code of an error response.
pub const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
/// The name of the called tool.
pub const GEN_AI_TOOL_NAME: &str = "gen_ai.tool.name";
/// `execute_tool`; set for tool calls only.
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// The cause of a failure: a JSON-RPC code, `tool_error`, `timeout` or a code of Cofferdam. Marks
/// the span as failed.
pub const ERROR_TYPE: &str = "error.type";
/// The HTTP method: `POST`.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The pattern of the path: `/mcp`.
pub const HTTP_ROUTE: &str = "http.route";
/// The HTTP status of a response: `200`.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// The transport protocol: `tcp`.
pub const NETWORK_TRANSPORT: &str = "network.transport";
/// The application protocol: `http`.
pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";

/// The id of a call.
pub const CALL: &str = "cofferdam.call";
/// The stage of a call or of a job: `validate`, `plan`, `preview`, `decide`, ….
pub const STAGE: &str = "cofferdam.stage";
/// The lease epoch of a job.
pub const JOB_FENCE: &str = "cofferdam.job.fence";
/// The index of an operation in its plan, from 0.
pub const OPERATION_INDEX: &str = "cofferdam.operation.index";

/// The name of a span as it is exported. Steers the collection of spans and is never exported.
pub const SPAN_NAME: &str = "otel.name";
/// The kind of a span: `server`, `client`, …. Steers the collection and is never exported.
pub const SPAN_KIND: &str = "otel.kind";
/// The parent of a span in another process (W3C `traceparent`). Steers the collection and is never
/// exported.
pub const TRACEPARENT: &str = "traceparent";

/// Every attribute that a span may export. Arguments, results, tokens, purposes and values of
/// fields are not on the list and must never be.
pub const ATTRIBUTES: [&str; 16] = [
    MCP_METHOD_NAME,
    MCP_PROTOCOL_VERSION,
    JSONRPC_REQUEST_ID,
    RPC_RESPONSE_STATUS_CODE,
    GEN_AI_TOOL_NAME,
    GEN_AI_OPERATION_NAME,
    ERROR_TYPE,
    HTTP_REQUEST_METHOD,
    HTTP_ROUTE,
    HTTP_RESPONSE_STATUS_CODE,
    NETWORK_TRANSPORT,
    NETWORK_PROTOCOL_NAME,
    CALL,
    STAGE,
    JOB_FENCE,
    OPERATION_INDEX,
];

/// Further fields that a log line may show: short words for people. A log line prints `[withheld]`
/// for any other field, so that its author notices.
pub const LOGGED: [&str; 29] = [
    "address",
    "agent",
    "call",
    "clean",
    "client",
    "code",
    "confined",
    "cut",
    "detail",
    "environment",
    "error",
    "fault",
    "fence",
    "kept_back",
    "kind",
    "name",
    "outcome",
    "path",
    "pause_ms",
    "peer",
    "phase",
    "pid",
    "remedy",
    "role",
    "rule",
    "status",
    "tool",
    "what",
    "why",
];

/// Returns whether a span may export this attribute.
pub fn is_exported(name: &str) -> bool {
    ATTRIBUTES.contains(&name)
}

/// Returns whether a log line may show this field.
pub fn is_logged(name: &str) -> bool {
    LOGGED.contains(&name) || is_exported(name)
}

/// Longest value, in characters: a digest or a name fits, a pasted document does not.
pub const VALUE_LENGTH: usize = 200;
