//! The guests that took too long on a serving thread, once beyond their limit or several times in
//! turn beyond the usual time. For a while they run on worker threads at once. Never ends a guest.

use crate::error::{Code, SandboxError};
use crate::limit;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The guests with an overrun in the last [`limit::OVERRUN`], by their key. There are at most as many
/// as keys.
pub(crate) struct Overruns<K> {
    until: Mutex<HashMap<K, Instant>>,
    /// The slow runs in turn of each guest.
    slow: Mutex<HashMap<K, u32>>,
    /// True if a guest had a slow run: a quick run takes no lock without one.
    any_slow: AtomicBool,
}

impl<K: Eq + Hash> Overruns<K> {
    pub(crate) fn new() -> Self {
        Self {
            until: Mutex::new(HashMap::new()),
            slow: Mutex::new(HashMap::new()),
            any_slow: AtomicBool::new(false),
        }
    }

    /// Runs this guest on this thread. `None` if it has to run on a worker thread: it took too long
    /// before or now, or `run` found no free state.
    pub(crate) fn run<R>(
        &self,
        key: K,
        run: impl FnOnce() -> Option<Result<R, SandboxError>>,
    ) -> Option<Result<R, SandboxError>>
    where
        K: Copy,
    {
        if self.has(&key, Instant::now) {
            return None;
        }
        let began = Instant::now();
        let done = run()?;
        let now = Instant::now();
        if matches!(&done, Err(error) if error.code == Code::Time) {
            self.note(key, now);
            return None;
        }
        self.ended(key, now - began, now);
        Some(done)
    }

    /// Notes that this guest took too long at this time.
    fn note(&self, key: K, now: Instant) {
        self.until().insert(key, now + limit::OVERRUN);
    }

    /// Notes the time of a run that ended within its limit. The last of [`limit::SLOW_RUNS`] slow
    /// ones in turn is an overrun.
    fn ended(&self, key: K, took: Duration, now: Instant)
    where
        K: Copy,
    {
        if took <= limit::SLOW && !self.any_slow.load(Ordering::Relaxed) {
            return;
        }
        let mut slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if took <= limit::SLOW {
            slow.remove(&key);
        } else {
            let runs = slow.entry(key).or_default();
            *runs += 1;
            if *runs >= limit::SLOW_RUNS {
                slow.remove(&key);
                self.note(key, now);
            }
        }
        self.any_slow.store(!slow.is_empty(), Ordering::Relaxed);
    }

    /// Returns whether this guest has to run on a worker thread.
    pub(crate) fn has(&self, key: &K, now: impl FnOnce() -> Instant) -> bool {
        let mut until = self.until();
        let Some(end) = until.get(key) else { return false };
        let has = now() < *end;
        if !has {
            until.remove(key);
        }
        has
    }

    fn until(&self) -> MutexGuard<'_, HashMap<K, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_took_too_long_comes_back_after_a_while() {
        let (overruns, now) = (Overruns::new(), Instant::now());
        let has = |key: &str, after| overruns.has(&key.to_owned(), || now + after);
        assert!(!has("slow", limit::TICK));
        overruns.note("slow".to_owned(), now);
        assert!(has("slow", limit::TICK));
        assert!(!has("quick", limit::TICK), "one guest says nothing of another");
        assert!(has("slow", limit::OVERRUN - limit::TICK));
        assert!(!has("slow", limit::OVERRUN));
        assert!(overruns.until().is_empty(), "what is over is forgotten");
    }

    #[test]
    fn several_slow_runs_in_turn_are_an_overrun() {
        let (overruns, now) = (Overruns::new(), Instant::now());
        let (slow, quick) = (limit::SLOW * 2, limit::SLOW / 2);
        let run = |times: u32, took| (0..times).for_each(|_| overruns.ended("tool", took, now));
        let has = |key: &'static str| overruns.has(&key, || now);
        run(limit::SLOW_RUNS - 1, slow);
        run(1, quick);
        run(limit::SLOW_RUNS - 1, slow);
        assert!(!has("tool"), "a busy machine makes some runs slow");
        run(1, slow);
        assert!(has("tool"));
        assert!(!has("other"));
        assert!(!overruns.any_slow.load(Ordering::Relaxed), "it begins from nothing");
    }
}
