//! Bytes that are nearly a component: seeded, so that a fault comes back with its number. Used by
//! the sandbox's tests of guest processes and by those of the commands.

/// The seed of tests. `PROPTEST_RNG_SEED` sets another one, as for every generated test.
const SEED: u64 = 20_261_129;

/// A small generator (xorshift64*): the same cases for the same seed on every machine.
pub struct Dice(u64);

impl Dice {
    /// A generator with the seed of the environment, or the usual one.
    pub fn new() -> Self {
        let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(seed.unwrap_or(SEED) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number less than `most`, which is at least 1.
    pub fn below(&mut self, most: usize) -> usize {
        (self.roll() % most as u64) as usize
    }
}

/// One of the seeds with one kind of damage: bits, bytes, lengths, a part cut out, doubled, cut
/// off, or of another seed.
pub fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    let at = dice.below(bytes.len());
    let some = 1 + dice.below(64.min(bytes.len() - at));
    match dice.below(7) {
        0 => (0..=dice.below(8)).for_each(|_| {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }),
        1 => bytes[at] = [0x00, 0x7f, 0x80, 0xff][dice.below(4)],
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..at + some)),
        4 => {
            let part = bytes[at..at + some].to_vec();
            let to = dice.below(bytes.len());
            bytes.splice(to..to, part);
        }
        5 => {
            let other = &seeds[dice.below(seeds.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[dice.below(other.len())..]);
        }
        // A length or a count that is as large as one can be.
        _ => drop(bytes.splice(at..at + 1, [0xff, 0xff, 0xff, 0xff, 0x0f])),
    }
    bytes
}
