//! Changes to one tree of a table, in place.
//!
//! A change writes the lines that it changes anew and publishes each with one word. Most prefixes lie inside one leaf:
//! for them that is one line and one word. A wide one is an entry of the leaves in which it begins and ends, and covers
//! what lies between: leaf by leaf in the chunks where it begins and ends, chunk by chunk in between.
//!
//! A leaf that overflows is packed anew together with its neighbours, so that leaves stay full; so is one that has
//! become nearly empty. Then the chunk's index, some ten kilobytes, is written anew.

use core::cell::OnceCell;

use credence_memory::Line;

use super::limbo::Limbo;
use super::stage::Stage;
use crate::Trie;
use crate::table::index::{CHUNK_SLOTS, Index};
use crate::table::leaf::{ENTRIES_MAX, Entry, count, decode, encode, load};
use crate::table::memory::Memory;
use crate::table::pack::Packer;
use crate::table::space::{Full, Piece, Space};
use crate::table::word::{Cover, Root, Word};

/// A chunk with fewer leaves joins a neighbour, if the two together are not more than [`CHUNK_JOINED`].
const CHUNK_FEW: usize = CHUNK_SLOTS / 5;
/// Leaves of two chunks that become one at most: far from where it would be cut in two again.
const CHUNK_JOINED: usize = CHUNK_SLOTS * 2 / 3;
/// A leaf that has this many entries left is joined to a neighbour, if the two together are not more than
/// [`LEAF_JOINED`].
const LEAF_FEW: usize = 3;
const LEAF_JOINED: usize = 6;

/// What happens to a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// It is there from now on, with this number.
    Insert(Entry),
    /// It is gone.
    Remove(Entry),
}

impl Change {
    const fn entry(&self) -> &Entry {
        match self {
            Self::Insert(entry) | Self::Remove(entry) => entry,
        }
    }

    /// Makes the change in a list of entries in ascending order; whether that changed anything.
    fn apply(&self, entries: &mut Vec<Entry>) -> bool {
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
    const fn spans(&self, first: u64, last: u64) -> bool {
        let own = self.entry();
        !own.is_link() && own.start <= first && last <= own.last()
    }
}

/// The leaf of a key, and its chunk.
#[derive(Clone, Copy, Debug)]
struct Spot {
    /// The chunk's slot in the top index, its line, and its first and last key.
    outer: usize,
    chunk: u32,
    chunk_first: u64,
    chunk_last: u64,
    /// The leaf's slot in the chunk, its first and last key.
    slot: usize,
    first: u64,
    last: u64,
}

/// A tree that is being changed.
pub(super) struct Tree<'a> {
    pub(super) lines: &'a [Line],
    pub(super) space: &'a mut Space,
    pub(super) limbo: &'a mut Limbo,
    pub(super) trie: &'a Trie<u32>,
    pub(super) stage: Stage,
    pub(super) root: Root,
    /// What happens to it.
    pub(super) change: Change,
    /// Lets look-ups begin at another top index from now on.
    pub(super) publish: &'a dyn Fn(Root),
    /// What covers the range of a removed prefix now, once that was asked.
    pub(super) parent: OnceCell<Cover>,
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
        let mut entries = Vec::new();
        decode(&self.leaf(spot.chunk, spot.slot), &mut entries);
        entries.iter().find(|entry| entry.is_link() && entry.start == key).map(|entry| entry.id)
    }

    /// Gives back everything that the tree consists of; look-ups must not reach it any more.
    pub(super) fn retire(&mut self) {
        let top = self.top();
        for outer in 0..top.slots() {
            let chunk = Index::chunk(self.lines, top.word(outer).line());
            for slot in 0..chunk.slots() {
                self.limbo.retire(Piece::Line(chunk.word(slot).line()));
            }
            self.retire_index(&chunk);
        }
        self.retire_index(&top);
    }

    /// The cover of a range that the changed prefix covers whole, which had `cover`.
    fn covered(&self, cover: Cover) -> Cover {
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

    const fn top(&self) -> Index<'a> {
        Index::new(self.lines, self.root)
    }

    fn leaf(&self, chunk: u32, slot: usize) -> [u64; 8] {
        load(&self.lines[Index::chunk(self.lines, chunk).word(slot).line() as usize])
    }

    const fn memory(&mut self) -> Memory<'_> {
        Memory { lines: self.lines, space: self.space }
    }

    fn spot(&self, key: u64) -> Spot {
        let top = self.top();
        let outer = top.slot(key);
        let chunk = top.word(outer).line();
        let (chunk_first, chunk_last) = (begin(&top, outer, 0), top.last(outer));
        let inner = Index::chunk(self.lines, chunk);
        let slot = inner.slot(key);
        let last = if slot + 1 == inner.slots() { chunk_last } else { inner.last(slot) };
        Spot { outer, chunk, chunk_first, chunk_last, slot, first: begin(&inner, slot, chunk_first), last }
    }

    /// Makes the change among the entries of one leaf.
    fn edit(&mut self, spot: Spot) -> Result<(), Full> {
        let mut entries = Vec::with_capacity(ENTRIES_MAX + 1);
        decode(&self.leaf(spot.chunk, spot.slot), &mut entries);
        if !self.change.apply(&mut entries) {
            return Ok(());
        }
        if entries.len() <= LEAF_FEW
            && matches!(self.change, Change::Remove(_))
            && self.joins(&spot, entries.len())
        {
            return self.repack(&spot);
        }
        let Some(words) = encode(&entries) else { return self.repack(&spot) };
        let chunk = Index::chunk(self.lines, spot.chunk);
        let line = self.memory().leaf(&words)?;
        self.replace(&chunk, spot.slot, line, chunk.word(spot.slot).cover());
        Ok(())
    }

    /// Publishes a new line and cover in a leaf's slot.
    fn replace(&mut self, chunk: &Index<'_>, slot: usize, line: u32, cover: Cover) {
        let old = chunk.word(slot);
        chunk.publish(slot, Word::new(line, cover));
        if line != old.line() {
            self.limbo.retire(Piece::Line(old.line()));
        }
    }

    /// Whether a leaf with so few entries would go into one with a neighbour.
    fn joins(&self, spot: &Spot, own: usize) -> bool {
        let slots = Index::chunk(self.lines, spot.chunk).slots();
        let neighbours = [spot.slot.checked_sub(1), Some(spot.slot + 1).filter(|&slot| slot < slots)];
        neighbours.into_iter().flatten().any(|slot| own + count(&self.leaf(spot.chunk, slot)) <= LEAF_JOINED)
    }

    /// Packs the leaf and its neighbours in the chunk anew, with the change.
    fn repack(&mut self, spot: &Spot) -> Result<(), Full> {
        let chunk = Index::chunk(self.lines, spot.chunk);
        let (from, to) = (spot.slot.saturating_sub(1), (spot.slot + 1).min(chunk.slots() - 1));
        let first = begin(&chunk, from, spot.chunk_first);
        let last = if to + 1 == chunk.slots() { spot.chunk_last } else { chunk.last(to) };
        let (open, entries) = self.gather(&chunk, from..=to, first);
        let cover = self.top().word(spot.outer).cover();
        let mut slots = slots_of(&chunk, spot.chunk_last);
        let mut packed = Vec::with_capacity(4);
        for leaf in Packer::new(first, last, open, &entries) {
            packed.push(self.memory().slot(&leaf, cover)?);
        }
        for slot in slots.splice(from..=to, packed) {
            self.limbo.retire(Piece::Line(slot.1.line()));
        }
        self.lay(spot, &slots)
    }

    /// What the leaves of a range of slots that begins with `first` hold, with the change: the records that begin before,
    /// and the entries that begin there.
    fn gather(
        &self,
        chunk: &Index<'_>,
        range: core::ops::RangeInclusive<usize>,
        first: u64,
    ) -> (Vec<Entry>, Vec<Entry>) {
        let covering = |key: u64| self.stage.covering(self.trie, key);
        let open = covering(first).filter(|entry| entry.start < first).collect();
        let mut entries = Vec::with_capacity(32);
        let mut key = first;
        for slot in range {
            // What covers a leaf whole is no entry of it; if it begins in this range, it begins with the leaf.
            entries.extend(covering(key));
            decode(&load(&self.lines[chunk.word(slot).line() as usize]), &mut entries);
            key = chunk.last(slot).wrapping_add(1);
        }
        entries.retain(|entry| entry.start >= first);
        entries.sort_unstable_by_key(Entry::order);
        entries.dedup_by_key(|entry| entry.order());
        if self.change.entry().start >= first {
            self.change.apply(&mut entries);
        }
        (open, entries)
    }

    /// Writes a chunk's index anew, in two if it has become too large, with a neighbour's if too small.
    fn lay(&mut self, spot: &Spot, slots: &[(u64, Word)]) -> Result<(), Full> {
        let cover = self.top().word(spot.outer).cover();
        if slots.len() > CHUNK_SLOTS {
            let (left, right) = slots.split_at(slots.len() / 2);
            let middle = left.last().map_or(spot.chunk_first, |slot| slot.0);
            let left = self.rebased(left, cover, spot.chunk_first, middle)?;
            let right = self.rebased(right, cover, middle + 1, spot.chunk_last)?;
            return self.lay_top(spot.outer..=spot.outer, &[left, right]);
        }
        if slots.len() < CHUNK_FEW && self.join(spot, slots)? {
            return Ok(());
        }
        let old = Index::chunk(self.lines, spot.chunk);
        let line = self.memory().chunk(slots)?;
        self.top().publish(spot.outer, Word::new(line, cover));
        self.retire_index(&old);
        Ok(())
    }

    /// Makes one chunk of a small one, with these slots, and a neighbour, if that leaves room.
    fn join(&mut self, spot: &Spot, slots: &[(u64, Word)]) -> Result<bool, Full> {
        let top = self.top();
        let fits = |&outer: &usize| {
            let line = top.word(outer).line();
            Index::chunk(self.lines, line).slots() + slots.len() <= CHUNK_JOINED
        };
        let right = Some(spot.outer + 1).filter(|&outer| outer < top.slots());
        let Some(other) = [spot.outer.checked_sub(1), right].into_iter().flatten().find(fits) else {
            return Ok(false);
        };
        let (from, to) = (spot.outer.min(other), spot.outer.max(other));
        let (first, last) = (begin(&top, from, 0), top.last(to));
        let word = top.word(other);
        let others = slots_of(&Index::chunk(self.lines, word.line()), top.last(other));
        let mut joined = Vec::with_capacity(slots.len() + others.len());
        let mut own: Vec<_> =
            slots.iter().map(|&slot| explicit(slot, top.word(spot.outer).cover())).collect();
        let mut others: Vec<_> = others.into_iter().map(|slot| explicit(slot, word.cover())).collect();
        if other < spot.outer {
            core::mem::swap(&mut own, &mut others);
        }
        joined.append(&mut own);
        joined.append(&mut others);
        let chunk = self.rebased(&joined, Cover::NONE, first, last)?;
        self.lay_top(from..=to, &[chunk])?;
        Ok(true)
    }

    /// A chunk from `first` to `last` of leaves that lay below `cover`, and its slot.
    fn rebased(
        &mut self,
        slots: &[(u64, Word)],
        cover: Cover,
        first: u64,
        last: u64,
    ) -> Result<(u64, Word), Full> {
        let own = self.stage.cover(self.trie, first, last);
        let (mut from, mut rebased) = (first, Vec::with_capacity(slots.len()));
        for &slot in slots {
            let (last, word) = explicit(slot, cover);
            // The trie has seen the change, and this leaf may not have.
            let now = if self.change.spans(from, last) { self.covered(word.cover()) } else { word.cover() };
            let now = if now.rank() <= own.rank() { Cover::NONE } else { now };
            rebased.push((last, Word::new(word.line(), now)));
            from = last.wrapping_add(1);
        }
        Ok((last, Word::new(self.memory().chunk(&rebased)?, own)))
    }

    /// Writes the top index anew with these chunks in the place of a range of old ones.
    fn lay_top(
        &mut self,
        range: core::ops::RangeInclusive<usize>,
        chunks: &[(u64, Word)],
    ) -> Result<(), Full> {
        let (lines, old_root) = (self.lines, self.root);
        let old = Index::new(lines, old_root);
        let mut slots = slots_of(&old, u64::MAX);
        let gone: Vec<(u64, Word)> = slots.splice(range, chunks.iter().copied()).collect();
        self.root = self.memory().top(&slots)?;
        (self.publish)(self.root);
        for (_, word) in gone {
            self.retire_index(&Index::chunk(lines, word.line()));
        }
        self.retire_index(&old);
        Ok(())
    }

    fn retire_index(&mut self, index: &Index<'_>) {
        let (first, lines) = index.extent();
        self.limbo.retire(Piece::Index(first, lines));
    }

    /// Makes the change where the prefix covers leaves or chunks whole.
    fn cover(&mut self) -> Result<(), Full> {
        let (start, last) = (self.change.entry().start, self.change.entry().last());
        let home = self.spot(start);
        let mut next = if home.first < start { home.last.checked_add(1) } else { Some(start) };
        while let Some(key) = next.filter(|&key| key <= last) {
            let spot = self.spot(key);
            if start <= spot.chunk_first && spot.chunk_last <= last {
                let word = self.top().word(spot.outer);
                self.top().publish(spot.outer, Word::new(word.line(), self.covered(word.cover())));
            } else {
                self.cover_leaves(&spot, last)?;
            }
            next = spot.chunk_last.checked_add(1);
        }
        Ok(())
    }

    /// Makes the change in the covers of a chunk's leaves, from the leaf at `spot` on, as far as they end by `last`.
    fn cover_leaves(&mut self, spot: &Spot, last: u64) -> Result<(), Full> {
        let chunk = Index::chunk(self.lines, spot.chunk);
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
                let words = load(&self.lines[line as usize]);
                line = self.memory().leaf(&words)?;
            }
            self.replace(&chunk, slot, line, cover);
        }
        Ok(())
    }
}

/// The first key of a slot of an index that begins with `first`.
fn begin(index: &Index<'_>, slot: usize, first: u64) -> u64 {
    slot.checked_sub(1).map_or(first, |before| index.last(before) + 1)
}

/// Last keys and words of all slots of an index that ends with `last`.
fn slots_of(index: &Index<'_>, last: u64) -> Vec<(u64, Word)> {
    let slots = index.slots();
    (0..slots)
        .map(|slot| (if slot + 1 == slots { last } else { index.last(slot) }, index.word(slot)))
        .collect()
}

/// A leaf's slot with its cover spelt out, where it is that of the chunk.
const fn explicit((last, word): (u64, Word), chunk: Cover) -> (u64, Word) {
    if word.cover().rank() == Cover::NONE.rank() {
        (last, Word::new(word.line(), chunk))
    } else {
        (last, word)
    }
}
