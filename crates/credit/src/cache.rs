//! The look-up that the packet path reads: immutable, built from snapshots, published by one pointer swap.
//!
//! All records of all snapshots are kept, in the order of their prefixes; records about the same prefix stand by whose
//! word is heard first. The table answers an address with the number of the first record of its longest prefix. From
//! there an entry's `parent` leads to the next record that could still matter, so that neither an ended record hides a
//! live one nor a narrow one outranks the operator; see [`Cache::standing`].

mod build;
mod entry;
mod published;

pub use build::CacheError;
use credence_prefix::{NO_MATCH, Prefix, Table};
pub use entry::Entry;
pub use published::{Published, Reader};

use crate::{Guards, Header, Issuer, KeepReason, Precedence, Record, Snapshot};

/// Every record in force or shown, by address.
#[derive(Debug, Default)]
pub struct Cache {
    table: Table,
    records: Vec<Record>,
    entries: Vec<Entry>,
    issuers: Vec<Issuer>,
    sources: Vec<Header>,
    kept: [u64; KeepReason::ALL.len()],
    generation: u32,
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
        build::build(snapshots, guards)
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
    /// When the number is not one that this cache gave out.
    pub fn entry(&self, number: u32) -> Entry {
        self.entries[number as usize]
    }

    /// The record of that number.
    ///
    /// # Panics
    /// When the number is not one that this cache gave out.
    pub fn record(&self, number: u32) -> &Record {
        &self.records[number as usize]
    }

    /// Who issued a record of this cache.
    ///
    /// # Panics
    /// When the record comes from elsewhere.
    pub fn issuer(&self, record: &Record) -> &Issuer {
        &self.issuers[usize::from(record.issuer.0)]
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
            next = entry.parent;
        }
        standing
    }

    /// What holds for an address at `now` (Unix seconds).
    pub fn effective(&self, addr: u128, now: u64) -> Standing {
        self.standing(self.longest_match(addr).unwrap_or(NO_MATCH), now)
    }

    /// The numbers of all records whose prefix contains `addr`, from the widest prefix to the narrowest, live or not.
    /// For explaining, not for packets: it searches once for each length.
    pub fn covering(&self, addr: u128) -> impl Iterator<Item = u32> {
        (0..=128).flat_map(move |len| {
            let prefix = Prefix::containing(addr, len);
            let first = self.records.partition_point(|record| record.prefix < prefix);
            let same = self.records[first..].partition_point(|record| record.prefix == prefix);
            (first..first + same).map(|number| number as u32)
        })
    }

    /// All records in order of prefix, then of whose word is heard first. A record's number is its place.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The number of records, those included that are never enforced.
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The memory held, in bytes, without the names of issuers.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + size_of_val(&*self.records) + size_of_val(&*self.entries)
    }

    /// How many records the guards keep from being enforced for that reason.
    pub const fn kept(&self, reason: KeepReason) -> u64 {
        self.kept[reason as usize]
    }

    /// Which versions of which sets went in, in the order given.
    pub fn sources(&self) -> &[Header] {
        &self.sources
    }

    /// Which publication this is, counted by [`Published`]; 0 before it is published. A flow whose verdict rests on an
    /// earlier generation looks its source up again.
    pub const fn generation(&self) -> u32 {
        self.generation
    }
}

#[cfg(test)]
mod tests;
