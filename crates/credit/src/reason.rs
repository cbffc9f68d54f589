//! The closed list of what a record may cite, and sets of it.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// One item of the catalogue. Nothing outside it may be recorded of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// Looking for open ports or live addresses.
    Scanning,
    /// Sending to overwhelm.
    Flooding,
    /// Guessing passwords or keys.
    CredentialAttack,
    /// Giving orders to taken-over machines.
    BotnetControl,
    /// Sending unwanted mail in bulk.
    SpamSource,
    /// Answering forged requests with larger replies.
    Amplification,
    /// Letting packets out whose source address lies elsewhere.
    SpoofedOrigin,
    /// The holder mended what was wrong, and that was checked.
    RemediationConfirmed,
    /// A stretch of time without anything to report.
    CleanRecord,
    /// On an imported list that states no reason.
    Listed,
}

impl Reason {
    /// All of them, in the order of their bits.
    pub const ALL: [Self; 10] = [
        Self::Scanning,
        Self::Flooding,
        Self::CredentialAttack,
        Self::BotnetControl,
        Self::SpamSource,
        Self::Amplification,
        Self::SpoofedOrigin,
        Self::RemediationConfirmed,
        Self::CleanRecord,
        Self::Listed,
    ];

    /// The word in files and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scanning => "scanning",
            Self::Flooding => "flooding",
            Self::CredentialAttack => "credential_attack",
            Self::BotnetControl => "botnet_control",
            Self::SpamSource => "spam_source",
            Self::Amplification => "amplification",
            Self::SpoofedOrigin => "spoofed_origin",
            Self::RemediationConfirmed => "remediation_confirmed",
            Self::CleanRecord => "clean_record",
            Self::Listed => "listed",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Reason {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        UnknownWord::resolve(text, "reason", &Self::ALL, Self::name)
    }
}

/// A set of catalogue items. A set with a bit outside the catalogue cannot be built or read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Reasons(u16);

impl Reasons {
    /// No item.
    pub const NONE: Self = Self(0);

    const KNOWN: u16 = (1 << Reason::ALL.len()) - 1;

    /// The set with `reason` added.
    #[must_use]
    pub const fn with(self, reason: Reason) -> Self {
        Self(self.0 | reason.bit())
    }

    /// The reasons of these bits that are in the catalogue.
    pub(crate) const fn known(bits: u16) -> Self {
        Self(bits & Self::KNOWN)
    }

    /// Whether `reason` is in the set.
    pub const fn contains(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The items, in the catalogue's order.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |&reason| self.contains(reason))
    }
}

impl From<Reason> for Reasons {
    fn from(reason: Reason) -> Self {
        Self::NONE.with(reason)
    }
}

impl FromIterator<Reason> for Reasons {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        reasons.into_iter().fold(Self::NONE, Self::with)
    }
}

impl TryFrom<u16> for Reasons {
    type Error = &'static str;

    fn try_from(bits: u16) -> Result<Self, &'static str> {
        if bits & !Self::KNOWN == 0 { Ok(Self(bits)) } else { Err("a reason outside the catalogue") }
    }
}

impl From<Reasons> for u16 {
    fn from(reasons: Reasons) -> Self {
        reasons.0
    }
}

/// The words with blanks between them.
impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, reason) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_its_bits() {
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position);
            assert_eq!(reason.name().parse(), Ok(reason));
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: Reasons = [Reason::Flooding, Reason::Listed, Reason::Flooding].into_iter().collect();
        assert!(set.contains(Reason::Flooding) && set.contains(Reason::Listed));
        assert_eq!(set.iter().count(), 2);
        assert_eq!(set.to_string(), "flooding listed");
        assert!(Reasons::NONE.is_empty() && !set.is_empty());
    }

    #[test]
    fn a_bit_outside_the_catalogue_is_refused() {
        assert!(Reasons::try_from(0b11_1111_1111).is_ok());
        assert!(Reasons::try_from(0b100_0000_0000).is_err());
        assert!(serde_json::from_str::<Reasons>("32768").is_err());
    }
}
