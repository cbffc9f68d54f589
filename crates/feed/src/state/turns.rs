//! Which records have become milder or harder between two states, and since when that could be known.

use std::collections::{BTreeMap, HashMap};
use std::iter::once;
use std::sync::Arc;

use credence_credit::{ActRef, Amendment, IssuerId, Measure, Rating, Record, Score};
use credence_law::book::Issuers;
use credence_law::party::Party;

use super::State;
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
    /// The moment is that of the newest act that came along and is what the record rests on, or names it. Where an issuer's manifest
    /// alone has taken a record back or made it milder, the act has come and gone meanwhile: it is then said to be as old as this
    /// state, which it cannot have been in. A manifest that alone makes a record harder says nothing of when that was decided, and
    /// what time alone does has nobody who said it: neither is told of.
    ///
    /// # Errors
    /// Never for a state that was checked.
    pub fn turns(&self, next: &Self, amendments: &[Amendment]) -> Result<Vec<Turn>, Reject> {
        let said = self.said_since(next);
        let issuers = Issuers::of(next.rules.law()?.register());
        let stated_anew: BTreeMap<IssuerId, Party> = next
            .issued
            .iter()
            .filter(|(party, one)| self.issued.get(party).is_none_or(|known| !Arc::ptr_eq(known, one)))
            .map(|(party, _)| (issuers.id(*party), *party))
            .collect();
        let turn = |Amendment { before, after }: &Amendment| {
            let (before, after) = (before.as_ref(), after.as_ref());
            let acts = [before, after].into_iter().flatten().filter_map(|record| record.act);
            if let Some(since) = acts.filter_map(|act| said.get(&act).copied()).max() {
                return is_milder(before, after).map(|is_milder| Turn { is_milder, since });
            }
            let before = before.filter(|record| next.at < record.expires)?;
            let was_stated = self.shard(*stated_anew.get(&before.issuer)?).is_some_and(|(_, shard)| {
                shard.row((before.prefix, before.authority)).is_some_and(|row| Some(row.act) == before.act)
            });
            let is_less = asks(after) < before.measure;
            (was_stated && is_less).then_some(Turn { is_milder: true, since: self.at })
        };
        Ok(amendments.iter().filter_map(turn).collect())
    }

    /// The acts that are what came along in `next`, or are named by it, and when the newest of that was taken in.
    fn said_since(&self, next: &Self) -> HashMap<ActRef, u64> {
        let mut said = HashMap::new();
        for (_, one) in next.loose.iter().filter(|(place, _)| !self.loose.contains_key(place)) {
            let since = one.loose.accepted.max(one.act.act.preamble().issued);
            for id in once(one.act.id).chain(one.act.act.cites()) {
                said.entry(id.short()).and_modify(|known: &mut u64| *known = since.max(*known)).or_insert(since);
            }
        }
        said
    }
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
