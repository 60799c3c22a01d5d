//! `/console/calls.csv` and `/console/calls.jsonl`: the whole list with its filter as a file. Sent page
//! by page, so that a long list takes little memory. The last line of an incomplete file says that
//! it is incomplete, and its response breaks off.

use super::Visit;
use super::files::FilePlace;
use super::held::{Held, Holds};
use super::query::Query;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::path::ConsolePage;
use crate::people::layout;
use crate::respond::{self, Answer, BrokenOff};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::call_row::{CallCursor, CallPage, CallRow};
use cofferdam_core::protocol::console::{CALLS_MOST, ConsoleAnswer, ConsoleAsk};
use cofferdam_core::text::audit::{csv_head, csv_line};
use hyper::body::Bytes;
use hyper::header::CONTENT_DISPOSITION;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Most parts of the file that wait for the connection.
const PARTS: usize = 2;

/// The longest time of a file: a million calls over a slow line.
const TIME: Duration = Duration::from_secs(600);

/// A file on its way.
struct Export<F> {
    front: Arc<F>,
    held: Held,
    filter: CallFilter,
    csv: bool,
    _place: FilePlace,
}

impl<F: Front> Edge<F> {
    /// Sends the list.
    pub(super) async fn export(&self, visit: &Visit<'_>) -> Result<Answer, Deny> {
        let query = Query::read(visit.parts.uri.query().unwrap_or_default(), self.front.now())?;
        if query.before.is_some() || query.beyond.is_some() {
            return Err(Deny::Params(
                "a file is the whole list: remove `before` and `beyond` from the address"
                    .to_owned(),
            ));
        }
        let place = self.files.take(&visit.sharer.name)?;
        // A refusal of the first page is the answer, and no file.
        let first = self.page_of_calls(visit, &query, CALLS_MOST).await?;
        let behind = first.entries.saturating_sub(first.through);
        if behind > 0 {
            let why =
                format!("the list lacks the newest {behind} ledger entries; try again in a moment");
            return Err(Deny::Queue { why, seconds: 5 });
        }
        let csv = visit.page == ConsolePage::CallsCsv;
        let export = Export {
            front: Arc::clone(&self.front),
            held: Held::of(self, visit)?,
            filter: query.filter,
            csv,
            _place: place,
        };
        let (parts, body) = mpsc::channel(PARTS);
        tokio::spawn(export.run(first, parts));
        let (media, name) = if csv {
            ("text/csv; charset=utf-8; header=present", "attachment; filename=\"calls.csv\"")
        } else {
            ("application/x-ndjson", "attachment; filename=\"calls.jsonl\"")
        };
        let answer = respond::parts(media, body);
        Ok(layout::guarded(respond::add(answer, CONTENT_DISPOSITION, name)))
    }
}

/// The part of a file, or its early end.
type Part = Result<Bytes, BrokenOff>;

impl<F: Front> Export<F> {
    /// Sends the file. A reader must not take a part for the whole.
    async fn run(self, first: CallPage, parts: mpsc::Sender<Part>) {
        let sent = tokio::time::timeout(TIME, self.send(first, &parts)).await;
        let why = match sent {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => "the file took longer than ten minutes; take a shorter time",
        };
        // A reader that takes nothing gets neither.
        if parts.try_send(Ok(self.broken(why).into())).is_ok() {
            let _reader_gone = parts.send(Err(BrokenOff)).await;
        }
    }

    /// Sends page after page, until the end of the list or until the client leaves.
    async fn send(&self, first: CallPage, parts: &mpsc::Sender<Part>) -> Result<(), &'static str> {
        let mut page = first;
        let mut text = if self.csv { csv_head() } else { String::new() };
        loop {
            text.extend(page.rows.iter().map(|row| self.line(row)));
            if parts.send(Ok(std::mem::take(&mut text).into())).await.is_err() {
                return Ok(());
            }
            let Some(before) = page.before else { return Ok(()) };
            if self.held.holds(&*self.front) == Holds::No {
                return Err("your sign-in is over; sign in again");
            }
            page = self.next(before).await.ok_or("the recorder did not answer; try again")?;
        }
    }

    async fn next(&self, before: CallCursor) -> Option<CallPage> {
        let filter = self.filter.clone();
        let ask = ConsoleAsk::Calls { filter, before: Some(before), limit: CALLS_MOST };
        match self.front.ask_at_console(&self.held.person, ask).await {
            Ok(ConsoleAnswer::Calls(page)) => Some(page),
            _ => None,
        }
    }

    fn line(&self, row: &CallRow) -> String {
        if self.csv {
            return csv_line(row);
        }
        let line = serde_json::to_string(row).unwrap_or_default();
        format!("{line}\n")
    }

    /// The last line of an incomplete file.
    fn broken(&self, why: &str) -> String {
        if self.csv {
            format!("\"incomplete: {why}\"\r\n")
        } else {
            format!("{}\n", json!({"error": format!("incomplete: {why}")}))
        }
    }
}
