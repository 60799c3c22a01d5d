//! Copies a published ledger up to its newest checkpoint, for a check on another machine. Copies
//! tile by tile, whatever the size of the ledger. Never changes the ledger.

use super::note::Checkpoint;
use super::prove::{ProveError, either, head};
use super::tile::{Kind, Place};
use super::tree::HEIGHT;
use ed25519_dalek::VerifyingKey;
use std::fs;
use std::path::Path;

/// Copies checkpoint and tiles to a folder. Returns the copied checkpoint.
///
/// # Errors
/// A file is missing, is not readable or cannot be written.
pub fn copy(folder: &Path, key: &VerifyingKey, into: &Path) -> Result<Checkpoint, ProveError> {
    let (checkpoint, note) = head(folder, key)?;
    copy_tiles(folder, into, Kind::Entries, checkpoint.size)?;
    let mut level = 0u32;
    loop {
        let hashes = checkpoint.size.checked_shr(HEIGHT * level).unwrap_or(0);
        if hashes == 0 {
            break;
        }
        copy_tiles(folder, into, Kind::Hashes(level), hashes)?;
        level += 1;
    }
    // Last: a folder with a checkpoint is whole.
    write(into, "checkpoint", note.as_bytes())?;
    Ok(checkpoint)
}

fn copy_tiles(folder: &Path, into: &Path, kind: Kind, many: u64) -> Result<(), ProveError> {
    let mut index = 0;
    while index * 256 < many {
        let width = (many - index * 256).min(256);
        let (path, bytes) = either(folder, kind, index, width)?;
        // A partial tile that became full has entries beyond the checkpoint.
        let bytes = cut(bytes, kind, width).ok_or(ProveError::Tile(path))?;
        write(into, &Place { kind, index, width }.path(), &bytes)?;
        index += 1;
    }
    Ok(())
}

/// The first `width` hashes or entries of a tile; `None` if it has fewer.
fn cut(mut bytes: Vec<u8>, kind: Kind, width: u64) -> Option<Vec<u8>> {
    let width = usize::try_from(width).ok()?;
    let length = match kind {
        Kind::Hashes(_) => width * 32,
        Kind::Entries => {
            let (entries, _) = super::tile::unbundle(&bytes);
            let entries = entries.get(..width)?;
            entries.iter().map(|entry| entry.len() + 2).sum()
        }
    };
    if bytes.len() < length {
        return None;
    }
    bytes.truncate(length);
    Some(bytes)
}

fn write(into: &Path, path: &str, bytes: &[u8]) -> Result<(), ProveError> {
    let path = into.join(path);
    let done = path.parent().map_or(Ok(()), fs::create_dir_all);
    done.and_then(|()| fs::write(&path, bytes)).map_err(|error| ProveError::File(path, error))
}
