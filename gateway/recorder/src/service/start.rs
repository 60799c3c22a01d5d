//! The start: restores the ledger from the store, compares it with the signed and the published
//! checkpoint, and publishes missing tiles.

mod check;
mod edge;
mod lost;

pub(super) use check::check;

use crate::backlog::Backlog;
use crate::ledger::note::{Checkpoint, ORIGIN, origin};
use crate::ledger::publish::{PublishError, Published, Tiles, continues, published};
use crate::ledger::tree::{Hash, leaf_hash};
use crate::remedy::remedy;
use crate::settings::RecorderContext;
use crate::store::open::{OpenError, Opened, failed_to_open as failed, open};
use crate::store::sql::{self, Connection, Pool};
use crate::store::{
    Engine, Head, Source, Usage, Writer, count_queued, put_checkpoint, put_tiles, stops,
};
use crate::waiters::{Shared, locked};
use cofferdam_core::model::id::{CallId, Fence};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The number of leaves that are read at once.
const READ: i64 = 4_096;

/// The shortest pause between two publications.
const PAUSE: Duration = Duration::from_millis(250);

/// The shortest pause between two checkpoints that are flushed to disk: the files are a copy, and a
/// start makes them again from the store.
const FLUSHED: Duration = Duration::from_secs(1);

/// The pause before a failed publication is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// The opened parts of a recorder.
pub(super) struct Started {
    pub writer: Writer,
    pub publisher: JoinHandle<()>,
    pub losses: mpsc::UnboundedReceiver<(CallId, Fence)>,
    pub readers: Pool,
    pub shared: Arc<Shared>,
    pub engine: Arc<Engine>,
    /// The checkpoint whose entries are still to be verified.
    pub unread: Option<Checkpoint>,
}

/// The restored ledger.
struct Restored {
    tiles: Tiles,
    /// The hash of the newest entry.
    last: Option<Hash>,
    note: String,
    unread: Option<Checkpoint>,
}

/// Opens the store and the ledger.
pub(super) async fn start(settings: &RecorderContext) -> Result<Started, OpenError> {
    let Opened { mut writer, readers, engine, lock } = open(settings).await?;
    let origin = origin(&settings.environment);
    let Restored { tiles, last, note, unread } =
        restore(settings, &origin, &engine, &mut writer).await?;
    let head = Head { tree: tiles.tree().clone(), last };
    let queued = count_queued(&mut writer).await.map_err(failed(&engine))?;
    let backlog = Backlog::new(queued, (settings.clock)().as_millisecond());
    let (shared, losses) = Shared::new(
        (head.tree.size(), note),
        tiles.repaired().to_vec(),
        settings.lease_seconds,
        backlog,
    );
    let stops = stops(&mut writer).await.map_err(failed(&engine))?;
    shared.stops.send_replace(stops.clone());
    let shared = Arc::new(shared);
    let (sender, receiver) = mpsc::unbounded_channel();
    let source = Source { engine: Arc::clone(&engine), key: settings.key.verifying_key() };
    let (settings, connection) = (settings.clone(), Some(writer));
    let writer = Writer {
        source,
        connection,
        behind: false,
        head,
        origin,
        settings,
        shared: Arc::clone(&shared),
        published: sender,
        lock,
        usage: Usage::default(),
        stops: Some(stops),
    };
    let publisher = tokio::spawn(publish(tiles, receiver, Arc::clone(&shared)));
    Ok(Started { writer, publisher, losses, readers, shared, engine, unread })
}

/// Restores the tree. The signed checkpoint of the store must match it exactly; the published one
/// must match its beginning. Only the edge is read if it matches both; then the entries are verified
/// later.
async fn restore(
    settings: &RecorderContext,
    origin: &str,
    engine: &Engine,
    connection: &mut Connection,
) -> Result<Restored, OpenError> {
    let ledger = |problem: String| OpenError::Ledger(problem);
    let signed: Option<String> = sql::query_scalar("SELECT note FROM checkpoint")
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed(engine))?;
    let signed = match signed {
        Some(note) => {
            let checkpoint = Checkpoint::open(&note, &settings.key.verifying_key())
                .map_err(|error| ledger(error.to_string()))?;
            if checkpoint.origin != origin {
                let stored =
                    checkpoint.origin.strip_prefix(ORIGIN).unwrap_or(&checkpoint.origin).to_owned();
                return Err(OpenError::Environment {
                    trusted: settings.environment.clone(),
                    stored,
                });
            }
            Some((checkpoint, note))
        }
        None => None,
    };
    let before = match published(&settings.ledger)?
        .map(|note| Checkpoint::open(&note, &settings.key.verifying_key()))
    {
        Some(Ok(checkpoint)) if checkpoint.origin == origin => Some(checkpoint),
        Some(error) => {
            tracing::warn!(
                what = "checkpoint",
                ?error,
                "the published checkpoint is not one of this ledger; it is written again from the \
                 store"
            );
            None
        }
        None => None,
    };
    if let Some((checkpoint, note)) = &signed {
        let edge = edge::take(&settings.ledger, checkpoint, before.as_ref(), connection);
        if let Some((tiles, last)) = edge.await.map_err(failed(engine))? {
            let (text, unread) = (note.clone(), Some(checkpoint.clone()));
            let tiles = blocking(tiles, move |tiles| tiles.flush(&text)).await?;
            return Ok(Restored { tiles, last, note: note.clone(), unread });
        }
    }
    // A standby has the beginning of the ledger, and takes over the rest.
    let past = match (&before, engine.sqlite()) {
        (Some(before), None) => {
            edge::past(&settings.ledger, before, connection).await.map_err(failed(engine))?
        }
        _ => None,
    };
    let begins = past.is_some();
    let (mut tiles, mut last) = past.unwrap_or_else(|| (Tiles::new(&settings.ledger), None));
    let mut full = Vec::new();
    let mut same = before.as_ref().and_then(|before| continues(tiles.tree(), before));
    loop {
        let first = i64::try_from(tiles.tree().size()).unwrap_or(i64::MAX);
        let rows: Vec<(i64, Vec<u8>, String)> = sql::query_as(
            "SELECT idx, hash, entry FROM leaves WHERE idx >= ? ORDER BY idx LIMIT ?",
        )
        .bind(first)
        .bind(READ)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed(engine))?;
        if rows.is_empty() {
            break;
        }
        for ((index, stored, entry), expected) in rows.into_iter().zip(first..) {
            let hash = leaf_hash(entry.as_bytes());
            if index != expected || stored != hash {
                return Err(ledger(format!("entry {expected} is missing or was changed")));
            }
            full.append(&mut tiles.push(entry, hash));
            last = Some(hash);
            if let Some(found) = before.as_ref().and_then(|before| continues(tiles.tree(), before))
            {
                same = Some(found);
            }
        }
        tiles.keep_existing();
        if tiles.due() > 0 {
            tiles = blocking(tiles, |tiles| tiles.flush_full()).await?;
        }
    }
    let (size, root) = (tiles.tree().size(), tiles.tree().root());
    let newest = Checkpoint { origin: origin.to_owned(), size, root };
    let unread = begins.then(|| newest.clone());
    let note = match signed {
        Some((checkpoint, note)) if checkpoint == newest => note,
        Some((checkpoint, _)) => {
            return Err(ledger(format!("it signs {} entries of another history", checkpoint.size)));
        }
        None if size == 0 => {
            let note = newest.sign(&settings.key);
            let begun = connection.begin_write().await;
            let mut transaction = begun.map_err(failed(engine))?;
            put_checkpoint(&mut transaction, &newest, &note).await.map_err(failed(engine))?;
            transaction.commit().await.map_err(failed(engine))?;
            note
        }
        None => return Err(ledger("it has entries and no checkpoint".to_owned())),
    };
    match (&before, same) {
        (Some(before), None) => {
            return Err(OpenError::RolledBack { published: before.size, stored: size });
        }
        (Some(before), Some(false)) => {
            return Err(ledger(format!(
                "what was published with {} entries is another history",
                before.size
            )));
        }
        _ => {}
    }
    keep_edge(&full, connection).await.map_err(failed(engine))?;
    let text = note.clone();
    let tiles = blocking(tiles, move |tiles| tiles.flush(&text)).await?;
    Ok(Restored { tiles, last, note, unread })
}

/// Stores the roots of full tiles for the next start.
async fn keep_edge(full: &[(u32, u64, Hash)], connection: &mut Connection) -> sqlx::Result<()> {
    let mut transaction = connection.begin_write().await?;
    put_tiles(full, &mut transaction).await?;
    transaction.commit().await
}

/// Runs file writes outside of the runtime's threads.
async fn blocking(
    mut tiles: Tiles,
    work: impl FnOnce(&mut Tiles) -> Result<(), PublishError> + Send + 'static,
) -> Result<Tiles, OpenError> {
    let done = tokio::task::spawn_blocking(move || work(&mut tiles).map(|()| tiles)).await;
    Ok(done.map_err(|error| {
        OpenError::Defect(format!("the task that writes the ledger's files failed: {error}"))
    })??)
}

/// Publishes committed batches: at once after a pause, and all that come within [`PAUSE`] together.
/// A failed write is repeated each second. Ends after the last batch is published.
async fn publish(
    tiles: Tiles,
    mut receiver: mpsc::UnboundedReceiver<Published>,
    shared: Arc<Shared>,
) {
    let mut tiles = Some(tiles);
    let mut batches = Vec::new();
    // The newest unpublished checkpoint.
    let mut owed: Option<String> = None;
    let mut ended = false;
    let mut next = Instant::now();
    while !ended {
        tokio::select! {
            taken = receiver.recv_many(&mut batches, usize::MAX) => ended = taken == 0,
            () = tokio::time::sleep(AGAIN), if owed.is_some() => {}
            () = tokio::time::sleep(FLUSHED), if tiles.as_ref().is_some_and(Tiles::unsynced) => {}
        }
        while !ended {
            tokio::select! {
                taken = receiver.recv_many(&mut batches, usize::MAX) => ended = taken == 0,
                () = tokio::time::sleep_until(next) => break,
            }
        }
        let (Some(mut own), taken) = (tiles.take(), std::mem::take(&mut batches)) else { continue };
        let before = owed.take();
        let done = tokio::task::spawn_blocking(move || {
            let mut note = before;
            for batch in taken {
                batch.entries.into_iter().for_each(|(text, hash)| {
                    let _stored_by_the_writer = own.push(text, hash);
                });
                note = Some(batch.note);
            }
            let written = note.as_ref().map_or(Ok(()), |note| own.flush(note));
            let written =
                written.and_then(|()| own.sync(if ended { Duration::ZERO } else { FLUSHED }));
            (own, note, written)
        });
        match done.await {
            Ok((own, note, written)) => {
                owed = note.filter(|_| written.is_err());
                log_publication(&shared, own.folder(), written.err());
                tiles = Some(own);
            }
            Err(error) => told_defect(&shared, &error),
        }
        next = Instant::now() + PAUSE;
    }
}

/// Logs once that entries are not published, and once that they are again.
fn log_publication(shared: &Shared, folder: &Path, error: Option<PublishError>) {
    let mut unpublished = locked(&shared.unpublished);
    let Some(PublishError { path, error }) = error else {
        if unpublished.take().is_some() {
            tracing::info!("the ledger is published again, without a gap");
        }
        return;
    };
    let remedy = match folder.is_dir() {
        true => format!("{}; it is tried again every second", remedy(&error)),
        false => "start `cofferdam serve` again, which makes the folder".to_owned(),
    };
    let why = format!(
        "new checkpoints are not published, and every entry is safe in the store: `{}` cannot be \
         written: {error}; {remedy}",
        path.display()
    );
    if unpublished.replace(why.clone()).is_none() {
        tracing::error!(what = "checkpoint", "{why}");
    }
}

fn told_defect(shared: &Shared, error: &tokio::task::JoinError) {
    let why = format!(
        "new checkpoints are not published before the next start, and every entry is safe in the \
         store: the task that writes them failed: {error}; this is a defect, please report it"
    );
    tracing::error!(what = "checkpoint", "{why}");
    *locked(&shared.unpublished) = Some(why);
}
