//! What is to change in a cache when of all that it was built of one snapshot says some things otherwise.
//!
//! A snapshot of a million records of which ten thousand are others is neither made nor compared: what each of the amended prefixes
//! comes to follows from the records about it, and what the guards say of it from it and its neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;

use credence_prefix::Prefix;

use super::Keeper;
use super::changes::{Change, Changes, Told, few};
use super::tally::slash_32;
use crate::snapshot::RECORDS_PER_PREFIX_MAX;
use crate::{Authority, Guarded, Guards, Header, Issuer, IssuerId, Record, both};

/// So few amendments are not worth a second core: each takes a microsecond, and a thread some tens.
const ALONE: usize = 256;

/// A record of a snapshot that is another in the next one: it comes, goes, or says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// The record before, if there was one.
    pub before: Option<Record>,
    /// The record now, if there is one. About the same prefix, by the same right and of the same issuer.
    pub after: Option<Record>,
}

impl Amendment {
    /// What tells it from all others of its snapshot, and the order in which they stand.
    pub fn key(&self) -> Option<(Prefix, Authority, IssuerId)> {
        self.after.as_ref().or(self.before.as_ref()).map(Record::key)
    }

    fn prefix(&self) -> Option<Prefix> {
        self.key().map(|(prefix, ..)| prefix)
    }
}

/// How one of the snapshots that a cache was built of becomes the next one.
#[derive(Clone, Copy, Debug)]
pub struct Amended<'a> {
    /// The snapshot's issuers, before and after.
    pub issuers: &'a [Issuer],
    /// What is another, in the order of keys, each once.
    pub amendments: &'a [Amendment],
    /// Which versions of which sets the cache is of afterwards.
    pub sources: &'a [Header],
}

impl Keeper {
    /// What is to change so that this cache says what one would that is built of all snapshots anew, after one of them was amended.
    /// `is_elsewhere` tells whether another snapshot has a record in the very same words. None where the cache had better be built anew: when
    /// there is too much, or it does not say what the snapshot did before.
    pub fn amend(
        &self,
        amended: Amended<'_>,
        guards: &Guards,
        is_elsewhere: impl Fn(&Record, &Issuer) -> bool + Sync,
    ) -> Option<Changes> {
        let (names, issuers) = self.adopt(amended.issuers)?;
        let (front, back) = halves(amended.amendments);
        let find = |amendments: &[Amendment], room| {
            let mut list = Vec::with_capacity(room);
            for change in self.said(amendments, amended.issuers, &names, guards, &is_elsewhere)? {
                list.extend(Some(change?).filter(Change::is_one));
            }
            Some(list)
        };
        // The others are put behind the first.
        let first = || find(front, amended.amendments.len());
        let others = || find(back, back.len());
        let (others, list) = if back.len() < ALONE { (others(), first()) } else { both(others, first) };
        let (mut list, others) = (list?, others?);
        list.extend(others);
        let list = self.together(list, guards);
        let is_few = list.len() <= few(self.publisher.trie().len());
        let sources = Arc::new(amended.sources.to_vec());
        is_few.then(|| Changes { to: Arc::clone(&self.said), list, issuers, sources })
    }

    /// What is to change about each amended prefix, by its records alone; none where that is not known. The issuers are those of the
    /// snapshot, with their numbers here.
    fn said<'a>(
        &'a self,
        amendments: &'a [Amendment],
        issuers: &'a [Issuer],
        names: &'a [IssuerId],
        guards: &'a Guards,
        is_elsewhere: impl Fn(&Record, &Issuer) -> bool + 'a,
    ) -> Option<impl Iterator<Item = Option<Change>> + 'a> {
        let by_prefix = amendments.chunk_by(|one, other| one.prefix() == other.prefix());
        let groups: Vec<(Prefix, &[Amendment])> =
            by_prefix.map(|same| Some((same.first()?.prefix()?, same))).collect::<Option<_>>()?;
        let prefixes: Vec<Prefix> = groups.iter().map(|(prefix, _)| *prefix).collect();
        let said = move |(was, (prefix, same)): (Told, (Prefix, &[Amendment]))| {
            let mut records = Vec::with_capacity(was.records.len() + same.len());
            records.extend_from_slice(&was.records);
            for Amendment { before, after } in same {
                for (record, comes) in
                    before.iter().map(|it| (it, false)).chain(after.iter().map(|it| (it, true)))
                {
                    let at = usize::from(record.issuer.0);
                    if !is_elsewhere(record, issuers.get(at)?) {
                        put(&mut records, Record { issuer: *names.get(at)?, ..record.clone() }, comes)?;
                    }
                }
            }
            records.iter_mut().for_each(|(record, guarded)| *guarded = guards.judge(record));
            records.sort_unstable_by(|(one, _), (other, _)| one.contest(other));
            (records.len() <= RECORDS_PER_PREFIX_MAX).then(|| Change::new(prefix, was, records))
        };
        Some(self.told(prefixes).zip(groups).map(said))
    }

    /// The same changes, and those about others of the same /32 of which the guards say something else now.
    fn together(&self, list: Vec<Change>, guards: &Guards) -> Vec<Change> {
        let weights = |change: &Change| (change.prefix, change.was.weighed, change.weighs);
        let mut crowded = list
            .chunk_by(|one, next| slash_32(one.prefix) == slash_32(next.prefix))
            .filter(|group| self.tally.can_crowd(slash_32(group[0].prefix), group.iter().map(weights)))
            .map(|group| slash_32(group[0].prefix))
            .collect::<Vec<_>>()
            .into_iter()
            .peekable();
        if crowded.peek().is_none() {
            return list;
        }
        let (mut all, mut rest) = (Vec::with_capacity(list.len()), list.into_iter().peekable());
        while let Some(change) = rest.next() {
            let own = slash_32(change.prefix);
            if crowded.next_if_eq(&own).is_none() {
                all.push(change);
                continue;
            }
            let mut group = vec![change];
            group.extend(core::iter::from_fn(|| rest.next_if(|next| slash_32(next.prefix) == own)));
            all.extend(self.crowd(own, group, guards).into_iter().filter(Change::is_one));
        }
        all
    }

    /// All about a /32 whose records may be so many that they are kept back together, when these of them have changed.
    fn crowd(&self, slash_32: u32, changed: Vec<Change>, guards: &Guards) -> Vec<Change> {
        let own = self.publisher.trie().covered_by(Prefix::containing(u128::from(slash_32) << 96, 32));
        let prefixes: Vec<Prefix> = own.map(|(prefix, _)| prefix).collect();
        let stays = prefixes.clone().into_iter().zip(self.told(prefixes)).map(|(prefix, was)| {
            let records = was.records.clone();
            (prefix, (was, records))
        });
        let mut all: BTreeMap<Prefix, (Told, Vec<(Record, Guarded)>)> = stays.collect();
        all.extend(changed.into_iter().map(|Change { prefix, was, records, .. }| (prefix, (was, records))));
        let records = all.values().flat_map(|(_, records)| records);
        let together: Vec<Record> = records.map(|(record, _)| record.clone()).collect();
        let verdicts = guards.judge_all(&together);
        let judged = all.values_mut().flat_map(|(_, records)| records);
        judged.zip(verdicts).for_each(|((_, guarded), verdict)| *guarded = verdict);
        all.into_iter().map(|(prefix, (was, records))| Change::new(prefix, was, records)).collect()
    }
}

/// Two parts of some amendments, about equal, of which no prefix has a share in both.
pub(super) fn halves(amendments: &[Amendment]) -> (&[Amendment], &[Amendment]) {
    let middle = amendments.len() / 2;
    let is_same = |next: &&Amendment| next.prefix() == amendments[middle].prefix();
    let end = middle + amendments[middle..].iter().take_while(is_same).count();
    amendments.split_at(end)
}

/// Puts a record among those about its prefix, where it is there once whoever says it, or takes it out; none where it is not there.
fn put(records: &mut Vec<(Record, Guarded)>, record: Record, comes: bool) -> Option<()> {
    match (records.iter().position(|(own, _)| *own == record), comes) {
        (None, true) => records.push((record, Guarded::Enforce)),
        (Some(_), true) => {}
        (Some(at), false) => drop(records.swap_remove(at)),
        (None, false) => return None,
    }
    Some(())
}
