//! A static search tree over 64-bit boundaries: one cache line a node, nine ways at each, children by arithmetic.
//!
//! The leaves are all boundaries in order, eight to a line. Each level above holds, for nine lines of the level below,
//! the first boundaries of the last eight of them, up to a level of one line. So a line's children need no pointers
//! (line `i` has the lines `9 * i` to `9 * i + 8` below it), every look-up passes the same number of levels, and all
//! look-ups of a batch can go down in step.

use credence_memory::prefetch;

/// Boundaries in a line.
const WIDTH: usize = 8;

/// Children of a line.
const FANOUT: usize = WIDTH + 1;

/// A level of up to as many lines is taken to be in the first-level cache, where asking for lines ahead only costs.
const NEAR_LINES: usize = 512;

/// Eight ascending keys, unused ones at the end `u64::MAX`.
///
/// A key is the last value *before* a boundary. The rank of a value is then the number of keys strictly below it,
/// which is never raised by an unused key, not even for the value `u64::MAX`.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u64; WIDTH]);

const _: () = assert!(size_of::<Line>() == 64);

/// Intervals of `u64` and an answer for each.
#[derive(Debug)]
pub(super) struct Tree {
    /// Every level, the root's first.
    lines: Box<[Line]>,
    /// The number of lines of each level above the leaves, the root's first.
    inner: Box<[usize]>,
    /// The answer from 0 on, then the answer from each boundary on.
    values: Box<[u32]>,
}

impl Line {
    const UNUSED: Self = Self([u64::MAX; WIDTH]);

    /// The number of keys below `value`, found without a branch: three halvings of the first seven keys, and the
    /// eighth, which can only be below when all are.
    #[inline]
    fn rank(&self, value: u64) -> u32 {
        let keys = &self.0;
        let mut rank = usize::from(keys[3] < value) * 4;
        rank += usize::from(keys[rank + 1] < value) * 2;
        rank += usize::from(keys[rank] < value);
        rank += usize::from(keys[7] < value);
        rank as u32
    }
}

impl Tree {
    /// The tree that answers `values[i]` from the `i`-th of `0, bounds...` on. The boundaries ascend strictly, the
    /// first is over 0, and fewer than 2³² are given, with one value more.
    pub(super) fn new(bounds: &[u64], values: Vec<u32>) -> Self {
        assert_eq!(values.len(), bounds.len() + 1, "an answer for each interval");
        let levels = level_sizes(bounds.len());
        let mut lines = Vec::with_capacity(levels.iter().sum());
        for (depth, &size) in levels.iter().enumerate() {
            // How many lines of the leaves lie under one line of the next level.
            let stride = FANOUT.pow((levels.len() - depth).saturating_sub(2) as u32);
            let leaf = depth + 1 == levels.len();
            for line in 0..size {
                let first = |slot| {
                    if leaf { line * WIDTH + slot } else { (line * FANOUT + slot + 1) * stride * WIDTH }
                };
                let mut keys = Line::UNUSED;
                for (slot, key) in keys.0.iter_mut().enumerate() {
                    *key = bounds.get(first(slot)).map_or(u64::MAX, |bound| bound - 1);
                }
                lines.push(keys);
            }
        }
        let inner = &levels[..levels.len().saturating_sub(1)];
        Self { lines: lines.into(), inner: inner.into(), values: values.into() }
    }

    /// The memory held behind this value, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&*self.inner) + size_of_val(&*self.values)
    }

    /// The answer for one value.
    pub(super) fn find(&self, value: u64) -> u32 {
        let (mut rest, mut place) = (&*self.lines, 0);
        for &size in &self.inner {
            let (level, below) = rest.split_at(size);
            place = place * FANOUT + level[place].rank(value) as usize;
            rest = below;
        }
        if !rest.is_empty() {
            place = place * WIDTH + rest[place].rank(value) as usize;
        }
        self.values[place]
    }

    /// The answers for `values` into the same places of `out`, one level at a time for all of them.
    #[inline]
    pub(super) fn find_batch(&self, values: &[u64], out: &mut [u32]) {
        out.fill(0);
        let mut rest = &*self.lines;
        for &size in &self.inner {
            let (level, below) = rest.split_at(size);
            if size > NEAR_LINES / FANOUT {
                descend(level, FANOUT as u32, values, out, |place| prefetch(below, place));
            } else {
                descend(level, FANOUT as u32, values, out, |_| ());
            }
            rest = below;
        }
        if !rest.is_empty() {
            descend(rest, WIDTH as u32, values, out, |place| prefetch(&self.values, place));
        }
        for at in out {
            *at = self.values[*at as usize];
        }
    }
}

/// Takes each look-up from its line of `level`, of which every one has `ways`, to its place on the next, and calls
/// `arrive` with that.
#[inline(always)]
fn descend(level: &[Line], ways: u32, values: &[u64], places: &mut [u32], arrive: impl Fn(usize)) {
    for (place, &value) in places.iter_mut().zip(values) {
        *place = *place * ways + level[*place as usize].rank(value);
        arrive(*place as usize);
    }
}

/// The number of lines on each level, the root's first; none when there is no boundary.
fn level_sizes(bounds: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut size = bounds.div_ceil(WIDTH);
    while size > 0 {
        sizes.push(size);
        size = if size == 1 { 0 } else { size.div_ceil(FANOUT) };
    }
    sizes.reverse();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value near a boundary finds what a scan finds, for a tree of `bounds`.
    fn check(bounds: &[u64]) {
        let values: Vec<u32> = (0..=bounds.len() as u32).map(|i| i ^ 0x5555).collect();
        let tree = Tree::new(bounds, values.clone());
        let near = bounds.iter().flat_map(|&b| [b - 1, b, b.saturating_add(1)]);
        let probes: Vec<u64> = near.chain([0, 1, u64::MAX - 1, u64::MAX]).collect();
        let mut out = vec![0; probes.len()];
        tree.find_batch(&probes, &mut out);
        for (probe, found) in probes.into_iter().zip(out) {
            let expected = values[bounds.partition_point(|&b| b <= probe)];
            assert_eq!(found, expected, "{probe:#x} of {} boundaries", bounds.len());
            assert_eq!(tree.find(probe), expected);
        }
    }

    #[test]
    fn every_size_up_to_three_levels_and_the_edges_of_the_fourth_agree_with_a_scan() {
        let sizes = (0..=750).chain([8 * 729 - 1, 8 * 729, 8 * 729 + 1]);
        for size in sizes {
            check(&(1..=size).map(|i| i * 3).collect::<Vec<_>>());
            check(&(0..size).rev().map(|i| u64::MAX - i * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn neighbours_without_a_gap_and_both_ends_are_told_apart() {
        check(&[1, 2, 3, 4, 5, 6, 7, 8, 9, u64::MAX - 1, u64::MAX]);
        check(&[1]);
        check(&[u64::MAX]);
    }

    #[test]
    fn a_level_is_an_eighth_then_a_ninth_of_the_one_below() {
        assert_eq!(level_sizes(0), []);
        assert_eq!(level_sizes(8), [1]);
        assert_eq!(level_sizes(9), [1, 2]);
        assert_eq!(level_sizes(8 * 9 + 1), [1, 2, 10]);
        assert_eq!(level_sizes(u32::MAX as usize).len(), 11);
    }
}
