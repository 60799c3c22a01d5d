//! Names of attributes, in one place because the conventions still move. Sources: OpenTelemetry
//! semantic conventions for MCP, GenAI and HTTP (state of 2026-11), and our own under `cofferdam.`.
//! Never a value: only names on [`ATTRIBUTES`] and [`LOGGED`] leave a process.

/// `tools/call`.
pub const MCP_METHOD_NAME: &str = "mcp.method.name";
/// `2026-07-28`.
pub const MCP_PROTOCOL_VERSION: &str = "mcp.protocol.version";
/// The request's id, as text.
pub const JSONRPC_REQUEST_ID: &str = "jsonrpc.request.id";
/// JSON-RPC code of an error answer.
pub const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
/// The tool.
pub const GEN_AI_TOOL_NAME: &str = "gen_ai.tool.name";
/// `execute_tool`, for tool calls only.
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// Why it failed: a JSON-RPC code, `tool_error`, `timeout` or a reason code of ours. Marks the span
/// as failed.
pub const ERROR_TYPE: &str = "error.type";
/// `POST`.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// `/mcp`.
pub const HTTP_ROUTE: &str = "http.route";
/// `200`.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// `tcp`.
pub const NETWORK_TRANSPORT: &str = "network.transport";
/// `http`.
pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";

/// The call id.
pub const CALL: &str = "cofferdam.call";
/// The stage of the journey: `validate`, `plan`, `preview`, `decide`, ….
pub const STAGE: &str = "cofferdam.stage";
/// The job's fence.
pub const JOB_FENCE: &str = "cofferdam.job.fence";
/// Index of an operation in its plan.
pub const OPERATION_INDEX: &str = "cofferdam.operation.index";

/// Every attribute that a span may carry out. Arguments, results, tokens, purposes and values of
/// fields are not on it, and never will be.
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

/// What a log line may show besides: short words for people. Anything else is shown as withheld, so
/// that the author of the line notices.
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

/// Whether a span may carry it out.
pub fn exported(name: &str) -> bool {
    ATTRIBUTES.contains(&name)
}

/// Whether a log line may show it.
pub fn logged(name: &str) -> bool {
    LOGGED.contains(&name) || exported(name)
}

/// Characters of a value: digests and names fit; a pasted document does not.
pub const VALUE: usize = 200;
