//! The indexes above leaves that were packed anew.
//!
//! The chunk's index, a kilobyte, is written anew. At times it is cut in two, or shares its slots with the one beside it, or is
//! joined with that.

use core::ops::RangeInclusive;

use super::edit::{Spot, Tree, begin};
use super::splice::splice;
use super::stage::Stage;
use crate::table::Table;
use crate::table::index::{CHUNK_SLOTS, Index};
use crate::table::space::{Full, Piece, Written};
use crate::table::word::{Cover, Word};

/// A chunk with fewer leaves joins a neighbour, if the two together are not more than [`CHUNK_JOINED`].
const CHUNK_FEW: usize = CHUNK_SLOTS / 2;
/// Leaves of two chunks that become one at most: far from where it would be cut in two again.
const CHUNK_JOINED: usize = CHUNK_SLOTS * 4 / 5;
/// A chunk that overflows shares with a neighbour, if each then has this many leaves at most.
const CHUNK_SHARED: usize = CHUNK_SLOTS * 14 / 15;

impl Tree<'_> {
    /// Writes a chunk's index anew with other slots in the place of a range, in two if it has become too large, with a
    /// neighbour's if too small.
    pub(super) fn lay(
        &mut self,
        spot: &Spot,
        range: RangeInclusive<usize>,
        packed: &[(u64, Word)],
    ) -> Result<(), Full> {
        let old = Index::chunk(self.lines(), spot.chunk);
        let slots = old.slots() - range.clone().count() + packed.len();
        if !(CHUNK_FEW..=CHUNK_SLOTS).contains(&slots) {
            let mut slots = slots_of(&old, spot.chunk_last);
            slots.splice(range.clone(), packed.iter().copied());
            if slots.len() > CHUNK_SLOTS {
                let beside = self.neighbour(spot, (2 * CHUNK_SHARED).saturating_sub(slots.len()));
                return self.part(spot, slots, beside, 2);
            }
            if let Some(beside) = self.neighbour(spot, CHUNK_JOINED - slots.len()) {
                return self.part(spot, slots, Some(beside), 1);
            }
        }
        let line = splice(self.lines(), self.space, spot.chunk, range, packed)?;
        let top = self.top();
        self.publish(&top, spot.outer, Word::new(line, top.word(spot.outer).cover()));
        self.retire_index(&old);
        Ok(())
    }

    /// The chunk beside this one that has fewer slots, if no more than so many.
    fn neighbour(&self, spot: &Spot, most: usize) -> Option<usize> {
        let top = self.top();
        let slots = |outer: usize| Index::chunk(self.lines(), top.word(outer).line()).slots();
        let right = Some(spot.outer + 1).filter(|&outer| outer < top.slots());
        let beside = [spot.outer.checked_sub(1), right].into_iter().flatten();
        beside
            .map(|outer| (slots(outer), outer))
            .min()
            .filter(|&(slots, _)| slots <= most)
            .map(|(_, outer)| outer)
    }

    /// Makes so many chunks, about as large, of one with these slots and perhaps the one beside it.
    fn part(
        &mut self,
        spot: &Spot,
        mut slots: Vec<(u64, Word)>,
        beside: Option<usize>,
        parts: usize,
    ) -> Result<(), Full> {
        let top = self.top();
        let spell_out = |slots: &mut [(u64, Word)], outer: usize| {
            let cover = top.word(outer).cover();
            slots.iter_mut().for_each(|slot| *slot = explicit(*slot, cover));
        };
        spell_out(&mut slots, spot.outer);
        let (mut from, mut to) = (spot.outer, spot.outer);
        if let Some(outer) = beside {
            let mut others = slots_of(&Index::chunk(self.lines(), top.word(outer).line()), top.last(outer));
            spell_out(&mut others, outer);
            if outer < from {
                core::mem::swap(&mut slots, &mut others);
            }
            slots.append(&mut others);
            (from, to) = (from.min(outer), to.max(outer));
        }
        let mut first = begin(&top, from, 0);
        let mut chunks = Vec::with_capacity(parts);
        for slots in slots.chunks(slots.len().div_ceil(parts)) {
            let last = slots.last().map_or(first, |slot| slot.0);
            chunks.push(self.rebased(slots, first, last)?);
            first = last.wrapping_add(1);
        }
        self.lay_top(from..=to, &chunks)
    }

    /// A chunk from `first` to `last` of leaves with covers spelt out, and its slot.
    fn rebased(&mut self, slots: &[(u64, Word)], first: u64, last: u64) -> Result<(u64, Word), Full> {
        let own = self.stage.cover(self.trie, first, last);
        let (mut from, mut rebased) = (first, Vec::with_capacity(slots.len()));
        for &(last, word) in slots {
            // The trie has seen the change, and this leaf may not have.
            let now = if self.change.spans(from, last) { self.covered(word.cover()) } else { word.cover() };
            let now = if now.rank() <= own.rank() { Cover::NONE } else { now };
            rebased.push((last, Word::new(word.line(), now)));
            from = last.wrapping_add(1);
        }
        Ok((last, Word::new(self.memory().chunk(&rebased)?, own)))
    }

    /// Writes the top index anew with these chunks in the place of a range of old ones.
    fn lay_top(&mut self, range: RangeInclusive<usize>, chunks: &[(u64, Word)]) -> Result<(), Full> {
        let (lines, old_root) = (self.lines(), self.root);
        let old = Index::new(lines, old_root);
        let mut slots = slots_of(&old, u64::MAX);
        let gone: Vec<(u64, Word)> = slots.splice(range, chunks.iter().copied()).collect();
        self.root = self.memory().top(&slots)?;
        if self.stage == Stage::Upper {
            self.table.publish(self.root);
            self.space.note(Written::Word(Table::ROOT));
        }
        for (_, word) in gone {
            self.retire_index(&Index::chunk(lines, word.line()));
        }
        self.retire_index(&old);
        Ok(())
    }

    pub(super) fn retire_index(&mut self, index: &Index<'_>) {
        let (first, lines) = index.extent();
        self.limbo.retire(Piece::Index(first, lines));
    }
}

/// Last keys and words of all slots of an index that ends with `last`.
fn slots_of(index: &Index<'_>, last: u64) -> Vec<(u64, Word)> {
    let slots = index.slots();
    (0..slots)
        .map(|slot| (if slot + 1 == slots { last } else { index.last(slot) }, index.word(slot)))
        .collect()
}

/// A leaf's slot with its cover spelt out, where it is that of the chunk.
pub(super) const fn explicit((last, word): (u64, Word), chunk: Cover) -> (u64, Word) {
    if word.cover().rank() == Cover::NONE.rank() {
        (last, Word::new(word.line(), chunk))
    } else {
        (last, word)
    }
}
