//! A record as the packet path needs it.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use credence_prefix::NO_MATCH;

use crate::{
    Authority, EvidenceClass, Guarded, KeepReason, Measure, Precedence, Rating, Record, Score, Status,
};

/// The part of a record that decides about packets, in 16 bytes, so that four lie in a cache line.
///
/// Two words, each of which is stored and loaded as one. The first is what the record says, and stays as long as the record
/// does. The second is its end and its parent, which change beneath those who read: a look sees those of before or those of
/// after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From bit 0: the score in 16 bits, then in eight each the status from 1 on or 0 for none, the measure, the authority, the
    /// evidence, what the guards say, and the prefix's length less the sign bit.
    says: u64,
    /// Unix seconds of the end in the lower half, the parent in the upper.
    until: u64,
}

const STATUS: u32 = 16;
const MEASURE: u32 = 24;
const AUTHORITY: u32 = 28;
const EVIDENCE: u32 = 32;
const GUARDED: u32 = 40;
const PREFIX_LEN: u32 = 48;
/// Set in what is said for as long as the record is there.
const THERE: u64 = 1 << 63;

impl Entry {
    /// The compact form of a record about which the guards said `guarded`, with no parent yet.
    pub(super) fn new(record: &Record, guarded: Guarded) -> Self {
        let score = record.rating.score().map_or(0, |score| u64::from(score.value()));
        let status = record.rating.status().map_or(0, |status| 1 + status as u64);
        let guarded = match guarded {
            Guarded::Enforce => 0,
            Guarded::Keep(reason) => 1 + reason as u64,
        };
        let says = score
            | status << STATUS
            | (record.measure as u64) << MEASURE
            | (record.authority as u64) << AUTHORITY
            | (record.evidence as u64) << EVIDENCE
            | guarded << GUARDED
            | u64::from(record.prefix.len()) << PREFIX_LEN
            | THERE;
        Self { says, until: 0 }.ending(record.expires).below(NO_MATCH)
    }

    /// The same with another end, in Unix seconds.
    pub(super) fn ending(self, expires: u64) -> Self {
        let expires = u64::from(u32::try_from(expires).unwrap_or(u32::MAX));
        Self { until: self.until >> 32 << 32 | expires, ..self }
    }

    /// The same with another parent.
    pub(super) const fn below(self, parent: u32) -> Self {
        Self { until: self.until as u32 as u64 | (parent as u64) << 32, ..self }
    }

    /// What two words hold.
    #[inline(always)]
    pub(super) fn load(words: &[AtomicU64; 2]) -> Self {
        let [says, until] = words.each_ref().map(|word| word.load(Relaxed));
        Self { says, until }
    }

    /// Writes both words, which nobody reads yet.
    pub(super) fn store(self, words: &[AtomicU64; 2]) {
        words[0].store(self.says, Relaxed);
        words[1].store(self.until, Relaxed);
    }

    /// Writes the end and the parent, beneath those who read.
    pub(super) fn relink(self, words: &[AtomicU64; 2]) {
        words[1].store(self.until, Relaxed);
    }

    /// Notes that the record is there no more. Those who read do not look at that.
    pub(super) fn leave(words: &[AtomicU64; 2]) {
        words[0].store(words[0].load(Relaxed) & !THERE, Relaxed);
    }

    /// Whether there is a record.
    pub(super) const fn is_there(self) -> bool {
        self.says & THERE != 0
    }

    const fn field(self, at: u32, bits: u32) -> usize {
        (self.says >> at & ((1 << bits) - 1)) as usize
    }

    /// The score with its status, or unrated.
    #[inline]
    pub fn rating(self) -> Rating {
        match (self.field(STATUS, 8), Score::new(self.says as u16)) {
            (status @ 1.., Ok(score)) => Rating::Rated { score, status: Status::ALL[status - 1] },
            _ => Rating::Unrated,
        }
    }

    /// What the record asks for.
    #[inline]
    pub const fn measure(self) -> Measure {
        Measure::ALL[self.field(MEASURE, 4)]
    }

    /// By what right.
    #[inline]
    pub const fn authority(self) -> Authority {
        Authority::ALL[self.field(AUTHORITY, 2)]
    }

    /// How far its evidence can be forged.
    #[inline]
    pub const fn evidence(self) -> EvidenceClass {
        EvidenceClass::ALL[self.field(EVIDENCE, 8)]
    }

    /// What the guards say of it.
    #[inline]
    pub const fn guarded(self) -> Guarded {
        match self.kept() {
            None => Guarded::Enforce,
            Some(reason) => Guarded::Keep(reason),
        }
    }

    /// The length of its prefix, in bits.
    pub const fn prefix_len(self) -> u8 {
        self.field(PREFIX_LEN, 8) as u8
    }

    /// When it ends, in Unix seconds; an end after the year 2106 counts as then.
    #[inline]
    pub const fn expires(self) -> u32 {
        self.until as u32
    }

    /// The number of the next record that covers the same addresses and outlives or outranks this one, or [`NO_MATCH`].
    #[inline]
    pub const fn parent(self) -> u32 {
        (self.until >> 32) as u32
    }

    /// Whether the record has not ended at `now`, in Unix seconds.
    #[inline]
    pub const fn is_live(self, now: u64) -> bool {
        now < self.expires() as u64
    }

    /// Whether the guards let the record have an effect.
    #[inline]
    pub const fn is_enforceable(self) -> bool {
        self.field(GUARDED, 8) == 0
    }

    /// Why the record has no effect, if the guards keep it back.
    #[inline]
    pub const fn kept(self) -> Option<KeepReason> {
        match self.field(GUARDED, 8) {
            0 => None,
            reason => Some(KeepReason::ALL[reason - 1]),
        }
    }

    /// The most that may be done on this record's word: what it asks for, within what its authority and evidence bear.
    pub fn allowed(self) -> Measure {
        self.measure().min(self.authority().most(self.evidence()))
    }

    /// Whose word this is.
    #[inline]
    pub const fn precedence(self) -> Precedence {
        Precedence::of(self.authority(), self.measure())
    }

    /// Whether this entry makes `other`, which covers the same addresses from further out, meaningless at every moment:
    /// it lasts at least as long, and what it says weighs at least as much.
    pub(super) fn dominates(self, other: Self) -> bool {
        let weight = |entry: Self| entry.is_enforceable().then(|| entry.precedence());
        self.expires() >= other.expires() && weight(self) >= weight(other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::tests::any_record;

    proptest! {
        #[test]
        fn an_entry_says_what_its_record_says(
            record in any_record(), reason in 0..=KeepReason::ALL.len(), parent in any::<u32>(),
        ) {
            let guarded = reason.checked_sub(1).map_or(Guarded::Enforce, |at| Guarded::Keep(KeepReason::ALL[at]));
            let words = [AtomicU64::new(7), AtomicU64::new(7)];
            Entry::new(&record, guarded).below(parent).store(&words);
            let entry = Entry::load(&words);
            prop_assert!(entry.is_there());
            prop_assert_eq!(entry.rating(), record.rating);
            prop_assert_eq!((entry.measure(), entry.authority()), (record.measure, record.authority));
            prop_assert_eq!((entry.evidence(), entry.prefix_len()), (record.evidence, record.prefix.len()));
            prop_assert_eq!((entry.guarded(), entry.parent()), (guarded, parent));
            prop_assert_eq!(u64::from(entry.expires()), record.expires.min(u64::from(u32::MAX)));
            prop_assert_eq!(entry.is_enforceable(), guarded == Guarded::Enforce);
            prop_assert_eq!(entry.precedence(), record.precedence());
            Entry::leave(&words);
            prop_assert_eq!(Entry::load(&words).measure(), record.measure);
            prop_assert!(!Entry::load(&words).is_there());
        }
    }

    #[test]
    fn an_entry_is_over_in_the_second_it_names() {
        let entry = Entry { says: 0, until: 0 }.ending(1_000);
        assert!(entry.is_live(999) && !entry.is_live(1_000));
        assert_eq!(entry.ending(u64::MAX).expires(), u32::MAX);
    }
}
