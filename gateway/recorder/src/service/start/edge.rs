//! Takes the right edge of the tree from the store, without a look at every entry. The signed
//! checkpoint proves the edge: an edge of another history has another root. Never decides that a
//! ledger is damaged: the whole ledger is read then.

use crate::ledger::note::Checkpoint;
use crate::ledger::publish::Tiles;
use crate::ledger::tree::{HEIGHT, Hash, Tree, leaf_hash};
use crate::store::sql::{self, Connection};
use std::path::Path;

/// The entries of a tile.
const WIDTH: u64 = 1 << HEIGHT;

/// Takes the published ledger and the hash of the newest entry. `None` if the edge does not match
/// the signed checkpoint, if the published checkpoint is not of its past, or if a published file is
/// missing: then the whole ledger is read.
pub(super) async fn take(
    folder: &Path,
    signed: &Checkpoint,
    before: Option<&Checkpoint>,
    connection: &mut Connection,
) -> sqlx::Result<Option<(Tiles, Option<Hash>)>> {
    let newest: Option<i64> =
        sql::query_scalar("SELECT max(idx) FROM leaves").fetch_one(&mut *connection).await?;
    let stored =
        newest.and_then(|newest| u64::try_from(newest).ok()).map_or(0, |newest| newest + 1);
    if stored != signed.size {
        return Ok(None);
    }
    if let Some(before) = before {
        let past = match before.size <= stored {
            true => tree(before.size, connection).await?.map(|(tree, _, _)| tree.root()),
            false => None,
        };
        if past != Some(before.root) {
            return Ok(None);
        }
    }
    let Some((tree, entries, last)) = tree(stored, connection).await? else { return Ok(None) };
    if tree.root() != signed.root {
        return Ok(None);
    }
    Ok(complete(Tiles::resume(folder, tree, entries)).await?.map(|tiles| (tiles, last)))
}

/// Takes the published ledger up to its own checkpoint, for a recorder that takes over: another one
/// published the entries after it, on another machine. `None` as for [`take`].
pub(super) async fn past(
    folder: &Path,
    before: &Checkpoint,
    connection: &mut Connection,
) -> sqlx::Result<Option<(Tiles, Option<Hash>)>> {
    match tree(before.size, connection).await? {
        Some((tree, entries, last)) if tree.root() == before.root => {
            Ok(complete(Tiles::resume(folder, tree, entries)).await?.map(|tiles| (tiles, last)))
        }
        _ => Ok(None),
    }
}

/// The tiles, if every full one has its files.
async fn complete(tiles: Tiles) -> sqlx::Result<Option<Tiles>> {
    tokio::task::spawn_blocking(move || tiles.is_complete().then_some(tiles))
        .await
        .map_err(|error| sqlx::Error::Protocol(error.to_string()))
}

/// The tree of this size, the entries of its partial tile, and the hash of its newest entry. Each
/// of these entries is hashed.
async fn tree(
    size: u64,
    connection: &mut Connection,
) -> sqlx::Result<Option<(Tree, Vec<String>, Option<Hash>)>> {
    let first = size - size % WIDTH;
    // One entry more: the newest may be the last of a full tile.
    let rows: Vec<(i64, Vec<u8>, String)> = sql::query_as(
        "SELECT idx, hash, entry FROM leaves WHERE idx >= ? AND idx < ? ORDER BY idx",
    )
    .bind(signed(first.saturating_sub(1)))
    .bind(signed(size))
    .fetch_all(&mut *connection)
    .await?;
    let (mut entries, mut leaves, mut last) = (Vec::new(), Vec::new(), None);
    for (index, stored, entry) in rows {
        let hash = leaf_hash(entry.as_bytes());
        if stored != hash {
            return Ok(None);
        }
        last = Some(hash);
        if index >= signed(first) {
            leaves.push(hash);
            entries.push(entry);
        }
    }
    let mut edges = vec![leaves];
    let mut level = 1u32;
    while size.checked_shr(HEIGHT * level).unwrap_or(0) > 0 {
        let end = size >> (HEIGHT * level);
        let roots: Vec<Vec<u8>> = sql::query_scalar(
            "SELECT root FROM tiles WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx",
        )
        .bind(i64::from(level - 1))
        .bind(signed(end - end % WIDTH))
        .bind(signed(end))
        .fetch_all(&mut *connection)
        .await?;
        let roots: Result<Vec<Hash>, _> = roots.into_iter().map(TryInto::try_into).collect();
        let Ok(roots) = roots else { return Ok(None) };
        edges.push(roots);
        level += 1;
    }
    Ok(Tree::of_edges(size, edges).map(|tree| (tree, entries, last)))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
