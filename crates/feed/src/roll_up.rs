//! One delta in the place of several that follow each other.
//!
//! It names whatever any of them touches, as it is in the end, and not only where the end differs from the beginning. So it leads to the
//! end from every version between as well: what was done before that version is done once more and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use credence_law::party::Party;

use crate::files::{Delta, Many, ShardDelta};
use crate::reject::Reject;
use crate::row::{Key, Row};

impl Delta {
    /// This delta and the one that goes on from where it ends, in one.
    ///
    /// # Errors
    /// When that one begins elsewhere.
    pub fn then(self, next: Self) -> Result<Self, Reject> {
        if next.from != self.to {
            return Err(Reject::Base { from: next.from, known: self.to });
        }
        let mut shards: BTreeMap<Party, ShardDelta> =
            self.shards.0.into_iter().map(|shard| (shard.party, shard)).collect();
        // Whoever has left and states something again begins with nothing, wherever one follows from: they stay among those who left.
        next.left.0.iter().for_each(|party| drop(shards.remove(party)));
        for shard in next.shards.0 {
            let whole = match shards.remove(&shard.party) {
                Some(before) => before.then(shard),
                None => shard,
            };
            shards.insert(whole.party, whole);
        }
        let left: BTreeSet<Party> = self.left.0.into_iter().chain(next.left.0).collect();
        let mut put: BTreeMap<u64, _> = self.put.0.into_iter().map(|one| (one.place, one)).collect();
        next.gone.0.iter().for_each(|place| drop(put.remove(place)));
        put.extend(next.put.0.into_iter().map(|one| (one.place, one)));
        let gone: BTreeSet<u64> = self.gone.0.into_iter().chain(next.gone.0).collect();
        Ok(Self {
            from: self.from,
            to: next.to,
            shards: Many(shards.into_values().collect()),
            left: Many(left.into_iter().collect()),
            gone: Many(gone.into_iter().collect()),
            put: Many(put.into_values().collect()),
        })
    }
}

impl ShardDelta {
    /// What changed of an issuer, and then changed again.
    fn then(self, next: Self) -> Self {
        let mut put: BTreeMap<Key, Row> = self.put.0.into_iter().map(|row| (row.key(), row)).collect();
        let mut gone: BTreeSet<Key> = self.gone.0.into_iter().collect();
        for key in next.gone.0 {
            put.remove(&key);
            gone.insert(key);
        }
        for row in next.put.0 {
            gone.remove(&row.key());
            put.insert(row.key(), row);
        }
        let (put, gone) = (Many(put.into_values().collect()), Many(gone.into_iter().collect()));
        Self { put, gone, ..next }
    }
}

#[cfg(test)]
mod tests;
