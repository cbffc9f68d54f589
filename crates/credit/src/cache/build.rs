//! From snapshots to a cache.

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

/// What snapshots say together.
pub(super) struct Merged {
    sources: Vec<Header>,
    issuers: Vec<Issuer>,
    /// In the order of prefix and contest.
    records: Vec<Record>,
    /// What the guards say of each.
    verdicts: Vec<Guarded>,
}

impl Merged {
    pub(super) fn of(snapshots: Vec<Snapshot>, guards: &Guards) -> Result<Self, CacheError> {
        let total = snapshots.iter().map(|snapshot| snapshot.records().len()).sum();
        if total > RECORDS_MAX {
            return Err(CacheError::TooManyRecords(total));
        }
        let sources = snapshots.iter().map(Snapshot::header).collect();
        let (issuers, records) = merge(snapshots)?;
        let verdicts = guards.judge_all(&records);
        Ok(Self { sources, issuers, records, verdicts })
    }

    pub(super) const fn len(&self) -> usize {
        self.records.len()
    }

    /// Each prefix with the number of its first record.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (Prefix, u32)> {
        let same = self.records.chunk_by(|left, right| left.prefix == right.prefix);
        same.scan(0, |number, same| {
            let first = *number;
            *number += same.len() as u32;
            Some((same[0].prefix, first))
        })
    }

    /// Each prefix with its records, and what the guards say of them.
    pub(super) fn about(&self) -> impl Iterator<Item = (Prefix, impl Iterator<Item = (&Record, Guarded)>)> {
        let mut verdicts = &self.verdicts[..];
        self.records.chunk_by(|left, right| left.prefix == right.prefix).map(move |same| {
            let (own, rest) = verdicts.split_at(same.len());
            verdicts = rest;
            (same[0].prefix, same.iter().zip(own.iter().copied()))
        })
    }

    /// The number of the last record about each prefix.
    pub(super) fn lasts(&self) -> impl Iterator<Item = u32> {
        let same = self.records.chunk_by(|left, right| left.prefix == right.prefix);
        same.scan(0, |number, same| {
            *number += same.len() as u32;
            Some(*number - 1)
        })
    }

    /// The cache of all that, whose table leads to [the first records](Self::firsts), with room for so many records.
    pub(super) fn into_cache(self, table: Arc<Table>, room: usize) -> Cache {
        let slots = Slots::new(room.max(self.len()));
        let mut kept = [0; KeepReason::ALL.len()];
        for (number, (record, &guarded)) in (0..).zip(self.records.iter().zip(&self.verdicts)) {
            slots.write(number, record, guarded);
            if let Guarded::Keep(reason) = guarded {
                kept[reason as usize] += 1;
            }
        }
        self.link(&slots);
        Cache {
            table,
            slots: Arc::new(slots),
            issuers: ArcSwap::from_pointee(self.issuers),
            sources: ArcSwap::from_pointee(self.sources),
            len: AtomicUsize::new(self.records.len()),
            kept: kept.map(AtomicU64::new),
            generation: AtomicU32::new(0),
        }
    }

    /// Gives each record its parent. One pass along the order of prefixes; the stack holds the covers of the present prefix.
    fn link(&self, slots: &Slots) {
        let mut covers: Vec<(Prefix, u32)> = Vec::with_capacity(129);
        let mut first = 0;
        for same in self.records.chunk_by(|left, right| left.prefix == right.prefix) {
            while covers.last().is_some_and(|(cover, _)| !cover.covers(same[0].prefix)) {
                covers.pop();
            }
            let outer = covers.last().map_or(NO_MATCH, |&(_, cover)| cover);
            let behind = first + same.len() as u32;
            link::link(slots, (first..behind).rev(), outer, |_| {});
            covers.push((same[0].prefix, first));
            first = behind;
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
