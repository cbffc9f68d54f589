//! Every set of prefixes over a universe of eight addresses, laid at the places where the structures have seams.

use super::twin::{Twin, copied, edges};
use crate::{Prefix, Trie};

/// Where the lowest bit of a small universe lies: at the top, astride the boundary of the two stages, at single hosts.
const LOWEST_BITS: [u32; 6] = [125, 64, 63, 62, 61, 0];

/// The fifteen prefixes over three bits, at `base` and with the lowest of the three bits at `low`.
fn universe(base: u128, low: u32) -> Vec<Prefix> {
    let whole = 125 - low as u8;
    let inside = |len: u8| (0..1_u128 << len).map(move |i| (i, len));
    (0..=3)
        .flat_map(inside)
        .map(|(i, len)| Prefix::new(base | i << (3 - len) << low, whole + len).unwrap())
        .collect()
}

/// The places of a universe: somewhere amid the address space, and for one at both of its ends.
fn bases(low: u32) -> Vec<u128> {
    let amid = 0x2001_0db8_5555_aaaa_3333_cccc_0f0f_f0f0;
    let addrs: &[u128] = if low == 63 { &[amid, 0, u128::MAX] } else { &[amid] };
    addrs.iter().map(|&addr| Prefix::containing(addr, 125 - low as u8).first()).collect()
}

fn subset(universe: &[Prefix], mask: u32) -> Twin {
    let mut twin = Twin::default();
    for (i, &prefix) in universe.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1) {
        twin.insert(prefix, i as u32);
    }
    twin
}

#[test]
fn every_set_of_prefixes_gives_the_table_of_a_scan() {
    for low in LOWEST_BITS {
        for base in bases(low) {
            let universe = universe(base, low);
            let mut probes: Vec<u128> = universe.iter().flat_map(|&prefix| edges(prefix)).collect();
            probes.sort_unstable();
            probes.dedup();
            for mask in 0..1 << universe.len() {
                let twin = subset(&universe, mask);
                twin.assert_table(&twin.table(), &probes);
            }
        }
    }
}

#[test]
fn every_set_of_prefixes_gives_the_trie_of_a_scan() {
    let universe = universe(bases(62)[0], 62);
    let probes: Vec<u128> =
        universe[7..].iter().flat_map(|&prefix| [prefix.first(), prefix.last() + 1]).collect();
    for mask in 0..1 << universe.len() {
        let twin = subset(&universe, mask);
        // Against the order, so that nodes are put over others as well as under them.
        let trie: Trie<u32> = twin.items().into_iter().rev().collect();
        twin.assert_trie(&trie, &probes);
        for &prefix in &universe {
            assert_eq!(trie.get(prefix).copied(), twin.get(prefix));
            assert_eq!(copied(trie.covered_by(prefix)), twin.matching(|p| prefix.covers(p)));
        }
    }
}

#[test]
fn removing_in_any_order_leaves_a_sound_trie_and_at_last_only_the_root() {
    let universe = universe(bases(62)[0], 62);
    for step in [1, 2, 4, 7, 8, 11, 13, 14] {
        let mut twin = subset(&universe, u32::MAX);
        let mut trie: Trie<u32> = twin.items().into_iter().collect();
        let full = trie.bytes();
        // Each step is prime to fifteen, so that each prefix goes once.
        for i in 0..universe.len() {
            let prefix = universe[i * step % universe.len()];
            assert_eq!(trie.remove(prefix), twin.remove(prefix));
            assert_eq!(trie.remove(prefix), None);
            twin.assert_trie(&trie, &edges(prefix));
        }
        assert!(trie.is_empty());
        trie.extend(subset(&universe, u32::MAX).items());
        assert_eq!(trie.bytes(), full, "freed nodes are used again");
    }
}
