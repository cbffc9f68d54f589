//! From snapshots to a cache.

use std::collections::BTreeMap;

use credence_prefix::{NO_MATCH, Table, TableError};

use super::{Cache, Entry};
use crate::{Guards, Issuer, IssuerId, RECORDS_MAX, Record, Snapshot};

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

pub(super) fn build(snapshots: Vec<Snapshot>, guards: &Guards) -> Result<Cache, CacheError> {
    let total = snapshots.iter().map(|snapshot| snapshot.records().len()).sum();
    if total > RECORDS_MAX {
        return Err(CacheError::TooManyRecords(total));
    }
    let sources = snapshots.iter().map(Snapshot::header).collect();
    let (issuers, records) = merge(snapshots)?;
    let verdicts = guards.judge_all(&records);
    let mut entries: Vec<_> =
        records.iter().zip(verdicts).map(|(record, verdict)| Entry::new(record, verdict)).collect();
    link(&records, &mut entries);

    let firsts = records.chunk_by(|left, right| left.prefix == right.prefix).scan(0, |number, same| {
        let first = *number;
        *number += same.len() as u32;
        Some((same[0].prefix, first))
    });
    let table = Table::build(firsts)?;
    let mut kept = [0; _];
    for reason in entries.iter().filter_map(Entry::kept) {
        kept[reason as usize] += 1;
    }
    Ok(Cache { table, records, entries, issuers, sources, kept, generation: 0 })
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
    let mut records = Vec::with_capacity(snapshots.iter().map(|snapshot| snapshot.records().len()).sum());
    for snapshot in snapshots {
        let (_, issuers, own) = snapshot.into_parts();
        let renumbered: Vec<_> = issuers.iter().map(|issuer| IssuerId(numbers[issuer])).collect();
        records.extend(own.into_iter().map(|mut record| {
            record.issuer = renumbered[usize::from(record.issuer.0)];
            record
        }));
    }
    records.sort_unstable_by(|left, right| left.prefix.cmp(&right.prefix).then_with(|| left.contest(right)));
    records.dedup();
    Ok((numbers.into_keys().collect(), records))
}

/// Sets each entry's parent: the nearest record further out that it does not [dominate](Entry::dominates).
///
/// Further out are the later records of the same prefix and then all of each covering prefix. One pass against the
/// order within a prefix and along the order of prefixes; the stack holds the covers of the present prefix. A dominated
/// record is skipped together with all that it dominates, by way of its own parent.
fn link(records: &[Record], entries: &mut [Entry]) {
    let mut covers: Vec<usize> = Vec::with_capacity(129);
    let mut first = 0;
    for same in records.chunk_by(|left, right| left.prefix == right.prefix) {
        while covers.last().is_some_and(|&cover| !records[cover].prefix.covers(same[0].prefix)) {
            covers.pop();
        }
        let mut outer = covers.last().map_or(NO_MATCH, |&cover| cover as u32);
        for number in (first..first + same.len()).rev() {
            let mut parent = outer;
            while parent != NO_MATCH && entries[number].dominates(&entries[parent as usize]) {
                parent = entries[parent as usize].parent;
            }
            entries[number].parent = parent;
            outer = number as u32;
        }
        covers.push(first);
        first += same.len();
    }
}
