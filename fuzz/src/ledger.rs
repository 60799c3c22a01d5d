//! The published ledger: the path of a tile, a bundle of entries, a checkpoint and a proof have one
//! spelling each, and a checkpoint opens with the key that signed it alone.

use crate::{Broken, Checked, hold};
use cofferdam_recorder::ledger::note::{Checkpoint, origin};
use cofferdam_recorder::ledger::prove::verify_proof;
use cofferdam_recorder::ledger::tile::{Place, bundle, unbundle};
use ed25519_dalek::SigningKey;

/// The seed of the key that signs checkpoints, in tests alone.
const SEED: [u8; 32] = [7; 32];

/// Reads the bytes as each part of a published ledger.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    let (entries, whole) = unbundle(bytes);
    let taken: usize = entries.iter().map(|entry| entry.len() + 2).sum();
    let again = bundle(entries)
        .ok_or_else(|| Broken("entries that were read make no bundle".to_owned()))?;
    hold(bytes.get(..taken) == Some(&again) && whole == (taken == bytes.len()), || {
        format!("{bytes:?} is read as {again:?}")
    })?;
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    if let Some(place) = Place::parse(text) {
        hold(place.path() == text, || {
            format!("the tile `{text}` has the path `{}`", place.path())
        })?;
    }
    let signer = SigningKey::from_bytes(&SEED);
    let key = signer.verifying_key();
    if let Ok(checkpoint) = Checkpoint::read(text) {
        hold(text.starts_with(&checkpoint.text()), || {
            format!("{text:?} is read as {:?}", checkpoint.text())
        })?;
        let own = Checkpoint::open(&checkpoint.sign(&signer), &key);
        hold(own.as_ref() == Ok(&checkpoint), || {
            format!("a checkpoint does not open with its own key: {own:?}")
        })?;
    }
    if let Ok(checkpoint) = Checkpoint::open(text, &key) {
        let signed = checkpoint.sign(&signer);
        let line = signed.lines().last().unwrap_or_default();
        hold(text.lines().any(|given| given == line), || {
            format!("{text:?} opens without the signature of its key")
        })?;
    }
    if let Ok(proven) = verify_proof(text, &key) {
        hold(proven.index < proven.checkpoint.size, || {
            format!("entry {} of {}", proven.index, proven.checkpoint.size)
        })?;
    }
    Ok(())
}

/// A signed checkpoint, for a corpus.
pub fn good() -> String {
    Checkpoint { origin: origin("shop"), size: 7, root: [1; 32] }
        .sign(&SigningKey::from_bytes(&SEED))
}
