//! The form of the map that the packet path walks.
//!
//! A [tree](index) of cache lines over the upper 64 bits of addresses leads to [leaves](leaf) of one line each, which hold
//! the prefixes of a range as ternary words. What covers a leaf whole stands beside the link to it, and what covers a whole
//! chunk of some seventy leaves beside the link to that, once; so a gap inherits what covers it, and a change to a wide
//! prefix touches the two leaves at its ends, the links between them in their chunks, and one word for each chunk in
//! between. Prefixes inside a /64 hang below it: a [block of hosts](hosts), or a tree of the same kind over the lower half.
//!
//! Leaves, hosts and nodes do not change while they can be reached. A change writes new ones beside and replaces one
//! word, so that a look-up sees what was before or what comes after. [`Publisher`](crate::Publisher) makes such changes;
//! a table that was [built](Table::build) alone has none.
//!
//! # The image
//!
//! A table is one array of 64-byte lines, all links are numbers of lines or of 16-byte units from its beginning, and a
//! look-up needs but loads and loops of at most sixteen steps: another process, or a program in the kernel, can walk the
//! same bytes. Words are 64 bits in the host's order. Version 3:
//!
//! - Line 0: word 0 is [`MAGIC`]; word 1 tells where the top index stands, bits 0 to 31 its line, 32 to 63 its levels.
//! - An index at line *l*: see [`index`]. Slot *s* has the word at `8 l - 2 - s`; node *i* of level *v* is line
//!   `l + (9^v - 1) / 8 + i`.
//! - The word of a slot: bits 3 to 27 the line of the chunk or leaf; bits 0 to 2 and above them 28 to 31 one more than the
//!   length of the prefix that covers all of it, 32 to 63 that prefix's record number, 0 and 2³² - 1 where no prefix does.
//! - A chunk is an index of two levels. A leaf: see [`leaf`]; hosts: see [`hosts`].
//! - In a leaf, a number with bit 31 set is a link into a /64. With bit 30 clear, bits 0 to 29 are the unit of a block of
//!   hosts; with bit 30 set, bits 0 to 24 and 25 to 28 are line and levels of a tree's top index, or, with no levels, the
//!   line of a single leaf.
//!
//! A walk answers with the first entry of the leaf that contains the key; behind a link, with what is found there or, if
//! nothing is, with the next entry that is a record; without an entry, with the leaf's cover, then the chunk's. Whoever
//! falls back from one word to another must see the first unchanged afterwards, or begin anew: in between, each may have
//! belonged to another state. Memory is used again only after every walk that could have seen it has ended.

mod batch;
pub(crate) mod build;
pub(crate) mod hosts;
pub(crate) mod index;
pub(crate) mod leaf;
pub(crate) mod memory;
pub(crate) mod pack;
mod runs;
pub(crate) mod space;
#[cfg(target_arch = "x86_64")]
mod vector;
mod walk;
pub(crate) mod word;

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicUsize};

pub use batch::Instructions;
pub use build::TableError;
use credence_memory::{Line, Lines};
use space::Space;
use word::Root;

use crate::Prefix;

/// The answer where no prefix matches.
pub const NO_MATCH: u32 = u32::MAX;

/// The largest record number that a table can answer with. The numbers above carry the table's own links.
pub const MAX_RECORD: u32 = word::LINK - 1;

/// The most prefixes that one table holds.
pub const MAX_PREFIXES: u32 = 1 << 24;

/// The first word of an image: letters, and the version of the format.
pub const MAGIC: u64 = u64::from_le_bytes(*b"crdprfx\x03");

/// A longest-prefix match table from prefixes to record numbers.
#[derive(Debug)]
pub struct Table {
    pub(crate) lines: Lines,
    /// Lines in use or free for use again.
    touched: AtomicU32,
    len: AtomicUsize,
}

impl Table {
    /// The place of the word that tells where the top index stands.
    pub(crate) const ROOT: usize = 1;

    /// The table of `items`, which come in the order of [`Prefix`], each prefix once. Takes linear time.
    ///
    /// A prefix takes six lines of 64 bytes at most, and the table 64 lines besides: so much takes each of two prefixes in the
    /// two halves of a /64, which need a tree of their own. Where there are only hosts, each takes five lines at most, where
    /// there is nothing longer than /64, three; a routing table's shape takes about a sixth of one.
    ///
    /// # Errors
    /// When the items are out of order, a record number is over [`MAX_RECORD`], or there are more than
    /// [`MAX_PREFIXES`] or than 2 GiB of table can hold.
    pub fn build(items: impl IntoIterator<Item = (Prefix, u32)>) -> Result<Self, TableError> {
        Ok(build::build(&build::checked(items, MAX_PREFIXES as usize)?, build::ROOM)?.0)
    }

    /// The number of prefixes that it holds.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Whether it holds no prefix.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory held, in bytes: all that was ever written to, what is free again included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.touched.load(Relaxed) as usize * size_of::<Line>()
    }

    /// The image, as the module's documentation specifies it.
    pub fn image(&self) -> &[Line] {
        &self.lines[..self.touched.load(Relaxed) as usize]
    }

    pub(crate) fn unrooted(lines: usize) -> Self {
        let lines = Lines::zeroed(lines);
        lines[0].0[0].store(MAGIC, Relaxed);
        Self { lines, touched: AtomicU32::new(1), len: AtomicUsize::new(0) }
    }

    #[inline(always)]
    pub(crate) fn root(&self) -> Root {
        Root::of(self.lines[0].0[Self::ROOT].load(Acquire))
    }

    /// Lets look-ups begin at another top index from now on.
    pub(crate) fn publish(&self, root: Root) {
        self.lines[0].0[Self::ROOT].store(root.word(), Release);
    }

    /// Notes how many prefixes and how much memory there are.
    pub(crate) fn account(&self, len: usize, space: &Space) {
        self.len.store(len, Relaxed);
        self.touched.store(space.touched(), Relaxed);
    }
}

/// The table of no prefixes.
impl Default for Table {
    fn default() -> Self {
        Self::build([]).expect("nothing is in no wrong order")
    }
}
