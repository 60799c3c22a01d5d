//! The one place that hands the Front something that may change the world. A call that was started
//! is never cancelled by its client going away: it runs in its own task, and its proof is in the
//! ledger whether or not anybody reads the answer.

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

/// Beyond the longest hold: time for planning, preview and policy. With it, an answer still comes
/// before clients give up at 60 s.
const MARGIN: Duration = Duration::from_secs(12);

/// What a client may ask of the Front besides lists.
#[derive(Debug)]
pub enum Submission {
    /// A tool call.
    Call(FrontCall),
    /// The same, only shown.
    Preview(FrontCall),
    /// A job of the caller's own.
    Job {
        /// Whose.
        principal: Principal,
        /// Which.
        call: CallId,
        /// Held so long, in milliseconds.
        wait_ms: u64,
    },
    /// The caller's own calls.
    Calls {
        /// Whose.
        principal: Principal,
        /// Only those without an outcome.
        open: bool,
        /// At most so many.
        limit: u32,
    },
    /// Withdraws one.
    Cancel {
        /// Whose.
        principal: Principal,
        /// Which.
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

/// A call under way. Dropping it ends the wait and not the call.
pub type Held = Pin<Box<dyn Future<Output = Result<Reply, Deny>> + Send>>;

impl<F: Front> Edge<F> {
    /// Asks, and waits for the reply.
    pub async fn submit(&self, ask: Submission, span: Span) -> Result<Reply, Deny> {
        self.begin(ask, span, Box::new(no_progress))?.await
    }

    /// Asks, in a task of its own; at most `calls` of them at once, and of one caller its share,
    /// abandoned ones included. `progress` ends with the call.
    pub fn begin(
        &self,
        ask: Submission,
        span: Span,
        progress: Box<ProgressSink>,
    ) -> Result<Held, Deny> {
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
