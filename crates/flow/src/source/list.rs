//! An ordered list of deltas in memory of a fixed size.

use credence_memory::filled;

use super::Level;
use super::delta::Delta;

/// Numbers of packets that are told apart when the lightest are dropped.
const CLASSES: usize = 256;

/// Deltas in order, each of another prefix.
pub(super) struct List {
    memory: Box<[Delta]>,
    /// The list is the first `len`.
    len: usize,
    /// While merging: from here on lies what the list was and has not been merged yet.
    old: usize,
}

impl List {
    /// A list of at most so many deltas.
    pub(super) fn new(capacity: usize) -> Self {
        Self { memory: filled(Delta::none(Level::Host, 0), capacity), len: 0, old: capacity }
    }

    pub(super) fn deltas(&self) -> &[Delta] {
        &self.memory[..self.len]
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.memory)
    }

    /// Moves the list to the end of its memory. From there it is read while the result grows from the front, which never
    /// catches up as long as there is room for all.
    pub(super) fn begin_merge(&mut self) {
        self.old = self.memory.len() - self.len;
        self.memory.copy_within(..self.len, self.old);
        self.len = 0;
    }

    /// Merges one of an ordered series of deltas into the list.
    #[inline]
    pub(super) fn merge(&mut self, delta: &Delta) {
        while let Some(&earlier) = self.memory.get(self.old).filter(|d| d.rank() <= delta.rank()) {
            self.append(&earlier);
            self.old += 1;
        }
        self.append(delta);
    }

    /// Takes in what lies behind all that was merged.
    pub(super) fn end_merge(&mut self) {
        let rest = self.memory.len() - self.old;
        self.memory.copy_within(self.old.., self.len);
        self.len += rest;
    }

    /// Adds to the last delta, or behind it.
    #[inline]
    fn append(&mut self, delta: &Delta) {
        match self.memory[..self.len].last_mut().filter(|last| last.rank() == delta.rank()) {
            Some(last) => last.add(delta),
            None => {
                self.memory[self.len] = *delta;
                self.len += 1;
            }
        }
    }

    /// Makes a list of more than `most` at least a quarter shorter than that, if anything can: each pass that frees less
    /// is followed by a coarser one. Returns how many were dropped since not even their /32s find room.
    pub(super) fn shorten(&mut self, most: usize) -> u64 {
        if self.len <= most {
            return 0;
        }
        for level in [Level::Subnet, Level::Site, Level::Allocation] {
            let busy = |d: &Delta| level == Level::Subnet && d.level == Level::Host && d.is_busy();
            self.len = widen(&mut self.memory[..self.len], level, busy);
            if self.len <= most / 4 * 3 {
                return 0;
            }
        }
        let before = self.len;
        self.len = keep_heaviest(&mut self.memory[..self.len], most);
        (before - self.len) as u64
    }
}

/// Counts the deltas of an ordered list as their prefixes of `level`, but for those that are wider and those to `keep`,
/// and returns how many are left at the front of the list, in order.
fn widen(list: &mut [Delta], level: Level, keep: impl Fn(&Delta) -> bool) -> usize {
    let (mut from, mut len) = (0, 0);
    while let Some(&first) = list.get(from) {
        let prefix = level.prefix(first.prefix);
        let is_alone = list.get(from + 1).is_none_or(|next| level.prefix(next.prefix) != prefix);
        if is_alone {
            // Most are, where there are too many.
            let stays = first.level > level || keep(&first);
            list[len] = if stays { first } else { Delta { prefix, level, ..first } };
            (from, len) = (from + 1, len + 1);
            continue;
        }
        let mut sum = Delta::none(level, prefix);
        let mut widened = false;
        let start = len;
        while let Some(&delta) = list.get(from).filter(|d| level.prefix(d.prefix) == sum.prefix) {
            if delta.level > level || keep(&delta) {
                list[len] = delta;
                len += 1;
            } else {
                sum.add(&delta);
                widened = true;
            }
            from += 1;
        }
        if widened {
            // At least one delta of the group went into the sum, so that there is a place for it.
            list[len] = sum;
            len += 1;
            let narrower = list[start..len - 1].partition_point(|d| d.rank() < sum.rank());
            list[start + narrower..len].rotate_right(1);
        }
    }
    len
}

/// Keeps the `most` deltas that sent most, and of equals the first, in order; from [`CLASSES`] packets on all are equals.
/// Returns how many are left at the front of the list.
fn keep_heaviest(list: &mut [Delta], most: usize) -> usize {
    let class = |d: &Delta| d.packets.min(CLASSES as u64 - 1) as usize;
    let mut of_class = [0; CLASSES];
    list.iter().for_each(|d| of_class[class(d)] += 1);
    let (mut least, mut room) = (CLASSES - 1, most);
    while least > 0 && of_class[least] <= room {
        room -= of_class[least];
        least -= 1;
    }
    let mut len = 0;
    for at in 0..list.len() {
        let class = class(&list[at]);
        if class > least || class == least && room > 0 {
            room -= usize::from(class == least);
            list[len] = list[at];
            len += 1;
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Packets by prefix, narrow before wide: what a list is, as a map holds it.
    type Twin = BTreeMap<(u128, Level), u64>;

    fn twin(list: &[Delta]) -> Twin {
        list.iter().map(|d| (d.rank(), d.packets)).collect()
    }

    /// Deltas in order, some of them alike, of few prefixes that share wider ones.
    fn ordered(len: usize) -> impl Strategy<Value = Vec<Delta>> {
        let addr = (0_u128..3, 0_u128..4, 0_u128..4, 0_u128..4)
            .prop_map(|(a, s, n, h)| a << 96 | s << 80 | n << 64 | h);
        let delta = (0..7_usize, addr, 1..30_u64).prop_map(|(level, addr, packets)| Delta {
            packets,
            ..Delta::none(Level::ALL[level.saturating_sub(3)], addr)
        });
        prop::collection::vec(delta, 0..len).prop_map(|mut list| {
            list.sort_by_key(Delta::rank);
            list
        })
    }

    fn merge(list: &mut List, deltas: &[Delta]) {
        list.begin_merge();
        deltas.iter().for_each(|delta| list.merge(delta));
        list.end_merge();
    }

    /// What `widen` does, one delta after the other.
    fn widened(list: &[Delta], level: Level) -> Twin {
        let mut twin = Twin::new();
        for delta in list {
            let busy = level == Level::Subnet && delta.level == Level::Host && delta.is_busy();
            let stays = busy || delta.level > level;
            let rank = if stays { delta.rank() } else { (level.prefix(delta.prefix), level) };
            *twin.entry(rank).or_default() += delta.packets;
        }
        twin
    }

    proptest! {
        #[test]
        fn merged_lists_are_a_map(lists in prop::collection::vec(ordered(50), 0..6)) {
            let (mut list, mut expected) = (List::new(300), Twin::new());
            for deltas in &lists {
                merge(&mut list, deltas);
                deltas.iter().for_each(|d| *expected.entry(d.rank()).or_default() += d.packets);
                prop_assert!(list.deltas().is_sorted_by(|a, b| a.rank() < b.rank()));
                prop_assert_eq!(twin(list.deltas()), expected.clone());
            }
        }

        #[test]
        fn a_list_is_shortened_by_the_mildest_means(deltas in ordered(200), most in 8..60_usize) {
            let mut list = List::new(200);
            merge(&mut list, &deltas);
            let before = list.deltas().to_vec();
            let dropped = list.shorten(most);
            prop_assert!(list.deltas().is_sorted_by(|a, b| a.rank() < b.rank()));
            prop_assert_eq!(dropped, 0, "three allocations always fit");
            let wide = [Level::Subnet, Level::Site, Level::Allocation].map(|level| widened(&before, level));
            let expected = match () {
                () if before.len() <= most => twin(&before),
                () => wide.into_iter().find(|w| w.len() <= most / 4 * 3).unwrap_or_default(),
            };
            prop_assert_eq!(twin(list.deltas()), expected);
        }

        #[test]
        fn the_heaviest_are_kept_in_order(
            packets in prop::collection::vec(0..300_u64, 0..60), most in 0..60_usize,
        ) {
            let of = |(n, &packets): (u128, _)| Delta { packets, ..Delta::none(Level::Allocation, n << 96) };
            let mut list: Vec<Delta> = (0..).zip(&packets).map(of).collect();
            let mut expected = list.clone();
            expected.sort_by_key(|d| core::cmp::Reverse(d.packets.min(CLASSES as u64 - 1)));
            expected.truncate(most);
            expected.sort_by_key(Delta::rank);
            let len = keep_heaviest(&mut list, most);
            prop_assert_eq!(&list[..len], &expected[..]);
        }
    }
}
