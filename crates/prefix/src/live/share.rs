//! The entries of a few leaves side by side, shared out anew.
//!
//! The sweep that builds leaves, [`Packer`](crate::table::pack::Packer), fills each to the brim and asks with every entry
//! whether it still fits. Here it is known how many leaves there are to be, so that each takes its share at once and only
//! then asks. Every fifth change needs this sweep, so that its instructions count.

use crate::table::leaf::{ENTRIES_MAX, Entry, Fit};
use crate::table::pack::{HALF, Packed};
use crate::table::word::Cover;

/// What the leaves of a range of keys hold.
#[derive(Debug, Default)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: u64,
    /// The records that begin before the range and reach in, each inside the one before.
    pub(super) open: Vec<Entry>,
    /// What begins in the range, in ascending order.
    pub(super) entries: Vec<Entry>,
}

/// A sweep over a range.
struct Sweep<'a> {
    range: &'a Range,
    /// The next entry that has not begun.
    next: usize,
    /// Records that have begun and not ended, each inside the one before.
    open: &'a mut Vec<Entry>,
    /// The first key of the next leaf.
    from: u64,
}

impl Range {
    /// Shares the entries out among so many leaves or fewer, about as many to each, and returns whether they fit. What `open`
    /// and `packed` hold before means nothing.
    pub(super) fn share(&self, leaves: usize, open: &mut Vec<Entry>, packed: &mut Vec<Packed>) -> bool {
        packed.clear();
        if self.first <= HALF && HALF < self.last {
            return false;
        }
        open.clear();
        open.extend_from_slice(&self.open);
        let mut sweep = Sweep { range: self, next: 0, open, from: self.first };
        for left in (1..=leaves).rev() {
            let Some(leaf) = sweep.take(left) else { return false };
            packed.push(leaf);
            if sweep.from == self.last.wrapping_add(1) {
                return true;
            }
        }
        false
    }
}

impl Sweep<'_> {
    /// The next of so many leaves: its share, or as much of that as fits it, as long as there are others behind it.
    fn take(&mut self, left: usize) -> Option<Packed> {
        let share = (self.range.entries.len() - self.next).div_ceil(left);
        let mut end = self.next + share;
        self.begin();
        end = end.max(self.next);
        while self.is_inside(end) {
            end += 1;
        }
        loop {
            if let Some(leaf) = self.leaf(end) {
                self.step(end, leaf.last);
                return Some(leaf);
            }
            let sooner = (self.next..end).rev().find(|&end| !self.is_inside(end));
            end = sooner.filter(|_| left > 1)?;
        }
    }

    /// Closes what ended before the next leaf, and opens what begins with it.
    fn begin(&mut self) {
        self.close(self.from);
        let begins = |entry: &&Entry| entry.start == self.from && !entry.is_link();
        while let Some(entry) = self.range.entries.get(self.next).filter(begins) {
            self.open.push(*entry);
            self.next += 1;
        }
    }

    fn close(&mut self, key: u64) {
        while self.open.last().is_some_and(|open| open.last() < key) {
            self.open.pop();
        }
    }

    /// Whether the entries before and behind this place begin with the same key, so that no leaf can end between them.
    fn is_inside(&self, end: usize) -> bool {
        let entries = &self.range.entries;
        0 < end && end < entries.len() && entries[end - 1].start == entries[end].start
    }

    /// The leaf that takes the entries before `end`, if they fit.
    fn leaf(&self, end: usize) -> Option<Packed> {
        let mut taken =
            Taken { entries: [Entry { start: 0, len: 0, id: 0 }; ENTRIES_MAX], fit: Fit::default() };
        let mut covering = &self.open[..];
        for entry in &self.range.entries[self.next..end] {
            covering = taken.end_before(entry.start, covering)?;
            taken.add(entry)?;
        }
        // It ends before the next entry, or sooner, together with a record that it then needs not hold.
        let last = self.range.entries.get(end).map_or(self.range.last, |behind| {
            covering.last().map_or(u64::MAX, Entry::last).min(behind.start - 1)
        });
        covering = taken.end_before(last, covering)?;
        let Taken { mut entries, fit } = taken;
        if !fit.is_possible() {
            return None;
        }
        let taken = &mut entries[..fit.count()];
        if covering.len() < self.open.len() {
            // What was open has begun before the others.
            taken.sort_unstable_by_key(Entry::order);
        }
        let cover = covering.last().map_or(Cover::NONE, |open| Cover::new(open.len, open.id));
        Some(Packed { last, words: fit.encode(taken)?, cover })
    }

    /// Goes on behind a leaf that took the entries before `end` and ended with `last`.
    fn step(&mut self, end: usize, last: u64) {
        self.from = last.wrapping_add(1);
        self.close(self.from);
        let open = self.range.entries[self.next..end].iter().filter(|entry| entry.last() > last);
        self.open.extend(open);
        self.next = end;
    }
}

/// What a leaf takes, in no order.
struct Taken {
    entries: [Entry; ENTRIES_MAX],
    fit: Fit,
}

impl Taken {
    #[inline(always)]
    fn add(&mut self, entry: &Entry) -> Option<()> {
        *self.entries.get_mut(self.fit.count())? = *entry;
        self.fit.add(entry);
        Some(())
    }

    /// Takes of the `open` records, each inside the one before, those that end before `key`; the others still cover it.
    fn end_before<'a>(&mut self, key: u64, mut open: &'a [Entry]) -> Option<&'a [Entry]> {
        while let Some((innermost, others)) =
            open.split_last().filter(|(innermost, _)| innermost.last() < key)
        {
            self.add(innermost)?;
            open = others;
        }
        Some(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::leaf::{count, decode};
    use crate::table::pack::Packer;
    use crate::table::word::LINK;

    /// Shares a range out and asserts that each leaf holds what it should; how many leaves there are, if it can be done.
    fn check(range: &Range, leaves: usize) -> Option<Vec<usize>> {
        let (mut open, mut packed) = (Vec::new(), Vec::new());
        if !range.share(leaves, &mut open, &mut packed) {
            return None;
        }
        let mut first = range.first;
        for leaf in &packed {
            assert!(first <= leaf.last, "a leaf of no keys at {first:#x}");
            let records = || range.open.iter().chain(&range.entries).filter(|entry| !entry.is_link());
            let covers = records().filter(|entry| entry.start <= first && leaf.last <= entry.last());
            let cover = covers.max_by_key(|entry| entry.len).map_or(0, |entry| entry.len + 1);
            assert_eq!(leaf.cover.rank(), cover, "the longest record that covers all from {first:#x}");
            let mut expected: Vec<Entry> = (range.open.iter().chain(&range.entries).copied())
                .filter(|entry| entry.start <= leaf.last && first <= entry.last())
                .filter(|entry| entry.is_link() || first < entry.start || entry.last() < leaf.last)
                .collect();
            expected.sort_unstable_by_key(Entry::order);
            let mut held = Vec::new();
            decode(&leaf.words, &mut held);
            assert_eq!(held, expected, "from {first:#x} to {:#x}", leaf.last);
            first = leaf.last.wrapping_add(1);
        }
        assert_eq!(first, range.last.wrapping_add(1));
        assert!(packed.len() <= leaves);
        Some(packed.iter().map(|leaf| count(&leaf.words)).collect())
    }

    /// Sites of one allocation, any nine of which fit a leaf.
    #[test]
    fn leaves_share_the_room_and_are_no_more_than_it_takes() {
        let site = |at: u64| Entry { start: 0x2001_0db8 << 32 | at << 16, len: 48, id: at as u32 };
        for sites in 1..60 {
            let entries: Vec<Entry> = (0..sites).map(|at| site(at * at)).collect();
            let range = Range { first: 0, last: HALF, open: Vec::new(), entries };
            let least = (sites as usize).div_ceil(9);
            let held = check(&range, least).unwrap();
            assert_eq!((held.len(), held.iter().sum()), (least, sites as usize));
            assert!(held.iter().all(|&held| held <= (sites as usize).div_ceil(least)), "{held:?}");
            assert_eq!(check(&range, least - 1), None, "{sites} sites in {} leaves", least - 1);
        }
    }

    /// A share that ends between the two would leave the link behind keys that are another leaf's.
    #[test]
    fn a_link_stays_with_the_record_of_the_same_64() {
        let subnet = Entry { start: 1 << 61, len: 64, id: 1 };
        for open in [Vec::new(), vec![Entry { len: 3, ..subnet }]] {
            let first = subnet.start + open.len() as u64;
            let entries =
                vec![Entry { start: first, ..subnet }, Entry { start: first, id: LINK | 2, ..subnet }];
            let range = Range { first, last: 1 << 61 | 9, open, entries };
            for leaves in 1..5 {
                assert!(check(&range, leaves).is_some());
            }
        }
    }

    /// Records of all lengths around one place, one inside the other or apart, and links; a part of them open before.
    fn nested(state: &mut u64) -> Range {
        let mut random = || {
            *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            *state >> 33
        };
        let width = 24 + random() % 20;
        let mut all: Vec<Entry> = (0..1 + random() % 40)
            .map(|id| {
                let len = (64 - random() % width * (random() % 2)) as u8;
                let link = if len == 64 && random() % 3 == 0 { LINK } else { 0 };
                let near = (random() << 31 ^ random()) >> (62 - width);
                Entry { start: (1 << 61 | near) & u64::MAX << (64 - len), len, id: id as u32 | link }
            })
            .collect();
        all.sort_unstable_by_key(Entry::order);
        all.dedup_by_key(|entry| entry.order());
        let first = all[random() as usize % all.len()].start + random() % 2;
        let last = all[random() as usize % all.len()].last().max(first);
        let inside = |entry: &Entry| first <= entry.start && entry.start <= last;
        let open = |entry: &Entry| entry.start < first && first <= entry.last() && !entry.is_link();
        let pick =
            |wanted: &dyn Fn(&Entry) -> bool| all.iter().copied().filter(|entry| wanted(entry)).collect();
        Range { first, last, open: pick(&open), entries: pick(&inside) }
    }

    #[test]
    fn nested_and_scattered_prefixes_are_shared_out_as_a_scan_says() {
        let (mut state, mut shared, mut equal) = (1, 0, 0);
        for _ in 0..if cfg!(miri) { 50 } else { 5_000 } {
            let range = nested(&mut state);
            let full = Packer::new(range.first, range.last, range.open.clone(), &range.entries).count();
            let found = (1..=2 * full + 2).find_map(|leaves| check(&range, leaves));
            shared += usize::from(found.is_some());
            equal += usize::from(found.is_some_and(|held| held.len() <= full));
        }
        assert!(shared > equal && equal * 10 > shared * 9 && shared > 40, "{shared} {equal}");
    }
}
