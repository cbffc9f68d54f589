//! Those whom no list, opinion or failure blocks, as the kernel's program reads them.

use credence_prefix::{Prefix, Table, TableError};

/// A source that is never blocked.
const SOURCE: u32 = 1;
/// A destination where the blocked complain.
const PORTAL: u32 = 2;

/// The operator's word on who is spared.
#[derive(Clone, Debug, Default)]
pub struct Spared {
    /// Prefixes whose traffic is never blocked.
    pub sources: Vec<Prefix>,
    /// Prefixes to which traffic of blocked sources passes, each /64 at its own low rate.
    pub portals: Vec<Prefix>,
}

impl Spared {
    /// The map that the program asks: under each prefix, in bits, what the prefixes that contain it are listed for.
    pub(crate) fn table(&self) -> Result<Table, TableError> {
        let mut prefixes: Vec<Prefix> = self.sources.iter().chain(&self.portals).copied().collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        let within = |list: &[Prefix], prefix: &Prefix| list.iter().any(|listed| listed.covers(*prefix));
        Table::build(prefixes.iter().map(|prefix| {
            let source = if within(&self.sources, prefix) { SOURCE } else { 0 };
            let portal = if within(&self.portals, prefix) { PORTAL } else { 0 };
            (*prefix, source | portal)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_listed_for_all_that_contain_it() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let spared = Spared {
            sources: vec![prefix("2001:db8::/32"), prefix("2001:db8:1:2::/64")],
            portals: vec![prefix("2001:db8:1::/48"), prefix("3fff::1/128")],
        };
        let table = spared.table().unwrap();
        let at = |text: &str| table.longest_match(prefix(text).first());
        assert_eq!(at("2001:db8:ffff::1/128"), Some(SOURCE));
        assert_eq!(at("2001:db8:1::1/128"), Some(SOURCE | PORTAL));
        assert_eq!(at("2001:db8:1:2::1/128"), Some(SOURCE | PORTAL));
        assert_eq!(at("3fff::1/128"), Some(PORTAL));
        assert_eq!(at("3fff::2/128"), None);
        assert_eq!(Spared::default().table().unwrap().len(), 0);
    }
}
