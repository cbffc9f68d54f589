//! The keyed hash that places flows, datagrams and prefixes.

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// A hash that is the same in every process for the same seed, and that nobody can predict without the seed.
///
/// Every multiplier is derived from the seed as well. With the published constants of a fixed state, an address whose
/// upper half equals one of them would cancel the multiplication, and so collide with its whole /64 under any seed.
#[derive(Clone, Debug)]
pub(crate) struct KeyedHash {
    start: u64,
    multipliers: SharedSeed,
}

impl KeyedHash {
    pub(crate) const fn new(seed: u64) -> Self {
        // A seed of 0 would derive multipliers of almost no bits.
        let mixed = seed ^ 0x9e37_79b9_7f4a_7c15;
        Self { start: mixed.rotate_left(32), multipliers: SharedSeed::from_u64(mixed) }
    }

    #[inline]
    pub(crate) const fn hasher(&self) -> FoldHasher<'_> {
        FoldHasher::with_seed(self.start, &self.multipliers)
    }
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher;

    use super::*;

    fn hash(seed: u64, value: u128) -> u64 {
        let keyed = KeyedHash::new(seed);
        let mut hasher = keyed.hasher();
        hasher.write_u128(value);
        hasher.finish()
    }

    #[test]
    fn a_seed_gives_the_same_hash_in_every_process() {
        // A number from another process: state that is random per process would change it.
        assert_eq!(hash(7, 0x2001_0db8_0000_0000_0000_0000_0000_0001), 10_354_956_331_610_401_737);
    }

    #[test]
    fn seeds_share_no_hashes() {
        let hashes: std::collections::HashSet<u64> = (0..10_000).map(|seed| hash(seed, 1)).collect();
        assert_eq!(hashes.len(), 10_000);
    }

    #[test]
    fn every_bit_of_an_address_moves_about_half_the_hash() {
        for seed in [0, 1, u64::MAX] {
            for bit in 0..128 {
                let moved: u32 =
                    (0..64).map(|v: u128| (hash(seed, v) ^ hash(seed, v ^ 1 << bit)).count_ones()).sum();
                assert!((64 * 20..64 * 44).contains(&moved), "seed {seed}, bit {bit}: {moved} of 4,096");
            }
        }
    }
}
