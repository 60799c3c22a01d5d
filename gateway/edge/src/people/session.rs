//! The cookie of a session: a browser sends it with our own pages' requests alone, and no script can
//! read it. It reads, and never approves. The gateway keeps no copy of its secret.

use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::single;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::console_role::SignedIn;
use cofferdam_core::model::relying_party::RelyingParty;
use cofferdam_core::model::sign_in::SessionKeeper;
use hyper::header::COOKIE;
use hyper::http::request::Parts;

/// The cookie over TLS: a browser takes this name only with `Secure`, for this host and all paths.
const SECURE_COOKIE: &str = "__Host-cofferdam";

/// The cookie on `http://localhost`.
const LOCAL_COOKIE: &str = "cofferdam";

impl<F: Front> Edge<F> {
    /// The person whose session the cookie has, with the present roles.
    pub(super) fn signed_in(
        &self,
        parts: &Parts,
        party: &RelyingParty,
    ) -> Result<Option<SignedIn>, Deny> {
        let Some(session) = secret_of(parts, cookie(party).0)? else { return Ok(None) };
        let found = self.front.person(&session, keeper(party));
        found.map_err(|error| Deny::Unavailable(error.to_string()))
    }

    /// The secret of the session that the cookie has.
    pub(super) fn session_secret(
        parts: &Parts,
        party: &RelyingParty,
    ) -> Result<Option<String>, Deny> {
        secret_of(parts, cookie(party).0)
    }

    /// Ends the session of the cookie, if there is one.
    pub(super) fn end_session(&self, parts: &Parts, party: &RelyingParty) -> Result<(), Deny> {
        if let Some(session) = secret_of(parts, cookie(party).0)? {
            self.front.sign_out(&session, keeper(party));
        }
        Ok(())
    }

    /// The cookie of a new session.
    pub(super) fn session_cookie(party: &RelyingParty, session: &str, seconds: i64) -> String {
        let (name, secure) = cookie(party);
        format!("{name}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }

    /// The cookie that deletes the cookie of a session.
    pub(super) fn no_cookie(party: &RelyingParty) -> String {
        Self::session_cookie(party, "", 0)
    }
}

/// The value of the one cookie of this name.
pub(super) fn secret_of(parts: &Parts, name: &str) -> Result<Option<String>, Deny> {
    let Some(text) = single(&parts.headers, COOKIE.as_str())? else { return Ok(None) };
    let own = |pair: &str| {
        pair.trim()
            .split_once('=')
            .filter(|(given, _)| *given == name)
            .map(|(_, value)| value.to_owned())
    };
    let mut found = text.split(';').filter_map(own);
    // Two cookies of one name: another page of this host may have set one of them.
    let (Some(secret), None) = (found.next(), found.next()) else { return Ok(None) };
    Ok(Some(secret))
}

/// The kind of program that keeps a session of this address.
pub(super) fn keeper(party: &RelyingParty) -> SessionKeeper {
    if is_secure(party) { SessionKeeper::Browser } else { SessionKeeper::LocalBrowser }
}

/// True if the address has TLS.
pub(super) fn is_secure(party: &RelyingParty) -> bool {
    party.origin().starts_with("https://")
}

/// The name of the cookie, and its last attribute.
fn cookie(party: &RelyingParty) -> (&'static str, &'static str) {
    if is_secure(party) { (SECURE_COOKIE, "; Secure") } else { (LOCAL_COOKIE, "") }
}
