//! Submission: the one place that passes a request which may change the infrastructure to the
//! Front. A client that goes away never cancels its call: the call runs in its own task, and its
//! proof is in the ledger even if the response is lost.

use crate::deny::Deny;
use crate::edge::Edge;
use cofferdam_core::journey::ports::{Front, FrontCall, ProgressSink, no_progress};
use cofferdam_core::model::answer::Reply;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::limit::WAIT_MS;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
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

impl<F: Front> Edge<F> {
    /// Submits a request and waits for the reply.
    pub async fn submit(&self, ask: Submission, span: Span) -> Result<Reply, Deny> {
        self.begin(ask, span, Box::new(no_progress))?.await
    }

    /// Submits a request in a task of its own, within the limit of all calls and the share of the
    /// caller. Abandoned calls count until they end. The call drops `progress` at its end.
    pub fn begin(
        &self,
        ask: Submission,
        span: Span,
        progress: Box<ProgressSink>,
    ) -> Result<PendingReply, Deny> {
        let used = self.shares.call(ask.principal())?;
        let permit =
            self.calls.enter(matches!(ask, Submission::Call(_) | Submission::Preview(_)))?;
        let open = self.open.clone();
        let front = Arc::clone(&self.front);
        let work = async move {
            let reply = match ask {
                Submission::Call(call) => front.call(call, &*progress).await,
                Submission::Preview(call) => front.preview(call).await,
                Submission::Job { principal, call, wait_ms } => {
                    front.job(&principal, &call, wait_ms, &*progress).await
                }
                Submission::Calls { principal, open, limit } => {
                    front.calls(&principal, open, limit).await
                }
                Submission::Cancel { principal, call } => front.cancel(&principal, &call).await,
            };
            drop((permit, used, open, progress));
            reply
        };
        let task = tokio::spawn(work.instrument(span));
        Ok(Box::pin(async move {
            match tokio::time::timeout(Duration::from_millis(WAIT_MS) + MARGIN, task).await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(_panicked)) => Err(Deny::Broken),
                Err(_elapsed) => Err(Deny::Unanswered),
            }
        }))
    }
}
