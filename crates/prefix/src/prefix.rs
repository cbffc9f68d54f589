//! One IPv6 prefix.

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// An IPv6 prefix whose host bits are zero. Ordered by address, then shorter first, so that a prefix sorts directly
/// before everything it covers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    bits: u128,
    len: u8,
}

/// Why a text or a pair of numbers is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrefixError {
    /// The part before the slash is no IPv6 address.
    Address,
    /// The length is no number from 0 to 128.
    Length,
    /// Bits behind the length are set; the prefix without them is given.
    HostBits(Prefix),
}

impl Prefix {
    /// The whole address space, `::/0`.
    pub const ALL: Self = Self { bits: 0, len: 0 };

    /// The prefix of `bits` and `len`.
    ///
    /// # Errors
    /// When `len` is over 128 or a host bit is set.
    pub const fn new(bits: u128, len: u8) -> Result<Self, PrefixError> {
        if len > 128 {
            return Err(PrefixError::Length);
        }
        let prefix = Self::containing(bits, len);
        if prefix.bits == bits { Ok(prefix) } else { Err(PrefixError::HostBits(prefix)) }
    }

    /// The prefix of length `len` that `addr` lies in. A length over 128 counts as 128.
    pub const fn containing(addr: u128, len: u8) -> Self {
        let len = if len > 128 { 128 } else { len };
        Self { bits: addr & mask(len), len }
    }

    /// The single address `addr`, a /128.
    pub const fn host(addr: u128) -> Self {
        Self { bits: addr, len: 128 }
    }

    /// The first address.
    pub const fn first(self) -> u128 {
        self.bits
    }

    /// The last address.
    pub const fn last(self) -> u128 {
        self.bits | !mask(self.len)
    }

    /// The length in bits, 0 to 128.
    #[expect(clippy::len_without_is_empty, reason = "a length in bits, not a count of items")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether `addr` lies inside.
    pub const fn contains(self, addr: u128) -> bool {
        addr & mask(self.len) == self.bits
    }

    /// Whether every address of `other` lies inside; a prefix covers itself.
    pub const fn covers(self, other: Self) -> bool {
        self.len <= other.len && self.contains(other.bits)
    }

    /// The longest prefix that covers both.
    pub const fn common(self, other: Self) -> Self {
        let shorter = if self.len < other.len { self.len } else { other.len };
        let equal = (self.bits ^ other.bits).leading_zeros() as u8;
        Self::containing(self.bits, if equal < shorter { equal } else { shorter })
    }
}

/// The network mask of `len` bits, `len` at most 128.
const fn mask(len: u8) -> u128 {
    match len {
        0 => 0,
        _ => u128::MAX << (128 - len as u32),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv6Addr::from(self.bits), self.len)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads `address/length`, or a bare address as a /128. Host bits are refused; [`PrefixError::HostBits`] carries the
/// truncated prefix for callers that may truncate.
impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, len) = match text.split_once('/') {
            None => (text, 128),
            Some((address, len)) => {
                let plain = !len.is_empty() && len.len() <= 3 && len.bytes().all(|b| b.is_ascii_digit());
                (
                    address,
                    if plain {
                        len.parse().map_err(|_| PrefixError::Length)?
                    } else {
                        return Err(PrefixError::Length);
                    },
                )
            }
        };
        let address: Ipv6Addr = address.parse().map_err(|_| PrefixError::Address)?;
        Self::new(address.to_bits(), len)
    }
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("not an IPv6 address"),
            Self::Length => f.write_str("the prefix length must be a number from 0 to 128"),
            Self::HostBits(prefix) => {
                write!(f, "bits behind the prefix length are set; did you mean {prefix}?")
            }
        }
    }
}

impl core::error::Error for PrefixError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn text_survives_a_round_trip() {
        for text in ["::/0", "2001:db8::/32", "2001:db8:0:1::/64", "8000::/1", "::1/128", "ff00::/8"] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("2001:db8::1"), Prefix::host(prefix("2001:db8::1/128").first()));
    }

    #[test]
    fn bad_text_is_refused_with_its_reason() {
        let check = |text: &str, expected| assert_eq!(text.parse::<Prefix>(), Err(expected), "{text:?}");
        for text in ["", "/", "/64", "192.0.2.1/24", "2001:db8::g/64", "2001:db8::%1/64", " ::/0", "[::]/0"] {
            check(text, if text == "/" { PrefixError::Length } else { PrefixError::Address });
        }
        for text in
            ["::/", "::/129", "::/-1", "::/+1", "::/1e1", "::/0x8", "::/256", "::/1234", "::/64/64", "::/ 8"]
        {
            check(text, PrefixError::Length);
        }
        check("2001:db8::1/32", PrefixError::HostBits(prefix("2001:db8::/32")));
        check("::1/0", PrefixError::HostBits(Prefix::ALL));
    }

    #[test]
    fn host_bits_are_refused_at_every_length() {
        for len in 0..=128 {
            let whole = Prefix::containing(u128::MAX, len);
            assert_eq!(Prefix::new(whole.first(), len), Ok(whole));
            let expected = if len == 128 { Ok(whole) } else { Err(PrefixError::HostBits(whole)) };
            assert_eq!(Prefix::new(whole.first() | 1, len), expected);
        }
        assert_eq!(Prefix::new(0, 129), Err(PrefixError::Length));
        assert_eq!(Prefix::containing(7, 200), Prefix::host(7));
    }

    #[test]
    fn first_and_last_enclose_exactly_the_addresses_inside() {
        for len in 0..=128 {
            let p = Prefix::containing(0x2001_0db8_ffff_0000_ffff_0000_ffff_0001, len);
            assert!(p.contains(p.first()) && p.contains(p.last()));
            assert_eq!(u128::from(len == 0), u128::from(p.first() == 0 && p.last() == u128::MAX));
            assert!(p.first() == 0 || !p.contains(p.first() - 1));
            assert!(p.last() == u128::MAX || !p.contains(p.last() + 1));
        }
    }

    #[test]
    fn a_prefix_sorts_directly_before_what_it_covers() {
        let sorted = [
            "::/0",
            "::/128",
            "2001:db8::/32",
            "2001:db8::/48",
            "2001:db8:0:1::/64",
            "2001:db8:1::/48",
            "ffff::/16",
        ];
        assert!(sorted.map(prefix).is_sorted());
        assert!(prefix("::/0").covers(prefix("::/0")) && prefix("::/0").covers(prefix("ffff::/16")));
        assert!(prefix("2001:db8::/32").covers(prefix("2001:db8:1::/48")));
        assert!(!prefix("2001:db8:1::/48").covers(prefix("2001:db8::/32")));
        assert!(!prefix("2001:db8::/48").covers(prefix("2001:db8:1::/48")));
    }

    #[test]
    fn the_common_prefix_is_the_longest_that_covers_both() {
        let check = |a: &str, b: &str, expected: &str| {
            assert_eq!(prefix(a).common(prefix(b)), prefix(expected));
            assert_eq!(prefix(b).common(prefix(a)), prefix(expected));
        };
        check("2001:db8::/48", "2001:db8:1::/48", "2001:db8::/47");
        check("2001:db8::/32", "2001:db8:1::/48", "2001:db8::/32");
        check("::/1", "8000::/1", "::/0");
        check("::/0", "::/128", "::/0");
        check("::1/128", "::1/128", "::1/128");
        check("::/128", "::1/128", "::/127");
    }
}
