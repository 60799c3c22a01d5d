//! `/enrol`: a person makes a passkey by an invitation. The link's secret is behind `#`, so no
//! server, log or preview of a link has it. The page gives no right: an operator compares the
//! number that the person sees, and enrols the passkey.

use super::layout::PageData;
use super::request::value;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::respond::{self, Answer};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::id::hex;
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::policy::enrolment::NAMESPACE;
use cofferdam_core::policy::passkey::{Assertion, register};
use data_encoding::BASE64URL_NOPAD;
use hyper::StatusCode;
use hyper::http::request::Parts;
use maud::html;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The most characters of a link's secret.
const SECRET: usize = 64;

/// Bound into the challenge, so that it is no challenge of anything else.
const PURPOSE: &str = "cofferdam.enrol.v1\n";

/// The first request of the page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    secret: String,
}

/// The passkey that the browser made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    secret: String,
    client_data: String,
    authenticator_data: String,
    /// Its first signature, over the same challenge: the browser has the key, and not only a copy
    /// of its public part.
    assertion: String,
}

impl<F: Front> Edge<F> {
    /// The page. It tells nothing about the invitation.
    pub(super) fn enrol_page(&self, parts: &Parts) -> Answer {
        if self.party(parts).is_none() {
            return self.elsewhere("/enrol");
        }
        let content = html! {
            section id="invited" hidden {
                p { "You were invited as " strong id="person" {} "." }
                p {
                    "Your device makes a passkey for this server. It asks for your PIN, finger or \
                     face now, and each time you sign."
                }
                button id="enrol" type="button" { "Make a passkey" }
                p { "Your device asks twice: to make it, and for its first signature." }
            }
            section id="enrolled" hidden {
                p { "Tell this number to the operator who invited you, in a way that you both trust:" }
                p id="print" class="print" {}
                p {
                    "The operator confirms it. Then your passkey counts. You can close this page."
                }
                details {
                    summary { "Or sign your passkey with your SSH key" }
                    p {
                        "If your SSH key is enrolled already, sign this line with it, and send the \
                         operator the file " code { "passkey.sig" } ":"
                    }
                    pre id="vouch" tabindex="0" {}
                }
            }
            noscript { p { "This page needs JavaScript to ask your device for a passkey." } }
        };
        let data = PageData { page: "enrol", ..PageData::default() };
        self.page_of(StatusCode::OK, "Make your passkey", &data, &content)
    }

    /// The person of the link, and the challenge of the new passkey.
    pub(super) async fn enrol_begin(&self, sent: &[u8]) -> Result<Answer, Deny> {
        let Begin { secret } = value(sent)?;
        let person = self.front.invited(&digest(&secret)?).await.map_err(Deny::of_role)?;
        // Names of people are no secret, and the same person is one entry in a device's list.
        let user = Sha256::digest(format!("cofferdam.person.v1\n{person}"));
        let told = json!({"person": person, "user": BASE64URL_NOPAD.encode(&user),
            "challenge": BASE64URL_NOPAD.encode(&challenge(&secret))});
        Ok(respond::json(StatusCode::OK, &told))
    }

    /// Checks the new passkey, uses the link, and tells the number to compare.
    pub(super) async fn enrol_finish(&self, parts: &Parts, sent: &[u8]) -> Result<Answer, Deny> {
        let party = self.required_party(parts)?;
        let Finish { secret, client_data, authenticator_data, assertion } = value(sent)?;
        let link = digest(&secret)?;
        let bytes = |text: &str, name: &str| {
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| {
                Deny::Refused(format!("`{name}` is not base64url; load the page again"))
            })
        };
        let client = bytes(&client_data, "client_data")?;
        let data = bytes(&authenticator_data, "authenticator_data")?;
        let challenge = challenge(&secret);
        let proven = |passkey: Passkey| {
            Assertion::read(&assertion)?.check(&passkey, &challenge)?;
            Ok(passkey)
        };
        let passkey = register(&client, &data, &challenge, party)
            .and_then(proven)
            .map_err(|error| Deny::Refused(error.to_string()))?;
        self.front.enrol(&link, &passkey.to_string()).await.map_err(Deny::of_role)?;
        let told = json!({"fingerprint": passkey.fingerprint(), "line": passkey.to_string(),
            "vouch": vouch(&passkey)});
        Ok(respond::json(StatusCode::OK, &told))
    }
}

/// The command with which a person signs the new passkey. A line of a passkey has no quote.
fn vouch(passkey: &Passkey) -> String {
    format!(
        "printf %s '{passkey}' | ssh-keygen -Y sign -n {NAMESPACE} -f ~/.ssh/id_ed25519 > \
         passkey.sig"
    )
}

fn digest(secret: &str) -> Result<String, Deny> {
    let form = (1..=SECRET).contains(&secret.len());
    if form {
        Ok(hex(&Sha256::digest(secret)))
    } else {
        Err(Deny::Refused("the link is not complete; open it as you got it".to_owned()))
    }
}

/// The challenge of the passkey of an invitation: nothing but this link has it.
fn challenge(secret: &str) -> [u8; 32] {
    Sha256::digest(format!("{PURPOSE}{secret}")).into()
}
