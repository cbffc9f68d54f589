//! Sorting of 64-bit keys with where each came from, in linear time whatever the keys are.
//!
//! Keys are first spread over many small ranges, in one pass: where they lie about evenly, as those of a part of the log do,
//! a few are left in each, which are compared. A range with many of them is sorted digit by digit, so that nobody can choose
//! keys that take longer. Digit by digit from the start took four times the instructions.

use credence_memory::filled;

/// A key, and the place of what it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) key: u64,
    pub(super) at: u32,
}

/// The keys are spread over two to this number of ranges at most: their counters are half of a first-level cache.
const RANGE_BITS: u32 = 12;
/// Ranges.
const RANGES: usize = 1 << RANGE_BITS;
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
    ranges: Box<[u32; RANGES]>,
    counts: Box<[[u32; DIGITS]]>,
}

impl Sorter {
    /// A sorter of at most so many keys.
    pub(super) fn new(keys: usize) -> Self {
        Self {
            spare: filled(Key::default(), keys),
            ranges: Box::new([0; RANGES]),
            counts: filled([0; DIGITS], PASSES),
        }
    }

    /// Sorts by key.
    pub(super) fn sort(&mut self, keys: &mut [Key]) {
        if keys.len() < FEW {
            return compare(keys);
        }
        self.spread(keys);
        let mut begin = 0;
        for range in 0..RANGES {
            let end = self.ranges[range] as usize;
            match &mut keys[begin..end] {
                [] | [_] => {}
                few if few.len() < FEW => compare(few),
                many => self.digit_by_digit(many),
            }
            begin = end;
        }
    }

    /// Puts the keys in the order of their ranges, and leaves where each range ends.
    fn spread(&mut self, keys: &mut [Key]) {
        let Self { spare, ranges, .. } = self;
        let (low, high) = keys.iter().fold((u64::MAX, 0), |(low, high), k| (k.key.min(low), k.key.max(high)));
        let shift = (u64::BITS - (high - low).leading_zeros()).saturating_sub(RANGE_BITS);
        let range = |k: &Key| ((k.key - low) >> shift) as usize % RANGES;
        ranges.fill(0);
        keys.iter().for_each(|k| ranges[range(k)] += 1);
        begins(&mut ranges[..]);
        let spare = &mut spare[..keys.len()];
        spare.copy_from_slice(keys);
        for k in &*spare {
            let place = &mut ranges[range(k)];
            keys[*place as usize] = *k;
            *place += 1;
        }
    }

    /// Sorts by each digit, the lowest first. Digits in which all keys agree cost nothing.
    fn digit_by_digit(&mut self, keys: &mut [Key]) {
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
        counts.iter_mut().for_each(|digit| begins(digit));
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.spare) + size_of_val(&*self.ranges) + size_of_val(&*self.counts)
    }
}

/// Sorts few keys.
#[inline]
fn compare(keys: &mut [Key]) {
    if let [one, other] = keys {
        if other.key < one.key {
            core::mem::swap(one, other);
        }
        return;
    }
    keys.sort_unstable_by_key(|k| k.key);
}

/// Turns how many there are of each into where each begins.
fn begins(counts: &mut [u32]) {
    let mut begin = 0;
    for count in counts {
        begin += core::mem::replace(count, begin);
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
        assert!(keys.iter().map(|k| k.key).eq(expected.iter().map(|k| k.key)));
        keys.sort_by_key(|k| k.at);
        expected.sort_by_key(|k| k.at);
        assert!(keys == expected, "no key was lost, or parted from its place");
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
    fn a_crowd_between_keys_that_lie_apart_is_sorted_by_its_digits() {
        let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for crowd in [FEW - 1, FEW, 5 * FEW] {
            let close = (0..crowd as u64).map(|n| (1 << 60) + (mixed(n) >> 30));
            let apart = (0..2_000).map(mixed);
            check(close.clone().chain(apart.clone()));
            check(apart.chain(close));
        }
    }

    #[test]
    fn the_widest_keys_take_every_pass() {
        let keys = [Key { key: 0, at: 0 }, Key { key: u64::MAX, at: 1 }];
        assert_eq!(digits(&keys), ([0, 8, 16, 24, 32, 40, 48, 56], PASSES));
        assert_eq!(digits(&keys[..1]), ([0; PASSES], 0));
    }
}
