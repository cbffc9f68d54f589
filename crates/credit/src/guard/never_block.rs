//! Prefixes whose traffic is never blocked.

use credence_prefix::Prefix;

/// A prefix that is known at compile time; an invalid one does not compile.
const fn fixed(bits: u128, len: u8) -> Prefix {
    match Prefix::new(bits, len) {
        Ok(prefix) => prefix,
        Err(_) => unreachable!(),
    }
}

/// Prefixes that every never-block list holds. Sources in them are either no single party's (translators and relays,
/// behind each of which stand many), or not of this Internet at all, so that a record about them hits the wrong ones.
pub const NEVER_BLOCK: [Prefix; 10] = [
    // The unspecified address, as a source of duplicate address detection: RFC 4291 section 2.5.2, RFC 4862 section 5.4.
    fixed(0, 128),
    // Loopback: RFC 4291 section 2.5.3.
    fixed(1, 128),
    // IPv4-mapped: RFC 4291 section 2.5.5.2.
    fixed(0xffff_0000_0000, 96),
    // NAT64's well-known prefix: RFC 6052 section 2.1.
    fixed(0x0064_ff9b << 96, 96),
    // NAT64's prefix for local use: RFC 8215.
    fixed(0x0064_ff9b_0001 << 80, 48),
    // Teredo: RFC 4380 section 2.6.
    fixed(0x2001_0000 << 96, 32),
    // 6to4: RFC 3056 section 2.
    fixed(0x2002 << 112, 16),
    // Unique local: RFC 4193 section 3.1.
    fixed(0xfc00 << 112, 7),
    // Link-local, which neighbour discovery and router advertisements use: RFC 4291 section 2.5.6.
    fixed(0xfe80 << 112, 10),
    // Multicast, which is no source: RFC 4291 section 2.7.
    fixed(0xff00 << 112, 8),
];

/// Prefixes for examples: RFC 3849 and RFC 9637. Guarded against in signed feeds only. Nobody holds this space, so a feed
/// that names it is at fault, whereas an operator who lists it is trying the product out, as its own manual does.
pub const DOCUMENTATION: [Prefix; 2] = [fixed(0x2001_0db8 << 96, 32), fixed(0x3fff << 112, 20)];

/// A set of prefixes whose traffic is never blocked: [`NEVER_BLOCK`] and the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeverBlock {
    /// In order, none inside another, so that one search finds the only neighbours that can overlap.
    prefixes: Vec<Prefix>,
}

impl NeverBlock {
    /// The set of [`NEVER_BLOCK`] and `own`: management networks, resolvers, routing neighbours, the platform.
    pub fn new(own: impl IntoIterator<Item = Prefix>) -> Self {
        let mut prefixes: Vec<_> = NEVER_BLOCK.into_iter().chain(own).collect();
        prefixes.sort_unstable();
        // A prefix sorts directly before all that it covers, so what is covered follows its cover.
        prefixes.dedup_by(|next, kept| kept.covers(*next));
        Self { prefixes }
    }

    /// Whether `addr` lies in one of the prefixes.
    pub fn contains(&self, addr: u128) -> bool {
        self.overlaps(Prefix::host(addr))
    }

    /// Whether some address of `prefix` lies in the set: `prefix` covers one of the prefixes, or one covers it.
    pub fn overlaps(&self, prefix: Prefix) -> bool {
        let behind = self.prefixes.partition_point(|&own| own <= prefix);
        let covered_by = behind.checked_sub(1).is_some_and(|before| self.prefixes[before].covers(prefix));
        covered_by || self.prefixes.get(behind).is_some_and(|&next| prefix.covers(next))
    }

    /// The prefixes in order, those inside another left out.
    pub fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }
}

/// The set of [`NEVER_BLOCK`] alone.
impl Default for NeverBlock {
    fn default() -> Self {
        Self::new([])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fixed_prefixes_are_those_of_the_standards() {
        let texts = [
            "::/128",
            "::1/128",
            "::ffff:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "2001::/32",
            "2002::/16",
            "fc00::/7",
            "fe80::/10",
            "ff00::/8",
        ];
        assert_eq!(NEVER_BLOCK, texts.map(|text| text.parse().unwrap()));
        assert_eq!(DOCUMENTATION, ["2001:db8::/32", "3fff::/20"].map(|text| text.parse().unwrap()));
    }

    fn check(text: &str, expected: bool) {
        let own = "2001:db8:53::/48".parse().unwrap();
        assert_eq!(NeverBlock::new([own]).overlaps(text.parse().unwrap()), expected, "{text}");
    }

    #[test]
    fn what_covers_what_is_inside_and_what_is_beside() {
        check("2001:db8:53::/48", true);
        check("2001:db8:53:1::/64", true);
        check("2001:db8::/32", true);
        check("2001:db8:52::/48", false);
        check("2001:db8:54::/48", false);
        check("::/0", true);
        check("::2/128", false);
        check("fe80::1", true);
        check("64:ff9b::c000:201", true);
        check("2003::/16", false);
    }

    proptest! {
        /// The search agrees with asking every prefix.
        #[test]
        fn overlap_agrees_with_asking_each(
            own in proptest::collection::vec((0u32..64, 0u8..=8), 0..12), asked in (0u32..64, 0u8..=8),
        ) {
            // Six bits of address in a corner of the space, so that covers and neighbours are frequent.
            let prefix = |(bits, len): (u32, u8)| Prefix::containing(0x3 << 124 | u128::from(bits) << 118, len + 2);
            let own: Vec<_> = own.into_iter().map(prefix).collect();
            let asked = prefix(asked);
            let slow = NEVER_BLOCK.iter().chain(&own).any(|p| p.covers(asked) || asked.covers(*p));
            prop_assert_eq!(NeverBlock::new(own).overlaps(asked), slow);
        }
    }
}
