//! Whether a trie is what it should be, and what hints may do to it.

use std::collections::BTreeMap;

use super::node::Link;
use super::slots::{Item, Run, Slots};
use super::{Trie, side};
use crate::Prefix;

impl<V> Trie<V> {
    /// Asserts that every node and slot is either reachable and needed, or free, and that links lead the right way.
    pub(crate) fn assert_sound(&self) {
        let (mut nodes, mut slots, mut items) = (0, 0, 0);
        let mut pending = vec![self.top()];
        while let Some(link) = pending.pop() {
            let run = match link {
                Link::Nothing => continue,
                Link::Run(run) => run,
                Link::Node(at) => {
                    nodes += 1;
                    pending.extend(self.nodes.node(at).links());
                    self.assert_node(at)
                }
            };
            if run != Run::EMPTY {
                assert!(run.count() <= self.run_most);
                self.slots.assert_run(run);
                slots += Slots::<V>::taken(run);
                items += usize::from(run.count());
            }
        }
        assert_eq!(items, self.len);
        assert!(nodes <= items, "{nodes} nodes for {items} items");
        assert_eq!(nodes + self.nodes.free(), self.nodes.made());
        let (made, free) = self.slots.made_and_free();
        assert_eq!(slots + free, made);
    }

    /// Asserts that a node is needed and all below it lies on the right side; its own item.
    fn assert_node(&self, at: u32) -> Run {
        let node = self.nodes.node(at);
        let own = node.own_run();
        assert!(own != Run::EMPTY || !node.links().contains(&Link::Nothing), "a node without use");
        let mut all: Option<Prefix> = self.slots.items(own).map(Item::prefix).next();
        assert!(all.is_none_or(|own| own.len() == node.len()));
        for (taken, link) in node.links().into_iter().enumerate() {
            for (prefix, _) in super::Iter::new(self, link) {
                assert!(prefix.len() > node.len() && side(prefix, node.len()) == taken);
                let region = Prefix::containing(prefix.first(), node.len());
                assert_eq!(*all.get_or_insert(region), region);
            }
        }
        own
    }
}

/// The next of a sequence of numbers that look random.
fn next(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    (*state >> 33) as u32
}

/// Prefixes that crowd together: a few sites, and below them lengths and bits at which paths part.
fn crowded(state: &mut u64) -> Prefix {
    let site = 0x2001_0db8_u128 << 96 | u128::from(next(state) % 3) << 92 | u128::from(next(state) % 5) << 80;
    let addr = site | u128::from(next(state) % 32) << 66 | u128::from(next(state) % 4);
    Prefix::containing(
        addr,
        [20, 30, 36, 46, 48, 52, 54, 56, 58, 60, 62, 127, 128][next(state) as usize % 13],
    )
}

/// Takes a trie of runs of at most `run_most` and a map through a random history, in which every change may be preceded
/// by what `meddle` does.
fn history(run_most: u8, mut meddle: impl FnMut(&mut Trie<u32>, Prefix, u32)) -> Trie<u32> {
    let (mut trie, mut twin, mut state) = (Trie::with_runs(run_most), BTreeMap::new(), 7);
    for round in 0..40_000 {
        let prefix = crowded(&mut state);
        meddle(&mut trie, prefix, next(&mut state));
        // It grows, shrinks and grows again.
        if next(&mut state) % 8 < [6, 2, 6, 2][round / 10_000] {
            assert_eq!(trie.insert(prefix, round as u32), twin.insert(prefix, round as u32));
        } else {
            assert_eq!(trie.remove(prefix), twin.remove(&prefix));
        }
        if round % 5_000 == 0 {
            trie.assert_sound();
            assert!(trie.iter().map(|(prefix, &value)| (prefix, value)).eq(twin.clone()));
        }
        assert_eq!(trie.get(prefix), twin.get(&prefix));
    }
    trie.assert_sound();
    assert!(trie.iter().map(|(prefix, &value)| (prefix, value)).eq(twin));
    trie
}

#[test]
fn changes_start_from_hints_and_end_as_in_a_map() {
    let (mut found, mut missed) = (0, 0);
    history(2, |trie, prefix, _| match trie.hints.nearest(prefix) {
        Some(_) => found += 1,
        None => missed += 1,
    });
    assert!(found > 20_000 && missed > 100, "{found} found, {missed} missed");
    history(16, |_, _, _| ());
}

#[test]
fn hints_that_lead_astray_do_no_harm() {
    let mut freed = 0;
    history(2, |trie, prefix, random| {
        let made = trie.nodes.made() as u32;
        if made > 0 && random % 2 == 0 {
            let astray = 1 + random / 2 % made;
            freed += u32::from(trie.nodes.node(astray).len() > 128);
            trie.hints.note(prefix, [Some(astray); 4]);
        }
    });
    assert!(freed > 1_000, "{freed} hints led to nodes that are free");
}

#[test]
fn a_trie_laid_out_at_once_is_that_of_single_changes() {
    let mut state = 3;
    let mut sorted: Vec<(Prefix, u32)> = (0..5_000).map(|value| (crowded(&mut state), value)).collect();
    sorted.sort_unstable();
    sorted.dedup_by_key(|item| item.0);
    let mut single = Trie::new();
    single.extend(sorted.iter().rev().copied());
    let at_once: Trie<u32> = sorted.iter().copied().collect();
    at_once.assert_sound();
    assert!(at_once.iter().eq(single.iter()));
    assert_eq!(at_once.nodes.made() - at_once.nodes.free(), single.nodes.made() - single.nodes.free());
}

#[test]
fn of_several_values_for_one_prefix_the_last_stands() {
    let prefix = Prefix::containing(5 << 100, 40);
    let trie: Trie<u32> = [(prefix, 1), (Prefix::ALL, 2), (prefix, 3)].into_iter().collect();
    assert_eq!((trie.len(), trie.get(prefix), trie.get(Prefix::ALL)), (2, Some(&3), Some(&2)));
    trie.assert_sound();
    let twice: Trie<u32> = [(prefix, 1), (prefix, 3)].into_iter().collect();
    assert_eq!((twice.len(), twice.get(prefix)), (1, Some(&3)));
}

/// A bound per prefix, so that whoever counts prefixes has bounded memory: runs of three hosts in the room of four, and
/// nests in which every node has an item.
#[test]
fn no_set_of_prefixes_takes_more_than_64_bytes_each() {
    let triples = (0..60_000_u128).map(|i| Prefix::host(((i / 3) << 70) | ((i % 3) << 20)));
    let nests = (0..200_u128)
        .flat_map(|i| (8..=128).map(move |len| Prefix::containing(i << 120 | u128::MAX >> 9, len)));
    let sets: [Vec<Prefix>; 2] = [triples.collect(), nests.collect()];
    for set in sets {
        for run_most in [2, 16] {
            let (mut up, mut down) = (Trie::with_runs(run_most), Trie::with_runs(run_most));
            up.extend(set.iter().map(|&prefix| (prefix, 0_u32)));
            down.extend(set.iter().rev().map(|&prefix| (prefix, 0_u32)));
            for trie in [up, down] {
                assert!(trie.bytes() <= 64 * trie.len(), "{} bytes for {}", trie.bytes(), trie.len());
            }
        }
    }
}
