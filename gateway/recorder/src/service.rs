//! The recorder as a handle: opened once, cloned freely, used by the handlers of three sockets.
//! Opens no socket itself.

mod approver;
mod calls;
mod claim;
mod console;
mod console_entry;
mod gateway;
mod health;
mod housekeeping;
mod invitations;
mod notify;
mod operate;
mod propose;
mod serving;
mod start;
mod stops;

pub use claim::RunnerSeat;
pub use gateway::GatewaySeat;

use crate::leases::Via;
use crate::settings::{RUNNERS_AWAY_MS, RecorderContext};
use crate::store::change::{Change, Done};
use crate::store::open::OpenError;
use crate::store::{Engine, Reader, Request, WAITING, Writer};
use crate::waiters::{Shared, locked};
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::operator_recorder::Notice;
use jiff::Timestamp;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The name of a runner's socket.
const RUNNER: &str = "runner";

/// The handle of the recorder.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    settings: RecorderContext,
    reader: Reader,
    queue: mpsc::Sender<Request>,
    shared: Arc<Shared>,
    engine: Arc<Engine>,
    lists: calls::Lists,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A role with a socket; the status counts it until this is dropped.
pub struct RoleSeat {
    recorder: Recorder,
    name: String,
}

impl Recorder {
    /// Opens the store and the ledger, ends or keeps the leases of the last run, and starts the
    /// writer. Must be called inside a tokio runtime.
    pub async fn open(settings: RecorderContext) -> Result<Self, OpenError> {
        let start::Started { writer, publisher, losses, readers, shared, engine, unread } =
            start::start(&settings).await?;
        let (queue, requests) = mpsc::channel(WAITING);
        let tasks = vec![tokio::spawn(Writer::run(writer, requests)), publisher];
        let inner = Inner {
            settings,
            reader: Reader::new(readers, Arc::clone(&engine)),
            queue,
            shared,
            engine,
            lists: calls::Lists::default(),
            tasks: Mutex::new(tasks),
        };
        let recorder = Self { inner: Arc::new(inner) };
        housekeeping::note_start(&recorder).await?;
        housekeeping::know_rejections(&recorder).await?;
        housekeeping::write_off(&recorder).await?;
        housekeeping::reopen(&recorder).await?;
        housekeeping::keep_receivers(&recorder).await?;
        housekeeping::spawn(&recorder, losses);
        recorder.keep_calls();
        if let Some(signed) = unread {
            let weak = Arc::downgrade(&recorder.inner);
            locked(&recorder.inner.tasks).push(tokio::spawn(start::check(weak, signed)));
        }
        Ok(recorder)
    }

    /// Commits and publishes all accepted changes, then closes the store. Later requests get
    /// `unavailable`.
    pub async fn close(self) {
        self.inner.reader.close().await;
        if let Some(sqlite) = self.inner.engine.sqlite() {
            sqlite.close().await;
        }
        // A writer that already ended needs no request.
        let _ended = self.inner.queue.send(Request::Stop).await;
        let tasks = std::mem::take(&mut *locked(&self.inner.tasks));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(what = "task", %error, "a task of the recorder failed");
            }
        }
    }

    /// Waits until another recorder took over, and returns the reason for people. The process has to
    /// end then: it may not write any more. Never returns for a store in a file.
    pub async fn over(&self) -> String {
        let mut over = self.inner.shared.over.subscribe();
        loop {
            if let Some(why) = over.borrow_and_update().clone() {
                return why;
            }
            if over.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Begins to drain: a runner without a job is told at once, and ends. Waiting jobs still get
    /// runners.
    pub fn drain(&self) {
        self.inner.shared.draining.send_replace(true);
    }

    /// Begins to hand over to the next recorder: the end of a connection ends no lease from now on.
    /// The next recorder keeps the leases or ends them. Call it before the connections are closed.
    pub fn hand_over(&self) {
        self.inner.shared.leaving.store(true, Ordering::Release);
    }

    /// The jobs without an end: the first `most` of them, oldest first, and the number of further
    /// ones.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn unfinished(&self, most: usize) -> Result<(Vec<CallId>, u64), RoleError> {
        Ok(self.inner.reader.unfinished(most).await?)
    }

    /// Stores the newest notice of the supervisor, for the status and for reloads. Call it within the
    /// runtime.
    pub fn know(&self, notice: Notice) {
        self.note_fences(notice.unfenced.as_deref());
        *locked(&self.inner.shared.notice) = notice;
        self.inner.shared.noticed.send_replace(());
    }

    /// Counts a role with a socket, for the status.
    pub fn role(&self, name: &str) -> RoleSeat {
        *locked(&self.inner.shared.roles).entry(name.to_owned()).or_insert(0) += 1;
        RoleSeat { recorder: self.clone(), name: name.to_owned() }
    }

    /// Returns whether a runner has a socket. Each has it for one job, so a short time without any
    /// does not count.
    fn has_runners(&self) -> bool {
        let there = locked(&self.inner.shared.roles).contains_key(RUNNER);
        let left = *locked(&self.inner.shared.runner_left);
        there
            || left.is_some_and(|left| {
                self.now().as_millisecond().saturating_sub(left) <= RUNNERS_AWAY_MS
            })
    }

    /// The seat of a gateway of this host: one for each connection, told when the connection ends.
    pub fn gateway(&self) -> GatewaySeat {
        GatewaySeat::new(self.clone(), Via::Local)
    }

    /// The seat of a gateway of another host.
    pub fn linked_gateway(&self) -> GatewaySeat {
        GatewaySeat::new(self.clone(), Via::Link)
    }

    /// The seat of a runner of this host: one for each socket, dropped when the socket closes.
    pub fn runner(&self) -> RunnerSeat {
        RunnerSeat::new(self.clone(), Via::Local)
    }

    /// The seat of a runner of another host: one for each link, dropped when the link ends.
    pub fn linked_runner(&self) -> RunnerSeat {
        RunnerSeat::new(self.clone(), Via::Link)
    }

    fn now(&self) -> Timestamp {
        (self.inner.settings.clock)()
    }

    async fn submit(&self, change: Change) -> Result<Done, RoleError> {
        let ended = || RoleError::Unavailable("the recorder is stopping".to_owned());
        let (reply, answer) = oneshot::channel();
        self.inner.queue.send(Request::Change(change, reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for RoleSeat {
    fn drop(&mut self) {
        let mut roles = locked(&self.recorder.inner.shared.roles);
        if let Some(count) = roles.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                roles.remove(&self.name);
            }
            if self.name == RUNNER {
                *locked(&self.recorder.inner.shared.runner_left) =
                    Some(self.recorder.now().as_millisecond());
            }
        }
    }
}

/// The error for a reply of the writer to another change.
fn misplaced_answer() -> RoleError {
    RoleError::Unavailable(
        "the recorder's writer answered another question; this is a defect, please report it"
            .to_owned(),
    )
}
