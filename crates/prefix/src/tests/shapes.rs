//! Named shapes: those on which other implementations have failed, and the worst for this one.

use super::twin::{Twin, copied, edges};
use crate::{Instructions, MAX_RECORD, NO_MATCH, Prefix, Table, Trie};

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn addr(text: &str) -> u128 {
    prefix(text).first()
}

/// Both forms of `prefixes`, numbered from 0 in order, answer like a scan at all edges.
fn check(prefixes: impl IntoIterator<Item = Prefix>) -> (Trie<u32>, Table) {
    let mut twin = Twin::default();
    for (record, prefix) in prefixes.into_iter().enumerate() {
        twin.insert(prefix, record as u32);
    }
    let trie: Trie<u32> = twin.items().into_iter().collect();
    let table = twin.table();
    let probes: Vec<u128> =
        twin.items().iter().flat_map(|item| edges(item.0)).chain([0, u128::MAX]).collect();
    twin.assert_table(&table, &probes);
    twin.assert_trie(&trie, &probes);
    (trie, table)
}

/// A binary search over a sorted list of prefixes looks at the nearest one that starts before the address and misses
/// the wider one around it: 2001:db8::/32 hides behind 2001:db8:1::/48.
#[test]
fn a_wide_prefix_does_not_hide_behind_a_narrow_one_that_sorts_between() {
    let (trie, table) = check(["2001:db8::/32", "2001:db8:1::/48"].map(prefix));
    for (text, record) in
        [("2001:db8::1", 0), ("2001:db8:1::1", 1), ("2001:db8:2::1", 0), ("2001:db8:ffff::1", 0)]
    {
        assert_eq!(table.longest_match(addr(text)), Some(record), "{text}");
        assert_eq!(trie.longest_match(addr(text)).map(|item| *item.1), Some(record), "{text}");
    }
    assert_eq!(table.longest_match(addr("2001:db9::")), None);
}

#[test]
fn nothing_matches_in_an_empty_map_and_everything_in_that_of_the_whole_space() {
    let (trie, table) = check([]);
    assert_eq!((trie.len(), trie.longest_match(0), table.len()), (0, None, 0));
    assert!(trie.is_empty() && table.is_empty() && Table::default().is_empty());
    assert_eq!(Table::default().longest_match(u128::MAX), None);
    let (trie, table) = check([Prefix::ALL]);
    assert!(!trie.is_empty() && !table.is_empty());
    assert_eq!(table.longest_match(u128::MAX), Some(0));
}

#[test]
fn the_first_and_the_last_address_are_hosts_like_any_other() {
    check([Prefix::host(0), Prefix::host(u128::MAX)]);
    check([Prefix::ALL, Prefix::host(0), Prefix::host(u128::MAX)]);
    check([Prefix::containing(u128::MAX, 64), Prefix::host(u128::MAX), Prefix::containing(0, 64)]);
    check([Prefix::containing(u128::MAX, 65), Prefix::containing(0, 65)]);
    check([Prefix::host(u64::MAX.into()), Prefix::host(1 << 64)]);
}

#[test]
fn all_129_lengths_nest_around_one_address() {
    for host in
        [0, u128::MAX, u128::MAX / 3, addr("2001:db8:ffff:ffff::"), addr("2001:db8::ffff:ffff:ffff:ffff")]
    {
        let (trie, table) = check((0..=128).map(|len| Prefix::containing(host, len)));
        assert_eq!(table.longest_match(host), Some(128));
        assert_eq!(trie.covering(host).count(), 129);
        assert!(trie.covering(host).map(|item| item.0.len()).eq(0..=128), "from the shortest to the longest");
    }
}

/// The highest bit of a key stands in no leaf: what a leaf holds is in one half of the keys, and an index does not lead to it
/// from the other.
#[test]
fn leaves_with_windows_of_every_width_tell_the_halves_apart() {
    let mut state = 1_u64;
    for spread in 1..=63 {
        for near in [1 << 61, 0, 1 << 63, u64::MAX << 40] {
            let mut subnets: Vec<Prefix> = (0..30)
                .map(|_| {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                    let upper = near ^ (state >> 1 >> (63 - spread));
                    Prefix::containing(u128::from(upper) << 64, 64 - (state % 8) as u8)
                })
                .collect();
            subnets.sort_unstable();
            subnets.dedup();
            let (_, table) = check(subnets.iter().copied());
            for subnet in subnets {
                let mirrored = subnet.first() ^ 1 << 127;
                let mut found = [0];
                table.longest_match_batch(&[mirrored], &mut found);
                assert_eq!(found[0], NO_MATCH, "{mirrored:#034x}, spread over {spread} bits");
            }
        }
    }
}

#[test]
fn siblings_with_alternating_bits_hang_off_every_bit_of_a_path() {
    for path in [u128::MAX / 3, u128::MAX / 3 * 2] {
        let siblings = (1..=128).map(|len| Prefix::containing(path ^ 1 << (128 - u32::from(len)), len));
        let (_, table) = check(siblings);
        assert_eq!(table.longest_match(path), None, "only the path itself is left over");
    }
}

#[test]
fn the_two_stages_agree_about_a_64_and_its_halves() {
    let half = |text: &str| prefix(text);
    let subnet = "2001:db8:0:1::/64";
    let low = "2001:db8:0:1::/65";
    let high = "2001:db8:0:1:8000::/65";
    let next = "2001:db8:0:2::/64";
    let previous = "2001:db8:0:0:8000::/65";
    let all = [subnet, low, high, next, previous, "2001:db8::/63", "2001:db8:0:1:ffff:ffff:ffff:ffff/128"]
        .map(half);
    for mask in 0..1_u32 << all.len() {
        check(all.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, &p)| p));
    }
}

#[test]
fn neighbouring_64s_with_hosts_at_their_touching_ends_stay_apart() {
    let ends = |subnet: u128| [subnet << 64, subnet << 64 | u128::from(u64::MAX)];
    check((5..9).flat_map(ends).map(Prefix::host));
    check([Prefix::containing(0, 32)].into_iter().chain((5..9).flat_map(ends).map(Prefix::host)));
}

#[test]
fn a_64_with_thousands_of_hosts_is_searched_like_one_with_few() {
    let base = addr("2001:db8::");
    for hosts in [1, 31, 32, 33, 64, 65, 2000] {
        check((0..hosts).map(|i| Prefix::host(base + i * 0x0123_4567_89ab)));
    }
}

#[test]
fn the_largest_record_number_is_an_answer_and_not_a_link() {
    let wide = Prefix::containing(0, 1);
    let table = Table::build([(wide, MAX_RECORD), (Prefix::host(5), MAX_RECORD - 1)]).unwrap();
    let cases = [(4, MAX_RECORD), (5, MAX_RECORD - 1), (1 << 64, MAX_RECORD), (u128::MAX, NO_MATCH)];
    let mut out = [0; 4];
    table.longest_match_batch(&cases.map(|case| case.0), &mut out);
    assert_eq!(out, cases.map(|case| case.1));
    assert_eq!(cases.map(|case| table.longest_match(case.0).unwrap_or(NO_MATCH)), out);
}

/// The processor that runs the tests decides which instructions a batch takes; the others must be right as well.
#[test]
fn all_instructions_answer_alike() {
    let mut state = 1_u128;
    let mut random = || {
        state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
        state.rotate_right(64)
    };
    let site = |addr: u128| addr >> 40 | 0x2001_0db8 << 96;
    let mut prefixes: Vec<Prefix> = (0..20_000)
        .map(|i| Prefix::containing(site(random()), [44, 48, 56, 60, 64, 64, 80, 128][i % 8]))
        .collect();
    prefixes.extend((0..2_000).map(|_| Prefix::containing(random(), 3)));
    prefixes.sort_unstable();
    prefixes.dedup();
    let table = Table::build(prefixes.iter().copied().zip(0..)).unwrap();
    let mut probes: Vec<u128> = prefixes.iter().flat_map(|&prefix| edges(prefix)).collect();
    probes.extend((0..10_000).map(|_| random()));
    for batch in [1, 63, 64, 65, 256, 257, probes.len()] {
        for addrs in probes.chunks(batch).take(200) {
            let single: Vec<u32> =
                addrs.iter().map(|&addr| table.longest_match(addr).unwrap_or(NO_MATCH)).collect();
            let mut found = vec![0; addrs.len()];
            for instructions in Instructions::available() {
                table.longest_match_batch_with(instructions, addrs, &mut found);
                assert_eq!(single, found, "{} in batches of {batch}", instructions.name());
            }
        }
    }
}

#[test]
#[should_panic(expected = "one place for each answer")]
fn a_plain_batch_without_room_for_its_answers_is_our_own_mistake() {
    Table::default().longest_match_batch_with(Instructions::PLAIN, &[1], &mut []);
}

#[test]
#[should_panic(expected = "one place for each answer")]
fn a_batch_without_room_for_its_answers_is_our_own_mistake() {
    Table::default().longest_match_batch(&[1, 2], &mut [0]);
}

/// What a feed may well hold: scattered single hosts, and long nests. A tree inside each /64 takes far more; for that bound
/// see [`Table::build`].
#[test]
fn scattered_hosts_and_nests_take_no_more_than_128_bytes_each() {
    let scattered = (0..20_000_u128).map(|i| Prefix::host(i << 96 | 1 << 64 | i << 8 | 1));
    let adjacent = (0..20_000_u128).map(|i| Prefix::host(i << 64 | 1));
    let nests = (0..200_u128)
        .flat_map(|i| (8..=128).map(move |len| Prefix::containing(i << 120 | u128::MAX >> 9, len)));
    let sets: [Vec<Prefix>; 3] = [scattered.collect(), adjacent.collect(), nests.collect()];
    for mut set in sets {
        set.sort_unstable();
        set.dedup();
        let table = Table::build(set.iter().map(|&prefix| (prefix, prefix.len().into()))).unwrap();
        assert!(table.bytes() <= 128 * set.len(), "{} bytes for {}", table.bytes(), set.len());
    }
}

#[test]
fn values_can_be_changed_in_place_and_cleared() {
    let mut trie: Trie<u32> =
        [("2001:db8::/32", 1), ("2001:db8:1::/48", 2)].map(|(p, v)| (prefix(p), v)).into_iter().collect();
    *trie.get_mut(prefix("2001:db8:1::/48")).unwrap() = 5;
    assert_eq!(trie.get_mut(prefix("2001:db8::/33")), None);
    assert_eq!(copied((&trie).into_iter()), [(prefix("2001:db8::/32"), 1), (prefix("2001:db8:1::/48"), 5)]);
    trie.clear();
    assert_eq!((trie.len(), trie.iter().next()), (0, None));
    trie.assert_sound();
}
