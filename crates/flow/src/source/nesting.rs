//! The wider prefixes of an ordered list, gathered while it passes by.

use super::Level;
use super::delta::Delta;

/// The levels that gather what narrower ones did.
pub(super) const WIDER: [Level; 3] = [Level::Subnet, Level::Site, Level::Allocation];

/// The open prefix of each wider level. In an ordered list all that lies in one prefix lies together; each prefix goes
/// into the next wider one when it is left, so that a delta is added once however many levels there are.
#[derive(Default)]
pub(super) struct Nesting {
    open: [Option<Delta>; WIDER.len()],
}

impl Nesting {
    /// Leaves every prefix that does not hold `addr`, narrowest first, and hands each over to `done`.
    #[inline]
    pub(super) fn leave(&mut self, addr: Option<u128>, mut done: impl FnMut(&Delta)) {
        for (i, level) in WIDER.into_iter().enumerate() {
            let left = |sum: &mut Delta| addr.is_none_or(|addr| level.prefix(addr) != sum.prefix);
            if let Some(sum) = self.open[i].take_if(left) {
                done(&sum);
                self.gather(i + 1, &sum);
            }
        }
    }

    /// Adds to the narrowest wider prefix that a delta can be told to lie in. Those that do not hold it were left.
    #[inline]
    pub(super) fn add(&mut self, delta: &Delta) {
        self.gather((delta.level as usize).saturating_sub(1), delta);
    }

    #[inline]
    fn gather(&mut self, i: usize, delta: &Delta) {
        if let Some(open) = self.open.get_mut(i) {
            open.get_or_insert(Delta::none(WIDER[i], delta.prefix)).add(delta);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A delta of few prefixes that share wider ones.
    fn delta() -> impl Strategy<Value = Delta> {
        let addr = (0_u128..3, 0_u128..3, 0_u128..3, 0_u128..3)
            .prop_map(|(a, s, n, h)| a << 96 | s << 80 | n << 64 | h);
        (0..4_usize, addr, 1..9_u32, any::<u64>()).prop_map(|(level, addr, packets, targets)| Delta {
            packets,
            targets,
            ..Delta::none(Level::ALL[level], addr)
        })
    }

    proptest! {
        #[test]
        fn every_wider_prefix_is_handed_over_once_with_all_that_lies_in_it(
            mut list in prop::collection::vec(delta(), 0..60),
        ) {
            list.sort_by_key(Delta::rank);
            let mut expected = HashMap::<_, (u32, u64)>::new();
            for delta in &list {
                for level in WIDER.into_iter().filter(|&level| level >= delta.level) {
                    let sum = expected.entry((level, level.prefix(delta.prefix))).or_default();
                    *sum = (sum.0 + delta.packets, sum.1 | delta.targets);
                }
            }
            let (mut nesting, mut found) = (Nesting::default(), Vec::new());
            for delta in &list {
                nesting.leave(Some(delta.prefix), |done| found.push(*done));
                nesting.add(delta);
            }
            nesting.leave(None, |done| found.push(*done));
            prop_assert_eq!(found.len(), expected.len());
            for done in found {
                prop_assert_eq!(expected.get(&(done.level, done.prefix)), Some(&(done.packets, done.targets)));
            }
        }
    }
}
