//! The guests that took too long on a serving thread. For a while they run on worker threads at
//! once. Never says how long a guest may run.

use crate::limit;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The guests with an overrun in the last [`limit::OVERRUN`], by their key. There are at most as many
/// as keys.
pub(crate) struct Overruns<K> {
    until: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> Overruns<K> {
    pub(crate) fn new() -> Self {
        Self { until: Mutex::new(HashMap::new()) }
    }

    /// Notes that this guest took too long at this time.
    pub(crate) fn note(&self, key: K, now: Instant) {
        self.until().insert(key, now + limit::OVERRUN);
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
}
