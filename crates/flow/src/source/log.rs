//! What flows did in the open step, as they were folded.

use core::hint::select_unpredictable;

use credence_memory::{filled, prefetch};

use super::Level;
use super::delta::{Delta, bit};
use super::radix::{Key, Sorter};
use crate::flow::{Opening, Pending};
use crate::hash::KeyedHash;

/// Entries of a part when all parts are alike: with their keys they take half of a core's second-level cache.
const PART: usize = 8_192;
/// Parts at most: the ends of all of them, where entries are written, stay in the first-level cache.
const PARTS_MAX: usize = 64;
/// Entries that a part takes memory for at a time: half a page.
const CHUNK: usize = 64;
/// How many entries ahead of the one that is read its line is asked for.
const AHEAD: usize = 16;
/// How many entries ahead of the one that is written its line is asked for: two lines.
const WRITE_AHEAD: usize = 4;

/// What one flow adds to its source. Two lie in a line of memory.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Entry {
    src: u128,
    packets: u32,
    wire_bytes: u32,
    marks: u8,
    /// The bit of each sketch that an opening in vain sets.
    target: u8,
    port: u8,
}

impl Entry {
    /// The flow began.
    const CREATED: u8 = 1;
    /// It showed a new anomaly.
    const ODD: u8 = 1 << 1;
    /// Its opening was judged.
    const OPENED: u8 = 1 << 2;
    /// It was in vain.
    const VAIN: u8 = 1 << 3;

    const EMPTY: Self = Self { src: 0, packets: 0, wire_bytes: 0, marks: 0, target: 0, port: 0 };

    /// What `pending` adds to its source. Openings count only where the `reverse_seen` says that answers from the
    /// destination would cross this gateway: otherwise silence proves nothing.
    #[inline]
    pub(super) fn of(pending: &Pending, reverse_seen: bool, sketch: &KeyedHash) -> Self {
        let Pending { key, packets, wire_bytes, created, odd, opening } = *pending;
        let opening = opening.filter(|&o| reverse_seen || o != Opening::Unanswered);
        let vain = matches!(opening, Some(Opening::Unanswered | Opening::Refused));
        let mark = |is: bool, mark: u8| u8::from(is) * mark;
        let mut entry = Self { src: key.src, packets, wire_bytes, ..Self::EMPTY };
        entry.marks = mark(created, Self::CREATED)
            | mark(odd, Self::ODD)
            | mark(opening.is_some(), Self::OPENED)
            | mark(vain, Self::VAIN);
        if vain {
            entry.target = bit(sketch, key.dst);
            entry.port = bit(sketch, u128::from(key.dport) << 8 | u128::from(key.proto));
        }
        entry
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.packets == 0 && self.marks == 0
    }

    #[inline]
    fn delta(&self) -> Delta {
        let marked = |mark: u8| u32::from(self.marks & mark != 0);
        let vain = u64::from(marked(Self::VAIN));
        Delta {
            prefix: self.src,
            level: Level::Host,
            packets: self.packets,
            wire_bytes: u64::from(self.wire_bytes),
            flows: marked(Self::CREATED),
            odd: marked(Self::ODD),
            openings: marked(Self::OPENED),
            unanswered: marked(Self::VAIN),
            targets: vain << self.target,
            ports: vain << self.port,
        }
    }
}

/// The upper half of an address: its /64.
#[inline]
const fn link_of(addr: u128) -> u64 {
    (addr >> 64) as u64
}

/// Entries in the order of their parts; a part holds the sources between two bounds.
///
/// Sorting a million entries at once reads and writes memory far beyond the caches for each digit. The bounds of the
/// parts are where the entries of the round before would have been cut into equal ones, so that, traffic being much like
/// a second ago, each part is sorted within the cache. Bounds that fit badly cost time and nothing else: what is handed
/// over is in the order of addresses whatever they are.
pub(super) struct Log {
    entries: Box<[Entry]>,
    /// For each chunk of entries the next one of its part.
    next: Box<[u32]>,
    chunks: u32,
    parts: Box<[Part]>,
    /// The first link of each part but the first.
    bounds: Box<[u64]>,
    len: usize,
    keys: Box<[Key]>,
    sorter: Sorter,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Its first chunk.
    chunk: u32,
    /// Where its next entry goes, unless that begins a chunk.
    end: u32,
    len: u32,
}

impl Log {
    /// A log of at most so many entries.
    pub(super) fn new(capacity: usize) -> Self {
        let parts = (capacity / PART).next_power_of_two().min(PARTS_MAX);
        // Each part may leave most of its last chunk empty.
        let chunks = capacity.div_ceil(CHUNK) + parts;
        Self {
            entries: filled(Entry::EMPTY, chunks * CHUNK),
            next: filled(0, chunks),
            chunks: 0,
            parts: filled(Part::default(), parts),
            bounds: filled(0, parts - 1),
            len: 0,
            keys: filled(Key::default(), capacity),
            sorter: Sorter::new(capacity),
        }
    }

    /// Forgets all entries, and where parts began and ended.
    pub(super) fn clear(&mut self) {
        self.parts.fill(Part::default());
        self.bounds.fill(0);
        (self.len, self.chunks) = (0, 0);
    }

    /// Entries held.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Entries there is room for.
    pub(super) const fn capacity(&self) -> usize {
        self.keys.len()
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
            + size_of_val(&*self.next)
            + size_of_val(&*self.parts)
            + size_of_val(&*self.bounds)
            + size_of_val(&*self.keys)
            + self.sorter.bytes()
    }

    /// Adds an entry; there must be room.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        let part = &mut self.parts[part_of(&self.bounds, link_of(entry.src))];
        if (part.len as usize).is_multiple_of(CHUNK) {
            match part.len {
                0 => part.chunk = self.chunks,
                _ => self.next[part.end as usize / CHUNK - 1] = self.chunks,
            }
            part.end = self.chunks * CHUNK as u32;
            self.chunks += 1;
        }
        prefetch(&self.entries, part.end as usize + WRITE_AHEAD);
        self.entries[part.end as usize] = entry;
        part.end += 1;
        part.len += 1;
        self.len += 1;
    }

    /// Hands all entries over in the order of their sources, and is empty afterwards.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&Delta)) {
        let (mut rank, mut learnt) = (0, 0);
        for part in 0..self.parts.len() {
            let keys = self.sort(part);
            let end = rank + keys;
            while learnt < self.bounds.len() && (learnt + 1) * self.len / self.parts.len() < end {
                let at = (learnt + 1) * self.len / self.parts.len() - rank;
                self.bounds[learnt] = link_of(self.entries[self.keys[at].at as usize].src);
                learnt += 1;
            }
            self.hand_over(keys, &mut each);
            self.parts[part] = Part::default();
            rank = end;
        }
        (self.len, self.chunks) = (0, 0);
    }

    /// Makes the first keys those of a part, in the order of their sources, and returns how many they are.
    fn sort(&mut self, part: usize) -> usize {
        let Self { entries, next, parts, keys, sorter, .. } = self;
        let Part { mut chunk, len, .. } = parts[part];
        let keys = &mut keys[..len as usize];
        for keys in keys.chunks_mut(CHUNK) {
            let ahead = next[chunk as usize] as usize * CHUNK;
            for ((i, key), at) in keys.iter_mut().enumerate().zip(chunk * CHUNK as u32..) {
                prefetch(entries, ahead + i);
                *key = Key { key: link_of(entries[at as usize].src), at };
            }
            chunk = next[chunk as usize];
        }
        sorter.sort(keys);
        for link in keys.chunk_by_mut(|a, b| a.key == b.key).filter(|link| link.len() > 1) {
            sort_link(link, entries, sorter);
        }
        len as usize
    }

    fn hand_over(&self, keys: usize, each: &mut impl FnMut(&Delta)) {
        let keys = &self.keys[..keys];
        for (i, key) in keys.iter().enumerate() {
            if let Some(ahead) = keys.get(i + AHEAD) {
                prefetch(&self.entries, ahead.at as usize);
            }
            each(&self.entries[key.at as usize].delta());
        }
    }
}

/// The part of a link: how many bounds are not behind it. There is one bound less than a power of two.
#[inline]
fn part_of(bounds: &[u64], link: u64) -> usize {
    let mut part = 0;
    let mut half = bounds.len().div_ceil(2);
    while half > 0 {
        part += select_unpredictable(bounds[part + half - 1] <= link, half, 0);
        half /= 2;
    }
    part
}

/// Sorts the keys of one link by the lower half of their addresses.
fn sort_link(keys: &mut [Key], entries: &[Entry], sorter: &mut Sorter) {
    for i in 0..keys.len() {
        if let Some(ahead) = keys.get(i + AHEAD) {
            prefetch(entries, ahead.at as usize);
        }
        keys[i].key = entries[keys[i].at as usize].src as u64;
    }
    sorter.sort(keys);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(src: u128) -> Entry {
        Entry { src, packets: 1, ..Entry::EMPTY }
    }

    /// The sources in the order in which the log hands them over.
    fn drained(log: &mut Log, sources: &[u128]) -> Vec<u128> {
        sources.iter().for_each(|&src| log.push(entry(src)));
        let mut order = Vec::new();
        log.drain(|delta| order.push(delta.prefix));
        order
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn sources_come_in_order_whatever_the_round_before_was_like(
            rounds in prop::collection::vec((any::<u128>(), 0..20_000_u128, any::<u128>()), 1..5),
        ) {
            let mut log = Log::new(20_000);
            for (mask, count, fixed) in rounds {
                let source = |n: u128| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) & mask ^ fixed;
                let sources: Vec<_> = (0..count).map(source).collect();
                let mut expected = sources.clone();
                expected.sort_unstable();
                prop_assert!(drained(&mut log, &sources) == expected);
                prop_assert_eq!(log.len(), 0);
            }
        }
    }

    #[test]
    fn parts_are_alike_once_a_round_has_shown_where_sources_lie() {
        let mut log = Log::new(8 * PART);
        let sources: Vec<u128> = (0..8 * PART as u64)
            .map(|n| u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) << 64)
            .collect();
        drained(&mut log, &sources);
        sources.iter().for_each(|&src| log.push(entry(src)));
        let longest = log.parts.iter().map(|part| part.len).max();
        assert_eq!((log.parts.len(), longest), (8, Some(PART as u32)));
    }

    #[test]
    fn the_part_of_a_link_is_the_number_of_bounds_that_are_not_behind_it() {
        let bounds = [3, 3, 5, 8, 8, 8, 20];
        for link in 0..25 {
            let expected = bounds.iter().filter(|&&bound| bound <= link).count();
            assert_eq!(part_of(&bounds, link), expected, "link {link}");
        }
        assert_eq!(part_of(&[], 7), 0);
    }
}
