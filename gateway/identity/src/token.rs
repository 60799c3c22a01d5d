//! A JSON Web Token as it was sent (RFC 7515, compact form): split, decoded and read as strict JSON.
//! Nothing in it is believed before its signature was checked.

use crate::refused::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::model::json;
use serde_json::{Map, Value};

/// The largest number of bytes of a token: half of a request head. Tokens with hundreds of groups
/// are smaller.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// The largest number of bytes of the id of a key.
const KID_BYTES: usize = 256;

/// Returns whether a token has the form of a JWT. Any other token is opaque.
pub fn is_jwt(token: &str) -> bool {
    token.split('.').count() == 3
}

/// A token that was read and not checked.
#[derive(Debug, Clone)]
pub struct Jwt<'a> {
    pub(crate) text: &'a str,
    pub(crate) algorithm: String,
    pub(crate) kind: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
}

impl<'a> Jwt<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// The token is too large, or its header or payload is not a strict JSON object in base64url.
    pub fn read(text: &'a str) -> Result<Self, Refused> {
        if text.len() > TOKEN_BYTES {
            return Err(Refused::unknown(format!("a token is larger than {TOKEN_BYTES} bytes")));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::unknown("a token does not have three parts"));
        };
        let header = object(header, "header")?;
        let claims = object(payload, "payload")?;
        let word = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refused::unknown(format!("`{name}` in the header is not a text"))),
        };
        if header.contains_key("crit") {
            return Err(Refused::unknown("a token has critical extensions, and none is known"));
        }
        let kid = word("kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES) {
            return Err(Refused::unknown("the id of a key is too long"));
        }
        Ok(Self {
            text,
            algorithm: word("alg")?.ok_or_else(|| Refused::unknown("a token has no `alg`"))?,
            kind: word("typ")?,
            kid,
            header,
            claims,
        })
    }

    /// The issuer that the token names. Only good for the choice of the configured issuer.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }
}

fn object(part: &str, name: &str) -> Result<Map<String, Value>, Refused> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Refused::unknown(format!("the {name} of a token is not base64url")))?;
    // The text of the error could quote the token.
    match json::strict(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Refused::unknown(format!("the {name} of a token is not an object"))),
        Err(_) => Err(Refused::unknown(format!(
            "the {name} of a token is not strict JSON (a key twice, or a number beyond 2^53)"
        ))),
    }
}
