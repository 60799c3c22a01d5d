//! Decides whether new work is accepted; a refusal has path, cause and remedy. Never refuses
//! requests about running jobs.

use super::Recorder;
use crate::store::change::Change;
use crate::store::{Request, database};
use crate::waiters::locked;
use cofferdam_core::model::job::StuckJob;
use cofferdam_core::model::limit::PERMIT_SECONDS;
use cofferdam_core::model::stop::Stop;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::Proposed;
use cofferdam_core::protocol::operator_recorder::Disk;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The size of the write-ahead log, in bytes, that requests a fold.
const FOLD: u64 = 8 << 20;

/// The time for which a look at the disk holds: the reserve is far more than what is written in it.
const ROOM: Duration = Duration::from_secs(1);

impl Recorder {
    /// Refuses new work while the disk is nearly full, or its state is unknown: the rest is for
    /// outcomes and cleanup. Refuses it also over a damaged ledger.
    pub(super) fn check_room(&self) -> Result<(), RoleError> {
        if let Some(why) = locked(&self.inner.shared.damaged).clone() {
            return Err(RoleError::Unavailable(why));
        }
        let known = locked(&self.inner.shared.room).clone();
        let short = match known {
            Some((seen, short)) if seen.elapsed() < ROOM => short,
            _ => self.short_of_room(),
        };
        short.map_or(Ok(()), |why| Err(RoleError::Unavailable(why)))
    }

    /// The health of the recorder, for the gateway.
    pub(super) fn health(&self) -> Proposed {
        let shared = &self.inner.shared;
        let warns =
            [locked(&shared.pinned).clone(), locked(&shared.unpublished).clone(), self.crowded()]
                .into_iter()
                .flatten()
                .chain(shared.stops.borrow().iter().map(Stop::warning).collect::<Vec<_>>())
                .chain(locked(&shared.over_limits).warnings(Instant::now()));
        let repaired = locked(&self.inner.shared.repaired).clone();
        Proposed::Health { refuses: self.refuses(), warns: warns.collect(), repaired }
    }

    /// The warning of a queue that takes no further job of the longest life.
    fn crowded(&self) -> Option<String> {
        let backlog = locked(&self.inner.shared.backlog).clone();
        let (most, life) = (self.inner.settings.max_queued, PERMIT_SECONDS * 1_000);
        let now = self.now().as_millisecond();
        let full = backlog.admit(backlog.length(), most, life, now).err()?;
        Some(format!(
            "new jobs are refused: {full}; runners take too few jobs for the calls that come: \
             raise `runner.seats`, ask agents for fewer calls, or raise `runner.max_queued` if \
             that is the bound"
        ))
    }

    /// The stuck jobs. An unreadable store is reported elsewhere, with its cause.
    pub(super) async fn stuck(&self) -> Vec<StuckJob> {
        let read = self.inner.reader.stuck().await;
        let unread = |error| {
            tracing::warn!(what = "stuck jobs", error = %RoleError::from(error),
        "stuck jobs cannot be listed")
        };
        read.map_err(unread).unwrap_or_default()
    }

    /// Returns whether the store accepts no change at all.
    pub(super) fn refuses_all(&self) -> bool {
        locked(&self.inner.shared.failing).is_some()
    }

    /// The reason why new work is refused now.
    pub(super) fn refuses(&self) -> Option<String> {
        let shared = &self.inner.shared;
        let failing = locked(&shared.failing).clone();
        failing.or_else(|| locked(&shared.damaged).clone()).or_else(|| self.short_of_room())
    }

    /// The disk of the store.
    pub(super) fn disk(&self) -> Result<Disk, String> {
        (self.inner.settings.free)()
    }

    /// Looks at the disk.
    fn short_of_room(&self) -> Option<String> {
        let short = self.seen_room();
        *locked(&self.inner.shared.room) = Some((Instant::now(), short.clone()));
        short
    }

    fn seen_room(&self) -> Option<String> {
        let store = self.inner.settings.store.display();
        match self.disk() {
            Ok(disk) if disk.free_bytes > disk.reserve_bytes => None,
            Ok(disk) => {
                let (free, reserve) = (bytes(disk.free_bytes), bytes(disk.reserve_bytes));
                let pinned = locked(&self.inner.shared.pinned)
                    .as_ref()
                    .map(|why| format!("; {why}"))
                    .unwrap_or_default();
                Some(format!(
                    "the disk of `{store}` has {free} free, and {reserve} stay for outcomes and \
                     teardown of running jobs; free some space, and new work is taken again by \
                     itself{pinned}"
                ))
            }
            Err(error) => Some(format!(
                "the free space under `{store}` is not known: {error}; make the folder readable \
                 again"
            )),
        }
    }

    /// Maintains the store once a second: retries after a failure, folds a long write-ahead log,
    /// and logs each change.
    pub(super) async fn look_after(&self) {
        let shared = &self.inner.shared;
        if let Err(why) = self.inner.engine.check() {
            shared.fails(why);
        }
        // One page may still fit in the write-ahead log; a batch would not.
        if self.refuses_all() && self.inner.engine.may_write() {
            // The writer logs the result, and stores a further failure in `failing`.
            let _still_failing = self.submit(Change::Probe).await;
        }
        let forgetting = shared.forgetting.load(Ordering::Relaxed);
        let folds = match self.inner.engine.sqlite() {
            Some(sqlite) => {
                let log = database(&sqlite.folder).with_extension("db-wal");
                let long = std::fs::metadata(log).is_ok_and(|file| file.len() > FOLD);
                let folds = long || forgetting || locked(&shared.pinned).is_some();
                if folds {
                    sqlite.fold().await;
                }
                folds
            }
            // The session of the sequencer has to be used.
            None => true,
        };
        if folds {
            // The writer folds the rest, which is short. A writer that ended needs no fold.
            let _ended = self.inner.queue.send(Request::Fold).await;
        }
        let refuses = self.short_of_room();
        let mut told = locked(&shared.short);
        match (&refuses, *told) {
            (Some(why), false) => tracing::warn!(what = "new work", "new work is refused: {why}"),
            (None, true) => tracing::info!("new work is taken again: the disk has room"),
            _ => {}
        }
        *told = refuses.is_some();
    }
}

/// A number of bytes for people.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = UNITS.into_iter().find(|(shift, _)| count >> shift > 0);
    unit.map_or_else(
        || format!("{count} bytes"),
        |(shift, name)| {
            let tenths = (count.saturating_mul(10)) >> shift;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        for (count, told) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (40 << 20, "40.0 MiB"),
            (2 << 30, "2.0 GiB"),
        ] {
            assert_eq!(bytes(count), told);
        }
    }
}
