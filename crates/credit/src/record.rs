//! One statement about one prefix.

use core::cmp::{Ordering, Reverse};
use core::fmt;

use credence_prefix::Prefix;
use serde::{Deserialize, Serialize};

use crate::{Authority, EvidenceClass, IssuerId, Measure, Precedence, Rating, Reasons};

/// The identity of a signed act: the hash of its signed bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActId(pub [u8; 32]);

/// Hexadecimal, lower case, 64 digits.
impl fmt::Display for ActId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ActId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ActId {
    /// What a record keeps of it.
    pub const fn short(self) -> ActRef {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        ActRef([a, b, c, d, e, f, g, h])
    }
}

/// The first eight bytes of an act's identity, by which a record names the act that it comes from.
///
/// A million records carry one each, and whole identities do not compress. Where it matters that it is the very act, the
/// issuer is compared as well: to make a second act that begins alike takes an issuer some 2^32 tries among its own, and anybody
/// else 2^64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActRef(pub [u8; 8]);

/// Hexadecimal, lower case, 16 digits: the first of the act's identity.
impl fmt::Display for ActRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ActRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What one issuer says of one prefix, until when, and by what right.
///
/// The host bits of the prefix are zero, the score is in range and the reasons are in the catalogue, because none of
/// these types can hold anything else. Whether the record may be enforced is not written in it: that is for the
/// [guards](crate::guard) of each gateway to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Whom the record speaks of.
    #[serde(with = "prefix_form")]
    pub prefix: Prefix,
    /// The score with its status, or unrated.
    pub rating: Rating,
    /// What the issuer asks for.
    pub measure: Measure,
    /// The catalogue items that it rests on.
    pub reasons: Reasons,
    /// Who issued it, by place in the table that comes with the record.
    pub issuer: IssuerId,
    /// How far the evidence can be forged.
    pub evidence: EvidenceClass,
    /// By what right it is there.
    pub authority: Authority,
    /// How many distinct keys signed it; 0 for a local list.
    pub signatures: u16,
    /// When it ends, in Unix seconds. At that second it is over; no record is without an end.
    pub expires: u64,
    /// The signed act that it comes from. `None` for a local list, which consists of no acts; the issuer's name leads to
    /// the file instead.
    pub act: Option<ActRef>,
}

impl Record {
    /// Whether the record has not ended at `now`, in Unix seconds.
    pub const fn is_live(&self, now: u64) -> bool {
        now < self.expires
    }

    /// Whether a feed asks that traffic be constrained: what the guards count.
    pub(crate) const fn is_of_feed(&self) -> bool {
        self.authority.is_signed() && self.measure.constrains()
    }

    /// Whose word this is, for comparing with others about the same address.
    pub const fn precedence(&self) -> Precedence {
        Precedence::of(self.authority, self.measure)
    }

    /// What tells this record from all others of its snapshot, and the order in which they stand.
    pub(crate) const fn key(&self) -> (Prefix, Authority, IssuerId) {
        (self.prefix, self.authority, self.issuer)
    }

    /// Orders records about one prefix by whose word is heard first: `Less` comes first.
    ///
    /// The higher precedence comes first. Among equals each would have been in force alone, so the harder measure
    /// comes first, then the lower score (an unrated record claims less than any rated one and comes after them), then
    /// the later end. The remaining fields only settle the order, so that it never depends on which list was read
    /// first.
    pub(crate) fn contest(&self, other: &Self) -> Ordering {
        let claim = |record: &Self| {
            let score = record.rating.score();
            (
                Reverse(record.precedence()),
                Reverse(record.measure),
                (score.is_none(), score),
                Reverse(record.expires),
            )
        };
        let rest = |record: &Self| {
            (record.issuer, record.act, record.signatures, record.evidence, u16::from(record.reasons))
        };
        claim(self).cmp(&claim(other)).then_with(|| rest(self).cmp(&rest(other)))
    }
}

/// A prefix as text for people and as two numbers for programs; read with the same checks as any other prefix.
mod prefix_form {
    use credence_prefix::Prefix;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(prefix: &Prefix, out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() {
            out.collect_str(prefix)
        } else {
            (prefix.first(), prefix.len()).serialize(out)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Prefix, D::Error> {
        if input.is_human_readable() {
            String::deserialize(input)?.parse().map_err(D::Error::custom)
        } else {
            let (first, len) = <(u128, u8)>::deserialize(input)?;
            Prefix::new(first, len).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Reason, Score};

    /// A record as an import would make it, live until second 1,000.
    pub(crate) fn listed(prefix: &str, measure: Measure) -> Record {
        Record {
            prefix: prefix.parse().unwrap(),
            rating: Rating::of(Score::new(100).unwrap()),
            measure,
            reasons: Reason::Listed.into(),
            issuer: IssuerId(0),
            evidence: EvidenceClass::Declared,
            authority: Authority::OperatorList,
            signatures: 0,
            expires: 1_000,
            act: None,
        }
    }

    /// A record as a feed would carry it.
    pub(crate) fn signed(prefix: &str, authority: Authority, signatures: u16) -> Record {
        Record {
            authority,
            signatures,
            evidence: EvidenceClass::Confirmed,
            act: Some(ActRef([7; 8])),
            ..listed(prefix, Measure::Drop)
        }
    }

    #[test]
    fn a_record_is_over_in_the_second_it_names() {
        let record = listed("2001:db8::/32", Measure::Drop);
        assert!(record.is_live(999));
        assert!(!record.is_live(1_000));
    }

    #[test]
    fn the_stronger_authority_is_heard_before_the_harder_measure() {
        let allow = listed("2001:db8::/48", Measure::None);
        let deny = listed("2001:db8::/48", Measure::Observe);
        let decision = signed("2001:db8::/48", Authority::Decision, 2);
        let alert = signed("2001:db8::/48", Authority::OwnAlert, 1);
        let mut records = vec![alert.clone(), deny.clone(), decision.clone(), allow.clone()];
        records.sort_by(Record::contest);
        assert_eq!(records, [allow, deny, decision, alert]);
    }

    #[test]
    fn among_equals_harder_then_worse_then_longer_is_heard_first() {
        let base = listed("2001:db8::/48", Measure::RateLimit);
        let harder = Record { measure: Measure::Drop, ..base.clone() };
        let worse = Record { rating: Rating::of(Score::WORST), ..base.clone() };
        let unrated = Record { rating: Rating::Unrated, ..base.clone() };
        let longer = Record { expires: 2_000, ..base.clone() };
        let mut records = vec![unrated.clone(), base.clone(), longer.clone(), worse.clone(), harder.clone()];
        records.sort_by(Record::contest);
        assert_eq!(records, [harder, worse, longer, base, unrated]);
    }

    #[test]
    fn host_bits_are_refused_when_a_record_is_read() {
        let text = serde_json::to_string(&listed("2001:db8::/32", Measure::Drop)).unwrap();
        assert!(text.contains("\"2001:db8::/32\""), "{text}");
        assert!(serde_json::from_str::<Record>(&text).is_ok());
        assert!(serde_json::from_str::<Record>(&text.replace("2001:db8::/32", "2001:db8::1/32")).is_err());
        assert!(serde_json::from_str::<Record>(&text.replace("2001:db8::/32", "2001:db8::/129")).is_err());
    }

    #[test]
    fn an_act_id_is_64_lower_case_digits() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        let text = ActId(bytes).to_string();
        assert_eq!((text.len(), &text[..4]), (64, "ab00"));
    }
}
