//! Writing the ledger out as tiles, after the commit: what is on disk here is a copy anybody may
//! read, made again from the store when it is missing or behind. Never ahead of the store.

use super::note::Checkpoint;
use super::tile::{Kind, Place, bundle, hash_tile};
use super::tree::{Hash, Tree};
use crate::remedy::remedy;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file of the newest checkpoint.
const CHECKPOINT: &str = "checkpoint";

/// Entries that were committed.
#[derive(Debug)]
pub struct Published {
    /// Index of the first.
    pub first: u64,
    /// Text and leaf hash.
    pub entries: Vec<(String, Hash)>,
    /// The checkpoint over them.
    pub note: String,
}

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`: {error}; {remedy}", path = .path.display(), remedy = remedy(.error))]
pub struct PublishError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// One file to write; complete tiles are forced to disk, since they are not looked at again.
#[derive(Debug)]
struct Due {
    place: Place,
    bytes: Vec<u8>,
}

/// The published ledger.
#[derive(Debug)]
pub struct Tiles {
    folder: PathBuf,
    tree: Tree,
    /// Entries of the bundle that is not full yet.
    entries: Vec<String>,
    due: Vec<Due>,
    /// Damage that was found and written again, a sentence each.
    repaired: Vec<String>,
}

/// Copies of one damaged file that are kept; further ones take the place of the last.
const COPIES: u32 = 8;

impl Tiles {
    /// A ledger in this folder, from its first entry on.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            tree: Tree::default(),
            entries: Vec::new(),
            due: Vec::new(),
            repaired: Vec::new(),
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tree so far.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Takes an entry in.
    pub fn push(&mut self, text: String, hash: Hash) {
        self.entries.push(text);
        for tile in self.tree.push(hash) {
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
    }

    /// Forgets full tiles that are on disk in full length already: for a start, when only what is
    /// missing is written.
    pub fn keep_existing(&mut self) {
        let folder = &self.folder;
        self.due.retain(|due| {
            let there = fs::metadata(folder.join(due.place.path()))
                .is_ok_and(|file| file.len() == due.bytes.len() as u64);
            !there
        });
    }

    /// Damage that was found and written again, a sentence each: the file, and where what was there
    /// is kept.
    pub fn repaired(&self) -> &[String] {
        &self.repaired
    }

    /// Number of full tiles to write.
    pub fn due(&self) -> usize {
        self.due.len()
    }

    /// Writes full tiles alone.
    pub fn flush_full(&mut self) -> Result<(), PublishError> {
        while let Some(Due { place, bytes }) = self.due.first() {
            let (path, bytes) = (place.path(), bytes.clone());
            self.put(&path, &bytes, true)?;
            // Partial tiles of what is full now are no longer needed (C2SP tlog-tiles).
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

    /// Writes what is due, then partial tiles, then the checkpoint. What failed is tried again the
    /// next time.
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
        self.put(CHECKPOINT, note.as_bytes(), true)
    }

    /// Replaces a file whole: a reader sees the old bytes or the new ones. The bytes of a tile's
    /// place never change: others that are there are damage, and are set aside as evidence.
    fn put(&mut self, relative: &str, bytes: &[u8], force: bool) -> Result<(), PublishError> {
        let path = self.folder.join(relative);
        let error = |error| PublishError { path: path.clone(), error };
        match fs::read(&path) {
            Ok(there) if there == bytes => return Ok(()),
            Ok(_) if relative != CHECKPOINT => {
                let kept = self.set_aside(relative).map_err(error)?;
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
            let temporary = self.folder.join(".new");
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            if force {
                file.sync_data()?;
            }
            fs::rename(&temporary, &path)
        };
        written().map_err(error)
    }

    /// Moves a file out of the tiles; answers where to.
    fn set_aside(&self, relative: &str) -> io::Result<PathBuf> {
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

/// The checkpoint that is published in a folder, unread; none when there is none.
pub fn published(folder: &Path) -> Result<Option<String>, PublishError> {
    let path = folder.join("checkpoint");
    match fs::read_to_string(&path) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Not text: as bad as torn, and written again.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(PublishError { path, error }),
    }
}

/// Checks one step of a rebuilt tree against what was published: none when it is not of this size.
pub fn continues(tree: &Tree, published: &Checkpoint) -> Option<bool> {
    (tree.size() == published.size).then(|| tree.root() == published.root)
}
