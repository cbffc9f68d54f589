//! Credit and scores on the line: when a flow is scored, from what, and who hears of it.

use std::sync::Arc;

use credence_credit::{Cache, Reader};
use credence_flow::{Anomalies, Level, Scoring, Slot};
use credence_prefix::NO_MATCH;
use credence_score::{Assessment, Facts, Verdict, assess};

use super::enter::Item;
use super::{CHUNK, Worker};
use crate::event::Event;
use crate::standing::standing;

/// Nanoseconds of a second.
const NANOS: u64 = 1_000_000_000;

/// What the credit cache knows of a source.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Number of the first record of its longest prefix, or [`NO_MATCH`].
    record: u32,
    /// The Unix second in which a record that covers it ends next.
    changes_s: u32,
}

impl Known {
    /// Stands for an answer that is on its way.
    pub(super) const ASKED: Self = Self { record: NO_MATCH, changes_s: 0 };

    /// What `cache` knows at `now_s` (Unix seconds), given the record that a look-up found.
    fn of(cache: &Cache, record: u32, now_s: u64) -> Self {
        let mut changes_s = u32::MAX;
        let mut next = record;
        while next != NO_MATCH {
            let entry = cache.entry(next);
            if entry.is_live(now_s) {
                changes_s = changes_s.min(entry.expires);
            }
            next = entry.parent;
        }
        Self { record, changes_s }
    }
}

/// The credit snapshot that is in use, and the look-ups of a chunk.
pub(super) struct Credit {
    reader: Reader,
    cache: Arc<Cache>,
    /// The epoch that began with this snapshot.
    pub(super) since: u32,
    asked: Vec<u128>,
    records: Vec<u32>,
}

impl Credit {
    pub(super) fn new(mut reader: Reader) -> Self {
        let cache = Arc::clone(reader.current());
        Self { reader, cache, since: 1, asked: Vec::with_capacity(CHUNK), records: vec![NO_MATCH; CHUNK] }
    }

    /// Takes the latest snapshot; whether it is a new one.
    pub(super) fn take(&mut self) -> bool {
        let latest = self.reader.current();
        let new = !Arc::ptr_eq(latest, &self.cache);
        if new {
            self.cache = Arc::clone(latest);
        }
        new
    }

    /// Whether the snapshot came after a flow was last scored, in epoch `scored`; `now` is the open epoch. Epochs wrap.
    #[inline]
    pub(super) const fn is_newer_than(&self, scored: u32, now: u32) -> bool {
        now.wrapping_sub(scored) > now.wrapping_sub(self.since)
    }

    /// Puts a source on the list of those to look up.
    #[inline]
    pub(super) fn ask(&mut self, source: u128) {
        self.asked.push(source);
    }

    /// Looks up all that was asked. The list is empty afterwards.
    pub(super) fn answers(&mut self) -> Answers<'_> {
        let records = &mut self.records[..self.asked.len()];
        if !records.is_empty() {
            self.cache.longest_match_batch(&self.asked, records);
            self.asked.clear();
        }
        Answers { cache: &self.cache, records: records.iter() }
    }

    fn look_up(&self, source: u128, now_s: u64) -> Known {
        Known::of(&self.cache, self.cache.longest_match(source).unwrap_or(NO_MATCH), now_s)
    }
}

/// Answers of a batch, in the order in which they were asked for.
pub(super) struct Answers<'c> {
    cache: &'c Cache,
    records: std::slice::Iter<'c, u32>,
}

impl Answers<'_> {
    pub(super) fn next(&mut self, ts_ns: u64) -> Option<Known> {
        self.records.next().map(|&record| Known::of(self.cache, record, ts_ns / NANOS))
    }
}

impl Worker {
    /// Whether the last scoring of a flow, at the first packet of an epoch, would come to the same again: the credit
    /// snapshot is the one it rests on, no record has ended since, and its source was and is quiet.
    pub(super) fn stands(&mut self, at: usize, slot: Slot) -> bool {
        let item = &self.chunk[at];
        let flow = self.table.flow(slot);
        !self.credit.is_newer_than(flow.epoch(), self.epoch)
            && flow.stands_at(item.now.ts_ns)
            && self.sources.aggregates.is_quiet(item.key.src)
    }

    /// Scores a flow that had the verdict `before`, and raises an alert when the new one is harder.
    pub(super) fn score(&mut self, at: usize, slot: Slot, before: u8) -> Verdict {
        let item = self.chunk[at];
        let now_s = item.now.ts_ns / NANOS;
        let flow = self.table.flow(slot);
        let (anomalies, confirmed) = (flow.anomalies(), flow.is_confirmed());
        let known = match item.known {
            Some(known) => known,
            None if self.credit.is_newer_than(flow.epoch(), self.epoch) => {
                self.credit.look_up(item.key.src, now_s)
            }
            None => Known::of(&self.credit.cache, flow.credit_record(), now_s),
        };
        let (assessment, quiet) = self.assess(&item, known.record, anomalies, confirmed);
        self.table.flow(slot).scored(Scoring {
            epoch: self.epoch,
            score: assessment.score.value(),
            verdict: assessment.verdict as u8,
            record: known.record,
            stands_until_s: if quiet { known.changes_s } else { 0 },
        });
        if assessment.verdict >= self.config.alert_from && assessment.verdict as u8 > before {
            self.raise(&item, assessment, anomalies, confirmed, known.record);
        }
        assessment.verdict
    }

    /// The verdict of a packet whose flow found no room.
    pub(super) fn score_without_flow(&mut self, item: &Item) -> Verdict {
        let record = match item.known {
            Some(known) => known.record,
            None => self.credit.look_up(item.key.src, item.now.ts_ns / NANOS).record,
        };
        self.assess(item, record, item.seen.anomalies, false).0.verdict
    }

    /// An assessment, and whether its source is quiet.
    fn assess(&self, item: &Item, record: u32, anomalies: Anomalies, confirmed: bool) -> (Assessment, bool) {
        let (source, aggregates) = (item.key.src, &self.sources.aggregates);
        let now_s = item.now.ts_ns / NANOS;
        let standing = standing(&self.credit.cache, record, &self.config.lists, source, now_s);
        let quiet = aggregates.is_quiet(source);
        let behaviour =
            if quiet { [None; 4] } else { Level::ALL.map(|level| aggregates.behaviour(level, source)) };
        let assessment = assess(&Facts { standing, confirmed, anomalies, behaviour }, &self.config.policy);
        self.counters.count_scoring(assessment.basis);
        (assessment, quiet)
    }

    fn raise(
        &mut self,
        item: &Item,
        assessment: Assessment,
        anomalies: Anomalies,
        confirmed: bool,
        record: u32,
    ) {
        if self.collected.alerts.len() >= self.config.outbox as usize {
            self.counters.alerts_lost.add(1);
            return;
        }
        let cache = self.collected.number_of(&self.credit.cache);
        let (ts_ns, frame, key) = (item.now.ts_ns, item.now.frame, item.key);
        let event = Event { ts_ns, frame, key, assessment, anomalies, confirmed, record, cache };
        self.collected.alerts.push(event);
        self.counters.alerts.add(1);
    }
}
