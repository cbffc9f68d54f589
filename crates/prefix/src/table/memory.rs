//! Writing a table's parts: leaves, blocks of hosts, trees.

use core::sync::atomic::Ordering::Relaxed;

use credence_memory::Line;

use super::hosts;
use super::index::{CHUNK_LEVELS, Index, levels_of, lines_of};
use super::leaf::{Entry, encode};
use super::pack::{Packed, Packer};
use super::space::{Full, Space};
use super::word::{Cover, Link, Root, Word};
use crate::Prefix;

/// Leaves that a chunk is filled with: seven nodes' full, and words that fill whole lines. A million random changes make an
/// eighth more of them, which few chunks are cut in two for.
const CHUNK_FILL: usize = 63;
/// The same, for a table that would need one level more with less.
const CHUNK_CRAM: usize = 71;
/// Entries of a leaf, about, in a routing table.
const LEAF_FILL: usize = 8;

/// Leaves that each chunk of a table of so many entries is filled with.
const fn chunk_fill(entries: usize) -> usize {
    let leaves = entries / LEAF_FILL;
    if levels_of(leaves.div_ceil(CHUNK_FILL)) > levels_of(leaves.div_ceil(CHUNK_CRAM)) {
        CHUNK_CRAM
    } else {
        CHUNK_FILL
    }
}

/// The memory of a table, and what of it is free. Whatever is written here is reached by no look-up before its place is
/// published.
pub(crate) struct Memory<'a> {
    pub(crate) lines: &'a [Line],
    pub(crate) space: &'a mut Space,
}

impl Memory<'_> {
    pub(crate) fn leaf(&mut self, words: &[u64; 8]) -> Result<u32, Full> {
        let at = self.space.line()?;
        for (cell, &word) in self.lines[at as usize].0.iter().zip(words) {
            cell.store(word, Relaxed);
        }
        Ok(at)
    }

    pub(crate) fn index(&mut self, levels: u32, slots: &[(u64, Word)]) -> Result<Root, Full> {
        let start = self.space.index(lines_of(slots.len(), levels))?;
        Ok(Index::write(self.lines, start, levels, slots))
    }

    pub(crate) fn chunk(&mut self, slots: &[(u64, Word)]) -> Result<u32, Full> {
        Ok(self.index(CHUNK_LEVELS, slots)?.line)
    }

    pub(crate) fn top(&mut self, chunks: &[(u64, Word)]) -> Result<Root, Full> {
        self.index(levels_of(chunks.len()), chunks)
    }

    /// The slot of a packed leaf in a chunk with this cover.
    pub(crate) fn slot(&mut self, leaf: &Packed, chunk: Cover) -> Result<(u64, Word), Full> {
        let cover = if leaf.cover.rank() == chunk.rank() { Cover::NONE } else { leaf.cover };
        Ok((leaf.last, Word::new(self.leaf(&leaf.words)?, cover)))
    }

    /// A tree of all leaves of a sweep over all keys. Its indexes lie side by side behind its leaves, so that those that
    /// changes replace leave room for larger ones, as soon as two neighbours are gone.
    pub(crate) fn tree(&mut self, mut packer: Packer<'_>) -> Result<Root, Full> {
        let fill = chunk_fill(packer.entries());
        let (mut slots, mut covers) = (Vec::new(), Vec::new());
        loop {
            let open = packer.open().to_vec();
            let leaves: Vec<Packed> = packer.by_ref().take(fill).collect();
            let Some(end) = leaves.last() else { break };
            let cover = open.iter().rev().find(|open| open.last() >= end.last);
            let cover = cover.map_or(Cover::NONE, |open| Cover::new(open.len, open.id));
            for leaf in &leaves {
                slots.push(self.slot(leaf, cover)?);
            }
            covers.push(cover);
        }
        let chunk = |(slots, cover): (&[(u64, Word)], Cover)| {
            let last = slots.last().map_or(u64::MAX, |slot| slot.0);
            Ok((last, Word::new(self.chunk(slots)?, cover)))
        };
        let chunks = slots.chunks(fill).zip(covers).map(chunk).collect::<Result<Vec<_>, _>>()?;
        self.top(&chunks)
    }

    /// Hosts of one /64 in a block; `Ok(None)` when there are too many.
    pub(crate) fn hosts(&mut self, hosts: &[(u64, u32)]) -> Result<Option<Link>, Full> {
        let Some(words) = hosts::encode(hosts) else { return Ok(None) };
        let unit = self.space.hosts(words.len().div_ceil(2))?;
        for (place, &word) in words.iter().enumerate() {
            let at = unit as usize * 2 + place;
            self.lines[at / 8].0[at % 8].store(word, Relaxed);
        }
        Ok(Some(Link::Hosts(unit)))
    }

    /// The prefixes inside one /64, in ascending order, in the form that suits them.
    pub(crate) fn inside(&mut self, items: impl IntoIterator<Item = (Prefix, u32)>) -> Result<Link, Full> {
        let entries: Vec<Entry> = items.into_iter().map(|(prefix, id)| lower(prefix, id)).collect();
        if entries.iter().all(|entry| entry.len == 64) {
            let hosts: Vec<(u64, u32)> = entries.iter().map(|entry| (entry.start, entry.id)).collect();
            if let Some(link) = self.hosts(&hosts)? {
                return Ok(link);
            }
        }
        if let Some(words) = encode(&entries) {
            return Ok(Link::Leaf(self.leaf(&words)?));
        }
        Ok(Link::Tree(self.tree(Packer::new(0, u64::MAX, Vec::new(), &entries))?))
    }
}

/// A prefix of /64 or shorter, over the upper half of addresses.
pub(crate) const fn upper(prefix: Prefix, id: u32) -> Entry {
    Entry { start: (prefix.first() >> 64) as u64, len: prefix.len(), id }
}

/// A prefix longer than /64, over the lower half.
pub(crate) const fn lower(prefix: Prefix, id: u32) -> Entry {
    Entry { start: prefix.first() as u64, len: prefix.len() - 64, id }
}
