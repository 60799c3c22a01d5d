//! Names of attributes, in one place because the conventions still move. Sources: OpenTelemetry semantic conventions for MCP, GenAI and HTTP
//! (state of 2026-11), and our own under `cofferdam.`. Never a value: only names on [`ATTRIBUTES`] and [`LOGGED`] leave a process.

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
/// The call id.
pub const GEN_AI_TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
/// Why it failed: a JSON-RPC code, `tool_error`, `timeout` or a reason code of ours. Marks the span as failed.
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
/// The queue's system.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// The queue.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The job's id, which is the call's.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// `send`, `receive`, `process`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// Namespace in the infrastructure.
pub const K8S_NAMESPACE_NAME: &str = "k8s.namespace.name";

/// The call id.
pub const CALL: &str = "cofferdam.call";
/// The agent's name.
pub const SUBJECT: &str = "cofferdam.subject";
/// The environment's name.
pub const ENVIRONMENT: &str = "cofferdam.environment";
/// The stage of the journey: `validate`, `plan`, `preview`, `decide`, ….
pub const STAGE: &str = "cofferdam.stage";
/// Digest of the plan.
pub const PLAN_DIGEST: &str = "cofferdam.plan.digest";
/// How many operations it has.
pub const PLAN_OPERATIONS: &str = "cofferdam.plan.operations";
/// `allow`, `deny`, `require_approval`.
pub const POLICY_EFFECT: &str = "cofferdam.policy.effect";
/// Id of the rule that decided.
pub const POLICY_RULE: &str = "cofferdam.policy.rule";
/// Digest of the policy.
pub const POLICY_DIGEST: &str = "cofferdam.policy.digest";
/// `list`, `plan`, `preview`.
pub const POLICY_PHASE: &str = "cofferdam.policy.phase";
/// Reason code of a fault.
pub const REASON_CODE: &str = "cofferdam.reason_code";
/// The job's phase.
pub const JOB_PHASE: &str = "cofferdam.job.phase";
/// The job's outcome.
pub const JOB_OUTCOME: &str = "cofferdam.job.outcome";
/// The job's fence.
pub const JOB_FENCE: &str = "cofferdam.job.fence";
/// Index of an operation in its plan.
pub const OPERATION_INDEX: &str = "cofferdam.operation.index";
/// What it does.
pub const OPERATION_ACTION: &str = "cofferdam.operation.action";
/// Kind of its object.
pub const OPERATION_KIND: &str = "cofferdam.operation.kind";
/// The run's own namespace.
pub const RUN_NAMESPACE: &str = "cofferdam.run.namespace";
/// Index of the entry in the ledger.
pub const LEDGER_INDEX: &str = "cofferdam.ledger.index";

/// Every attribute that a span may carry out. Arguments, results, tokens, purposes and values of fields are not on it, and never will be.
pub const ATTRIBUTES: [&str; 37] = [
    MCP_METHOD_NAME,
    MCP_PROTOCOL_VERSION,
    JSONRPC_REQUEST_ID,
    RPC_RESPONSE_STATUS_CODE,
    GEN_AI_TOOL_NAME,
    GEN_AI_OPERATION_NAME,
    GEN_AI_TOOL_CALL_ID,
    ERROR_TYPE,
    HTTP_REQUEST_METHOD,
    HTTP_ROUTE,
    HTTP_RESPONSE_STATUS_CODE,
    NETWORK_TRANSPORT,
    NETWORK_PROTOCOL_NAME,
    MESSAGING_SYSTEM,
    MESSAGING_DESTINATION_NAME,
    MESSAGING_MESSAGE_ID,
    MESSAGING_OPERATION_TYPE,
    K8S_NAMESPACE_NAME,
    CALL,
    SUBJECT,
    ENVIRONMENT,
    STAGE,
    PLAN_DIGEST,
    PLAN_OPERATIONS,
    POLICY_EFFECT,
    POLICY_RULE,
    POLICY_DIGEST,
    POLICY_PHASE,
    REASON_CODE,
    JOB_PHASE,
    JOB_OUTCOME,
    JOB_FENCE,
    OPERATION_INDEX,
    OPERATION_ACTION,
    OPERATION_KIND,
    RUN_NAMESPACE,
    LEDGER_INDEX,
];

/// What a log line may show besides: short words for people. Anything else is shown as withheld, so that the author of the line notices.
pub const LOGGED: [&str; 27] = [
    "address",
    "agent",
    "call",
    "clean",
    "code",
    "confined",
    "cut",
    "detail",
    "environment",
    "error",
    "fault",
    "fence",
    "kept_back",
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
