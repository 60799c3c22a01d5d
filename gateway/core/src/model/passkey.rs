//! A passkey of an approver, as one line of the trust file: `passkey ORIGIN CREDENTIAL KEY`. Has
//! public parts alone: the private key stays in the person's device. Checks no signature.

use super::id::hex;
use super::relying_party::RelyingParty;
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ed25519_dalek::VerifyingKey as Ed25519Key;
use p256::ecdsa::VerifyingKey as P256Key;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The first word of a passkey's line. No kind of SSH key has it.
pub const PASSKEY: &str = "passkey";

/// Most bytes of a credential id (WebAuthn Level 3, section 4).
pub const CREDENTIAL: usize = 1_023;

/// A COSE key of ES256 up to its first coordinate: `{1: 2, 3: -7, -1: 1, -2: h'…`. Authenticators
/// write it in exactly this order (CTAP 2, section 6: canonical CBOR).
const ES256_X: [u8; 10] = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];

/// The part between the coordinates of a COSE key of ES256: `, -3: h'…`.
const ES256_Y: [u8; 3] = [0x22, 0x58, 0x20];

/// A COSE key of EdDSA up to its point: `{1: 1, 3: -8, -1: 6, -2: h'…`.
const EDDSA_X: [u8; 10] = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];

/// The bytes of a coordinate or a point.
const POINT: usize = 32;

/// A public key of an authenticator. RSA is not among them: no current authenticator needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoseKey {
    /// ECDSA over P-256 with SHA-256: COSE algorithm -7.
    Es256(P256Key),
    /// Ed25519: COSE algorithm -8.
    EdDsa(Ed25519Key),
}

impl CoseKey {
    /// Reads a COSE key, and returns the bytes after it. `None` for another kind of key, and for
    /// another order of members.
    pub fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        if let Some(rest) = bytes.strip_prefix(&ES256_X) {
            let (x, rest) = rest.split_first_chunk::<POINT>()?;
            let (y, rest) = rest.strip_prefix(&ES256_Y)?.split_first_chunk::<POINT>()?;
            let point = p256::EncodedPoint::from_affine_coordinates(x.into(), y.into(), false);
            return Some((Self::Es256(P256Key::from_encoded_point(&point).ok()?), rest));
        }
        let (point, rest) = bytes.strip_prefix(&EDDSA_X)?.split_first_chunk::<POINT>()?;
        let key = Ed25519Key::from_bytes(point).ok().filter(|key| !key.is_weak())?;
        Some((Self::EdDsa(key), rest))
    }

    /// The key as authenticators write it.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Es256(key) => {
                let point = key.to_encoded_point(false);
                let coordinate = |part: Option<&p256::FieldBytes>| {
                    part.map(|part| part.to_vec()).unwrap_or_default()
                };
                [
                    ES256_X.as_slice(),
                    &coordinate(point.x()),
                    ES256_Y.as_slice(),
                    &coordinate(point.y()),
                ]
                .concat()
            }
            Self::EdDsa(key) => [EDDSA_X.as_slice(), key.as_bytes()].concat(),
        }
    }

    /// The name of the algorithm, as COSE has it.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
        }
    }
}

/// A passkey: the site for which it was made, its id, and its public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// The site for which it was made.
    pub party: RelyingParty,
    /// The id that the authenticator gave it, 1 to [`CREDENTIAL`] bytes.
    pub credential: Vec<u8>,
    /// Its public key.
    pub key: CoseKey,
}

impl Passkey {
    /// Reads the line of a passkey. `None` if it is not exactly the line of one.
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        if words.next() != Some(PASSKEY) {
            return None;
        }
        let party = RelyingParty::read(words.next()?).ok()?;
        let credential = BASE64URL_NOPAD.decode(words.next()?.as_bytes()).ok()?;
        let bytes = BASE64URL_NOPAD.decode(words.next()?.as_bytes()).ok()?;
        let (key, rest) = CoseKey::read(&bytes)?;
        let whole = rest.is_empty() && words.next().is_none();
        let fits = (1..=CREDENTIAL).contains(&credential.len());
        (whole && fits).then_some(Self { party, credential, key })
    }

    /// The number that two people compare: 100 bits of the digest of the whole line, in four
    /// groups.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.to_string().as_bytes());
        let text = BASE32_NOPAD.encode(&digest).to_ascii_lowercase();
        let group = |at: usize| text.get(at * 5..at * 5 + 5).unwrap_or_default();
        (0..4).map(group).collect::<Vec<_>>().join("-")
    }

    /// True if both have one key or one id: a device gives neither of them twice.
    pub fn is_same_device(&self, other: &Self) -> bool {
        self.key == other.key || self.credential == other.credential
    }

    /// The whole digest of the line, in hexadecimal: the name of this passkey for programs.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.to_string().as_bytes()))
    }
}

impl fmt::Display for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (credential, key) =
            (BASE64URL_NOPAD.encode(&self.credential), BASE64URL_NOPAD.encode(&self.key.bytes()));
        write!(f, "{PASSKEY} {} {credential} {key}", self.party)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::authenticator::Authenticator;

    #[test]
    fn a_line_is_read_exactly_as_it_was_written_or_not_at_all() {
        for key in [Authenticator::es256("bob"), Authenticator::eddsa("bob")] {
            let line = key.line();
            assert_eq!(Passkey::read(&line).unwrap().to_string(), line);
            let words: Vec<&str> = line.split(' ').collect();
            let [_, origin, credential, cose] = words.as_slice() else { panic!("{line}") };
            for bad in [
                String::new(),
                format!("{line} comment"),
                format!(" {line}"),
                format!("{line}\n"),
                line.replace("passkey ", "ssh-ed25519 "),
                line.replace("passkey ", "passkey  "),
                format!("passkey https://127.0.0.1 {credential} {cose}"),
                format!("passkey {origin}  {cose}"),
                format!("passkey {origin} {credential}= {cose}"),
                format!("passkey {origin} {credential} {cose}AA"),
                format!("passkey {origin} {credential} {}", &cose[..cose.len() - 4]),
                format!("passkey {origin} {} {cose}", "A".repeat(1_368)),
            ] {
                assert_eq!(Passkey::read(&bad), None, "{bad}");
            }
        }
    }

    #[test]
    fn a_point_that_is_on_no_curve_and_another_order_of_members_are_no_key() {
        let good = Authenticator::es256("bob").cose();
        assert!(CoseKey::read(&good).is_some_and(|(_, rest)| rest.is_empty()));
        let mut off = good.clone();
        off[20] ^= 1;
        assert!(CoseKey::read(&off).is_none());
        let mut algorithm = good.clone();
        algorithm[4] = 0x27;
        assert!(CoseKey::read(&algorithm).is_none());
        // The neutral point of Ed25519 verifies signatures that no key made.
        let weak = [EDDSA_X.as_slice(), &[1], &[0; 31]].concat();
        assert!(CoseKey::read(&weak).is_none());
    }

    #[test]
    fn a_fingerprint_is_of_the_whole_line() {
        let [bob, eve] =
            ["bob", "eve"].map(|name| Passkey::read(&Authenticator::es256(name).line()).unwrap());
        let print = bob.fingerprint();
        assert_eq!(print.len(), 23);
        let moved = Passkey {
            party: RelyingParty::read("https://evil.example.com").unwrap(),
            ..bob.clone()
        };
        let renamed = Passkey { credential: vec![1], ..bob };
        for other in [eve, moved, renamed] {
            assert_ne!(other.fingerprint(), print);
        }
    }
}
