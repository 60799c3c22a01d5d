//! The codes of JSON-RPC itself, and the codes that MCP revision 2026-07-28 adds.

pub const PARSE: i64 = -32_700;
pub const REQUEST: i64 = -32_600;
pub const METHOD: i64 = -32_601;
pub const PARAMS: i64 = -32_602;
pub const INTERNAL: i64 = -32_603;
pub const HEADER: i64 = -32_020;
pub const LEGACY_RESOURCE: i64 = -32_002;
pub const CAPABILITY: i64 = -32_021;
pub const VERSION: i64 = -32_022;
