//! Sorting of 64-bit keys with where each came from, in linear time whatever the keys are.

use credence_memory::filled;

/// A key, and the place of what it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) key: u64,
    pub(super) at: u32,
}

/// Bits sorted by in one pass: 256 open lines are half of a first-level cache. With 11 bits fewer passes took longer.
const DIGIT_BITS: u32 = 8;
/// Values of a digit.
const DIGITS: usize = 1 << DIGIT_BITS;
/// Passes for 64 bits.
const PASSES: usize = 64_u32.div_ceil(DIGIT_BITS) as usize;
/// Fewer keys than these are compared: the passes would cost more for their counters.
const FEW: usize = 512;

/// The memory that sorting takes, for a number of keys set at the start.
pub(super) struct Sorter {
    spare: Box<[Key]>,
    counts: Box<[[u32; DIGITS]]>,
}

impl Sorter {
    /// A sorter of at most so many keys.
    pub(super) fn new(keys: usize) -> Self {
        Self { spare: filled(Key::default(), keys), counts: filled([0; DIGITS], PASSES) }
    }

    /// Sorts by key. Digits in which all keys agree, as the first ones of addresses mostly do, cost nothing.
    pub(super) fn sort(&mut self, keys: &mut [Key]) {
        if keys.len() < FEW {
            keys.sort_unstable_by_key(|k| k.key);
            return;
        }
        let (shifts, passes) = digits(keys);
        let shifts = &shifts[..passes];
        self.count(keys, shifts);
        let spare = &mut self.spare[..keys.len()];
        let (mut from, mut to) = (&mut *keys, spare);
        for (counts, &shift) in self.counts.iter_mut().zip(shifts) {
            distribute(from, to, counts, shift);
            (from, to) = (to, from);
        }
        if passes % 2 == 1 {
            to.copy_from_slice(from);
        }
    }

    /// Counts the values of each digit and turns the counts into where each value begins.
    fn count(&mut self, keys: &[Key], shifts: &[u32]) {
        let counts = &mut self.counts[..shifts.len()];
        counts.iter_mut().for_each(|digit| digit.fill(0));
        for k in keys {
            for (digit, &shift) in counts.iter_mut().zip(shifts) {
                digit[value(k.key, shift)] += 1;
            }
        }
        for digit in counts {
            let mut begins = 0;
            for count in digit {
                begins += core::mem::replace(count, begins);
            }
        }
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.spare) + size_of_val(&*self.counts)
    }
}

/// From which bits on to sort, lowest first, and how many digits that are: windows over the bits in which keys differ.
fn digits(keys: &[Key]) -> ([u32; PASSES], usize) {
    let (any, all) = keys.iter().fold((0, u64::MAX), |(any, all), k| (any | k.key, all & k.key));
    let mut differ = any ^ all;
    let (mut shifts, mut passes) = ([0; PASSES], 0);
    while differ != 0 {
        let shift = differ.trailing_zeros();
        shifts[passes] = shift;
        passes += 1;
        differ &= u64::MAX.checked_shl(shift + DIGIT_BITS).unwrap_or(0);
    }
    (shifts, passes)
}

#[inline]
const fn value(key: u64, shift: u32) -> usize {
    (key >> shift) as usize % DIGITS
}

/// One pass, which keeps the order of equal digits.
fn distribute(from: &[Key], to: &mut [Key], places: &mut [u32; DIGITS], shift: u32) {
    for k in from {
        let place = &mut places[value(k.key, shift)];
        to[*place as usize] = *k;
        *place += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(values: impl Iterator<Item = u64>) {
        let mut keys: Vec<Key> = (0..).zip(values).map(|(at, key)| Key { key, at }).collect();
        let mut expected = keys.clone();
        expected.sort_by_key(|k| k.key);
        Sorter::new(keys.len()).sort(&mut keys);
        if keys.len() >= FEW {
            assert!(keys == expected, "in order, and equal keys as they came");
        }
        assert!(keys.iter().map(|k| k.key).eq(expected.iter().map(|k| k.key)));
    }

    proptest! {
        #[test]
        fn keys_are_sorted_whatever_bits_they_differ_in(
            mask in prop_oneof![any::<u64>(), Just(u64::MAX), (0..64_u32).prop_map(|bit| 1 << bit), Just(0)],
            fixed in any::<u64>(),
            count in prop_oneof![0..4_usize, FEW - 2..FEW + 2, 3_000..5_000_usize],
        ) {
            check((0..count as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) & mask ^ fixed));
        }
    }

    #[test]
    fn the_widest_keys_take_every_pass() {
        let keys = [Key { key: 0, at: 0 }, Key { key: u64::MAX, at: 1 }];
        assert_eq!(digits(&keys), ([0, 8, 16, 24, 32, 40, 48, 56], PASSES));
        assert_eq!(digits(&keys[..1]), ([0; PASSES], 0));
    }
}
