//! The signature of a webhook (Standard Webhooks 1.0): HMAC-SHA256 over id, time and body. The key
//! is never shown.

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::fmt;

/// The beginning of a key as text.
const PREFIX: &str = "whsec_";

/// The fewest and the most bytes of a key, by the specification.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The key of a webhook, which its receiver has too.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Reads a key in the form `whsec_` and base64.
    ///
    /// # Errors
    /// The text has another form, or the key is too short or too long. The error never has the key.
    pub fn read(text: &str) -> Result<Self> {
        let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        match bytes {
            Some(bytes) if BYTES.contains(&bytes.len()) => Ok(Self(bytes)),
            _ => bail!(
                "the secret of a webhook is `{PREFIX}` and the base64 of {} to {} random bytes; \
                 make one with: echo \"{PREFIX}$(openssl rand -base64 32)\"",
                BYTES.start(),
                BYTES.end()
            ),
        }
    }

    /// The value of the header `webhook-signature`. `seconds` is the value of `webhook-timestamp`.
    ///
    /// # Errors
    /// Never: every length of a key is taken.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)?;
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of https://github.com/standard-webhooks/standard-webhooks.
        let key = SigningKey::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    #[test]
    fn a_key_of_another_form_is_refused_and_not_shown() {
        for text in ["", "s3cret", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!!", "MfKQ9r8GKYqrTwjU"] {
            let error = SigningKey::read(text).unwrap_err().to_string();
            assert!(error.contains("openssl rand") && !error.contains("s3cret"), "{error}");
        }
    }
}
