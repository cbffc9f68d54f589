//! Where records lie.
//!
//! A record has a number for as long as it is there: its slot. What the packet path needs of it lies in one array, four to a
//! line; the rest, five words each, in another. A slot is written before anything leads to it, and again only when nobody can
//! still be reading it; in between, only its end and its parent change.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64};

use credence_memory::{Lines, prefetch};
use credence_prefix::Prefix;

use super::Entry;
use crate::{ActRef, Guarded, IssuerId, Reasons, Record, both};

/// Entries of a line.
const ENTRIES: usize = 4;
/// Words of a record.
const WORDS: usize = 5;
/// Words of a line.
const LINE: usize = 8;
/// Set in the last word of a record that comes from an act.
const HAS_ACT: u64 = 1 << 48;

/// Room for so many records.
#[derive(Debug)]
pub(super) struct Slots {
    entries: Lines,
    /// The words of a record: the first address of its prefix, most significant first; the act; the end; and issuer, signatures
    /// and reasons, sixteen bits each from bit 0 on.
    records: Lines,
    /// How many records there is room for.
    room: usize,
    /// Slots below have been used.
    used: AtomicU32,
}

impl Slots {
    /// Room for `len` records, which takes memory as they come.
    pub(super) fn new(len: usize) -> Self {
        Self {
            entries: Lines::zeroed(len.div_ceil(ENTRIES)),
            records: Lines::zeroed((len * WORDS).div_ceil(LINE)),
            room: len,
            used: AtomicU32::new(0),
        }
    }

    /// How many records there is room for.
    pub(super) const fn room(&self) -> usize {
        self.room
    }

    /// All numbers that were ever given out are below.
    pub(super) fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// The memory that records have taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.used() as usize * (size_of::<Entry>() + WORDS * size_of::<u64>())
    }

    #[inline(always)]
    fn words(&self, number: u32) -> &[AtomicU64; 2] {
        let line = &self.entries[number as usize / ENTRIES];
        &line.0.as_chunks::<2>().0[number as usize % ENTRIES]
    }

    /// A word of a record beyond its entry.
    fn word(&self, number: u32, word: usize) -> &AtomicU64 {
        let at = number as usize * WORDS + word;
        &self.records[at / LINE].0[at % LINE]
    }

    #[inline(always)]
    pub(super) fn entry(&self, number: u32) -> Entry {
        Entry::load(self.words(number))
    }

    /// Asks for all lines of a slot.
    pub(super) fn ask(&self, number: u32) {
        let at = number as usize * WORDS;
        prefetch(&self.entries, number as usize / ENTRIES);
        prefetch(&self.records, at / LINE);
        prefetch(&self.records, (at + WORDS - 1) / LINE);
    }

    /// Writes a record into a slot that nobody reads.
    pub(super) fn write(&self, number: u32, record: &Record, guarded: Guarded) {
        self.put(number, record, guarded);
        // Release: whoever counts on the number finds the record.
        self.used.fetch_max(number + 1, Release);
    }

    /// Writes records into slots that nobody reads, from the first on. Most of that is waiting for the kernel's pages, so that two wait
    /// at once.
    pub(super) fn fill(&self, records: &[Record], verdicts: &[Guarded]) {
        let put = |first: usize, records: &[Record], verdicts: &[Guarded]| {
            for (number, (record, guarded)) in (first as u32..).zip(records.iter().zip(verdicts)) {
                self.put(number, record, *guarded);
            }
        };
        let middle = records.len() / 2;
        let (records, verdicts) = (records.split_at(middle), verdicts.split_at(middle));
        both(|| put(middle, records.1, verdicts.1), || put(0, records.0, verdicts.0));
        self.used.fetch_max((middle + records.1.len()) as u32, Release);
    }

    fn put(&self, number: u32, record: &Record, guarded: Guarded) {
        let first = record.prefix.first();
        let act = record.act.map_or(0, |act| u64::from_be_bytes(act.0));
        let last = u64::from(record.issuer.0)
            | u64::from(record.signatures) << 16
            | u64::from(u16::from(record.reasons)) << 32
            | if record.act.is_some() { HAS_ACT } else { 0 };
        let words = [(first >> 64) as u64, first as u64, act, record.expires, last];
        for (at, word) in words.into_iter().enumerate() {
            self.word(number, at).store(word, Relaxed);
        }
        Entry::new(record, guarded).store(self.words(number));
    }

    /// Gives a record another end.
    pub(super) fn extend(&self, number: u32, expires: u64) {
        self.word(number, 3).store(expires, Relaxed);
        self.entry(number).ending(expires).relink(self.words(number));
    }

    /// Gives a record another parent; whether it had another one before.
    pub(super) fn relink(&self, number: u32, parent: u32) -> bool {
        let entry = self.entry(number);
        let is_new = entry.parent() != parent;
        if is_new {
            entry.below(parent).relink(self.words(number));
        }
        is_new
    }

    /// Notes that a record is there no more.
    pub(super) fn leave(&self, number: u32) {
        Entry::leave(self.words(number));
    }

    /// The prefix of a slot's record.
    pub(super) fn prefix(&self, number: u32) -> Prefix {
        let [high, low] = [0, 1].map(|at| u128::from(self.word(number, at).load(Relaxed)));
        Prefix::containing(high << 64 | low, self.entry(number).prefix_len())
    }

    /// The record of a slot.
    pub(super) fn record(&self, number: u32) -> Record {
        let entry = self.entry(number);
        let [high, low, act, expires, last] =
            core::array::from_fn::<_, WORDS, _>(|at| self.word(number, at).load(Relaxed));
        Record {
            prefix: Prefix::containing(u128::from(high) << 64 | u128::from(low), entry.prefix_len()),
            rating: entry.rating(),
            measure: entry.measure(),
            reasons: Reasons::known((last >> 32) as u16),
            issuer: IssuerId(last as u16),
            evidence: entry.evidence(),
            authority: entry.authority(),
            signatures: (last >> 16) as u16,
            expires,
            act: (last & HAS_ACT != 0).then_some(ActRef(act.to_be_bytes())),
        }
    }

    /// The records that are there, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Record)> {
        let there = (0..self.used()).filter(|&number| self.entry(number).is_there());
        there.map(|number| (number, self.record(number)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::tests::any_record;

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            records in proptest::collection::vec(any_record(), 1..20), expires in any::<u64>(), parent in any::<u32>(),
        ) {
            let slots = Slots::new(records.len());
            for (number, record) in (0..).zip(&records) {
                slots.write(number, record, Guarded::Enforce);
                slots.relink(number, parent);
            }
            let at_once = Slots::new(records.len());
            at_once.fill(&records, &vec![Guarded::Enforce; records.len()]);
            prop_assert_eq!(at_once.iter().collect::<Vec<_>>(), slots.iter().collect::<Vec<_>>());
            let read: Vec<Record> = slots.iter().map(|(_, record)| record).collect();
            prop_assert_eq!(&read, &records);
            slots.extend(0, expires);
            let extended = Record { expires, ..records[0].clone() };
            prop_assert_eq!((slots.record(0), slots.entry(0).parent()), (extended, parent));
            slots.leave(0);
            prop_assert_eq!(slots.iter().count(), records.len() - 1);
        }
    }
}
