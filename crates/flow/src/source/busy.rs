//! Which addresses have an aggregate of their own, small enough to stay in a core's cache.

/// Bits of the filter for each place of the aggregates. When three in ten places hold addresses, one in thirteen others
/// is taken for one of them, which costs a look at the aggregates.
const BITS_A_PLACE: usize = 4;

/// A filter of addresses by their hash. Most sources have no aggregate of their own; asking the aggregates themselves
/// about each took as long as all that is added to them.
pub(super) struct Busy {
    words: Box<[u64]>,
    /// How many have left that are still in the filter.
    gone: usize,
}

impl Busy {
    /// An empty filter over so many places.
    pub(super) fn new(places: usize) -> Self {
        let words = (places * BITS_A_PLACE).div_ceil(64).next_power_of_two();
        Self { words: vec![0; words].into_boxed_slice(), gone: 0 }
    }

    /// Whether the address with this hash may be held; never false for one that is.
    #[inline]
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.words[self.word(hash)] & bit(hash) != 0
    }

    pub(super) fn insert(&mut self, hash: u64) {
        self.words[self.word(hash)] |= bit(hash);
    }

    /// Notes that one of those held has left. Its bit stays, since others may have set it too.
    pub(super) fn leave(&mut self) {
        self.gone += 1;
    }

    /// Whether so many have left that it is worth beginning anew: a look at every place is then paid for by a sixteenth
    /// as many that left.
    pub(super) fn is_stale(&self) -> bool {
        self.gone >= self.words.len() * 64 / BITS_A_PLACE / 16
    }

    /// Makes the filter one of these.
    pub(super) fn restart(&mut self, held: impl Iterator<Item = u64>) {
        self.words.fill(0);
        self.gone = 0;
        held.for_each(|hash| self.insert(hash));
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    #[inline]
    fn word(&self, hash: u64) -> usize {
        (hash >> 6) as usize & (self.words.len() - 1)
    }
}

const fn bit(hash: u64) -> u64 {
    1 << (hash % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    }

    #[test]
    fn those_held_are_found_and_few_others() {
        let mut busy = Busy::new(1_000);
        (0..300).for_each(|n| busy.insert(hash(n)));
        assert!((0..300).all(|n| busy.may_hold(hash(n))));
        let wrong = (300..10_300).filter(|&n| busy.may_hold(hash(n))).count();
        assert!(wrong < 1_500, "{wrong} of 10,000");
    }

    #[test]
    fn who_left_is_forgotten_with_the_next_beginning() {
        let mut busy = Busy::new(64);
        busy.insert(hash(1));
        (0..4).for_each(|_| {
            assert!(!busy.is_stale());
            busy.leave();
        });
        assert!(busy.is_stale() && busy.may_hold(hash(1)));
        busy.restart([hash(2)].into_iter());
        assert!(!busy.is_stale() && busy.may_hold(hash(2)) && !busy.may_hold(hash(1)));
    }
}
