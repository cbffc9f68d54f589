//! Which prefixes behave in a way that scoring would hold against them, small enough to stay in a core's cache.
//!
//! Nearly every source of a gateway is quiet: what its prefixes do lies below every threshold. Telling that from the
//! aggregates themselves costs a random line of memory a level; a Bloom filter of the few prefixes that are not quiet
//! (Bloom 1970) lies in the second-level cache, and where nothing is notable not even that is read.

use super::Level;

/// Notable prefixes that are told apart; with more of them nobody counts as quiet. The filter then takes 128 KiB, an
/// eighth of a core's second-level cache.
const MOST: usize = 1 << 15;

/// Words of the filter while few prefixes are notable.
const WORDS_MIN: usize = 64;

/// A filter of prefixes by their hash, rebuilt at the end of each step.
pub(super) struct Notable {
    /// Places of aggregates: those that were notable at the end of the last step, and those noted since.
    places: Vec<u32>,
    /// There were more than could be listed.
    overflowed: bool,
    /// Each prefix sets three bits of one word; with at most two prefixes a word, about one other in a thousand finds
    /// its bits set.
    words: Box<[u64]>,
    /// How many words are in use, less one: a power of two, so that few prefixes take few lines.
    mask: u64,
    /// How many notable prefixes there are of each level.
    of_level: [u32; 4],
}

impl Notable {
    /// An empty filter.
    pub(super) fn new() -> Self {
        Self {
            places: Vec::with_capacity(2 * MOST),
            overflowed: false,
            words: vec![0; MOST / 2].into_boxed_slice(),
            mask: WORDS_MIN as u64 - 1,
            of_level: [0; 4],
        }
    }

    /// Whether any prefix of this level may be notable.
    #[inline]
    pub(super) const fn has_any(&self, level: Level) -> bool {
        self.overflowed || self.of_level[level as usize] != 0
    }

    /// Whether the prefix with this hash may be notable; never false for one that is.
    #[inline]
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let bits = bits(hash);
        self.overflowed || self.words[(hash & self.mask) as usize] & bits == bits
    }

    /// Has the aggregate at this place looked at in the next review.
    #[inline]
    pub(super) fn note(&mut self, place: usize) {
        match u32::try_from(place) {
            Ok(place) if self.places.len() < 2 * MOST => self.places.push(place),
            _ => self.overflowed = true,
        }
    }

    /// Makes the filter one of what is notable now: of the aggregates that were, of those noted since, and of all below
    /// `end` when there were too many to list. `notable` tells the level and hash of a prefix that is.
    pub(super) fn review(&mut self, end: usize, notable: impl Fn(u32) -> Option<(Level, u64)>) {
        if self.overflowed {
            self.places.clear();
            let end = u32::try_from(end).unwrap_or(u32::MAX);
            self.places.extend((0..end).filter(|&place| notable(place).is_some()).take(MOST + 1));
        } else {
            self.places.sort_unstable();
            self.places.dedup();
            self.places.retain(|&place| notable(place).is_some());
        }
        self.overflowed = self.places.len() > MOST;
        self.rebuild(notable);
    }

    fn rebuild(&mut self, notable: impl Fn(u32) -> Option<(Level, u64)>) {
        self.words[..=self.mask as usize].fill(0);
        self.of_level = [0; 4];
        let words = (self.places.len() / 2).next_power_of_two().clamp(WORDS_MIN, self.words.len());
        self.mask = words as u64 - 1;
        for (level, hash) in self.places.iter().filter_map(|&place| notable(place)) {
            self.of_level[level as usize] += 1;
            self.words[(hash & self.mask) as usize] |= bits(hash);
        }
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<u32>() + size_of_val(&*self.words)
    }
}

/// Three bits of a word, from the upper end of the hash; the lower end picks the word.
const fn bits(hash: u64) -> u64 {
    1 << (hash >> 58) | 1 << (hash >> 52 & 63) | 1 << (hash >> 46 & 63)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::hash::KeyedHash;

    fn hash(place: u32) -> u64 {
        use core::hash::Hasher;
        let keyed = KeyedHash::new(5);
        let mut hasher = keyed.hasher();
        hasher.write_u32(place);
        hasher.finish()
    }

    /// A filter after `noted` were noted and those that `keep` were found notable.
    fn reviewed(notable: &mut Notable, noted: impl Iterator<Item = u32>, keep: &HashSet<u32>) {
        noted.for_each(|place| notable.note(place as usize));
        notable.review(1 << 20, |place| keep.contains(&place).then(|| (Level::Subnet, hash(place))));
    }

    #[test]
    fn what_is_notable_is_found_and_little_else() {
        for count in [0, 1, 100, 5_000, MOST as u32] {
            let (mut notable, keep) = (Notable::new(), (0..count).collect());
            reviewed(&mut notable, 0..count, &keep);
            assert!((0..count).all(|place| notable.may_hold(hash(place))));
            let wrong = (0..100_000).filter(|&n| notable.may_hold(hash((1 << 20) + n))).count();
            assert!(wrong < 500, "{wrong} of 100,000 beside {count}");
            assert_eq!(Level::ALL.map(|level| notable.has_any(level)), [false, count > 0, false, false]);
        }
    }

    #[test]
    fn what_is_not_notable_any_more_leaves_and_what_still_is_stays_unasked() {
        let mut notable = Notable::new();
        reviewed(&mut notable, (0..1_000).chain(0..1_000), &(0..1_000).collect());
        reviewed(&mut notable, core::iter::empty(), &(0..10).collect());
        assert_eq!(notable.places, (0..10).collect::<Vec<_>>());
        assert!((0..10).all(|place| notable.may_hold(hash(place))));
        assert!((10..1_000).filter(|&place| notable.may_hold(hash(place))).count() < 10);
    }

    #[test]
    fn with_too_many_to_list_nobody_is_quiet_until_they_are_fewer() {
        let mut notable = Notable::new();
        let (bytes, many) = (notable.bytes(), 3 * MOST as u32);
        for _ in 0..2 {
            reviewed(&mut notable, 0..many, &(0..many).collect());
            assert!(notable.may_hold(hash(many)) && notable.has_any(Level::Host));
        }
        reviewed(&mut notable, core::iter::empty(), &(many - 5..many).collect());
        assert!((many - 5..many).all(|place| notable.may_hold(hash(place))), "they had never been listed");
        assert!(!notable.has_any(Level::Host) && !notable.may_hold(hash(0)));
        assert_eq!(notable.bytes(), bytes);
    }
}
