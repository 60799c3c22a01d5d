//! Fresh previews that approvers request and the gateway makes. Requests and results are only in
//! memory. If a preview is late, the approver gets the reason.

use crate::waiters::locked;
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::operator_recorder::FreshPreview;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// The time limit of one preview: enough for a slow viewer, and acceptable for a person.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most requests that wait at once: each is a person at a terminal.
const WAITING: usize = 32;

/// The requested previews.
#[derive(Default)]
pub(crate) struct FreshPreviews {
    asked: Mutex<VecDeque<CallId>>,
    answers: Mutex<HashMap<CallId, Vec<oneshot::Sender<FreshPreview>>>>,
    news: watch::Sender<()>,
}

impl FreshPreviews {
    /// Requests a preview and waits for it.
    pub async fn ask(&self, call: &CallId) -> FreshPreview {
        let (send, receive) = oneshot::channel();
        {
            let mut answers = locked(&self.answers);
            // Earlier requesters may have left.
            answers.retain(|_, waiting| {
                waiting.retain(|sender| !sender.is_closed());
                !waiting.is_empty()
            });
            if answers.values().map(Vec::len).sum::<usize>() >= WAITING {
                return FreshPreview::Not {
                    why: "too many approvers request a preview at the moment; try again".to_owned(),
                };
            }
            answers.entry(call.clone()).or_default().push(send);
        }
        locked(&self.asked).push_back(call.clone());
        self.news.send_replace(());
        match timeout(PATIENCE, receive).await {
            Ok(Ok(seen)) => seen,
            _ => {
                FreshPreview::Not { why: "the gateway did not make the preview in time".to_owned() }
            }
        }
    }

    /// The next call that needs a preview, if there is one.
    pub fn next(&self) -> Option<CallId> {
        let mut asked = locked(&self.asked);
        let call = asked.pop_front()?;
        // One preview serves all requests for the same call.
        asked.retain(|other| *other != call);
        Some(call)
    }

    /// Changes when a request may be waiting.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Sends the preview to all requesters of this call.
    pub fn answer(&self, call: &CallId, seen: &FreshPreview) {
        for waiting in locked(&self.answers).remove(call).into_iter().flatten() {
            // A requester that left needs no result.
            let _gone = waiting.send(seen.clone());
        }
    }
}
