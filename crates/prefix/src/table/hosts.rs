//! The second stage: what lies inside those /64s that hold prefixes longer than /64.

use super::tree::Tree;
use credence_memory::prefetch;

/// A /64 with more boundaries than these gets a tree of its own. Below, a halving search touches at most a handful of
/// neighbouring cache lines, and whole lines would waste memory: most such /64s hold a few single addresses.
const PACKED_MAX: usize = 64;

/// The intervals of many /64s, numbered in the order in which they were pushed.
#[derive(Debug)]
pub(super) struct Hosts {
    /// Where each block's boundaries start, and the end of the last. A block without any is a tree of its own.
    starts: Vec<u32>,
    /// The boundaries of all packed blocks, over the lower 64 bits.
    bounds: Vec<u64>,
    /// The answers of all packed blocks. A block has one more than boundaries, so that block `i` starts at
    /// `starts[i] + i`; the only one of a block without boundaries is its place in `trees`.
    values: Vec<u32>,
    trees: Vec<Tree>,
}

impl Default for Hosts {
    fn default() -> Self {
        Self { starts: vec![0], bounds: Vec::new(), values: Vec::new(), trees: Vec::new() }
    }
}

impl Hosts {
    /// Adds a block that answers `values[i]` from the `i`-th of `0, bounds...` on, and returns its number. There is at
    /// least one boundary, they ascend strictly, and there is one value more.
    pub(super) fn push(&mut self, bounds: &[u64], values: &[u32]) -> u32 {
        debug_assert!(!bounds.is_empty() && values.len() == bounds.len() + 1);
        let block = self.starts.len() - 1;
        if bounds.len() > PACKED_MAX {
            self.values.push(self.trees.len() as u32);
            self.trees.push(Tree::new(bounds, values.to_vec()));
        } else {
            self.bounds.extend_from_slice(bounds);
            self.values.extend_from_slice(values);
        }
        self.starts.push(self.bounds.len() as u32);
        block as u32
    }

    /// Gives back what growing took too much.
    pub(super) fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.bounds.shrink_to_fit();
        self.values.shrink_to_fit();
        self.trees.shrink_to_fit();
    }

    /// The memory held behind this value, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.starts.capacity() * size_of::<u32>()
            + self.bounds.capacity() * size_of::<u64>()
            + self.values.capacity() * size_of::<u32>()
            + self.trees.capacity() * size_of::<Tree>()
            + self.trees.iter().map(Tree::bytes).sum::<usize>()
    }

    /// Asks for where a block starts, to be followed by [`prefetch_block`](Self::prefetch_block) a little later.
    #[inline]
    pub(super) fn prefetch_start(&self, block: u32) {
        prefetch(&self.starts, block as usize);
    }

    /// Asks for the first of a block's intervals.
    #[inline]
    pub(super) fn prefetch_block(&self, block: u32) {
        let start = self.starts[block as usize] as usize;
        prefetch(&self.bounds, start);
        prefetch(&self.values, start + block as usize);
    }

    /// The answer of a block for the lower half of an address.
    #[inline]
    pub(super) fn find(&self, block: u32, lower: u64) -> u32 {
        let block = block as usize;
        let (start, end) = (self.starts[block] as usize, self.starts[block + 1] as usize);
        let value = start + block;
        if start == end {
            return self.trees[self.values[value] as usize].find(lower);
        }
        let rank = self.bounds[start..end].partition_point(|&bound| bound <= lower);
        self.values[value + rank]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_blocks_and_trees_stand_side_by_side() {
        let mut hosts = Hosts::default();
        let blocks: Vec<(Vec<u64>, Vec<u32>)> = [1, PACKED_MAX, PACKED_MAX + 1, 2, 500, 1]
            .into_iter()
            .enumerate()
            .map(|(block, size)| {
                let bounds = (1..=size as u64).map(|i| i * 10).collect();
                (bounds, (0..=size as u32).map(|i| i + 1000 * block as u32).collect())
            })
            .collect();
        for (number, (bounds, values)) in blocks.iter().enumerate() {
            assert_eq!(hosts.push(bounds, values), number as u32);
        }
        hosts.shrink();
        for (number, (bounds, values)) in blocks.iter().enumerate() {
            for lower in (0..6000).chain([u64::MAX]) {
                let expected = values[bounds.partition_point(|&bound| bound <= lower)];
                assert_eq!(hosts.find(number as u32, lower), expected);
            }
        }
    }
}
