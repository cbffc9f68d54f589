//! One worker's line: frames in; flows, verdicts, counters and events out.
//!
//! A batch is parsed whole, its flows are found, the credit of new and out-of-date ones is looked up in one call, and
//! then each packet is counted, scored if anything changed, and given its flow's verdict, in the order of the frames.
//! Nothing on the way locks, allocates, asks for the time or formats text.

use std::sync::Arc;

use credence_capture::Frame;
use credence_credit::{Cache, Reader};
use credence_flow::{
    Aggregates, Anomalies, Delta, Deltas, Finished, FlowKey, FlowTable, Fragments, Level, Now, Odd, Pending,
    Placed, Slot, TableConfig, Touched, wants_exchange,
};
use credence_prefix::NO_MATCH;
use credence_score::{Assessment, Facts, Severity, Verdict, assess};
use credence_wire::{Header, Link, NotIpv6, Packet, Tunnels, Unkeyed, parse};

use crate::config::LineConfig;
use crate::counters::Own;
use crate::event::{Collected, Event};
use crate::standing::standing;
use crate::step::Closing;

/// Frames that go down the line together: their parsed packets stay in a core's first-level cache.
const CHUNK: usize = 64;
/// Flows looked at for idleness with each chunk: a table of a million flows is walked once in half a million packets.
const SWEEP: u32 = 2 * CHUNK as u32;

/// One packet on its way through the line.
#[derive(Clone, Copy)]
struct Item {
    header: Header,
    anomalies: Anomalies,
    ts_ns: u64,
    frame: u64,
    hash: u64,
    key: FlowKey,
    wire_len: u32,
    /// Where its flow lies; none when it found no room.
    slot: Option<Slot>,
    new: bool,
    /// Record number that the look-up of this batch gave.
    record: u32,
}

/// The line of one worker.
pub struct Worker {
    config: Arc<LineConfig>,
    credit: Reader,
    cache: Arc<Cache>,
    table: FlowTable,
    fragments: Fragments,
    aggregates: Aggregates,
    deltas: Deltas,
    /// Flows touched since the last step closed, to be folded when it does.
    touched: Touched,
    items: Vec<Item>,
    addrs: Vec<u128>,
    records: Vec<u32>,
    counters: Arc<Own>,
    collected: Collected,
    /// Rises with every closed step and every credit snapshot: a flow scored in an older epoch is scored again.
    epoch: u32,
    batch: u8,
    /// Anomalies that are not held against a source.
    harmless: Anomalies,
    /// Latest packet time, Unix nanoseconds.
    clock_ns: u64,
}

impl Worker {
    /// A line with memory for everything it will ever hold.
    pub fn new(config: Arc<LineConfig>, mut credit: Reader, counters: Arc<Own>) -> Self {
        let table = TableConfig { capacity: config.flows, full: config.full, timeouts: config.timeouts };
        let cache = Arc::clone(credit.current());
        let worker = Self {
            credit,
            cache,
            table: FlowTable::new(table, config.seed),
            fragments: Fragments::new(config.datagrams, config.seed),
            aggregates: Aggregates::new(config.sources, config.seed),
            deltas: Deltas::new(config.sources.saturating_mul(2), config.sketch),
            touched: Touched::new(config.flows),
            items: Vec::with_capacity(CHUNK),
            addrs: Vec::with_capacity(CHUNK),
            records: vec![NO_MATCH; CHUNK],
            collected: Collected::default(),
            counters,
            config,
            epoch: 1,
            batch: 0,
            harmless: Severity::Unusual.set(),
            clock_ns: 0,
        };
        worker.counters.flow_bytes.set((worker.table.bytes() + worker.touched.bytes()) as u64);
        let sources = worker.aggregates.bytes() + worker.deltas.bytes() + worker.fragments.bytes();
        worker.counters.source_bytes.set(sources as u64);
        worker
    }

    /// Takes frames of one step down the line.
    pub fn process(&mut self, frames: &[Frame<'_>]) {
        self.take_credit();
        for chunk in frames.chunks(CHUNK) {
            self.items.clear();
            for frame in chunk {
                self.parse(frame);
            }
            let mut from = 0;
            while from < self.items.len() {
                let to = self.place(from);
                self.look_up(from, to);
                for at in from..to {
                    self.account(at);
                }
                self.batch = self.batch.wrapping_add(1);
                from = to;
            }
            self.sweep();
        }
    }

    /// Ends a step: this worker's share of what sources did in it.
    pub fn close_step(&mut self, closing: Closing) -> Vec<Delta> {
        let Self { touched, table, deltas, aggregates, .. } = self;
        touched.retain(|slot| {
            let mut flow = table.flow(slot);
            if flow.is_free() {
                return false;
            }
            let pending = flow.fold(closing.end_ns);
            add(deltas, aggregates, &pending);
            flow.awaits_judgement()
        });
        self.deltas.close()
    }

    /// Takes in what the sources of all workers did in the step that ended: verdicts read it from now on.
    pub fn apply(&mut self, closing: Closing, merged: &[Delta]) {
        self.aggregates.close_step(closing.step, merged);
        self.epoch = self.epoch.wrapping_add(1).max(1);
        self.counters.steps.add(1);
        self.publish();
    }

    /// Ends every flow; `sink` receives events whenever there are many.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Collected)) {
        let many = self.config.outbox as usize;
        let (collected, wanted) = (&mut self.collected, self.config.flow_records);
        self.table.drain(&mut |ended| {
            if wanted {
                collected.flows.push(ended.record);
            }
            if collected.len() >= many {
                sink(std::mem::take(collected));
            }
        });
        sink(self.collect());
        self.publish();
    }

    /// Events since the last call.
    pub fn collect(&mut self) -> Collected {
        std::mem::take(&mut self.collected)
    }

    /// Whether so many events wait that they should be collected now rather than at the end of the step.
    pub fn should_collect(&self) -> bool {
        self.collected.len() >= self.config.outbox as usize / 2
    }

    /// Counts events that nobody could take.
    pub(crate) fn lose(&self, lost: &Collected) {
        self.counters.alerts_lost.add(lost.alerts.len() as u64);
    }

    /// One pointer a batch: a new snapshot makes every flow look its source up again at its next packet.
    fn take_credit(&mut self) {
        let latest = self.credit.current();
        if !Arc::ptr_eq(latest, &self.cache) {
            self.cache = Arc::clone(latest);
            self.epoch = self.epoch.wrapping_add(1).max(1);
        }
    }

    #[inline]
    fn parse(&mut self, frame: &Frame<'_>) {
        let parsed = match Link::from_linktype(frame.linktype) {
            Some(link) => parse(link, frame.bytes, frame.wire_len, &self.config.limits),
            None => Err(Unkeyed::NotIpv6(NotIpv6::UnknownLink)),
        };
        match parsed {
            Ok(packet) => self.enter(frame, &packet),
            Err(why) => self.counters.count_unkeyed(why),
        }
    }

    /// Lets a packet into the batch, keyed.
    #[inline]
    fn enter(&mut self, frame: &Frame<'_>, packet: &Packet) {
        self.clock_ns = self.clock_ns.max(frame.ts_ns);
        let (header, inner) = self.config.keyed.header(packet);
        let mut key = FlowKey::of(header);
        let mut anomalies = packet.anomalies;
        if header.fragment.is_some() {
            self.counters.fragments.add(1);
            if !inner {
                anomalies =
                    anomalies.union(self.fragments.attribute(header, &mut key, frame.ts_ns).anomalies);
            }
        }
        if packet.tunnels != Tunnels::default() {
            self.counters.tunnelled.add(1);
        }
        if !anomalies.is_empty() {
            count_anomalies(&self.counters, anomalies);
        }
        self.items.push(Item {
            header: *header,
            anomalies,
            ts_ns: frame.ts_ns,
            frame: frame.number,
            hash: self.table.hash(&key),
            key,
            wire_len: frame.wire_len,
            slot: None,
            new: false,
            record: NO_MATCH,
        });
    }

    /// Finds or begins the flows of the items from `from` on; where a new batch must begin.
    fn place(&mut self, from: usize) -> usize {
        let Self { table, items, aggregates, deltas, collected, config, batch, .. } = self;
        let mut ended = |ended: Finished| {
            add(deltas, aggregates, &ended.pending);
            collect(collected, config, &ended);
        };
        for (at, item) in items.iter_mut().enumerate().skip(from) {
            let now = Now { ts_ns: item.ts_ns, frame: item.frame, batch: *batch };
            (item.slot, item.new) = match table.place(&item.key, item.hash, now, &mut ended) {
                Placed::Known(slot) => (Some(slot), false),
                Placed::New(slot) => (Some(slot), true),
                Placed::Refused => (None, true),
                Placed::NextBatch => return at,
            };
        }
        items.len()
    }

    /// Looks up the sources of new and out-of-date flows in one call.
    fn look_up(&mut self, from: usize, to: usize) {
        self.addrs.clear();
        for item in &self.items[from..to] {
            if item.new || is_stale(&mut self.table, item.slot, self.epoch) {
                self.addrs.push(item.key.src);
            }
        }
        if self.addrs.is_empty() {
            return;
        }
        self.cache.longest_match_batch(&self.addrs, &mut self.records[..self.addrs.len()]);
        let mut records = self.records.iter();
        for item in &mut self.items[from..to] {
            if item.new || is_stale(&mut self.table, item.slot, self.epoch) {
                item.record = records.next().copied().unwrap_or(NO_MATCH);
            }
        }
    }

    /// Counts one packet, scores its flow again if anything changed, and applies the verdict.
    #[inline]
    fn account(&mut self, at: usize) {
        let item = &self.items[at];
        let Some(slot) = item.slot else { return self.account_without_flow(at) };
        let mut flow = self.table.flow(slot);
        let odd = Odd { anomalies: item.anomalies, harmless: self.harmless };
        let counted = flow.count(&item.header, odd, item.wire_len);
        let stale = flow.epoch() != self.epoch;
        let confirmed = flow.is_confirmed();
        let mut verdict = flow.verdict();
        let exchange = wants_exchange(&flow, item.new, &item.header);
        if exchange {
            self.table.exchange(slot, &item.header);
            flow = self.table.flow(slot);
            if item.new {
                flow.opens(&item.header);
            }
        }
        let newly_confirmed = flow.is_confirmed() && !confirmed;
        if counted.full {
            let pending = flow.fold(0);
            add(&mut self.deltas, &self.aggregates, &pending);
        }
        let fresh = item.new || stale;
        if fresh {
            self.touched.insert(slot);
        }
        if newly_confirmed {
            self.counters.flows_confirmed.add(1);
        }
        if fresh || counted.news || newly_confirmed {
            verdict = self.score(at, slot, fresh) as u8;
        }
        let verdict = Verdict::from_number(verdict).unwrap_or(Verdict::Pass);
        self.counters.count_verdict(verdict, self.items[at].wire_len);
    }

    /// Scores a flow. `fresh` tells that the look-up of this batch holds its record; otherwise the flow remembers it.
    fn score(&mut self, at: usize, slot: Slot, fresh: bool) -> Verdict {
        let item = &self.items[at];
        let flow = self.table.flow(slot);
        let record = if fresh { item.record } else { flow.credit_record() };
        let (anomalies, confirmed) = (flow.anomalies(), flow.is_confirmed());
        let before = if item.new { Verdict::Pass as u8 } else { flow.verdict() };
        let assessment = self.assess(&item.key, record, anomalies, confirmed, item.ts_ns);
        let score = assessment.score.value();
        self.table.flow(slot).scored(self.epoch, score, assessment.verdict as u8, record);
        if assessment.verdict >= self.config.alert_from && assessment.verdict as u8 > before {
            self.raise(at, assessment, anomalies, confirmed, record);
        }
        assessment.verdict
    }

    fn assess(
        &self,
        key: &FlowKey,
        record: u32,
        anomalies: Anomalies,
        confirmed: bool,
        ts_ns: u64,
    ) -> Assessment {
        let standing = standing(&self.cache, record, &self.config.lists, key.src, ts_ns / NANOS);
        let behaviour = Level::ALL.map(|level| self.aggregates.behaviour(level, key.src));
        let facts = Facts { standing, confirmed, anomalies, behaviour };
        let assessment = assess(&facts, &self.config.policy);
        self.counters.count_scoring(assessment.basis);
        assessment
    }

    /// A packet whose flow found no room still gets the verdict of its source and its own anomalies.
    fn account_without_flow(&mut self, at: usize) {
        let item = &self.items[at];
        let assessment = self.assess(&item.key, item.record, item.anomalies, false, item.ts_ns);
        self.counters.count_verdict(assessment.verdict, item.wire_len);
        let pending = Pending {
            key: item.key,
            packets: 1,
            wire_bytes: item.wire_len,
            created: true,
            odd: !item.anomalies.without(self.harmless).is_empty(),
            opening: None,
        };
        add(&mut self.deltas, &self.aggregates, &pending);
    }

    fn raise(
        &mut self,
        at: usize,
        assessment: Assessment,
        anomalies: Anomalies,
        confirmed: bool,
        record: u32,
    ) {
        if self.collected.alerts.len() >= self.config.outbox as usize {
            self.counters.alerts_lost.add(1);
            return;
        }
        let Item { ts_ns, frame, key, .. } = self.items[at];
        let cache = self.collected.number_of(&self.cache);
        let event = Event { ts_ns, frame, key, assessment, anomalies, confirmed, record, cache };
        self.collected.alerts.push(event);
        self.counters.alerts.add(1);
    }

    fn sweep(&mut self) {
        let Self { table, aggregates, deltas, collected, config, batch, clock_ns, .. } = self;
        let now = Now { ts_ns: *clock_ns, frame: 0, batch: *batch };
        table.expire(SWEEP, now, &mut |ended| {
            add(deltas, aggregates, &ended.pending);
            collect(collected, config, &ended);
        });
    }

    /// Copies what tables count about themselves to where it is scraped.
    fn publish(&self) {
        let (table, counters) = (self.table.counters(), &self.counters);
        counters.flows_live.set(u64::from(self.table.live()));
        counters.flows_created.set(table.created);
        counters.flows_expired.set(table.expired);
        counters.flows_evicted.set(table.evicted);
        counters.flows_refused.set(table.refused);
        counters.fragments_displaced.set(self.fragments.displaced());
        counters.sources_displaced.set(self.aggregates.displaced());
        counters.sources_lost.set(self.deltas.dropped());
    }
}

/// Nanoseconds of a second.
const NANOS: u64 = 1_000_000_000;

#[inline]
fn is_stale(table: &mut FlowTable, slot: Option<Slot>, epoch: u32) -> bool {
    slot.is_none_or(|slot| table.flow(slot).epoch() != epoch)
}

fn add(deltas: &mut Deltas, aggregates: &Aggregates, pending: &Pending) {
    let reverse_seen = pending.opening.is_some() && aggregates.sends(pending.key.dst);
    deltas.add(pending, reverse_seen);
}

/// Keeps an ended flow for the outbox, when anyone wants it and there is room.
fn collect(collected: &mut Collected, config: &LineConfig, ended: &Finished) {
    if config.flow_records && collected.flows.len() < config.outbox as usize {
        collected.flows.push(ended.record);
    }
}

fn count_anomalies(counters: &Own, anomalies: Anomalies) {
    for anomaly in anomalies.iter() {
        counters.anomalies.add(anomaly as usize, 1);
    }
}
