//! Counting answers by path, status and error code, for `/metrics`: unauthenticated and malformed requests leave this trace and no other.
//! Never counts by anything a client chooses.

use crate::deny::Deny;
use crate::route::Route;
use hyper::StatusCode;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Answers so far.
#[derive(Debug, Default)]
pub struct Count {
    // Bounded: nine routes, some twenty statuses, nine codes.
    answers: Mutex<BTreeMap<(Route, u16, i64), u64>>,
}

impl Count {
    /// One more.
    pub fn add(&self, route: Route, status: StatusCode, deny: Option<&Deny>) {
        let key = (route, status.as_u16(), deny.map_or(0, |deny| deny.row().code));
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(key).or_default() += 1;
    }

    /// In Prometheus' text format; the code is 0 where the edge refused nothing by itself.
    pub fn prometheus(&self) -> String {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let head = "# HELP cofferdam_edge_answers_total HTTP answers by route, status and the edge's own JSON-RPC error code.\n\
                    # TYPE cofferdam_edge_answers_total counter\n";
        answers.iter().fold(head.to_owned(), |mut text, ((route, status, code), count)| {
            let _infallible =
                writeln!(text, "cofferdam_edge_answers_total{{route=\"{}\",status=\"{status}\",code=\"{code}\"}} {count}", route.name());
            text
        })
    }
}
