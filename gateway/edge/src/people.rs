//! The pages for people: enrolment of a passkey, sign-in, and the question of a call. Server-made
//! HTML, one stylesheet and one script of our own. A page shows and hands in; the recorder checks
//! every signature and every role, and no click, cookie or answer is an approval.

mod approve;
mod console;
mod enrol;
mod issuer;
mod layout;
mod query;
mod question;
mod request;
mod session;
mod sign_in;

use crate::approvers::person_in_shares;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::path::{PeoplePage, require_method, require_no_query};
use crate::respond::{self, Answer};
use crate::seats::Seat;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::console_role::{ConsoleRole, SignedIn};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

pub use console::{Files, STREAMS};

/// The stylesheet of all pages.
const STYLE: &str = include_str!("assets/cofferdam.css");

/// The script of the pages for approvers.
const SCRIPT: &str = include_str!("assets/passkey.js");

impl<F: Front> Edge<F> {
    /// Answers a request for a page, or one that the script of a page sends.
    pub async fn people(
        &self,
        parts: &Parts,
        body: Incoming,
        page: PeoplePage,
        (id, seat): (&str, &Seat),
    ) -> Result<Answer, Deny> {
        let person = match self.party(parts) {
            Some(party) => self.signed_in(parts, party)?,
            None => None,
        };
        let approver = person.as_ref().map(person_in_shares);
        self.count(parts, seat, approver.as_ref())?;
        if !page.takes_query() {
            require_no_query(parts)?;
        }
        if !page.takes_post() || parts.method != Method::POST {
            require_method(parts, &page.method(), page.methods())?;
        }
        // A slow sender has no place among the calls: its body comes first.
        let sent = if parts.method == Method::POST {
            self.sent_by_page(parts, body, approver.as_ref()).await?
        } else {
            Bytes::new()
        };
        if page == PeoplePage::ApproveSignatures {
            return self.question_page_of(parts, &sent, page, (id, person)).await;
        }
        let _share = approver.as_ref().map(|approver| self.shares.call(approver)).transpose()?;
        let _place = self.calls.enter(false)?;
        match page {
            PeoplePage::Style => Ok(asset("text/css; charset=utf-8", STYLE)),
            PeoplePage::Script => Ok(asset("text/javascript; charset=utf-8", SCRIPT)),
            PeoplePage::Enrol => Ok(self.enrol_page(parts)),
            PeoplePage::EnrolBegin => self.enrol_begin(&sent).await,
            PeoplePage::EnrolFinish => self.enrol_finish(parts, &sent).await,
            PeoplePage::SignIn if parts.method == Method::POST => {
                self.sign_in_on_page(parts, &sent, seat).await
            }
            PeoplePage::SignIn => self.own_sign_in_page(parts, person.as_ref()),
            PeoplePage::SignOut => self.sign_out_of_page(parts),
            PeoplePage::IssuerStart => self.issuer_start(parts, &sent).await,
            PeoplePage::IssuerReturn => self.issuer_return(parts, seat).await,
            _ => self.question_page_of(parts, &sent, page, (id, person)).await,
        }
    }

    /// The page of a question, for approvers alone: each other person gets what they get for an
    /// unknown call.
    async fn question_page_of(
        &self,
        parts: &Parts,
        sent: &[u8],
        page: PeoplePage,
        (id, person): (&str, Option<SignedIn>),
    ) -> Result<Answer, Deny> {
        let approver = |person: &SignedIn| person.acting_as(ConsoleRole::Approver);
        let session = person.as_ref().and_then(approver).map(|own| own.name);
        if person.is_some() && session.is_none() {
            return self.no_question(parts, id);
        }
        match page {
            PeoplePage::Approve if parts.method == Method::POST => {
                self.approve(sent, id, session).await
            }
            PeoplePage::ApproveStatement => self.approve_statement(sent, id, session).await,
            PeoplePage::ApproveSignatures => self.signatures_as_they_come(parts, id, session).await,
            _ => self.approve_page(parts, id, session).await,
        }
    }
}

/// A file of ours. It has no secret, and changes with the version alone.
fn asset(media: &'static str, text: &'static str) -> Answer {
    layout::guarded(respond::with(StatusCode::OK, media, text))
}
