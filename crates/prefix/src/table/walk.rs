//! One look-up, and what many share with it.

use credence_memory::Line;

use super::hosts::Block;
use super::index::Index;
use super::leaf::{find, find_record, load};
use super::word::{LINK, Link, Root, Word};
use super::{NO_MATCH, Table};

/// A look-up whose answer would mix two states of the table, since it changed meanwhile.
pub(super) struct Changed;

impl Table {
    /// The record number of the longest prefix that contains `addr`.
    pub fn longest_match(&self, addr: u128) -> Option<u32> {
        let record = self.find(addr);
        (record != NO_MATCH).then_some(record)
    }

    /// As [`longest_match`](Self::longest_match), with [`NO_MATCH`] for none. Begins anew when a change came between two
    /// words that it read, so that it repeats only when a writer got on.
    pub(super) fn find(&self, addr: u128) -> u32 {
        loop {
            let (upper, _) = halves(addr);
            let place = Place::at(&self.lines, self.root(), upper);
            let found = find(&load(place.leaf()), upper, place.word.answer());
            if let Ok(found) = self.settle(addr, &place, found) {
                return found;
            }
        }
    }

    /// The answer when the leaf at `place` says `found`.
    pub(super) fn settle(&self, addr: u128, place: &Place<'_>, mut found: u32) -> Result<u32, Changed> {
        if found & LINK == 0 {
            return Ok(found);
        }
        if found != NO_MATCH {
            let (upper, lower) = halves(addr);
            if let Some(found) = self.find_inside(Link::of(found), lower)? {
                return Ok(found);
            }
            found = find_record(&load(place.leaf()), upper, place.word.answer());
        }
        if found == NO_MATCH {
            return place.inherited(self.root());
        }
        place.unchanged()?;
        Ok(found)
    }

    /// The record of the longest prefix that contains `lower` among those inside a /64.
    fn find_inside(&self, link: Link, lower: u64) -> Result<Option<u32>, Changed> {
        let root = match link {
            Link::Hosts(unit) => return Ok(Block::new(&self.lines, unit).find(lower)),
            Link::Leaf(line) => {
                let found = find(&load(&self.lines[line as usize]), lower, NO_MATCH);
                return Ok((found != NO_MATCH).then_some(found));
            }
            Link::Tree(root) => root,
        };
        let place = Place::at(&self.lines, root, lower);
        let mut found = find(&load(place.leaf()), lower, place.word.answer());
        if found == NO_MATCH {
            found = place.inherited(root)?;
        }
        Ok((found != NO_MATCH).then_some(found))
    }
}

/// Where a look-up has come to.
pub(super) struct Place<'a> {
    pub(super) lines: &'a [Line],
    pub(super) root: Root,
    /// The slot of the chunk in the top index.
    pub(super) outer: usize,
    pub(super) chunk: u32,
    /// The slot of the leaf in its chunk.
    pub(super) slot: usize,
    /// What the leaf's slot held.
    pub(super) word: Word,
}

impl<'a> Place<'a> {
    pub(super) fn at(lines: &'a [Line], root: Root, key: u64) -> Self {
        let top = Index::new(lines, root);
        let outer = top.slot(key);
        let chunk = top.word(outer).line();
        let inner = Index::chunk(lines, chunk);
        let slot = inner.slot(key);
        Self { lines, root, outer, chunk, slot, word: inner.word(slot) }
    }

    fn leaf(&self) -> &'a Line {
        &self.lines[self.word.line() as usize]
    }

    /// Whether the leaf's word is still what it was. It never becomes again what it was while a look-up goes on, since
    /// each change that a look-up could mistake takes a new line.
    fn unchanged(&self) -> Result<(), Changed> {
        let now = Index::chunk(self.lines, self.chunk).word(self.slot);
        if now == self.word { Ok(()) } else { Err(Changed) }
    }

    /// What the chunk's cover says, when it spoke for the leaf all the while; `root` is where the tree begins now.
    fn inherited(&self, root: Root) -> Result<u32, Changed> {
        let outer = Index::new(self.lines, self.root).word(self.outer);
        self.unchanged()?;
        if outer.line() == self.chunk && root == self.root { Ok(outer.answer()) } else { Err(Changed) }
    }
}

/// The upper and the lower 64 bits.
#[inline(always)]
pub(super) const fn halves(addr: u128) -> (u64, u64) {
    ((addr >> 64) as u64, addr as u64)
}

#[cfg(all(test, loom))]
#[path = "walk_model.rs"]
mod model;
