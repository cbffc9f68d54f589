//! One record as a feed tells it.

use core::cmp::Ordering;

use credence_credit::{ActRef, Authority, EvidenceClass, IssuerId, Measure, Rating, Reasons, Record};
use credence_law::layout::fields;
use credence_prefix::Prefix;

fields! {
    /// What an issuer says of a prefix. Whose word it is follows from where it stands.
    pub struct Row {
        /// Whom it speaks of.
        pub prefix: Prefix,
        /// By what right.
        pub authority: Authority,
        /// The score with its status, or unrated.
        pub rating: Rating,
        /// What is asked for.
        pub measure: Measure,
        /// The catalogue items that it rests on.
        pub reasons: Reasons,
        /// How far the evidence can be forged.
        pub evidence: EvidenceClass,
        /// How many distinct keys signed the act.
        pub signatures: u16,
        /// When it ends, in Unix seconds.
        pub expires: u64,
        /// The act that it comes from.
        pub act: ActRef,
    }
}

/// What tells a row from all others of its issuer, and the order in which they stand.
pub type Key = (Prefix, Authority);

impl Row {
    /// What a feed says for a record; none for one that comes from no act.
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self {
            prefix: record.prefix,
            authority: record.authority,
            rating: record.rating,
            measure: record.measure,
            reasons: record.reasons,
            evidence: record.evidence,
            signatures: record.signatures,
            expires: record.expires,
            act: record.act?,
        })
    }

    /// The record that a gateway is told, on the word of an issuer whose manifest has so many signatures: no row can claim
    /// more.
    pub fn record(&self, issuer: IssuerId, signatures: u16) -> Record {
        Record {
            prefix: self.prefix,
            rating: self.rating,
            measure: self.measure,
            reasons: self.reasons,
            issuer,
            evidence: self.evidence,
            authority: self.authority,
            signatures: self.signatures.min(signatures),
            expires: self.expires,
            act: Some(self.act),
        }
    }

    /// What tells it from others.
    pub const fn key(&self) -> Key {
        (self.prefix, self.authority)
    }

    /// Orders by key.
    pub fn by_key(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The page of a prefix among 2^`bits`: the highest bits of a product, in which every bit of the prefix takes part.
pub(crate) const fn page(prefix: Prefix, bits: u8) -> usize {
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xc2b2_ae3d_27d4_eb4f;
    let (high, low) = ((prefix.first() >> 64) as u64, prefix.first() as u64);
    let mixed = high.wrapping_mul(FIRST);
    let mixed = (mixed ^ mixed >> 32 ^ low ^ prefix.len() as u64).wrapping_mul(SECOND);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(FIRST);
    if bits == 0 { 0 } else { (mixed >> (64 - bits)) as usize }
}
