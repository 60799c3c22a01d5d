//! Signatures of tokens: the permitted algorithms, and their check by `jsonwebtoken` with the
//! cryptography of `ring`. Knows public keys only. There is no `none`, and no algorithm with a shared
//! secret.

use jsonwebtoken::crypto::{CryptoProvider, JwkUtils, JwtVerifier};
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation};
use ring::signature as ring;
use serde_json::Value;

/// The algorithms that a configuration may permit for access tokens (RFC 7518, RFC 8037).
pub const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// The algorithms of proofs (RFC 9449), which clients choose themselves.
pub const PROOF_ALGORITHMS: [&str; 5] = ["ES256", "ES384", "EdDSA", "PS256", "RS256"];

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: verifier,
    jwk_utils: JwkUtils::new_unimplemented(),
};

/// Returns the algorithm of this name, if a configuration may permit it.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.contains(&name).then(|| name.parse().ok()).flatten()
}

/// Returns whether the token has a signature of this algorithm by this key. Checks no claim.
pub(crate) fn is_signed(token: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    // Only the first call of a process installs it.
    let _installed = PROVIDER.install_default();
    let mut validation = Validation::new(algorithm);
    // The claims are read strictly and with the caller's clock, in `issuer.rs`.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(token, key, &validation).is_ok()
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() == AlgorithmFamily::Hmac {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(ByRing { algorithm: *algorithm, key: key.kind().clone() }))
}

struct ByRing {
    algorithm: Algorithm,
    key: DecodingKeyKind,
}

impl ByRing {
    fn check(&self, message: &[u8], signature: &[u8]) -> std::result::Result<(), Error> {
        let refused = || Error::from(ErrorKind::InvalidSignature);
        match (&self.key, parameters(self.algorithm).ok_or_else(refused)?) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, Parameters::Rsa(parameters)) => {
                ring::RsaPublicKeyComponents { n: unpadded(n), e: unpadded(e) }
                    .verify(parameters, message, signature)
                    .map_err(|_| refused())
            }
            (DecodingKeyKind::SecretOrDer(key), Parameters::Curve(parameters)) => {
                ring::UnparsedPublicKey::new(parameters, key)
                    .verify(message, signature)
                    .map_err(|_| refused())
            }
            _ => Err(refused()),
        }
    }
}

impl Verifier<Vec<u8>> for ByRing {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        self.check(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

enum Parameters {
    Rsa(&'static ring::RsaParameters),
    Curve(&'static dyn ring::VerificationAlgorithm),
}

/// RSA keys have 2,048 to 8,192 bits.
fn parameters(algorithm: Algorithm) -> Option<Parameters> {
    Some(match algorithm {
        Algorithm::RS256 => Parameters::Rsa(&ring::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Parameters::Rsa(&ring::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Parameters::Rsa(&ring::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Parameters::Rsa(&ring::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Parameters::Rsa(&ring::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Parameters::Rsa(&ring::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Parameters::Curve(&ring::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Parameters::Curve(&ring::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Parameters::Curve(&ring::ED25519),
        _ => return None,
    })
}

/// Some issuers write a zero byte before a number; `ring` takes none.
fn unpadded(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
