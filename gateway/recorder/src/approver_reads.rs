//! The reads of approvers, operators and people at the console that are in the ledger: one entry for each person, call and kind of read
//! within an hour. Only in memory: after a restart, a read is recorded once more.

use cofferdam_core::model::id::CallId;
use std::collections::HashMap;

/// The time for which one entry stands for all reads, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Most reads that are remembered: a hundred people with fifty calls each, twice. With more, the
/// oldest is forgotten.
const READS: usize = 10_000;

/// A read: the person, the kind of read with everything that tells it from others, and the call.
type Read = (String, String, Option<CallId>);

/// The recorded reads, with their times.
#[derive(Debug, Default)]
pub(crate) struct ApproverReads(HashMap<Read, i64>);

impl ApproverReads {
    /// True if a read like this was recorded within the last hour.
    pub fn is_known(&self, person: &str, word: &str, call: Option<&CallId>, now_ms: i64) -> bool {
        let at = self.0.get(&(person.to_owned(), word.to_owned(), call.cloned()));
        at.is_some_and(|at| now_ms.saturating_sub(*at) < HOUR_MS)
    }

    /// Remembers a read that was recorded.
    pub fn add(&mut self, person: &str, word: &str, call: Option<&CallId>, now_ms: i64) {
        if self.0.len() >= READS {
            self.0.retain(|_, at| now_ms.saturating_sub(*at) < HOUR_MS);
        }
        if self.0.len() >= READS
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, at)| **at).map(|(read, _)| read.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert((person.to_owned(), word.to_owned(), call.cloned()), now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_stands_for_the_reads_of_an_hour_and_memory_is_bounded() {
        let mut reads = ApproverReads::default();
        let (call, other) = (CallId::from_random(1), CallId::from_random(2));
        reads.add("bob", "show", Some(&call), 0);
        assert!(reads.is_known("bob", "show", Some(&call), HOUR_MS - 1));
        assert!(!reads.is_known("bob", "show", Some(&call), HOUR_MS));
        assert!(!reads.is_known("bob", "look", Some(&call), 1));
        assert!(!reads.is_known("carl", "show", Some(&call), 1));
        assert!(!reads.is_known("bob", "show", Some(&other), 1));
        assert!(!reads.is_known("bob", "show", None, 1));
        for number in 0..READS {
            let time = 1 + i64::try_from(number).unwrap();
            reads.add("bob", "show", Some(&CallId::from_random(10 + number as u128)), time);
        }
        assert_eq!(reads.0.len(), READS);
        assert!(!reads.is_known("bob", "show", Some(&call), 1), "the oldest is forgotten");
    }
}
