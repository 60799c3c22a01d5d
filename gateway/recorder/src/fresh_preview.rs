//! Fresh looks that approvers ask for and the gateway takes: each is one question with its answer,
//! in memory alone. A look that is not answered in time is answered with the reason.

use crate::waiters::locked;
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::operator_recorder::FreshPreview;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// How long an approver waits for one look: a viewer's slow answer, and no more, since a person
/// sits before it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks that wait at once, at most: each is a person at a terminal.
const WAITING: usize = 32;

/// Looks that were asked for.
#[derive(Default)]
pub(crate) struct FreshPreviews {
    asked: Mutex<VecDeque<CallId>>,
    answers: Mutex<HashMap<CallId, Vec<oneshot::Sender<FreshPreview>>>>,
    news: watch::Sender<()>,
}

impl FreshPreviews {
    /// Asks for one, and waits for its answer.
    pub async fn ask(&self, call: &CallId) -> FreshPreview {
        let (send, receive) = oneshot::channel();
        {
            let mut answers = locked(&self.answers);
            // Whoever asked earlier may have gone away.
            answers.retain(|_, waiting| {
                waiting.retain(|sender| !sender.is_closed());
                !waiting.is_empty()
            });
            if answers.values().map(Vec::len).sum::<usize>() >= WAITING {
                return FreshPreview::Not {
                    why: "too many people look at present; try again".to_owned(),
                };
            }
            answers.entry(call.clone()).or_default().push(send);
        }
        locked(&self.asked).push_back(call.clone());
        self.news.send_replace(());
        match timeout(PATIENCE, receive).await {
            Ok(Ok(seen)) => seen,
            _ => FreshPreview::Not { why: "the gateway did not look in time".to_owned() },
        }
    }

    /// The next call that has to be looked at, if there is one.
    pub fn next(&self) -> Option<CallId> {
        let mut asked = locked(&self.asked);
        let call = asked.pop_front()?;
        // One look answers all who ask for the same call.
        asked.retain(|other| *other != call);
        Some(call)
    }

    /// Changes when there may be one.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Answers all who asked for this call.
    pub fn answer(&self, call: &CallId, seen: &FreshPreview) {
        for waiting in locked(&self.answers).remove(call).into_iter().flatten() {
            // One that went away needs no answer.
            let _gone = waiting.send(seen.clone());
        }
    }
}
