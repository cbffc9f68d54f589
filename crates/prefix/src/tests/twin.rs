//! The stupid twin: a list and a scan.

use crate::{Instructions, NO_MATCH, Prefix, Table, Trie};

/// A map from prefixes to record numbers that is plainly right.
#[derive(Clone, Debug, Default)]
pub(crate) struct Twin(Vec<(Prefix, u32)>);

impl Twin {
    pub(crate) fn insert(&mut self, prefix: Prefix, record: u32) -> Option<u32> {
        let old = self.remove(prefix);
        self.0.push((prefix, record));
        old
    }

    pub(crate) fn remove(&mut self, prefix: Prefix) -> Option<u32> {
        let at = self.0.iter().position(|item| item.0 == prefix)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn get(&self, prefix: Prefix) -> Option<u32> {
        self.0.iter().find(|item| item.0 == prefix).map(|item| item.1)
    }

    pub(crate) fn longest_match(&self, addr: u128) -> Option<(Prefix, u32)> {
        self.0.iter().copied().filter(|item| item.0.contains(addr)).max_by_key(|item| item.0.len())
    }

    pub(crate) fn matching(&self, wanted: impl Fn(Prefix) -> bool) -> Vec<(Prefix, u32)> {
        let mut items: Vec<_> = self.0.iter().copied().filter(|item| wanted(item.0)).collect();
        items.sort_unstable();
        items
    }

    pub(crate) fn items(&self) -> Vec<(Prefix, u32)> {
        self.matching(|_| true)
    }

    pub(crate) fn table(&self) -> Table {
        Table::build(self.items()).unwrap()
    }

    /// Asserts that `table` answers every one of `probes` as a scan does, singly and in one batch with all instructions.
    pub(crate) fn assert_table(&self, table: &Table, probes: &[u128]) {
        let expected: Vec<Option<u32>> =
            probes.iter().map(|&addr| self.longest_match(addr).map(|item| item.1)).collect();
        for (&addr, &expected) in probes.iter().zip(&expected) {
            assert_eq!(table.longest_match(addr), expected, "{addr:#034x} in {:?}", self.items());
        }
        for instructions in Instructions::available() {
            let mut out = vec![0; probes.len()];
            table.longest_match_batch_with(instructions, probes, &mut out);
            for ((&addr, &expected), &found) in probes.iter().zip(&expected).zip(&out) {
                let expected = expected.unwrap_or(NO_MATCH);
                assert_eq!(found, expected, "{addr:#034x} in a batch, {}", instructions.name());
            }
        }
    }

    /// Asserts that `trie` holds the same, and answers every question about `probes` the same.
    pub(crate) fn assert_trie(&self, trie: &Trie<u32>, probes: &[u128]) {
        trie.assert_sound();
        assert_eq!(trie.len(), self.0.len());
        assert_eq!(copied(trie.iter()), self.items());
        for &addr in probes {
            let found = trie.longest_match(addr).map(|(prefix, &record)| (prefix, record));
            assert_eq!(found, self.longest_match(addr));
            assert_eq!(copied(trie.covering(addr)), self.matching(|prefix| prefix.contains(addr)));
        }
        let near = |(place, &addr)| Prefix::containing(addr, [128, 64, 48, 33][place % 4]);
        let some = self.0.iter().map(|item| item.0).take(200);
        self.assert_around(trie, &probes.iter().enumerate().map(near).chain(some).collect::<Vec<_>>());
    }

    /// Asserts that an empty trie that gets the same, prefix by prefix, gives the same answers about all of `universe` too.
    pub(crate) fn assert_grown(&self, mut trie: Trie<u32>, universe: &[Prefix], probes: &[u128]) {
        // Against the order, so that nodes are put over others as well as under them.
        trie.extend(self.items().into_iter().rev());
        self.assert_trie(&trie, probes);
        for &prefix in universe {
            assert_eq!(trie.get(prefix).copied(), self.get(prefix));
            assert_eq!(copied(trie.covered_by(prefix)), self.matching(|p| prefix.covers(p)));
        }
        self.assert_around(&trie, universe);
    }
}

impl Twin {
    /// Asserts that `trie` tells the same of what lies around these prefixes, asked of all at once.
    pub(crate) fn assert_around(&self, trie: &Trie<u32>, prefixes: &[Prefix]) {
        let mut expected = prefixes.iter().map(|&prefix| {
            let further_out = self.matching(|p| p != prefix && p.covers(prefix));
            let is_outer = self.0.iter().any(|item| item.0 != prefix && prefix.covers(item.0));
            (self.get(prefix), further_out.last().map(|item| item.1), is_outer)
        });
        trie.around(prefixes, |around| {
            let found = (around.own.copied(), around.cover.copied(), around.is_outer);
            assert_eq!(Some(found), expected.next());
        });
        assert_eq!(expected.next(), None);
    }
}

pub(crate) fn copied<'a>(items: impl Iterator<Item = (Prefix, &'a u32)>) -> Vec<(Prefix, u32)> {
    items.map(|(prefix, &record)| (prefix, record)).collect()
}

/// The addresses at which a prefix could be mistaken: its ends and their neighbours.
pub(crate) fn edges(prefix: Prefix) -> [u128; 4] {
    let (first, last) = (prefix.first(), prefix.last());
    [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
}
