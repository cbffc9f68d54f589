//! What look-ups cannot reach any more and may still be reading.

use std::collections::VecDeque;

use super::epoch::Epochs;
use crate::table::space::{Piece, Space};

/// Units of 16 bytes that are retired before the writer asks whether readers have moved on: 16 KiB, which are 256 leaves or
/// the indexes of fourteen chunks. Asking costs about as much as a change to memory that is near.
const MANY_UNITS: usize = 1_024;
/// Pieces that are freed after a change, at least, as long as there are some: more than most changes retire.
pub(super) const FREED: usize = 4;
/// Of more that wait, this part is freed besides, so that few changes work off what one has left.
pub(super) const FREED_OF: usize = 32;

/// Retired pieces in the order of their epochs.
#[derive(Debug)]
pub(super) struct Limbo {
    /// The epoch in which pieces are retired.
    now: u64,
    /// What was retired before this epoch is free.
    oldest: u64,
    waiting: VecDeque<(u64, Piece)>,
    /// The units that were retired since the writer has asked last.
    since: usize,
    /// The units of all that waits.
    units: usize,
}

impl Limbo {
    pub(super) fn new(epochs: &Epochs) -> Self {
        let now = epochs.now();
        Self { now, oldest: now, waiting: VecDeque::new(), since: 0, units: 0 }
    }

    /// Takes note of the epoch before a change: whoever else writes in the same epochs may have begun one.
    pub(super) fn begin(&mut self, epochs: &Epochs) {
        self.now = epochs.now();
    }

    pub(super) fn retire(&mut self, piece: Piece) {
        self.waiting.push_back((self.now, piece));
        self.since += piece.units();
        self.units += piece.units();
    }

    /// Frees a few pieces that no reader can be reading any more, so that no change pays for all before it. To be called
    /// between changes, when all that has been retired is out of reach.
    pub(super) fn settle(&mut self, epochs: &Epochs, space: &mut Space) {
        if self.since >= MANY_UNITS {
            self.ask(epochs);
        }
        self.free(FREED + self.waiting.len() / FREED_OF, space);
    }

    /// Frees all that no reader can be reading any more.
    pub(super) fn reclaim(&mut self, epochs: &Epochs, space: &mut Space) {
        self.ask(epochs);
        self.free(usize::MAX, space);
    }

    fn ask(&mut self, epochs: &Epochs) {
        self.oldest = epochs.advance();
        self.since = 0;
        self.begin(epochs);
    }

    fn free(&mut self, most: usize, space: &mut Space) {
        for _ in 0..most {
            let Some((_, piece)) = self.waiting.pop_front_if(|(epoch, _)| *epoch < self.oldest) else {
                break;
            };
            self.units -= piece.units();
            space.free(piece);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The units of 16 bytes of all that waits.
    pub(super) const fn units(&self) -> usize {
        self.units
    }
}
