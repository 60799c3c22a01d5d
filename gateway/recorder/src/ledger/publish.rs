//! Publishes the ledger as tiles soon after each commit. The files are a copy for every reader, and are
//! made again from the store if they are missing or old. Never ahead of the store.

use super::note::Checkpoint;
use super::tile::{Kind, Place, bundle, hash_tile};
use super::tree::{HEIGHT, Hash, Tree};
use crate::remedy::remedy;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file of the newest checkpoint.
const CHECKPOINT: &str = "checkpoint";

/// Committed entries to publish.
#[derive(Debug)]
pub struct Published {
    /// The index of the first entry.
    pub first: u64,
    /// The text and the leaf hash of each entry.
    pub entries: Vec<(String, Hash)>,
    /// The checkpoint that includes them.
    pub note: String,
}

/// The error of a file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`: {error}; {remedy}", path = .path.display(), remedy = remedy(.error))]
pub struct PublishError {
    /// The path of the file.
    pub path: PathBuf,
    /// The cause.
    pub error: io::Error,
}

/// One file to write. Full tiles are flushed to disk, because they are not checked again.
#[derive(Debug)]
struct Due {
    place: Place,
    bytes: Vec<u8>,
}

/// The published ledger.
#[derive(Debug)]
pub struct Tiles {
    folder: PathBuf,
    /// The name of a file while it is written.
    temporary: &'static str,
    tree: Tree,
    /// The entries of the bundle that is not full yet.
    entries: Vec<String>,
    due: Vec<Due>,
    /// True if the checkpoint was written after it was flushed to disk.
    unsynced: bool,
    /// The time of its last flush.
    synced: Option<Instant>,
    /// The repaired damage, a sentence each.
    repaired: Vec<String>,
}

/// The most quarantined copies of one damaged file; a further one replaces the last.
const COPIES: u32 = 8;

impl Tiles {
    /// Starts a ledger in this folder, without entries.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            temporary: ".new",
            tree: Tree::default(),
            entries: Vec::new(),
            due: Vec::new(),
            unsynced: false,
            synced: None,
            repaired: Vec::new(),
        }
    }

    /// The folder of the ledger.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tree so far.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Starts with a tree and the entries of the bundle that is not full yet.
    pub fn resume(folder: &Path, tree: Tree, entries: Vec<String>) -> Self {
        Self { tree, entries, ..Self::new(folder) }
    }

    /// Starts a second writer of the same folder, which writes only files that another one has
    /// finished.
    pub fn beside(folder: &Path) -> Self {
        Self { temporary: ".new-beside", ..Self::new(folder) }
    }

    /// Returns whether each full tile has its files. A bundle of another length is found later.
    pub fn is_complete(&self) -> bool {
        let there = |kind, index, bytes: Option<u64>| {
            let place = Place { kind, index, width: 256 };
            let file = fs::metadata(self.folder.join(place.path()));
            file.is_ok_and(|file| bytes.map_or(file.len() > 0, |bytes| file.len() == bytes))
        };
        let mut level = 0u32;
        while self.tree.size().checked_shr(HEIGHT * (level + 1)).unwrap_or(0) > 0 {
            for index in 0..self.tree.size() >> (HEIGHT * (level + 1)) {
                let tile = there(Kind::Hashes(level), index, Some(256 * 32));
                if !tile || (level == 0 && !there(Kind::Entries, index, None)) {
                    return false;
                }
            }
            level += 1;
        }
        true
    }

    /// Takes the repaired damage.
    pub fn take_repaired(&mut self) -> Vec<String> {
        std::mem::take(&mut self.repaired)
    }

    /// Adds an entry; returns level, index and root of each tile that became full.
    pub fn push(&mut self, text: String, hash: Hash) -> Vec<(u32, u64, Hash)> {
        self.entries.push(text);
        let mut full = Vec::new();
        for tile in self.tree.push(hash) {
            full.push((tile.level, tile.index, tile.root));
            if tile.level == 0 {
                let bytes = bundle(self.entries.iter().map(String::as_bytes)).unwrap_or_default();
                self.due.push(Due {
                    place: Place { kind: Kind::Entries, index: tile.index, width: 256 },
                    bytes,
                });
                self.entries.clear();
            }
            let place = Place { kind: Kind::Hashes(tile.level), index: tile.index, width: 256 };
            self.due.push(Due { place, bytes: hash_tile(&tile.hashes) });
        }
        full
    }

    /// Removes from the queue the full tiles that exist with their full length. A start writes only
    /// missing files.
    pub fn keep_existing(&mut self) {
        let folder = &self.folder;
        self.due.retain(|due| {
            let there = fs::metadata(folder.join(due.place.path()))
                .is_ok_and(|file| file.len() == due.bytes.len() as u64);
            !there
        });
    }

    /// The repaired damage, a sentence each: the file, and the path of the quarantined copy.
    pub fn repaired(&self) -> &[String] {
        &self.repaired
    }

    /// The number of full tiles to write.
    pub fn due(&self) -> usize {
        self.due.len()
    }

    /// Writes only the full tiles.
    pub fn flush_full(&mut self) -> Result<(), PublishError> {
        while let Some(Due { place, bytes }) = self.due.first() {
            let (path, bytes) = (place.path(), bytes.clone());
            self.put(&path, &bytes, true)?;
            // Partial tiles of a full tile are no longer needed (C2SP tlog-tiles).
            let partial = self.folder.join(format!("{path}.p"));
            match fs::remove_dir_all(&partial) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(PublishError { path: partial, error });
                }
                _ => {}
            }
            self.due.remove(0);
        }
        Ok(())
    }

    /// Writes the queued tiles, then partial tiles, then the checkpoint. The next call repeats a
    /// failed write.
    pub fn flush(&mut self, note: &str) -> Result<(), PublishError> {
        self.flush_full()?;
        let partial = self.tree.partial_tiles().map(|(level, index, hashes)| {
            let place = Place { kind: Kind::Hashes(level), index, width: hashes.len() as u64 };
            (place.path(), hash_tile(hashes))
        });
        for (path, bytes) in partial.collect::<Vec<_>>() {
            self.put(&path, &bytes, false)?;
        }
        if !self.entries.is_empty() {
            let place = Place {
                kind: Kind::Entries,
                index: self.tree.size() >> 8,
                width: self.entries.len() as u64,
            };
            let bytes = bundle(self.entries.iter().map(String::as_bytes)).unwrap_or_default();
            self.put(&place.path(), &bytes, false)?;
        }
        self.put(CHECKPOINT, note.as_bytes(), false)?;
        self.unsynced = true;
        Ok(())
    }

    /// Returns whether the newest checkpoint is not flushed to disk yet.
    pub fn unsynced(&self) -> bool {
        self.unsynced
    }

    /// Flushes the checkpoint to disk, unless that was done within `pause`.
    pub fn sync(&mut self, pause: Duration) -> Result<(), PublishError> {
        if self.unsynced && self.synced.is_none_or(|synced| synced.elapsed() >= pause) {
            let path = self.folder.join(CHECKPOINT);
            let flushed = File::open(&path).and_then(|file| file.sync_data());
            flushed.map_err(|error| PublishError { path, error })?;
            self.unsynced = false;
            self.synced = Some(Instant::now());
        }
        Ok(())
    }

    /// Replaces a file atomically: a reader gets the old bytes or the new ones. The bytes of a tile
    /// never change: other bytes are damage, and are quarantined as evidence.
    fn put(&mut self, relative: &str, bytes: &[u8], force: bool) -> Result<(), PublishError> {
        let path = self.folder.join(relative);
        let error = |error| PublishError { path: path.clone(), error };
        match fs::read(&path) {
            Ok(there) if there == bytes => return Ok(()),
            Ok(_) if relative != CHECKPOINT => {
                let kept = self.quarantine(relative).map_err(error)?;
                let told = format!(
                    "`{}` was damaged and is written again; what was there is kept as `{}`",
                    path.display(),
                    kept.display()
                );
                tracing::warn!(path = %path.display(), "{told}");
                self.repaired.push(told);
            }
            _ => {}
        }
        let written = || -> io::Result<()> {
            let parent = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(parent)?;
            let temporary = self.folder.join(self.temporary);
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            if force {
                file.sync_data()?;
            }
            fs::rename(&temporary, &path)
        };
        written().map_err(error)
    }

    /// Moves a damaged file out of the tiles; returns its new path.
    fn quarantine(&self, relative: &str) -> io::Result<PathBuf> {
        let folder = self.folder.join("damaged");
        fs::create_dir_all(&folder)?;
        let name = relative.replace('/', "-");
        let place = |count: u32| folder.join(format!("{name}.{count}"));
        let free =
            (0..COPIES).map(place).find(|place| !place.exists()).unwrap_or_else(|| place(COPIES));
        fs::rename(self.folder.join(relative), &free)?;
        Ok(free)
    }
}

/// Reads the published checkpoint of a folder, unparsed; `None` if it is missing.
pub fn published(folder: &Path) -> Result<Option<String>, PublishError> {
    let path = folder.join("checkpoint");
    match fs::read_to_string(&path) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A file that is not text is damaged, and is written again.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(PublishError { path, error }),
    }
}

/// Compares a rebuilt tree with the published checkpoint; `None` if the sizes differ.
pub fn continues(tree: &Tree, published: &Checkpoint) -> Option<bool> {
    (tree.size() == published.size).then(|| tree.root() == published.root)
}
