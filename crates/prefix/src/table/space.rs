//! Which lines of a table are in use.
//!
//! Leaves are single lines, indexes are blocks of lines, the hosts of a /64 are blocks of 16-byte units, which are cut out of
//! lines. What is given back merges with what is free beside it, whatever it was, and the lowest place that is large enough
//! is used first, before new memory is touched. So free lines stay few, and gather in front of what was never used.

use super::hosts::UNITS_MAX;
use super::runs::Runs;

/// Units of 16 bytes in a line.
const UNITS: u32 = 4;
/// Lines that are cut up for hosts at a time: just enough for a block of any size.
const SLAB: u32 = (UNITS_MAX as u32).div_ceil(UNITS);
/// Where fewer lines are free side by side, only leaves are put: the indexes of chunks are mostly twice as large.
const FEW: u32 = 8;
/// Indexes of more lines are not those of chunks but of whole trees. They are rewritten when a chunk comes or goes, and are
/// given a multiple of this, so that mostly the next one fits where the last but one was.
const LARGE: u32 = 32;
/// Single lines that are looked for together.
const AHEAD: usize = 32;

/// Part of a table's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// One line.
    Line(u32),
    /// The lines of an index: the first, and how many.
    Index(u32, u32),
    /// The units of a block of hosts: the first, and how many.
    Hosts(u32, usize),
}

/// The table has no room for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What of a table's memory is free.
#[derive(Debug)]
pub(crate) struct Space {
    /// Lines below have been used.
    touched: u32,
    lines: u32,
    /// The lines that the next leaves take, the first of them at the end.
    next: Vec<u32>,
    /// All other lines that have been used and are free.
    runs: Runs,
    /// Free units of lines that are cut up for hosts.
    units: Runs,
    /// Lines that a large index has left for the next: the first, and how many. Among the others they would be used for
    /// leaves and indexes of chunks before that comes, and each would need new memory.
    spare: Option<(u32, u32)>,
    /// What was written since this was last emptied, if anybody wants to know.
    pub(crate) written: Option<Vec<Written>>,
}

/// Part of a table's memory that a change has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// So many lines from this one on, which no look-up reached before.
    Lines(u32, u32),
    /// A word that look-ups read, by its place in the whole table.
    Word(usize),
}

impl Space {
    /// All of so many lines, but those before `from`.
    pub(crate) fn new(from: u32, lines: u32) -> Self {
        let next = Vec::with_capacity(AHEAD);
        Self {
            touched: from,
            lines,
            next,
            runs: Runs::new(lines, FEW),
            units: Runs::new(lines * UNITS, 1),
            spare: None,
            written: None,
        }
    }

    /// Notes what is being written, for whoever wants to know.
    #[inline]
    pub(crate) fn note(&mut self, written: Written) {
        if let Some(list) = &mut self.written {
            list.push(written);
        }
    }

    /// Lines that were ever used.
    pub(crate) const fn touched(&self) -> u32 {
        self.touched
    }

    pub(crate) fn line(&mut self) -> Result<u32, Full> {
        if self.next.is_empty() {
            self.next.extend(self.runs.take_each(AHEAD));
            self.next.reverse();
        }
        let line = self.next.pop().map_or_else(|| self.fresh(1), Ok)?;
        self.note(Written::Lines(line, 1));
        Ok(line)
    }

    /// The lines that come next, if they are known.
    pub(crate) fn upcoming(&self, count: usize) -> impl Iterator<Item = u32> {
        self.next.iter().rev().take(count).copied()
    }

    /// So many lines side by side.
    pub(crate) fn index(&mut self, lines: u32) -> Result<u32, Full> {
        let first = self.lines(granted(lines))?;
        self.note(Written::Lines(first, lines));
        Ok(first)
    }

    fn lines(&mut self, lines: u32) -> Result<u32, Full> {
        if lines > LARGE
            && let Some((first, spare)) = self.spare.take_if(|spare| spare.1 >= lines)
        {
            if spare > lines {
                self.runs.give(first + lines, spare - lines);
            }
            return Ok(first);
        }
        self.runs.take(lines).map_or_else(|| self.fresh(lines), Ok)
    }

    pub(crate) fn hosts(&mut self, units: usize) -> Result<u32, Full> {
        let units = units as u32;
        let unit = self.units(units)?;
        let (first, last) = (unit / UNITS, (unit + units - 1) / UNITS);
        self.note(Written::Lines(first, last - first + 1));
        Ok(unit)
    }

    fn units(&mut self, units: u32) -> Result<u32, Full> {
        if let Some(unit) = self.units.take(units) {
            return Ok(unit);
        }
        let first = self.lines(granted(SLAB))?;
        self.units.give(first * UNITS, SLAB * UNITS);
        self.units.take(units).ok_or(Full)
    }

    pub(crate) fn free(&mut self, piece: Piece) {
        match piece {
            Piece::Line(line) => self.runs.give(line, 1),
            Piece::Index(first, lines) => self.free_index((first, granted(lines))),
            Piece::Hosts(unit, units) => self.free_hosts(unit, units as u32),
        }
    }

    /// Frees the lines of an index. The larger of two large ones stays whole.
    fn free_index(&mut self, mut index: (u32, u32)) {
        if index.1 > LARGE {
            let spare = self.spare.get_or_insert(index);
            if spare.0 == index.0 {
                return;
            }
            if spare.1 < index.1 {
                core::mem::swap(spare, &mut index);
            }
        }
        self.runs.give(index.0, index.1);
    }

    /// Frees units, and the lines of which no unit is in use any more, if there are some side by side.
    fn free_hosts(&mut self, unit: u32, units: u32) {
        self.units.give(unit, units);
        let end = unit + units;
        let first = (unit - self.units.before(unit)).div_ceil(UNITS);
        let lines = ((end + self.units.behind(end)) / UNITS).saturating_sub(first);
        // More than are taken at a time, so that they are not taken again at once. Single lines would soon be leaves, and
        // the next hosts would need new ones.
        if lines >= 2 * SLAB {
            self.units.withdraw(first * UNITS, lines * UNITS);
            self.runs.give(first, lines);
        }
    }

    /// Lines that were never used, behind those at the end that are free again.
    fn fresh(&mut self, lines: u32) -> Result<u32, Full> {
        let again = self.runs.before(self.touched).min(lines);
        let first = self.touched - again;
        let end = first.checked_add(lines).filter(|&end| end <= self.lines).ok_or(Full)?;
        if again > 0 {
            self.runs.withdraw(first, again);
        }
        self.touched = end;
        Ok(first)
    }
}

#[cfg(test)]
impl Space {
    /// Units that are free for use again.
    pub(crate) fn free_units(&self) -> usize {
        let spare = self.spare.map_or(0, |spare| spare.1 as usize);
        (self.next.len() + self.runs.free() + spare) * UNITS as usize + self.units.free()
    }
}

/// The lines that an index of so many is given.
const fn granted(lines: u32) -> u32 {
    if lines > LARGE { lines.next_multiple_of(LARGE) } else { lines }
}

impl Piece {
    /// Units of 16 bytes that it takes, those that it is given beyond its need included.
    pub(crate) fn units(self) -> usize {
        match self {
            Self::Line(_) => UNITS as usize,
            Self::Index(_, lines) => (granted(lines) * UNITS) as usize,
            Self::Hosts(_, units) => units,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The units that a piece covers.
    fn units(piece: Piece) -> core::ops::Range<u32> {
        match piece {
            Piece::Line(line) => line * UNITS..(line + 1) * UNITS,
            Piece::Index(first, lines) => first * UNITS..(first + lines) * UNITS,
            Piece::Hosts(unit, units) => unit..unit + units as u32,
        }
    }

    #[test]
    fn no_unit_is_given_out_twice_and_what_is_free_is_used_again() {
        let mut space = Space::new(1, 30_000);
        let (mut held, mut owners, mut state) = (Vec::new(), HashMap::new(), 1_u64);
        let rounds = if cfg!(miri) { 600 } else { 60_000 };
        for round in 0..rounds {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let random = (state >> 33) as u32;
            if held.len() > 150 || (random % 8 < 3 && !held.is_empty()) {
                let piece = held.swap_remove(random as usize % held.len());
                units(piece).for_each(|unit| assert!(owners.remove(&unit).is_some()));
                space.free(piece);
                continue;
            }
            let piece = match random % 3 {
                0 => Piece::Line(space.line().unwrap()),
                1 => Piece::Index(space.index(1 + random % 60).unwrap(), 1 + random % 60),
                _ => {
                    let size = 1 + random as usize % UNITS_MAX;
                    Piece::Hosts(space.hosts(size).unwrap(), size)
                }
            };
            units(piece).for_each(|unit| assert_eq!(owners.insert(unit, round), None));
            held.push(piece);
        }
        assert!(space.touched() < 20_000);
    }

    /// Each time one large index is written while the one before waits, among leaves that take whatever is free.
    #[test]
    fn a_large_index_finds_the_place_of_the_last_but_one() {
        let mut space = Space::new(1, 10_000);
        let (mut now, mut before) = (space.index(200).unwrap(), None);
        for lines in (200..224).chain((190..224).rev()) {
            let next = space.index(lines).unwrap();
            if let Some((first, lines)) = before.replace((now, lines)) {
                space.free(Piece::Index(first, lines));
            }
            now = next;
            assert!((0..2).all(|_| space.line().is_ok()));
        }
        assert!(space.touched() < 4 * 224 + 200, "{}", space.touched());
    }

    #[test]
    fn a_full_space_says_so() {
        let mut space = Space::new(1, 20);
        assert_eq!(space.line(), Ok(1));
        assert_eq!(space.index(16), Ok(2));
        assert_eq!((space.index(16), space.hosts(1)), (Err(Full), Err(Full)));
        space.free(Piece::Index(2, 16));
        assert_eq!(space.index(3), Ok(2));
    }
}
