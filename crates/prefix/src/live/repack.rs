//! Leaves packed anew.
//!
//! A leaf that overflows shares what it holds with leaves beside it, and only where those are full as well, there is one
//! leaf more. A leaf that has lost an entry is joined with leaves beside it, when they would do with one less. How full leaves
//! are is bought with time: the fuller they are, the sooner one overflows again.
//!
//! Of random changes to 281 k routed prefixes that keep their number, from the second million on, so many found leaves that
//! were packed anew, and so many bytes a prefix the leaves and indexes took:
//!
//! | [`REACH`] | [`JOINED`] | packed anew | bytes |
//! |---|---|---|---|
//! | 1, to join a leaf of three entries at most | 80 | 2 % | 12.8 |
//! | 2 | 97 | 18 % | 11.6 |
//! | 2 | 99 | 20 % | 11.5 |
//!
//! Free and waiting memory is another 0.4 bytes, of which a third are places too small for an index. A change took about half
//! as long again with the last of these as with the first, and two fifths more instructions.

use core::ops::RangeInclusive;
use core::sync::atomic::Ordering::Relaxed;

use super::edit::{Change, Spot, Tree, begin};
use super::share::Range;
use crate::table::index::Index;
use crate::table::leaf::{Entry, room};
use crate::table::pack::{Packed, Packer};
use crate::table::space::{Full, Piece};
use crate::table::word::Word;

/// Leaves on each side of one that are packed anew with it at most.
pub(super) const REACH: usize = 2;
/// Leaves before and behind that are packed anew with one: of these, the first that will do.
const WINDOWS: [(usize, usize); 4] = [(1, 0), (0, 1), (1, 1), (REACH, REACH)];
/// Leaves become one less when that fills so many hundredths of those that stay.
const JOINED: usize = 99;
/// Leaves that overflow stay as many when that fills so many hundredths of them.
const SHARED: usize = 99;

/// Memory for what is packed anew.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    range: Range,
    open: Vec<Entry>,
    packed: Vec<Packed>,
    slots: Vec<(u64, Word)>,
}

/// How full some leaves are.
#[derive(Clone, Copy, Debug, Default)]
struct Fill {
    leaves: usize,
    /// Entries that they hold.
    held: usize,
    /// Entries that they have room for.
    room: usize,
}

impl Fill {
    const fn and(self, other: Self) -> Self {
        let (leaves, held) = (self.leaves + other.leaves, self.held + other.held);
        Self { leaves, held, room: self.room + other.room }
    }

    /// Whether one leaf less would do for one entry less.
    const fn joins(&self) -> bool {
        self.leaves > 1 && 100 * (self.held - 1) * self.leaves <= self.room * (self.leaves - 1) * JOINED
    }

    /// Whether as many leaves would do for one entry more.
    const fn shares(&self) -> bool {
        self.leaves > 1 && 100 * (self.held + 1) <= self.room * SHARED
    }
}

impl Tree<'_> {
    /// The slots around a leaf that go into one leaf less after this change, if that removes an entry.
    pub(super) fn joins(&self, spot: &Spot) -> Option<RangeInclusive<usize>> {
        matches!(self.change, Change::Remove(_)).then(|| self.window(spot, Fill::joins).ok())?
    }

    /// The slots around a leaf with an entry more than fits that share what they hold.
    pub(super) fn shares(&self, spot: &Spot) -> RangeInclusive<usize> {
        self.window(spot, Fill::shares).unwrap_or_else(|widest| widest)
    }

    /// The fewest slots around a leaf that will do, or as many as may be.
    fn window(
        &self,
        spot: &Spot,
        will_do: impl Fn(&Fill) -> bool,
    ) -> Result<RangeInclusive<usize>, RangeInclusive<usize>> {
        let chunk = Index::chunk(self.lines(), spot.chunk);
        let slots = chunk.slots();
        let fills: [Fill; 2 * REACH + 1] = core::array::from_fn(|at| {
            let slot = (spot.slot + at).checked_sub(REACH).filter(|&slot| slot < slots);
            slot.map_or(Fill::default(), |slot| {
                let header = self.lines()[chunk.word(slot).line() as usize].0[0].load(Relaxed);
                let (held, room) = room(header);
                Fill { leaves: 1, held, room }
            })
        });
        let mut windows = WINDOWS;
        let free = |at: usize| fills[at].room - fills[at].held;
        if free(REACH - 1) < free(REACH + 1) {
            windows.swap(0, 1);
        }
        let range = |(before, behind): (usize, usize)| {
            spot.slot.saturating_sub(before)..=(spot.slot + behind).min(slots - 1)
        };
        let found = windows.into_iter().find(|&(before, behind)| {
            let all = fills[REACH - before..=REACH + behind].iter();
            will_do(&all.fold(Fill::default(), |all, &fill| all.and(fill)))
        });
        found.map(range).ok_or_else(|| range((REACH, REACH)))
    }

    /// Packs the leaves of some slots anew, with the change. Where they are to become `fewer` and cannot, nothing changes, and
    /// the answer is no.
    pub(super) fn repack(
        &mut self,
        spot: &Spot,
        slots: RangeInclusive<usize>,
        fewer: bool,
    ) -> Result<bool, Full> {
        let chunk = Index::chunk(self.lines(), spot.chunk);
        let mut scratch = core::mem::take(&mut self.scratch.repack);
        let Scratch { range, open, packed, slots: anew } = &mut scratch;
        range.first = begin(&chunk, *slots.start(), spot.chunk_first);
        range.last =
            if slots.end() + 1 == chunk.slots() { spot.chunk_last } else { chunk.last(*slots.end()) };
        let cover = self.top().word(spot.outer).cover();
        self.gather(&chunk, slots.clone(), cover, range);
        let leaves = slots.clone().count();
        let mut most = if fewer { leaves - 1..=leaves - 1 } else { leaves..=leaves + 1 };
        let fits = most.any(|leaves| range.share(leaves, open, packed));
        if !fits && !fewer {
            packed.clear();
            packed.extend(Packer::new(range.first, range.last, range.open.clone(), &range.entries));
        }
        if fits || !fewer {
            *self.repacks += 1;
            anew.clear();
            for leaf in &*packed {
                anew.push(self.memory().slot(leaf, cover)?);
            }
            slots.clone().for_each(|slot| self.limbo.retire(Piece::Line(chunk.word(slot).line())));
            self.lay(spot, slots, anew)?;
        }
        self.scratch.repack = scratch;
        Ok(fits || !fewer)
    }
}
