//! What look-ups cannot reach any more and may still be reading.

use std::collections::VecDeque;

use super::epoch::Epochs;
use crate::table::space::{Piece, Space};

/// Pieces that wait before the writer asks whether readers have moved on: asking costs about as much as a change.
const MANY: usize = 256;
/// Units of 16 bytes that wait at most before it asks, 16 KiB: the indexes of one or two chunks.
const MANY_UNITS: usize = 1_024;

/// Retired pieces in the order of their epochs.
#[derive(Debug)]
pub(super) struct Limbo {
    /// The epoch in which pieces are retired.
    now: u64,
    waiting: VecDeque<(u64, Piece)>,
    /// The units of those pieces.
    units: usize,
}

impl Limbo {
    pub(super) fn new(epochs: &Epochs) -> Self {
        Self { now: epochs.now(), waiting: VecDeque::new(), units: 0 }
    }

    pub(super) fn retire(&mut self, piece: Piece) {
        self.waiting.push_back((self.now, piece));
        self.units += piece.units();
    }

    /// Frees what no reader can be reading any more, if it is worth the while. To be called between changes, when all
    /// that has been retired is out of reach.
    pub(super) fn settle(&mut self, epochs: &Epochs, space: &mut Space) {
        if self.waiting.len() >= MANY || self.units >= MANY_UNITS {
            self.reclaim(epochs, space);
        }
    }

    /// Frees what no reader can be reading any more.
    pub(super) fn reclaim(&mut self, epochs: &Epochs, space: &mut Space) {
        let oldest = epochs.advance();
        self.now = epochs.now();
        while let Some((_, piece)) = self.waiting.pop_front_if(|(epoch, _)| *epoch < oldest) {
            self.units -= piece.units();
            space.free(piece);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
impl Limbo {
    pub(super) const fn units(&self) -> usize {
        self.units
    }
}
