//! One worker's line: frames in; flows, verdicts, counters and events out.
//!
//! Frames go down the line in chunks, one stage after the other. The first stages ask for the memory that the next ones will
//! touch, so that a chunk waits for many cache lines at once instead of for each in turn:
//!
//! ```text
//! enter    parse, key and hash all                     ─▶ asks for lines of the index
//! find     read the index                              ─▶ asks for flows
//! pass     count what needs no more than that: nearly always the whole chunk
//! look_up  the sources of new and out-of-date flows, in one call
//! settle   place, count, score, give a verdict: packet by packet
//! sweep    end a few idle flows
//! ```
//!
//! Packets are counted and judged one by one, in the order in which they came. What the stages before that find out is a
//! guess, since a packet may end or begin the flow of one behind it; each guess is checked against the flow itself when the
//! packet's turn comes. So how frames are cut into chunks shows in no result, except in whom a full table pushes out.
//!
//! Nothing on the way locks, allocates, asks for the time or formats text.

mod enter;
mod judge;
mod opinions;
mod restart;
mod sample;
mod settle;
mod sources;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use credence_capture::Frame;
use credence_credit::Reader;
use credence_flow::{Anomalies, Delta, FlowTable, Fragments, TableConfig, Touched};
use credence_score::{Policy, Severity};

use self::enter::Item;
use self::judge::Credit;
use self::opinions::Opinions;
use self::restart::Failures;
use self::sample::Sample;
use self::settle::Tally;
use self::sources::Sources;
use self::sweep::Sweep;
use crate::best::Best;
use crate::config::LineConfig;
use crate::counters::Own;
use crate::event::Collected;
use crate::step::Closing;

/// Frames that go down the line together: more than the cache misses that a core keeps in flight, and few enough that all
/// they touch stays in its first-level cache. 64 packets are 9 KiB, their lines of the index 8 KiB, their flows 4 KiB.
const CHUNK: usize = 64;

/// The line of one worker.
pub struct Worker {
    config: Arc<LineConfig>,
    credit: Credit,
    table: FlowTable,
    fragments: Fragments,
    sources: Sources,
    /// Flows touched since the last step closed, to be folded when it does.
    touched: Touched,
    /// The packets of the chunk that is on the line.
    chunk: Vec<Item>,
    /// Frames of the chunk that were parsed.
    entered: usize,
    /// When the line failed lately.
    failures: Failures,
    tally: Tally,
    sweep: Sweep,
    counters: Arc<Own>,
    collected: Collected,
    opinions: Opinions,
    sample: Sample,
    best: Best,
    /// The policy in force.
    policy: Policy,
    /// Whether it is that of an emergency.
    alarmed: bool,
    /// Rises with every closed step and every update of credit: what a flow was told in an older epoch is checked again.
    epoch: u32,
    /// Anomalies that are not held against a source.
    harmless: Anomalies,
    /// Latest packet time, Unix nanoseconds.
    clock_ns: u64,
}

impl Worker {
    /// A line with memory for everything it will ever hold.
    pub fn new(config: Arc<LineConfig>, credit: Reader, counters: Arc<Own>) -> Self {
        let table = TableConfig { capacity: config.flows, full: config.full, timeouts: config.timeouts };
        let mut worker = Self {
            credit: Credit::new(credit),
            table: FlowTable::new(table, config.seed),
            fragments: Fragments::new(config.datagrams, config.seed),
            sources: Sources::new(&config),
            touched: Touched::new(config.flows),
            chunk: Vec::with_capacity(CHUNK),
            entered: 0,
            failures: Failures::default(),
            tally: Tally::default(),
            sweep: Sweep::new(config.flows),
            collected: Collected::default(),
            opinions: Opinions::default(),
            sample: Sample::new(config.seed),
            best: Best::new(config.policy.neutral),
            policy: config.policy,
            alarmed: false,
            counters,
            config,
            epoch: 1,
            harmless: Severity::Unusual.set(),
            clock_ns: 0,
        };
        if worker.config.prefault {
            worker.table.prefault();
        }
        worker.counters.flow_bytes.set((worker.table.bytes() + worker.touched.bytes()) as u64);
        worker.counters.source_bytes.set((worker.sources.bytes() + worker.fragments.bytes()) as u64);
        worker
    }

    /// Takes frames of one step down the line.
    pub fn process(&mut self, frames: &[Frame<'_>]) {
        self.take_credit();
        for chunk in frames.chunks(CHUNK) {
            if self.config.restarts {
                self.guarded(chunk);
            } else {
                self.take(chunk);
            }
        }
        self.credit.leave();
    }

    /// Takes a chunk down the line.
    fn take(&mut self, chunk: &[Frame<'_>]) {
        self.enter(chunk);
        self.find();
        let rest = self.pass();
        if rest < self.chunk.len() {
            self.look_up(rest);
            self.settle(rest);
        }
        self.tally.write(&self.counters);
        self.sweep();
    }

    /// Ends a step of a line that has no other beside it. As [`close_step`](Self::close_step) and
    /// [`apply`](Self::apply) together, without a copy of what may be a million sources.
    pub fn end_step(&mut self, closing: Closing) {
        self.fold(closing);
        let thresholds = &self.config.policy.thresholds;
        self.sources.close_alone(closing.step, &|level, did| thresholds.is_quiet(level, did));
        self.step_ended();
    }

    /// Ends a step: this worker's share of what sources did in it, in place of what `share` held.
    pub fn close_step(&mut self, closing: Closing, share: &mut Vec<Delta>) {
        self.fold(closing);
        self.sources.close(share);
    }

    /// Folds what flows did in the step into their sources.
    fn fold(&mut self, closing: Closing) {
        let Self { touched, table, sources, best, .. } = self;
        touched.retain(|slot| {
            let mut flow = table.flow(slot);
            if flow.is_free() {
                return false;
            }
            best.offer(flow.key().src, flow.score());
            sources.add(&flow.fold(closing.end_ns));
            flow.awaits_judgement()
        });
    }

    /// Takes in what the sources of all workers did in the step that ended: verdicts read it from now on.
    pub fn apply(&mut self, closing: Closing, merged: &[Delta]) {
        let thresholds = &self.config.policy.thresholds;
        self.sources
            .aggregates
            .close_step(closing.step, merged, &|level, did| thresholds.is_quiet(level, did));
        self.step_ended();
    }

    fn step_ended(&mut self) {
        self.sample.hand_out(&mut self.collected.sample);
        self.best.hand_out(self.clock_ns, &mut self.collected.best);
        self.next_epoch();
        self.counters.steps.add(1);
        self.publish();
    }

    /// Ends the line: events since they were last taken out, and the flows that are left. The open step is not closed: only
    /// packets behind it would be judged by what its sources did, and none will come.
    pub fn finish(self) -> (Collected, FlowTable) {
        self.publish();
        self.counters.flows_live.set(0);
        (self.collected, self.table)
    }

    /// Events since they were last taken out, to be taken out by whoever is on this thread; the memory stays for the next.
    pub const fn collected(&mut self) -> &mut Collected {
        &mut self.collected
    }

    /// Events since they were last taken out, with their memory, to go to another thread.
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
        self.counters.opinions_lost.add(lost.opinions.len() as u64);
    }

    /// Says that the thread of this line gets on.
    pub(crate) fn turn(&self) {
        self.counters.turns.add(1);
    }

    /// One pointer and one number a batch: another credit cache, or an update of this one, makes every flow look its source up
    /// again at its next packet.
    fn take_credit(&mut self) {
        let alarmed = self.config.alarm.load(Ordering::Relaxed);
        if self.credit.enter() | (alarmed != self.alarmed) {
            self.next_epoch();
            self.credit.since = self.epoch;
            self.alarmed = alarmed;
            let ladder = if alarmed { self.config.emergency } else { self.config.policy.ladder };
            self.policy = Policy { ladder, ..self.config.policy };
        }
    }

    fn next_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1).max(1);
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
        counters.sources_displaced.set(self.sources.aggregates.displaced());
        counters.sources_lost.set(self.sources.deltas.dropped());
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
