//! Which records have become milder or harder between two states, and since when that could be known.

use std::collections::{BTreeMap, HashMap};
use std::iter::once;
use std::sync::Arc;

use credence_credit::{ActRef, Amendment, Authority, IssuerId, Measure, Rating, Record, Score};
use credence_law::book::Issuers;
use credence_law::party::Party;

use super::{State, UNLISTED_LASTS};
use crate::reject::Reject;

/// A record that has become another one because somebody said so, and not by its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whether it is gone or asks for less; otherwise it is new or asks for more.
    pub is_milder: bool,
    /// When the platform took in what says so, in Unix seconds and by its own word, but never before its issuer signed it.
    pub since: u64,
}

impl State {
    /// Of the records that are others in `next` than here those that somebody has made milder or harder.
    ///
    /// The moment is that of the newest act that came along and is what the record rests on, or names it. An act that nobody had
    /// stated goes with what takes it back: then it is the moment of `next`, before which that was taken in. Where an issuer's manifest
    /// alone has taken a record back or made it milder, the act has come and gone meanwhile, and is said to be as old as this
    /// state, which it cannot have been in. A manifest that alone makes a record harder says nothing of when that was decided, and
    /// what time alone does has nobody who said it: neither is told of.
    ///
    /// # Errors
    /// Never for a state that was checked.
    pub fn turns(&self, next: &Self, amendments: &[Amendment]) -> Result<Vec<Turn>, Reject> {
        let (said, gone) = (self.said_since(next), self.gone(next));
        let issuers = Issuers::of(next.rules.law()?.register());
        let is_new = |party: &Party, one| self.issued.get(party).is_none_or(|known| !Arc::ptr_eq(known, one));
        let stated_anew = next.issued.iter().filter(|(party, one)| is_new(party, one));
        let stated_anew: BTreeMap<IssuerId, Party> =
            stated_anew.map(|(party, _)| (issuers.id(*party), *party)).collect();
        let was_stated = |record: &Record| {
            let shard = stated_anew.get(&record.issuer).and_then(|party| self.shard(*party));
            let row = shard.and_then(|(_, shard)| shard.row((record.prefix, record.authority)));
            row.is_some_and(|row| Some(row.act) == record.act)
        };
        let unsaid = |before: &Record, after: Option<&Record>| {
            if after.is_none() && is_taken_back(before, &gone, next.at) {
                return Some(next.at);
            }
            (asks(after) < before.measure && was_stated(before)).then_some(self.at)
        };
        let turn = |Amendment { before, after }: &Amendment| {
            let (before, after) = (before.as_ref(), after.as_ref());
            let acts = [before, after].into_iter().flatten().filter_map(|record| record.act);
            if let Some(since) = acts.filter_map(|act| said.get(&act).copied()).max() {
                return is_milder(before, after).map(|is_milder| Turn { is_milder, since });
            }
            let since = unsaid(before.filter(|record| next.at < record.expires)?, after)?;
            Some(Turn { is_milder: true, since })
        };
        Ok(amendments.iter().filter_map(turn).collect())
    }

    /// The acts that travelled by themselves and do not any more, and when they were signed.
    fn gone(&self, next: &Self) -> HashMap<ActRef, u64> {
        let gone = self.loose.iter().filter(|(place, _)| !next.loose.contains_key(place));
        gone.map(|(_, one)| (one.act.id.short(), one.act.act.preamble().issued)).collect()
    }

    /// The acts that are what came along in `next`, or are named by it, and when the newest of that was taken in.
    fn said_since(&self, next: &Self) -> HashMap<ActRef, u64> {
        let mut said = HashMap::new();
        for (_, one) in next.loose.iter().filter(|(place, _)| !self.loose.contains_key(place)) {
            let since = one.loose.accepted.max(one.act.act.preamble().issued);
            for id in once(one.act.id).chain(one.act.act.cites()) {
                said.entry(id.short())
                    .and_modify(|known: &mut u64| *known = since.max(*known))
                    .or_insert(since);
            }
        }
        said
    }
}

/// Whether an act that travelled is among those that are `gone` at `at`, in Unix seconds, before it would have ceased to count: one that
/// nobody states counts for a while alone, and what all members agreed on to its end.
fn is_taken_back(record: &Record, gone: &HashMap<ActRef, u64>, at: u64) -> bool {
    let issued = record.act.and_then(|act| gone.get(&act));
    issued.is_some_and(|issued| {
        record.authority == Authority::Restriction || at < issued.saturating_add(UNLISTED_LASTS)
    })
}

/// What is asked for, where no record asks for nothing.
fn asks(record: Option<&Record>) -> Measure {
    record.map_or(Measure::None, |record| record.measure)
}

/// Whether the record after is milder than the one before, or harder: by what they ask for, then by their scores. None where
/// it is neither.
fn is_milder(before: Option<&Record>, after: Option<&Record>) -> Option<bool> {
    let score = |record: &Record| -> Option<Score> {
        match record.rating {
            Rating::Rated { score, .. } => Some(score),
            Rating::Unrated => None,
        }
    };
    let by_measure = asks(before).cmp(&asks(after));
    let by_score = || match (before.and_then(score), after.and_then(score)) {
        (Some(before), Some(after)) => after.cmp(&before),
        _ => core::cmp::Ordering::Equal,
    };
    let order = by_measure.then_with(by_score);
    order.is_ne().then(|| order.is_gt())
}
