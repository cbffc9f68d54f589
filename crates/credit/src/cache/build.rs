//! From snapshots to a cache.

use core::ops::Range;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use arc_swap::ArcSwap;
use credence_prefix::{NO_MATCH, Prefix, Table, TableError};

use super::slots::Slots;
use super::{Cache, link};
use crate::{Guarded, Guards, Header, Issuer, IssuerId, KeepReason, RECORDS_MAX, Record, Snapshot};

/// Why snapshots make no cache; the one in use then stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// More records than one snapshot may hold.
    #[error("{0} records in all are more than the {RECORDS_MAX} that fit; leave a list out")]
    TooManyRecords(usize),
    /// More issuers than their numbers can tell apart.
    #[error("the lists name {0} issuers in all, and 65,536 fit; leave a list out")]
    TooManyIssuers(usize),
    /// The prefix table refused the prefixes.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// What snapshots say together, where it is going to be read.
///
/// The records lie in their slots before anything else is built: as values beside the table and the control plane's trie, ten million would
/// take half of a gigabyte more at the moment when most memory is held.
pub(super) struct Merged {
    sources: Vec<Header>,
    issuers: Vec<Issuer>,
    /// In the order of prefix and contest.
    slots: Slots,
    kept: [u64; KeepReason::ALL.len()],
}

impl Merged {
    /// What these snapshots say, in as many slots as `room` wants for so many records, and no fewer than these.
    pub(super) fn of(
        snapshots: Vec<Snapshot>,
        guards: &Guards,
        room: impl FnOnce(usize) -> usize,
    ) -> Result<Self, CacheError> {
        let total = snapshots.iter().map(|snapshot| snapshot.records().len()).sum();
        if total > RECORDS_MAX {
            return Err(CacheError::TooManyRecords(total));
        }
        let sources = snapshots.iter().map(Snapshot::header).collect();
        let (issuers, records) = merge(snapshots)?;
        let verdicts = guards.judge_all(&records);
        let slots = Slots::new(room(records.len()).max(records.len()));
        slots.fill(&records, &verdicts);
        let mut kept = [0; KeepReason::ALL.len()];
        for guarded in verdicts {
            if let Guarded::Keep(reason) = guarded {
                kept[reason as usize] += 1;
            }
        }
        Ok(Self { sources, issuers, slots, kept })
    }

    /// How many records there are.
    pub(super) fn len(&self) -> u32 {
        self.slots.used()
    }

    /// Each prefix with the numbers of its records.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (Prefix, Range<u32>)> {
        let len = self.len();
        let mut next = (0 < len).then(|| (self.slots.prefix(0), 0));
        core::iter::from_fn(move || {
            let (prefix, first) = next.take()?;
            let mut others = (first + 1..len).map(|number| (self.slots.prefix(number), number));
            next = others.find(|(other, _)| *other != prefix);
            Some((prefix, first..next.map_or(len, |(_, number)| number)))
        })
    }

    /// Each prefix with the number of its first record.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (Prefix, u32)> {
        // Whoever makes a list of them knows how long it gets at most.
        self.numbers().take(self.len() as usize).map(|(prefix, numbers)| (prefix, numbers.start))
    }

    /// By number: the record about the same prefix that is heard next, or [`NO_MATCH`].
    pub(super) fn next(&self) -> Vec<u32> {
        let mut next: Vec<u32> = (1..=self.len()).collect();
        self.numbers().for_each(|(_, numbers)| next[numbers.end as usize - 1] = NO_MATCH);
        next
    }

    /// The record of that number, and what the guards say of it.
    pub(super) fn told(&self, number: u32) -> (Record, Guarded) {
        (self.slots.record(number), self.slots.entry(number).guarded())
    }

    /// The cache of all that, whose table leads to [the first records](Self::firsts).
    pub(super) fn into_cache(self, table: Arc<Table>) -> Cache {
        Cache {
            table,
            len: AtomicUsize::new(self.len() as usize),
            slots: Arc::new(self.slots),
            issuers: ArcSwap::from_pointee(self.issuers),
            sources: ArcSwap::from_pointee(self.sources),
            kept: self.kept.map(AtomicU64::new),
            generation: AtomicU32::new(0),
        }
    }

    /// Gives each record its parent. One pass along the order of prefixes; the stack holds the covers of the present prefix.
    pub(super) fn link(&self) {
        let mut covers: Vec<(Prefix, u32)> = Vec::with_capacity(129);
        for (prefix, numbers) in self.numbers() {
            while covers.last().is_some_and(|(cover, _)| !cover.covers(prefix)) {
                covers.pop();
            }
            let outer = covers.last().map_or(NO_MATCH, |&(_, cover)| cover);
            covers.push((prefix, numbers.start));
            link::link(&self.slots, numbers.rev(), outer, |_| {});
        }
    }
}

/// All records in the order of prefix and contest, naming issuers of one table. What several snapshots say in the same
/// words is there once.
fn merge(snapshots: Vec<Snapshot>) -> Result<(Vec<Issuer>, Vec<Record>), CacheError> {
    let mut numbers: BTreeMap<Issuer, u16> = BTreeMap::new();
    numbers.extend(snapshots.iter().flat_map(Snapshot::issuers).map(|issuer| (issuer.clone(), 0)));
    let count = numbers.len();
    for (place, number) in numbers.values_mut().enumerate() {
        *number = u16::try_from(place).map_err(|_| CacheError::TooManyIssuers(count))?;
    }
    let total: usize = snapshots.iter().map(|snapshot| snapshot.records().len()).sum();
    let mut records = Vec::new();
    for snapshot in snapshots {
        let (_, issuers, mut own) = snapshot.into_parts();
        let renumbered: Vec<_> = issuers.iter().map(|issuer| IssuerId(numbers[issuer])).collect();
        own.iter_mut().for_each(|record| record.issuer = renumbered[usize::from(record.issuer.0)]);
        if records.is_empty() {
            // Mostly there is one that is large, and its memory serves.
            records = own;
        } else {
            records.reserve_exact(total - records.len());
            records.append(&mut own);
        }
    }
    records.sort_unstable_by(|left, right| left.prefix.cmp(&right.prefix).then_with(|| left.contest(right)));
    records.dedup();
    Ok((numbers.into_keys().collect(), records))
}
