//! How often a line of one kind is said: a client in a loop must not fill the log. Keeps no line
//! and no name.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One while: a person who reads along still sees each kind go on.
const WINDOW: Duration = Duration::from_secs(10);

/// Lines of a kind in one while.
const MOST: u32 = 20;

/// The lines of one kind.
#[derive(Debug, Default)]
pub struct LogRate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    said: u32,
    kept_back: u64,
}

impl LogRate {
    /// Returns whether one more may be said now; how many were kept back since the last one.
    pub fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = state.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW);
        if fresh {
            (state.began, state.said) = (Some(now), 0);
        }
        if state.said >= MOST {
            state.kept_back += 1;
            return None;
        }
        state.said += 1;
        Some(std::mem::take(&mut state.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_cut_short_and_its_length_is_told() {
        let (pace, start) = (LogRate::default(), Instant::now());
        let passed = (0..100).filter(|_| pace.pass(start).is_some()).count();
        assert_eq!(passed, usize::try_from(MOST).unwrap());
        assert_eq!(pace.pass(start + WINDOW), Some(80));
        assert_eq!(pace.pass(start + WINDOW), Some(0));
    }
}
