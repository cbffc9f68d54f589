//! The stage that decides: each packet is counted for its flow and given a verdict, in the order in which they came.

use credence_flow::{Finished, Pending, Placed, Slot};
use credence_score::Verdict;

use super::Worker;
use super::sources::Sources;
use crate::config::LineConfig;
use crate::counters::Own;
use crate::event::Collected;

impl Worker {
    /// Counts packets from the first on, as long as that is all there is to do with them: nearly always to the end of the
    /// chunk. How many these were.
    pub(super) fn pass(&mut self) -> usize {
        let Self { table, chunk, tally, epoch, .. } = self;
        for (at, item) in chunk.iter().enumerate() {
            let Some(verdict) = item.pass(table, *epoch) else { return at };
            tally.count(verdict, item.seen.wire_len);
        }
        chunk.len()
    }

    /// Places the packets from `from` on one after the other, and gives each a verdict.
    pub(super) fn settle(&mut self, from: usize) {
        for at in from..self.chunk.len() {
            let verdict = self.place(at);
            self.tally.count(verdict, self.chunk[at].seen.wire_len);
        }
    }

    fn place(&mut self, at: usize) -> u8 {
        #[cfg(test)]
        super::restart::asked::fail("place", self.chunk[at].now.frame);
        let Self { table, chunk, sources, collected, config, epoch, .. } = self;
        let item = &chunk[at];
        if let Some(verdict) = item.pass(table, *epoch) {
            return verdict;
        }
        let mut endings = Endings { sources, collected, config };
        let finished = &mut |ended| endings.take(&ended);
        let placed = match item.guess.filter(|&slot| table.holds(slot, &item.key)) {
            Some(slot) => table.again(slot, item.now, finished),
            None => table.place(&item.key, item.candidates, item.now, finished),
        };
        match placed {
            Placed::Known(slot) => self.attend(at, slot),
            Placed::New(slot) => self.begin(at, slot),
            Placed::Refused => self.pass_by(at),
        }
    }

    /// A packet that may change what its flow is told.
    #[inline(never)]
    fn attend(&mut self, at: usize, slot: Slot) -> u8 {
        let news = self.count(at, slot) | self.exchange(at, slot);
        let first = self.table.flow(slot).epoch() != self.epoch;
        if first {
            self.touched.insert(slot);
        }
        let stands = !news && (!first || self.stands(at, slot));
        let mut flow = self.table.flow(slot);
        let before = flow.verdict();
        if stands {
            flow.stand(self.epoch);
            return before;
        }
        self.score(at, slot, before) as u8
    }

    /// Counts a packet for its flow; whether it shows an anomaly that is new there.
    fn count(&mut self, at: usize, slot: Slot) -> bool {
        let mut flow = self.table.flow(slot);
        let counted = flow.count(&self.chunk[at].seen, self.harmless);
        if counted.full {
            self.sources.add(&flow.fold(0));
        }
        counted.news
    }

    /// Follows the values that prove receipt; whether they now do.
    fn exchange(&mut self, at: usize, slot: Slot) -> bool {
        let seen = &self.chunk[at].seen;
        let flow = self.table.flow(slot);
        if !flow.wants_exchange(seen) {
            return false;
        }
        let before = flow.is_confirmed();
        self.table.exchange(slot, seen);
        let confirmed = self.table.flow(slot).is_confirmed() && !before;
        self.counters.flows_confirmed.add(u64::from(confirmed));
        confirmed
    }

    /// The first packet of a flow.
    #[inline(never)]
    fn begin(&mut self, at: usize, slot: Slot) -> u8 {
        self.count(at, slot);
        self.table.flow(slot).opens(&self.chunk[at].seen);
        self.exchange(at, slot);
        self.touched.insert(slot);
        if self.config.enforced {
            self.sample.offer(self.chunk[at].key.src);
        }
        self.score(at, slot, Verdict::Pass as u8) as u8
    }

    /// A packet whose flow found no room still gets the verdict of its source and its own anomalies.
    #[cold]
    fn pass_by(&mut self, at: usize) -> u8 {
        let item = self.chunk[at];
        let verdict = self.score_without_flow(&item);
        self.sources.add(&Pending {
            key: item.key,
            packets: 1,
            wire_bytes: item.seen.wire_len,
            created: true,
            odd: !item.seen.anomalies.without(self.harmless).is_empty(),
            opening: None,
        });
        verdict as u8
    }
}

/// Where ended flows go: what they did to their sources, and their records to the outbox.
pub(super) struct Endings<'w> {
    pub(super) sources: &'w mut Sources,
    pub(super) collected: &'w mut Collected,
    pub(super) config: &'w LineConfig,
}

impl Endings<'_> {
    /// Takes in an ended flow, its record when anyone wants it and there is room.
    pub(super) fn take(&mut self, ended: &Finished) {
        self.sources.add(&ended.pending);
        if self.config.flow_records && self.collected.flows.len() < self.config.outbox as usize {
            self.collected.flows.push(ended.record);
        }
    }
}

/// Packets and bytes by verdict. Counters that others read are written once a chunk.
#[derive(Default)]
pub(super) struct Tally {
    packets: [u64; PLACES],
    bytes: [u64; PLACES],
}

/// Numbers that three bits can have, so that no place has to be checked.
const PLACES: usize = 8;

impl Tally {
    #[inline]
    fn count(&mut self, verdict: u8, wire_len: u32) {
        let place = usize::from(verdict) % PLACES;
        self.packets[place] += 1;
        self.bytes[place] += u64::from(wire_len);
    }

    /// Moves what was counted to `counters`.
    pub(super) fn write(&mut self, counters: &Own) {
        let Self { packets, bytes } = std::mem::take(self);
        counters.scored.add(packets.iter().sum());
        for verdict in Verdict::ALL {
            let place = verdict as usize;
            counters.verdict_packets.add(place, packets[place]);
            counters.verdict_bytes.add(place, bytes[place]);
        }
    }
}
