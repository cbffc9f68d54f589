//! Every set of prefixes over a universe of eight addresses, laid at the places where the structures have seams.

use super::twin::{Twin, edges};
use crate::{Prefix, Trie};

/// Where the lowest bit of a small universe lies: at the top, astride the boundary of the two stages, at single hosts.
const LOWEST_BITS: [u32; 6] = [125, 64, 63, 62, 61, 0];

/// How many items a run of the trie holds at most: so few that every set has many nodes, and so many that none has.
const RUNS: [u8; 3] = [2, 4, 16];

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
        for run_most in RUNS {
            twin.assert_grown(Trie::with_runs(run_most), &universe, &probes);
        }
    }
}

#[test]
fn removing_in_any_order_leaves_a_sound_trie_and_all_memory_free() {
    let universe = universe(bases(62)[0], 62);
    for (step, run_most) in
        [1, 2, 4, 7, 8, 11, 13, 14].into_iter().flat_map(|step| RUNS.map(|most| (step, most)))
    {
        let mut trie = Trie::with_runs(run_most);
        let mut bytes = Vec::new();
        for _ in 0..3 {
            let mut twin = subset(&universe, u32::MAX);
            trie.extend(twin.items());
            // Each step is prime to fifteen, so that each prefix goes once.
            for i in 0..universe.len() {
                let prefix = universe[i * step % universe.len()];
                assert_eq!(trie.remove(prefix), twin.remove(prefix));
                assert_eq!(trie.remove(prefix), None);
                twin.assert_trie(&trie, &edges(prefix));
            }
            assert!(trie.is_empty());
            bytes.push(trie.bytes());
        }
        assert_eq!(bytes[1], bytes[2], "freed memory is used again");
    }
}
