//! The thread that counts guests' time. It sleeps while no guest is alive in this process, so that
//! an idle role wakes no processor. Never stops a guest itself: each store's account decides.

use crate::error::{Code, SandboxError};
use crate::limit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use wasmtime::Engine;

/// Guests that are alive in this process. One count for all tickers: a tick too many in an engine
/// without a guest counts for nothing, a guest that no ticker knew of would run for ever.
static GUESTS: Guests = Guests { alive: Mutex::new(0), some: Condvar::new() };

struct Guests {
    alive: Mutex<usize>,
    some: Condvar,
}

/// A guest that is alive: part of its account, so that there is none without it.
#[derive(Debug)]
pub(crate) struct Alive(());

impl Alive {
    pub(crate) fn new() -> Self {
        let mut alive = GUESTS.alive.lock().unwrap_or_else(PoisonError::into_inner);
        *alive += 1;
        if *alive == 1 {
            GUESTS.some.notify_all();
        }
        Self(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        *GUESTS.alive.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

impl Guests {
    /// Waits until a guest is alive, or the ticker is over.
    fn wait(&self, over: &AtomicBool) {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |alive: &mut usize| *alive == 0 && !over.load(Ordering::Relaxed);
        drop(self.some.wait_while(alive, idle).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Counts guest time: one thread that wakes every [`limit::TICK`] while a guest is alive, and
/// raises the epoch of every engine it was given.
pub struct Ticker {
    engines: Arc<Mutex<Vec<Engine>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts the thread and waits until it runs.
    pub fn start() -> Result<Self, SandboxError> {
        let engines: Arc<Mutex<Vec<Engine>>> = Arc::default();
        let over = Arc::new(AtomicBool::new(false));
        let (theirs, stop) = (Arc::clone(&engines), Arc::clone(&over));
        let (runs, running) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("ticker".into())
            .spawn(move || {
                let _starter = runs.send(());
                // A late wake-up raises the epoch once, not once per missed tick: a busy machine
                // must not kill innocent calls.
                while !stop.load(Ordering::Relaxed) {
                    GUESTS.wait(&stop);
                    std::thread::park_timeout(limit::TICK);
                    for engine in theirs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                        engine.increment_epoch();
                    }
                }
            })
            .map_err(|fault| {
                SandboxError::new(Code::Engine, format!("no thread for guest time: {fault}"))
            })?;
        // A thread that is only starting still needs system calls that a guest process is about to
        // give up.
        running.recv().map_err(|_| {
            SandboxError::new(Code::Engine, "the thread for guest time ended at once")
        })?;
        Ok(Self { engines, over, thread: Some(thread) })
    }

    /// Counts for this engine too. An engine that is not counted for would run a loop forever: none
    /// is made without adding it.
    pub fn add(&self, engine: &Engine) {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.clone());
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        {
            // Under the lock: the thread is before its look at this, or already waits to be woken.
            let _looking = GUESTS.alive.lock().unwrap_or_else(PoisonError::into_inner);
            self.over.store(true, Ordering::Relaxed);
        }
        GUESTS.some.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _panicked = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::engine;
    use cofferdam_core::protocol::role_guest::GuestKind;
    use std::time::{Duration, Instant};

    #[test]
    fn a_ticker_that_ends_is_not_waited_for_while_nothing_runs() {
        let ticker = Ticker::start().unwrap();
        ticker.add(&engine(GuestKind::Policy).unwrap());
        let began = Instant::now();
        drop(ticker);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
