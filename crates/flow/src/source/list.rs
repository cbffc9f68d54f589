//! An ordered list of deltas in memory of a fixed size.

use core::ops::Range;

use credence_memory::filled;

use super::Level;
use super::delta::Delta;
use super::nesting::WIDER;

/// Numbers of packets that are told apart when the lightest are dropped.
const CLASSES: usize = 256;

/// Deltas in order, each of another prefix.
pub(super) struct List {
    memory: Box<[Delta]>,
    /// Where the list lies: at the front of its memory once it was merged, at the end once it was shortened, ready to be
    /// merged into.
    span: Range<usize>,
    /// While merging: from here on lies what the list was and has not been merged yet.
    old: usize,
}

impl List {
    /// A list of at most so many deltas.
    pub(super) fn new(capacity: usize) -> Self {
        Self { memory: filled(Delta::none(Level::Host, 0), capacity), span: 0..0, old: capacity }
    }

    pub(super) fn deltas(&self) -> &[Delta] {
        &self.memory[self.span.clone()]
    }

    pub(super) fn clear(&mut self) {
        self.span = 0..0;
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.memory)
    }

    /// Sees to it that the list lies at the end of its memory. From there it is read while the result grows from the
    /// front, which never catches up as long as there is room for all.
    pub(super) fn begin_merge(&mut self) {
        self.old = self.memory.len() - self.span.len();
        if self.span.end < self.memory.len() {
            self.memory.copy_within(self.span.clone(), self.old);
        }
        self.span = 0..0;
    }

    /// Merges one of an ordered series of deltas into the list.
    #[inline]
    pub(super) fn merge(&mut self, delta: &Delta) {
        let rank = delta.rank();
        while let Some(&earlier) = self.memory.get(self.old).filter(|d| d.rank() <= rank) {
            self.push(earlier);
            self.old += 1;
        }
        match self.memory[..self.span.end].last_mut().filter(|last| last.rank() == rank) {
            Some(last) => last.add(delta),
            None => self.push(*delta),
        }
    }

    #[inline]
    fn push(&mut self, delta: Delta) {
        self.memory[self.span.end] = delta;
        self.span.end += 1;
    }

    /// Takes in what lies behind all that was merged.
    pub(super) fn end_merge(&mut self) {
        let rest = self.memory.len() - self.old;
        self.memory.copy_within(self.old.., self.span.end);
        self.span.end += rest;
    }

    /// Makes a list of more than `most` at least a quarter shorter than that, if anything can, by counting addresses as
    /// wider prefixes: as the narrowest ones that are few enough. Returns how many were dropped since not even their /32s
    /// find room.
    pub(super) fn shorten(&mut self, most: usize) -> u64 {
        if self.span.len() <= most {
            return 0;
        }
        let lengths = WIDER.into_iter().zip(lengths(self.deltas()));
        let fitting = lengths.into_iter().find(|&(_, len)| len <= most / 4 * 3);
        self.widen(fitting.map_or(Level::Allocation, |(level, _)| level));
        let before = self.span.len();
        if before > most {
            self.span.end = self.span.start + keep_heaviest(&mut self.memory[self.span.clone()], most);
        }
        (before - self.span.len()) as u64
    }

    /// Counts all that does not stay as its prefix of `level`. The list grows anew from the end of its memory, from its last
    /// delta to its first, so that the next merge finds it there.
    fn widen(&mut self, level: Level) {
        let Self { memory, span, .. } = self;
        let (mut from, mut to) = (span.end, memory.len());
        while from > span.start {
            let last = memory[from - 1];
            let prefix = level.prefix(last.prefix);
            let in_group = memory[span.start..from].iter().rev().map(|d| level.prefix(d.prefix) == prefix);
            let group = in_group.take_while(|&is| is).count();
            if group == 1 {
                // Most are alone, where there are too many.
                to -= 1;
                memory[to] = if stays(&last, level) { last } else { Delta { prefix, level, ..last } };
            } else {
                to = widen_group(memory, from - group..from, to, level);
            }
            from -= group;
        }
        *span = to..memory.len();
    }
}

/// Adds up the deltas at `from`, which share their prefix of `level`, but for those that stay, and puts what is left of them
/// in front of `end`. Returns where that begins; never in front of where it came from.
fn widen_group(memory: &mut [Delta], from: Range<usize>, end: usize, level: Level) -> usize {
    let (mut to, mut widened) = (end, None);
    for at in from.rev() {
        let delta = memory[at];
        if stays(&delta, level) {
            to -= 1;
            memory[to] = delta;
        } else {
            widened.get_or_insert(Delta::none(level, delta.prefix)).add(&delta);
        }
    }
    if let Some(sum) = widened {
        // At least one delta went into the sum, so that there is a place for it.
        let narrower = memory[to..end].partition_point(|d| d.rank() < sum.rank());
        to -= 1;
        memory[to] = sum;
        memory[to..=to + narrower].rotate_left(1);
    }
    to
}

/// Whether a delta is not widened to `level`: wider ones never are, and busy addresses are not as long as /64s are few
/// enough.
#[inline]
fn stays(delta: &Delta, level: Level) -> bool {
    delta.level > level || level == Level::Subnet && delta.level == Level::Host && delta.is_busy()
}

/// How many deltas of an ordered list are left once it is widened to each of the wider levels.
fn lengths(list: &[Delta]) -> [usize; WIDER.len()] {
    let (mut lengths, mut open) = ([0; WIDER.len()], [None; WIDER.len()]);
    for delta in list {
        for ((level, len), open) in WIDER.into_iter().zip(&mut lengths).zip(&mut open) {
            // No wider prefix is longer than the upper half of an address.
            let group = (delta.prefix >> 64) as u64 >> (64 - level.prefix_len());
            let stays = stays(delta, level);
            *len += usize::from(stays | (*open != Some(group)));
            *open = if stays { *open } else { Some(group) };
        }
    }
    lengths
}

/// Keeps the `most` deltas that sent most, and of equals the first, in order; from [`CLASSES`] packets on all are equals.
/// Returns how many are left at the front of the list.
fn keep_heaviest(list: &mut [Delta], most: usize) -> usize {
    let class = |d: &Delta| (d.packets as usize).min(CLASSES - 1);
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
    type Twin = BTreeMap<(u128, Level), u32>;

    fn twin(list: &[Delta]) -> Twin {
        list.iter().map(|d| (d.rank(), d.packets)).collect()
    }

    /// Deltas in order, some of them alike, of few prefixes that share wider ones.
    fn ordered(len: usize) -> impl Strategy<Value = Vec<Delta>> {
        let addr = (0_u128..3, 0_u128..4, 0_u128..4, 0_u128..4)
            .prop_map(|(a, s, n, h)| a << 96 | s << 80 | n << 64 | h);
        let delta = (0..7_usize, addr, 1..30_u32).prop_map(|(level, addr, packets)| Delta {
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
        fn a_list_that_was_shortened_grows_on(lists in prop::collection::vec(ordered(60), 1..8), most in 8..60_usize) {
            let (mut list, mut expected) = (List::new(120), Twin::new());
            for deltas in &lists {
                merge(&mut list, deltas);
                deltas.iter().for_each(|d| *expected.entry(d.rank()).or_default() += d.packets);
                prop_assert_eq!(twin(list.deltas()), expected);
                prop_assert_eq!(list.shorten(most), 0, "three allocations always fit");
                prop_assert!(list.deltas().len() <= most);
                expected = twin(list.deltas());
            }
        }

        #[test]
        fn the_heaviest_are_kept_in_order(
            packets in prop::collection::vec(0..300_u32, 0..60), most in 0..60_usize,
        ) {
            let of = |(n, &packets): (u128, _)| Delta { packets, ..Delta::none(Level::Allocation, n << 96) };
            let mut list: Vec<Delta> = (0..).zip(&packets).map(of).collect();
            let mut expected = list.clone();
            expected.sort_by_key(|d| core::cmp::Reverse(d.packets.min(CLASSES as u32 - 1)));
            expected.truncate(most);
            expected.sort_by_key(Delta::rank);
            let len = keep_heaviest(&mut list, most);
            prop_assert_eq!(&list[..len], &expected[..]);
        }
    }
}
