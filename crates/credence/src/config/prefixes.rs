//! Prefixes as operators write them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use credence_prefix::Prefix;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One prefix of a list; a bare address is the one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListedPrefix(Ipv6Net);

impl ListedPrefix {
    /// The prefix as the look-up has it.
    pub(crate) fn prefix(&self) -> Prefix {
        // The host bits are zero, so that nothing is cut off here.
        Prefix::containing(self.0.addr().to_bits(), self.0.prefix_len())
    }
}

impl FromStr for ListedPrefix {
    type Err = String;

    /// Reads a prefix.
    ///
    /// # Errors
    /// What is wrong, and what was probably meant.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.parse::<Ipv4Net>().is_ok() || text.parse::<Ipv4Addr>().is_ok() {
            return Err(format!("{text:?} is IPv4; only IPv6 is scored, leave it out"));
        }
        let net = match text.parse::<Ipv6Addr>() {
            Ok(address) => Ipv6Net::from(address),
            Err(_) => text
                .parse()
                .map_err(|_| format!("{text:?} is no IPv6 prefix; write it like \"2001:db8::/32\""))?,
        };
        if net.trunc() != net {
            let (meant, address) = (net.trunc(), net.addr());
            return Err(format!(
                "{text:?} has bits behind its length; write \"{meant}\" for the prefix or \"{address}/128\" for the address"
            ));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for ListedPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ListedPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Reads the text of a prefix where it stands, so that an error tells the place of that element and not of
/// its list.
struct Text;

impl Visitor<'_> for Text {
    type Value = ListedPrefix;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a prefix in quotes, like \"2001:db8::/32\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ListedPrefix, E> {
        text.parse().map_err(E::custom)
    }
}

impl Serialize for ListedPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<ListedPrefix>().unwrap_err()
    }

    #[test]
    fn prefixes_and_addresses_are_read() {
        for (text, shown) in
            [("2001:DB8:0::/32", "2001:db8::/32"), ("2001:db8::1", "2001:db8::1/128"), ("::/0", "::/0")]
        {
            let listed: ListedPrefix = text.parse().unwrap();
            assert_eq!(
                (listed.to_string(), listed.prefix().to_string()),
                (shown.to_owned(), shown.to_owned())
            );
        }
    }

    #[test]
    fn host_bits_are_refused_with_what_was_meant() {
        let told = refusal("2001:db8:1::1/32");
        assert!(told.contains("\"2001:db8::/32\"") && told.contains("\"2001:db8:1::1/128\""), "{told}");
    }

    #[test]
    fn what_is_no_ipv6_prefix_is_refused() {
        for text in ["10.0.0.0/8", "192.0.2.1"] {
            assert!(refusal(text).contains("only IPv6"), "{text}");
        }
        for text in ["", "2001:db8::/129", "2001:db8::/", "example.org", "fe80::1%eth0/64"] {
            assert!(refusal(text).contains("no IPv6 prefix"), "{text}");
        }
    }
}
