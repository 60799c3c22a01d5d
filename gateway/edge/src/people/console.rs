//! `/console`: the pages on which people see questions, calls, agents, tools, policy and health. They
//! read; the only change is the cancellation of a call by an operator. The recorder checks each
//! request by its own trust file. No page of the console approves: only a signature does.

mod agents;
mod call;
mod calls;
mod cancel;
mod export;
mod files;
mod frame;
mod health;
mod held;
mod live;
mod policy;
mod proof;
mod query;
mod row;
mod tools;
mod waiting;

use super::layout;
use super::request::wants_json;
use crate::approvers::person_in_shares;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::excerpt;
use crate::path::{ConsolePage, require_method, require_no_query};
use crate::respond::{self, Answer};
use crate::seats::Seat;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::console_role::{ConsolePerson, SignedIn};
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk, ConsoleRefusal};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

pub use files::Files;

/// The most streams of changes of all people at once: each asks the recorder all the time.
pub const STREAMS: usize = 64;

/// The script of the console.
const SCRIPT: &str = include_str!("../assets/console.js");

/// A request of a person who signed in.
struct Visit<'a> {
    parts: &'a Parts,
    page: ConsolePage,
    /// The person with all roles.
    signed_in: SignedIn,
    /// The person in the role that sees most.
    person: ConsolePerson,
    /// The person among the callers whose requests are limited.
    sharer: Principal,
}

impl<F: Front> Edge<F> {
    /// Answers a request for a page of the console, or one that its script sends.
    pub async fn console(
        &self,
        parts: &Parts,
        body: Incoming,
        page: ConsolePage,
        (id, seat): (&str, &Seat),
    ) -> Result<Answer, Deny> {
        let session = match self.party(parts) {
            Some(party) => self.signed_in(parts, party)?,
            None => None,
        };
        let sharer = session.as_ref().map(person_in_shares);
        self.count(parts, seat, sharer.as_ref())?;
        require_method(parts, &page.method(), page.methods())?;
        if !page.takes_query() {
            require_no_query(parts)?;
        }
        if page == ConsolePage::Script {
            let script = respond::with(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT);
            return Ok(layout::guarded(script));
        }
        // A slow sender has no place among the calls: its body comes first.
        let sent = if parts.method == Method::POST {
            self.sent_by_page(parts, body, sharer.as_ref()).await?
        } else {
            Bytes::new()
        };
        let json = wants_json(parts) || !page.is_document();
        let Some(party) = self.party(parts) else {
            return if json {
                Err(Deny::WrongAddress)
            } else {
                Ok(self.elsewhere(parts.uri.path()))
            };
        };
        let visit = session.and_then(|signed_in| {
            let person = signed_in.reading()?;
            let sharer = person_in_shares(&signed_in);
            Some(Visit { parts, page, signed_in, person, sharer })
        });
        let Some(visit) = visit else {
            let deny = || Deny::SignIn("sign in first: open /console in a browser".to_owned());
            return if json { Err(deny()) } else { self.sign_in_page(party) };
        };
        match self.visited(&visit, &sent, id).await {
            Err(deny) if !json => Ok(self.refusal_page(&visit, &deny)),
            answer => answer,
        }
    }

    async fn visited(&self, visit: &Visit<'_>, sent: &[u8], id: &str) -> Result<Answer, Deny> {
        if visit.page == ConsolePage::Changes {
            return self.changes(visit);
        }
        let _share = self.shares.call(&visit.sharer)?;
        let _place = self.calls.enter(false)?;
        match visit.page {
            ConsolePage::Waiting => self.waiting_page(visit).await,
            ConsolePage::Calls => self.calls_page(visit).await,
            ConsolePage::CallsCsv | ConsolePage::CallsJson => self.export(visit).await,
            ConsolePage::Call => self.story_page(visit, &call_of(id)?).await,
            ConsolePage::Proof => self.proof(visit, &call_of(id)?).await,
            ConsolePage::Cancel => self.cancel_call(visit, sent, &call_of(id)?).await,
            ConsolePage::Agents => self.agents_page(visit).await,
            ConsolePage::Tools => self.tools_page(visit),
            ConsolePage::Policy => self.policy_page(visit),
            ConsolePage::Health => self.health_page(visit).await,
            ConsolePage::Script | ConsolePage::Changes => Err(Deny::Broken),
        }
    }

    /// Asks the recorder. A refusal of the recorder becomes one of the edge.
    async fn ask_recorder(
        &self,
        person: &ConsolePerson,
        ask: ConsoleAsk,
    ) -> Result<ConsoleAnswer, Deny> {
        match self.front.ask_at_console(person, ask).await {
            Ok(ConsoleAnswer::Refused { code, why }) => Err(Deny::Console { code, why }),
            Ok(answer) => Ok(answer),
            Err(RoleError::Busy { why, retry_after_seconds }) => {
                Err(Deny::Queue { why, seconds: retry_after_seconds })
            }
            Err(error) => Err(Deny::of_role(error)),
        }
    }
}

impl Visit<'_> {
    /// Refuses an approver without another role.
    fn require_sees_all(&self) -> Result<(), Deny> {
        if self.person.role.sees_all() {
            return Ok(());
        }
        Err(Deny::Console {
            code: ConsoleRefusal::NotForRole,
            why: "this page is for auditors and operators, and you are signed in as an approver; \
                  ask an operator for one of these roles"
                .to_owned(),
        })
    }

    /// True if the answer is JSON.
    fn wants_json(&self) -> bool {
        wants_json(self.parts)
    }
}

/// The id of a call. Another text gets the answer that an unknown call gets.
fn call_of(id: &str) -> Result<CallId, Deny> {
    CallId::parse(id).map_err(|_| Deny::Console {
        code: ConsoleRefusal::UnknownCall,
        why: format!(
            "there is no call `{}` that you may see; look for it in the list of calls",
            excerpt(id)
        ),
    })
}
