//! Counting answers by path, status and error code, for `/metrics`: unauthenticated and malformed
//! requests leave this trace and no other. Only requests that name two revisions are counted by
//! what a client calls itself, for a bounded number of names: such a client is misbuilt, and its
//! operator has to learn which it is.

use crate::deny::Deny;
use crate::mcp::message::Message;
use crate::path::Route;
use hyper::StatusCode;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Names of clients that are counted; further ones are `other`.
const CLIENTS: usize = 32;

/// Characters of a client's name that are kept.
const CLIENT_LONGEST: usize = 40;

/// Answers so far.
#[derive(Debug, Default)]
pub struct Count {
    // Bounded: nine routes, some twenty statuses, nine codes.
    answers: Mutex<BTreeMap<(Route, u16, i64), u64>>,
    // Requests whose header names one revision and whose body another, by client.
    mixed: Mutex<BTreeMap<String, u64>>,
}

impl Count {
    /// One more.
    pub fn add(&self, route: Route, status: StatusCode, deny: Option<&Deny>) {
        let key = (route, status.as_u16(), deny.map_or(0, |deny| deny.row().code));
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(key).or_default() += 1;
    }

    /// One more request that named two revisions, by the name its client gives itself. Only for
    /// authenticated requests. The first one of each client is logged.
    pub fn refused_client(&self, deny: &Deny, message: &Message) {
        let Deny::Mixed { header, body } = deny else { return };
        let info = message.meta.get("io.modelcontextprotocol/clientInfo");
        let name =
            info.and_then(|info| info.get("name")).and_then(Value::as_str).unwrap_or("unnamed");
        let name = label(name);
        let mut mixed = self.mixed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = mixed.contains_key(&name);
        let name = if known || mixed.len() < CLIENTS { name } else { "other".to_owned() };
        let count = mixed.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(
                client = name,
                detail = format!("{header} in its header, {body} in its body"),
                "a client names two MCP revisions in one request, and is refused; update it"
            );
        }
    }

    /// In Prometheus' text format; the code is 0 where the edge refused nothing by itself.
    pub fn prometheus(&self) -> String {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let head = "# HELP cofferdam_edge_answers_total HTTP answers by route, status and the edge's own JSON-RPC error code.\n\
                    # TYPE cofferdam_edge_answers_total counter\n";
        let text = answers.iter().fold(head.to_owned(), |mut text, ((route, status, code), count)| {
            let _infallible =
                writeln!(text, "cofferdam_edge_answers_total{{route=\"{}\",status=\"{status}\",code=\"{code}\"}} {count}", route.name());
            text
        });
        drop(answers);
        let mixed = self.mixed.lock().unwrap_or_else(PoisonError::into_inner);
        if mixed.is_empty() {
            return text;
        }
        let head = "# HELP cofferdam_edge_mixed_revisions_total Requests refused because header and body name two revisions, by client.\n\
                    # TYPE cofferdam_edge_mixed_revisions_total counter\n";
        mixed.iter().fold(text + head, |mut text, (client, count)| {
            let _infallible = writeln!(
                text,
                "cofferdam_edge_mixed_revisions_total{{client=\"{client}\"}} {count}"
            );
            text
        })
    }
}

/// A client's name as a label: letters, digits and few marks, bounded.
fn label(name: &str) -> String {
    let kept = |letter: char| {
        if letter.is_ascii_alphanumeric() || "-._/ ".contains(letter) { letter } else { '_' }
    };
    name.chars().take(CLIENT_LONGEST).map(kept).collect()
}
