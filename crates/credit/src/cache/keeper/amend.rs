//! What is to change in a cache when of all that it was built of one snapshot says some things otherwise.
//!
//! A snapshot of a million records of which ten thousand are others is neither made nor compared: what each of the amended prefixes
//! comes to follows from the records about it, and what the guards say of it from it and its neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;

use credence_prefix::Prefix;

use super::Keeper;
use super::changes::{Change, Changes, Told, few};
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
            let list = Vec::with_capacity(room);
            self.judged(self.said(amendments, amended.issuers, &names, &is_elsewhere)?, guards, list)
        };
        // The others are put behind the first.
        let first = || find(front, amended.amendments.len());
        let others = || find(back, back.len());
        let (others, list) = if back.len() < ALONE { (others(), first()) } else { both(others, first) };
        let (mut list, others) = (list?, others?);
        list.extend(others);
        let is_few = list.len() <= few(self.publisher.trie().len());
        let sources = Arc::new(amended.sources.to_vec());
        is_few.then(|| Changes { to: Arc::clone(&self.said), list, issuers, sources })
    }

    /// What is to be said of each amended prefix; none where that is not known. The issuers are those of the snapshot, with their
    /// numbers here.
    fn said<'a>(
        &'a self,
        amendments: &'a [Amendment],
        issuers: &'a [Issuer],
        names: &'a [IssuerId],
        is_elsewhere: impl Fn(&Record, &Issuer) -> bool + 'a,
    ) -> Option<impl Iterator<Item = Option<Said>> + 'a> {
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
            records.sort_unstable_by(|(one, _), (other, _)| one.contest(other));
            (records.len() <= RECORDS_PER_PREFIX_MAX).then_some(Said { prefix, was, records })
        };
        Some(self.told(prefixes).zip(groups).map(said))
    }

    /// What is to change when these prefixes have other records, all of them: about themselves, and about others of the same /32, of which
    /// the guards may say something else now. It is put behind what is on the list.
    fn judged(
        &self,
        said: impl Iterator<Item = Option<Said>>,
        guards: &Guards,
        mut list: Vec<Change>,
    ) -> Option<Vec<Change>> {
        let (mut said, mut group) = (said.peekable(), Vec::new());
        let judge = |Said { prefix, was, mut records }: Said| {
            records.iter_mut().for_each(|(record, guarded)| *guarded = guards.judge(record));
            Change::new(prefix, was, records)
        };
        while let Some(first) = said.next() {
            let first = first?;
            let slash_32 = first.prefix.first() >> 96;
            group.push(judge(first));
            let is_near =
                |next: &Option<Said>| next.as_ref().is_some_and(|next| next.prefix.first() >> 96 == slash_32);
            while let Some(next) = said.next_if(is_near).flatten() {
                group.push(judge(next));
            }
            let weights = |change: &Change| (change.prefix, change.was.weighed, change.weighs);
            if self.tally.can_crowd(slash_32 as u32, group.iter().map(weights)) {
                group = self.crowd(slash_32, group, guards);
            }
            list.extend(group.drain(..).filter(|change| change.was.records != change.records));
        }
        Some(list)
    }

    /// All about a /32 whose records may be so many that they are kept back together, when these of them have changed.
    fn crowd(&self, slash_32: u128, changed: Vec<Change>, guards: &Guards) -> Vec<Change> {
        let own = self.publisher.trie().covered_by(Prefix::containing(slash_32 << 96, 32));
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

/// Two parts of some amendments, about equal, of which no /32 has a share in both.
pub(super) fn halves(amendments: &[Amendment]) -> (&[Amendment], &[Amendment]) {
    let slash_32 = |amendment: &Amendment| amendment.prefix().map(|prefix| prefix.first() >> 96);
    let middle = amendments.len() / 2;
    let same = amendments[middle..].iter().take_while(|next| slash_32(next) == slash_32(&amendments[middle]));
    let end = middle + same.count();
    amendments.split_at(end)
}

/// All that is to be said of a prefix, before the guards have judged it.
struct Said {
    prefix: Prefix,
    was: Told,
    /// With what the guards say of those that there were.
    records: Vec<(Record, Guarded)>,
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
