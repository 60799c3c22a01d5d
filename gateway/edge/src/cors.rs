//! Pages of allowed origins (Fetch standard, "CORS protocol"): what a browser is told before it
//! lets such a page send its request and read our answer. Says nothing to pages of other origins,
//! and never allows credentials that a browser would add by itself.

use crate::respond::{self, Answer};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, VARY,
};

/// Request headers that MCP clients, `/v1` and tracing use.
const HEADERS: &str = "accept, authorization, content-type, idempotency-key, last-event-id, \
                       mcp-method, mcp-name, mcp-protocol-version, mcp-session-id, traceparent, \
                       tracestate";

/// Headers of our answers that a page may read besides those that every page may.
const EXPOSED: &str = "allow, retry-after, www-authenticate, mcp-protocol-version, mcp-session-id";

/// Seconds for which a browser may keep the answer to a preflight: an origin that was taken out of
/// the configuration is refused at its next request all the same.
const MAX_AGE: &str = "600";

/// The answer to OPTIONS: what this path takes, and for a page of an allowed origin what it may
/// send. Needs no token: a browser sends none with it.
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

/// Lets the page of this origin, which is an allowed one, read the answer.
pub fn shared(answer: Answer, origin: &str) -> Answer {
    let answer = respond::add(answer, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let answer = respond::add(answer, ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    respond::add(answer, VARY, "origin")
}
