//! Submission: the one place that passes a request which may change the infrastructure to the
//! Front. A client that goes away never cancels its call: the call runs in its own task, and its
//! proof is in the ledger even if the response is lost. Only its wait ends.

use crate::calls::Place;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::shares::Used;
use cofferdam_core::journey::ports::{Front, FrontCall, ProgressSink, no_progress};
use cofferdam_core::model::answer::Reply;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::limit::{LOOK_MS, WAIT_MS};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tracing::{Instrument as _, Span};

/// Time beyond the longest hold, for planning, preview and policy. With it, a response still comes
/// before clients give up at 60 s.
const MARGIN: Duration = Duration::from_secs(12);

/// A request to the Front, other than a list.
#[derive(Debug)]
pub enum Submission {
    /// A tool call.
    Call(FrontCall),
    /// A preview of a tool call.
    Preview(FrontCall),
    /// A question about a job of the caller.
    Job {
        /// The caller, who owns the job.
        principal: Principal,
        /// The id of the call.
        call: CallId,
        /// The longest hold of the response, in milliseconds.
        wait_ms: u64,
    },
    /// A list of the caller's own calls.
    Calls {
        /// The caller, who owns the calls.
        principal: Principal,
        /// True for calls without an outcome only.
        open: bool,
        /// The most calls in the list.
        limit: u32,
    },
    /// A withdrawal of a call.
    Cancel {
        /// The caller, who owns the call.
        principal: Principal,
        /// The id of the call.
        call: CallId,
    },
}

impl Submission {
    fn principal(&self) -> &Principal {
        match self {
            Self::Call(call) | Self::Preview(call) => &call.principal,
            Self::Job { principal, .. }
            | Self::Calls { principal, .. }
            | Self::Cancel { principal, .. } => principal,
        }
    }
}

/// A call in progress. Dropping it ends the wait and not the call.
pub type PendingReply = Pin<Box<dyn Future<Output = Result<Reply, Deny>> + Send>>;

/// The places of one request: a call runs, then it may be held.
struct Places {
    /// The place of a call, among all and among those of the caller. Given up when the call only
    /// waits.
    running: Option<(Place, Mutex<Option<Used>>)>,
    /// The place of a held request, among all and among those of the caller.
    _held: Option<(OwnedSemaphorePermit, Used)>,
}

impl Places {
    /// The request only waits from now on.
    fn hold(&self) {
        if let Some((place, used)) = &self.running {
            place.free();
            drop(used.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

impl<F: Front> Edge<F> {
    /// Submits a request and waits for the reply.
    pub async fn submit(&self, ask: Submission, span: Span) -> Result<Reply, Deny> {
        self.begin(ask, span, Box::new(no_progress))?.await
    }

    /// Submits a request in a task of its own, within the limits of all requests and those of the
    /// caller. A call of a client that is gone goes on until its job is stored; then its wait ends.
    /// The call drops `progress` at its end.
    pub fn begin(
        &self,
        mut ask: Submission,
        span: Span,
        progress: Box<ProgressSink>,
    ) -> Result<PendingReply, Deny> {
        let places = Arc::new(self.places(&mut ask)?);
        let open = self.open.clone();
        let front = Arc::clone(&self.front);
        let held = Arc::new(Notify::new());
        let (client, gone) = oneshot::channel::<Infallible>();
        if matches!(ask, Submission::Job { .. }) {
            held.notify_one();
        }
        // The first line comes when the job is stored.
        let (of_sink, waits) = (Arc::clone(&places), Arc::clone(&held));
        let sink = move |line| {
            of_sink.hold();
            waits.notify_one();
            progress(line);
        };
        let work = async move {
            let left = async {
                held.notified().await;
                let _gone = gone.await;
            };
            tokio::select! {
                biased;
                reply = carried_out(&*front, ask, &sink) => {
                    drop((places, open, sink));
                    Some(reply)
                }
                () = left => {
                    drop((open, sink));
                    // The other roles notice after this time that the wait is over.
                    tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
                    drop(places);
                    None
                }
            }
        };
        let task = tokio::spawn(work.instrument(span));
        Ok(Box::pin(async move {
            let _client = client;
            match tokio::time::timeout(Duration::from_millis(WAIT_MS) + MARGIN, task).await {
                Ok(Ok(Some(reply))) => Ok(reply),
                Ok(Ok(None)) | Err(_) => Err(Deny::Unanswered),
                Ok(Err(_panicked)) => Err(Deny::Broken),
            }
        }))
    }

    /// Takes the places of a request. A call that could not be held is answered at once.
    fn places(&self, ask: &mut Submission) -> Result<Places, Deny> {
        if let Submission::Job { principal, wait_ms: 1.., .. } = ask {
            let used = self.shares.wait(principal)?;
            let place = Arc::clone(&self.waits).try_acquire_owned().map_err(|_| Deny::Busy)?;
            return Ok(Places { running: None, _held: Some((place, used)) });
        }
        let used = self.shares.call(ask.principal())?;
        let begins = matches!(ask, Submission::Call(_) | Submission::Preview(_));
        let running = Some((self.calls.enter(begins)?, Mutex::new(Some(used))));
        let Submission::Call(call) = ask else { return Ok(Places { running, _held: None }) };
        let free = || Arc::clone(&self.waits).try_acquire_owned().ok();
        let held = free().zip(self.shares.wait_of_call(&call.principal));
        if held.is_none() {
            (call.wait_ms, call.person_ms) = (0, 0);
        }
        Ok(Places { running, _held: held })
    }
}

/// Passes a request to the Front.
async fn carried_out<F: Front>(front: &F, ask: Submission, progress: &ProgressSink) -> Reply {
    match ask {
        Submission::Call(call) => front.call(call, progress).await,
        Submission::Preview(call) => front.preview(call).await,
        Submission::Job { principal, call, wait_ms } => {
            front.job(&principal, &call, wait_ms, progress).await
        }
        Submission::Calls { principal, open, limit } => front.calls(&principal, open, limit).await,
        Submission::Cancel { principal, call } => front.cancel(&principal, &call).await,
    }
}
