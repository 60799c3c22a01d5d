//! Progress of a held call, for a client that asked for it: the answer becomes the POST's own event
//! stream as soon as there is something to tell, and its last event is the result. A call that ends
//! before is answered as any other. Remembers nothing of a stream: what a client missed, `job_get`
//! tells.

use super::{Responder, accepts};
use crate::deny::Deny;
use crate::respond::{self, Answer};
use crate::submit::Held;
use cofferdam_core::model::answer::Reply;
use hyper::HeaderMap;
use hyper::body::Bytes;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Span;

/// Characters of a progress token: a UUID and whatever a client puts before it. Each event repeats
/// it.
const TOKEN_LONGEST: usize = 256;

/// Lines that wait for a client that reads slowly; further ones are lost.
pub const LINES: usize = 64;

/// Events on their way that the connection has not taken.
const EVENTS: usize = 4;

/// After this long without an event a comment shows that the stream lives: well before what stands
/// between gives it up.
const ALIVE: Duration = Duration::from_secs(15);

/// Such a comment; no client reads it.
const COMMENT: &[u8] = b": the call goes on\n\n";

/// The client's progress token; none where it wants no progress, or takes no event streams.
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

/// What is to be told about one call.
pub struct Telling {
    /// The client's token.
    pub token: Value,
    /// How its request is answered.
    pub responder: Responder,
    /// The call's span.
    pub span: Span,
}

impl Telling {
    /// The event stream that begins with this line. Runs by itself from here on; whether anybody
    /// reads is nothing to the call.
    pub fn stream(self, first: String, lines: mpsc::Receiver<String>, held: Held) -> Answer {
        let (events, body) = mpsc::channel(EVENTS);
        tokio::spawn(self.tell(first, lines, held, events));
        respond::events(body)
    }

    /// Ends with the call, or with the client: nothing more is told to one that closed the stream.
    async fn tell(
        self,
        first: String,
        mut lines: mpsc::Receiver<String>,
        mut held: Held,
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
                    // Every line comes before the result: their sender ends with the call.
                    biased;
                    line = lines.recv() => break line,
                    reply = &mut held => return self.end(reply, &events).await,
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

    async fn end(&self, reply: Result<Reply, Deny>, events: &mpsc::Sender<Bytes>) {
        let _reader_gone = events.send(event(&self.responder.response(reply, &self.span))).await;
    }

    fn notification(&self, number: u64, line: &str) -> Value {
        let params = json!({"progressToken": self.token, "progress": number, "message": line});
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    }
}

/// One message as an event. JSON has no line breaks of its own.
fn event(message: &Value) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}
