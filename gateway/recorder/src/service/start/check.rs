//! Verifies the ledger of the store beside the work, after a start that read only its edge. Finds
//! an entry that is missing or was changed, and payloads that are missing without an entry that says
//! so; new work is refused then. Writes missing published files again. Never changes the store.

use super::READ;
use super::lost::Lost;
use crate::ledger::note::Checkpoint;
use crate::ledger::publish::Tiles;
use crate::ledger::tree::leaf_hash;
use crate::service::Recorder;
use crate::store::open::{OpenError, failed_to_open};
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
    let mut lost = Lost::default();
    while tiles.tree().size() < signed.size {
        let first = i64::try_from(tiles.tree().size()).unwrap_or(i64::MAX);
        let end = i64::try_from(signed.size).unwrap_or(i64::MAX);
        let Some(rows) = read(&recorder, first, end.min(first + STEP)).await else { return };
        let Some(inner) = recorder.upgrade() else { return };
        let recorder = Recorder { inner };
        rows.iter().for_each(|row| lost.note(row));
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
        return;
    }
    let first = i64::try_from(signed.size).unwrap_or(i64::MAX);
    check_payloads(&recorder, lost, first).await;
}

/// Reads the entries from `first` to `end`. `None` if they cannot be read, which is reported, or if
/// the recorder ends.
async fn read(weak: &Weak<crate::service::Inner>, first: i64, end: i64) -> Option<Vec<LeafRow>> {
    loop {
        let recorder = Recorder { inner: weak.upgrade()? };
        match recorder.inner.reader.leaves(first, end).await {
            Ok(rows) => return Some(rows),
            Err(ChangeError::Store(sqlx::Error::PoolClosed)) => return None,
            Err(ChangeError::Store(sqlx::Error::PoolTimedOut) | ChangeError::Lost { .. }) => {
                drop(recorder);
                tokio::time::sleep(AGAIN).await;
            }
            Err(ChangeError::Store(error)) => {
                found(&recorder, &failed_to_open(&recorder.inner.engine)(error));
                return None;
            }
            Err(error @ ChangeError::Error(_)) => {
                found(&recorder, &OpenError::Ledger(RoleError::from(error).to_string()));
                return None;
            }
        }
    }
}

/// Finds payloads that are not there, and that neither retention nor an operator removed. A removal
/// beside the check has its entry after the checked ones: these are read first.
async fn check_payloads(recorder: &Weak<crate::service::Inner>, mut lost: Lost, mut first: i64) {
    loop {
        let Some(rows) = read(recorder, first, first.saturating_add(STEP)).await else { return };
        if rows.is_empty() {
            break;
        }
        first = rows.last().map_or(first, |(index, ..)| index + 1);
        rows.iter().for_each(|row| lost.note(row));
    }
    let mut gone: Option<(i64, u64)> = None;
    for (start, end) in lost.unexplained() {
        let mut next = start;
        while next < end {
            let until = end.min(next.saturating_add(STEP));
            let Some(rows) = read(recorder, next, until).await else { return };
            for row in rows.iter().filter(|row| lost.is_lost(row)) {
                let (first, count) = gone.unwrap_or((row.0, 0));
                gone = Some((first, count + 1));
            }
            next = until;
        }
    }
    if let (Some((first, count)), Some(inner)) = (gone, recorder.upgrade()) {
        let store = inner.engine.place();
        let others = match count {
            1 => String::new(),
            count => format!(" and of {} more", count - 1),
        };
        let problem = format!(
            "{store} lacks the payloads of entry {first}{others}, and no entry says \
             that retention or an operator removed them; keep the files as they are, and restore \
             `store/` and `ledger/` together from a copy"
        );
        found(&Recorder { inner }, &OpenError::Store(problem));
    }
}

fn push(tiles: &mut Tiles, rows: Vec<LeafRow>, first: i64, end: i64) -> Result<(), String> {
    let changed = |index: i64| format!("entry {index} is missing or was changed");
    let expected = end.min(first + STEP);
    let mut next = first;
    for (index, stored, entry, _) in rows {
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
