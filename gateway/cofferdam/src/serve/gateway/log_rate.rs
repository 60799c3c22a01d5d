//! A rate limit for log lines of one kind: a client in a loop must not fill the log. Stores no line
//! and no name.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The window of the rate limit: short enough for a person who reads the log.
const WINDOW: Duration = Duration::from_secs(10);

/// The most lines of a kind in one window.
const MOST: u32 = 20;

/// The rate limit of one kind of lines.
#[derive(Debug, Default)]
pub struct LogRate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    said: u32,
    kept_back: u64,
}

impl LogRate {
    /// Returns, if one more line is permitted now, the number of lines that were withheld since the
    /// last one.
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
