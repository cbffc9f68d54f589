//! The image of a table, walked by a program that knows of it only what is written down.
//!
//! The [walker] follows the format as `credence_prefix`'s documentation specifies it, with loads and loops that have a
//! bound, as a program in the kernel would. That its answers are the table's own shows that the documentation is enough;
//! that it counts the lines it touches shows what [hostile] tables cost.

mod hostile;
mod walker;

use credence_prefix::{NO_MATCH, Prefix, Publisher, Table, Trie};
use proptest::collection::vec;
use proptest::prelude::*;

use self::walker::{Image, Met};

/// A source of numbers that is the same each time (SplitMix64).
struct Random(u64);

impl Random {
    const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    const fn wide(&mut self) -> u128 {
        (self.bits() as u128) << 64 | self.bits() as u128
    }

    const fn below(&mut self, end: usize) -> usize {
        ((self.bits() as u128 * end as u128) >> 64) as usize
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

/// The addresses at which a prefix could be mistaken: its ends and their neighbours.
fn edges(prefix: Prefix) -> [u128; 4] {
    let (first, last) = (prefix.first(), prefix.last());
    [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
}

/// Asserts that walker, table and trie give the same answers, and returns what the walker met on its ways.
fn check(table: &Table, trie: &Trie<u32>, addrs: impl IntoIterator<Item = u128>) -> Vec<Met> {
    let image = Image::of(table);
    let walk = |addr| {
        let (answer, met) = image.longest_match(addr);
        assert_eq!(table.longest_match(addr), answer, "{addr:#034x} by the table");
        assert_eq!(trie.longest_match(addr).map(|(_, &record)| record), answer, "{addr:#034x} by the trie");
        met
    };
    addrs.into_iter().map(walk).collect()
}

/// Addresses that share long beginnings, so that prefixes nest and neighbour each other at any length.
fn address() -> impl Strategy<Value = u128> {
    let clustered = (0..3_u32, any::<u8>(), any::<u8>(), 0..128_u32).prop_map(|(site, a, b, at)| {
        0x2001_0db8 << 96 ^ u128::from(site) << 80 ^ u128::from(a) << 60 ^ u128::from(b).rotate_right(at)
    });
    prop_oneof![5 => clustered, 1 => any::<u128>(), 1 => Just(0), 1 => Just(u128::MAX)]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    let length = prop_oneof![0..=128_u8, 60..=68_u8, Just(48), Just(64), Just(128)];
    (address(), length).prop_map(|(addr, len)| Prefix::containing(addr, len))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_walker_answers_as_a_built_table(
        prefixes in vec(prefix(), 0..300),
        addrs in vec(address(), 100),
    ) {
        let trie: Trie<u32> = prefixes.into_iter().zip(0..).collect();
        let table = Table::build(trie.iter().map(|(prefix, &record)| (prefix, record))).unwrap();
        let probes = trie.iter().flat_map(|(prefix, _)| edges(prefix)).chain(addrs);
        check(&table, &trie, probes);
    }

    #[test]
    fn the_walker_answers_as_a_table_that_was_changed_in_place(
        changes in vec((prefix(), any::<bool>(), 0..9_u32), 0..300),
        addrs in vec(address(), 100),
    ) {
        let mut live = Publisher::new();
        for &(prefix, insert, record) in &changes {
            if insert {
                live.insert(prefix, record).unwrap();
            } else {
                live.remove(prefix);
            }
        }
        let probes = changes.iter().flat_map(|change| edges(change.0)).chain(addrs);
        check(live.table(), live.trie(), probes);
    }
}

/// A prefix in one of some hundred sites; /64s, hosts and what lies between are all frequent.
fn anywhere(random: &mut Random) -> Prefix {
    let site = 0x2001_0db8_0000_0000 | (random.below(100) as u64) << 16;
    let upper = site | random.bits() & 0x3fff;
    let lower = if random.below(2) == 0 { random.bits() & 0xff } else { random.bits() };
    let len = [64, 64, 128, 128, 128, 20 + random.below(45), 48 + random.below(17), 65 + random.below(63)];
    Prefix::containing(u128::from(upper) << 64 | u128::from(lower), len[random.below(8)] as u8)
}

/// Tens of thousands of prefixes, half of them put in one by one: chunks have been cut and joined, /64s have hosts and
/// trees. Everything that the format has is met on the way.
#[test]
fn the_walker_answers_as_a_large_table_and_meets_all_that_the_format_has() {
    let mut random = Random(1);
    let mut live = Publisher::new();
    let mut start: Vec<(Prefix, u32)> = (0..20_000).map(|record| (anywhere(&mut random), record)).collect();
    start.sort_unstable();
    start.dedup_by_key(|item| item.0);
    live.replace(start.iter().copied()).unwrap();
    for record in 0..20_000 {
        live.insert(anywhere(&mut random), record).unwrap();
        live.remove(start[random.below(start.len())].0);
    }
    live.insert(Prefix::ALL, 40_000).unwrap(); // covers every chunk
    let held: Vec<Prefix> = live.trie().iter().map(|(prefix, _)| prefix).collect();
    let probes = held.iter().flat_map(|&prefix| edges(prefix)).chain((0..5_000).map(|_| random.wide()));
    let met = check(live.table(), live.trie(), probes);
    for width in [16, 24, 32, 64] {
        assert!(met.iter().any(|met| met.widths.contains(&width)), "a leaf of {width}-bit windows");
    }
    assert!(met.iter().any(|met| met.hosts), "hosts of a /64");
    assert!(met.iter().any(|met| met.tree), "a tree inside a /64");
    assert!(met.iter().any(|met| met.behind_link), "a record behind a link");
    assert!(met.iter().any(|met| met.leaf_cover), "the cover of a leaf");
    assert!(met.iter().any(|met| met.chunk_cover), "the cover of a chunk");
}

#[test]
fn the_walker_finds_nothing_in_an_empty_table() {
    let image = Image::of(&Table::default());
    for addr in [0, 1 << 64, 1 << 127, u128::MAX] {
        assert_eq!(image.longest_match(addr).0, None);
    }
    assert_eq!(NO_MATCH, u32::MAX, "as the format has it");
}
