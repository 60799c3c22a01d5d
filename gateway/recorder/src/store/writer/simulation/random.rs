//! The numbers that a history is made of: the same seed gives the same numbers. Never read from the
//! operating system.

/// SplitMix64: small, fast, and every seed is good.
#[derive(Debug, Clone)]
pub(super) struct Numbers(u64);

impl Numbers {
    /// The numbers of one history.
    pub fn of(seed: u64, history: u64) -> Self {
        let mut numbers = Self(seed);
        let mixed = numbers.next() ^ history.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(mixed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or_default()
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
