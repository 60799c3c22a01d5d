//! Which requests a page of ours may have sent: the right host, our own origin, JSON. A page of
//! another site can neither send them nor read their answers.

use crate::body;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::{excerpt, single};
use crate::seats::Seat;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::json;
use cofferdam_core::model::relying_party::RelyingParty;
use hyper::body::{Bytes, Incoming};
use hyper::header::ACCEPT;
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use std::time::Instant;

impl<F: Front> Edge<F> {
    /// The relying party, if this request is for its address.
    pub(super) fn party(&self, parts: &Parts) -> Option<&RelyingParty> {
        let party = self.settings.party.as_ref()?;
        let host = single(&parts.headers, "host").ok().flatten()?;
        host.eq_ignore_ascii_case(party.authority()).then_some(party)
    }

    /// Counts a request: against the limit of the approver, or of the client's address without a
    /// sign-in.
    pub(super) fn count(
        &self,
        parts: &Parts,
        seat: &Seat,
        approver: Option<&Principal>,
    ) -> Result<(), Deny> {
        seat.count();
        let Some(approver) = approver else { return self.count_unproven(parts, seat) };
        seat.prove();
        self.shares.request(approver, Instant::now())
    }

    /// The body of a request that the script of our own page sent. It takes a part of the
    /// approver's share while it is on its way.
    pub(super) async fn sent_by_page(
        &self,
        parts: &Parts,
        body: Incoming,
        approver: Option<&Principal>,
    ) -> Result<Bytes, Deny> {
        let party = self.required_party(parts)?;
        let origin = single(&parts.headers, "origin")?.unwrap_or_default();
        let site = single(&parts.headers, "sec-fetch-site")?;
        if origin != party.origin() || site.is_some_and(|site| site != "same-origin") {
            return Err(Deny::ForeignPage(excerpt(origin)));
        }
        body::announced(&parts.headers, &body)?;
        let _sending = approver.map(|approver| self.shares.body(approver)).transpose()?;
        body::read(body, self.settings.body_time).await
    }

    /// The relying party of a request that has to be for its address.
    pub(super) fn required_party(&self, parts: &Parts) -> Result<&RelyingParty, Deny> {
        self.party(parts).ok_or(Deny::WrongAddress)
    }
}

/// The value that the script of our own page sent.
pub(super) fn value<T: DeserializeOwned>(sent: &[u8]) -> Result<T, Deny> {
    json::strict_into(sent)
        .map_err(|error| Deny::NotJson(crate::mcp::message::bounded(&error.to_string())))
}

/// True if the client asks for JSON and not for a page.
pub(super) fn wants_json(parts: &Parts) -> bool {
    let mut accepted = parts.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("application/json"))
}
