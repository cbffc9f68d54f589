//! Histories of changes, on the live table and on its twins.

use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;

use super::inside::inside;
use super::limbo::{FREED, FREED_OF};
use super::*;
use crate::NO_MATCH;
use crate::table::hosts::Block;
use crate::table::index::Index;
use crate::table::leaf::{Entry, decode, load};
use crate::table::memory::lower;
use crate::table::space::Piece;
use crate::table::word::{Cover, Link};
use crate::tests::operations::{Operation, address, operation};
use crate::tests::twin::{Twin, edges};

impl Publisher {
    /// Asserts that the table holds exactly what the trie does, each part in its place, and that no memory is lost.
    fn assert_sound(&self) {
        let items: Vec<(Prefix, u32)> = self.trie.iter().map(|(prefix, &record)| (prefix, record)).collect();
        let units = self.assert_tree(Stage::Upper, self.table.root(), &items);
        let all = units + self.space.free_units() + self.limbo.units();
        assert_eq!(all, (self.space.touched() as usize - 1) * 4, "units of memory in use, free and retired");
    }

    /// Asserts that a tree holds what it should; the units of memory that it takes, with what hangs below it.
    fn assert_tree(&self, stage: Stage, root: Root, items: &[(Prefix, u32)]) -> usize {
        let lines = &self.table.lines;
        let top = Index::new(lines, root);
        let mut units = size(&top);
        let mut first = 0;
        for outer in 0..top.slots() {
            let (chunk_last, word) = (top.last(outer), top.word(outer));
            let cover = word.cover();
            assert_eq!(cover, stage.cover(&self.trie, first, chunk_last), "chunk from {first:#x}");
            let chunk = Index::chunk(lines, word.line());
            units += size(&chunk);
            for slot in 0..chunk.slots() {
                let last = if slot + 1 == chunk.slots() { chunk_last } else { chunk.last(slot) };
                let own = chunk.word(slot).cover();
                assert!(own == Cover::NONE || own.rank() > cover.rank(), "a cover that the chunk has");
                let effective = if own == Cover::NONE { cover } else { own };
                assert_eq!(effective, stage.cover(&self.trie, first, last), "leaf from {first:#x}");
                let mut entries = Vec::new();
                decode(&load(&lines[chunk.word(slot).line() as usize]), &mut entries);
                units += 4 + self.assert_entries(stage, (first, last), &entries, items);
                first = last.wrapping_add(1);
            }
        }
        assert_eq!(first, 0, "the last leaf ends with the last key");
        units
    }

    fn assert_entries(
        &self,
        stage: Stage,
        (first, last): (u64, u64),
        entries: &[Entry],
        items: &[(Prefix, u32)],
    ) -> usize {
        let records: Vec<Entry> = entries.iter().copied().filter(|entry| !entry.is_link()).collect();
        let own = |&(prefix, id): &(Prefix, u32)| match stage {
            Stage::Upper => (prefix.len() <= 64).then(|| upper(prefix, id)),
            Stage::Inside(_) => Some(lower(prefix, id)),
        };
        let mut expected: Vec<Entry> = items
            .iter()
            .filter_map(own)
            .filter(|entry| entry.start <= last && entry.last() >= first)
            .filter(|entry| entry.start > first || entry.last() < last)
            .collect();
        expected.sort_unstable_by_key(Entry::order);
        assert_eq!(records, expected, "entries of the leaf from {first:#x} to {last:#x}");
        let mut units = 0;
        for link in entries.iter().filter(|entry| entry.is_link()) {
            let subnet = Prefix::containing(u128::from(link.start) << 64, 64);
            let items: Vec<_> = inside(&self.trie, subnet).collect();
            units += match Link::of(link.id) {
                Link::Tree(root) => self.assert_tree(Stage::Inside(link.start), root, &items),
                Link::Leaf(line) => {
                    let mut entries = Vec::new();
                    decode(&load(&self.table.lines[line as usize]), &mut entries);
                    assert_eq!(entries, items.iter().map(|&(p, id)| lower(p, id)).collect::<Vec<_>>());
                    4
                }
                Link::Hosts(unit) => {
                    let block = Block::new(&self.table.lines, unit);
                    let hosts: Vec<_> = items.iter().map(|&(p, id)| (lower(p, id).start, id)).collect();
                    assert_eq!(block.decode(), hosts);
                    block.units()
                }
            };
        }
        units
    }
}

fn size(index: &Index<'_>) -> usize {
    let (first, lines) = index.extent();
    Piece::Index(first, lines).units()
}

pub(super) fn apply(operation: &Operation, live: &mut Publisher, twin: &mut Twin) {
    match operation {
        Operation::Insert(prefix, record) => {
            assert_eq!(live.insert(*prefix, *record), Ok(twin.insert(*prefix, *record)));
        }
        Operation::Remove(prefix) => assert_eq!(live.remove(*prefix), twin.remove(*prefix)),
        Operation::RemoveHeld(place) => {
            let items = twin.items();
            if !items.is_empty() {
                let prefix = place.get(&items).0;
                assert_eq!(live.remove(prefix), twin.remove(prefix));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_live_table_follows_every_change(
        operations in vec(operation(), 0..200),
        addrs in vec(address(), 0..40),
    ) {
        let (mut live, mut twin) = (Publisher::new(), Twin::default());
        for (at, operation) in operations.iter().enumerate() {
            apply(operation, &mut live, &mut twin);
            if at % 8 == 0 {
                live.assert_sound();
            }
            if at % 32 == 0 {
                live.reclaim();
            }
        }
        live.assert_sound();
        let mut probes: Vec<u128> = twin.items().iter().flat_map(|item| edges(item.0)).collect();
        probes.extend(addrs);
        twin.assert_table(&live.table, &probes);
    }
}

/// An operation on what is held, as a change in a list.
fn change(operation: &Operation, twin: &mut Twin) -> (Prefix, Option<u32>) {
    match operation {
        Operation::Insert(prefix, record) => {
            twin.insert(*prefix, *record);
            (*prefix, Some(*record))
        }
        Operation::Remove(prefix) => {
            twin.remove(*prefix);
            (*prefix, None)
        }
        Operation::RemoveHeld(place) => {
            let items = twin.items();
            let prefix = if items.is_empty() { Prefix::ALL } else { place.get(&items).0 };
            twin.remove(prefix);
            (prefix, None)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_of_changes_does_what_its_changes_do_one_by_one(operations in vec(operation(), 0..200)) {
        let (mut live, mut single, mut twin) = (Publisher::new(), Publisher::new(), Twin::default());
        let changes: Vec<_> = operations.iter().map(|operation| change(operation, &mut twin)).collect();
        assert_eq!(live.apply(changes.iter().copied()), Ok(changes.len()));
        for &(prefix, record) in &changes {
            match record {
                Some(record) => drop(single.insert(prefix, record).unwrap()),
                None => drop(single.remove(prefix)),
            }
        }
        live.assert_sound();
        assert!(live.trie().iter().eq(single.trie().iter()));
        let probes: Vec<u128> = changes.iter().flat_map(|change| edges(change.0)).collect();
        twin.assert_table(&live.table, &probes);
        twin.assert_table(&single.table, &probes);
    }
}

#[test]
fn a_list_of_changes_ends_before_the_one_that_cannot_be_made() {
    let site = |i: usize| Prefix::containing((i as u128 * 0x9e37_79b9) << 96, 40);
    for wrong in [0, 1, WINDOW - 1, WINDOW, 3 * WINDOW + 5] {
        let mut live = Publisher::new();
        let list = (0..100).map(|i| (site(i), Some(if i == wrong { MAX_RECORD + 1 } else { i as u32 })));
        assert_eq!(live.apply(list), Err((wrong, TableError::Record(site(wrong)))));
        assert!(live.trie().iter().eq((0..wrong).map(|i| (site(i), i as u32)).collect::<Trie<u32>>().iter()));
        live.assert_sound();
    }
    assert_eq!(Publisher::new().apply([]), Ok(0));
}

/// A change may retire hundreds of lines, and yet no later one frees more than a part of them.
#[test]
fn memory_comes_back_in_steps_however_much_was_given_back_at_once() {
    let site = |i: u64| Prefix::containing(0x2001_0db8 << 96 | u128::from(i) << 80, 48);
    let mut live = Publisher::with((0..6_000).map(|i| (site(i), i as u32))).unwrap();
    let touched = live.space.touched();
    let wide: Prefix = "2001:db8::/36".parse().unwrap();
    live.insert(wide, 1).unwrap();
    live.remove(wide);
    let most = live.limbo.len();
    assert!(most > 80, "{most} leaves fall back on what covers their chunk");
    let (mut waiting, mut bursts) = (most, 0);
    for record in 0..4_000 {
        live.insert(site(5_000), record).unwrap();
        let freed = waiting + 1 - live.limbo.len();
        assert!(freed <= FREED + (waiting + 1) / FREED_OF, "{freed} of {waiting} at a time");
        waiting = live.limbo.len();
        bursts += usize::from(freed > FREED);
    }
    assert!(bursts > 5 && waiting <= 2 * 256, "{bursts} {waiting}");
    assert!(live.space.touched() < touched + 2 * most as u32 + 600);
    live.assert_sound();
}

/// A source of numbers that is the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.0 ^ self.0 >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// A prefix in one of some hundred sites, of any length; hosts and /64s most often.
    fn prefix(&mut self) -> Prefix {
        let site = 0x2001_0db8_0000_0000 | self.below(100) << 12 | self.below(4) << 28;
        let upper = site | self.next() & 0xfff;
        let lower = if self.below(2) == 0 { self.below(300) } else { self.next() };
        let len = match self.below(8) {
            0 => self.below(129) as u8,
            1 => 40 + self.below(25) as u8,
            2..=4 => 64,
            5 => 48 + self.below(17) as u8,
            _ => 128,
        };
        Prefix::containing(u128::from(upper) << 64 | u128::from(lower), len)
    }
}

/// Grows a table to tens of thousands of prefixes and shrinks it again, several times: chunks are cut in two and joined,
/// /64s become trees and blocks again.
#[test]
fn a_long_history_leaves_a_sound_table_and_at_last_an_empty_one() {
    let (mut live, mut random) = (Publisher::new(), Random(1));
    let mut held: Vec<Prefix> = Vec::new();
    let mut packed = 0;
    for round in 0..6 {
        for _ in 0..if round == 0 { 30_000 } else { 12_000 } {
            let growing = round % 2 == 0;
            if random.below(10) < if growing { 8 } else { 2 } || held.is_empty() {
                let prefix = random.prefix();
                if live.insert(prefix, random.below(1 << 20) as u32).unwrap().is_none() {
                    held.push(prefix);
                }
            } else {
                let prefix = held.swap_remove(random.below(held.len() as u64) as usize);
                assert!(live.remove(prefix).is_some());
            }
        }
        packed = packed.max(check_against_trie(&live, &mut random, &held));
    }
    assert!(live.bytes() < packed * 2 + (128 << 10), "{} bytes where {packed} would do", live.bytes());
    assert!(Index::new(&live.table.lines, live.table.root()).slots() > 1);
    for prefix in held {
        assert!(live.remove(prefix).is_some());
    }
    live.assert_sound();
    assert!(live.trie().is_empty());
    assert_eq!(Index::new(&live.table.lines, live.table.root()).slots(), 1, "chunks have joined");
}

/// Sites in runs, a part of which comes and goes. Leaves that overflow and split in two would be two thirds full soon.
#[test]
fn leaves_stay_nearly_full_however_many_changes_there_are() {
    let (mut random, mut live) = (Random(5), Publisher::new());
    let site = |at: u64| Prefix::containing(0x2001_0db8 << 96 | u128::from(at / 3 * 16 + at % 3) << 80, 48);
    let mut sites: Vec<Prefix> = (0..20_000).map(site).collect();
    for at in (1..sites.len()).rev() {
        sites.swap(at, random.below(at as u64 + 1) as usize);
    }
    let (held, absent) = sites.split_at_mut(15_000);
    held.iter().for_each(|&prefix| assert_eq!(live.insert(prefix, 1), Ok(None)));
    for _ in 0..60_000 {
        let [from, to] = [held.len(), absent.len()].map(|len| random.below(len as u64) as usize);
        assert!(live.remove(held[from]).is_some());
        core::mem::swap(&mut held[from], &mut absent[to]);
        live.insert(held[from], 2).unwrap();
    }
    let packed = check_against_trie(&live, &mut random, held);
    // What waits or is free is about the same for a table of any size.
    let used = live.bytes() - (live.space.free_units() + live.limbo.units()) * 16;
    assert!(used * 100 < packed * 120, "{used} bytes in use where {packed} would do");
    live.assert_sound();
}

/// Compares answers, and returns what a table of the same prefixes takes that was never changed.
fn check_against_trie(live: &Publisher, random: &mut Random, held: &[Prefix]) -> usize {
    let addrs: Vec<u128> = (0..20_000)
        .map(|i| match held.get(random.below(held.len() as u64) as usize) {
            Some(prefix) if i % 4 != 0 => edges(*prefix)[i % 4],
            _ => random.prefix().first(),
        })
        .collect();
    let mut out = vec![0; addrs.len()];
    live.table.longest_match_batch(&addrs, &mut out);
    for (&addr, &found) in addrs.iter().zip(&out) {
        assert_eq!(found, live.trie().longest_match(addr).map_or(NO_MATCH, |(_, &record)| record));
    }
    let items: Vec<(Prefix, u32)> = live.trie().iter().map(|(prefix, &record)| (prefix, record)).collect();
    Table::build(items).unwrap().bytes()
}

#[test]
fn a_table_that_outgrows_its_memory_is_built_anew_with_more() {
    let mut live = Publisher::new();
    let mut reader = live.reader();
    let before = live.table.lines.len();
    // Two prefixes in the two halves of a /64 need a tree of their own.
    let half = |i: u32| Prefix::containing(u128::from(i / 2).reverse_bits() | u128::from(i % 2) << 63, 65);
    for i in 0..20_000 {
        assert_eq!(live.insert(half(i), i), Ok(None));
    }
    assert!(live.table.lines.len() > before);
    for i in (0..20_000).step_by(97) {
        assert_eq!(reader.longest_match(half(i).first()), Some(i));
    }
    live.assert_memory();
}

impl Publisher {
    /// Asserts that no memory is lost, without comparing what is in it.
    fn assert_memory(&self) {
        let units = self.assert_tree_memory(self.table.root());
        let all = units + self.space.free_units() + self.limbo.units();
        assert_eq!(all, (self.space.touched() as usize - 1) * 4, "units of memory in use, free and retired");
    }

    fn assert_tree_memory(&self, root: Root) -> usize {
        let lines = &self.table.lines;
        let top = Index::new(lines, root);
        let mut units = size(&top);
        for outer in 0..top.slots() {
            let chunk = Index::chunk(lines, top.word(outer).line());
            units += size(&chunk) + 4 * chunk.slots();
            for slot in 0..chunk.slots() {
                let mut entries = Vec::new();
                decode(&load(&lines[chunk.word(slot).line() as usize]), &mut entries);
                for link in entries.iter().filter(|entry| entry.is_link()) {
                    units += match Link::of(link.id) {
                        Link::Tree(root) => self.assert_tree_memory(root),
                        Link::Leaf(_) => 4,
                        Link::Hosts(unit) => Block::new(lines, unit).units(),
                    };
                }
            }
        }
        units
    }
}

#[test]
fn a_record_number_that_no_table_can_hold_is_refused_at_the_door() {
    let mut live = Publisher::new();
    assert_eq!(live.insert(Prefix::ALL, MAX_RECORD), Ok(None));
    assert_eq!(live.insert(Prefix::ALL, MAX_RECORD + 1), Err(TableError::Record(Prefix::ALL)));
    assert_eq!(live.trie().get(Prefix::ALL), Some(&MAX_RECORD));
}

#[test]
fn a_change_shows_at_once_and_a_replacement_whole() {
    let mut live = Publisher::new();
    let mut reader = live.reader();
    let site: Prefix = "2001:db8::/32".parse().unwrap();
    assert_eq!(live.insert(site, 7), Ok(None));
    assert_eq!(reader.longest_match(site.last()), Some(7));
    assert_eq!(live.insert(site, 8), Ok(Some(7)));
    assert_eq!(reader.longest_match(site.last()), Some(8));
    live.replace([(Prefix::ALL, 1)]).unwrap();
    assert_eq!((reader.longest_match(site.last()), live.trie().len()), (Some(1), 1));
    assert_eq!(live.replace([(site, 1), (site, 2)]), Err(TableError::Order(site)));
    assert_eq!(live.remove(Prefix::ALL), Some(1));
    assert_eq!((reader.longest_match(0), live.remove(Prefix::ALL)), (None, None));
}

#[test]
fn the_writer_frees_old_tables_once_readers_have_moved_on() {
    let mut live = Publisher::new();
    let (mut slow, mut quick) = (live.reader(), live.reader());
    for record in 0..10 {
        live.replace([(Prefix::ALL, record)]).unwrap();
        assert_eq!(quick.longest_match(0), Some(record));
    }
    assert_eq!(live.reclaim().0, 1, "the first table, which the slow reader holds");
    assert_eq!(slow.longest_match(0), Some(9));
    assert_eq!(live.reclaim().0, 0);
    drop(live);
    assert_eq!(slow.longest_match(0), Some(9));
}

/// Between two looks of a batch an address gets a record of its own, and what covered it goes. Neither moment is without an answer.
#[test]
fn a_batch_does_not_mix_a_gap_with_a_cover_of_another_moment() {
    let wide: Prefix = "2001::/16".parse().unwrap();
    let site = |number: u128| Prefix::containing(wide.first() | number << 80, 48);
    let items = (0..20_000).map(|number| (site(2 * number), 1)).chain([(wide, 2)]);
    let mut items: Vec<_> = items.collect();
    items.sort_unstable();
    let mut live = Publisher::with(items).unwrap();
    // The table is held as a reader holds it.
    let (table, _reader) = (Arc::clone(&live.table), live.reader());
    let addrs: Vec<u128> = (0..64).map(|number| site(20_001 + 2 * number).last()).collect();
    assert_eq!(table.match_around(&addrs, || {}), [2; 64]);
    let found = table.match_around(&addrs, || {
        for number in 0..64 {
            live.insert(site(20_001 + 2 * number), 3).unwrap();
        }
        live.remove(wide);
    });
    assert!(found.iter().all(|record| [2, 3].contains(record)), "{found:?}");
    assert_eq!(table.match_around(&addrs, || {}), [3; 64]);
}

/// A pair of nested prefixes over an address that at every moment has one of three answers, while chunks around it split
/// and join. Readers must see only those, through covers of leaves and chunks, entries and links.
#[test]
fn readers_see_each_change_whole_while_everything_around_moves() {
    const ROUNDS: u64 = 40;
    let mut live = Publisher::new();
    let wide: Prefix = "2001:d00::/24".parse().unwrap();
    let narrow: Prefix = "2001:db8:50::/44".parse().unwrap();
    let probes: Vec<u128> = (0..64).map(|i| narrow.first() | i << 70 | 0xfff1 << 16).collect();
    live.insert(wide, 1).unwrap();
    let done = core::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (mut reader, probes, done) = (live.reader(), &probes, &done);
            scope.spawn(move || {
                let (mut out, mut seen) = (vec![0; probes.len()], [0_u64; 4]);
                while !done.load(core::sync::atomic::Ordering::Relaxed) {
                    reader.longest_match_batch(probes, &mut out);
                    for &record in &out {
                        assert!((1..=3).contains(&record), "{record} was never the answer");
                        seen[record as usize] += 1;
                    }
                    assert!((1..=3).contains(&reader.longest_match(probes[9]).unwrap()));
                }
                assert!(seen[1..].iter().all(|&count| count > 0), "{seen:?}");
            });
        }
        let mut random = Random(3);
        for _ in 0..ROUNDS {
            // The answer goes 1, 2, 3, 2, 1; never wide's number while narrow stands.
            for i in 0..1_500 {
                let near = u128::from(random.below(1 << 28)) << 64 | wide.first() | 0xb8 << 88;
                let other = Prefix::containing(near | u128::from(random.below(9)), [48, 56, 64, 128][i % 4]);
                if !probes.iter().any(|&probe| other.contains(probe)) {
                    match random.below(2) {
                        0 => drop(live.insert(other, 9)),
                        _ => drop(live.remove(other)),
                    }
                }
                match i % 6 {
                    0 => drop(live.insert(narrow, 2)),
                    1 => drop(live.insert(wide, 9)),
                    2 => drop(live.insert(narrow, 3)),
                    3 => drop(live.insert(wide, 1)),
                    4 => drop(live.insert(narrow, 2)),
                    _ => drop(live.remove(narrow)),
                }
            }
        }
        done.store(true, core::sync::atomic::Ordering::Relaxed);
    });
    live.reclaim();
    live.assert_sound();
}
