//! What may follow from a record, on what ground, and whose word wins.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is not in its closed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    kind: &'static str,
    known: Vec<&'static str>,
}

impl UnknownWord {
    /// The item of `all` whose name is `text` in any case, with `-` and a blank standing for `_`; otherwise an error
    /// that lists the words there are.
    pub(crate) fn resolve<T: Copy>(
        text: &str,
        kind: &'static str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<T, Self> {
        let same = |word: &str| {
            word.len() == text.len()
                && word.bytes().zip(text.bytes()).all(|(known, given)| {
                    known == given.to_ascii_lowercase() || (known == b'_' && matches!(given, b'-' | b' '))
                })
        };
        all.iter()
            .copied()
            .find(|&item| same(name(item)))
            .ok_or_else(|| Self { kind, known: all.iter().map(|&item| name(item)).collect() })
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a {}; the words are {}", self.kind, self.known.join(", "))
    }
}

impl core::error::Error for UnknownWord {}

/// What may be done to a subject's traffic, ordered from mildest to hardest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Measure {
    /// Protection while a limiter is active, earned by good credit.
    Incentive,
    /// Nothing; from an operator's list this is an allow entry.
    None,
    /// Count and report, touch nothing.
    Observe,
    /// Set the configured traffic class, so that congested links shed this traffic first.
    Mark,
    /// Limit the rate.
    RateLimit,
    /// Discard.
    Drop,
}

impl Measure {
    /// All of them, mildest first.
    pub const ALL: [Self; 6] =
        [Self::Incentive, Self::None, Self::Observe, Self::Mark, Self::RateLimit, Self::Drop];

    /// Whether traffic can fare worse by it than without credence. The guards bound these measures.
    pub const fn constrains(self) -> bool {
        matches!(self, Self::Mark | Self::RateLimit | Self::Drop)
    }

    /// The word in files and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incentive => "incentive",
            Self::None => "none",
            Self::Observe => "observe",
            Self::Mark => "mark",
            Self::RateLimit => "rate_limit",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Measure {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        UnknownWord::resolve(text, "measure", &Self::ALL, Self::name)
    }
}

/// How far the evidence behind a record can be forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum EvidenceClass {
    /// The source echoed a value that it could only know by receiving, so its address was not forged.
    Confirmed,
    /// The source address may have been forged. Such evidence feeds local throttling only.
    Unconfirmed,
    /// No evidence is claimed: the operator's own list says so, and the operator answers for it.
    Declared,
}

impl EvidenceClass {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Confirmed, Self::Unconfirmed, Self::Declared];

    /// The word in files and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unconfirmed => "unconfirmed",
            Self::Declared => "declared",
        }
    }
}

impl fmt::Display for EvidenceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// By what right a record is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Authority {
    /// The gateway's operator put it on a list of its own. Unsigned, valid on this gateway only.
    OperatorList,
    /// The member that holds the address space published it about itself.
    OwnAlert,
    /// The coordinating body decided on another member's report.
    Decision,
    /// All members agreed on it.
    Restriction,
}

impl Authority {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::OperatorList, Self::OwnAlert, Self::Decision, Self::Restriction];

    /// The most that a record of this authority may have done on this evidence. A holder's own alert has traffic limited at
    /// most, and so has whatever rests on what can be forged; an operator is free at home.
    pub const fn most(self, evidence: EvidenceClass) -> Measure {
        match (self, evidence) {
            (Self::OperatorList, _) => Measure::Drop,
            (Self::OwnAlert, _) | (_, EvidenceClass::Unconfirmed) => Measure::RateLimit,
            (Self::Decision | Self::Restriction, _) => Measure::Drop,
        }
    }

    /// Whether the record came by a signed feed. The guards trust those less than the operator's own lists.
    pub const fn is_signed(self) -> bool {
        !matches!(self, Self::OperatorList)
    }

    /// The word in files and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OperatorList => "operator_list",
            Self::OwnAlert => "own_alert",
            Self::Decision => "decision",
            Self::Restriction => "restriction",
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose word wins where several records speak of one address; the greater wins, whatever the prefix lengths.
///
/// Two further ranks lie outside records: the never-block set above all of these, and what the gateway itself observed
/// below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Precedence {
    /// A member's alert about its own space.
    OwnAlert = 1,
    /// A decision of the coordinating body.
    Decision,
    /// A restriction by all members.
    Restriction,
    /// An operator's list entry that asks for anything from `observe` upwards.
    OperatorDeny,
    /// An operator's list entry that asks for nothing or for an incentive.
    OperatorAllow,
}

impl Precedence {
    /// The rank of a record with this authority and measure.
    pub const fn of(authority: Authority, measure: Measure) -> Self {
        match (authority, measure) {
            (Authority::OwnAlert, _) => Self::OwnAlert,
            (Authority::Decision, _) => Self::Decision,
            (Authority::Restriction, _) => Self::Restriction,
            (Authority::OperatorList, Measure::Incentive | Measure::None) => Self::OperatorAllow,
            (Authority::OperatorList, _) => Self::OperatorDeny,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_run_from_mildest_to_hardest_and_the_last_three_constrain() {
        assert!(Measure::ALL.is_sorted());
        let constraining: Vec<_> = Measure::ALL.into_iter().filter(|measure| measure.constrains()).collect();
        assert_eq!(constraining, [Measure::Mark, Measure::RateLimit, Measure::Drop]);
    }

    #[test]
    fn measure_words_are_read_back_with_either_separator() {
        for measure in Measure::ALL {
            assert_eq!(measure.name().parse(), Ok(measure));
        }
        assert_eq!("Rate-Limit".parse(), Ok(Measure::RateLimit));
        assert_eq!("rate limit".parse(), Ok(Measure::RateLimit));
        assert!("".parse::<Measure>().is_err());
        assert!("dropp".parse::<Measure>().is_err());
    }

    #[test]
    fn the_operator_wins_over_every_feed_and_allow_over_deny() {
        let order = [
            Precedence::of(Authority::OwnAlert, Measure::Drop),
            Precedence::of(Authority::Decision, Measure::None),
            Precedence::of(Authority::Restriction, Measure::Observe),
            Precedence::of(Authority::OperatorList, Measure::Observe),
            Precedence::of(Authority::OperatorList, Measure::None),
        ];
        assert!(order.is_sorted_by(|weaker, stronger| weaker < stronger), "{order:?}");
        let allow = Precedence::of(Authority::OperatorList, Measure::Incentive);
        assert_eq!(allow, Precedence::OperatorAllow);
    }
}
