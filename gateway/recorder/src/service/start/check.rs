//! Verifies the ledger of the store beside the work, after a start that read only its edge. Finds
//! an entry that is missing or was changed; new work is refused then. Writes missing published
//! files again. Never changes the store.

use super::READ;
use crate::ledger::note::Checkpoint;
use crate::ledger::publish::Tiles;
use crate::ledger::tree::leaf_hash;
use crate::service::Recorder;
use crate::store::open::{OpenError, failed};
use crate::store::{ChangeError, LeafRow};
use crate::waiters::locked;
use cofferdam_core::protocol::RoleError;
use std::sync::Weak;
use std::time::Duration;

/// The pause before entries that could not be read are read again.
const AGAIN: Duration = Duration::from_secs(1);

/// The number of entries that are read at once; between them, others read.
const STEP: i64 = READ / 16;

/// Verifies the entries that the checkpoint signs. Ends when the recorder ends.
pub(in crate::service) async fn check(recorder: Weak<crate::service::Inner>, signed: Checkpoint) {
    let mut tiles = match recorder.upgrade() {
        Some(inner) => Tiles::beside(&inner.settings.ledger),
        None => return,
    };
    while tiles.tree().size() < signed.size {
        let Some(inner) = recorder.upgrade() else { return };
        let recorder = Recorder { inner };
        let first = i64::try_from(tiles.tree().size()).unwrap_or(i64::MAX);
        let end = i64::try_from(signed.size).unwrap_or(i64::MAX);
        let rows = match recorder.inner.reader.leaves(first, end.min(first + STEP)).await {
            Ok(rows) => rows,
            Err(ChangeError::Store(sqlx::Error::PoolClosed)) => return,
            Err(ChangeError::Store(sqlx::Error::PoolTimedOut) | ChangeError::Lost { .. }) => {
                drop(recorder);
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(ChangeError::Store(error)) => {
                found(&recorder, &failed(&recorder.inner.settings.store)(error));
                return;
            }
            Err(error @ ChangeError::Error(_)) => {
                found(&recorder, &OpenError::Ledger(RoleError::from(error).to_string()));
                return;
            }
        };
        if let Err(problem) = push(&mut tiles, rows, first, end) {
            found(&recorder, &OpenError::Ledger(problem));
            return;
        }
        let written = tokio::task::spawn_blocking(move || {
            tiles.keep_existing();
            let written = tiles.flush_full();
            (tiles, written)
        });
        let Ok((own, written)) = written.await else { return };
        tiles = own;
        if let Err(error) = written {
            // The publisher reports a folder that cannot be written.
            tracing::warn!(what = "ledger", %error, "a missing file of the ledger is not written");
        }
        locked(&recorder.inner.shared.repaired).append(&mut tiles.take_repaired());
    }
    if tiles.tree().root() != signed.root
        && let Some(inner) = recorder.upgrade()
    {
        let problem = format!("it signs {} entries of another history", signed.size);
        found(&Recorder { inner }, &OpenError::Ledger(problem));
    }
}

fn push(tiles: &mut Tiles, rows: Vec<LeafRow>, first: i64, end: i64) -> Result<(), String> {
    let changed = |index: i64| format!("entry {index} is missing or was changed");
    let expected = end.min(first + STEP);
    let mut next = first;
    for (index, stored, entry) in rows {
        let hash = leaf_hash(entry.as_bytes());
        if index != next || stored != hash {
            return Err(changed(next));
        }
        tiles.push(entry, hash);
        next += 1;
    }
    if next == expected { Ok(()) } else { Err(changed(next)) }
}

/// Refuses new work from now on.
fn found(recorder: &Recorder, error: &OpenError) {
    let why = error.to_string();
    tracing::error!(what = "ledger", "new work is refused: {why}");
    *locked(&recorder.inner.shared.damaged) = Some(why);
}
