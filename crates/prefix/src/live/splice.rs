//! A chunk's index once more, with a few of its slots replaced.
//!
//! A leaf that overflows changes one slot or a few, but moves all behind them. Words and bounds are taken apart into an
//! array each, line by line, and put together again: a third of the instructions that a list of slots takes, which looks up
//! each slot by itself.

use core::ops::RangeInclusive;
use core::sync::atomic::Ordering::Relaxed;

use credence_memory::Line;

use crate::table::index::{ABOVE, BOUNDS, CHUNK_LEVELS, CHUNK_SLOTS, FANOUT, Index, lines_of};
use crate::table::space::{Full, Space};
use crate::table::word::Word;

/// Lines of words at most; the first word is the number of slots.
const WORD_LINES: usize = (CHUNK_SLOTS + 1).div_ceil(8);

/// Writes the index of the chunk that begins at line `old` into other lines, with `packed` for the slots of `range`, and
/// returns where it stands. There must be no more than [`CHUNK_SLOTS`] then.
pub(super) fn splice(
    lines: &[Line],
    space: &mut Space,
    old: u32,
    range: RangeInclusive<usize>,
    packed: &[(u64, Word)],
) -> Result<u32, Full> {
    let slots = Index::chunk(lines, old).slots();
    let (from, behind) = (*range.start(), range.end() + 1);
    let (moved, now) = (from + packed.len(), slots - (behind - from) + packed.len());
    let size = lines_of(now, CHUNK_LEVELS);
    let line = space.index(size)? + word_lines(now);

    let mut words = read_words(lines, old, slots);
    words.copy_within(1 + behind..1 + slots, 1 + moved);
    words[0] = now as u64;
    for (word, &(_, with)) in words[1 + from..].iter_mut().zip(packed) {
        *word = with.0;
    }
    write_words(lines, line, now, &words);

    let mut lasts = read_lasts(&lines[old as usize..], slots);
    lasts.copy_within(behind..slots, moved);
    for (last, with) in lasts[from..].iter_mut().zip(packed) {
        *last = with.0;
    }
    // The last slot ends where the chunk does, and behind it there may be others left.
    lasts[now - 1..now.max(slots)].fill(u64::MAX);
    write_lasts(&lines[line as usize..], now, &lasts);
    Ok(line)
}

/// Lines in front of the nodes.
const fn word_lines(slots: usize) -> u32 {
    lines_of(slots, 1) - slots.div_ceil(FANOUT) as u32
}

/// The number of slots of a chunk, and their words in order.
fn read_words(lines: &[Line], line: u32, slots: usize) -> [u64; 8 * WORD_LINES] {
    let mut words = [0; 8 * WORD_LINES];
    let from = &lines[(line - word_lines(slots)) as usize..line as usize];
    for (eight, line) in words.as_chunks_mut::<8>().0.iter_mut().zip(from.iter().rev()) {
        for (word, cell) in eight.iter_mut().zip(line.0.iter().rev()) {
            *word = cell.load(Relaxed);
        }
    }
    words
}

/// Writes the words of a chunk of so many slots in front of its first node.
fn write_words(lines: &[Line], line: u32, slots: usize, words: &[u64; 8 * WORD_LINES]) {
    let to = &lines[(line - word_lines(slots)) as usize..line as usize];
    for (eight, line) in words.as_chunks::<8>().0.iter().zip(to.iter().rev()) {
        for (&word, cell) in eight.iter().zip(line.0.iter().rev()) {
            cell.store(word, Relaxed);
        }
    }
}

/// The last keys of the slots of a chunk, all ones from the last slot on.
fn read_lasts(nodes: &[Line], slots: usize) -> [u64; CHUNK_SLOTS] {
    let mut lasts = [u64::MAX; CHUNK_SLOTS];
    let bound = |line: usize, place: usize| nodes[line].0[place].load(Relaxed);
    let lowest = &nodes[ABOVE[1] as usize..][..slots.div_ceil(FANOUT)];
    for (node, (nine, line)) in lasts.as_chunks_mut::<FANOUT>().0.iter_mut().zip(lowest).enumerate() {
        for (last, bound) in nine.iter_mut().zip(&line.0) {
            *last = bound.load(Relaxed);
        }
        // A node has no bound behind its last child: that stands in the first node.
        nine[BOUNDS] = if node < BOUNDS { bound(0, node) } else { u64::MAX };
    }
    lasts
}

/// Writes the nodes of a chunk of so many slots.
fn write_lasts(nodes: &[Line], slots: usize, lasts: &[u64; CHUNK_SLOTS]) {
    write_level::<{ FANOUT }>(&nodes[ABOVE[1] as usize..], slots, lasts);
    write_level::<CHUNK_SLOTS>(nodes, slots, lasts);
}

/// Writes the nodes of a level, below each of which there are `WIDTH` slots.
fn write_level<const WIDTH: usize>(nodes: &[Line], slots: usize, lasts: &[u64; CHUNK_SLOTS]) {
    let nodes = &nodes[..slots.div_ceil(WIDTH)];
    for (lasts, line) in lasts.as_chunks::<WIDTH>().0.iter().zip(nodes) {
        for (place, bound) in line.0.iter().enumerate() {
            bound.store(lasts[(place + 1) * (WIDTH / FANOUT) - 1], Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use credence_memory::Lines;

    use super::*;
    use crate::table::memory::Memory;
    use crate::table::word::Cover;

    /// So many slots of a few keys each, that end where a chunk does.
    fn slots(count: usize) -> Vec<(u64, Word)> {
        (1..=count).map(|slot| (10 * slot as u64, Word::new(slot as u32, Cover::NONE))).collect()
    }

    /// Replaces slots of a chunk in both ways: line by line, and in a list that is written as any chunk is.
    fn check(count: usize, range: RangeInclusive<usize>, packed: &[(u64, Word)]) {
        let (lines, mut space) = (Lines::zeroed(600), Space::new(1, 600));
        let mut list = slots(count);
        let old = Memory { lines: &lines, space: &mut space }.chunk(&list).unwrap();
        list.splice(range.clone(), packed.iter().copied());
        let expected = Memory { lines: &lines, space: &mut space }.chunk(&list).unwrap();
        let line = splice(&lines, &mut space, old, range, packed).unwrap();
        let [expected, index] = [expected, line].map(|line| Index::chunk(&lines, line));
        assert_eq!(index.slots(), list.len());
        for slot in 0..list.len() {
            assert_eq!((index.last(slot), index.word(slot)), (expected.last(slot), expected.word(slot)));
        }
        let nodes = |index: &Index<'_>| {
            let (first, lines) = index.extent();
            (first + word_lines(list.len())..first + lines).collect::<Vec<_>>()
        };
        for (own, twin) in nodes(&index).into_iter().zip(nodes(&expected)) {
            let bounds = |line: u32| lines[line as usize].0.each_ref().map(|bound| bound.load(Relaxed));
            assert_eq!(bounds(own), bounds(twin), "of {count}");
        }
    }

    #[test]
    fn a_chunk_with_other_slots_is_as_if_it_were_written_from_a_list() {
        let packed: Vec<(u64, Word)> =
            (0..5).map(|i| (3 + i, Word::new(1_000 + i as u32, Cover::new(32, 7)))).collect();
        for count in (1..=CHUNK_SLOTS).filter(|count| *count < 100 || count % 7 == 0 || *count > 720) {
            for from in [0, count / 2, count.saturating_sub(3), count - 1] {
                let to = (from + 2).min(count - 1);
                for with in [1, 3, 5] {
                    if count - (to - from + 1) + with <= CHUNK_SLOTS {
                        check(count, from..=to, &packed[..with]);
                    }
                }
            }
        }
    }
}
