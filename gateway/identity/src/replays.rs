//! The proofs that were used, by key and id, until none of them is good any more. Each key has its
//! own places: a client with many proofs takes none from another. Bounded: when they are full of good
//! ones, a further proof is refused, and none is forgotten early. A proof that was made before this
//! process started is refused too, because an earlier process may have taken it.

use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The most proofs of one key at once: some sixty requests a second, for two minutes.
const OF_KEY: usize = 1 << 13;

/// The most proofs of all keys at once: about 100 MiB.
const ALL: usize = 1 << 20;

/// Seconds between two looks at the proofs of all keys.
const SWEEP: i64 = 30;

/// The used proofs.
#[derive(Debug)]
pub struct Replays {
    started: i64,
    used: Mutex<Used>,
}

/// A proof whose signature, key and claims were checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof {
    /// The thumbprint of its key.
    pub key: [u8; 32],
    /// The digest of its `jti`.
    pub id: [u8; 32],
    /// The last second at which it is good.
    pub until: i64,
}

#[derive(Debug, Default)]
struct Used {
    keys: HashMap<[u8; 32], OfKey>,
    count: usize,
    swept: i64,
}

#[derive(Debug, Default)]
struct OfKey {
    /// The digest of each id, with its last good second.
    ids: HashMap<[u8; 32], i64>,
    swept: i64,
}

impl Replays {
    /// No proofs, in a process that started at this time.
    pub fn since(started: Timestamp) -> Self {
        Self { started: started.as_second(), used: Mutex::default() }
    }

    /// Returns whether a proof that was issued at this second can be of an earlier process. The
    /// second of the start belongs to both.
    pub(crate) fn is_earlier(&self, issued: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
        let started = self.started as f64;
        issued.floor() <= started
    }

    /// Records a proof. Returns whether this is its first use.
    pub(crate) fn first_use(&self, proof: Proof, now: i64) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.first_use(proof, now, (OF_KEY, ALL))
    }
}

impl Used {
    fn first_use(&mut self, proof: Proof, now: i64, (of_key, all): (usize, usize)) -> bool {
        if now >= self.swept.saturating_add(SWEEP) || now < self.swept {
            self.swept = now;
            self.keys.retain(|_, proofs| !proofs.sweep(now).is_empty());
            self.count = self.keys.values().map(|proofs| proofs.ids.len()).sum();
        }
        if self.count >= all {
            return false;
        }
        let proofs = self.keys.entry(proof.key).or_default();
        // A sweep looks at each proof of the key, so there is one a second at most.
        if now != proofs.swept {
            let before = proofs.ids.len();
            let after = proofs.sweep(now).len();
            self.count = self.count.saturating_sub(before.saturating_sub(after));
        }
        if proofs.ids.len() >= of_key || proofs.ids.contains_key(&proof.id) {
            return false;
        }
        proofs.ids.insert(proof.id, proof.until);
        self.count += 1;
        true
    }
}

impl OfKey {
    /// Forgets the proofs that are no longer good. Returns the others.
    fn sweep(&mut self, now: i64) -> &HashMap<[u8; 32], i64> {
        self.swept = now;
        self.ids.retain(|_, until| *until >= now);
        &self.ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(key: u8, id: u8, until: i64) -> Proof {
        Proof { key: [key; 32], id: [id; 32], until }
    }

    #[test]
    fn a_proof_is_used_once_and_none_is_forgotten_early() {
        let mut used = Used::default();
        let most = (2, 100);
        assert!(used.first_use(proof(1, 1, 10), 0, most));
        assert!(!used.first_use(proof(1, 1, 20), 10, most), "it is good until its last second");
        assert!(used.first_use(proof(1, 2, 20), 10, most));
        assert!(!used.first_use(proof(1, 3, 20), 10, most), "there is no place");
        assert!(used.first_use(proof(1, 3, 20), 11, most), "the first one has ended");
    }

    #[test]
    fn a_key_takes_no_place_from_another() {
        let mut used = Used::default();
        let most = (2, 4);
        for id in 0..2 {
            assert!(used.first_use(proof(1, id, 100), 0, most));
        }
        assert!(!used.first_use(proof(1, 2, 100), 0, most));
        assert!(used.first_use(proof(2, 2, 10), 0, most), "the same id of another key");
        assert!(used.first_use(proof(3, 2, 10), 0, most));
        assert!(!used.first_use(proof(4, 2, 10), 0, most), "there is no place at all");
        assert!(!used.first_use(proof(4, 2, 50), 29, most));
        assert!(used.first_use(proof(4, 2, 50), 30, most), "keys without proofs are forgotten");
        assert_eq!(used.count, 3);
        assert_eq!(used.keys.len(), 2);
    }

    #[test]
    fn a_proof_of_an_earlier_process_is_known_by_its_time() {
        let replays = Replays::since(Timestamp::from_second(100).unwrap());
        for (issued, expect) in [(99.0, true), (100.0, true), (100.9, true), (101.0, false)] {
            assert_eq!(replays.is_earlier(issued), expect, "{issued}");
        }
    }
}
