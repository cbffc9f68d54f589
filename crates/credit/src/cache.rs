//! The look-up that the packet path reads: built from snapshots and published by one pointer swap, or changed in place,
//! record by record.
//!
//! All records of all snapshots are kept; those about the same prefix stand by whose word is heard first. The table answers an address with the number of the first record of its longest prefix. From
//! there an entry's `parent` leads to the next record that could still matter, so that neither an ended record hides a
//! live one nor a narrow one outranks the operator; see [`Cache::standing`].

mod build;
mod entry;
mod keeper;
mod link;
mod published;
mod slots;

use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use std::sync::Arc;

use arc_swap::ArcSwap;
pub use build::CacheError;
use build::Merged;
use credence_prefix::{NO_MATCH, Prefix, Table};
pub use entry::Entry;
pub use keeper::{Amended, Amendment, Changes, Follower, Keeper, NotChanged};
pub use published::{Published, Reader};
use slots::Slots;

use crate::{Guards, Header, Issuer, IssuerId, KeepReason, Precedence, Record, Snapshot};

/// Every record in force or shown, by address.
///
/// Reading never waits. One that is published may be changed meanwhile, record by record, by its [`Keeper`]; a walk from a
/// look-up to what it finds sees each change whole or not at all, as long as its [`Reader`] has not left.
#[derive(Debug)]
pub struct Cache {
    table: Arc<Table>,
    slots: Arc<Slots>,
    /// By number. Only ever grows.
    issuers: ArcSwap<Vec<Issuer>>,
    sources: ArcSwap<Vec<Header>>,
    len: AtomicUsize,
    kept: [AtomicU64; KeepReason::ALL.len()],
    generation: AtomicU32,
}

/// What the cache holds of an address at one moment, as record numbers. Both parts are `None` where no live record
/// covers the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Standing {
    /// The live record that tells the address's credit: the one with the longest prefix, and among those of one prefix
    /// the one that is heard first. It counts as knowledge even where it may not be enforced.
    pub credit: Option<u32>,
    /// The live, enforceable record that rules what may be done: the one of the highest [`Precedence`], and among equals
    /// the one with the longest prefix.
    pub ruling: Option<u32>,
}

impl Cache {
    /// The cache of these snapshots together. The guards are asked once for each record, here, and their answer stands
    /// in the entry.
    ///
    /// Records of the same prefix are all kept. The one of the strongest authority is found first; of two with the same
    /// authority the harder, then the worse, then the longer lasting one, since each would have held alone. The order
    /// in which the snapshots are given has no influence.
    ///
    /// # Errors
    /// When there are more records or issuers in all than one snapshot may have.
    pub fn build(snapshots: Vec<Snapshot>, guards: &Guards) -> Result<Self, CacheError> {
        let merged = Merged::of(snapshots, guards, |records| records)?;
        let table = Table::build(merged.firsts())?;
        merged.link();
        Ok(merged.into_cache(Arc::new(table)))
    }

    /// The number of the first record of the longest prefix that contains `addr`, whether it is live or not.
    pub fn longest_match(&self, addr: u128) -> Option<u32> {
        self.table.longest_match(addr)
    }

    /// Writes to each place of `out` what [`Cache::longest_match`] says of the address at the same place of `addrs`,
    /// with [`NO_MATCH`] for none.
    ///
    /// # Panics
    /// When the two slices differ in length.
    pub fn longest_match_batch(&self, addrs: &[u128], out: &mut [u32]) {
        self.table.longest_match_batch(addrs, out);
    }

    /// The image of the look-up, which another process or the kernel can walk; see [`Table::image`].
    pub fn image(&self) -> &[credence_prefix::Line] {
        self.table.image()
    }

    /// The compact form of a record.
    ///
    /// # Panics
    /// When the number is not below [`Cache::numbers`].
    #[inline]
    pub fn entry(&self, number: u32) -> Entry {
        self.slots.entry(number)
    }

    /// The record of that number.
    ///
    /// # Panics
    /// When the number is not below [`Cache::numbers`].
    pub fn record(&self, number: u32) -> Record {
        self.slots.record(number)
    }

    /// All numbers that were ever given out are below.
    pub fn numbers(&self) -> u32 {
        self.slots.used()
    }

    /// Who issued a record of this cache.
    ///
    /// # Panics
    /// When the record comes from elsewhere.
    pub fn issuer(&self, id: IssuerId) -> Issuer {
        self.issuers.load()[usize::from(id.0)].clone()
    }

    /// What holds at `now` (Unix seconds), starting from a number that a look-up gave, [`NO_MATCH`] included.
    ///
    /// Usually one entry is read. A further one is read only where it outlives or outranks the one that led to it, and
    /// each lies further out than the last, so that the walk ends after as many steps as records cover the address: at
    /// most 16 for each of 129 lengths and for each snapshot that went in.
    pub fn standing(&self, number: u32, now: u64) -> Standing {
        let mut standing = Standing::default();
        let mut ruled: Option<Precedence> = None;
        let mut next = number;
        while next != NO_MATCH {
            let entry = self.entry(next);
            if entry.is_live(now) {
                standing.credit = standing.credit.or(Some(next));
                let rank = entry.is_enforceable().then(|| entry.precedence());
                if rank > ruled {
                    (ruled, standing.ruling) = (rank, Some(next));
                }
            }
            next = entry.parent();
        }
        standing
    }

    /// What holds for an address at `now` (Unix seconds).
    pub fn effective(&self, addr: u128, now: u64) -> Standing {
        self.standing(self.longest_match(addr).unwrap_or(NO_MATCH), now)
    }

    /// All records whose prefix contains `addr`, from the widest prefix to the narrowest, live or not, with their numbers. For
    /// explaining, not for packets: it looks at all there are.
    pub fn covering(&self, addr: u128) -> Vec<(u32, Record)> {
        let mut covering: Vec<_> = self.iter().filter(|(_, record)| record.prefix.contains(addr)).collect();
        covering
            .sort_by(|(_, one), (_, other)| one.prefix.cmp(&other.prefix).then_with(|| one.contest(other)));
        covering
    }

    /// All records by number. In a cache that was [built](Cache::build), they are in the order of prefix, then of whose word is
    /// heard first. For whoever changes the cache, or where nobody does.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Record)> {
        self.slots.iter()
    }

    /// All prefixes in their order, each with the number that a look-up of it gives: the record about it that is heard first.
    pub fn firsts(&self) -> Vec<(Prefix, u32)> {
        let mut all: Vec<_> = self.iter().map(|(number, record)| (record.prefix, number)).collect();
        all.sort_unstable_by(|(one, number), (other, beside)| {
            one.cmp(other).then_with(|| self.record(*number).contest(&self.record(*beside)))
        });
        all.dedup_by_key(|(prefix, _)| *prefix);
        all
    }

    /// The number of records, those included that are never enforced.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory held, in bytes, without the names of issuers.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.slots.bytes()
    }

    /// How many records the guards keep from being enforced for that reason.
    pub fn kept(&self, reason: KeepReason) -> u64 {
        self.kept[reason as usize].load(Relaxed)
    }

    /// Which versions of which sets went in, in the order given.
    pub fn sources(&self) -> Vec<Header> {
        self.sources.load().to_vec()
    }

    /// The same records, found by another table.
    fn with_table(&self, table: Arc<Table>) -> Self {
        Self {
            table,
            slots: Arc::clone(&self.slots),
            issuers: ArcSwap::new(self.issuers.load_full()),
            sources: ArcSwap::new(self.sources.load_full()),
            len: AtomicUsize::new(self.len()),
            kept: self.kept.each_ref().map(|kept| AtomicU64::new(kept.load(Relaxed))),
            generation: AtomicU32::new(0),
        }
    }

    /// Which publication this is, or which update of one, counted by [`Published`]; 0 before it is published. A flow whose
    /// verdict rests on an earlier generation looks its source up again.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation.load(Acquire)
    }
}

/// The cache of no records.
impl Default for Cache {
    fn default() -> Self {
        Self::build(Vec::new(), &Guards::default()).expect("nothing is not too much")
    }
}

#[cfg(test)]
mod tests;
