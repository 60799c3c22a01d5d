//! `cofferdam audit`: the calls of the ledger, denied ones included, by the filters of the console.
//! Asks the recorder page by page and prints each page as it comes. Changes nothing; the recorder
//! writes one ledger entry for each list.

mod form;

use super::moment::Moment;
use super::recorder_client;
use super::report::{Output, Report, Usage};
use crate::config::home::Home;
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::call_row::{CallChanges, CallCursor, CallPage};
use cofferdam_core::model::call_state::{CALL_STATES, CallState};
use cofferdam_core::model::object_name::ObjectName;
use cofferdam_core::protocol::console::CALLS_MOST;
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use form::{Form, Listing};
use jiff::Timestamp;
use std::time::Duration;

/// The calls of a table, if no number is given: what a person reads.
const USUAL: u64 = 50;

/// The calls before the first change, if a list is followed and no number is given.
const FOLLOWED: u64 = 10;

/// The time that one request waits for changes, in milliseconds.
const WAIT_MS: u64 = 50_000;

/// The time limit of such a request.
const LIMIT: Duration = Duration::from_secs(90);

/// Lists calls, newest first: calls that ran, calls that wait, and denied calls.
///
/// Each option narrows the list. Names are matched in full.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam audit --since 7d --object deployment/shop/web\n  \
                        cofferdam audit --since 7d --denied --csv > denied.csv\n  cofferdam audit \
                        --agent release-bot --outcome failed --outcome indeterminate\n  cofferdam \
                        audit --follow\n\nIn CSV, a cell that a spreadsheet would read as a \
                        formula gets an apostrophe before it.")]
pub struct Audit {
    /// List only calls since this time: 7d, 12h, 2026-11-30 (UTC) or 2026-11-30T15:00:00Z
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// List only calls before this time
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    until: Option<Moment>,
    /// List only calls of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// List only calls for this person
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// List only calls of this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// List only calls that read or change this object, such as deployment/shop/web
    #[arg(long, value_name = "KIND/NAMESPACE/NAME", value_parser = object)]
    object: Option<ObjectName>,
    /// List only calls with this outcome or in this state; may be given several times
    #[arg(long, value_name = "STATE", value_parser = state())]
    outcome: Vec<CallState>,
    /// List only calls that policy or the floor denied; the same as `--outcome denied`
    #[arg(long)]
    denied: bool,
    /// Print comma-separated values (RFC 4180)
    #[arg(long)]
    csv: bool,
    /// The largest number of calls [default: 50; with --csv or --json, all of them]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print the newest 10 calls, the oldest first, and then each new and changed call until you
    /// stop the command
    #[arg(long, conflicts_with = "until")]
    follow: bool,
}

/// Reads a state by its word; the help lists all of them.
fn state() -> impl TypedValueParser<Value = CallState> {
    PossibleValuesParser::new(CALL_STATES.map(CallState::word))
        .try_map(|word| CallState::from_word(&word).ok_or("not a state of a call"))
}

fn object(text: &str) -> Result<ObjectName, String> {
    ObjectName::parse(text).map_err(|error| error.to_string())
}

impl Audit {
    /// Runs the command. `json`: print JSON.
    pub fn run(self, home: &Home, json: bool) -> Result<Report> {
        let form = match (self.csv, json, self.follow) {
            (true, true, _) => {
                let why = "give `--csv` or `--json`, not both".to_owned();
                return Err(Usage(why).into());
            }
            (true, false, _) => Form::Csv,
            (false, true, true) => Form::JsonLines,
            (false, true, false) => Form::Json,
            (false, false, _) => Form::Table,
        };
        let filter = self.filter(Timestamp::now());
        let mut listing = Listing::new(form, Output::new());
        let printed = if self.follow {
            self.follow(home, &filter, &mut listing)?
        } else {
            self.list(home, &filter, &mut listing)?
        };
        Ok(Report::silent().good(printed))
    }

    fn filter(&self, now: Timestamp) -> CallFilter {
        let denied = self.denied.then_some(CallState::Denied);
        let mut states: Vec<CallState> = self.outcome.iter().copied().chain(denied).collect();
        states.sort_unstable();
        states.dedup();
        CallFilter {
            agent: self.agent.clone(),
            person: self.person.clone(),
            tool: self.tool.clone(),
            object: self.object.clone(),
            states,
            since: self.since.map(|since| since.time(now)),
            until: self.until.map(|until| until.time(now)),
        }
    }

    /// Prints the list. False if the reader closed the pipe.
    fn list(&self, home: &Home, filter: &CallFilter, listing: &mut Listing) -> Result<bool> {
        let usual = if listing.is_for_people() { USUAL } else { u64::MAX };
        let mut left = self.limit.unwrap_or(usual);
        let mut page = complete(home, filter, limit(left))?;
        loop {
            left = left.saturating_sub(u64::try_from(page.rows.len()).unwrap_or(u64::MAX));
            let is_last = left == 0 || page.before.is_none();
            if !listing.rows(&page.rows) {
                return Ok(false);
            }
            if is_last {
                return Ok(listing.end(page.before.is_some(), (page.through, page.entries)));
            }
            page = ask(home, filter, page.before, limit(left))?;
        }
    }

    /// Prints the newest calls, and then each change. Ends when the reader closed the pipe.
    fn follow(&self, home: &Home, filter: &CallFilter, listing: &mut Listing) -> Result<bool> {
        let most = self.limit.unwrap_or(FOLLOWED);
        let mut page = complete(home, filter, limit(most))?;
        page.rows.reverse();
        let mut beyond = page.through;
        let mut open = listing.rows(&page.rows);
        while open {
            let ask = Operate::CallChanges { filter: filter.clone(), beyond, wait_ms: WAIT_MS };
            let Operated::CallChanges(CallChanges { rows, left: _, through }) =
                recorder_client::ask_within(home, &ask, LIMIT)?
            else {
                return Err(recorder_client::unexpected());
            };
            beyond = through;
            open = listing.rows(&rows);
        }
        Ok(false)
    }
}

/// The number of calls of one page.
fn limit(left: u64) -> u32 {
    u32::try_from(left).unwrap_or(u32::MAX).min(CALLS_MOST)
}

/// The first page of a list that knows the whole ledger. After an upgrade of the store the recorder
/// makes the list, and this waits as long as it grows.
fn complete(home: &Home, filter: &CallFilter, limit: u32) -> Result<CallPage> {
    let mut page = ask(home, filter, None, limit)?;
    while page.through < page.entries {
        let next = ask(home, filter, None, limit)?;
        let grows = next.through > page.through;
        page = next;
        if !grows {
            break;
        }
    }
    Ok(page)
}

fn ask(
    home: &Home,
    filter: &CallFilter,
    before: Option<CallCursor>,
    limit: u32,
) -> Result<CallPage> {
    let ask = Operate::Calls { filter: filter.clone(), before, limit };
    match recorder_client::ask(home, &ask)? {
        Operated::Calls(page) => Ok(page),
        _ => Err(recorder_client::unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        audit: Audit,
    }

    #[test]
    fn denied_is_one_of_the_outcomes() {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(48);
        let filter = |words: &[&str]| {
            Line::try_parse_from([&["audit"], words].concat()).map(|line| line.audit.filter(now))
        };
        let states = |words: &[&str]| filter(words).unwrap().states;
        assert_eq!(states(&[]), []);
        assert_eq!(states(&["--denied", "--outcome", "denied"]), [CallState::Denied]);
        assert_eq!(
            states(&["--outcome", "failed", "--denied"]),
            [CallState::Denied, CallState::Failed]
        );
        assert_eq!(filter(&["--since", "1d"]).unwrap().since.unwrap().as_second(), 86_400);
        for words in [
            &["--outcome", "nothing"],
            &["--object", "web"],
            &["--since", "soon"],
            &["--limit", "0"],
        ] {
            assert!(filter(words).is_err(), "{words:?}");
        }
    }
}
