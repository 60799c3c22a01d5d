//! The thread that counts guest time. It sleeps while no guest is alive in this process, so that an
//! idle role wakes no processor. Never stops a guest itself: the account of each store decides.

use crate::error::{Code, SandboxError};
use crate::limit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use wasmtime::Engine;

/// The guests that are alive in this process. All tickers share one count: an extra tick in an
/// engine without a guest has no effect, but a guest that no ticker counts would run for ever.
static GUESTS: Guests = Guests { alive: Mutex::new(0), some: Condvar::new() };

struct Guests {
    alive: Mutex<usize>,
    some: Condvar,
}

/// A guest that is alive. It is part of the account, so that each account has one.
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
    /// Waits until a guest is alive, or the ticker ends.
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
                // A late wake-up raises the epoch once, not once for each missed tick: a busy
                // machine must not end innocent calls.
                while !stop.load(Ordering::Relaxed) {
                    GUESTS.wait(&stop);
                    std::thread::park_timeout(limit::TICK);
                    for engine in theirs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                        engine.increment_epoch();
                    }
                }
            })
            .map_err(|error| {
                SandboxError::new(Code::Engine, format!("no thread for guest time: {error}"))
            })?;
        // A starting thread still needs system calls that a guest process is about to give up.
        running.recv().map_err(|_| {
            SandboxError::new(Code::Engine, "the thread for guest time ended at once")
        })?;
        Ok(Self { engines, over, thread: Some(thread) })
    }

    /// Counts for this engine too. An engine that is not counted would run a loop for ever, so
    /// every engine is added.
    pub fn add(&self, engine: &Engine) {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.clone());
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        {
            // Under the lock, the thread has not checked yet, or already waits for a wake-up.
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
