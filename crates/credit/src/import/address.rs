//! The addresses of lists, in the forms that people write them.

use core::net::Ipv4Addr;

use credence_prefix::{Prefix, PrefixError};

use super::problem::Fault;

/// What an entry's address turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// IPv4, which this engine does not look at.
    V4,
    /// A prefix, or an address as a /128.
    V6 {
        /// The prefix without host bits.
        prefix: Prefix,
        /// Whether host bits were set.
        truncated: bool,
    },
}

/// Reads `address/length` or an address alone, in either family. Host bits are cut off: an operator who writes a host's
/// address with its network's length means the network.
pub(super) fn parse(text: &str) -> Result<Address, Fault> {
    match text.parse() {
        Ok(prefix) => Ok(Address::V6 { prefix, truncated: false }),
        Err(PrefixError::HostBits(prefix)) => Ok(Address::V6 { prefix, truncated: true }),
        Err(_) if is_ipv4(text) => Ok(Address::V4),
        Err(error) => Err(Fault::new(error, "write it like 2001:db8::/32 or 2001:db8::1")),
    }
}

fn is_ipv4(text: &str) -> bool {
    let (address, len) = text.split_once('/').unwrap_or((text, "32"));
    address.parse::<Ipv4Addr>().is_ok() && len.parse::<u8>().is_ok_and(|len| len <= 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, prefix: &str, truncated: bool) {
        assert_eq!(parse(text), Ok(Address::V6 { prefix: prefix.parse().unwrap(), truncated }));
    }

    #[test]
    fn the_forms_that_people_write() {
        check("2001:db8::/32", "2001:db8::/32", false);
        check("2001:0DB8::00FF", "2001:db8::ff/128", false);
        check("2001:db8::1/64", "2001:db8::/64", true);
        check("::/0", "::/0", false);
        check("::ffff:192.0.2.1", "::ffff:192.0.2.1/128", false);
        assert_eq!(parse("192.0.2.1"), Ok(Address::V4));
        assert_eq!(parse("192.0.2.0/24"), Ok(Address::V4));
    }

    #[test]
    fn what_is_neither_says_so_with_a_cure() {
        for text in [
            "",
            "2001:db8::/129",
            "2001:dg8::",
            "192.0.2.0/33",
            "fe80::1%eth0",
            "2001:db8::/",
            "host.example",
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.0.contains("2001:db8::/32"), "{text}: {}", fault.0);
        }
    }
}
