//! Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint) with one Ed25519 key. Never
//! ignores a malformed line. Ignores signatures of other keys, as the specification requires.

use super::tree::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Algorithm byte of Ed25519 in key ids (C2SP signed-note).
const ED25519: u8 = 1;

/// The most bytes of a checkpoint: far more than three lines and sixteen signatures.
pub const LARGEST: u64 = 64 * 1024;

/// An error of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is not a signed note.
    #[error("the checkpoint is not a signed note of three lines and signatures")]
    Shape,
    /// The checkpoint is of another ledger.
    #[error("the checkpoint is of `{0}`, another ledger")]
    Origin(String),
    /// The checkpoint has no valid signature of the key.
    #[error("the checkpoint is not signed by the recorder key that was given")]
    Signature,
}

/// A checkpoint: origin, size and root of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger: `cofferdam.dev/<environment id>`.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root hash of the tree.
    pub root: Hash,
}

/// The prefix of every ledger's name; the id of the environment follows.
pub const ORIGIN: &str = "cofferdam.dev/";

/// The name of the ledger of an environment.
pub fn origin(environment: &str) -> String {
    format!("{ORIGIN}{environment}")
}

/// The four bytes that name a key in a signature: `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)[:4]`.
pub fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(key.as_bytes())
        .finalize();
    let mut id = [0; 4];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    id
}

/// The key in the form of other tools: `name+key id+base64`.
pub fn vkey(name: &str, key: &VerifyingKey) -> String {
    let bytes = [&[ED25519], key.as_bytes().as_slice()].concat();
    format!(
        "{name}+{}+{}",
        cofferdam_core::model::id::hex(&key_id(name, key)),
        STANDARD.encode(bytes)
    )
}

impl Checkpoint {
    /// The three lines of the checkpoint.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Signs the checkpoint. Only the recorder does.
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let signature = key.sign(text.as_bytes()).to_bytes();
        let id = key_id(&self.origin, &key.verifying_key());
        let line = STANDARD.encode([id.as_slice(), signature.as_slice()].concat());
        format!("{text}\n\u{2014} {} {line}\n", self.origin)
    }

    /// Parses the text without checking signatures.
    pub fn read(note: &str) -> Result<Self, NoteError> {
        let (text, _) = note.split_once("\n\n").ok_or(NoteError::Shape)?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Shape);
        };
        let extended = lines.next().is_some();
        let number: u64 = size.parse().map_err(|_| NoteError::Shape)?;
        let root: Hash = STANDARD
            .decode(root)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(NoteError::Shape)?;
        // The checkpoints of this project have no extension lines. Control characters could show
        // two readers two origins. An origin is also the name of its key, which has neither a space
        // nor a plus (C2SP signed-note).
        let spaced = origin.contains(|sign: char| sign.is_whitespace() || sign == '+');
        if extended
            || spaced
            || origin.is_empty()
            || number.to_string() != size
            || note.chars().any(|c| c.is_control() && c != '\n')
        {
            return Err(NoteError::Shape);
        }
        Ok(Self { origin: origin.to_owned(), size: number, root })
    }

    /// Parses a checkpoint and checks the signature of the ledger's key.
    pub fn open(note: &str, key: &VerifyingKey) -> Result<Self, NoteError> {
        let checkpoint = Self::read(note)?;
        let (text, signatures) = note.split_once("\n\n").ok_or(NoteError::Shape)?;
        let signed = format!("{text}\n");
        let id = key_id(&checkpoint.origin, key);
        let mut found = false;
        for line in signatures.strip_suffix('\n').ok_or(NoteError::Shape)?.split('\n') {
            let (name, bytes) = line
                .strip_prefix("\u{2014} ")
                .and_then(|rest| rest.split_once(' '))
                .ok_or(NoteError::Shape)?;
            let bytes = STANDARD.decode(bytes).map_err(|_| NoteError::Shape)?;
            let (by, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::Shape)?;
            if name == checkpoint.origin && *by == id {
                let signature =
                    Signature::from_slice(signature).map_err(|_| NoteError::Signature)?;
                key.verify_strict(signed.as_bytes(), &signature)
                    .map_err(|_| NoteError::Signature)?;
                found = true;
            }
        }
        if found { Ok(checkpoint) } else { Err(NoteError::Signature) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_no_changed_byte_does() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let checkpoint = Checkpoint { origin: origin("4f2a"), size: 12, root: [9; 32] };
        let note = checkpoint.sign(&key);
        assert_eq!(Checkpoint::open(&note, &key.verifying_key()), Ok(checkpoint));
        assert_eq!(
            Checkpoint::open(&note, &SigningKey::from_bytes(&[8; 32]).verifying_key()),
            Err(NoteError::Signature)
        );
        for origin in ["", "a b", "a+b", "a\u{a0}b"] {
            let odd = Checkpoint { origin: origin.to_owned(), ..Checkpoint::read(&note).unwrap() };
            assert_eq!(Checkpoint::read(&odd.sign(&key)), Err(NoteError::Shape), "{origin:?}");
        }
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let opened =
                String::from_utf8(bytes).map(|note| Checkpoint::open(&note, &key.verifying_key()));
            assert!(!matches!(opened, Ok(Ok(_))), "byte {at}");
        }
    }

    #[test]
    fn key_ids_are_those_of_other_implementations() {
        // The example key of Go's sumdb/note documentation:
        // PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW.
        let bytes = STANDARD.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let key = VerifyingKey::from_bytes(bytes[1..].try_into().unwrap()).unwrap();
        assert_eq!(
            vkey("PeterNeumann", &key),
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        );
    }
}
