//! The credit subject: an address, and the block that its holder has.

use credence_prefix::Prefix;
use serde::{Deserialize, Serialize};

/// How an attributed prefix length was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learned {
    /// The holder of the space said that it delegates blocks of this length.
    Declared,
    /// The gateway saw addresses of one subscriber move within a block of this length.
    Observed,
    /// Nothing is known, so the length is [`Subject::DEFAULT_LEN`].
    Default,
}

/// An IPv6 address together with the prefix length that is attributed to its holder, since one subscriber holds a whole
/// prefix and can move within it at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    address: u128,
    attributed_len: u8,
    learned: Learned,
}

impl Subject {
    /// The length that is attributed where nothing else is known: one link's /64, within which a host chooses its own
    /// interface identifiers (RFC 4291 section 2.5.1, RFC 8981).
    pub const DEFAULT_LEN: u8 = 64;

    /// A subject in a block whose holder declared that it delegates /`len`. A length over 128 counts as 128.
    pub const fn declared(address: u128, len: u8) -> Self {
        Self { address, attributed_len: if len > 128 { 128 } else { len }, learned: Learned::Declared }
    }

    /// A subject that was seen to move within a /`len`. A length over 128 counts as 128.
    pub const fn observed(address: u128, len: u8) -> Self {
        Self { address, attributed_len: if len > 128 { 128 } else { len }, learned: Learned::Observed }
    }

    /// A subject of which only the address is known.
    pub const fn assumed(address: u128) -> Self {
        Self { address, attributed_len: Self::DEFAULT_LEN, learned: Learned::Default }
    }

    /// The address that was seen.
    pub const fn address(self) -> u128 {
        self.address
    }

    /// The attributed prefix length, in bits.
    pub const fn attributed_len(self) -> u8 {
        self.attributed_len
    }

    /// How the length was learned.
    pub const fn learned(self) -> Learned {
        self.learned
    }

    /// The block that the gateway itself reckons with.
    pub const fn block(self) -> Prefix {
        Prefix::containing(self.address, self.attributed_len)
    }

    /// The block that may be named to others: the declared delegation, and without a declaration never narrower than
    /// a /64. An observation may widen what is shared; only the holder's own word may narrow it.
    pub const fn shared(self) -> Prefix {
        let narrow = !matches!(self.learned, Learned::Declared) && self.attributed_len > Self::DEFAULT_LEN;
        Prefix::containing(self.address, if narrow { Self::DEFAULT_LEN } else { self.attributed_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: u128 = 0x2001_0db8_0001_0203_0405_0607_0809_0a0b;

    fn check(subject: Subject, block: &str, shared: &str) {
        assert_eq!(subject.block(), block.parse().unwrap());
        assert_eq!(subject.shared(), shared.parse().unwrap());
        assert!(subject.shared().covers(subject.block()));
    }

    #[test]
    fn what_is_shared_is_a_64_unless_the_holder_declared_otherwise() {
        let slash64 = "2001:db8:1:203::/64";
        check(Subject::assumed(ADDRESS), slash64, slash64);
        check(Subject::observed(ADDRESS, 128), "2001:db8:1:203:405:607:809:a0b/128", slash64);
        check(Subject::observed(ADDRESS, 65), "2001:db8:1:203::/65", slash64);
        check(Subject::observed(ADDRESS, 56), "2001:db8:1:200::/56", "2001:db8:1:200::/56");
        check(Subject::declared(ADDRESS, 56), "2001:db8:1:200::/56", "2001:db8:1:200::/56");
        check(Subject::declared(ADDRESS, 80), "2001:db8:1:203:405::/80", "2001:db8:1:203:405::/80");
    }

    #[test]
    fn a_length_over_128_is_a_single_address() {
        assert_eq!(Subject::declared(ADDRESS, 200).attributed_len(), 128);
        assert_eq!(Subject::observed(ADDRESS, 200).attributed_len(), 128);
    }
}
