//! Deltas of one worker in the open step.

use super::aggregates::Aggregates;
use super::delta::{Delta, SketchSeed};
use super::list::List;
use super::log::{Entry, Log};
use crate::flow::{Opening, Pending};
use crate::hash::KeyedHash;

/// Unanswered openings for which it is asked in one call whether answers would pass here.
const ASKED: usize = 32;

/// Deltas of one worker in the open step, in bounded memory: when there are too many, quiet addresses are counted as
/// their /64, then all as their /48, then as their /32; of more /32s than find room those that sent least are dropped
/// and counted. So a flood of addresses cannot hide what others do, only blur it.
///
/// Flows are logged as they come. When the log is full, and at the end of the step, it is sorted and added to the list:
/// both in linear time, so that each entry pays a fixed price however hostile the addresses are.
pub struct Deltas {
    log: Log,
    list: List,
    /// The list is that of a closed step, and begins anew.
    closed: bool,
    /// Openings without an answer, of which it is not known yet whether one would pass here.
    unanswered: Vec<Pending>,
    dropped: u64,
    sketch: KeyedHash,
}

impl Deltas {
    /// Room for `capacity` deltas, half of them for what the log brings.
    pub fn new(capacity: u32, seed: SketchSeed) -> Self {
        let half = (capacity as usize).max(16) / 2;
        Self {
            log: Log::new(half),
            list: List::new(2 * half),
            closed: false,
            unanswered: Vec::with_capacity(ASKED),
            dropped: 0,
            sketch: KeyedHash::new(seed.0),
        }
    }

    /// Counts what a flow did. An opening without an answer counts only when `aggregates` tell that its destination
    /// sends: otherwise its answers may take another way.
    #[inline]
    pub fn add(&mut self, pending: &Pending, aggregates: &Aggregates) {
        if pending.opening != Some(Opening::Unanswered) {
            return self.log(pending, true);
        }
        self.unanswered.push(*pending);
        if self.unanswered.len() == ASKED {
            self.ask(aggregates);
        }
    }

    /// The step's deltas, one a prefix, ordered by prefix, narrow before wide. What is added from now on belongs to the
    /// next step.
    pub fn close(&mut self, aggregates: &Aggregates) -> &[Delta] {
        self.ask(aggregates);
        self.settle();
        self.closed = true;
        self.list.deltas()
    }

    /// Forgets the open step, whatever state it is in. Memory and what was counted stay.
    pub fn clear(&mut self) {
        self.log.clear();
        self.list.clear();
        self.closed = false;
        self.unanswered = Vec::with_capacity(ASKED);
    }

    /// Deltas that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.log.bytes() + self.list.bytes() + self.unanswered.capacity() * size_of::<Pending>()
    }

    /// Logs the openings that wait for it to be known whether their answers would pass here.
    fn ask(&mut self, aggregates: &Aggregates) {
        let mut sends = [false; ASKED];
        let mut unanswered = core::mem::take(&mut self.unanswered);
        let dsts: [u128; ASKED] = core::array::from_fn(|i| unanswered.get(i).map_or(0, |p| p.key.dst));
        aggregates.send(&dsts[..unanswered.len()], &mut sends);
        for (pending, sends) in unanswered.drain(..).zip(sends) {
            self.log(&pending, sends);
        }
        self.unanswered = unanswered;
    }

    #[inline]
    fn log(&mut self, pending: &Pending, reverse_seen: bool) {
        let entry = Entry::of(pending, reverse_seen, &self.sketch);
        if entry.is_empty() {
            return;
        }
        if self.log.len() == self.log.capacity() {
            self.settle();
            self.dropped += self.list.shorten(self.log.capacity());
        }
        self.log.push(entry);
    }

    /// Adds the log to the list.
    fn settle(&mut self) {
        if core::mem::take(&mut self.closed) {
            self.list.clear();
        }
        self.list.begin_merge();
        self.log.drain(|delta| self.list.merge(delta));
        self.list.end_merge();
    }
}

#[cfg(test)]
#[path = "../source_tests/deltas.rs"]
mod tests;
