//! Random histories of operations, on the real thing and on its twin.

use proptest::collection::vec;
use proptest::prelude::*;

use super::twin::{Twin, copied, edges};
use crate::{Instructions, NO_MATCH, Prefix, Table, Trie};

/// Addresses that share long beginnings, so that prefixes nest and neighbour each other at any length.
pub(crate) fn address() -> impl Strategy<Value = u128> {
    let clustered = (0..4_u32, any::<u8>(), any::<u8>(), 0..128_u32).prop_map(|(site, a, b, at)| {
        let base = 0x2001_0db8_0000_0000_0000_0000_0000_0000 ^ u128::from(site) << 80;
        base ^ u128::from(a) << 60 ^ u128::from(b).rotate_right(at)
    });
    prop_oneof![4 => clustered, 1 => any::<u128>(), 1 => Just(0), 1 => Just(u128::MAX)]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    let length = prop_oneof![0..=128_u8, 60..=68_u8, Just(48), Just(64), Just(128)];
    (address(), length).prop_map(|(addr, len)| Prefix::containing(addr, len))
}

/// The windows of the widest leaves are all of an address but that bit.
#[test]
fn an_address_that_differs_in_its_first_bit_alone_is_another() {
    let prefixes =
        ["2000::/16", "2100::/64", "5000:0:0:1::/64", "7fff::/20"].map(|text| text.parse().unwrap());
    let table = Table::build(prefixes.into_iter().zip(0..)).unwrap();
    for (prefix, record) in prefixes.into_iter().zip(0..) {
        let addrs = [prefix.first(), prefix.last(), prefix.first() ^ 1 << 127, prefix.last() ^ 1 << 127];
        for instructions in Instructions::available() {
            let mut found = [0; 4];
            table.longest_match_batch_with(instructions, &addrs, &mut found);
            assert_eq!(found, [record, record, NO_MATCH, NO_MATCH], "{}", instructions.name());
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Insert(Prefix, u32),
    Remove(Prefix),
    /// Removes the prefix at this place among those held.
    RemoveHeld(prop::sample::Index),
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (prefix(), 0..8_u32).prop_map(|(prefix, record)| Operation::Insert(prefix, record)),
        1 => prefix().prop_map(Operation::Remove),
        2 => any::<prop::sample::Index>().prop_map(Operation::RemoveHeld),
    ]
}

fn apply(operation: &Operation, trie: &mut Trie<u32>, twin: &mut Twin) {
    match operation {
        Operation::Insert(prefix, record) => {
            assert_eq!(trie.insert(*prefix, *record), twin.insert(*prefix, *record));
        }
        Operation::Remove(prefix) => assert_eq!(trie.remove(*prefix), twin.remove(*prefix)),
        Operation::RemoveHeld(place) => {
            let items = twin.items();
            if !items.is_empty() {
                let prefix = place.get(&items).0;
                assert_eq!(trie.remove(prefix), twin.remove(prefix));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trie_table_and_twin_stay_equal(
        operations in vec(operation(), 0..120),
        addrs in vec(address(), 0..40),
        asked in vec(prefix(), 0..20),
        run_most in 2..=16_u8,
    ) {
        let (mut trie, mut twin) = (Trie::with_runs(run_most), Twin::default());
        for operation in &operations {
            apply(operation, &mut trie, &mut twin);
            trie.assert_sound();
        }
        let mut probes: Vec<u128> = twin.items().iter().flat_map(|item| edges(item.0)).collect();
        probes.extend(addrs);
        twin.assert_trie(&trie, &probes);
        twin.assert_table(&twin.table(), &probes);
        for prefix in asked {
            prop_assert_eq!(trie.get(prefix).copied(), twin.get(prefix));
            prop_assert_eq!(copied(trie.covering_prefix(prefix)), twin.matching(|p| p.covers(prefix)));
            prop_assert_eq!(copied(trie.covered_by(prefix)), twin.matching(|p| prefix.covers(p)));
        }
    }
}

proptest! {
    // Each case looks up twenty thousand addresses.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_of_every_length_answer_like_single_look_ups(
        prefixes in vec(prefix(), 0..2000),
        addrs in vec(address(), 200),
    ) {
        let trie: Trie<u32> = prefixes.into_iter().zip(0..).collect();
        let table = Table::build(trie.iter().map(|(prefix, &record)| (prefix, record))).unwrap();
        let single: Vec<u32> = addrs.iter().map(|&addr| table.longest_match(addr).unwrap_or(NO_MATCH)).collect();
        for (&addr, &found) in addrs.iter().zip(&single) {
            let expected = trie.longest_match(addr).map_or(NO_MATCH, |item| *item.1);
            prop_assert_eq!(found, expected);
        }
        for len in 0..=addrs.len() {
            let mut out = vec![0; len];
            table.longest_match_batch(&addrs[..len], &mut out);
            prop_assert_eq!(&out, &single[..len]);
        }
    }
}
