//! What is to change in a cache when of all that it was built of one snapshot says some things otherwise.
//!
//! A snapshot of a million records of which ten thousand are others is neither made nor compared: what each of the amended prefixes
//! comes to follows from the records about it, and what the guards say of it from it and its neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;

use credence_prefix::Prefix;

use super::Keeper;
use super::changes::{Change, Changes, few};
use crate::snapshot::RECORDS_PER_PREFIX_MAX;
use crate::{Authority, Guarded, Guards, Header, Issuer, IssuerId, Record};

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
        is_elsewhere: impl Fn(&Record, &Issuer) -> bool,
    ) -> Option<Changes> {
        let (names, issuers) = self.adopt(amended.issuers)?;
        let mut changed = Vec::new();
        for same in amended.amendments.chunk_by(|one, other| one.prefix() == other.prefix()) {
            let prefix = same.first()?.prefix()?;
            let was: Vec<(Record, Guarded)> = self.about(prefix).collect();
            let mut records: Vec<Record> = was.iter().map(|(record, _)| record.clone()).collect();
            for Amendment { before, after } in same {
                for (record, comes) in
                    before.iter().map(|it| (it, false)).chain(after.iter().map(|it| (it, true)))
                {
                    let at = usize::from(record.issuer.0);
                    if !is_elsewhere(record, amended.issuers.get(at)?) {
                        put(&mut records, Record { issuer: *names.get(at)?, ..record.clone() }, comes)?;
                    }
                }
            }
            records.sort_unstable_by(Record::contest);
            if records.len() > RECORDS_PER_PREFIX_MAX {
                return None;
            }
            changed.push(Said { prefix, was, records });
        }
        let list = self.judged(changed, guards);
        let is_few = list.len() <= few(self.publisher.trie().len());
        is_few.then(|| Changes { list, issuers, sources: Arc::new(amended.sources.to_vec()) })
    }

    /// What is to change when these prefixes have other records, all of them: about themselves, and about others of the same /32, of which
    /// the guards may say something else now.
    fn judged(&self, changed: Vec<Said>, guards: &Guards) -> Vec<Change> {
        let (mut list, mut rest) = (Vec::with_capacity(changed.len()), changed.into_iter().peekable());
        while let Some(first) = rest.next() {
            let slash_32 = first.prefix.first() >> 96;
            let judge = |Said { prefix, was, records }: Said| {
                let judged = records.into_iter().map(|record| {
                    let guarded = guards.judge(&record);
                    (record, guarded)
                });
                Change { prefix, was, records: judged.collect() }
            };
            let mut group = vec![judge(first)];
            while let Some(next) = rest.next_if(|next| next.prefix.first() >> 96 == slash_32) {
                group.push(judge(next));
            }
            let weights = |change: &Change| (change.prefix, change.weighed(), change.weighs());
            if self.tally.can_crowd(slash_32 as u32, group.iter().map(weights)) {
                group = self.crowd(slash_32, group, guards);
            }
            list.extend(group.into_iter().filter(|change| change.was != change.records));
        }
        list
    }

    /// All about a /32 whose records may be so many that they are kept back together, when these of them have changed.
    fn crowd(&self, slash_32: u128, changed: Vec<Change>, guards: &Guards) -> Vec<Change> {
        let own = self.publisher.trie().covered_by(Prefix::containing(slash_32 << 96, 32));
        let stays = own.map(|(prefix, &first)| {
            let was: Vec<(Record, Guarded)> = self.told(first).collect();
            (prefix, Change { prefix, records: was.clone(), was })
        });
        let mut all: BTreeMap<Prefix, Change> = stays.collect();
        all.extend(changed.into_iter().map(|change| (change.prefix, change)));
        let records = all.values().flat_map(|change| &change.records);
        let together: Vec<Record> = records.map(|(record, _)| record.clone()).collect();
        let verdicts = guards.judge_all(&together);
        let judged = all.values_mut().flat_map(|change| &mut change.records);
        judged.zip(verdicts).for_each(|((_, guarded), verdict)| *guarded = verdict);
        all.into_values().collect()
    }
}

/// All that is to be said of a prefix, before the guards have judged it.
struct Said {
    prefix: Prefix,
    /// The records that there are, from the one that is heard first.
    was: Vec<(Record, Guarded)>,
    records: Vec<Record>,
}

/// Puts a record among those about its prefix, where it is there once whoever says it, or takes it out; none where it is not there.
fn put(records: &mut Vec<Record>, record: Record, comes: bool) -> Option<()> {
    match (records.iter().position(|own| *own == record), comes) {
        (None, true) => records.push(record),
        (Some(_), true) => {}
        (Some(at), false) => drop(records.swap_remove(at)),
        (None, false) => return None,
    }
    Some(())
}
