//! Leaves packed anew, and what becomes of the indexes above them.
//!
//! A leaf that overflows is packed anew together with its neighbours, into as few leaves as it takes, all about as full; so is
//! one that has lost entries, when that saves a leaf. Then the chunk's index, a kilobyte, is written anew; at times it is cut
//! in two, or joined with the one beside it.
//!
//! How full leaves are is bought with time. Of random changes to 281 k routed prefixes, after a million, two hundredths found
//! leaves that were packed anew, and the table took 13.1 bytes a prefix. With two neighbours on each side, and leaves joined
//! when those that stay are nine tenths full, it was a tenth and 12.4 bytes, and changes took two fifths longer.

use core::ops::RangeInclusive;

use super::edit::{Change, Spot, Tree, begin};
use super::splice::splice;
use super::stage::Stage;
use crate::table::index::{CHUNK_SLOTS, Index};
use crate::table::leaf::{Entry, Kind, count, decode, load};
use crate::table::pack::{Packed, Packer};
use crate::table::space::{Full, Piece};
use crate::table::word::{Cover, Word};

/// A chunk with fewer leaves joins a neighbour, if the two together are not more than [`CHUNK_JOINED`].
const CHUNK_FEW: usize = CHUNK_SLOTS / 2;
/// Leaves of two chunks that become one at most: far from where it would be cut in two again.
const CHUNK_JOINED: usize = CHUNK_SLOTS * 4 / 5;
/// A leaf that has this many entries left asks whether its neighbourhood would do with a leaf less.
const LEAF_FEW: usize = 3;
/// It would if that filled so many hundredths of the leaves that stay.
const JOINED: usize = 80;
/// Leaves on each side that are packed anew with one.
const NEIGHBOURS: usize = 1;

/// Packs a range into about as few leaves as it takes, which share the room that is left: one filled to the brim would
/// overflow with the next change. If these entries go into `guess` leaves, they do.
fn evenly((first, last): (u64, u64), open: &[Entry], entries: &[Entry], guess: usize) -> Vec<Packed> {
    let packer = || Packer::new(first, last, open.to_vec(), entries);
    let shared = |leaves: usize| {
        let most = entries.len().div_ceil(leaves);
        let even: Vec<Packed> = packer().with_at_most(most).take(leaves + 1).collect();
        (even.len() <= leaves).then_some(even)
    };
    shared(guess).unwrap_or_else(|| {
        let full: Vec<Packed> = packer().collect();
        if full.len() == guess { full } else { shared(full.len()).unwrap_or(full) }
    })
}

impl Tree<'_> {
    /// Whether a leaf that is left with `own` entries and its neighbours would go into one less.
    pub(super) fn joins(&self, spot: &Spot, own: usize) -> bool {
        if own > LEAF_FEW || !matches!(self.change, Change::Remove(_)) {
            return false;
        }
        let (leaves, held, room) = self.around(spot);
        leaves > 1 && 100 * (held - 1) * leaves <= room * (leaves - 1) * JOINED
    }

    /// The slots of a leaf and its neighbours in the chunk.
    fn range(&self, spot: &Spot) -> RangeInclusive<usize> {
        let slots = Index::chunk(self.lines(), spot.chunk).slots();
        spot.slot.saturating_sub(NEIGHBOURS)..=(spot.slot + NEIGHBOURS).min(slots - 1)
    }

    /// How many leaves those are, how many entries they hold, and how many they have room for.
    fn around(&self, spot: &Spot) -> (usize, usize, usize) {
        self.range(spot).map(|slot| self.leaf(spot.chunk, slot)).fold(
            (0, 0, 0),
            |(leaves, held, room), leaf| {
                (leaves + 1, held + count(&leaf), room + Kind::of(leaf[0]).capacity())
            },
        )
    }

    /// Packs the leaf and its neighbours in the chunk anew, with the change.
    pub(super) fn repack(&mut self, spot: &Spot) -> Result<(), Full> {
        *self.repacks += 1;
        let chunk = Index::chunk(self.lines(), spot.chunk);
        let range = self.range(spot);
        let first = begin(&chunk, *range.start(), spot.chunk_first);
        let last = if range.end() + 1 == chunk.slots() { spot.chunk_last } else { chunk.last(*range.end()) };
        let cover = self.top().word(spot.outer).cover();
        let (open, entries) = self.gather(&chunk, range.clone(), (first, last), cover);
        let mut packed = Vec::with_capacity(2 * NEIGHBOURS + 2);
        let (leaves, _, room) = self.around(spot);
        let guess = (entries.len() * leaves).div_ceil(room).max(1);
        for leaf in evenly((first, last), &open, &entries, guess) {
            packed.push(self.memory().slot(&leaf, cover)?);
        }
        for slot in range.clone() {
            self.limbo.retire(Piece::Line(chunk.word(slot).line()));
        }
        self.lay(spot, range, &packed)
    }

    /// What the leaves of a range of slots with these first and last keys hold, with the change: the records that begin
    /// before, and the entries that begin there.
    fn gather(
        &self,
        chunk: &Index<'_>,
        range: RangeInclusive<usize>,
        (first, last): (u64, u64),
        above: Cover,
    ) -> (Vec<Entry>, Vec<Entry>) {
        let own = self.change.entry();
        // A change that reaches further may not be in all covers yet.
        let told = first <= own.start && own.last() <= last;
        let (mut open, mut entries) = (Vec::with_capacity(4), Vec::with_capacity(32));
        let mut key = first;
        for slot in range {
            let (_, word) = explicit((0, chunk.word(slot)), above);
            let cover = prefix(word.cover(), key);
            // What covers a leaf whole is no entry of it. If that begins in this range, it begins with the leaf, and the
            // trie knows what else does; but nearly all leaves inherit from something that begins before.
            let inherits = told && cover.is_none_or(|cover| cover.start < first);
            if !inherits {
                entries.extend(self.stage.covering(self.trie, key));
            }
            decode(&load(&self.lines()[word.line() as usize]), &mut entries);
            if key == first {
                // Below what covers the whole range, nothing else can come to the surface in it.
                if inherits && cover.is_none_or(|cover| last <= cover.last()) {
                    open.extend(cover.into_iter().chain(entries.iter().copied()));
                } else {
                    open.extend(self.stage.covering(self.trie, first));
                }
                open.retain(|entry| entry.start < first);
            }
            key = chunk.last(slot).wrapping_add(1);
        }
        entries.retain(|entry| entry.start >= first);
        entries.sort_unstable_by_key(Entry::order);
        entries.dedup_by_key(|entry| entry.order());
        if own.start >= first {
            self.change.apply(&mut entries);
        }
        (open, entries)
    }

    /// Writes a chunk's index anew with other slots in the place of a range, in two if it has become too large, with a
    /// neighbour's if too small.
    fn lay(&mut self, spot: &Spot, range: RangeInclusive<usize>, packed: &[(u64, Word)]) -> Result<(), Full> {
        let old = Index::chunk(self.lines(), spot.chunk);
        let slots = old.slots() - range.clone().count() + packed.len();
        if !(CHUNK_FEW..=CHUNK_SLOTS).contains(&slots) {
            let mut slots = slots_of(&old, spot.chunk_last);
            slots.splice(range.clone(), packed.iter().copied());
            if slots.len() > CHUNK_SLOTS {
                return self.halve(spot, &slots);
            }
            if self.join(spot, &slots)? {
                return Ok(());
            }
        }
        let line = splice(self.lines(), self.space, spot.chunk, range, packed)?;
        let top = self.top();
        top.publish(spot.outer, Word::new(line, top.word(spot.outer).cover()));
        self.retire_index(&old);
        Ok(())
    }

    /// Makes two chunks of one with too many slots, which are given.
    fn halve(&mut self, spot: &Spot, slots: &[(u64, Word)]) -> Result<(), Full> {
        let cover = self.top().word(spot.outer).cover();
        let (left, right) = slots.split_at(slots.len() / 2);
        let middle = left.last().map_or(spot.chunk_first, |slot| slot.0);
        let left = self.rebased(left, cover, spot.chunk_first, middle)?;
        let right = self.rebased(right, cover, middle + 1, spot.chunk_last)?;
        self.lay_top(spot.outer..=spot.outer, &[left, right])
    }

    /// Makes one chunk of a small one, with these slots, and a neighbour, if that leaves room.
    fn join(&mut self, spot: &Spot, slots: &[(u64, Word)]) -> Result<bool, Full> {
        let top = self.top();
        let fits = |&outer: &usize| {
            let line = top.word(outer).line();
            Index::chunk(self.lines(), line).slots() + slots.len() <= CHUNK_JOINED
        };
        let right = Some(spot.outer + 1).filter(|&outer| outer < top.slots());
        let Some(other) = [spot.outer.checked_sub(1), right].into_iter().flatten().find(fits) else {
            return Ok(false);
        };
        let (from, to) = (spot.outer.min(other), spot.outer.max(other));
        let (first, last) = (begin(&top, from, 0), top.last(to));
        let word = top.word(other);
        let others = slots_of(&Index::chunk(self.lines(), word.line()), top.last(other));
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
    fn lay_top(&mut self, range: RangeInclusive<usize>, chunks: &[(u64, Word)]) -> Result<(), Full> {
        let (lines, old_root) = (self.lines(), self.root);
        let old = Index::new(lines, old_root);
        let mut slots = slots_of(&old, u64::MAX);
        let gone: Vec<(u64, Word)> = slots.splice(range, chunks.iter().copied()).collect();
        self.root = self.memory().top(&slots)?;
        if self.stage == Stage::Upper {
            self.table.publish(self.root);
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

/// The prefix that covers `key` and what is around it.
fn prefix(cover: Cover, key: u64) -> Option<Entry> {
    let len = cover.rank().checked_sub(1)?;
    let start = if len == 0 { 0 } else { key & u64::MAX << (64 - len) };
    Some(Entry { start, len, id: Word::new(0, cover).answer() })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sites of one allocation, any nine of which fit a leaf.
    #[test]
    fn leaves_share_the_room_and_are_no_more_than_it_takes() {
        // No leaf holds keys of both halves.
        const LAST: u64 = u64::MAX >> 1;
        let site = |at: u64| Entry { start: 0x2001_0db8 << 32 | at << 16, len: 48, id: at as u32 };
        for sites in 1..60 {
            let entries: Vec<Entry> = (0..sites).map(|at| site(at * at)).collect();
            let even = evenly((0, LAST), &[], &entries, entries.len().div_ceil(9));
            let held: Vec<usize> = even.iter().map(|leaf| count(&leaf.words)).collect();
            assert_eq!((held.iter().sum(), held.len()), (sites as usize, sites.div_ceil(9) as usize));
            assert!(held.iter().all(|&held| held as u64 <= sites.div_ceil(even.len() as u64)), "{held:?}");
            assert_eq!(even.last().map(|leaf| leaf.last), Some(LAST));
        }
    }

    /// Where leaves cannot share, since only some sets of prefixes fit one, there are as few as without sharing.
    #[test]
    fn nested_and_scattered_prefixes_take_no_more_leaves_for_sharing() {
        let mut state = 1_u64;
        for _ in 0..500 {
            let mut entries: Vec<Entry> = (0..30)
                .map(|id| {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                    let len = 20 + (state >> 40) as u8 % 29;
                    Entry { start: (state >> 33 << 24) & (u64::MAX << (64 - len)), len, id }
                })
                .collect();
            entries.sort_unstable_by_key(Entry::order);
            entries.dedup_by_key(|entry| entry.order());
            let full = Packer::new(0, u64::MAX, Vec::new(), &entries).count();
            for guess in 1..=full {
                assert!(evenly((0, u64::MAX), &[], &entries, guess).len() <= full);
            }
        }
    }
}
