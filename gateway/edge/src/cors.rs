//! Pages of allowed origins (Fetch standard, "CORS protocol"): the headers with which a browser
//! lets such a page send its request and read the response. Pages of other origins get none.
//! Credentials that a browser would add by itself are never allowed.

use crate::respond::{self, Answer};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, VARY,
};

/// Request headers that MCP clients, `/v1` and tracing use.
const HEADERS: &str = "accept, authorization, content-type, dpop, idempotency-key, last-event-id, \
                       mcp-method, mcp-name, mcp-protocol-version, mcp-session-id, traceparent, \
                       tracestate";

/// Response headers that a page may read, besides those that every page may read.
const EXPOSED: &str = "allow, retry-after, www-authenticate, mcp-protocol-version, mcp-session-id";

/// Seconds for which a browser may keep the response to a preflight. After an origin was removed
/// from the configuration, its next request is refused all the same.
const MAX_AGE: &str = "600";

/// The response to OPTIONS: the methods of this path, and the headers that a page of an allowed
/// origin may send. Needs no token: a browser sends none with it.
pub fn options(methods: &str, page: bool) -> Answer {
    let methods = format!("{methods}, OPTIONS");
    let answer = respond::add(respond::empty(), ALLOW, &methods);
    if !page {
        return answer;
    }
    let answer = respond::add(answer, ACCESS_CONTROL_ALLOW_METHODS, &methods);
    let answer = respond::add(answer, ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    respond::add(answer, ACCESS_CONTROL_MAX_AGE, MAX_AGE)
}

/// Lets a page of this allowed origin read the response.
pub fn shared(answer: Answer, origin: &str) -> Answer {
    let answer = respond::add(answer, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let answer = respond::add(answer, ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    respond::add(answer, VARY, "origin")
}
