//! The records that follow from a state, and which of them are others in the next one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use credence_credit::{ActRef, Amendment, Authority, Header, IssuerId, Record, Snapshot, both};
use credence_law::acts::Proposal;
use credence_law::book::Issuers;
use credence_law::party::Party;
use credence_law::{Accepted, Act, Acts, Book, Law};
use credence_prefix::Prefix;

use super::{Issued, State, UNLISTED_LASTS};
use crate::each::each;
use crate::reject::Reject;
use crate::row::Row;
use crate::shard::Differing;

/// What tells a record from all others: of whom, by what right, and who says it.
type Subject = (Prefix, Authority, Party);

/// What acts that travel by themselves come to.
#[derive(Debug)]
pub(super) struct Alone {
    /// The acts, by whom, about whom, and what a row keeps of their identities: rows that come from one of them say nothing.
    acts: BTreeSet<(Party, Prefix, ActRef)>,
    /// The records of those that a manifest lists, or that are new.
    records: BTreeMap<Subject, Record>,
}

impl State {
    /// The records that follow, as a snapshot with this header.
    ///
    /// # Errors
    /// When they break a rule of snapshots.
    pub fn snapshot(&self, header: Header) -> Result<Snapshot, Reject> {
        let (issuers, records) = self.records()?;
        let names = issuers.names().to_vec();
        Snapshot::new(header, names, records).map_err(|fault| Reject::Records(fault.to_string()))
    }

    /// The records that follow, in the order of a snapshot, and who issued them.
    ///
    /// # Errors
    /// Never for a state that was checked.
    pub fn records(&self) -> Result<(Issuers, Vec<Record>), Reject> {
        let issuers = Issuers::of(self.rules.law()?.register());
        let alone = self.alone()?;
        let count: usize = self.issued.values().map(|one| one.shard.len() as usize).sum();
        let by = |record: &Record| (record.prefix, record.authority, record.issuer);
        // By any row of each: most hold space that nobody else does, so that what is in order one by one is in order.
        let mut issued: Vec<_> = self.issued.iter().collect();
        issued.sort_by_cached_key(|(_, one)| one.shard.rows().next().map(|row| row.prefix));
        let read = |issued: &[(&Party, &Arc<Issued>)], room: usize| {
            let mut records = Vec::with_capacity(room);
            for (party, one) in issued {
                let (id, begin) = (issuers.id(**party), records.len());
                // Where acts by themselves say something of the same, they are asked below.
                let is_contested =
                    |row: &Row| alone.records.contains_key(&(row.prefix, row.authority, **party));
                let rows = one.shard.rows().filter(|row| alone.acts.is_empty() || !is_contested(row));
                records.extend(rows.filter_map(|row| one.says(&row, **party, id, (&alone, self.at))));
                records[begin..].sort_unstable_by_key(by);
            }
            records
        };
        let (front, back) = issued.split_at(with_rows(&issued, count / 2));
        let behind = back.iter().map(|(_, one)| one.shard.len() as usize).sum();
        let (mut others, mut records) =
            both(|| read(back, behind), || read(front, count + alone.records.len()));
        records.append(&mut others);
        drop(others);
        records.extend(alone.records.keys().filter_map(|subject| self.says(*subject, &issuers, &alone)));
        // Goes by what is in order already.
        records.sort_by_key(by);
        Ok((issuers, records))
    }

    /// The records that are others in `next` than here, in the order of a snapshot, by the issuers' numbers of both. It costs as much
    /// as has changed. None where the rules have changed as well, and anything may be another.
    ///
    /// # Errors
    /// Never for states that were checked.
    pub fn amendments(&self, next: &Self) -> Result<Option<Vec<Amendment>>, Reject> {
        if !Arc::ptr_eq(&self.rules, &next.rules) {
            return Ok(None);
        }
        let issuers = Issuers::of(self.rules.law()?.register());
        let (old, new) = (self.alone()?, next.alone()?);
        let mut singly = contested(&old, &new);
        let (from, to) = (self.at.min(next.at), self.at.max(next.at));
        for (party, one) in &next.issued {
            singly.extend(one.shard.ending(from, to).map(|row| (row.prefix, row.authority, *party)));
        }
        let parties: BTreeSet<Party> = self.issued.keys().chain(next.issued.keys()).copied().collect();
        let mut by_rows = each(parties.into_iter(), |party| {
            let (before, after) = (self.issued.get(&party), next.issued.get(&party));
            let (id, differing) = (issuers.id(party), differing(before, after));
            let mut amendments = Vec::with_capacity(differing.len());
            for (was, is) in differing.iter() {
                let key = was.as_ref().or(is.as_ref()).map(Row::key);
                if key.is_none_or(|(prefix, authority)| singly.contains(&(prefix, authority, party))) {
                    continue;
                }
                let said = |one: Option<&Arc<Issued>>, row: &Option<Row>, at| {
                    one.zip(row.as_ref()).and_then(|(one, row)| one.says(row, party, id, at))
                };
                amendments.push(Amendment {
                    before: said(before, was, (&*old, self.at)),
                    after: said(after, is, (&*new, next.at)),
                });
            }
            Ok::<_, Reject>(amendments)
        })?;
        // The longest stays where it is.
        by_rows.sort_unstable_by_key(Vec::len);
        let mut amendments = by_rows.pop().unwrap_or_default();
        amendments.reserve_exact(by_rows.iter().map(Vec::len).sum::<usize>() + singly.len());
        by_rows.into_iter().for_each(|mut of_one| amendments.append(&mut of_one));
        amendments.extend(singly.into_iter().map(|subject| Amendment {
            before: self.says(subject, &issuers, &old),
            after: next.says(subject, &issuers, &new),
        }));
        amendments.retain(|amendment| amendment.before != amendment.after);
        // Keys are sorted in their place, which are shorter.
        amendments.sort_by_cached_key(Amendment::key);
        Ok(Some(amendments))
    }

    /// What is said of a subject: by the issuer's row, or by an act that travels by itself. Of both the harder speaks, and of equals the one
    /// that lasts longest.
    fn says(&self, subject: Subject, issuers: &Issuers, alone: &Alone) -> Option<Record> {
        let (prefix, authority, party) = subject;
        let by_row = self.issued.get(&party).and_then(|one| {
            let row = one.shard.row((prefix, authority))?;
            one.says(&row, party, issuers.id(party), (alone, self.at))
        });
        let by_act = alone.records.get(&subject).cloned();
        let strength = |record: &Record| (record.measure, record.expires, record.act);
        by_act.into_iter().chain(by_row).reduce(
            |one, other| {
                if strength(&one) < strength(&other) { other } else { one }
            },
        )
    }

    /// What acts that travel by themselves come to.
    fn alone(&self) -> Result<Arc<Alone>, Reject> {
        let law = self.rules.law()?;
        Ok(Arc::clone(self.alone.get_or_init(|| Arc::new(self.judged(law)))))
    }

    fn judged(&self, law: &Law) -> Alone {
        let accepted = || self.loose.values().map(|one| &one.act);
        let about = |one: &Accepted| Some((one.act.issuer(), one.act.subject()?.prefix, one.id.short()));
        let acts = accepted().filter_map(about).collect();
        if self.loose.is_empty() {
            return Alone { acts, records: BTreeMap::new() };
        }
        let mut book = Book::of_public_acts();
        accepted().for_each(|one| book.enter(one.clone()));
        let by_act: HashMap<ActRef, &Accepted> = accepted().map(|one| (one.id.short(), one)).collect();
        let (_, records) = book.records(law, self.at);
        let records = records.into_iter().filter_map(|record| {
            let accepted = record.act.and_then(|act| by_act.get(&act))?;
            let issuer = speaker(&record, accepted);
            let counts = self.counts(&book, &record, accepted);
            counts.then_some(((record.prefix, record.authority, issuer), record))
        });
        Alone { acts, records: records.collect() }
    }

    /// Whether an act counts that travels by itself: because it is new, or its issuer's manifest lists it.
    fn counts(&self, book: &Book, record: &Record, accepted: &Accepted) -> bool {
        let is_listed = self
            .issued
            .get(&speaker(record, accepted))
            .is_some_and(|one| one.shard.lists((record.prefix, record.authority), accepted.id.short()));
        let newest = match &accepted.act {
            Act::Proposal(proposal) => last_word(book, accepted, proposal),
            act => act.preamble().issued,
        };
        is_listed || self.at < newest.saturating_add(UNLISTED_LASTS)
    }
}

impl Issued {
    /// The record that a row comes to, unless its act travels by itself and speaks itself. Restrictions always do.
    fn says(&self, row: &Row, party: Party, id: IssuerId, (alone, at): (&Alone, u64)) -> Option<Record> {
        // What takes an act back travels until the act is over, and not beyond: a clock that is late must not find it in force.
        let speaks = at < row.expires
            && row.authority != Authority::Restriction
            && (alone.acts.is_empty() || !alone.acts.contains(&(party, row.prefix, row.act)));
        speaks.then(|| row.record(id, self.signatures))
    }
}

/// How many of these have so many rows in all, or as few more as can be.
fn with_rows(issued: &[(&Party, &Arc<Issued>)], rows: usize) -> usize {
    let mut before = 0;
    let of_front = issued.iter().take_while(|(_, one)| {
        let is_front = before < rows;
        before += one.shard.len() as usize;
        is_front
    });
    of_front.count()
}

/// Who says what a record says: all members together are the coordinating body.
fn speaker(record: &Record, accepted: &Accepted) -> Party {
    if record.authority == Authority::Restriction { Party::Body } else { accepted.act.issuer() }
}

/// What is or was said of by acts that travel by themselves, and may be said otherwise now.
fn contested(old: &Alone, new: &Alone) -> BTreeSet<Subject> {
    let moved = old.acts.symmetric_difference(&new.acts);
    let rows = moved.flat_map(|&(party, prefix, _)| Authority::ALL.map(|right| (prefix, right, party)));
    old.records.keys().chain(new.records.keys()).copied().chain(rows).collect()
}

/// The rows of which an issuer states something else than before, with what it states and stated of them.
fn differing(before: Option<&Arc<Issued>>, after: Option<&Arc<Issued>>) -> Arc<Vec<Differing>> {
    let all = match (before, after) {
        (Some(before), Some(after)) if Arc::ptr_eq(before, after) => Vec::new(),
        (Some(before), Some(after)) if before.signatures == after.signatures => {
            return before.shard.differing(&after.shard);
        }
        // What so many keys have signed is said of each row.
        (Some(before), Some(after)) => {
            let gone = before.shard.rows().filter(|row| after.shard.row(row.key()).is_none());
            let gone: Vec<_> = gone.map(|row| (Some(row), None)).collect();
            gone.into_iter()
                .chain(after.shard.rows().map(|row| (before.shard.row(row.key()), Some(row))))
                .collect()
        }
        (Some(before), None) => before.shard.rows().map(|row| (Some(row), None)).collect(),
        (None, Some(after)) => after.shard.rows().map(|row| (None, Some(row))).collect(),
        (None, None) => Vec::new(),
    };
    Arc::new(all)
}

/// When members last had a word on a proposal, in Unix seconds: whoever is silent until it closes has said nothing against it.
fn last_word(book: &Book, accepted: &Accepted, proposal: &Proposal) -> u64 {
    let citing = book.citing(&accepted.id);
    let votes = citing.iter().filter_map(|id| match book.act(id) {
        Some(Act::Vote(vote)) => Some(vote.preamble.issued),
        _ => None,
    });
    votes.max().unwrap_or(proposal.closes).min(proposal.closes)
}
