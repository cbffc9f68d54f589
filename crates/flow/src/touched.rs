//! Which flows of a table wait to be folded: a bit each.

use crate::table::Slot;

/// A set of slots of one table, in fixed memory.
pub struct Touched {
    words: Box<[u64]>,
}

impl Touched {
    /// An empty set over a table of `capacity` flows.
    pub fn new(capacity: u32) -> Self {
        Self { words: vec![0; (capacity as usize).div_ceil(64)].into_boxed_slice() }
    }

    /// Adds a slot. One beyond the capacity is not added.
    #[inline]
    pub fn insert(&mut self, slot: Slot) {
        if let Some(word) = self.words.get_mut(slot.0 as usize / 64) {
            *word |= 1 << (slot.0 % 64);
        }
    }

    /// Takes every slot out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Visits every slot of the set, in order; those stay of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Slot) -> bool) {
        for (base, word) in (0..).step_by(64).zip(&mut self.words) {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros();
                if !keep(Slot(base + bit)) {
                    *word &= !(1 << bit);
                }
                left &= left - 1;
            }
        }
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(inserted in prop::collection::vec(0_u32..200, 0..300), kept in prop::collection::btree_set(0_u32..200, 0..200)) {
            let mut touched = Touched::new(200);
            inserted.iter().for_each(|&i| touched.insert(Slot(i)));
            let mut visited = Vec::new();
            touched.retain(|slot| {
                visited.push(slot.0);
                kept.contains(&slot.0)
            });
            let all: BTreeSet<_> = inserted.into_iter().collect();
            prop_assert_eq!(&visited, &all.iter().copied().collect::<Vec<_>>());
            let mut again = Vec::new();
            touched.retain(|slot| {
                again.push(slot.0);
                false
            });
            prop_assert_eq!(again, all.intersection(&kept).copied().collect::<Vec<_>>());
            touched.retain(|_| unreachable!("nothing is left"));
        }
    }

    #[test]
    fn nothing_is_left_of_a_set_that_was_cleared() {
        let mut touched = Touched::new(128);
        touched.insert(Slot(3));
        touched.insert(Slot(127));
        touched.clear();
        touched.retain(|_| unreachable!("it was taken out"));
    }

    #[test]
    fn a_slot_beyond_the_capacity_is_not_added() {
        let mut touched = Touched::new(64);
        touched.insert(Slot(64));
        touched.retain(|_| unreachable!("it was not added"));
        assert_eq!(touched.bytes(), 8);
    }
}
