//! The proof that the sender of a token has the key that the token is bound to (DPoP, RFC 9449), or
//! its client certificate (RFC 8705). A bound token without its proof is refused, and so is a proof
//! for another method, URL, token or time, or a proof that was used before.

use crate::identity::Binding;
use crate::keys::public;
use crate::refused::Refused;
use crate::replays::{Proof, Replays};
use crate::signature::{PROOF_ALGORITHMS, algorithm, is_signed};
use crate::token::Jwt;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::model::access::{Credential, Scheme, TokenRefusal};
use jiff::Timestamp;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Seconds for which a proof is good: a slow network, and no more. Also the time for which its id is
/// kept.
const PROOF_SECONDS: i64 = 60;

/// The largest number of bytes of the id of a proof.
const JTI: usize = 256;

/// The sender of a request, and the URL that it must have meant.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The token and the proofs of the request.
    pub credential: Credential<'a>,
    /// The URL of the request without its query, as clients reach it.
    pub url: &'a str,
    /// How far the clocks of this machine and of a client may differ, in seconds.
    pub skew_seconds: i64,
    /// The time now.
    pub now: Timestamp,
}

impl Sender<'_> {
    /// Checks that the sender has what its token is bound to.
    ///
    /// # Errors
    /// A proof is missing, wrong, or superfluous.
    pub fn proves(&self, binding: &Binding, replays: &Replays) -> Result<(), Refused> {
        if let Some(bound) = binding.certificate {
            let same = self
                .credential
                .certificate
                .is_some_and(|presented| bool::from(presented.ct_eq(&bound)));
            if !same {
                return Err(Refused::new(
                    TokenRefusal::Certificate,
                    "a token is bound to a client certificate that its connection does not have",
                ));
            }
        }
        match (binding.key, self.credential.scheme) {
            (None, Scheme::Bearer) => Ok(()),
            (None, Scheme::Dpop) => {
                Err(wrong("a token came with the scheme DPoP and is bound to no key"))
            }
            (Some(_), Scheme::Bearer) => {
                Err(wrong("a token is bound to a key and came with the scheme Bearer"))
            }
            (Some(bound), Scheme::Dpop) => self.proof(bound, replays),
        }
    }

    fn proof(&self, bound: [u8; 32], replays: &Replays) -> Result<(), Refused> {
        let (Some(token), Some(proof)) = (self.credential.token, self.credential.proof) else {
            return Err(wrong("a request has no proof in the header `DPoP`"));
        };
        let proof = Jwt::read(proof)
            .map_err(|refused| wrong(&format!("a proof is malformed: {}", refused.cause)))?;
        if proof.kind.as_deref() != Some("dpop+jwt") {
            return Err(wrong("the `typ` of a proof is not `dpop+jwt`"));
        }
        let key = proof.header.get("jwk").ok_or_else(|| wrong("a proof has no `jwk`"))?;
        let (jwk, fitting) =
            public(key).ok_or_else(|| wrong("the `jwk` of a proof is no public key"))?;
        let algorithm = algorithm(&proof.algorithm)
            .filter(|algorithm| {
                PROOF_ALGORITHMS.contains(&proof.algorithm.as_str()) && fitting.contains(algorithm)
            })
            .ok_or_else(|| wrong("the algorithm of a proof is not permitted for its key"))?;
        let decoding =
            DecodingKey::from_jwk(&jwk).map_err(|_| wrong("the `jwk` of a proof is malformed"))?;
        let thumbprint =
            thumbprint(key).ok_or_else(|| wrong("the `jwk` of a proof is malformed"))?;
        // Before the signature, which costs far more: any sender can invent a key.
        if !bool::from(thumbprint.ct_eq(&bound)) {
            return Err(wrong("a proof is by another key than its token is bound to"));
        }
        if !is_signed(proof.text, &decoding, algorithm) {
            return Err(wrong("the signature of a proof is wrong"));
        }
        self.meant(&proof.claims, token, replays)?;
        let id = proof.claims.get("jti").and_then(Value::as_str);
        let id = id
            .filter(|id| (1..=JTI).contains(&id.len()))
            .ok_or_else(|| wrong("a proof has no `jti`, or too long a one"))?;
        let until = self.now.as_second() + PROOF_SECONDS + 2 * self.skew_seconds;
        let used = Proof { key: thumbprint, id: Sha256::digest(id).into(), until };
        if replays.first_use(used, self.now.as_second()) {
            Ok(())
        } else {
            Err(wrong("a proof was used before, or too many proofs are in use"))
        }
    }

    /// Checks that the proof is for this request.
    fn meant(
        &self,
        claims: &Map<String, Value>,
        token: &str,
        replays: &Replays,
    ) -> Result<(), Refused> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("htm") != Some(self.credential.method) {
            return Err(wrong("the `htm` of a proof is another method"));
        }
        let same = text("htu").and_then(normal).is_some_and(|url| normal(self.url) == Some(url));
        if !same {
            return Err(wrong(
                "the `htu` of a proof is another URL; is `edge.oauth.resource` the URL that \
                 clients use?",
            ));
        }
        let issued = claims.get("iat").and_then(Value::as_f64);
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
        let (now, skew) = (self.now.as_second() as f64, self.skew_seconds as f64);
        #[expect(clippy::cast_precision_loss, reason = "a minute is exact")]
        let oldest = now - PROOF_SECONDS as f64 - skew;
        let Some(issued) = issued.filter(|issued| (oldest..=now + skew).contains(issued)) else {
            return Err(wrong("the `iat` of a proof is too old, or still to come"));
        };
        if replays.is_earlier(issued) {
            return Err(wrong("the `iat` of a proof is before the start of this server"));
        }
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
        let same = text("ath").is_some_and(|ath| bool::from(ath.as_bytes().ct_eq(hash.as_bytes())));
        if same { Ok(()) } else { Err(wrong("the `ath` of a proof is for another token")) }
    }
}

fn wrong(cause: &str) -> Refused {
    Refused::new(TokenRefusal::Proof, cause)
}

/// The thumbprint of a key (RFC 7638): the SHA-256 of its required members, sorted.
fn thumbprint(key: &Value) -> Option<[u8; 32]> {
    let names: &[&str] = match key.get("kty")?.as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "RSA" => &["e", "kty", "n"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let member =
        |name: &&str| Some(format!("{}:{}", json!(name), json!(key.get(*name)?.as_str()?)));
    let members: Vec<String> = names.iter().map(member).collect::<Option<_>>()?;
    Some(Sha256::digest(format!("{{{}}}", members.join(","))).into())
}

/// Scheme, host and path in one spelling (RFC 3986 §6.2.2 and §6.2.3), without query and fragment.
fn normal(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let scheme = scheme.to_ascii_lowercase();
    let place = place.to_ascii_lowercase();
    let usual = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    if place.is_empty() || place.contains('@') {
        return None;
    }
    Some(format!("{scheme}://{}{path}", place.strip_suffix(usual).unwrap_or(&place)))
}
