//! Threads that run guests, each with its own engines and guests: two threads share nothing, not
//! even a reference count. Guests never run on the threads that serve sockets.

use crate::error::{Code, SandboxError};
use crate::limit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Worker threads, each with a state `S` that it made for itself. They end when this is dropped.
pub(crate) struct Workers<S> {
    queue: SyncSender<Job<S>>,
}

impl<S: 'static> Workers<S> {
    /// Starts the threads and waits until each has made its state. The first that fails stops all.
    pub(crate) fn start(
        name: &str,
        count: usize,
        make: impl Fn() -> Result<S, SandboxError> + Send + Sync + 'static,
    ) -> Result<Self, SandboxError> {
        let (queue, jobs) = sync_channel::<Job<S>>(limit::QUEUE);
        let (jobs, make) = (Arc::new(Mutex::new(jobs)), Arc::new(make));
        let (ready, states) = sync_channel(count.max(1));
        for index in 0..count.max(1) {
            let (jobs, make, ready) = (Arc::clone(&jobs), Arc::clone(&make), ready.clone());
            std::thread::Builder::new()
                .name(format!("{name}-{index}"))
                .spawn(move || match make() {
                    Ok(mut state) => {
                        let _waiting = ready.send(Ok(()));
                        drop(ready);
                        while let Some(job) = next(&jobs) {
                            // A panic of the host ends one call, not the thread. The caller learns
                            // that its answer was dropped.
                            let _fault = catch_unwind(AssertUnwindSafe(|| job(&mut state)));
                        }
                    }
                    Err(error) => {
                        let _waiting = ready.send(Err(error));
                    }
                })
                .map_err(|error| {
                    SandboxError::new(Code::Engine, format!("no thread for guests: {error}"))
                })?;
        }
        for _ in 0..count.max(1) {
            states.recv().map_err(|_| {
                SandboxError::new(Code::Engine, "a worker thread ended before it was ready")
            })??;
        }
        Ok(Self { queue })
    }

    /// Runs one job on a free thread. A full queue answers at once. The thread limits the guest's
    /// own time, and this function the caller's.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> Result<R, SandboxError> + Send + 'static,
    ) -> Result<R, SandboxError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            // A caller that is gone needs no work.
            if !answer.is_closed() {
                let _gone = answer.send(job(state));
            }
        });
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => SandboxError::new(
                Code::Busy,
                "every worker is busy and its queue is full; ask again shortly",
            ),
            TrySendError::Disconnected(_) => SandboxError::new(
                Code::Engine,
                "the worker threads are gone; the role must be started again",
            ),
        })?;
        match tokio::time::timeout(limit::WALL, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                Err(SandboxError::new(Code::Engine, "the worker thread ended before it answered"))
            }
            Err(_) => Err(SandboxError::new(
                Code::Time,
                format!("no answer within {} s; the machine is overloaded", limit::WALL.as_secs()),
            )),
        }
    }
}

fn next<S>(jobs: &Mutex<Receiver<Job<S>>>) -> Option<Job<S>> {
    // One idle thread waits in `recv`, and the others for the lock: a job wakes exactly one.
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
