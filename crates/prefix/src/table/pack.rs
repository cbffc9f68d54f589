//! From prefixes in order to leaves, in one sweep.
//!
//! A leaf takes the range from where the last one ended to just before the first change that does not fit. Changes lie
//! where a prefix begins, and where one ends that was open when the leaf began: until then it covers the whole leaf, from
//! there on only a part, and needs an entry. Since a range of a single key has no such change, there is always a leaf.

use super::leaf::{ENTRIES_MAX, Entry, Fit, encode};
use super::word::Cover;

/// Where the upper half of the keys begins: no leaf holds keys of both, see [`encode`].
const HALF: u64 = 1 << 63;

/// A leaf to be.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// Its last key.
    pub(crate) last: u64,
    pub(crate) words: [u64; 8],
    /// The longest prefix that covers it whole.
    pub(crate) cover: Cover,
}

/// Cuts ranges of keys into leaves.
#[derive(Debug)]
pub(crate) struct Packer<'a> {
    entries: &'a [Entry],
    /// The next entry that has not begun.
    next: usize,
    /// Records that have begun and not ended, each inside the one before.
    open: Vec<Entry>,
    /// The first key of the next leaf.
    from: u64,
    /// The last key of all.
    last: u64,
    done: bool,
    /// Entries of a leaf at most, where its prefixes can be told apart.
    most: usize,
    taken: Vec<Entry>,
}

impl<'a> Packer<'a> {
    /// A sweep over the keys from `first` to `last`. `open` are the records that begin before and reach in, each inside
    /// the one before; `entries` those that begin there, in ascending order.
    pub(crate) fn new(first: u64, last: u64, open: Vec<Entry>, entries: &'a [Entry]) -> Self {
        let taken = Vec::with_capacity(2 * ENTRIES_MAX);
        Self { entries, next: 0, open, from: first, last, done: false, most: ENTRIES_MAX, taken }
    }

    /// Leaves of at most so many entries each, though more would fit.
    pub(crate) const fn with_at_most(mut self, entries: usize) -> Self {
        self.most = entries;
        self
    }

    /// How many prefixes begin in the range.
    pub(crate) const fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The records that cover the first key of the next leaf, each inside the one before.
    pub(crate) fn open(&mut self) -> &[Entry] {
        self.begin();
        &self.open
    }

    /// Closes what ended before the next leaf, and opens what begins with it.
    fn begin(&mut self) {
        while self.open.last().is_some_and(|open| open.last() < self.from) {
            self.open.pop();
        }
        while let Some(entry) = self.entries.get(self.next).filter(|entry| entry.start == self.from) {
            if entry.is_link() {
                break;
            }
            self.open.push(*entry);
            self.next += 1;
        }
    }

    /// The first key after `from` at which what a leaf must hold changes, when the innermost `open` of the records that
    /// were open at its beginning still cover it.
    fn change(&self, next: usize, open: usize) -> Option<u64> {
        let begins = self.entries.get(next).map(|entry| entry.start);
        let ends = open.checked_sub(1).and_then(|innermost| self.open[innermost].last().checked_add(1));
        let half = (self.from < HALF).then_some(HALF);
        sooner(sooner(begins, ends), half).filter(|&key| key <= self.last)
    }
}

/// The lesser of two keys, as far as there are any.
fn sooner(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

impl Iterator for Packer<'_> {
    type Item = Packed;

    fn next(&mut self) -> Option<Packed> {
        if self.done {
            return None;
        }
        self.begin();
        self.taken.clear();
        let (mut fit, mut next, mut open) = (Fit::default(), self.next, self.open.len());
        let last = loop {
            let Some(key) = self.change(next, open) else { break self.last };
            let taken = self.taken.len();
            let (grown, later, inner) = self.take(key, fit, next, open);
            let is_full = !grown.is_possible() || (taken > 0 && self.taken.len() > self.most);
            if (key == HALF && self.from < HALF) || is_full {
                self.taken.truncate(taken);
                break key - 1;
            }
            (fit, next, open) = (grown, later, inner);
        };
        self.taken.sort_unstable_by_key(Entry::order);
        let words = encode(&self.taken).expect("what fits, as was asked for each entry");
        let cover = open.checked_sub(1).map_or(Cover::NONE, |innermost| {
            let innermost = self.open[innermost];
            Cover::new(innermost.len, innermost.id)
        });
        self.step(next, last);
        Some(Packed { last, words, cover })
    }
}

impl Packer<'_> {
    /// Takes in what changes at `key`: the fit with that, the next entry, and how many records are still open.
    fn take(&mut self, key: u64, mut fit: Fit, mut next: usize, mut open: usize) -> (Fit, usize, usize) {
        let taken = self.taken.len();
        while open > 0 && self.open[open - 1].last().checked_add(1) == Some(key) {
            open -= 1;
            self.taken.push(self.open[open]);
        }
        while let Some(entry) = self.entries.get(next).filter(|entry| entry.start == key) {
            self.taken.push(*entry);
            next += 1;
            if self.taken.len() > ENTRIES_MAX {
                break; // it does not fit, however many more begin here
            }
        }
        self.taken[taken..].iter().for_each(|entry| fit.add(entry));
        (fit, next, open)
    }

    /// Goes on behind a leaf that ended with `last`, before the entry at `next`.
    fn step(&mut self, next: usize, last: u64) {
        for entry in &self.entries[self.next..next] {
            if entry.is_link() {
                continue;
            }
            while self.open.last().is_some_and(|open| open.last() < entry.start) {
                self.open.pop();
            }
            self.open.push(*entry);
        }
        self.next = next;
        self.done = last == self.last;
        self.from = last.wrapping_add(1);
    }
}
