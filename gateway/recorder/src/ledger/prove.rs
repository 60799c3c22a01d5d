//! Proofs for reviewers: one entry in a signed ledger (C2SP tlog-proof), and one ledger as the
//! continuation of another. Every proof is checked against the signature first, so a changed tile
//! never becomes a proof.

use super::note::{Checkpoint, NoteError};
use super::proof::{self, BadProof, Nodes};
use super::tile::{Kind, Place, unbundle};
use super::tree::{HEIGHT, Hash, fold, leaf_hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The first line of a proof (C2SP tlog-proof).
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// An error of making or checking a proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// A file cannot be read.
    #[error("`{0}` cannot be read: {1}")]
    File(PathBuf, std::io::Error),
    /// The checkpoint is invalid.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The ledger does not have the entry.
    #[error(
        "the newest checkpoint signs {size} entries, without entry {index}; the next checkpoint, \
         within a second, signs newer ones"
    )]
    Absent {
        /// The requested index.
        index: u64,
        /// The number of signed entries.
        size: u64,
    },
    /// A tile is incomplete.
    #[error("`{0}` is not whole; `cofferdam ledger verify` names the first bad entry")]
    Tile(String),
    /// The files do not lead to the signed root.
    #[error("{0}; `cofferdam ledger verify` names the first bad entry")]
    Proof(#[from] BadProof),
    /// The text is not a proof.
    #[error("it is not a proof in the form `{HEADER}` with its entry as extra data")]
    Shape,
    /// The proof is of another ledger.
    #[error("the two checkpoints are of different ledgers")]
    Origin,
}

/// A source of hashes from tile files.
struct TileNodes<'a> {
    folder: &'a Path,
    size: u64,
    tiles: HashMap<(u32, u64), Vec<Hash>>,
}

impl Nodes for TileNodes<'_> {
    type Error = ProveError;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, ProveError> {
        let (level, inside) = (height / HEIGHT, height % HEIGHT);
        let first = index << inside;
        let (tile, offset) = (first / 256, usize::try_from(first % 256).unwrap_or(usize::MAX));
        if !self.tiles.contains_key(&(level, tile)) {
            let hashes = self.read(level, tile)?;
            self.tiles.insert((level, tile), hashes);
        }
        let hashes = self
            .tiles
            .get(&(level, tile))
            .and_then(|hashes| hashes.get(offset..offset + (1 << inside)));
        hashes.map(fold).ok_or_else(|| {
            ProveError::Tile(Place { kind: Kind::Hashes(level), index: tile, width: 256 }.path())
        })
    }
}

impl TileNodes<'_> {
    fn read(&self, level: u32, index: u64) -> Result<Vec<Hash>, ProveError> {
        let total = self.size.checked_shr(HEIGHT * level).unwrap_or(0);
        let width = total.saturating_sub(index * 256).min(256);
        let (path, bytes) = either(self.folder, Kind::Hashes(level), index, width)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if rest.is_empty() { Ok(hashes.to_vec()) } else { Err(ProveError::Tile(path)) }
    }
}

/// The partial tile of this width, or the full one that replaced it.
pub(super) fn either(
    folder: &Path,
    kind: Kind,
    index: u64,
    width: u64,
) -> Result<(String, Vec<u8>), ProveError> {
    let path = Place { kind, index, width }.path();
    match fs::read(folder.join(&path)) {
        Ok(bytes) => Ok((path, bytes)),
        Err(_) if width < 256 => {
            let path = Place { kind, index, width: 256 }.path();
            let bytes = fs::read(folder.join(&path))
                .map_err(|error| ProveError::File(folder.join(&path), error))?;
            Ok((path, bytes))
        }
        Err(error) => Err(ProveError::File(folder.join(&path), error)),
    }
}

pub(super) fn head(folder: &Path, key: &VerifyingKey) -> Result<(Checkpoint, String), ProveError> {
    let path = folder.join("checkpoint");
    let note = fs::read_to_string(&path).map_err(|error| ProveError::File(path, error))?;
    Ok((Checkpoint::open(&note, key)?, note))
}

/// Makes the proof of one entry as a C2SP tlog-proof. The entry is the extra data, so that a
/// reviewer needs only this file.
pub fn prove(folder: &Path, key: &VerifyingKey, index: u64) -> Result<String, ProveError> {
    Prover::open(folder, key)?.prove(index)
}

/// Makes proofs of several entries by one checkpoint. Each tile is read once.
pub struct Prover<'a> {
    checkpoint: Checkpoint,
    note: String,
    nodes: TileNodes<'a>,
    /// The newest bundle of entries: its index, path and bytes.
    bundle: Option<(u64, String, Vec<u8>)>,
}

impl<'a> Prover<'a> {
    /// Reads and checks the newest checkpoint of a folder.
    ///
    /// # Errors
    /// The checkpoint cannot be read, or another key signed it.
    pub fn open(folder: &'a Path, key: &VerifyingKey) -> Result<Self, ProveError> {
        let (checkpoint, note) = head(folder, key)?;
        let nodes = TileNodes { folder, size: checkpoint.size, tiles: HashMap::new() };
        Ok(Self { checkpoint, note, nodes, bundle: None })
    }

    /// Makes the proof of one entry.
    ///
    /// # Errors
    /// The checkpoint does not sign the entry, or the files do not lead to its root.
    pub fn prove(&mut self, index: u64) -> Result<String, ProveError> {
        let Self { checkpoint, note, nodes, bundle } = self;
        if index >= checkpoint.size {
            return Err(ProveError::Absent { index, size: checkpoint.size });
        }
        let number = index / 256;
        if bundle.as_ref().is_none_or(|(known, ..)| *known != number) {
            let width = (checkpoint.size - (index & !255)).min(256);
            let (path, bytes) = either(nodes.folder, Kind::Entries, number, width)?;
            *bundle = Some((number, path, bytes));
        }
        let (path, bytes) =
            bundle.as_ref().map_or(("", &[][..]), |(_, path, bytes)| (path.as_str(), bytes));
        let (entries, _) = unbundle(bytes);
        let entry = usize::try_from(index % 256)
            .ok()
            .and_then(|at| entries.get(at).copied())
            .ok_or_else(|| ProveError::Tile(path.to_owned()))?;
        let hashes = proof::inclusion(nodes, index, checkpoint.size)?;
        let (hash, root) = (leaf_hash(entry), &checkpoint.root);
        proof::check_inclusion(hash, index, checkpoint.size, &hashes, root)?;
        let lines: String =
            hashes.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
        Ok(format!("{HEADER}\nextra {}\nindex {index}\n{lines}\n{note}", STANDARD.encode(entry)))
    }
}

/// A proven entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenEntry {
    /// The index of the entry.
    pub index: u64,
    /// The entry as canonical JSON.
    pub entry: String,
    /// The checkpoint that includes it.
    pub checkpoint: Checkpoint,
}

/// Checks a proof with the caller's key.
pub fn verify_proof(text: &str, key: &VerifyingKey) -> Result<ProvenEntry, ProveError> {
    let (proof, note) = text.split_once("\n\n").ok_or(ProveError::Shape)?;
    let mut lines = proof.split('\n');
    let mut next = |prefix: &str| {
        lines.next().and_then(|line| line.strip_prefix(prefix)).ok_or(ProveError::Shape)
    };
    if !next(HEADER)?.is_empty() {
        return Err(ProveError::Shape);
    }
    let entry = STANDARD.decode(next("extra ")?).map_err(|_| ProveError::Shape)?;
    let number = next("index ")?;
    let index: u64 = number.parse().map_err(|_| ProveError::Shape)?;
    if index.to_string() != number {
        return Err(ProveError::Shape);
    }
    let hash = |line: &str| {
        STANDARD.decode(line).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(ProveError::Shape)
    };
    let hashes: Vec<Hash> = lines.map(hash).collect::<Result<_, _>>()?;
    let checkpoint = Checkpoint::open(note, key)?;
    proof::check_inclusion(leaf_hash(&entry), index, checkpoint.size, &hashes, &checkpoint.root)?;
    Ok(ProvenEntry {
        index,
        entry: String::from_utf8(entry).map_err(|_| ProveError::Shape)?,
        checkpoint,
    })
}

/// The proof that one ledger continues another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// The older checkpoint.
    pub old: Checkpoint,
    /// The newer checkpoint.
    pub new: Checkpoint,
    /// The consistency proof between them.
    pub proof: Vec<Hash>,
}

/// Proves that the ledger in a folder continues an older checkpoint, without a changed or removed
/// entry.
pub fn diff(older: &str, folder: &Path, key: &VerifyingKey) -> Result<Continuation, ProveError> {
    let old = Checkpoint::open(older, key)?;
    let (new, _) = head(folder, key)?;
    if old.origin != new.origin {
        return Err(ProveError::Origin);
    }
    if old.size > new.size {
        return Err(ProveError::Proof(BadProof::Range));
    }
    let mut nodes = TileNodes { folder, size: new.size, tiles: HashMap::new() };
    let proof = proof::consistency(&mut nodes, old.size, new.size)?;
    proof::check_consistency(old.size, &old.root, new.size, &new.root, &proof)?;
    Ok(Continuation { old, new, proof })
}
