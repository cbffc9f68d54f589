//! How much address space a set of prefixes covers.

use credence_prefix::Prefix;

/// How many /64s a /48 has.
pub(super) const SLASH_64S_IN_48: u128 = 1 << 16;

/// How many /64s a prefix has; a longer one counts as its whole /64.
pub(crate) const fn slash_64s(prefix: Prefix) -> u128 {
    match prefix.len() {
        len @ ..64 => 1 << (64 - len),
        _ => 1,
    }
}

/// Adds prefixes up without counting anything twice. The unit is the /64, which is what one household or one host can
/// use at will; a longer prefix counts as its whole /64.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Space {
    total: u128,
    /// The first /64 that no prefix so far reached.
    next: u128,
}

impl Space {
    /// Adds a prefix. Prefixes come in their own order.
    pub(super) fn add(&mut self, prefix: Prefix) {
        let first = (prefix.first() >> 64).max(self.next);
        let next = (prefix.last() >> 64) + 1;
        if next > first {
            self.total += next - first;
            self.next = next;
        }
    }

    /// The number of /64s covered.
    pub(super) const fn slash_64s(self) -> u128 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefixes: &[&str], expected: u128) {
        let mut prefixes: Vec<Prefix> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        prefixes.sort_unstable();
        let mut space = Space::default();
        for prefix in prefixes {
            space.add(prefix);
        }
        assert_eq!(space.slash_64s(), expected);
    }

    #[test]
    fn nothing_is_counted_twice() {
        check(&[], 0);
        check(&["::/0"], 1 << 64);
        check(&["2001:db8::/48"], 1 << 16);
        check(&["2001:db8::/48", "2001:db8::/64", "2001:db8:0:5::1/128"], 1 << 16);
        check(&["2001:db8::/48", "2001:db8:1::/48"], 2 << 16);
        check(&["2001:db8::1/128", "2001:db8::2/128", "2001:db8:0:1::1/128"], 2);
        check(&["ffff:ffff:ffff:ffff::/64", "::/64"], 2);
    }
}
