//! The proofs that were used, by digest, until none of them is good any more. Bounded: when it is
//! full of good ones, a further proof is refused, and none is forgotten early.

use std::collections::HashMap;

/// The most proofs at once: a thousand requests a second, for two minutes.
const MOST: usize = 1 << 17;

/// The used proofs, with the second at which each ends.
#[derive(Debug, Default)]
pub struct Replays {
    seen: HashMap<[u8; 32], i64>,
    swept: i64,
}

impl Replays {
    /// Records a proof. Returns whether this is its first use.
    pub fn first_use(&mut self, id: [u8; 32], now: i64, until: i64) -> bool {
        self.first_use_of(id, (now, until), MOST)
    }

    fn first_use_of(&mut self, id: [u8; 32], (now, until): (i64, i64), most: usize) -> bool {
        // A sweep looks at every proof, so there is one a second at most.
        if now != self.swept {
            self.swept = now;
            self.seen.retain(|_, end| *end >= now);
        }
        if self.seen.len() >= most || self.seen.contains_key(&id) {
            return false;
        }
        self.seen.insert(id, until);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_used_once_and_none_is_forgotten_early() {
        let mut replays = Replays::default();
        assert!(replays.first_use_of([1; 32], (0, 10), 2));
        assert!(!replays.first_use_of([1; 32], (10, 20), 2), "it is good until its last second");
        assert!(replays.first_use_of([2; 32], (10, 20), 2));
        assert!(!replays.first_use_of([3; 32], (10, 20), 2), "there is no place");
        assert!(replays.first_use_of([3; 32], (11, 20), 2), "the first one has ended");
    }
}
