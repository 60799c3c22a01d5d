//! The settings of the edge, and its default limits. Never read from the environment; each limit is
//! a named constant.

use crate::rate::Rate;
use crate::shares::CallerLimits;
use crate::tls::{LOOK, Tls};
use cofferdam_core::model::cidr::Block;
use cofferdam_core::model::relying_party::RelyingParty;
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::protocol::role_settings::OauthSettings;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

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

/// Most calls at once, even if their client is gone.
pub const CALLS: usize = 512;

/// Most requests that are held at once for a person or a job. They take no place of a call. With the
/// calls, they are the requests that the recorder handles at once.
pub const WAITS: usize = 512;

/// The default limits of one caller. Sixty people with ten clients each send fewer requests. Four
/// callers that use all their places fill the limits of all.
pub const EACH: CallerLimits = CallerLimits {
    rate: Rate { per_second: 200, burst: 2_000 },
    calls: CALLS / 4,
    waits: WAITS / 4,
};

/// The default rate of requests without a valid token of one address: probes, and clients that look
/// around before they send their token.
pub const WITHOUT_TOKEN: Rate = Rate { per_second: 50, burst: 500 };

/// Time limit of the body of a request that is over a limit, or that a proxy passes on and that is
/// refused: the body is read for its id alone, and is there at once unless its sender is slow.
/// Requests of proxies have this time while few of them are held.
pub const REFUSED_TIME: Duration = Duration::from_millis(200);

/// The pause before a response that refuses a caller over its limit: a client in a loop costs no
/// more than a slow one. Its connection gives way to others meanwhile. A proxy's connection never
/// gives way, so its responses have no pause.
pub const OVER_LIMIT_PAUSE: Duration = Duration::from_millis(200);

/// Of all connections, one in this many may be a proxy's that waits for the body of a refused
/// request. With more of them, such a body is read for [`BUFFERED_TIME`].
pub const REFUSED_SHARE: usize = 8;

/// Time limit of a body that arrived together with its head.
pub const BUFFERED_TIME: Duration = Duration::from_millis(5);

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
    /// The address to which people's passkeys belong; `None` if browsers offer none there.
    pub party: Option<RelyingParty>,
    /// True if a proxy is in front: names of loopback are then no names of this server, because a
    /// peer on this machine may be that proxy.
    pub behind_proxy: bool,
    /// The issuers of access tokens, for metadata and challenges.
    pub oauth: Option<OauthSettings>,
    /// The algorithms of proofs of a sender's key, for metadata and challenges.
    pub proof_algorithms: &'static [&'static str],
    /// TLS; `None` for plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// The pause between two looks at the files of TLS.
    pub tls_look: Duration,
    /// The proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<Block>,
    /// The rate of requests without a valid token of one address.
    pub without_token: Rate,
    /// Time limit of a request head, and of a handshake before it.
    pub head_time: Duration,
    /// Longest idle time of a kept connection.
    pub idle_time: Duration,
    /// Time limit of a request body.
    pub body_time: Duration,
    /// Time limit of the body of a refused request that does not get the time of a body.
    pub refused_time: Duration,
    /// The pause before a response that refuses a caller over its limit.
    pub over_limit_pause: Duration,
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
    /// Most requests that are held at once.
    pub waits: usize,
    /// The limits of each caller.
    pub each: CallerLimits,
    /// The limits of roles, which take the place of those of each caller. They may change.
    pub role_limits: watch::Receiver<Arc<RoleLimits>>,
}

impl EdgeSettings {
    /// The limits above, for clients on loopback only.
    pub fn local() -> Self {
        Self {
            hosts: Vec::new(),
            origins: Vec::new(),
            party: None,
            behind_proxy: false,
            oauth: None,
            proof_algorithms: &[],
            tls: None,
            tls_look: LOOK,
            trusted_proxies: Vec::new(),
            without_token: WITHOUT_TOKEN,
            head_time: HEAD_TIME,
            idle_time: IDLE_TIME,
            body_time: BODY_TIME,
            refused_time: REFUSED_TIME,
            over_limit_pause: OVER_LIMIT_PAUSE,
            write_time: WRITE_TIME,
            drain_time: DRAIN_TIME,
            listen_pause: LISTEN_PAUSE,
            connections: CONNECTIONS,
            calls: CALLS,
            waits: WAITS,
            each: EACH,
            role_limits: watch::channel(Arc::default()).1,
        }
    }
}
