//! Credit and scores on the line: when a flow is scored, from what, and who hears of it.

use std::sync::Arc;

use credence_credit::{Cache, Entry, Reader};
use credence_flow::{Anomalies, Level, Now, Scoring, Slot};
use credence_prefix::NO_MATCH;
use credence_score::{Facts, Verdict, assess, judge};

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
        let first = (record != NO_MATCH).then(|| cache.entry(record));
        Self::along(cache, record, first, now_s)
    }

    /// The same, with the record read already.
    #[inline]
    fn along(cache: &Cache, record: u32, mut entry: Option<Entry>, now_s: u64) -> Self {
        let mut changes_s = u32::MAX;
        while let Some(known) = entry {
            if known.is_live(now_s) {
                changes_s = changes_s.min(known.expires());
            }
            entry = (known.parent() != NO_MATCH).then(|| cache.entry(known.parent()));
        }
        Self { record, changes_s }
    }
}

/// The credit cache that is in use, and the look-ups of a chunk.
pub(super) struct Credit {
    reader: Reader,
    cache: Arc<Cache>,
    /// The publication or update of the cache that flows are judged by.
    generation: u32,
    /// The epoch that began with it.
    pub(super) since: u32,
    asked: Vec<u128>,
    /// When each was asked for, Unix seconds.
    asked_s: Vec<u64>,
    records: Vec<u32>,
    first: Vec<Entry>,
}

impl Credit {
    pub(super) fn new(mut reader: Reader) -> Self {
        let cache = Arc::clone(reader.current());
        Self {
            reader,
            generation: cache.generation(),
            cache,
            since: 1,
            asked: Vec::with_capacity(CHUNK),
            asked_s: Vec::with_capacity(CHUNK),
            records: vec![NO_MATCH; CHUNK],
            first: Vec::with_capacity(CHUNK),
        }
    }

    /// Another reader of what this one reads.
    pub(super) fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Begins a batch with the latest cache; whether it is another one, or was updated. What flows were told before is not looked
    /// at any more then, so that numbers of records that are gone can be used again.
    pub(super) fn enter(&mut self) -> bool {
        self.reader.enter();
        let latest = self.reader.current();
        if !Arc::ptr_eq(latest, &self.cache) {
            self.cache = Arc::clone(latest);
        }
        let generation = self.cache.generation();
        std::mem::replace(&mut self.generation, generation) != generation
    }

    /// Ends the batch.
    pub(super) fn leave(&self) {
        self.reader.leave();
    }

    /// Whether the credit of now came after a flow was last scored, in epoch `scored`; `now` is the open epoch. Epochs wrap.
    #[inline]
    pub(super) const fn is_newer_than(&self, scored: u32, now: u32) -> bool {
        now.wrapping_sub(scored) > now.wrapping_sub(self.since)
    }

    /// Puts a source on the list of those to look up, for a packet of this time (Unix nanoseconds).
    #[inline]
    pub(super) fn ask(&mut self, source: u128, ts_ns: u64) {
        self.asked.push(source);
        self.asked_s.push(ts_ns / NANOS);
    }

    /// Looks up all that was asked, and answers in that order. The list is empty afterwards.
    pub(super) fn answers(&mut self) -> impl Iterator<Item = Known> {
        let Self { cache, asked, asked_s, records, first, .. } = self;
        let records = &mut records[..asked.len()];
        if !records.is_empty() {
            cache.longest_match_batch(asked, records);
        }
        // The first record of all, and only then what it says, so that the misses of a chunk are waited for together. Whoever
        // is not listed reads the last one for nothing: a branch on that would be guessed wrong for each fifth source.
        first.clear();
        if let Some(last) = cache.numbers().checked_sub(1) {
            first.extend(records.iter().map(|&record| cache.entry(record.min(last))));
        }
        asked.clear();
        let listed = |at: usize, record: u32| first.get(at).copied().filter(|_| record != NO_MATCH);
        let answers = records.iter().zip(asked_s.drain(..)).enumerate();
        answers.map(move |(at, (&record, now_s))| Known::along(cache, record, listed(at, record), now_s))
    }

    fn look_up(&self, source: u128, now_s: u64) -> Known {
        Known::of(&self.cache, self.cache.longest_match(source).unwrap_or(NO_MATCH), now_s)
    }
}

impl Worker {
    /// Whether the last scoring of a flow, at the first packet of an epoch, would come to the same again: the credit
    /// is that which it rests on, no record has ended since, and its source was and is quiet.
    pub(super) fn stands(&mut self, at: usize, slot: Slot) -> bool {
        let item = &self.chunk[at];
        let flow = self.table.flow(slot);
        !self.credit.is_newer_than(flow.epoch(), self.epoch)
            && flow.stands_at(item.now.ts_ns)
            && self.sources.aggregates.is_quiet(item.key.src)
    }

    /// Scores a flow that had the verdict `before`, and raises an alert when the new one is harder.
    pub(super) fn score(&mut self, at: usize, slot: Slot, before: u8) -> Verdict {
        let item = &self.chunk[at];
        let (source, now_s) = (item.key.src, item.now.ts_ns / NANOS);
        let flow = self.table.flow(slot);
        let (anomalies, confirmed) = (flow.anomalies(), flow.is_confirmed());
        let known = match item.known {
            Some(known) => known,
            None if self.credit.is_newer_than(flow.epoch(), self.epoch) => {
                self.credit.look_up(item.key.src, now_s)
            }
            None => Known::of(&self.credit.cache, flow.credit_record(), now_s),
        };
        let quiet = self.sources.aggregates.is_quiet(source);
        let facts = self.facts(item, known.record, quiet, anomalies, confirmed);
        let judgement = judge(&facts, &self.policy);
        self.counters.count_scoring(judgement.basis);
        self.opine(source, &judgement);
        self.table.flow(slot).scored(Scoring {
            epoch: self.epoch,
            score: judgement.score.value(),
            verdict: judgement.verdict as u8,
            record: known.record,
            stands_until_s: if quiet { known.changes_s } else { 0 },
        });
        if judgement.verdict >= self.config.alert_from && judgement.verdict as u8 > before {
            self.raise(at, &facts, known.record);
        }
        judgement.verdict
    }

    /// The verdict of a packet whose flow found no room.
    pub(super) fn score_without_flow(&mut self, item: &Item) -> Verdict {
        let record = match item.known {
            Some(known) => known.record,
            None => self.credit.look_up(item.key.src, item.now.ts_ns / NANOS).record,
        };
        let quiet = self.sources.aggregates.is_quiet(item.key.src);
        let facts = self.facts(item, record, quiet, item.seen.anomalies, false);
        let judgement = judge(&facts, &self.policy);
        self.counters.count_scoring(judgement.basis);
        let source = item.key.src;
        self.opine(source, &judgement);
        judgement.verdict
    }

    /// What counts for or against a flow whose source is `quiet`, or not.
    #[inline(always)]
    fn facts(&self, item: &Item, record: u32, quiet: bool, anomalies: Anomalies, confirmed: bool) -> Facts {
        let (source, aggregates) = (item.key.src, &self.sources.aggregates);
        let now_s = item.now.ts_ns / NANOS;
        let standing = standing(&self.credit.cache, record, &self.config.lists, source, now_s);
        let behaviour =
            if quiet { [None; 4] } else { Level::ALL.map(|level| aggregates.behaviour(level, source)) };
        Facts { standing, confirmed, anomalies, behaviour }
    }

    /// Raises an alert, with all terms of the score.
    #[cold]
    fn raise(&mut self, at: usize, facts: &Facts, record: u32) {
        if self.collected.alerts.len() >= self.config.outbox as usize {
            self.counters.alerts_lost.add(1);
            return;
        }
        let now_s = self.chunk[at].now.ts_ns / NANOS;
        let known = self.credit.cache.standing(record, now_s);
        let credit = known.ruling.or(known.credit).map(|number| self.credit.cache.record(number));
        let cache = self.collected.number_of(&self.credit.cache);
        let Item { key, now: Now { ts_ns, frame }, .. } = self.chunk[at];
        let (anomalies, confirmed) = (facts.anomalies, facts.confirmed);
        let assessment = assess(facts, &self.policy);
        let event = Event { ts_ns, frame, key, assessment, anomalies, confirmed, credit, cache };
        self.collected.alerts.push(event);
        self.counters.alerts.add(1);
    }
}
