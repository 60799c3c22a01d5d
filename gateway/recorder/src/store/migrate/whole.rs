//! Verifies the whole ledger of a store: every entry, every tile, the signed checkpoint, and every
//! payload against its commitment. Reads a bounded number of entries at once. Never writes.

use super::{MoveError, Progress};
use crate::ledger::leaf::{Leaf, commitment};
use crate::ledger::note::Checkpoint;
use crate::ledger::tree::{Hash, Tree, leaf_hash};
use crate::store::batch::to_u64;
use crate::store::sql::{Connection, query_as, query_scalar};
use cofferdam_core::model::id::hex;
use cofferdam_core::model::json;
use ed25519_dalek::VerifyingKey;
use std::collections::BTreeMap;

/// Entries that are read at once.
const READ: i64 = 1_024;

/// A verified ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The number of entries.
    pub entries: u64,
    /// The root that the checkpoint signs, in hexadecimal.
    pub root: String,
    /// The payloads that match their commitments.
    pub payloads: u64,
    /// The entries whose payloads were removed.
    pub bare: u64,
}

/// An entry with the columns of its row.
type Row = (i64, Option<String>, Vec<u8>, String, Option<Vec<u8>>, Option<String>);

/// The check of one ledger.
struct Check<'a> {
    origin: &'a str,
    tree: Tree,
    last: Option<Hash>,
    tiles: BTreeMap<(u32, u64), Hash>,
    payloads: u64,
    bare: u64,
}

/// Verifies the ledger of a store, which has this name and this key.
pub(super) async fn verify(
    connection: &mut Connection,
    (origin, key): (&str, &VerifyingKey),
    step: &'static str,
    told: &mut (dyn FnMut(Progress) + Send),
) -> Result<Whole, MoveError> {
    let note: Option<String> =
        query_scalar("SELECT note FROM checkpoint").fetch_optional(&mut *connection).await?;
    let note = note.ok_or_else(|| ledger("it has no checkpoint".to_owned()))?;
    let signed = Checkpoint::open(&note, key)
        .map_err(|error| ledger(format!("its checkpoint does not count: {error}")))?;
    if signed.origin != origin {
        return Err(MoveError::Environment {
            stored: signed.origin.clone(),
            trusted: origin.to_owned(),
        });
    }
    let mut check = Check {
        origin,
        tree: Tree::default(),
        last: None,
        tiles: BTreeMap::new(),
        payloads: 0,
        bare: 0,
    };
    loop {
        let first = i64::try_from(check.tree.size()).unwrap_or(i64::MAX);
        let rows: Vec<Row> = query_as(
            "SELECT idx, call, hash, entry, key, payloads FROM leaves WHERE idx >= ? ORDER BY idx \
             LIMIT ?",
        )
        .bind(first)
        .bind(READ)
        .fetch_all(&mut *connection)
        .await?;
        let Some((end, ..)) = rows.last() else { break };
        // Entries of old versions have their payloads in a table of their own.
        let older: Vec<(i64, String, Vec<u8>, String)> =
            query_as("SELECT leaf, name, key, body FROM payloads WHERE leaf >= ? AND leaf <= ?")
                .bind(first)
                .bind(*end)
                .fetch_all(&mut *connection)
                .await?;
        for row in rows {
            check.entry(row, &older).map_err(ledger)?;
        }
        told(Progress { step, done: check.tree.size(), of: signed.size });
    }
    if (check.tree.size(), check.tree.root()) != (signed.size, signed.root) {
        return Err(ledger(format!("it signs {} entries of another history", signed.size)));
    }
    check.tiles(connection).await?;
    Ok(Whole {
        entries: signed.size,
        root: hex(&signed.root),
        payloads: check.payloads,
        bare: check.bare,
    })
}

fn ledger(problem: String) -> MoveError {
    MoveError::Ledger(problem)
}

impl Check<'_> {
    fn entry(&mut self, row: Row, older: &[(i64, String, Vec<u8>, String)]) -> Result<(), String> {
        let (index, call, stored, text, key, payloads) = row;
        let expected = self.tree.size();
        let changed = |what: &str| Err(format!("entry {expected} {what}"));
        let hash = leaf_hash(text.as_bytes());
        if to_u64(index) != expected || stored != hash {
            return changed("is missing or was changed");
        }
        let Ok(leaf) = json::strict_into::<Leaf>(text.as_bytes()) else {
            return changed("is no entry of a ledger");
        };
        let previous = self.last.map(|hash| hex(&hash)).unwrap_or_default();
        if leaf.index != expected || leaf.origin != self.origin || leaf.previous != previous {
            return changed("is of another ledger, or at another place");
        }
        if leaf.call.as_ref().map(ToString::to_string) != call {
            return changed("is stored under another call");
        }
        let own: Option<BTreeMap<String, String>> = match &payloads {
            Some(text) => match serde_json::from_str(text) {
                Ok(own) => Some(own),
                Err(_) => return changed("has unreadable payloads"),
            },
            None => None,
        };
        let mut found: Vec<(String, Vec<u8>, String)> = match (own, key) {
            (Some(own), Some(key)) => {
                own.into_iter().map(|(name, body)| (name, key.clone(), body)).collect()
            }
            _ => Vec::new(),
        };
        let of_entry = older.iter().filter(|(leaf, ..)| *leaf == index);
        found
            .extend(of_entry.map(|(_, name, key, body)| (name.clone(), key.clone(), body.clone())));
        for (name, key, body) in &found {
            let Ok(key) = key.as_slice().try_into() else {
                return changed("has a payload without its key");
            };
            if leaf.commitments.get(name) != Some(&commitment(&key, body)) {
                return changed(&format!("commits to another payload `{name}`"));
            }
        }
        // Payloads are removed together: some of them are a loss.
        if !found.is_empty() && found.len() != leaf.commitments.len() {
            return changed("lacks some of its payloads");
        }
        self.payloads += found.len() as u64;
        self.bare += u64::from(found.is_empty() && !leaf.commitments.is_empty());
        for tile in self.tree.push(hash) {
            self.tiles.insert((tile.level, tile.index), tile.root);
        }
        self.last = Some(hash);
        Ok(())
    }

    /// Compares the stored tiles with those of the entries. A start makes missing ones again.
    async fn tiles(&self, connection: &mut Connection) -> Result<(), MoveError> {
        let rows: Vec<(i64, i64, Vec<u8>)> =
            query_as("SELECT level, idx, root FROM tiles").fetch_all(&mut *connection).await?;
        for (level, index, root) in rows {
            let place = (u32::try_from(level).unwrap_or(u32::MAX), to_u64(index));
            if self.tiles.get(&place).is_none_or(|expected| root != *expected) {
                return Err(ledger(format!("tile {index} of level {level} was changed")));
            }
        }
        Ok(())
    }
}
