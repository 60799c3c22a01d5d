//! Where guests run. A run that is short as a rule runs on the thread that serves its caller, and
//! has a small part of its time limit there: a hand-over to another thread takes longer than it. A
//! run that does not end in that time runs again on a worker thread with the full limit, and further
//! runs of its kind go to the worker threads at once (`overrun.rs`), so that no guest holds up the
//! callers of others. Each place has its own engines and guests, and one guest at a time uses it: two
//! threads share nothing, not even a reference count.

use crate::error::{Code, SandboxError};
use crate::limit;
use crate::ticker::Ticker;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A job gets the state of its thread, or the error of making it.
type Job<S> = Box<dyn FnOnce(Result<&mut S, SandboxError>) + Send>;

/// The places where guests run, each with a state `S` of its own: one for each serving thread, and
/// the worker threads, which end when this is dropped.
pub(crate) struct Workers<S> {
    /// The states that no serving thread uses now.
    free: Mutex<Vec<S>>,
    queue: SyncSender<Job<S>>,
    /// No guest runs uncounted: each thread keeps the ticker too, until it ends.
    _ticker: Arc<Ticker>,
}

impl<S: Send + 'static> Workers<S> {
    /// Makes `count` states for serving threads, each on a thread of its own, and starts as many
    /// worker threads. The first state that fails stops all. A worker thread makes its state at its
    /// first job: most need none.
    pub(crate) fn start(
        name: &str,
        count: usize,
        ticker: Arc<Ticker>,
        make: impl Fn() -> Result<S, SandboxError> + Send + Sync + 'static,
    ) -> Result<Self, SandboxError> {
        let count = count.max(1);
        let (queue, jobs) = sync_channel::<Job<S>>(limit::QUEUE);
        let (jobs, make) = (Arc::new(Mutex::new(jobs)), Arc::new(make));
        let states = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..count).map(|_| scope.spawn(|| make())).collect();
            let made = makers.into_iter().map(|maker| {
                let lost =
                    |_| SandboxError::new(Code::Engine, "a thread ended before it was ready");
                maker.join().map_err(lost).flatten()
            });
            made.collect::<Result<Vec<S>, SandboxError>>()
        })?;
        for index in 0..count {
            let (jobs, make, ticker) = (Arc::clone(&jobs), Arc::clone(&make), Arc::clone(&ticker));
            std::thread::Builder::new()
                .name(format!("{name}-{index}"))
                .spawn(move || {
                    let mut state = None;
                    while let Some(job) = next(&jobs) {
                        let made = match state.take() {
                            Some(made) => Ok(made),
                            None => make(),
                        };
                        match made {
                            Ok(mut made) => {
                                // A panic of the host ends one call, not the thread. The caller
                                // learns that its answer was dropped.
                                let run = AssertUnwindSafe(|| job(Ok(&mut made)));
                                let _fault = catch_unwind(run);
                                state = Some(made);
                            }
                            Err(error) => job(Err(error)),
                        }
                    }
                    drop(ticker);
                })
                .map_err(|error| {
                    SandboxError::new(Code::Engine, format!("no thread for guests: {error}"))
                })?;
        }
        Ok(Self { free: Mutex::new(states), queue, _ticker: ticker })
    }

    /// Runs one job on this thread. `None` if every state is in use.
    pub(crate) fn here<R>(
        &self,
        job: impl FnOnce(&mut S) -> Result<R, SandboxError>,
    ) -> Option<Result<R, SandboxError>> {
        let mut state = self.free().pop()?;
        let done = catch_unwind(AssertUnwindSafe(|| job(&mut state)));
        self.free().push(state);
        // A panic of the host ends one call, here as on a worker thread.
        Some(done.unwrap_or_else(|_| Err(unanswered())))
    }

    fn free(&self) -> MutexGuard<'_, Vec<S>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one job on a free worker thread. A full queue answers at once. The thread limits the guest's
    /// own time, and this function the caller's.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> Result<R, SandboxError> + Send + 'static,
    ) -> Result<R, SandboxError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            // A caller that is gone needs no work.
            if !answer.is_closed() {
                let _gone = answer.send(state.and_then(job));
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
            Ok(Err(_)) => Err(unanswered()),
            Err(_) => Err(SandboxError::new(
                Code::Time,
                format!("no answer within {} s; the machine is overloaded", limit::WALL.as_secs()),
            )),
        }
    }
}

fn unanswered() -> SandboxError {
    SandboxError::new(Code::Engine, "the worker thread ended before it answered")
}

fn next<S>(jobs: &Mutex<Receiver<Job<S>>>) -> Option<Job<S>> {
    // One idle thread waits in `recv`, and the others for the lock: a job wakes exactly one.
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
