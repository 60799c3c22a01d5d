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
use cofferdam_core::model::record::APPROVER;
use cofferdam_core::model::relying_party::RelyingParty;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use std::time::Instant;

impl<F: Front> Edge<F> {
    /// The relying party, if this request is for its address.
    pub(super) fn party(&self, parts: &Parts) -> Option<&RelyingParty> {
        let party = self.settings.party.as_ref()?;
        let host = single(&parts.headers, "host").ok().flatten()?;
        let authority = party.origin().split_once("://").map(|(_, authority)| authority)?;
        host.eq_ignore_ascii_case(authority).then_some(party)
    }

    /// Counts a request: against the limit of the approver, or of the client's address without a
    /// sign-in.
    pub(super) fn count(
        &self,
        parts: &Parts,
        seat: &Seat,
        approver: Option<&str>,
    ) -> Result<(), Deny> {
        let Some(approver) = approver else {
            return self.peers.request(self.client(&parts.headers, seat).address, Instant::now());
        };
        seat.prove();
        // No name of an agent has a blank.
        let caller = Principal {
            name: format!("{APPROVER}{approver}"),
            anonymous: false,
            roles: Vec::new(),
            person: None,
            act: Vec::new(),
        };
        self.shares.request(&caller, Instant::now())
    }

    /// Reads the body of a request that the script of our own page sent.
    pub(super) async fn read_from_page<T: DeserializeOwned>(
        &self,
        parts: &Parts,
        body: Incoming,
    ) -> Result<(&RelyingParty, T), Deny> {
        let party = self.party(parts).ok_or(Deny::WrongAddress)?;
        let origin = single(&parts.headers, "origin")?.unwrap_or_default();
        let site = single(&parts.headers, "sec-fetch-site")?;
        if origin != party.origin() || site.is_some_and(|site| site != "same-origin") {
            return Err(Deny::ForeignPage(excerpt(origin)));
        }
        body::announced(&parts.headers, &body)?;
        let bytes = body::read(body, self.settings.body_time).await?;
        let read = json::strict_into(&bytes)
            .map_err(|error| Deny::NotJson(crate::mcp::message::bounded(&error.to_string())))?;
        Ok((party, read))
    }
}
