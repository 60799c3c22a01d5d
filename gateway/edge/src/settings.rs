//! The settings of the edge, and its default limits. Never read from the environment; each limit is
//! a named constant.

use crate::tls::{LOOK, Tls};
use cofferdam_core::protocol::role_settings::OauthSettings;
use std::sync::Arc;
use std::time::Duration;

/// Time limit of a request head, from its first byte; on a new connection, from the start.
pub const HEAD_TIME: Duration = Duration::from_secs(30);

/// Longest idle time of a kept connection. It is longer than in the pools of common clients (90 s
/// in Go and in `reqwest`), so that the client closes first and loses no request.
pub const IDLE_TIME: Duration = Duration::from_secs(120);

/// The `Keep-Alive` header announces an idle time that is shorter by this: a request on its way
/// still arrives.
pub const KEEP_MARGIN: Duration = Duration::from_secs(10);

/// Time limit of a request body: 256 KiB in ten seconds are 26 KB/s.
pub const BODY_TIME: Duration = Duration::from_secs(10);

/// Time limit of a write without one accepted byte: after ten seconds the reader is dead or
/// hostile.
pub const WRITE_TIME: Duration = Duration::from_secs(10);

/// Time limit of calls after the stop: the longest hold and a margin.
pub const DRAIN_TIME: Duration = Duration::from_secs(50);

/// The pause between two looks for the news of a subscription: a person sees no delay, and a look
/// costs less than a request.
pub const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// Most connections at once: with a body each they need at most 256 MiB. Some more are for probes.
pub const CONNECTIONS: usize = 1_024;

/// Most calls at once, held calls included, even if their client is gone.
pub const CALLS: usize = 512;

/// Most calls of one caller at once. Four callers that use all of theirs fill the limit.
pub const CALLS_EACH: usize = CALLS / 4;

/// Most header lines of a request. Official clients send fewer than twenty.
pub const HEADERS: usize = 64;

/// Most bytes of a request head: a bearer token, a name and the headers of proxies.
pub const HEAD_BYTES: usize = 16 * 1024;

/// The settings of the edge at its start.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// Hosts besides loopback, as `name` (any port) or `name:port`.
    pub hosts: Vec<String>,
    /// Origins of pages that may call the server besides loopback ones, exactly as browsers send
    /// them: `https://agents.example.com`.
    pub origins: Vec<String>,
    /// The issuers of access tokens, for metadata and challenges.
    pub oauth: Option<OauthSettings>,
    /// The algorithms of proofs of a sender's key, for metadata and challenges.
    pub proof_algorithms: &'static [&'static str],
    /// TLS; `None` for plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// The pause between two looks at the files of TLS.
    pub tls_look: Duration,
    /// Time limit of a request head, and of a handshake before it.
    pub head_time: Duration,
    /// Longest idle time of a kept connection.
    pub idle_time: Duration,
    /// Time limit of a request body.
    pub body_time: Duration,
    /// Time limit of a write without progress.
    pub write_time: Duration,
    /// Time limit of calls after the stop.
    pub drain_time: Duration,
    /// The pause between two looks for the news of a subscription.
    pub listen_pause: Duration,
    /// Most connections at once. With more, others give way.
    pub connections: usize,
    /// Most calls at once, for [`crate::Calls`]. Further calls are refused as busy.
    pub calls: usize,
    /// Most calls of one caller at once.
    pub calls_each: usize,
}

impl EdgeSettings {
    /// The limits above, for clients on loopback only.
    pub fn local() -> Self {
        Self {
            hosts: Vec::new(),
            origins: Vec::new(),
            oauth: None,
            proof_algorithms: &[],
            tls: None,
            tls_look: LOOK,
            head_time: HEAD_TIME,
            idle_time: IDLE_TIME,
            body_time: BODY_TIME,
            write_time: WRITE_TIME,
            drain_time: DRAIN_TIME,
            listen_pause: LISTEN_PAUSE,
            connections: CONNECTIONS,
            calls: CALLS,
            calls_each: CALLS_EACH,
        }
    }
}
