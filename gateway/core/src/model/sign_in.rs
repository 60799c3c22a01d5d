//! The text that an approver signs to read the questions that wait for them. Never an approval: it
//! has a namespace, a schema and fields of its own.

use super::json::{self, JsonError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The SSHSIG namespace of a sign-in. A signature in it is no approval, and an approval is no
/// sign-in.
pub const SIGN_IN_NAMESPACE: &str = "sign-in@cofferdam.dev";

/// The schema name of [`SignIn`].
pub const SIGN_IN_SCHEMA: &str = "cofferdam.sign-in.v1";

/// Characters of a challenge, and of a server's name: more than a gateway makes, and than DNS
/// permits.
pub const SIGN_IN_TEXT: usize = 300;

/// A challenge of a gateway: it counts once, and until its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The gateway's text, at most [`SIGN_IN_TEXT`] visible ASCII characters.
    pub challenge: String,
    /// The time after which it does not count.
    pub expires: Timestamp,
}

/// The document that an approver signs to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Always [`SIGN_IN_SCHEMA`].
    pub schema: String,
    /// The server, as the approver named it: a host, with a port if the address has one. A server
    /// that passes a challenge on has another name.
    pub server: String,
    /// The challenge of the server.
    pub challenge: String,
    /// The end of the challenge.
    pub expires: Timestamp,
}

impl SignIn {
    /// Canonical JSON: the bytes that are signed.
    ///
    /// # Errors
    /// The text cannot be written as canonical JSON.
    pub fn canonical(&self) -> Result<String, JsonError> {
        json::canonical(self)
    }
}

/// A sign-in with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedSignIn {
    /// The canonical JSON, exactly as signed.
    pub statement: String,
    /// The SSHSIG in its armoured form.
    pub signature: String,
}

/// The program that keeps a session's secret. No session counts from another kind of program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKeeper {
    /// A command, which sends the secret in `Authorization`.
    Command,
    /// A browser, which sends it as a cookie to this host alone.
    Browser,
    /// A browser on `http://localhost`, which sends it to all ports of the machine.
    LocalBrowser,
}

/// A sign-in that goes on at the issuer of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtIssuer {
    /// The address to which the browser goes.
    pub address: String,
    /// The secret that the browser keeps until it comes back: no other browser ends this sign-in.
    pub binding: String,
    /// How long it may take, in seconds.
    pub seconds: i64,
}

/// The return of a browser from the issuer of people, unchecked (RFC 6749, section 4.1.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FromIssuer {
    /// The code that the courier exchanges.
    pub code: Option<String>,
    /// The state of the sign-in.
    pub state: Option<String>,
    /// The issuer, by its own word (RFC 9207).
    pub issuer: Option<String>,
    /// The error in place of a code.
    pub error: Option<String>,
    /// The secret of the browser, [`AtIssuer::binding`].
    pub binding: Option<String>,
}

/// The session after a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The name of the person: by the gateway's trust file, or by the issuer of people.
    pub approver: String,
    /// The secret that later requests carry. It reads, and never approves.
    pub session: String,
    /// The time after which it does not count.
    pub expires: Timestamp,
}
