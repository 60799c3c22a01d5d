//! The only task that writes. Waiting changes are committed together; a caller gets its reply after
//! the commit. Never reads for others.

mod apply;
#[cfg(test)]
mod simulation;
mod upkeep;

use super::batch::{Batch, ChangeError, Head, WriteContext, Written};
use super::change::{Answer, Change, Done};
use super::engine::is_passing;
use super::lease::count_queued;
use super::outbox;
use super::source::{Beyond, Source, StoredLease};
use super::stops;
use super::usage::{Purse, Usage};
use crate::leases::{NO_SEAT, Via};
use crate::ledger::publish::Published;
use crate::settings::RecorderContext;
use crate::store::sql::{Connection, Fenced};
use crate::waiters::{Shared, locked};
use apply::{apply_all, record_ends};
use cofferdam_core::model::retention::Retained;
use cofferdam_core::model::stop::Stop;
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The most changes in one commit: one `fsync` for all, and still only about ten milliseconds.
pub(crate) const TOGETHER: usize = 256;

/// The most waiting changes; with more, a proposer waits.
pub(crate) const WAITING: usize = 1_024;

/// The runners that look for a job after a commit with an unknown end.
const CONNECTED: usize = 16;

/// The most times that a transaction is tried that the server ends because of another one.
const ATTEMPTS: usize = 5;

/// A request to the writer.
pub(crate) enum Request {
    /// Commit this change and reply.
    Change(Change, oneshot::Sender<Answer>),
    /// Fold the write-ahead log into the database, as far as readers permit.
    Fold,
    /// Commit the changes before, then end.
    Stop,
}

/// The state of the writer.
pub(crate) struct Writer {
    pub source: Source,
    /// The connection; `None` after a failure, until the next one.
    pub connection: Option<Connection>,
    /// True if a commit is not in `head`, and no caller knows of it.
    pub behind: bool,
    pub head: Head,
    pub origin: String,
    pub settings: RecorderContext,
    pub shared: Arc<Shared>,
    pub published: mpsc::UnboundedSender<Published>,
    /// The lock that keeps other processes out of a file.
    pub lock: Option<File>,
    /// What principals used today.
    pub usage: Usage,
    /// The stops of the store; `None` before the first look, and after a change or a failure.
    pub stops: Option<Vec<Stop>>,
}

impl Writer {
    /// Runs until a request to stop, or the end of all senders.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut waiting = Vec::with_capacity(TOGETHER);
        let mut stop = false;
        let mut fold = false;
        while !stop && queue.recv_many(&mut waiting, TOGETHER).await > 0 {
            let (mut changes, mut replies) = (Vec::new(), Vec::new());
            for request in waiting.drain(..) {
                match request {
                    Request::Change(change, reply) if !stop => {
                        changes.push(change);
                        replies.push(reply);
                    }
                    // Dropping the reply tells the requester that the recorder ended.
                    Request::Change(..) => {}
                    Request::Fold => fold = true,
                    Request::Stop => stop = true,
                }
            }
            let answers = self.commit(&changes).await;
            for ((reply, answer), change) in replies.into_iter().zip(answers).zip(&changes) {
                let Err(Ok(Done::Leased(Some(job)))) = reply.send(answer) else { continue };
                // The runner is gone: its lease is lost, unless it may ask again by its token.
                let via = match change {
                    Change::Claim { token: Some(_), via } => *via,
                    _ => Via::Local,
                };
                let lease = (job.job.call, job.fence);
                self.shared.left(lease, (NO_SEAT, via), (self.settings.clock)());
            }
            if std::mem::take(&mut fold) {
                self.fold().await;
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::error!(what = "store", %error,
            "the store did not close cleanly; it recovers at the next start");
        }
        drop(self.lock);
    }

    async fn commit(&mut self, changes: &[Change]) -> Vec<Answer> {
        match self.transact(changes).await {
            Ok(answers) => answers,
            Err(error) if changes.len() > 1 && !error.is_of_the_store() => {
                // One change broke the transaction: apply each alone, so that only that one fails.
                let mut answers = Vec::with_capacity(changes.len());
                for change in changes {
                    let one = self.transact(std::slice::from_ref(change)).await;
                    answers.push(
                        one.map_err(RoleError::from)
                            .and_then(|mut all| all.pop().unwrap_or(Ok(Done::Noted))),
                    );
                }
                answers
            }
            Err(error) => {
                let error = RoleError::from(error);
                changes.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    async fn transact(&mut self, changes: &[Change]) -> Result<Vec<Answer>, ChangeError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = match self.connected().await {
            Ok(connection) => connection,
            Err(error) => {
                self.failed(&error);
                return Err(error);
            }
        };
        let now = (self.settings.clock)();
        let attempted = match self.load(changes, now, &mut connection).await {
            Ok(()) => self.attempts(changes, now, &mut connection).await,
            Err(error) => Err(error.into()),
        };
        if matches!(attempted, Err(ChangeError::Lost { .. } | ChangeError::Store(_))) {
            self.usage.forget();
            self.stops = None;
        }
        match attempted {
            Ok((answers, written)) => {
                self.usage.add(&written.used);
                self.follow_stops(&answers, &mut connection).await;
                self.name_over_limits(changes, &answers);
                self.connection = Some(connection);
                let wrote = !written.leaves.is_empty()
                    || changes.iter().any(|change| matches!(change, Change::Probe));
                self.committed(&answers, written).await;
                if wrote && locked(&self.shared.failing).take().is_some() {
                    let store = self.source.engine.place();
                    tracing::info!(
                        "{store} takes entries again; nothing that was acknowledged is lost"
                    );
                }
                let erased = changes.iter().any(|change| matches!(change, Change::Erase { .. }));
                let (mut forgets, mut ended) = (erased, erased);
                for answer in &answers {
                    if let Ok(Done::Removed { what: Retained::Payloads, count, more }) = answer {
                        forgets |= *count > 0;
                        ended |= !more;
                    }
                }
                let forgets =
                    self.shared.forgetting.fetch_or(forgets, Ordering::Relaxed) || forgets;
                if forgets && ended {
                    self.forget().await;
                }
                Ok(answers)
            }
            Err(error @ ChangeError::Lost { .. }) => {
                // Keep the connection: when it closes, SQLite folds even a removed log into the
                // store.
                self.connection = Some(connection);
                self.behind |= matches!(error, ChangeError::Lost { committed: true, .. });
                self.failed(&error);
                Err(error)
            }
            Err(ChangeError::Store(error)) => {
                // It is not known whether the transaction is open or committed: close the
                // connection, and read the store with the next one.
                if let Err(error) = connection.close().await {
                    tracing::debug!(%error, "the failed connection did not close cleanly");
                }
                let error = ChangeError::Store(error);
                self.failed(&error);
                Err(error)
            }
            Err(error) => {
                self.connection = Some(connection);
                Err(error)
            }
        }
    }

    /// Reads what the changes are checked against, as far as it is not known.
    async fn load(
        &mut self,
        changes: &[Change],
        now: Timestamp,
        connection: &mut Connection,
    ) -> sqlx::Result<()> {
        if self.stops.is_none() {
            let stops = stops::stops(connection).await?;
            self.shared.stops.send_replace(stops.clone());
            self.stops = Some(stops);
        }
        self.usage.load(changes, now, connection).await
    }

    /// Applies all of the changes in one transaction, or none. One that the server ended because of
    /// another transaction is repeated: it did not commit.
    async fn attempts(
        &self,
        changes: &[Change],
        now: Timestamp,
        connection: &mut Connection,
    ) -> Result<(Vec<Answer>, Written), ChangeError> {
        for _ in 1..ATTEMPTS {
            match self.attempt(changes, now, connection).await {
                Err(ChangeError::Store(error)) if is_passing(&error) => {
                    tracing::debug!(%error, "a transaction is repeated");
                }
                done => return done,
            }
        }
        self.attempt(changes, now, connection).await
    }

    /// Applies all of the changes in one transaction, or none.
    async fn attempt(
        &self,
        changes: &[Change],
        now: Timestamp,
        connection: &mut Connection,
    ) -> Result<(Vec<Answer>, Written), ChangeError> {
        let mut batch = Batch::new(&self.head, now);
        let roles = locked(&self.shared.gateways).limits();
        let stops = self.stops.as_deref().unwrap_or_default();
        let (usage, budgets) = (&self.usage, &self.settings.budgets);
        let purse = Purse { usage, budgets, roles: &roles, stops };
        if let Some(answers) = record_ends(changes, purse, &mut batch) {
            let written = self.commit_alone(batch, connection).await?;
            return Ok((answers, written));
        }
        let mut transaction = connection.begin_write().await?;
        let backlog = locked(&self.shared.backlog).clone();
        let policies = locked(&self.shared.gateways).policies();
        let bounds = (&backlog, &policies, purse);
        let applied = apply_all(changes, &self.settings, bounds, &mut batch, &mut transaction);
        let applied = match applied.await {
            Ok(answers) => outbox::post(&self.settings.receivers, &mut batch, &mut transaction)
                .await
                .map(|()| answers)
                .map_err(ChangeError::Store),
            Err(error) => Err(error),
        };
        let outcome = match applied {
            Ok(answers) => match batch.seal(self.head.clone(), &self.context()) {
                Ok(sealed) => match sealed.write(&mut transaction).await {
                    Ok(written) => Ok((answers, written)),
                    Err(error) => Err(ChangeError::Store(error)),
                },
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match outcome {
            Ok(done) => {
                if let Err(why) = self.source.engine.check() {
                    transaction.rollback().await?;
                    return Err(ChangeError::Lost { why, committed: false });
                }
                transaction.commit().await?;
                // A commit to a file that was just removed must not be acknowledged.
                self.source
                    .engine
                    .check()
                    .map_err(|why| ChangeError::Lost { why, committed: true })?;
                Ok(done)
            }
            Err(error @ (ChangeError::Store(_) | ChangeError::Lost { .. })) => Err(error),
            Err(error) => {
                transaction.rollback().await?;
                Err(error)
            }
        }
    }

    /// Commits entries that need no other row. An error of SQLite may leave the transaction open.
    async fn commit_alone(
        &self,
        batch: Batch,
        connection: &mut Connection,
    ) -> Result<Written, ChangeError> {
        let sealed = batch.seal(self.head.clone(), &self.context())?;
        let engine = &self.source.engine;
        engine.check().map_err(|why| ChangeError::Lost { why, committed: false })?;
        let written = sealed.commit(connection).await?;
        // A commit to a file that was just removed must not be acknowledged.
        engine.check().map_err(|why| ChangeError::Lost { why, committed: true })?;
        Ok(written)
    }

    fn context(&self) -> WriteContext<'_> {
        WriteContext {
            origin: &self.origin,
            random: &self.settings.random,
            key: &self.settings.key,
        }
    }

    /// Returns the connection, a new one after a failure. Unknown committed changes are published
    /// and reported; a lease among them has no runner.
    async fn connected(&mut self) -> Result<Connection, ChangeError> {
        let mut connection = match self.connection.take() {
            Some(connection) if !self.behind => return Ok(connection),
            Some(connection) => {
                if let Err(why) = self.source.engine.check() {
                    self.connection = Some(connection);
                    return Err(ChangeError::Lost { why, committed: false });
                }
                connection
            }
            None => {
                self.source
                    .engine
                    .check_database()
                    .map_err(|why| ChangeError::Lost { why, committed: false })?;
                self.source.engine.connect().await?
            }
        };
        let Beyond { head, leaves, note } = self.source.beyond(&self.head, &mut connection).await?;
        self.source.engine.note_files();
        self.behind = false;
        let queued = count_queued(&mut connection).await?;
        locked(&self.shared.backlog).count_again(queued, (self.settings.clock)().as_millisecond());
        for StoredLease { call, fence, has_token } in self.source.leases(&mut connection).await? {
            if locked(&self.shared.leases).has(&call, fence) {
                continue;
            }
            if has_token {
                // Its runner got no answer, and asks again by its token.
                self.shared.leased(call, fence, (self.settings.clock)());
            } else {
                self.shared.lost(call, fence);
            }
        }
        if !leaves.is_empty() {
            // A denial may be among the changes.
            *locked(&self.shared.rejected) = None;
            let touched = leaves.iter().filter_map(|leaf| leaf.call.clone()).collect();
            self.committed(
                &[],
                Written {
                    head,
                    leaves,
                    note,
                    touched,
                    claimable: CONNECTED,
                    approved: true,
                    rejected: Vec::new(),
                    forgotten: Vec::new(),
                    queued: 0,
                    claimed: 0,
                    used: BTreeMap::new(),
                    day: 0,
                    posted: true,
                },
            )
            .await;
        }
        Ok(connection)
    }

    /// Notes a failure of the store, and logs it once.
    fn failed(&self, halt: &ChangeError) {
        if let ChangeError::Store(error) = halt
            && Fenced::of(error).is_some()
        {
            self.shared.over.send_replace(Some(self.source.describe(error)));
        }
        let why = match halt {
            ChangeError::Store(error) if halt.is_of_the_store() => self.source.describe(error),
            ChangeError::Store(_) => return,
            ChangeError::Lost { why, .. } => why.clone(),
            ChangeError::Error(error) => error.to_string(),
        };
        self.shared.fails(why);
    }

    /// Reads the stops again after one was made or lifted. If that fails, the next change reads them
    /// before it is applied.
    async fn follow_stops(&mut self, answers: &[Answer], connection: &mut Connection) {
        if !answers.iter().any(|answer| matches!(answer, Ok(Done::Stopped { .. }))) {
            return;
        }
        self.stops = stops::stops(connection).await.ok();
        if let Some(stops) = &self.stops {
            self.shared.stops.send_replace(stops.clone());
        }
    }

    /// Names the principals over a budget in the status.
    fn name_over_limits(&self, changes: &[Change], answers: &[Answer]) {
        let over = changes.iter().zip(answers).filter_map(|(change, answer)| {
            let principal = match change {
                Change::End(entry) | Change::EndAgain(entry) => &entry.principal,
                Change::Enqueue { entry, .. } => &entry.principal,
                _ => return None,
            };
            let Err(RoleError::OverLimit { limit, .. }) = answer else { return None };
            Some((principal.clone(), limit.clone()))
        });
        let over: Vec<_> = over.collect();
        if !over.is_empty() {
            locked(&self.shared.over_limits).add(over, Instant::now());
        }
    }

    /// Informs the waiters and the publisher of a commit.
    async fn committed(&mut self, answers: &[Answer], written: Written) {
        let first = self.head.tree.size();
        let size = written.head.tree.size();
        self.head = written.head;
        for answer in answers {
            if let Ok(Done::Leased(Some(job))) = answer {
                self.shared.leased(job.job.call.clone(), job.fence, (self.settings.clock)());
            }
        }
        let now_ms = (self.settings.clock)().as_millisecond();
        locked(&self.shared.backlog).note(written.queued, written.claimed, now_ms);
        if !written.leaves.is_empty() {
            self.shared.head.send_replace((size, written.note.clone()));
            let entries = written.leaves.into_iter().map(|leaf| (leaf.text, leaf.hash)).collect();
            // The publisher ends after this task; if it failed, the next start publishes the
            // missing tiles.
            let _sent = self.published.send(Published { first, entries, note: written.note });
        }
        if let Some(known) = locked(&self.shared.rejected).as_mut() {
            // A rejection that was made again in the same commit stays known.
            written.forgotten.iter().for_each(|gone| {
                known.remove(gone);
            });
            known.extend(written.rejected);
        }
        if written.posted {
            self.shared.outbox.send_replace(());
        }
        self.shared.tell(&written.touched, written.claimable, written.approved);
    }
}
