//! An index: from a key to a slot, in as many steps as it has levels.
//!
//! Each node is one line of eight bounds and has nine children, all nodes of a level stand in order behind those of the
//! level above, and so a child's place is reckoned and not stored: child `r` of node `i` is node `9 i + r` of the next
//! level. A bound is the last key of the child on its left; `r` is the number of bounds below the key. Nodes of the last
//! level lead to slots, whose [`Word`]s stand in front of the nodes, in descending order, so that the place of an index
//! finds both whatever their number. The word in front of the nodes is the number of slots.
//!
//! Chunks are indexes of two levels over leaves, the top of a tree is an index of any depth over chunks.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use credence_memory::Line;

use super::word::{Root, Word};

/// Bounds of a node.
pub(crate) const BOUNDS: usize = 8;
/// Children of a node.
pub(crate) const FANOUT: usize = BOUNDS + 1;
/// Levels of a chunk.
pub(crate) const CHUNK_LEVELS: u32 = 2;
/// Slots of a chunk at most.
pub(crate) const CHUNK_SLOTS: usize = FANOUT.pow(CHUNK_LEVELS);

/// Nodes above each level: (9^level - 1) / 8.
pub(crate) const ABOVE: [u32; 9] = [0, 1, 10, 91, 820, 7_381, 66_430, 597_871, 5_380_840];

/// The place of the word of a slot, in words, for an index at this line.
#[inline(always)]
pub(crate) const fn word_at(line: u32, slot: usize) -> usize {
    line as usize * 8 - 2 - slot
}

/// The slot whose word stands there; the inverse of [`word_at`].
#[inline(always)]
pub(crate) const fn slot_at(line: u32, at: u32) -> usize {
    (line * 8 - 2 - at) as usize
}

/// Lines that the words of so many slots take in front of the nodes.
const fn word_lines(slots: usize) -> u32 {
    (slots + 1).div_ceil(8) as u32
}

/// Lines of an index in all.
pub(crate) const fn lines_of(slots: usize, levels: u32) -> u32 {
    word_lines(slots) + ABOVE[levels as usize - 1] + slots.div_ceil(FANOUT) as u32
}

/// The levels that so many slots need.
pub(crate) const fn levels_of(slots: usize) -> u32 {
    let (mut levels, mut room) = (1, FANOUT);
    while room < slots {
        (levels, room) = (levels + 1, room * FANOUT);
    }
    levels
}

/// The number of bounds below `key`, without a branch: bounds ascend, so that three comparisons halve the first seven, and
/// the eighth can only be below when all are.
#[inline(always)]
pub(crate) fn rank(node: &Line, key: u64) -> u32 {
    let below = |place: usize| usize::from(node.0[place].load(Relaxed) < key);
    let mut rank = 4 * below(3);
    rank += 2 * below(rank + 1);
    rank += below(rank);
    rank += below(7);
    rank as u32
}

/// An index as the writer sees it.
#[derive(Clone, Copy)]
pub(crate) struct Index<'a> {
    lines: &'a [Line],
    root: Root,
}

impl<'a> Index<'a> {
    pub(crate) const fn new(lines: &'a [Line], root: Root) -> Self {
        Self { lines, root }
    }

    pub(crate) const fn chunk(lines: &'a [Line], line: u32) -> Self {
        Self { lines, root: Root { line, levels: CHUNK_LEVELS } }
    }

    /// The first line of its memory, and how many lines there are.
    pub(crate) fn extent(&self) -> (u32, u32) {
        let slots = self.slots();
        (self.root.line - word_lines(slots), lines_of(slots, self.root.levels))
    }

    pub(crate) fn slots(&self) -> usize {
        let line = &self.lines[self.root.line as usize - 1];
        line.0[7].load(Relaxed) as usize
    }

    /// The slot that leads to `key`.
    #[inline]
    pub(crate) fn slot(&self, key: u64) -> usize {
        let (mut at, mut node) = (0, 0);
        for level in 0..self.root.levels {
            at = self.root.line + ABOVE[level as usize] + node;
            node = node * FANOUT as u32 + rank(&self.lines[at as usize], key);
        }
        debug_assert!(at >= self.root.line);
        node as usize
    }

    /// As [`slot`](Self::slot), with the first and last key of that slot, where the index covers these keys.
    pub(crate) fn locate(&self, key: u64, (mut first, mut last): (u64, u64)) -> (usize, u64, u64) {
        let mut node = 0;
        for level in 0..self.root.levels {
            let line = &self.lines[(self.root.line + ABOVE[level as usize] + node) as usize];
            let rank = rank(line, key) as usize;
            // What stands beyond the last slot ends with all keys.
            if let Some(before) = rank.checked_sub(1) {
                first = line.0[before].load(Relaxed) + 1;
            }
            if let Some(bound) = line.0.get(rank) {
                last = last.min(bound.load(Relaxed));
            }
            node = node * FANOUT as u32 + rank as u32;
        }
        (node as usize, first, last)
    }

    /// The last key of a slot; that of the last slot is the last key of all.
    pub(crate) fn last(&self, slot: usize) -> u64 {
        let (mut child, mut level) = (slot, self.root.levels);
        while level > 0 {
            level -= 1;
            let (node, place) = (child / FANOUT, child % FANOUT);
            if place < BOUNDS {
                let line = self.root.line + ABOVE[level as usize] + node as u32;
                return self.lines[line as usize].0[place].load(Relaxed);
            }
            child = node;
        }
        u64::MAX
    }

    /// The place of a slot's word in the whole table.
    pub(crate) const fn place(&self, slot: usize) -> usize {
        word_at(self.root.line, slot)
    }

    fn word_cell(&self, slot: usize) -> &'a AtomicU64 {
        let at = self.place(slot);
        &self.lines[at / 8].0[at % 8]
    }

    #[inline]
    pub(crate) fn word(&self, slot: usize) -> Word {
        Word(self.word_cell(slot).load(Acquire))
    }

    /// Replaces a slot's word: look-ups see what it led to before, or what it leads to now.
    pub(crate) fn publish(&self, slot: usize, word: Word) {
        self.word_cell(slot).store(word.0, Release);
    }

    /// Writes an index of `slots` into memory that begins at line `start` and that nobody reads yet; `slots` are last keys,
    /// ascending, with their words. Returns where it stands.
    pub(crate) fn write(lines: &'a [Line], start: u32, levels: u32, slots: &[(u64, Word)]) -> Root {
        let root = Root { line: start + word_lines(slots.len()), levels };
        let index = Self { lines, root };
        lines[root.line as usize - 1].0[7].store(slots.len() as u64, Relaxed);
        for (slot, &(_, word)) in slots.iter().enumerate() {
            index.word_cell(slot).store(word.0, Relaxed);
        }
        let mut width = 1; // slots below one child
        for level in (0..levels).rev() {
            let nodes = slots.len().div_ceil(width * FANOUT);
            for node in 0..nodes {
                let line = &lines[(root.line + ABOVE[level as usize]) as usize + node];
                for (place, bound) in line.0.iter().enumerate() {
                    // The last slot ends where its index does, and so does what is missing.
                    let child = (node * FANOUT + place + 1) * width;
                    let last = if child < slots.len() { slots[child - 1].0 } else { u64::MAX };
                    bound.store(last, Relaxed);
                }
            }
            width *= FANOUT;
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use credence_memory::Lines;

    use super::*;
    use crate::table::word::Cover;

    /// An index of so many slots, each of two keys and one more for each ninth.
    fn check(slots: usize, levels: u32) {
        let mut next = 10;
        let list: Vec<(u64, Word)> = (0..slots)
            .map(|slot| {
                next += 2 + u64::from(slot % 9 == 0);
                let last = if slot + 1 == slots { u64::MAX } else { next };
                (last, Word::new(slot as u32, Cover::NONE))
            })
            .collect();
        let lines = Lines::zeroed(lines_of(slots, levels) as usize + 1);
        let root = Index::write(&lines, 1, levels, &list);
        let index = Index::new(&lines, root);
        assert_eq!((index.extent(), index.slots()), ((1, lines_of(slots, levels)), slots));
        for (slot, &(last, word)) in list.iter().enumerate() {
            assert_eq!((index.last(slot), index.word(slot)), (last, word));
            assert_eq!((index.slot(last - 1), index.slot(last)), (slot, slot), "of {slots}");
            assert_eq!(index.slot(last.saturating_add(1)), (slot + 1).min(slots - 1));
            let first = slot.checked_sub(1).map_or(0, |before| index.last(before) + 1);
            assert_eq!(index.locate(last, (0, u64::MAX)), (slot, first, last), "of {slots}");
            assert_eq!(index.locate(first, (0, u64::MAX)), (slot, first, last), "of {slots}");
        }
        assert_eq!(index.slot(0), 0);
    }

    #[test]
    fn every_number_of_slots_finds_each() {
        let step = if cfg!(miri) { 90 } else { 1 }; // an interpreter takes hours for all
        for slots in (1..=CHUNK_SLOTS).step_by(step) {
            check(slots, CHUNK_LEVELS);
            check(slots, levels_of(slots));
        }
        for slots in [730, 6_560, 6_561, 6_562].into_iter().step_by(step) {
            check(slots, levels_of(slots));
        }
    }

    #[test]
    fn levels_and_lines_follow_the_number_of_slots() {
        assert_eq!([1, 9, 10, 81, 82, 729, 730].map(levels_of), [1, 1, 2, 2, 3, 3, 4]);
        assert_eq!(lines_of(CHUNK_SLOTS, CHUNK_LEVELS), 11 + 10);
        for (level, &above) in ABOVE.iter().enumerate() {
            assert_eq!(above, (9_u32.pow(level as u32) - 1) / 8);
        }
    }
}
