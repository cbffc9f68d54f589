//! What few flows have to them, apart from the two halves of each.

use core::mem::size_of;

use credence_memory::{filled, prefetch, room};
use credence_wire::Anomalies;

use super::halves::{Cold, Mark};

/// What a flow has only if it takes part in an exchange of values, comes in pieces, is odd, or is large. A flow without any
/// of that is one without the mark [`Mark::RARE`].
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, packed(4))]
pub(crate) struct Rare {
    /// Every anomaly that was seen.
    pub(crate) anomalies: Anomalies,
    /// What the flow's source last put before its peer.
    pub(crate) offer: u32,
    /// What the flow's source must return to be confirmed.
    pub(crate) expected: u32,
    /// Packets with a fragment header.
    pub(crate) fragments: u32,
    /// The bits of all claimed bytes above the lower 32.
    pub(crate) claimed_above: u32,
    /// The bits of the number of packets above the lower 16. What is above 48 bits is not counted: that many packets take a
    /// worker half a year.
    pub(crate) packets_above: u32,
}

const _: () = assert!(size_of::<Rare>() == 28, "the arithmetic of the table's memory");

/// Places that memory is taken for at once.
const ROW: usize = 32;
/// A row of places none of which was ever needed.
const NONE: u32 = u32::MAX;

/// The rare things of the flows of a table, by their places.
///
/// Memory is taken for a row of neighbouring places when the first flow there needs it, and stays taken. Flows that only
/// send, as in a scan or in one direction of what is routed asymmetrically, never touch it, and a few odd ones among
/// them touch a few rows.
pub(crate) struct Rares {
    /// The number of each row of places among those that memory was taken for.
    rows: Box<[u32]>,
    /// The rows that memory was taken for, in room for all, so that they never move.
    rares: Vec<Rare>,
}

impl Rares {
    /// Room for so many flows.
    pub(crate) fn new(capacity: usize) -> Self {
        let rows = capacity.div_ceil(ROW);
        Self { rows: filled(NONE, rows), rares: room(rows * ROW) }
    }

    /// Takes memory for all flows now.
    pub(crate) fn prefault(&mut self) {
        (0..self.rows.len()).for_each(|row| _ = self.row(row));
    }

    /// Forgets all, and gives no memory back.
    pub(crate) fn clear(&mut self) {
        self.rows.fill(NONE);
        self.rares.clear();
    }

    /// Memory held once every row was needed, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.rows) + self.rows.len() * ROW * size_of::<Rare>()
    }

    /// What is rare about the flow at `place`, whose cold half this is.
    #[inline]
    pub(crate) fn of(&self, place: usize, cold: &Cold) -> Rare {
        if cold.has(Mark::RARE) { self.held(place).copied().unwrap_or_default() } else { Rare::default() }
    }

    /// Changes what is rare about the flow at `place`, whose cold half this is.
    pub(crate) fn change<T>(
        &mut self,
        place: usize,
        cold: &mut Cold,
        change: impl FnOnce(&mut Rare) -> T,
    ) -> T {
        let at = self.row(place / ROW) * ROW + place % ROW;
        let rare = &mut self.rares[at];
        if !cold.has(Mark::RARE) {
            // What a flow left that lay here before.
            *rare = Rare::default();
            cold.mark(Mark::RARE);
        }
        change(rare)
    }

    /// Asks for what is rare about the flow at `place`, if there may be anything.
    #[inline]
    pub(crate) fn prefetch(&self, place: usize) {
        if let Some(&row) = self.rows.get(place / ROW).filter(|&&row| row != NONE) {
            prefetch(&self.rares, row as usize * ROW + place % ROW);
        }
    }

    /// How many places memory was taken for.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.rares.len()
    }

    /// The number of a row of places, which memory is taken for if need be.
    fn row(&mut self, row: usize) -> usize {
        if self.rows[row] == NONE {
            self.rows[row] = (self.rares.len() / ROW) as u32;
            self.rares.resize(self.rares.len() + ROW, Rare::default());
        }
        self.rows[row] as usize
    }

    fn held(&self, place: usize) -> Option<&Rare> {
        let row = *self.rows.get(place / ROW)?;
        self.rares.get(row as usize * ROW + place % ROW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Now;

    #[test]
    fn a_flow_finds_nothing_of_the_one_before_it_in_its_place() {
        let (mut rares, mut cold) = (Rares::new(4), Cold::new(Now::default()));
        let is = |rare: Rare, offer: u32, fragments: u32| rare.offer == offer && rare.fragments == fragments;
        assert!(is(rares.of(2, &cold), 0, 0));
        rares.change(2, &mut cold, |rare| rare.offer = 7);
        rares.change(2, &mut cold, |rare| rare.fragments += 1);
        assert!(is(rares.of(2, &cold), 7, 1));
        let mut next = Cold::new(Now::default());
        assert!(is(rares.of(2, &next), 0, 0));
        rares.change(2, &mut next, |rare| rare.fragments += 1);
        assert!(is(rares.of(2, &next), 0, 1));
    }

    /// Each place has its own, in whatever order they come, and all at once or none before.
    #[test]
    fn memory_is_taken_row_by_row_and_never_moves() {
        const PLACES: usize = 1_001;
        for prefault in [false, true] {
            let mut rares = Rares::new(PLACES);
            let begin = rares.rares.as_ptr();
            let mut colds = vec![Cold::new(Now::default()); PLACES];
            assert_eq!(rares.taken(), 0);
            if prefault {
                rares.prefault();
            }
            let mut rows = 0;
            for at in (0..PLACES).map(|n| n * 300 % PLACES) {
                rows += usize::from(!prefault && rares.rows[at / ROW] == NONE);
                rares.change(at, &mut colds[at], |rare| rare.expected = at as u32);
                assert_eq!(rares.taken(), if prefault { PLACES.next_multiple_of(ROW) } else { rows * ROW });
            }
            assert!((0..PLACES).all(|at| rares.of(at, &colds[at]).expected as usize == at));
            assert_eq!(rares.rares.as_ptr(), begin);
        }
    }
}
