//! The state of the edge that every request shares: the Front, settings, checks and counts. Handles
//! no request.

use crate::calls::Calls;
use crate::host_origin::HostOrigin;
use crate::metrics::Count;
use crate::settings::EdgeSettings;
use crate::shares::Shares;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::mpsc;

/// Everything a request needs.
#[derive(Debug)]
pub struct Edge<F> {
    /// What answers.
    pub front: Arc<F>,
    /// What the edge was told.
    pub settings: EdgeSettings,
    /// Whom it answers.
    pub host_origin: HostOrigin,
    /// Calls in progress.
    pub calls: Calls,
    /// What each caller uses.
    pub shares: Shares,
    /// Held by every call in progress: the stop waits until all are dropped.
    pub open: mpsc::Sender<Infallible>,
    /// Answers so far.
    pub count: Count,
    /// Requests that are being answered now.
    pub active: AtomicU32,
}

/// One of the requests that are being answered; counted until this is dropped, however it ends.
pub struct Active<'a>(&'a AtomicU32);

impl<'a> Active<'a> {
    /// Counts one more.
    pub fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
