//! Checks what an authenticator signed (WebAuthn Level 3, sections 7.1 and 7.2): an assertion over
//! a challenge, and the data of a new passkey. Pure, for every role that counts approvals. Never
//! believes a value that is not signed, and ignores no field that it does not know the meaning of.

mod extensions;
mod registration;

use crate::model::json::{self, JsonError};
use crate::model::passkey::{CoseKey, Passkey};
use crate::model::relying_party::RelyingParty;
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::Signature as Ed25519Signature;
use p256::ecdsa::Signature as P256Signature;
use p256::ecdsa::signature::Verifier as _;
pub use registration::register;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Most bytes of the text of an assertion: four times the longest of common authenticators.
pub const ASSERTION: usize = 8 * 1024;

/// The flag of a person's presence.
const PRESENT: u8 = 1;

/// The flag of a verified person: by PIN, finger or face.
const VERIFIED: u8 = 1 << 2;

/// The flag of a new credential in the data.
const ATTESTED: u8 = 1 << 6;

/// The flag of extensions in the data.
const EXTENDED: u8 = 1 << 7;

/// The bytes before credential and extensions: digest of the relying party, flags, counter.
const HEAD: usize = 37;

/// An assertion or a new passkey that does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// The text is not an assertion in the form in which they are stored.
    #[error("the signature is not a passkey's assertion: {0}")]
    Form(String),
    /// The data that the browser signed is not readable.
    #[error("the browser's part of the passkey's signature is not readable: {0}")]
    ClientData(String),
    /// The signature is for another action than the one that is checked.
    #[error("the passkey signed for `{0}`; sign on the page of the call")]
    Action(String),
    /// The challenge is another one.
    #[error("the passkey signed something else; load the page of the call again and sign there")]
    Challenge,
    /// The page that asked for the signature has another origin.
    #[error("the passkey signed on a page of `{0}`, and it is enrolled for `{1}`; sign there")]
    Origin(String, String),
    /// The page was inside of a page of another origin.
    #[error(
        "the passkey signed inside of a page of another site; open the page of the call itself"
    )]
    Embedded,
    /// The data of the authenticator has another form.
    #[error(
        "the authenticator's part of the passkey's signature has {0}; use another authenticator"
    )]
    Data(&'static str),
    /// The authenticator signed for another relying party.
    #[error("the passkey signed for another site than `{0}`; sign on the page of the call")]
    Party(String),
    /// The person was not there.
    #[error("the passkey was used without its owner's presence; sign again and touch it")]
    Absent,
    /// The person was not verified.
    #[error("the passkey did not verify its owner by PIN, finger or face; use one that does")]
    Unverified,
    /// The key did not make the signature.
    #[error("the passkey's signature is not one of its key; sign again")]
    Signature,
    /// The credential or the key in the data of a new passkey is not readable.
    #[error("the new passkey has {0}; use another authenticator")]
    Credential(&'static str),
}

impl From<JsonError> for PasskeyError {
    fn from(error: JsonError) -> Self {
        Self::Form(error.to_string())
    }
}

/// The kind of an assertion's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Webauthn,
}

/// The text of an assertion; each part in base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    authenticator_data: String,
    client_data: String,
    credential: String,
    signature: String,
    r#type: Kind,
}

/// The answer of an authenticator to a challenge. Says nothing until [`Assertion::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    credential: Vec<u8>,
    authenticator_data: Vec<u8>,
    client_data: Vec<u8>,
    signature: Vec<u8>,
}

impl Assertion {
    /// Returns whether a signature's text is of this kind. An SSH signature begins otherwise.
    pub fn is_text_of_one(text: &str) -> bool {
        text.starts_with('{')
    }

    /// Reads the text of an assertion. One assertion has one text, so that it is stored once.
    ///
    /// # Errors
    /// The text is not canonical JSON of this form.
    pub fn read(text: &str) -> Result<Self, PasskeyError> {
        if text.len() > ASSERTION {
            return Err(PasskeyError::Form(format!("it has more than {ASSERTION} bytes")));
        }
        let read: Text = json::strict_into(text.as_bytes())?;
        if json::canonical(&read)? != text {
            return Err(PasskeyError::Form("it is not in canonical form".to_owned()));
        }
        Ok(Self {
            credential: decoded(&read.credential)?,
            authenticator_data: decoded(&read.authenticator_data)?,
            client_data: decoded(&read.client_data)?,
            signature: decoded(&read.signature)?,
        })
    }

    /// The id of the credential, as the browser named it.
    pub fn credential(&self) -> &[u8] {
        &self.credential
    }

    /// Checks that this passkey signed this challenge, on a page of its own site, with its owner
    /// present and verified. The counter of the authenticator is not compared: synchronised
    /// passkeys keep it at 0, and each challenge is used for one purpose.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, passkey: &Passkey, challenge: &[u8]) -> Result<(), PasskeyError> {
        check_client_data(&self.client_data, "webauthn.get", challenge, &passkey.party)?;
        let (flags, rest) = check_head(&self.authenticator_data, &passkey.party)?;
        if flags & EXTENDED != 0 {
            return Err(PasskeyError::Data("extensions that were not asked for"));
        }
        if flags & ATTESTED != 0 || !rest.is_empty() {
            return Err(PasskeyError::Data("more than an assertion needs"));
        }
        let client_digest = Sha256::digest(&self.client_data);
        let message = [self.authenticator_data.as_slice(), &client_digest].concat();
        let verified = match &passkey.key {
            CoseKey::Es256(key) => P256Signature::from_der(&self.signature)
                .is_ok_and(|signature| key.verify(&message, &signature).is_ok()),
            CoseKey::EdDsa(key) => Ed25519Signature::from_slice(&self.signature)
                .is_ok_and(|signature| key.verify_strict(&message, &signature).is_ok()),
        };
        if verified { Ok(()) } else { Err(PasskeyError::Signature) }
    }
}

/// The challenge of a statement: the digest of its bytes.
pub fn challenge_of(statement: &str) -> [u8; 32] {
    Sha256::digest(statement.as_bytes()).into()
}

fn decoded(text: &str) -> Result<Vec<u8>, PasskeyError> {
    let form = |error: data_encoding::DecodeError| PasskeyError::Form(error.to_string());
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(form)
}

/// The data that a browser signs. Browsers may add members; the strict reader refuses two of one
/// name.
#[derive(Debug, Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
    #[serde(default, rename = "topOrigin")]
    top_origin: Option<String>,
}

fn check_client_data(
    bytes: &[u8],
    action: &str,
    challenge: &[u8],
    party: &RelyingParty,
) -> Result<(), PasskeyError> {
    let data: ClientData =
        json::strict_into(bytes).map_err(|error| PasskeyError::ClientData(error.to_string()))?;
    if data.r#type != action {
        return Err(PasskeyError::Action(crate::model::escape::line(&data.r#type)));
    }
    if data.challenge != BASE64URL_NOPAD.encode(challenge) {
        return Err(PasskeyError::Challenge);
    }
    if data.origin != party.origin() {
        let (signed, ours) = (crate::model::escape::line(&data.origin), party.origin());
        return Err(PasskeyError::Origin(signed, ours.to_owned()));
    }
    if data.cross_origin || data.top_origin.is_some() {
        return Err(PasskeyError::Embedded);
    }
    Ok(())
}

/// Checks the relying party, and presence and verification of the person. Returns the flags and the
/// bytes after the head.
fn check_head<'a>(data: &'a [u8], party: &RelyingParty) -> Result<(u8, &'a [u8]), PasskeyError> {
    let (head, rest) =
        data.split_first_chunk::<HEAD>().ok_or(PasskeyError::Data("too few bytes"))?;
    let (digest, after) = head.split_at(32);
    if *digest != Sha256::digest(party.id().as_bytes())[..] {
        return Err(PasskeyError::Party(party.id().to_owned()));
    }
    let flags = after.first().copied().unwrap_or_default();
    if flags & PRESENT == 0 {
        return Err(PasskeyError::Absent);
    }
    if flags & VERIFIED == 0 {
        return Err(PasskeyError::Unverified);
    }
    Ok((flags, rest))
}

#[cfg(test)]
mod tests;
