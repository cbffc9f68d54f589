//! Changes to one tree of a table, in place.
//!
//! A change writes the lines that it changes anew and publishes each with one word. Most prefixes lie inside one leaf:
//! for them that is one line and one word. A wide one is an entry of the leaves in which it begins and ends, and covers
//! what lies between: leaf by leaf in the chunks where it begins and ends, chunk by chunk in between.
//!
//! Where a leaf overflows or leaves side by side would do with one less, they are packed anew, see `repack`.

use core::cell::OnceCell;

use credence_memory::Line;

use super::limbo::Limbo;
use super::repack;
use super::stage::Stage;
use crate::Trie;
use crate::table::index::Index;
use crate::table::leaf::{Entry, decode, encode, find, load};
use crate::table::memory::Memory;
use crate::table::space::{Full, Piece, Space, Written};
use crate::table::word::{Cover, LINK, Root, Word};
use crate::table::{NO_MATCH, Table};

/// What happens to a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// It is there from now on, with this number.
    Insert(Entry),
    /// It is gone.
    Remove(Entry),
}

impl Change {
    pub(super) const fn entry(&self) -> &Entry {
        match self {
            Self::Insert(entry) | Self::Remove(entry) => entry,
        }
    }

    /// Makes the change in a list of entries in ascending order; whether that changed anything.
    pub(super) fn apply(&self, entries: &mut Vec<Entry>) -> bool {
        let own = self.entry();
        match (entries.binary_search_by_key(&own.order(), Entry::order), self) {
            (Ok(at), Self::Insert(_)) if entries[at].id == own.id => return false,
            (Ok(at), Self::Insert(_)) => entries[at] = *own,
            (Err(at), Self::Insert(_)) => entries.insert(at, *own),
            (Ok(at), Self::Remove(_)) => drop(entries.remove(at)),
            (Err(_), Self::Remove(_)) => return false,
        }
        true
    }

    /// Whether the prefix covers all of a range.
    pub(super) const fn spans(&self, first: u64, last: u64) -> bool {
        let own = self.entry();
        !own.is_link() && own.start <= first && last <= own.last()
    }
}

/// The leaf of a key, and its chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// The chunk's slot in the top index, its line, and its first and last key.
    pub(super) outer: usize,
    pub(super) chunk: u32,
    pub(super) chunk_first: u64,
    pub(super) chunk_last: u64,
    /// The leaf's slot in the chunk, its first and last key.
    pub(super) slot: usize,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Memory that changes use again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The entries of the leaf that is being changed.
    leaf: Vec<Entry>,
    pub(super) repack: repack::Scratch,
}

/// A tree that is being changed.
pub(super) struct Tree<'a> {
    pub(super) table: &'a Table,
    pub(super) space: &'a mut Space,
    pub(super) limbo: &'a mut Limbo,
    pub(super) trie: &'a Trie<u32>,
    pub(super) stage: Stage,
    pub(super) root: Root,
    /// What happens to it.
    pub(super) change: Change,
    /// What covers the range of a removed prefix now, once that was asked.
    pub(super) parent: OnceCell<Cover>,
    /// How often leaves were packed anew.
    pub(super) repacks: &'a mut u64,
    /// Memory that changes use again.
    pub(super) scratch: &'a mut Scratch,
}

impl<'a> Tree<'a> {
    /// Makes the change, which the trie has seen already.
    pub(super) fn apply(&mut self) -> Result<(), Full> {
        let own = *self.change.entry();
        let home = self.spot(own.start);
        let inside = own.last() <= home.last;
        if home.first < own.start || (inside && own.last() < home.last) || own.is_link() {
            self.edit(home)?;
            if inside {
                return Ok(());
            }
        }
        let end = self.spot(own.last());
        if own.start < end.first && own.last() < end.last {
            self.edit(end)?;
        }
        self.cover()
    }

    /// The number of a link at `key`.
    pub(super) fn link(&self, key: u64) -> Option<u32> {
        let spot = self.spot(key);
        // Nothing is more specific.
        let found = find(&self.leaf(spot.chunk, spot.slot), key, NO_MATCH);
        (found != NO_MATCH && found & LINK != 0).then_some(found)
    }

    /// Gives back everything that the tree consists of; look-ups must not reach it any more.
    pub(super) fn retire(&mut self) {
        let top = self.top();
        for outer in 0..top.slots() {
            let chunk = Index::chunk(self.lines(), top.word(outer).line());
            for slot in 0..chunk.slots() {
                self.limbo.retire(Piece::Line(chunk.word(slot).line()));
            }
            self.retire_index(&chunk);
        }
        self.retire_index(&top);
    }

    /// The cover of a range that the changed prefix covers whole, which had `cover`.
    pub(super) fn covered(&self, cover: Cover) -> Cover {
        let entry = self.change.entry();
        let own = Cover::new(entry.len, entry.id);
        match self.change {
            Change::Insert(_) if cover.rank() <= own.rank() => own,
            Change::Remove(_) if cover.rank() == own.rank() => {
                *self.parent.get_or_init(|| self.stage.parent(self.trie, entry))
            }
            _ => cover,
        }
    }

    pub(super) fn lines(&self) -> &'a [Line] {
        &self.table.lines
    }

    pub(super) fn top(&self) -> Index<'a> {
        Index::new(self.lines(), self.root)
    }

    pub(super) fn leaf(&self, chunk: u32, slot: usize) -> [u64; 8] {
        load(&self.lines()[Index::chunk(self.lines(), chunk).word(slot).line() as usize])
    }

    pub(super) fn memory(&mut self) -> Memory<'_> {
        Memory { lines: &self.table.lines, space: self.space }
    }

    fn spot(&self, key: u64) -> Spot {
        let top = self.top();
        let (outer, chunk_first, chunk_last) = top.locate(key, (0, u64::MAX));
        let chunk = top.word(outer).line();
        let (slot, first, last) = Index::chunk(self.lines(), chunk).locate(key, (chunk_first, chunk_last));
        Spot { outer, chunk, chunk_first, chunk_last, slot, first, last }
    }

    /// Makes the change among the entries of one leaf.
    fn edit(&mut self, spot: Spot) -> Result<(), Full> {
        let chunk = Index::chunk(self.lines(), spot.chunk);
        self.scratch.leaf.clear();
        decode(&self.leaf(spot.chunk, spot.slot), &mut self.scratch.leaf);
        if !self.change.apply(&mut self.scratch.leaf) {
            return Ok(());
        }
        if let Some(slots) = self.joins(&spot)
            && self.repack(&spot, slots, true)?
        {
            return Ok(());
        }
        let Some(words) = encode(&self.scratch.leaf) else {
            return self.repack(&spot, self.shares(&spot), false).map(drop);
        };
        let line = self.memory().leaf(&words)?;
        self.replace(&chunk, spot.slot, line, chunk.word(spot.slot).cover());
        Ok(())
    }

    /// Replaces a slot's word: look-ups see what it led to before, or what it leads to now.
    pub(super) fn publish(&mut self, index: &Index<'_>, slot: usize, word: Word) {
        index.publish(slot, word);
        self.space.note(Written::Word(index.place(slot)));
    }

    /// Publishes a new line and cover in a leaf's slot.
    fn replace(&mut self, chunk: &Index<'_>, slot: usize, line: u32, cover: Cover) {
        let old = chunk.word(slot);
        self.publish(chunk, slot, Word::new(line, cover));
        if line != old.line() {
            self.limbo.retire(Piece::Line(old.line()));
        }
    }

    /// Makes the change where the prefix covers leaves or chunks whole.
    fn cover(&mut self) -> Result<(), Full> {
        let (start, last) = (self.change.entry().start, self.change.entry().last());
        let home = self.spot(start);
        let mut next = if home.first < start { home.last.checked_add(1) } else { Some(start) };
        while let Some(key) = next.filter(|&key| key <= last) {
            let spot = self.spot(key);
            if start <= spot.chunk_first && spot.chunk_last <= last {
                let (top, word) = (self.top(), self.top().word(spot.outer));
                self.publish(&top, spot.outer, Word::new(word.line(), self.covered(word.cover())));
            } else {
                self.cover_leaves(&spot, last)?;
            }
            next = spot.chunk_last.checked_add(1);
        }
        Ok(())
    }

    /// Makes the change in the covers of a chunk's leaves, from the leaf at `spot` on, as far as they end by `last`.
    fn cover_leaves(&mut self, spot: &Spot, last: u64) -> Result<(), Full> {
        let chunk = Index::chunk(self.lines(), spot.chunk);
        let chunk_cover = self.top().word(spot.outer).cover();
        for slot in spot.slot..chunk.slots() {
            let leaf_last = if slot + 1 == chunk.slots() { spot.chunk_last } else { chunk.last(slot) };
            if leaf_last > last {
                break;
            }
            let word = chunk.word(slot);
            let mut cover = self.covered(word.cover());
            let mut line = word.line();
            if cover == word.cover() {
                continue;
            }
            if cover.rank() == chunk_cover.rank() {
                // From now on the chunk's cover speaks for the leaf. A look-up that falls back on it tells by the leaf's
                // word that this was so all the while; so the word must be one that was not there before.
                cover = Cover::NONE;
                let words = load(&self.lines()[line as usize]);
                line = self.memory().leaf(&words)?;
            }
            self.replace(&chunk, slot, line, cover);
        }
        Ok(())
    }
}

/// The first key of a slot of an index that begins with `first`.
pub(super) fn begin(index: &Index<'_>, slot: usize, first: u64) -> u64 {
    slot.checked_sub(1).map_or(first, |before| index.last(before) + 1)
}
