//! What the edge is told at start, and the limits it starts with. Never read from the environment;
//! no limit has a silent default.

use std::time::Duration;

/// How long a client may take for a request's head, from its first byte; on a new connection from
/// the beginning.
pub const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long a kept connection may be idle: longer than the pools of common clients keep one (90 s
/// in Go and in `reqwest`), so that the client closes first and loses no request to our closing.
pub const IDLE_TIME: Duration = Duration::from_secs(120);

/// So much less is told in `Keep-Alive`: a request that is on its way meanwhile still arrives.
pub const KEEP_MARGIN: Duration = Duration::from_secs(10);

/// How long a client may take for a request's body: 256 KiB in ten seconds is 26 KB/s.
pub const BODY_TIME: Duration = Duration::from_secs(10);

/// How long a client may leave our answer unread: ten seconds without one accepted byte is a dead
/// or hostile reader.
pub const WRITE_TIME: Duration = Duration::from_secs(10);

/// How long calls may go on after the stop: the longest hold and a little more.
pub const DRAIN_TIME: Duration = Duration::from_secs(50);

/// Connections at once: with a body each they need 256 MiB at the very worst. Some more are taken
/// for probes.
pub const CONNECTIONS: usize = 1_024;

/// Calls at once, held ones included, whether or not their client is still there.
pub const CALLS: usize = 512;

/// Calls of one caller at once: four callers that use all of theirs fill the rest.
pub const CALLS_EACH: usize = CALLS / 4;

/// Header lines of a request: official clients send fewer than twenty.
pub const HEADERS: usize = 64;

/// Bytes of a request's head: a bearer token, a name and what proxies add.
pub const HEAD_BYTES: usize = 16 * 1024;

/// What the edge is told at start.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// Hosts it answers for besides loopback, `name` (any port) or `name:port`.
    pub hosts: Vec<String>,
    /// Origins of pages that may call it besides loopback ones, exactly as browsers send them: `https://agents.example.com`.
    pub origins: Vec<String>,
    /// How long a client may take for a request's head.
    pub head_time: Duration,
    /// How long a kept connection may be idle.
    pub idle_time: Duration,
    /// How long a client may take for a request's body.
    pub body_time: Duration,
    /// How long a client may leave an answer unread.
    pub write_time: Duration,
    /// How long calls may go on after the stop.
    pub drain_time: Duration,
    /// Connections at once; with more, others give way.
    pub connections: usize,
    /// Calls at once, as [`crate::Calls`] is made with; more are refused as busy.
    pub calls: usize,
    /// Calls of one caller at once.
    pub calls_each: usize,
}

impl EdgeSettings {
    /// Settings with the limits above, for loopback clients only.
    pub fn local() -> Self {
        Self {
            hosts: Vec::new(),
            origins: Vec::new(),
            head_time: HEAD_TIME,
            idle_time: IDLE_TIME,
            body_time: BODY_TIME,
            write_time: WRITE_TIME,
            drain_time: DRAIN_TIME,
            connections: CONNECTIONS,
            calls: CALLS,
            calls_each: CALLS_EACH,
        }
    }
}
