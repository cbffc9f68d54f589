//! Which lines of a table are in use.
//!
//! Leaves are single lines, indexes are blocks of lines, the hosts of a /64 are blocks of 16-byte units. What is given
//! back is used again before new memory is touched: of indexes the smallest that is large enough, and for leaves, when none
//! is free, the smallest of all. So no history takes more than the most that leaves, hosts and indexes ever took, each by
//! themselves, and what the sizes of indexes do not fit.

use std::collections::BTreeMap;

use super::hosts::UNITS_MAX;

/// Sizes of indexes are rounded up to this many lines, so that one given back fits most that come after it.
const GRAIN: u32 = 16;
/// Lines that are cut up for hosts at a time.
const SLAB: u32 = 16;
/// Units of 16 bytes in a line.
const UNITS: u32 = 4;

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
    free_lines: Vec<u32>,
    free_indexes: BTreeMap<u32, Vec<u32>>,
    free_units: [Vec<u32>; UNITS_MAX + 1],
}

impl Space {
    /// All of so many lines, but those before `from`.
    pub(crate) fn new(from: u32, lines: u32) -> Self {
        Self {
            touched: from,
            lines,
            free_lines: Vec::new(),
            free_indexes: BTreeMap::new(),
            free_units: [const { Vec::new() }; UNITS_MAX + 1],
        }
    }

    /// Lines that were ever used.
    pub(crate) const fn touched(&self) -> u32 {
        self.touched
    }

    pub(crate) fn line(&mut self) -> Result<u32, Full> {
        if let Some(line) = self.free_lines.pop() {
            return Ok(line);
        }
        // The smallest free index becomes lines: it is the one least likely to be an index again.
        if let Some((first, size)) = self.free_index(1) {
            self.free_lines.extend((first + 1..first + size).rev());
            return Ok(first);
        }
        self.fresh(1)
    }

    /// The lines that come next, if they are known.
    pub(crate) fn upcoming(&self, count: usize) -> impl Iterator<Item = u32> {
        self.free_lines.iter().rev().take(count).copied()
    }

    pub(crate) fn index(&mut self, lines: u32) -> Result<u32, Full> {
        let size = lines.next_multiple_of(GRAIN);
        let Some((first, found)) = self.free_index(size) else { return self.fresh(size) };
        if found > size {
            self.free_indexes.entry(found - size).or_default().push(first + size);
        }
        Ok(first)
    }

    /// The smallest free index of at least so many lines, and how many it has.
    fn free_index(&mut self, least: u32) -> Option<(u32, u32)> {
        self.free_indexes.range_mut(least..).find_map(|(&size, list)| Some((list.pop()?, size)))
    }

    pub(crate) fn hosts(&mut self, units: usize) -> Result<u32, Full> {
        if let Some(unit) = self.free_units[units].pop() {
            return Ok(unit);
        }
        if let Some(larger) = (units + 1..=UNITS_MAX).rev().find(|&size| !self.free_units[size].is_empty()) {
            let unit = self.free_units[larger].pop().expect("one was found");
            self.free_units[larger - units].push(unit + units as u32);
            return Ok(unit);
        }
        let first = self.index(SLAB)? * UNITS;
        let (mut unit, end) = (first + units as u32, first + SLAB * UNITS);
        while unit < end {
            let size = ((end - unit) as usize).min(UNITS_MAX);
            self.free_units[size].push(unit);
            unit += size as u32;
        }
        Ok(first)
    }

    pub(crate) fn free(&mut self, piece: Piece) {
        match piece {
            Piece::Line(line) => self.free_lines.push(line),
            Piece::Index(first, lines) => {
                self.free_indexes.entry(lines.next_multiple_of(GRAIN)).or_default().push(first);
            }
            Piece::Hosts(unit, units) => self.free_units[units].push(unit),
        }
    }

    fn fresh(&mut self, lines: u32) -> Result<u32, Full> {
        let first = self.touched;
        self.touched = first.checked_add(lines).filter(|&end| end <= self.lines).ok_or(Full)?;
        Ok(first)
    }
}

#[cfg(test)]
impl Space {
    /// Units that are free for use again.
    pub(crate) fn free_units(&self) -> usize {
        let indexes =
            self.free_indexes.iter().map(|(&lines, list)| lines as usize * list.len()).sum::<usize>();
        let hosts = self.free_units.iter().enumerate().map(|(units, list)| units * list.len()).sum::<usize>();
        (self.free_lines.len() + indexes) * UNITS as usize + hosts
    }
}

impl Piece {
    /// Units of 16 bytes that it takes, what its size is rounded up by included.
    pub(crate) fn units(self) -> usize {
        match self {
            Self::Line(_) => UNITS as usize,
            Self::Index(_, lines) => (lines.next_multiple_of(GRAIN) * UNITS) as usize,
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
