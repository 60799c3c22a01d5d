//! Keys that sign tokens in tests. The RSA key is fixed, because `ring` makes none; it signs
//! nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature as ring_signature;
use ring_signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Value, json};

/// A private key for tests (PKCS #1, base64).
const RSA: &str = "\
    MIIEowIBAAKCAQEAp2TAtYnoBNGztlfUf/yW1Ve4G3FxfncCq0Vmu5HT+ts/yA72uI3eOxMHtbfmwdtY/z8d\
    n8JnHnKZRR5pUdf/4Vke4GQWUb+bIzOy9zqcmYxZFEoI/hrGAEKBs7yRdGv0T2nvffeOnWfYeblYWRxQwXAz\
    cvzySXHrg5F+3+94tJ3/ZuKLe3PA/JzM4Qp5WrbfJ8JRz/n88rOTW4U2B4e7UZE8MlwHP4869UFymeyWmT7U\
    zQ7zxo921HUDva3xNwGM9vwN9eGjm8K7SFtK//Ch3MvVhvxEyJwKUntvJHb41plwK+meYGtD8wbX3zChh2jB\
    ZQBYLAjQ03adYGrlaJuSWwIDAQABAoIBABOWpZB46gxU/S/w45PzRd6ttwSLHXS8TjUnAsh0s7bkMk4Me5Be\
    6wBvD9S9h6+W0Ll/NCMZDO0nYZ/mLlKesWRjA/XOmz1cwTWjhqVfbVTwng9S7JjOdEOH2jAOIy1ZtrYWV6lz\
    hJ5kjmoMJ6EMlbdVPx1ifqMxRWtY5YfPY7OAUH/ZmIQAV45b2hYF4SU1qAJmuVpelILJY7VZGtvMGJ3Y5v4j\
    OObcL58xsGpDqTR1q6FWnKOVxNh7inifzxUDOml9vEI0iSeMvGSo4dc+X8TYhCkO0UZefXbJSlyQUqYPxFyE\
    s3x4/l4NDW0tIsjCtR0RxqpS5B47kAvoPDakYHECgYEA3o/vPBK+ATPShf1yPjG+B962XWQ9RqJa3DkYloSh\
    jLab+zNknqpUR+LLtOdOYYlrOUSTpnS57vtOaojCVPvAHeYpwMm4v4ryo5UYHk2NNOzvVpIi69Na6uOvQzd/\
    OSUAvswwFUhz2EDSjHsdUxlceKUtgvdva9VefFY8I2BLBvECgYEAwIrzf46Z+vSfKCTwHyahgq5FRYbOKyZX\
    MlyKUEqutlT8iUH3AyA+45UAF/iXiavtwKbgqChsVxOdY8l3Cfm94lZxS5EQgW9PmLgToTZpcdkAvcU12Ds4\
    1sEgnn37m7gUpHrEMHUN1HE/p90dxb7+62W0p5fmBABp6bOcvKECpgsCgYBr4UruTItrG8qFBkgVG5loSS0O\
    ceM91L7EFqzzcNC5214aUlwIiLmXqrhhNOmKX8jolnQXcGccDxaAj0/bT7hdBc7hUyZJOjnIzyFEtwSmTd7p\
    kKZ6txVP3BN9Om5hra0BzwnTly4H+cvVKmwZdqabGD3KSNPqah+Fl2tJHojfkQKBgFBquICSIqW5/a9anh+k\
    lthpyOzc/Mbw4IJcPDiEuKvWmxMIxg48LYgH914Lqd8KO+a2zCXvnDBSNO40es9jy3b4+6DAGdC1mN0EJM60\
    Vx4BsFmSQIbrVTX8u472t1u2aoi37bD/cqNEGX4W0BSDTR0sAWPuAVeyhInjRpdR+DU5AoGBAMw0Fie6og5+\
    DKbnJVIXHPWM589dTZf1VqGKqkctiuimHwg/Kl3b7HJ5x8is8Odc0nKYfFQzl6mBOCCm8JIwlG09rT5uslhY\
    vs1+LzaUgoql/UdgLQeedXyS2/WvJ386k613NAMG3K2aLBwwVfmJE2iM6QIK1qKa2kMqkNBGiL2s";

/// A key that signs.
pub enum Key {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair, &'static str),
    Rsa(RsaKeyPair),
}

impl Key {
    pub fn ed() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    pub fn p256() -> Self {
        Self::ec(&ring_signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")
    }

    pub fn p384() -> Self {
        Self::ec(&ring_signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")
    }

    fn ec(algorithm: &'static ring_signature::EcdsaSigningAlgorithm, curve: &'static str) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap(), curve)
    }

    pub fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_der(&STANDARD.decode(RSA).unwrap()).unwrap())
    }

    /// The public key as a JWK without the id of a key.
    pub fn jwk(&self) -> Value {
        match self {
            Self::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().as_ref())})
            }
            Self::Ec(key, curve) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
            }
            Self::Rsa(key) => {
                let public: ring_signature::RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                json!({"kty": "RSA", "n": b64(&public.n), "e": b64(&public.e)})
            }
        }
    }

    /// The public key as an entry of a JWK set.
    pub fn entry(&self, kid: &str) -> Value {
        let mut jwk = self.jwk();
        jwk["kid"] = json!(kid);
        jwk
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Ec(key, _) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let padding: &dyn ring_signature::RsaEncoding = match algorithm {
                    "RS384" => &ring_signature::RSA_PKCS1_SHA384,
                    "RS512" => &ring_signature::RSA_PKCS1_SHA512,
                    "PS256" => &ring_signature::RSA_PSS_SHA256,
                    "PS384" => &ring_signature::RSA_PSS_SHA384,
                    "PS512" => &ring_signature::RSA_PSS_SHA512,
                    _ => &ring_signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with this header and payload.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(header, &claims.to_string())
    }

    /// A token with this payload, which may be no JSON.
    pub fn token_of(&self, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.as_bytes()));
        let algorithm = header["alg"].as_str().unwrap_or_default();
        format!("{message}.{}", b64(&self.sign(algorithm, message.as_bytes())))
    }
}

pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
