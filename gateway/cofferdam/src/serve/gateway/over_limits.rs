//! The agents that were over a limit of their own, for the status: collected, and sent to the recorder
//! together. Keeps no count; `/metrics` has it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Most agents and limits between two messages. Further ones are in the metrics and in the log.
const MOST: usize = 32;

/// The agents and limits since the last message.
#[derive(Debug, Default)]
pub struct OverLimits(Mutex<BTreeSet<(String, String)>>);

impl OverLimits {
    /// Adds an agent with its limit.
    pub fn add(&self, agent: &str, limit: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST {
            known.insert((agent.to_owned(), limit.to_owned()));
        }
    }

    /// Takes all.
    pub fn take(&self) -> Vec<(String, String)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *known).into_iter().collect()
    }
}

#[test]
fn what_is_collected_is_bounded_and_taken_once() {
    let overs = OverLimits::default();
    for number in 0..100 {
        overs.add(&format!("agent {number}"), "calls");
        overs.add("alice", "waits");
    }
    assert_eq!(overs.take().len(), MOST);
    assert_eq!(overs.take(), []);
}
