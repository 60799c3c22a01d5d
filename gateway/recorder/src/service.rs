//! The recorder as its binary holds it: opened once, cloned freely, asked by the handlers of three
//! sockets. Opens no socket itself.

mod claim;
mod health;
mod housekeeping;
mod operate;
mod propose;
mod start;

pub use claim::RunnerSeat;

use crate::settings::{RUNNERS_AWAY_MS, RecorderContext};
use crate::store::change::{Change, Done};
use crate::store::open::OpenError;
use crate::store::{OpenFiles, Reader, Request, WAITING, Writer};
use crate::waiters::{Shared, locked};
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::operator_recorder::Notice;
use jiff::Timestamp;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What a runner's socket is called.
const RUNNER: &str = "runner";

/// The recorder.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    settings: RecorderContext,
    reader: Reader,
    queue: mpsc::Sender<Request>,
    shared: Arc<Shared>,
    held: Arc<OpenFiles>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A role that holds a socket; counted in the status until this is dropped.
pub struct RoleSeat {
    recorder: Recorder,
    name: String,
}

impl Recorder {
    /// Opens the store and the ledger, ends the leases of the last run, and starts the writer. Must
    /// be called inside a tokio runtime.
    pub async fn open(settings: RecorderContext) -> Result<Self, OpenError> {
        let start::Started { writer, publisher, losses, readers, shared, held } =
            start::start(&settings).await?;
        let (queue, requests) = mpsc::channel(WAITING);
        let tasks = vec![tokio::spawn(Writer::run(writer, requests)), publisher];
        let inner = Inner {
            settings,
            reader: Reader(readers),
            queue,
            shared,
            held,
            tasks: Mutex::new(tasks),
        };
        let recorder = Self { inner: Arc::new(inner) };
        housekeeping::note_start(&recorder).await?;
        housekeeping::write_off(&recorder).await?;
        housekeeping::spawn(&recorder, losses);
        Ok(recorder)
    }

    /// Commits and publishes what was taken in, and lets go of the store; requests after this are
    /// answered `unavailable`.
    pub async fn close(self) {
        // The writer closes last: SQLite then folds its write-ahead log into the one file.
        self.inner.reader.0.close().await;
        // A writer that ended already needs no asking.
        let _ended = self.inner.queue.send(Request::Stop).await;
        let tasks = std::mem::take(&mut *locked(&self.inner.tasks));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(what = "task", %error, "a task of the recorder failed");
            }
        }
    }

    /// Holds no runner any more that finds no job: each is told so at once, and ends. Jobs that
    /// wait are still given out.
    pub fn drain(&self) {
        self.inner.shared.draining.send_replace(true);
    }

    /// Jobs that a runner has to begin or to finish: the first so many of them, oldest first, and
    /// how many there are beside these.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn unfinished(&self, most: usize) -> Result<(Vec<CallId>, u64), RoleError> {
        Ok(self.inner.reader.unfinished(most).await?)
    }

    /// Takes what the supervisor sees, for the status. The newest takes the place of the one
    /// before.
    pub fn know(&self, notice: Notice) {
        *locked(&self.inner.shared.notice) = notice;
    }

    /// Counts a role that holds a socket, for the status.
    pub fn role(&self, name: &str) -> RoleSeat {
        *locked(&self.inner.shared.roles).entry(name.to_owned()).or_insert(0) += 1;
        RoleSeat { recorder: self.clone(), name: name.to_owned() }
    }

    /// Whether a runner holds a socket. Each holds it for one job, so a moment without any is no
    /// want of them.
    fn has_runners(&self) -> bool {
        let there = locked(&self.inner.shared.roles).contains_key(RUNNER);
        let left = *locked(&self.inner.shared.runner_left);
        there
            || left.is_some_and(|left| {
                self.now().as_millisecond().saturating_sub(left) <= RUNNERS_AWAY_MS
            })
    }

    /// A runner's seat: one for each runner socket, dropped when it closes.
    pub fn runner(&self) -> RunnerSeat {
        RunnerSeat::new(self.clone())
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

/// An answer of a kind that its change never has.
fn misplaced_answer() -> RoleError {
    RoleError::Unavailable(
        "the recorder's writer answered another question; this is a defect, please report it"
            .to_owned(),
    )
}
