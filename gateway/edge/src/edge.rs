//! The state of the edge that every request shares: the Front, settings, checks and counts. Handles
//! no request.

use crate::calls::Calls;
use crate::host_origin::HostOrigin;
use crate::listed::Listed;
use crate::mcp::request_state::RequestStates;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::people::Files;
use crate::proxies::Proxies;
use crate::settings::EdgeSettings;
use crate::shares::Shares;
use cofferdam_core::journey::ports::Readiness;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, Semaphore, mpsc};

/// The state that all requests share.
#[derive(Debug)]
pub struct Edge<F> {
    /// The port to the journey.
    pub front: Arc<F>,
    /// The configured limits and names.
    pub settings: EdgeSettings,
    /// The check of `Host` and `Origin`.
    pub host_origin: HostOrigin,
    /// The limit of calls in progress.
    pub calls: Calls,
    /// The places of held requests.
    pub waits: Arc<Semaphore>,
    /// The places of the console's streams.
    pub streams: Arc<Semaphore>,
    /// The places of the console's files.
    pub files: Files,
    /// The places of refused requests of proxies whose body is awaited.
    pub refused: Semaphore,
    /// Requests without a valid token, by address.
    pub peers: Peers,
    /// Requests for the pages that cost work, by address. Other requests take nothing from them.
    pub probes: Peers,
    /// The last readiness that was told to a client over the rate of probes, with its time.
    pub readiness: Mutex<Option<(Instant, Readiness)>>,
    /// The trusted proxies.
    pub proxies: Proxies,
    /// The share of each caller.
    pub shares: Arc<Shares>,
    /// A copy is in every call in progress: the stop waits until all are dropped.
    pub open: mpsc::Sender<Infallible>,
    /// Counts of requests.
    pub metrics: Metrics,
    /// The states that clients carry.
    pub states: Arc<RequestStates>,
    /// The tools as lists show them.
    pub listed: Listed,
}
