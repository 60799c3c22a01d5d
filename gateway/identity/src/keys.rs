//! The public keys of an issuer, as a JWK set (RFC 7517). A key that cannot be used is left out:
//! issuers also publish keys for encryption, and of kinds that this server does not know.

use cofferdam_core::model::json;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// The largest number of keys of an issuer. Large issuers have about ten.
const KEYS: usize = 128;

/// The keys of an issuer that can check signatures.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    /// The algorithms that the key is for.
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

/// A document that gives no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The document is not a JWK set.
    #[error("the document at `jwks_uri` is not a JWK set (RFC 7517)")]
    Malformed,
    /// The document has more keys than are read.
    #[error("the JWK set has more than {KEYS} keys")]
    Many,
    /// No key is public and for signatures of a known algorithm.
    #[error("the JWK set has no public RSA, P-256, P-384 or Ed25519 key for signatures")]
    None,
}

impl KeySet {
    /// Reads a JWK set.
    ///
    /// # Errors
    /// The document is malformed, too large, or has no key that can be used.
    pub fn parse(document: &[u8]) -> Result<Self, KeysError> {
        let document = json::strict(document).map_err(|_| KeysError::Malformed)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(KeysError::Malformed)?;
        if keys.len() > KEYS {
            return Err(KeysError::Many);
        }
        let keys: Vec<Key> = keys.iter().filter_map(Key::read).collect();
        if keys.is_empty() { Err(KeysError::None) } else { Ok(Self(keys)) }
    }

    /// The keys that may have made a signature. A token without the id of a key needs a set with
    /// only one key for its algorithm.
    pub(crate) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&DecodingKey> {
        let fits = |key: &&Key| {
            key.algorithms.contains(&algorithm)
                && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let keys: Vec<_> = self.0.iter().filter(fits).map(|key| &key.key).collect();
        if kid.is_none() && keys.len() > 1 { Vec::new() } else { keys }
    }
}

impl Key {
    fn read(value: &Value) -> Option<Self> {
        let (jwk, family) = public(value)?;
        let common = &jwk.common;
        let signs =
            common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature)
                && common
                    .key_operations
                    .as_ref()
                    .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let algorithms = match common.key_algorithm {
            None => family,
            Some(only) => {
                let only: Algorithm = only.to_string().parse().ok()?;
                let at = family.iter().position(|algorithm| *algorithm == only)?;
                family.get(at..=at)?
            }
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        signs.then(|| Self { kid: common.key_id.clone(), algorithms, key })
    }
}

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Reads a public key and the algorithms of its kind. `None` for a shared secret, a private key, or
/// another kind.
pub(crate) fn public(value: &Value) -> Option<(Jwk, &'static [Algorithm])> {
    if value.get("d").is_some() || value.get("k").is_some() {
        return None;
    }
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let algorithms: &'static [Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &RSA,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => return None,
    };
    Some((jwk, algorithms))
}
