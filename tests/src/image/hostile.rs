//! Tables made to be slow or large, built at once and put in one by one.
//!
//! A walk loads a line for each level of a tree's top index, one for the word behind it, two in a chunk, one for the word
//! there and one for the leaf. Inside a /64 it does the same again, or reads a block of hosts of four lines at most. So all
//! walks of a tree are equally long however its prefixes nest, and the worst look-up is one that goes down two trees where
//! most go down one.

use core::ops::Range;

use credence_prefix::{Prefix, Publisher, Table, Trie};

use super::{Random, check, edges};

/// Lines of 64 bytes that a table takes for each prefix at most, and besides.
const LINES_EACH: usize = 6;
const LINES_BESIDES: usize = 64;

/// Lines for each prefix at most, where all are hosts, and where none is longer than /64.
const LINES_HOST: usize = 5;
const LINES_ROUTE: usize = 3;

/// A table that was put in one by one, in random order, takes at most so many times what one takes that was built; and
/// besides, what waits for readers at a time, and the top index before.
const LIVE_OVER_BUILT: usize = 2;
const LINES_WAITING: usize = 2_048;

/// Debug builds make a fraction of each shape.
const FRACTION: usize = if cfg!(debug_assertions) { 100 } else { 1 };

const SITE: u128 = 0x2001_0db8 << 96;

/// Builds a table of `prefixes`, and another by putting them in in random order, and asserts that both answer as they should
/// in no more than three times the lines that they load on average, and in bounded memory.
fn check_hostile(prefixes: impl IntoIterator<Item = Prefix>, lines_each: usize) {
    let mut prefixes: Vec<Prefix> = prefixes.into_iter().collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let mut items: Vec<(Prefix, u32)> = prefixes.iter().copied().zip(0..).collect();
    let trie: Trie<u32> = items.iter().copied().collect();
    let mut random = Random(7);
    let chosen: Vec<Prefix> = (0..2_000).map(|_| prefixes[random.below(prefixes.len())]).collect();
    let mut probes: Vec<u128> = chosen.into_iter().flat_map(edges).collect();
    probes.extend((0..200).map(|_| random.wide()));
    let table = Table::build(items.iter().copied()).unwrap();
    check_lines(&table, &trie, &probes);
    let bound = 64 * (lines_each * items.len() + LINES_BESIDES);
    assert!(table.bytes() <= bound, "{} bytes for {} prefixes", table.bytes(), items.len());

    let mut live = Publisher::new();
    random.shuffle(&mut items);
    for (prefix, record) in items {
        live.insert(prefix, record).unwrap();
    }
    live.reclaim();
    check_lines(live.table(), &trie, &probes);
    let bound = LIVE_OVER_BUILT * table.bytes() + 64 * LINES_WAITING;
    assert!(live.bytes() <= bound, "{} bytes, and {} as built", live.bytes(), table.bytes());
}

fn check_lines(table: &Table, trie: &Trie<u32>, probes: &[u128]) {
    let met = check(table, trie, probes.iter().copied());
    let lines: Vec<usize> = met.iter().map(|met| met.lines.len()).collect();
    let (worst, sum) = (lines.iter().max().unwrap(), lines.iter().sum::<usize>());
    assert!(worst * lines.len() <= 3 * sum, "{worst} lines, and on average {}", sum / lines.len());
}

fn nest(addr: u128, lens: Range<u8>) -> impl Iterator<Item = Prefix> {
    lens.map(move |len| Prefix::containing(addr, len))
}

/// `count` /64s in a row, each with these hosts.
fn subnets(count: usize, hosts: &[u64]) -> impl Iterator<Item = Prefix> {
    let subnet = |i: usize| SITE | (i as u128) << 64;
    (0..count).flat_map(move |i| hosts.iter().map(move |&host| Prefix::host(subnet(i) | u128::from(host))))
}

#[test]
fn nests_of_129_prefixes() {
    let mut random = Random(1);
    check_hostile((0..10_000 / FRACTION).flat_map(|_| nest(random.wide(), 0..129)), LINES_EACH);
}

/// Siblings off every bit of a path, which itself is in no prefix.
#[test]
fn paths_of_alternating_bits() {
    let mut random = Random(2);
    let siblings = |path: u128| (0..128).map(move |bit| Prefix::containing(path ^ 1 << bit, 128 - bit));
    let path = |at: usize| (u128::MAX / 3).rotate_left(at as u32 % 2);
    let paths = (0..8_000 / FRACTION).map(|at| path(at) ^ random.wide() & random.wide() & random.wide());
    check_hostile(paths.flat_map(siblings), LINES_EACH);
}

#[test]
fn random_hosts() {
    let mut random = Random(3);
    check_hostile((0..1_000_000 / FRACTION).map(|_| Prefix::host(random.wide())), LINES_HOST);
}

#[test]
fn random_64s_and_shorter() {
    let mut random = Random(4);
    let lens = (0..1_000_000 / FRACTION).map(|i| 40 + (i % 25) as u8);
    check_hostile(lens.map(|len| Prefix::containing(random.wide(), len)), LINES_ROUTE);
}

#[test]
fn nests_on_both_sides_of_the_ends_of_64s() {
    let ends = (0..10_000 / FRACTION as u128).flat_map(|subnet| {
        let (first, last) = (SITE | subnet << 68, SITE | subnet << 68 | u128::from(u64::MAX));
        [first - 1, first, last, last + 1]
    });
    check_hostile(ends.flat_map(|addr| nest(addr, 56..73)), LINES_EACH);
}

/// A block takes 16 small interface identifiers and 8 others.
#[test]
fn every_64_of_a_48_full_of_hosts() {
    let hosts: Vec<u64> = (0..16).chain((1..=8).map(|i| i << 40)).collect();
    check_hostile(subnets(65_536 / FRACTION, &hosts), LINES_HOST);
}

#[test]
fn every_64_of_a_48_with_one_host_more_than_a_block_takes() {
    let hosts: Vec<u64> = (1..=9).map(|i| i << 40).collect();
    check_hostile(subnets(65_536 / FRACTION, &hosts), LINES_HOST);
}

#[test]
fn one_64_with_a_million_hosts() {
    let mut random = Random(5);
    let hosts = (0..1_000_000 / FRACTION).map(|_| SITE | u128::from(random.bits()));
    check_hostile(hosts.map(Prefix::host), LINES_HOST);
}

/// The dearest of all: each two prefixes have a tree of their own, since no leaf holds both halves of its keys.
#[test]
fn both_halves_of_a_64_here_and_there() {
    let mut random = Random(6);
    let halves = (0..100_000 / FRACTION).flat_map(|i| {
        let (subnet, len) = (random.wide() >> 64 << 64, 65 + (i % 63) as u8);
        [Prefix::containing(subnet, len), Prefix::containing(subnet | 1 << 63, len)]
    });
    check_hostile(halves, LINES_EACH);
}
