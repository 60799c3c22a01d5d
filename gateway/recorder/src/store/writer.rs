//! The one task that writes. Changes that wait together are committed together; no caller is
//! answered before the commit. Never reads for others.

use super::batch::{Batch, ChangeError, Head, WriteContext, Written};
use super::change::{Answer, Change, Done};
use super::database;
use super::enqueue::{New, enqueue};
use super::source::{Beyond, Source};
use super::{approvals, expire, lease, retire, run};
use crate::ledger::publish::Published;
use crate::settings::RecorderContext;
use crate::waiters::{Shared, locked};
use cofferdam_core::model::record::Recorded;
use cofferdam_core::protocol::RoleError;
use sqlx::{Connection as _, SqliteConnection};
use std::fs::File;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Changes committed together: one `fsync` serves them all, and a batch still takes only some ten
/// milliseconds.
pub(crate) const TOGETHER: usize = 256;

/// Changes that may wait; beyond this a proposer waits to be taken in.
pub(crate) const WAITING: usize = 1_024;

/// What the task is asked.
pub(crate) enum Request {
    /// Commit this and answer.
    Change(Change, oneshot::Sender<Answer>),
    /// Fold the write-ahead log back into the file, as far as readers let it.
    Fold,
    /// Commit what came before, then end.
    Stop,
}

/// The task's state.
pub(crate) struct Writer {
    pub source: Source,
    /// None after a failure, until it is made again.
    pub connection: Option<SqliteConnection>,
    /// The connection committed what `head` does not have, and it was told to no caller.
    pub behind: bool,
    pub head: Head,
    pub origin: String,
    pub settings: RecorderContext,
    pub shared: Arc<Shared>,
    pub published: mpsc::Sender<Published>,
    /// Keeps other processes out while this lives.
    pub lock: File,
}

impl Writer {
    /// Runs until it is asked to stop or no sender is left.
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
                    // Dropping the reply tells its asker that the recorder ended.
                    Request::Change(..) => {}
                    Request::Fold => fold = true,
                    Request::Stop => stop = true,
                }
            }
            let answers = self.commit(&changes).await;
            for (reply, answer) in replies.into_iter().zip(answers) {
                if let Err(Ok(Done::Leased(Some(job)))) = reply.send(answer) {
                    // The runner that asked is gone: the lease has no holder.
                    self.shared.lost(job.job.call, job.fence);
                }
            }
            if std::mem::take(&mut fold) {
                self.fold().await;
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::error!(what = "store", %error, "the store did not close cleanly; it recovers at the next start");
        }
        drop(self.lock);
    }

    async fn commit(&mut self, changes: &[Change]) -> Vec<Answer> {
        match self.transact(changes).await {
            Ok(answers) => answers,
            Err(halt) if changes.len() > 1 && !halt.is_of_the_store() => {
                // One of them spoiled the transaction: each for itself, so that only that one
                // fails.
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
            Err(halt) => {
                let error = RoleError::from(halt);
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
            Err(halt) => {
                self.failed(&halt);
                return Err(halt);
            }
        };
        match self.attempt(changes, &mut connection).await {
            Ok((answers, written)) => {
                self.connection = Some(connection);
                let wrote = !written.leaves.is_empty()
                    || changes.iter().any(|change| matches!(change, Change::Probe));
                self.committed(&answers, written).await;
                if wrote && locked(&self.shared.failing).take().is_some() {
                    let store = self.source.folder.display();
                    tracing::info!(
                        "the store in `{store}` takes entries again; nothing that was \
                         acknowledged is lost"
                    );
                }
                if changes.iter().any(|change| matches!(change, Change::Erase { .. })) {
                    self.forget().await;
                }
                Ok(answers)
            }
            Err(halt @ ChangeError::Lost { .. }) => {
                // The connection stays: through it SQLite folds a log that was removed into the
                // store when it is closed.
                self.connection = Some(connection);
                self.behind |= matches!(halt, ChangeError::Lost { committed: true, .. });
                self.failed(&halt);
                Err(halt)
            }
            Err(ChangeError::Store(error)) => {
                // Whether SQLite still has the transaction open, and whether a commit happened, is
                // not known on this side: the connection goes, and the next one
                // reads what the store holds.
                if let Err(error) = connection.close().await {
                    tracing::debug!(%error, "the failed connection did not close cleanly");
                }
                let halt = ChangeError::Store(error);
                self.failed(&halt);
                Err(halt)
            }
            Err(halt) => {
                self.connection = Some(connection);
                Err(halt)
            }
        }
    }

    /// One transaction: all of the changes, or none.
    async fn attempt(
        &self,
        changes: &[Change],
        connection: &mut SqliteConnection,
    ) -> Result<(Vec<Answer>, Written), ChangeError> {
        let now = (self.settings.clock)();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut batch = Batch::new(&self.head, now);
        let outcome = match apply_all(changes, &self.settings, &mut batch, &mut transaction).await {
            Ok(answers) => {
                let context = WriteContext {
                    origin: &self.origin,
                    random: &self.settings.random,
                    key: &self.settings.key,
                };
                batch
                    .write(self.head.clone(), &context, &mut transaction)
                    .await
                    .map(|written| (answers, written))
            }
            Err(halt) => Err(halt),
        };
        match outcome {
            Ok(done) => {
                if let Err(why) = self.source.held.check() {
                    transaction.rollback().await?;
                    return Err(ChangeError::Lost { why, committed: false });
                }
                transaction.commit().await?;
                // What was committed to a file that was just taken away must not be acknowledged.
                self.source
                    .held
                    .check()
                    .map_err(|why| ChangeError::Lost { why, committed: true })?;
                Ok(done)
            }
            Err(halt @ (ChangeError::Store(_) | ChangeError::Lost { .. })) => Err(halt),
            Err(halt) => {
                transaction.rollback().await?;
                Err(halt)
            }
        }
    }

    /// The connection, made again after a failure. What the store then holds beyond what is known
    /// here was committed by a transaction whose end was not learned: it is published and told;
    /// a lease that was given in it has no holder.
    async fn connected(&mut self) -> Result<SqliteConnection, ChangeError> {
        let mut connection = match self.connection.take() {
            Some(connection) if !self.behind => return Ok(connection),
            Some(connection) => {
                if let Err(why) = self.source.held.check() {
                    self.connection = Some(connection);
                    return Err(ChangeError::Lost { why, committed: false });
                }
                connection
            }
            None => {
                self.source
                    .held
                    .check_database()
                    .map_err(|why| ChangeError::Lost { why, committed: false })?;
                self.source.connect().await?
            }
        };
        let Beyond { head, leaves, note } = self.source.beyond(&self.head, &mut connection).await?;
        self.source.held.note_logs();
        self.behind = false;
        let known: Vec<_> = locked(&self.shared.leases)
            .iter()
            .map(|(call, (fence, _))| (call.clone(), *fence))
            .collect();
        for lease in self.source.leases(&mut connection).await? {
            if !known.contains(&lease) {
                self.shared.lost(lease.0, lease.1);
            }
        }
        if !leaves.is_empty() {
            let touched = leaves.iter().filter_map(|leaf| leaf.call.clone()).collect();
            self.committed(
                &[],
                Written { head, leaves, note, touched, queue: true, approved: true },
            )
            .await;
        }
        Ok(connection)
    }

    /// Notes that the store failed, and logs it once.
    fn failed(&self, halt: &ChangeError) {
        let why = match halt {
            ChangeError::Store(error) if halt.is_of_the_store() => self.source.describe(error),
            ChangeError::Store(_) => return,
            ChangeError::Lost { why, .. } => why.clone(),
            ChangeError::Error(error) => error.to_string(),
        };
        self.shared.fails(why);
    }

    /// Folds the write-ahead log. A reader that stays keeps it from that: it grows, and is named.
    async fn fold(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let file = database(&self.source.folder).with_extension("db-wal");
        let folded = match sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_one(&mut *connection)
            .await
        {
            Ok((_, frames, folded)) if frames == folded => {
                // The log is not needed any more: it becomes short again. A reader that begins
                // right now only puts that off.
                let short = "PRAGMA busy_timeout = 100; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA \
                             busy_timeout = 5000";
                sqlx::raw_sql(short).execute(&mut *connection).await.map(|_| true)
            }
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        let mut pinned = locked(&self.shared.pinned);
        match folded {
            Ok(true) if pinned.take().is_some() => {
                tracing::info!("the write-ahead log is folded back again")
            }
            Ok(true) => {}
            Ok(false) => {
                let long =
                    std::fs::metadata(&file).map(|file| file.len() >> 20).unwrap_or_default();
                let file = file.display();
                let why = format!(
                    "`{file}` has {long} MiB: a process that reads the store keeps it from \
                     becoming short; end that process (`fuser {file}` names it)"
                );
                if pinned.is_none() {
                    tracing::warn!(path = %file, "{why}");
                }
                *pinned = Some(why);
            }
            Err(error) => {
                tracing::warn!(what = "write-ahead log", %error, "the write-ahead log cannot be folded back; tried again")
            }
        }
    }

    /// Tells everybody who waits for it.
    async fn committed(&mut self, answers: &[Answer], written: Written) {
        let first = self.head.tree.size();
        let size = written.head.tree.size();
        self.head = written.head;
        for answer in answers {
            if let Ok(Done::Leased(Some(job))) = answer {
                self.shared.leased(job.job.call.clone(), job.fence, (self.settings.clock)());
            }
        }
        if !written.leaves.is_empty() {
            self.shared.head.send_replace((size, written.note.clone()));
            let entries = written.leaves.into_iter().map(|leaf| (leaf.text, leaf.hash)).collect();
            // The publisher only ends after this task; should it have failed, the next start
            // publishes what is missing.
            let _sent = self.published.send(Published { first, entries, note: written.note }).await;
        }
        self.shared.tell(&written.touched, written.queue, written.approved);
    }

    /// Erased payloads also leave the write-ahead log.
    async fn forget(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await
        {
            tracing::warn!(what = "write-ahead log", %error, "erased payloads stay in the write-ahead log until its next checkpoint");
        }
    }
}

/// Applies a batch's changes: new jobs together, the others in order of arrival.
async fn apply_all(
    changes: &[Change],
    settings: &RecorderContext,
    batch: &mut Batch,
    connection: &mut SqliteConnection,
) -> Result<Vec<Answer>, ChangeError> {
    let news: Vec<New> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Enqueue { job, entry, key, seen } => Some(New {
                job: job.as_ref().clone(),
                entry: entry.as_ref().clone(),
                key: key.clone(),
                seen: seen.clone(),
            }),
            _ => None,
        })
        .collect();
    let mut enqueued = if news.is_empty() {
        Vec::new()
    } else {
        enqueue(news, || (settings.random)(), batch, connection).await?
    }
    .into_iter();
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        if matches!(change, Change::Enqueue { .. }) {
            answers.push(enqueued.next().unwrap_or(Ok(Done::Noted)));
            continue;
        }
        let mark = batch.mark();
        answers.push(match apply(change, settings.lease_seconds, batch, connection).await {
            Ok(done) => Ok(done),
            Err(ChangeError::Error(error)) => {
                batch.rewind(mark);
                Err(error)
            }
            Err(store) => return Err(store),
        });
    }
    Ok(answers)
}

/// INVARIANT: a change that answers a fault has written nothing; each checks everything before its
/// first write.
async fn apply(
    change: &Change,
    lease_seconds: u64,
    batch: &mut Batch,
    connection: &mut SqliteConnection,
) -> Result<Done, ChangeError> {
    match change {
        Change::End(entry) => {
            Ok(Done::Recorded(Recorded { index: batch.record(entry.as_ref().clone()) }))
        }
        // Applied together before.
        Change::Enqueue { .. } => Ok(Done::Noted),
        Change::Claim => lease::claim(lease_seconds, batch, connection).await,
        Change::Move { call, fence, event } => {
            run::move_job(call, *fence, event.clone(), batch, connection).await
        }
        Change::Progress { call, fence, said } => {
            lease::progress(call, *fence, said, batch, connection).await
        }
        Change::Lose { call, fence, obstacle } => {
            lease::lose(call, *fence, obstacle.as_ref(), batch, connection).await
        }
        Change::Cancel { principal, call } => {
            approvals::cancel(principal, call, batch, connection).await
        }
        Change::Permit { call, permit, entry, expires } => {
            approvals::permit(call, permit, entry.as_ref().clone(), *expires, batch, connection)
                .await
        }
        Change::Withdraw { call, detail, entry } => {
            approvals::withdraw(call, detail, entry.as_ref().clone(), batch, connection).await
        }
        Change::Sign(signature) => approvals::sign(signature, batch, connection).await,
        Change::Resolve { call, found, because, by } => {
            approvals::resolve(call, *found, (because, by), batch, connection).await
        }
        Change::Probe => {
            sqlx::query("UPDATE fences SET newest = newest").execute(connection).await?;
            Ok(Done::Noted)
        }
        Change::Retire(trust) => retire::retire(trust, batch, connection).await,
        Change::Expire => expire::expire(batch, connection).await,
        Change::Erase { call, by } => approvals::erase(call, by, batch, connection).await,
    }
}
