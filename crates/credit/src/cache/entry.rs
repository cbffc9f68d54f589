//! A record as the packet path needs it.

use credence_prefix::NO_MATCH;

use crate::{
    Authority, EvidenceClass, Guarded, KeepReason, Measure, Precedence, Rating, Record, Score, Status,
};

/// The part of a record that decides about packets, in 16 bytes, so that four lie in a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Entry {
    /// The score, or [`Entry::UNRATED`].
    score: u16,
    status: Option<Status>,
    /// What the record asks for.
    pub measure: Measure,
    /// By what right.
    pub authority: Authority,
    /// How far its evidence can be forged.
    pub evidence: EvidenceClass,
    /// What the guards say of it.
    pub guarded: Guarded,
    /// The length of its prefix, in bits.
    pub prefix_len: u8,
    /// When it ends, in Unix seconds; an end after the year 2106 counts as then.
    pub expires: u32,
    /// The number of the next record that covers the same addresses and outlives or outranks this one, or
    /// [`NO_MATCH`].
    pub parent: u32,
}

/// What the packet path's cache footprint is reckoned with.
const _: () = assert!(size_of::<Entry>() == 16);

impl Entry {
    /// Stands for a score where there is none; no score is that high.
    const UNRATED: u16 = u16::MAX;

    /// The compact form of a record about which the guards said `guarded`, with no parent yet.
    pub(super) fn new(record: &Record, guarded: Guarded) -> Self {
        Self {
            score: record.rating.score().map_or(Self::UNRATED, Score::value),
            status: record.rating.status(),
            measure: record.measure,
            authority: record.authority,
            evidence: record.evidence,
            guarded,
            prefix_len: record.prefix.len(),
            expires: u32::try_from(record.expires).unwrap_or(u32::MAX),
            parent: NO_MATCH,
        }
    }

    /// The score with its status, or unrated.
    pub fn rating(&self) -> Rating {
        match (Score::new(self.score), self.status) {
            (Ok(score), Some(status)) => Rating::Rated { score, status },
            _ => Rating::Unrated,
        }
    }

    /// Whether the record has not ended at `now`, in Unix seconds.
    pub const fn is_live(&self, now: u64) -> bool {
        now < self.expires as u64
    }

    /// Whether the guards let the record have an effect.
    pub const fn is_enforceable(&self) -> bool {
        matches!(self.guarded, Guarded::Enforce)
    }

    /// Why the record has no effect, if the guards keep it back.
    pub const fn kept(&self) -> Option<KeepReason> {
        match self.guarded {
            Guarded::Enforce => None,
            Guarded::Keep(reason) => Some(reason),
        }
    }

    /// The most that may be done on this record's word: what it asks for, within what its authority and evidence bear.
    pub fn allowed(&self) -> Measure {
        self.measure.min(self.authority.most(self.evidence))
    }

    /// Whose word this is.
    pub const fn precedence(&self) -> Precedence {
        Precedence::of(self.authority, self.measure)
    }

    /// Whether this entry makes `other`, which covers the same addresses from further out, meaningless at every moment:
    /// it lasts at least as long, and what it says weighs at least as much.
    pub(super) fn dominates(&self, other: &Self) -> bool {
        let weight = |entry: &Self| entry.is_enforceable().then(|| entry.precedence());
        self.expires >= other.expires && weight(self) >= weight(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::listed;

    #[test]
    fn an_entry_says_what_its_record_says() {
        let record = listed("2001:db8::/48", Measure::RateLimit);
        let entry = Entry::new(&record, Guarded::Enforce);
        assert_eq!(entry.rating(), record.rating);
        assert_eq!((entry.measure, entry.prefix_len), (Measure::RateLimit, 48));
        assert!(entry.is_live(999) && !entry.is_live(1_000));
        assert_eq!(entry.kept(), None);

        let unrated = Record { rating: Rating::Unrated, expires: u64::MAX, ..record };
        let entry = Entry::new(&unrated, Guarded::Keep(KeepReason::TooWide));
        assert_eq!(entry.rating(), Rating::Unrated);
        assert_eq!(entry.expires, u32::MAX);
        assert_eq!(entry.kept(), Some(KeepReason::TooWide));
    }
}
