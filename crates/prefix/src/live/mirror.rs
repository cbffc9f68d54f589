//! A table's image once more, in memory of somebody else's.
//!
//! A program in the kernel walks memory that the kernel gave it, in small pages; the packet path walks its own, in large
//! ones. So what a change writes is written twice: first the lines that nobody could reach, then the words that lead to them,
//! in the order in which the table got them. A walk of the mirror sees each change whole or not at all, as in the table.

use core::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::Arc;

use credence_memory::{Line, Lines};

use super::Publisher;
use crate::table::Table;
use crate::table::space::Written;

/// Where the image is to stand once more.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The memory, which others may share.
    pub lines: Arc<Lines>,
    /// The line that the image begins at. Its own links count from there.
    pub from: usize,
    /// The lines that there is room for.
    pub room: usize,
}

impl Mirror {
    /// Whether a table of so many lines fits.
    pub(crate) const fn fits(&self, lines: usize) -> bool {
        lines <= self.room
    }

    fn cells(&self) -> &[Line] {
        &self.lines[self.from..self.from + self.room]
    }

    /// Writes the whole image, which nobody walks in here yet.
    fn begin(&self, table: &Table) {
        self.lines.overwrite(self.from, table.image());
    }

    /// Writes what one change has written.
    fn follow(&self, table: &[Line], written: &[Written]) {
        let own = self.cells();
        for &written in written {
            match written {
                Written::Lines(first, count) => {
                    let lines = first as usize..(first + count) as usize;
                    for (own, line) in own[lines.clone()].iter().zip(&table[lines]) {
                        for (own, word) in own.0.iter().zip(&line.0) {
                            own.store(word.load(Relaxed), Relaxed);
                        }
                    }
                }
                // Release: the lines that it leads to come first.
                Written::Word(at) => {
                    own[at / 8].0[at % 8].store(table[at / 8].0[at % 8].load(Relaxed), Release);
                }
            }
        }
    }
}

impl Publisher {
    /// Writes the image to `mirror` and keeps it in step there with every change from now on, in the place of any mirror before;
    /// returns whether there is room. Nobody may walk the mirror until this returns, and memory is used again there
    /// when it is here: walkers of it are readers of [the epochs](super::Epochs) as well.
    ///
    /// A table that outgrows the mirror or its own address space leaves it as it was before that change and goes on without;
    /// see [`is_mirrored`](Self::is_mirrored).
    pub fn reflect(&mut self, mirror: Mirror) -> bool {
        let fits = mirror.fits(self.table().image().len());
        if fits {
            mirror.begin(&self.table);
        }
        self.space.written = fits.then(Vec::new);
        self.mirror = fits.then_some(mirror);
        fits
    }

    /// Leaves the mirror as it is, and goes on without.
    pub fn part(&mut self) {
        (self.mirror, self.space.written) = (None, None);
    }

    /// Whether a mirror is in step.
    pub const fn is_mirrored(&self) -> bool {
        self.mirror.is_some()
    }

    /// Brings the mirror in step after a change.
    pub(super) fn follow(&mut self) {
        let (Some(mirror), Some(written)) = (&self.mirror, &mut self.space.written) else { return };
        let end = |written: &Written| match *written {
            Written::Lines(first, count) => (first + count) as usize,
            Written::Word(at) => at / 8 + 1,
        };
        if mirror.fits(written.iter().map(end).max().unwrap_or_default()) {
            mirror.follow(&self.table.lines, written);
            written.clear();
        } else {
            self.part();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::live::tests::apply;
    use crate::tests::operations::operation;
    use crate::tests::twin::Twin;
    use crate::{Epochs, Prefix};

    fn mirror(room: usize) -> Mirror {
        Mirror { lines: Arc::new(Lines::zeroed(64 + room)), from: 64, room }
    }

    fn assert_same(live: &mut Publisher, mirror: &Mirror) {
        let words = |line: &Line| line.0.each_ref().map(|word| word.load(Relaxed));
        for (at, (own, line)) in mirror.cells().iter().zip(live.table().image()).enumerate() {
            assert_eq!(words(own), words(line), "line {at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_mirror_follows_every_change(operations in vec(operation(), 0..200), begun in 0..200_usize) {
            let (mut live, mut twin, mirror) = (Publisher::new(), Twin::default(), mirror(6_000));
            for (at, operation) in operations.iter().enumerate() {
                apply(operation, &mut live, &mut twin);
                if at == begun {
                    prop_assert!(live.reflect(mirror.clone()));
                }
                if at >= begun {
                    prop_assert!(live.is_mirrored());
                    assert_same(&mut live, &mirror);
                }
                if at % 32 == 0 {
                    live.reclaim();
                }
            }
        }
    }

    fn site(number: u32) -> Prefix {
        Prefix::containing(0x2a00_u128 << 112 | u128::from(number) << 80, 48)
    }

    #[test]
    fn a_table_that_outgrows_its_mirror_leaves_it_whole() {
        let (mut live, mirror) = (Publisher::new(), mirror(200));
        assert!(live.reflect(mirror.clone()));
        let last = (0..100_000).find(|&number| {
            live.insert(site(number), number).unwrap();
            !live.is_mirrored()
        });
        let last = last.expect("a hundred thousand prefixes need more than 200 lines");
        // What stands there is the state before, as a walk finds it.
        let left = Table::unrooted(200);
        left.lines.overwrite(0, mirror.cells());
        for number in 0..=last {
            let expected = (number < last).then_some(number);
            assert_eq!(left.longest_match(site(number).first()), expected);
        }
        assert!(!live.reflect(mirror), "nor does it fit any more");
    }

    #[test]
    fn memory_is_used_again_only_when_walkers_elsewhere_have_moved_on() {
        let epochs = Epochs::new();
        let mut live = Publisher::sharing(&epochs, (0..3_000).map(|number| (site(number), number))).unwrap();
        let mut elsewhere = epochs.elsewhere();
        for round in 1..4 {
            for number in 0..3_000 {
                live.insert(site(number), number + round).unwrap();
            }
            let (_, waiting) = live.reclaim();
            assert!(waiting >= 3_000, "{waiting} pieces wait");
            assert!(elsewhere.outwait(|| Err(())).is_err());
            assert!(live.reclaim().1 >= 3_000, "nothing is known of where they are");
            elsewhere.outwait(|| Ok::<_, ()>(())).unwrap();
            assert_eq!(live.reclaim().1, 0);
        }
    }

    /// The writer of records that a table leads to begins epochs as well, between one change to the table and the next.
    #[test]
    fn what_is_retired_in_an_epoch_that_another_began_waits_for_those_who_read_in_it() {
        let epochs = Epochs::new();
        let mut live = Publisher::sharing(&epochs, [(site(1), 1), (site(2), 2)]).unwrap();
        let reader = epochs.pin();
        epochs.advance();
        reader.enter();
        live.insert(site(1), 3).unwrap();
        assert!(live.reclaim().1 > 0, "the reader has begun before the change");
        reader.leave();
        assert_eq!(live.reclaim().1, 0);
    }
}
