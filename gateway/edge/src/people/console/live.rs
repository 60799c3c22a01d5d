//! `/console/changes`: new and changed calls of a list, as server-sent events. The session is checked
//! before each event, and the stream ends with it. Stores nothing: a browser that comes back says
//! in `Last-Event-ID` how far it is.

use super::Visit;
use super::held::{Held, Holds};
use super::query::Query;
use super::row::Line;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::single;
use crate::mcp::progress::{ALIVE, COMMENT};
use crate::people::layout;
use crate::respond::{self, Answer};
use crate::shares::Used;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::call_row::CallChanges;
use cofferdam_core::model::limit::LOOK_MS;
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk};
use hyper::body::Bytes;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

/// Most events that wait for the connection.
const EVENTS: usize = 4;

/// The pause of a browser before it comes back, in milliseconds.
const RETRY_MS: u64 = 3_000;

/// One open stream.
struct Stream<F> {
    front: Arc<F>,
    held: Held,
    filter: CallFilter,
    beyond: u64,
    pause: Duration,
    draining: watch::Receiver<bool>,
    _places: (Used, OwnedSemaphorePermit),
}

/// The end of a stream that the browser has to tell its person.
struct Over(String);

impl<F: Front> Edge<F> {
    /// Opens a stream.
    pub(super) fn changes(&self, visit: &Visit<'_>) -> Result<Answer, Deny> {
        let headers = &visit.parts.headers;
        let query = Query::read(visit.parts.uri.query().unwrap_or_default(), self.front.now())?;
        if query.before.is_some() {
            return Err(Deny::Params(
                "`before` is for a page of the list alone; remove it from the address".to_owned(),
            ));
        }
        let resumed = single(headers, "last-event-id")?.map(|text| {
            text.parse::<u64>().map_err(|_| Deny::BadHeader {
                name: "last-event-id",
                error: "is not an id from this server; load the page again".to_owned(),
            })
        });
        let beyond = resumed.transpose()?.or(query.beyond);
        let beyond = beyond.ok_or_else(|| {
            Deny::Params("the stream needs `beyond`, which the page of the list has".to_owned())
        })?;
        if self.calls.is_draining() {
            return Err(Deny::Stopping);
        }
        let held = Held::of(self, visit)?;
        let share = self.shares.stream(&visit.sharer)?;
        let place = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| Deny::Busy)?;
        let stream = Stream {
            front: Arc::clone(&self.front),
            held,
            filter: query.filter,
            beyond,
            pause: self.settings.listen_pause,
            draining: self.calls.draining(),
            _places: (share, place),
        };
        let (events, body) = mpsc::channel(EVENTS);
        tokio::spawn(stream.run(events));
        Ok(layout::guarded(respond::events(body)))
    }
}

impl<F: Front> Stream<F> {
    /// Tells changes until the browser closes the stream, the session ends, or the server drains.
    async fn run(mut self, events: mpsc::Sender<Bytes>) {
        let mut draining = self.draining.clone();
        let mut told = Instant::now();
        // The first event is at once: a browser then knows that the stream is open.
        let mut next = Some(Bytes::from(format!("retry: {RETRY_MS}\n\n")));
        loop {
            if let Some(event) = next.take() {
                told = Instant::now();
                if events.send(event).await.is_err() {
                    return;
                }
            }
            next = tokio::select! {
                biased;
                () = events.closed() => return,
                () = drained(&mut draining) => return,
                news = self.news() => match news {
                    Ok(news) => news,
                    Err(Over(why)) => {
                        let end = format!("event: over\ndata: {}\n\n", json!({"why": why}));
                        let _reader_gone = events.send(end.into()).await;
                        return;
                    }
                },
            };
            if next.is_none() && told.elapsed() >= ALIVE {
                next = Some(Bytes::from_static(COMMENT));
            }
        }
    }

    /// The next changes; `None` if there are none for a while.
    async fn news(&mut self) -> Result<Option<Bytes>, Over> {
        let (filter, beyond) = (self.filter.clone(), self.beyond);
        let ask = ConsoleAsk::Changes { filter, beyond, wait_ms: LOOK_MS };
        let answer = self.front.ask_at_console(&self.held.person, ask).await;
        // Bounds the looks of one stream, whatever the answers are.
        tokio::time::sleep(self.pause).await;
        match self.held.holds(&*self.front) {
            Holds::Yes => {}
            Holds::No => return Err(Over("your sign-in is over; load the page again".to_owned())),
            // The changes are asked for again.
            Holds::Unknown => return Ok(None),
        }
        match answer {
            Ok(ConsoleAnswer::Changes(changes)) => {
                self.beyond = changes.through;
                Ok((!changes.rows.is_empty() || !changes.left.is_empty()).then(|| event(&changes)))
            }
            Ok(ConsoleAnswer::Refused { why, .. }) => Err(Over(why)),
            // The recorder may be started again at present.
            _ => Ok(None),
        }
    }
}

/// Waits until the server drains.
async fn drained(draining: &mut watch::Receiver<bool>) {
    // The sender exists until the server ends.
    let _drains = draining.wait_for(|draining| *draining).await;
}

/// Changes as one event. JSON has no line break.
fn event(changes: &CallChanges) -> Bytes {
    let rows: Vec<Line> = changes.rows.iter().map(Line::of).collect();
    let data = json!({"rows": rows, "left": changes.left});
    format!("id: {}\nevent: calls\ndata: {data}\n\n", changes.through).into()
}
