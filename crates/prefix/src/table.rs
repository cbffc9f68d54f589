//! The immutable form of the map that the packet path walks.
//!
//! Nested prefixes cut the address space into intervals on each of which the longest match is the same. The table
//! keeps the intervals' first addresses in order and an answer for each, so that a look-up is one search by rank,
//! without backtracking. Nearly all routed prefixes are /64 or shorter; therefore the search goes over the upper 64
//! bits alone, eight to a cache line, and only a /64 that holds longer prefixes has a second search over its lower
//! half.

mod build;
mod hosts;
mod tree;

pub use build::TableError;

use crate::Prefix;
use hosts::Hosts;
use tree::Tree;

/// The answer where no prefix matches.
pub const NO_MATCH: u32 = u32::MAX;

/// The largest record number that a table can answer with. The numbers above carry the table's own links.
pub const MAX_RECORD: u32 = SECOND_STAGE - 1;

/// The most prefixes that one table holds: their intervals, twice as many and one, are still numbered in 32 bits.
pub const MAX_PREFIXES: u32 = (1 << 31) - 1;

/// In an answer of the first search: the number below leads to a /64's own intervals. [`NO_MATCH`] has this bit too and
/// is no such link, since fewer than 2³¹ of them exist.
const SECOND_STAGE: u32 = 1 << 31;

/// How many look-ups go down together. Each level's cache lines for all of them are independent loads, which is what
/// hides the memory. Twice and four times as many were measured to gain a twentieth at 281,000 prefixes, and up to a
/// fifth at a million, where the table outgrows the caches; callers' batches are seldom that long.
const LANES: usize = 64;

/// A longest-prefix match table from prefixes to record numbers.
#[derive(Debug)]
pub struct Table {
    upper: Tree,
    hosts: Hosts,
    len: usize,
}

impl Table {
    /// The table of `items`, which come in the order of [`Prefix`], each prefix once. Takes linear time, and memory
    /// for at most two intervals an item.
    ///
    /// # Errors
    /// When the items are out of order, a record number is over [`MAX_RECORD`], or there are more than
    /// [`MAX_PREFIXES`].
    pub fn build(items: impl IntoIterator<Item = (Prefix, u32)>) -> Result<Self, TableError> {
        build::build(items, MAX_PREFIXES as usize)
    }

    /// The number of prefixes that it was built from.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it was built from no prefix.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memory held, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.upper.bytes() + self.hosts.bytes()
    }

    /// The record number of the longest prefix that contains `addr`.
    pub fn longest_match(&self, addr: u128) -> Option<u32> {
        let (upper, lower) = halves(addr);
        let word = self.upper.find(upper);
        let record = if is_link(word) { self.hosts.find(block(word), lower) } else { word };
        (record != NO_MATCH).then_some(record)
    }

    /// Writes to each place of `out` the record number for the address at the same place of `addrs`, or [`NO_MATCH`].
    /// Many times faster than one by one, as soon as there are a few.
    ///
    /// # Panics
    /// When the two slices differ in length.
    pub fn longest_match_batch(&self, addrs: &[u128], out: &mut [u32]) {
        assert_eq!(addrs.len(), out.len(), "one place for each answer");
        for (addrs, out) in addrs.chunks(LANES).zip(out.chunks_mut(LANES)) {
            self.match_chunk(addrs, out);
        }
    }

    /// A batch of at most [`LANES`].
    fn match_chunk(&self, addrs: &[u128], out: &mut [u32]) {
        let mut keys = [0; LANES];
        for (key, &addr) in keys.iter_mut().zip(addrs) {
            *key = halves(addr).0;
        }
        self.upper.find_batch(&keys[..addrs.len()], out);

        // The lanes that go on are listed without a branch, since which they are cannot be predicted.
        let (mut lanes, mut count) = ([0; LANES], 0);
        for (lane, &word) in out.iter().enumerate() {
            lanes[count] = lane;
            count += usize::from(is_link(word));
        }
        let lanes = &lanes[..count];
        for &lane in lanes {
            self.hosts.prefetch_start(block(out[lane]));
        }
        for &lane in lanes {
            self.hosts.prefetch_block(block(out[lane]));
        }
        for &lane in lanes {
            out[lane] = self.hosts.find(block(out[lane]), halves(addrs[lane]).1);
        }
    }
}

/// The table of no prefixes.
impl Default for Table {
    fn default() -> Self {
        Self { upper: Tree::new(&[], vec![NO_MATCH]), hosts: Hosts::default(), len: 0 }
    }
}

const fn halves(addr: u128) -> (u64, u64) {
    ((addr >> 64) as u64, addr as u64)
}

/// Whether an answer of the first search leads to a second.
const fn is_link(word: u32) -> bool {
    // One comparison for both: NO_MATCH wraps to zero.
    word.wrapping_add(1) > SECOND_STAGE
}

/// The number of the block that a link leads to.
const fn block(link: u32) -> u32 {
    link & !SECOND_STAGE
}
