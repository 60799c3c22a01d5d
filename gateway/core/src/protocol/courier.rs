//! Gateway → courier: fetches the keys of an issuer, asks an issuer about an opaque token, and
//! exchanges the code of a person's sign-in. A request names a configured issuer and never an
//! address, so its sender cannot choose where the courier connects.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Most bytes of a response that the courier reads: key sets have a few kilobytes.
pub const BODY: usize = 1024 * 1024;

/// Most bytes of a token that the courier passes on: as many as a request head has.
pub const TOKEN: usize = 16 * 1024;

/// The least and the most seconds for which keys are kept, whatever their server says: less would
/// be a request for each call, and more would keep a withdrawn key.
pub const CACHE_SECONDS: (u32, u32) = (60, 86_400);

/// How long keys are kept if their server does not say it, in seconds.
pub const CACHE_UNSAID: u32 = 600;

/// A request of the gateway to the courier. `issuer` is the `issuer` of the configuration, letter by
/// letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Fetch {
    /// Fetch the keys of an issuer. Answered by [`Fetched::Keys`].
    Keys {
        /// The issuer.
        issuer: String,
    },
    /// Ask an issuer about a token (RFC 7662). Answered by [`Fetched::Claims`].
    Introspect {
        /// The issuer.
        issuer: String,
        /// The token, at most [`TOKEN`] bytes.
        token: Token,
    },
    /// Find the page where people sign in. Answered by [`Fetched::SignInPage`].
    SignInPage {
        /// The issuer.
        issuer: String,
    },
    /// Exchange the code of a sign-in for its ID token (OpenID Connect Core, section 3.1.3).
    /// Answered by [`Fetched::IdToken`].
    Exchange {
        /// The issuer.
        issuer: String,
        /// The code, at most [`TOKEN`] bytes.
        code: Token,
        /// The secret whose digest the sign-in began with (RFC 7636).
        verifier: Token,
        /// The address to which the issuer sent the person's browser.
        redirect: String,
    },
}

impl Fetch {
    /// The issuer that the request names.
    pub fn issuer(&self) -> &str {
        match self {
            Self::Keys { issuer }
            | Self::Introspect { issuer, .. }
            | Self::SignInPage { issuer }
            | Self::Exchange { issuer, .. } => issuer,
        }
    }
}

/// A token, or another secret, on its way to or from its issuer. Its text is never in a log line.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A response of the courier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer", deny_unknown_fields)]
pub enum Fetched {
    /// The key set of the issuer.
    Keys {
        /// A JWK set (RFC 7517) as JSON text, as its server sent it, at most [`BODY`] bytes. The
        /// courier checked that it is an object with a list `keys`, and nothing else of it.
        jwks: String,
        /// How long it may be kept, within [`CACHE_SECONDS`].
        cache_seconds: u32,
    },
    /// The response of the issuer about the token.
    Claims {
        /// The response as JSON text, as the issuer sent it, at most [`BODY`] bytes. The courier
        /// checked that it is an object with a boolean `active`, and nothing else of it.
        claims: String,
    },
    /// The page where people sign in.
    SignInPage {
        /// Its address, on a server that the configuration names for the issuer.
        address: String,
        /// True if the issuer promises to name itself in each answer (RFC 9207).
        names_itself: bool,
    },
    /// The ID token of a sign-in, unchecked.
    IdToken {
        /// The token, at most [`TOKEN`] bytes.
        token: Token,
    },
    /// There is no response.
    Failed {
        /// The cause.
        error: FetchError,
    },
}

/// The cause for which there is no response. Its text is for the log and for operators; a client
/// gets none of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "error", deny_unknown_fields)]
pub enum FetchError {
    /// There is no connection, its certificate is not trusted, or there was no response in time.
    #[error("cannot be reached: {detail}")]
    Unreachable {
        /// The cause and its remedy.
        detail: String,
    },
    /// The server refused. A redirect is a refusal: none is followed.
    #[error("answered with the HTTP status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The response is not what was asked for.
    #[error("sent what cannot be used: {detail}")]
    Malformed {
        /// The part that is wrong.
        detail: String,
    },
    /// The token, or the response, is larger than the courier passes on.
    #[error("sent more than {BODY} bytes, or the token has more than {TOKEN}")]
    TooLarge,
    /// The configuration does not name this issuer, its introspection or the server that it names.
    #[error("is not configured: {detail}")]
    NotConfigured {
        /// The missing part of the configuration.
        detail: String,
    },
}

impl FetchError {
    /// The stable code of the cause: for metrics and log lines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge => "too-large",
            Self::NotConfigured { .. } => "not-configured",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let ask = Fetch::Introspect { issuer: "https://a".into(), token: Token("s3cret".into()) };
        let sent = serde_json::to_string(&ask).unwrap();
        assert_eq!(sent, r#"{"ask":"introspect","issuer":"https://a","token":"s3cret"}"#);
        assert_eq!(serde_json::from_str::<Fetch>(&sent).unwrap(), ask);
        assert!(!format!("{ask:?}").contains("s3cret"));
    }

    #[test]
    fn a_cause_has_the_same_form_on_both_sides() {
        for error in [
            FetchError::Unreachable { detail: "closed".into() },
            FetchError::Refused { status: 302 },
            FetchError::Malformed { detail: "no list `keys`".into() },
            FetchError::TooLarge,
            FetchError::NotConfigured { detail: "no such issuer".into() },
        ] {
            let answer = Fetched::Failed { error };
            let sent = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Fetched>(&sent).unwrap(), answer, "{sent}");
        }
    }
}
