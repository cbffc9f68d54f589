//! From prefixes in order to a table.

use core::fmt;

use super::memory::{Memory, upper};
use super::pack::Packer;
use super::space::{Full, Space};
use super::word::{LINK, MAX_LINES};
use super::{MAX_PREFIXES, MAX_RECORD, Table};
use crate::Prefix;
use crate::trie::Item;

/// Why no table can be built from what was given, or no more can go into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// This prefix comes twice, or after one that sorts behind it.
    Order(Prefix),
    /// The record number of this prefix is over [`MAX_RECORD`].
    Record(Prefix),
    /// There are more prefixes than [`MAX_PREFIXES`], or they need more than the 2 GiB that a table may take.
    TooMany,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(prefix) => write!(f, "{prefix} comes twice or out of order; sort the prefixes first"),
            Self::Record(prefix) => write!(f, "the record number of {prefix} is over {MAX_RECORD}"),
            Self::TooMany => {
                write!(f, "more prefixes than the {MAX_PREFIXES} that one table holds; split the set")
            }
        }
    }
}

impl core::error::Error for TableError {}

/// Checks what is to become a table. Items take half the memory of pairs, and there may be millions.
pub(crate) fn checked(
    items: impl IntoIterator<Item = (Prefix, u32)>,
    limit: usize,
) -> Result<Vec<Item<u32>>, TableError> {
    let items = items.into_iter();
    // At most so many come, and mostly as many. A list that grows by doubling would hold half as much again for nothing.
    let most = items.size_hint().1.unwrap_or(0).min(limit);
    let mut list: Vec<Item<u32>> = Vec::with_capacity(most);
    for (prefix, record) in items {
        if list.last().is_some_and(|previous| previous.prefix() >= prefix) {
            return Err(TableError::Order(prefix));
        }
        if record > MAX_RECORD {
            return Err(TableError::Record(prefix));
        }
        if list.len() == limit {
            return Err(TableError::TooMany);
        }
        list.push(Item::new(prefix, record));
    }
    Ok(list)
}

/// Lines of address space beyond what prefixes take, where few changes wait for readers.
pub(crate) const ROOM: usize = 1 << 12;

/// The table of `items`, in order, and what of its memory is free. There is address space for about ten times of what a
/// routing table's prefixes take; shapes that need more, nested ones, get more; and beyond that for so many lines of `room`. Only what is written to is memory.
pub(crate) fn build(items: &[Item<u32>], room: usize) -> Result<(Table, Space), TableError> {
    let mut lines = u32::try_from(items.len() + items.len() / 2 + room).unwrap_or(MAX_LINES).min(MAX_LINES);
    loop {
        match attempt(items, lines) {
            Ok(built) => return Ok(built),
            Err(Full) if lines == MAX_LINES => return Err(TableError::TooMany),
            Err(Full) => lines = (lines * 2).min(MAX_LINES),
        }
    }
}

fn attempt(items: &[Item<u32>], lines: u32) -> Result<(Table, Space), Full> {
    let table = Table::unrooted(lines as usize);
    let mut space = Space::new(1, lines);
    let mut memory = Memory { lines: &table.lines, space: &mut space };
    let mut entries = Vec::with_capacity(items.len());
    let mut rest = items;
    while let Some(item) = rest.first() {
        let prefix = item.prefix();
        let mut entry = upper(prefix, *item.value());
        let mut taken = 1;
        if prefix.len() > 64 {
            let subnet = Prefix::containing(prefix.first(), 64);
            taken = rest.iter().take_while(|item| subnet.covers(item.prefix())).count();
            entry = upper(subnet, memory.inside(rest[..taken].iter().map(Item::pair))?.id());
        }
        debug_assert!(entry.len <= 64 && (taken == 1 || entry.id & LINK != 0));
        entries.push(entry);
        rest = &rest[taken..];
    }
    let root = memory.tree(Packer::new(0, u64::MAX, Vec::new(), &entries))?;
    table.publish(root);
    table.account(items.len(), &space);
    Ok((table, space))
}
