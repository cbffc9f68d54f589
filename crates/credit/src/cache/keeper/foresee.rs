//! What changes would do, before they are made.

use credence_prefix::{NO_MATCH, Table, TableError, Trie};

use super::Keeper;
use super::changes::{Change, Changes};
use super::tally::Weight;
use crate::guard;
use crate::{Guarded, Measure, Precedence, Record};

impl Keeper {
    /// A bound on what changes do at `now`, in Unix seconds: what they add and take back, with at least as much in force before and no more
    /// space in force afterwards than this says.
    pub fn bound(&self, changes: &Changes, now: u64) -> guard::Change {
        let mut bound = guard::Change {
            before: self.tally.least(now),
            space_64s: self.tally.space_64s(),
            ..guard::Change::default()
        };
        for change in &changes.list {
            let (was, is) = (in_force(&change.was.records, now), in_force(&change.records, now));
            bound.added += u64::from(is.is_some_and(|is| was.is_none_or(|was| was < is)));
            bound.removed += u64::from(was.is_some() && is.is_none());
            let space = guard::slash_64s(change.prefix);
            let counts = |weight: Weight| if weight.is_in_force() { space } else { 0 };
            bound.space_64s += counts(change.weighs);
            bound.space_64s -= counts(change.was.weighed);
        }
        bound
    }

    /// What may be done to those of some addresses that lie in a changed prefix, now and after the changes, at `now` in Unix seconds.
    ///
    /// # Errors
    /// When there are more changes than a table holds.
    pub fn foresee(
        &self,
        changes: &Changes,
        addrs: &[u128],
        now: u64,
    ) -> Result<Vec<(Measure, Measure)>, TableError> {
        let places = || changes.list.iter().map(|change| change.prefix).zip(0..);
        let (table, changed): (Table, Trie<u32>) = (Table::build(places())?, places().collect());
        let mut found = vec![NO_MATCH; addrs.len()];
        table.longest_match_batch(addrs, &mut found);
        let inside = addrs.iter().zip(found).filter(|(_, found)| *found != NO_MATCH);
        Ok(inside.map(|(&addr, _)| self.both(&changes.list, &changed, addr, now)).collect())
    }

    /// What may be done to an address now, and after changes whose places are found by their prefixes.
    fn both(&self, changes: &[Change], places: &Trie<u32>, addr: u128, now: u64) -> (Measure, Measure) {
        let own: Vec<_> = self.publisher.trie().covering(addr).map(|(prefix, _)| prefix).collect();
        let before = ruling(own.iter().rev().flat_map(|&prefix| self.about(prefix)), now);
        let mut all = own;
        all.extend(places.covering(addr).map(|(prefix, _)| prefix));
        all.sort_unstable();
        all.dedup();
        let after = all.iter().rev().flat_map(|&prefix| match places.get(prefix) {
            Some(&place) => changes[place as usize].records.clone(),
            None => self.about(prefix).collect(),
        });
        (before, ruling(after, now))
    }
}

/// The hardest measure among records that a feed has put in force.
fn in_force(records: &[(Record, Guarded)], now: u64) -> Option<Measure> {
    let counts = |(record, guarded): &(Record, Guarded)| {
        (*guarded == Guarded::Enforce && record.is_of_feed() && record.is_live(now)).then_some(record.measure)
    };
    records.iter().filter_map(counts).max()
}

/// What may be done by the record that rules, of those about an address from the one that is heard first, narrow prefixes before wide
/// ones: that of the highest precedence, and among equals the first. See [`Cache::standing`](super::Cache::standing).
fn ruling(records: impl Iterator<Item = (Record, Guarded)>, now: u64) -> Measure {
    let mut ruling: Option<(Precedence, Measure)> = None;
    for (record, guarded) in records {
        let rank = record.precedence();
        let is_heard = guarded == Guarded::Enforce && record.is_live(now);
        if is_heard && ruling.is_none_or(|(highest, _)| highest < rank) {
            ruling = Some((rank, record.measure.min(record.authority.most(record.evidence))));
        }
    }
    ruling.map_or(Measure::None, |(_, measure)| measure)
}
