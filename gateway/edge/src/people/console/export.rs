//! `/console/calls.csv` and `/console/calls.jsonl`: the whole list with its filter as a file, line for
//! line as `cofferdam audit` writes it. Sent page by page, so that a long list takes little memory.

use super::Visit;
use super::query::Query;
use crate::calls::Place;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::path::ConsolePage;
use crate::people::layout;
use crate::respond::{self, Answer};
use crate::shares::Used;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::call_row::{CallCursor, CallPage, CallRow};
use cofferdam_core::model::console_role::ConsolePerson;
use cofferdam_core::protocol::console::{CALLS_MOST, ConsoleAnswer, ConsoleAsk};
use cofferdam_core::text::audit::{csv_head, csv_line};
use hyper::body::Bytes;
use hyper::header::CONTENT_DISPOSITION;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Most parts of the file that wait for the connection.
const PARTS: usize = 2;

/// A file on its way.
struct Export<F> {
    front: Arc<F>,
    person: ConsolePerson,
    filter: CallFilter,
    csv: bool,
    /// The file has the share and the place of its request until its end.
    _places: (Used, Place),
}

impl<F: Front> Edge<F> {
    /// Sends the list.
    pub(super) async fn export(
        &self,
        visit: &Visit<'_>,
        places: (Used, Place),
    ) -> Result<Answer, Deny> {
        let query = Query::read(visit.parts.uri.query().unwrap_or_default(), self.front.now())?;
        if query.before.is_some() || query.beyond.is_some() {
            return Err(Deny::Params(
                "a file is the whole list: leave `before` and `beyond` out".to_owned(),
            ));
        }
        // A refusal of the first page is the answer, and no file.
        let first = self.page_of_calls(visit, &query, CALLS_MOST).await?;
        let csv = visit.page == ConsolePage::CallsCsv;
        let export = Export {
            front: Arc::clone(&self.front),
            person: visit.person.clone(),
            filter: query.filter,
            csv,
            _places: places,
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

impl<F: Front> Export<F> {
    /// Sends page after page until the end of the list, or until the client leaves.
    async fn run(self, first: CallPage, parts: mpsc::Sender<Bytes>) {
        let mut page = first;
        let mut text = if self.csv { csv_head() } else { String::new() };
        loop {
            text.extend(page.rows.iter().map(|row| self.line(row)));
            if parts.send(std::mem::take(&mut text).into()).await.is_err() {
                return;
            }
            let Some(before) = page.before else { return };
            page = match self.next(before).await {
                Some(next) => next,
                // The reader must not take a part for the whole.
                None => {
                    let broken = if self.csv { CSV_BROKEN } else { JSON_BROKEN };
                    let _reader_gone = parts.send(Bytes::from_static(broken.as_bytes())).await;
                    return;
                }
            };
        }
    }

    async fn next(&self, before: CallCursor) -> Option<CallPage> {
        let filter = self.filter.clone();
        let ask = ConsoleAsk::Calls { filter, before: Some(before), limit: CALLS_MOST };
        match self.front.ask_at_console(&self.person, ask).await {
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
}

/// The last line of a file that broke off.
const CSV_BROKEN: &str = "incomplete: the recorder did not answer; export again\r\n";

/// The same in JSON lines.
const JSON_BROKEN: &str = "{\"error\":\"incomplete: the recorder did not answer; export again\"}\n";
