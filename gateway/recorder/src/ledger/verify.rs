//! Checks a published ledger offline with the caller's key: every entry, every tile and the
//! checkpoint. Names the first bad entry, and the facts that it cannot prove. Never writes and
//! never asks the recorder. Two files that agree with each other are no proof.

mod file;

use super::approvals::payloads::ApprovalPayloads;
use super::approvals::{self, ApprovalEntries, ApprovalReport, People};
use super::leaf::Leaf;
use super::note::{Checkpoint, NoteError};
use super::tile::{Kind, Place, span, unbundle};
use super::tree::{Hash, Tree, fold, leaf_hash};
use cofferdam_core::model::id::hex;
use cofferdam_core::model::json;
use cofferdam_core::model::record::{Event, LEAF_SCHEMA};
use cofferdam_core::model::retention::Retained;
use ed25519_dalek::VerifyingKey;
use file::read;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The most errors in a report.
const TOLD: usize = 64;

/// One error of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerError {
    /// The bad entry; `None` if the error is not about a single entry.
    pub entry: Option<u64>,
    /// The path of the file in the folder of the ledger.
    pub file: String,
    /// The description of the error.
    pub what: String,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The name of the ledger; empty without a readable checkpoint.
    pub origin: String,
    /// The number of signed entries.
    pub size: u64,
    /// The signed root, in hexadecimal.
    pub root: String,
    /// The errors, the most important first.
    pub errors: Vec<LedgerError>,
    /// The facts that this check cannot prove, a sentence each.
    pub unproven: Vec<String>,
    /// What retention removed from the store, by the ledger's own entries, a sentence each.
    pub removed: Vec<String>,
    /// The signatures of people.
    pub approvals: ApprovalReport,
}

impl Report {
    /// Returns whether there is no error.
    pub fn is_sound(&self) -> bool {
        self.errors.is_empty() && self.approvals.errors.is_empty()
    }

    /// The first bad entry.
    pub fn first_bad(&self) -> Option<u64> {
        let of_ledger = self.errors.first().map(|error| error.entry);
        of_ledger.or_else(|| self.approvals.errors.first().map(|error| error.entry)).flatten()
    }
}

/// The error of a folder that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot be read: {1}; give the folder that holds `checkpoint` and `tile`")]
pub struct Unreadable(pub PathBuf, pub std::io::Error);

/// The order of errors: bytes of entries, then each level of tiles, then contents of entries, then
/// the whole ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Tile(u32),
    Content,
    Whole,
}

struct Check<'a> {
    folder: &'a Path,
    errors: Vec<(Layer, LedgerError)>,
    beyond: u64,
    removed: BTreeMap<Retained, Removals>,
    asked: ApprovalEntries,
}

/// The removals of one kind of rows.
#[derive(Debug, Default)]
struct Removals {
    count: u64,
    end: Option<u64>,
    newest: String,
}

/// Checks a published ledger. `older` is an earlier checkpoint of the caller, `people` are those
/// whose signatures count for the caller.
pub fn verify(
    folder: &Path,
    key: &VerifyingKey,
    older: Option<&str>,
    people: Option<&People>,
) -> Result<Report, Unreadable> {
    let note = read(&folder.join("checkpoint"))?;
    let opened = String::from_utf8(note)
        .map_err(|_| NoteError::Shape)
        .and_then(|note| Checkpoint::open(&note, key));
    let checkpoint = match opened {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Ok(unsigned(&error)),
    };
    let mut check = Check::new(folder);
    let mut files = BTreeMap::new();
    check.list(Path::new("tile"), &mut files)?;
    let entries = check.entries(&checkpoint)?;
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    check.tiles(&leaves, &files)?;
    check.content(&checkpoint.origin, &entries, &leaves);
    let mut unproven =
        check.whole(&checkpoint, &leaves, older.map(|older| Checkpoint::open(older, key)));
    let payloads = ApprovalPayloads::open(folder)
        .map_err(|error| Unreadable(folder.join(approvals::payloads::FILE), error))?;
    unproven.push(match &payloads {
        None => "payloads are not part of these files; each entry has a keyed commitment to them"
            .to_owned(),
        Some(_) => "payloads other than those of signatures are not part of these files; each \
                    entry has a keyed commitment to them"
            .to_owned(),
    });
    let mut approvals = approvals::check(&checkpoint.origin, &check.asked, people, payloads);
    unproven.append(&mut approvals.unproven);
    if check.beyond > 0 {
        unproven.push(format!(
            "{} files hold entries beyond the checkpoint; no signature covers those yet",
            check.beyond
        ));
    }
    check.errors.sort_by_key(|(layer, error)| (*layer, error.entry));
    let errors = check.errors.into_iter().map(|(_, error)| error).take(TOLD).collect();
    Ok(Report {
        origin: checkpoint.origin,
        size: checkpoint.size,
        root: hex(&checkpoint.root),
        errors,
        unproven,
        removed: check.removed.into_iter().map(|(what, removals)| removals.text(what)).collect(),
        approvals,
    })
}

fn unsigned(error: &NoteError) -> Report {
    Report {
        origin: String::new(),
        size: 0,
        root: String::new(),
        errors: vec![LedgerError {
            entry: None,
            file: "checkpoint".to_owned(),
            what: error.to_string(),
        }],
        unproven: vec!["without a signed checkpoint no entry can be judged".to_owned()],
        removed: Vec::new(),
        approvals: ApprovalReport::default(),
    }
}

impl Removals {
    fn text(&self, what: Retained) -> String {
        let place = self.end.map(|end| format!(", before entry {end}")).unwrap_or_default();
        let day = self.newest.get(..10).unwrap_or_default();
        format!("{} {what}{place}, the newest on {day}", self.count)
    }
}

impl<'a> Check<'a> {
    fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            errors: Vec::new(),
            beyond: 0,
            removed: BTreeMap::new(),
            asked: ApprovalEntries::default(),
        }
    }

    fn report(&mut self, layer: Layer, entry: Option<u64>, file: &str, what: &str) {
        self.errors
            .push((layer, LedgerError { entry, file: file.to_owned(), what: what.to_owned() }));
    }

    /// Checks every tile file against the entries, also partial ones of earlier sizes, which exist
    /// until the full tile does.
    fn tiles(
        &mut self,
        leaves: &[Hash],
        files: &BTreeMap<Place, String>,
    ) -> Result<(), Unreadable> {
        let mut levels = vec![leaves.to_vec()];
        while let Some(below) = levels.last().filter(|below| below.len() >= 256) {
            levels.push(below.chunks_exact(256).map(fold).collect());
        }
        for (hashes, level) in levels.iter().zip(0u32..) {
            for (tile, index) in hashes.chunks(256).zip(0u64..) {
                let places = [tile.len() as u64, 256].map(|width| Place {
                    kind: Kind::Hashes(level),
                    index,
                    width,
                });
                if !places.iter().any(|place| files.contains_key(place))
                    && self.there(&places)?.is_none()
                {
                    let first = places.first().map_or(0, Place::first_entry);
                    self.report(
                        Layer::Tile(level),
                        Some(first),
                        &places.map(|place| place.path()).join("` or `"),
                        "the tile is missing",
                    );
                }
            }
        }
        for (place, file) in files {
            let bytes = match read(&self.folder.join(file)) {
                Ok(bytes) => bytes,
                Err(Unreadable(path, error)) if error.kind() == std::io::ErrorKind::NotFound => {
                    // The partial file was listed and is full by now; the full file has the same
                    // hashes.
                    let full = Place { kind: place.kind, index: place.index, width: 256 };
                    if self.folder.join(full.path()).exists() {
                        continue;
                    }
                    return Err(Unreadable(path, error));
                }
                Err(error) => return Err(error),
            };
            let (level, found, whole): (u32, Vec<Hash>, bool) = match place.kind {
                Kind::Hashes(level) => {
                    let (hashes, rest) = bytes.as_chunks::<32>();
                    (level, hashes.to_vec(), rest.is_empty())
                }
                Kind::Entries => {
                    let (found, whole) = unbundle(&bytes);
                    (0, found.into_iter().map(leaf_hash).collect(), whole)
                }
            };
            let known = usize::try_from(level)
                .ok()
                .and_then(|level| levels.get(level))
                .map(Vec::as_slice)
                .unwrap_or_default();
            let start = usize::try_from(place.index.saturating_mul(256)).unwrap_or(usize::MAX);
            let known = known.get(start..).unwrap_or_default();
            if known.is_empty() {
                self.beyond += 1;
                continue;
            }
            let at = |offset: usize| {
                Some((place.index * 256 + offset as u64).saturating_mul(span(level)))
            };
            if found.len() as u64 != place.width || !whole {
                let what = "the file has another length than its name says";
                self.report(Layer::Tile(level), at(found.len().min(known.len() - 1)), file, what);
            }
            if let Some(offset) = found.iter().zip(known).position(|(found, known)| found != known)
            {
                let what = match place.kind {
                    Kind::Entries => "the entry is not the one of the ledger's other files",
                    Kind::Hashes(0) => {
                        "the entry and its hash in this tile do not fit: one of them was changed"
                    }
                    Kind::Hashes(_) => "the hash is not that of the entries beneath it",
                };
                self.report(Layer::Tile(level), at(offset), file, what);
            }
            if found.len() > known.len() {
                self.beyond += 1;
            }
        }
        Ok(())
    }

    /// Checks the contents of entries: their own index, and the hash of the entry before.
    fn content(&mut self, origin: &str, entries: &[Vec<u8>], leaves: &[Hash]) {
        let mut breaks = BTreeSet::new();
        let mut previous = String::new();
        for ((entry, hash), index) in entries.iter().zip(leaves).zip(0u64..) {
            let file = Place { kind: Kind::Entries, index: index / 256, width: 256 }.path();
            match json::strict_into::<Leaf>(entry) {
                Err(error) => self.report(
                    Layer::Content,
                    Some(index),
                    &file,
                    &format!("the entry is not readable: {error}"),
                ),
                Ok(leaf) => {
                    let canonical = json::canonical(&leaf)
                        .is_ok_and(|text| text.as_bytes() == entry.as_slice());
                    if !canonical
                        || leaf.schema != LEAF_SCHEMA
                        || leaf.origin != origin
                        || leaf.index != index
                    {
                        self.report(
                            Layer::Content,
                            Some(index),
                            &file,
                            "the entry says that it belongs elsewhere, or is not canonical",
                        );
                    }
                    if let Event::Removed { what, count, end, .. } = leaf.event {
                        let removals = self.removed.entry(what).or_default();
                        removals.count = removals.count.saturating_add(count);
                        removals.end = removals.end.max(end);
                        removals.newest.clone_from(&leaf.time);
                    }
                    if leaf.previous != previous {
                        breaks.insert(index);
                    }
                    self.asked.take(leaf);
                }
            }
            previous = hex(hash);
        }
        // Entry n has the hash of n-1. With one mismatch, n-1 was changed. With two in a row, only
        // this field of the entry between them was changed.
        for index in &breaks {
            let after_another = index.checked_sub(1).is_some_and(|before| breaks.contains(&before));
            if after_another {
                continue;
            }
            let bad = if breaks.contains(&(index + 1)) { *index } else { index.saturating_sub(1) };
            let file = Place { kind: Kind::Entries, index: bad / 256, width: 256 }.path();
            self.report(
                Layer::Content,
                Some(bad),
                &file,
                "the next entry names another hash for this one",
            );
        }
    }

    /// Checks the tree against the signed checkpoint and an earlier one. Returns the unproven
    /// facts.
    fn whole(
        &mut self,
        checkpoint: &Checkpoint,
        leaves: &[Hash],
        older: Option<Result<Checkpoint, NoteError>>,
    ) -> Vec<String> {
        let mut tree = Tree::default();
        let mut known = 0;
        let mut before = None;
        if let Some(Ok(older)) = &older {
            before = Some((older.size, older.root));
        }
        let mut continued =
            before.filter(|(size, _)| *size == 0).map(|(_, root)| root == tree.root());
        for leaf in leaves {
            tree.push(*leaf);
            if let Some((size, root)) = before.filter(|(size, _)| *size == tree.size()) {
                continued = Some(tree.root() == root);
                known = size;
            }
        }
        if tree.root() != checkpoint.root {
            self.report(
                Layer::Whole,
                None,
                "checkpoint",
                "the entries are not those that were signed",
            );
        }
        match (older, continued) {
            (None, _) => {}
            (Some(Err(error)), _) => {
                self.report(Layer::Whole, None, "the older checkpoint", &error.to_string())
            }
            (Some(Ok(older)), _) if older.origin != checkpoint.origin => {
                self.report(
                    Layer::Whole,
                    None,
                    "the older checkpoint",
                    &format!("it is of `{}`, another ledger", older.origin),
                );
            }
            (Some(Ok(older)), None) => {
                let what = format!(
                    "it has {} entries, the ledger only {}: the end was cut off",
                    older.size, checkpoint.size
                );
                self.report(Layer::Whole, None, "the older checkpoint", &what);
            }
            (Some(Ok(_)), Some(true)) => {}
            (Some(Ok(older)), Some(false)) => {
                let what = format!(
                    "the ledger's first {} entries are not those it signs: history was rewritten",
                    older.size
                );
                self.report(Layer::Whole, None, "the older checkpoint", &what);
            }
        }
        let history = match (known, checkpoint.size) {
            (known, size) if known == size && size > 0 => None,
            (0, _) => Some(
                "no outside witness: the holder of the recorder's key could have rewritten all \
                 entries; keep checkpoints elsewhere and give the oldest one to the next check"
                    .to_owned(),
            ),
            (known, _) => Some(format!(
                "entries from {known} on have no outside witness: the holder of the recorder's \
                 key could have rewritten them"
            )),
        };
        history.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::publish::Tiles;

    fn grow(tiles: &mut Tiles, to: u64) {
        while tiles.tree().size() < to {
            let text = format!("entry {}", tiles.tree().size());
            let hash = leaf_hash(text.as_bytes());
            tiles.push(text, hash);
        }
        tiles.flush("note").unwrap();
    }

    #[test]
    fn partial_files_that_are_full_by_now_are_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let mut tiles = Tiles::new(folder.path());
        grow(&mut tiles, 200);
        let checkpoint = Checkpoint { origin: String::new(), size: 200, root: tiles.tree().root() };
        let mut check = Check::new(folder.path());
        let mut files = BTreeMap::new();
        check.list(Path::new("tile"), &mut files).unwrap();
        assert!(files.keys().all(|place| place.width < 256));
        grow(&mut tiles, 300);
        let entries = check.entries(&checkpoint).unwrap();
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        check.tiles(&leaves, &files).unwrap();
        assert_eq!((check.errors.len(), leaves.len()), (0, 200));
        // Also where the listing came between the removal of the one and the other's appearance.
        check.tiles(&leaves, &BTreeMap::new()).unwrap();
        assert_eq!(check.errors.len(), 0);
        let whole = check.whole(&checkpoint, &leaves, None);
        assert!(check.errors.is_empty() && !whole.is_empty());
    }

    #[test]
    fn a_damaged_partial_file_is_set_aside_before_it_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut tiles = Tiles::new(folder.path());
        grow(&mut tiles, 7);
        let bundle = folder.path().join("tile/entries/000.p/7");
        let good = std::fs::read(&bundle).unwrap();
        std::fs::write(&bundle, b"changed").unwrap();
        tiles.flush("note").unwrap();
        assert_eq!(std::fs::read(&bundle).unwrap(), good);
        let [told] = tiles.repaired() else { panic!("{:?}", tiles.repaired()) };
        assert!(told.contains("tile/entries/000.p/7") && told.contains("damaged"), "{told}");
        assert_eq!(
            std::fs::read(folder.path().join("damaged/tile-entries-000.p-7.0")).unwrap(),
            b"changed"
        );
    }
}
