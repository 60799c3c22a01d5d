//! An authenticator of tests: makes passkeys and assertions, also wrong ones. The same name always
//! gives the same key. Never asks a person, and knows no type of the core, whose own tests use this
//! file too.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The flag of a person's presence.
pub const PRESENT: u8 = 1;

/// The flag of a verified person: PIN, finger or face.
pub const VERIFIED: u8 = 4;

/// The flag of a new credential in the authenticator's data.
pub const ATTESTED: u8 = 0x40;

enum Key {
    Es256(Box<p256::ecdsa::SigningKey>),
    EdDsa(Box<ed25519_dalek::SigningKey>),
}

/// An authenticator with one credential.
pub struct Authenticator {
    /// The origin of the pages that use it.
    pub origin: String,
    /// The id of the relying party.
    pub party: String,
    /// The id of the credential.
    pub credential: Vec<u8>,
    key: Key,
}

impl Authenticator {
    /// An authenticator of this person with a key of ES256.
    pub fn es256(person: &str) -> Self {
        let seed = Sha256::digest(format!("es256 {person}"));
        let key = p256::ecdsa::SigningKey::from_bytes(&seed).unwrap();
        Self::of(person, Key::Es256(Box::new(key)))
    }

    /// An authenticator of this person with a key of EdDSA.
    pub fn eddsa(person: &str) -> Self {
        let seed: [u8; 32] = Sha256::digest(format!("eddsa {person}")).into();
        Self::of(person, Key::EdDsa(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed))))
    }

    fn of(person: &str, key: Key) -> Self {
        let credential = Sha256::digest(format!("credential {person}"))[..16].to_vec();
        let party = "gate.example.com".to_owned();
        Self { origin: format!("https://{party}"), party, credential, key }
    }

    /// The same credential for pages of another origin.
    pub fn at(self, origin: &str) -> Self {
        let host = origin.split("://").nth(1).unwrap().split(':').next().unwrap();
        Self { origin: origin.to_owned(), party: host.to_owned(), ..self }
    }

    /// The same key, with another id of its credential.
    pub fn with_id(self, credential: &[u8]) -> Self {
        Self { credential: credential.to_vec(), ..self }
    }

    /// The public key in the form of COSE.
    pub fn cose(&self) -> Vec<u8> {
        match &self.key {
            Key::Es256(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
                let (x, y) = (point.x().unwrap(), point.y().unwrap());
                [&head[..], x, &[0x22, 0x58, 0x20], y].concat()
            }
            Key::EdDsa(key) => {
                let head = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
                [&head[..], key.verifying_key().as_bytes()].concat()
            }
        }
    }

    /// The line of the passkey in a trust file.
    pub fn line(&self) -> String {
        let [credential, key] =
            [&self.credential, &self.cose()].map(|bytes| BASE64URL_NOPAD.encode(bytes));
        format!("passkey {} {credential} {key}", self.origin)
    }

    /// The client data of a browser, for `webauthn.get` or `webauthn.create`.
    pub fn client_data(&self, kind: &str, challenge: &[u8]) -> Value {
        json!({"type": kind, "challenge": BASE64URL_NOPAD.encode(challenge),
            "origin": self.origin, "crossOrigin": false})
    }

    /// The data of the authenticator in an assertion, with these flags.
    pub fn data(&self, flags: u8) -> Vec<u8> {
        [&Sha256::digest(&self.party)[..], &[flags], &[0, 0, 0, 7]].concat()
    }

    /// The data of the authenticator for a new credential.
    pub fn attested(&self, flags: u8) -> Vec<u8> {
        let length = u16::try_from(self.credential.len()).unwrap().to_be_bytes();
        let head = self.data(flags | ATTESTED);
        [&head[..], &[0; 16], &length, &self.credential, &self.cose()].concat()
    }

    /// An assertion over these bytes, in the text form of signatures.
    pub fn sign(&self, client_data: &[u8], data: &[u8]) -> String {
        let message = [data, &Sha256::digest(client_data)].concat();
        let signature = match &self.key {
            Key::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(&message);
                signature.to_der().as_bytes().to_vec()
            }
            Key::EdDsa(key) => key.sign(&message).to_bytes().to_vec(),
        };
        let [credential, data, client_data, signature] =
            [&self.credential[..], data, client_data, &signature]
                .map(|bytes| BASE64URL_NOPAD.encode(bytes));
        // In the order of canonical JSON.
        format!(
            "{{\"authenticator_data\":\"{data}\",\"client_data\":\"{client_data}\",\
             \"credential\":\"{credential}\",\"signature\":\"{signature}\",\"type\":\"webauthn\"}}"
        )
    }

    /// A good assertion over a challenge.
    pub fn assertion(&self, challenge: &[u8]) -> String {
        let client_data = self.client_data("webauthn.get", challenge).to_string();
        self.sign(client_data.as_bytes(), &self.data(PRESENT | VERIFIED))
    }

    /// A good assertion over a statement: its challenge is the digest of the text.
    pub fn approve(&self, statement: &str) -> String {
        self.assertion(&Sha256::digest(statement))
    }
}
