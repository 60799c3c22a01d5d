//! Progress of a held call, for a client that asked for it. The response becomes the event stream
//! of the POST when there is progress, and its last event is the result. A call that ends before
//! gets a usual response. Remembers nothing of a stream: after a lost event, `job_get` returns the
//! state.

use super::task::PendingResult;
use super::{Responder, accepts};
use crate::deny::Deny;
use crate::respond::{self, Answer};
use hyper::HeaderMap;
use hyper::body::Bytes;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Span;

/// Longest progress token, in characters: a UUID and a prefix of the client. Each event repeats it.
const TOKEN_LONGEST: usize = 256;

/// Most lines that wait for a slow client. Further lines are lost.
pub const LINES: usize = 64;

/// Most events that wait for the connection.
const EVENTS: usize = 4;

/// After this time without an event, a comment shows that the stream lives: well before proxies
/// give it up.
pub const ALIVE: Duration = Duration::from_secs(15);

/// The comment, which clients ignore.
pub const COMMENT: &[u8] = b": still here\n\n";

/// Returns the client's progress token, or `None` if it wants no progress or accepts no event
/// streams.
pub fn token(headers: &HeaderMap, meta: &Map<String, Value>) -> Result<Option<Value>, Deny> {
    let token = match meta.get("progressToken") {
        None => return Ok(None),
        Some(token @ Value::String(text)) if text.chars().count() <= TOKEN_LONGEST => token,
        Some(token @ Value::Number(number)) if number.is_i64() || number.is_u64() => token,
        Some(_) => {
            return Err(Deny::Meta(
                "`progressToken` must be a whole number, or a string of at most 256 characters",
            ));
        }
    };
    Ok(accepts(headers, "text/event-stream").then(|| token.clone()))
}

/// The parts of the event stream of one call.
pub struct EventStream {
    /// The progress token of the client.
    pub token: Value,
    /// The form of the response to the client's request.
    pub responder: Responder,
    /// The span of the call.
    pub span: Span,
}

impl EventStream {
    /// Creates the event stream that begins with this line. It runs by itself; the call goes on
    /// even if the client stops reading.
    pub fn stream(
        self,
        first: String,
        lines: mpsc::Receiver<String>,
        held: PendingResult,
    ) -> Answer {
        let (events, body) = mpsc::channel(EVENTS);
        tokio::spawn(self.tell(first, lines, held, events));
        respond::events(body)
    }

    /// Sends events until the call ends or the client closes the stream.
    async fn tell(
        self,
        first: String,
        mut lines: mpsc::Receiver<String>,
        mut held: PendingResult,
        events: mpsc::Sender<Bytes>,
    ) {
        let mut told = 0_u64;
        let mut next = Some(first);
        while let Some(line) = next.take() {
            told += 1;
            if events.send(event(&self.notification(told, &line))).await.is_err() {
                return;
            }
            next = loop {
                tokio::select! {
                    // Every line comes before the result: the sender of lines ends with the call.
                    biased;
                    line = lines.recv() => break line,
                    result = &mut held => return self.end(result, &events).await,
                    () = events.closed() => return,
                    () = tokio::time::sleep(ALIVE) => {
                        if events.send(Bytes::from_static(COMMENT)).await.is_err() {
                            return;
                        }
                    }
                }
            };
        }
        self.end(held.await, &events).await;
    }

    async fn end(&self, result: Result<Map<String, Value>, Deny>, events: &mpsc::Sender<Bytes>) {
        let _reader_gone = events.send(event(&self.responder.response(result, &self.span))).await;
    }

    fn notification(&self, number: u64, line: &str) -> Value {
        let params = json!({"progressToken": self.token, "progress": number, "message": line});
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    }
}

/// One message as an event. The JSON has no line breaks.
pub fn event(message: &Value) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}
