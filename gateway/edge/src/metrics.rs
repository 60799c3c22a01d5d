//! Counts that the edge keeps for `/metrics`: requests in progress, and the clients that name two MCP
//! revisions in one request. Such a client has a defect, and its operator has to learn which client
//! it is. The Front counts the responses.

use crate::deny::Deny;
use crate::mcp::message::Message;
use cofferdam_core::journey::ports::Front;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most names of clients that are counted. Further ones are `other`.
const CLIENTS: usize = 32;

/// The longest name of a client, in characters.
const CLIENT_LENGTH: usize = 40;

/// The counts of one server.
#[derive(Debug, Default)]
pub struct Metrics {
    active: AtomicU32,
    mixed: Mutex<BTreeSet<String>>,
}

/// One request in progress. The request ends when this is dropped.
pub struct ActiveRequest<'a, F: Front> {
    metrics: &'a Metrics,
    front: &'a F,
}

impl Metrics {
    /// Counts one more request in progress.
    pub fn begin_request<'a, F: Front>(&'a self, front: &'a F) -> ActiveRequest<'a, F> {
        front.active(self.active.fetch_add(1, Ordering::SeqCst) + 1);
        ActiveRequest { metrics: self, front }
    }

    /// Counts a refused request that named two revisions, by the name that its client gives itself.
    /// Logs the first request of each client. Call it for authenticated requests only.
    pub fn count_mixed_revisions(&self, front: &impl Front, deny: &Deny, message: &Message) {
        let Deny::Mixed { header, body } = deny else { return };
        let info = message.meta.get("io.modelcontextprotocol/clientInfo");
        let name =
            info.and_then(|info| info.get("name")).and_then(Value::as_str).unwrap_or("unnamed");
        let (name, is_new) = self.client(clean(name));
        front.mixed_revisions(&name);
        if is_new {
            tracing::warn!(
                client = name,
                detail = format!("{header} in its header, {body} in its body"),
                "a client names two MCP revisions in one request and is refused; update the client"
            );
        }
    }

    /// The name under which a client is counted, and whether it is counted for the first time.
    fn client(&self, name: String) -> (String, bool) {
        let mut known = self.mixed.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = known.len() < CLIENTS || known.contains(&name);
        let name = if has_room { name } else { "other".to_owned() };
        let is_new = known.insert(name.clone());
        (name, is_new)
    }
}

impl<F: Front> Drop for ActiveRequest<'_, F> {
    fn drop(&mut self) {
        self.front.active(self.metrics.active.fetch_sub(1, Ordering::SeqCst).saturating_sub(1));
    }
}

/// A client's name as a label: letters, digits and few marks, at most [`CLIENT_LENGTH`] characters.
fn clean(name: &str) -> String {
    let kept = |letter: char| {
        if letter.is_ascii_alphanumeric() || "-._/ ".contains(letter) { letter } else { '_' }
    };
    name.chars().take(CLIENT_LENGTH).map(kept).collect()
}
