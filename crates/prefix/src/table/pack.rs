//! From prefixes in order to leaves, in one sweep.
//!
//! A leaf takes the range from where the last one ended to just before the first change that does not fit. Changes lie
//! where a prefix begins, and where one ends that was open when the leaf began: until then it covers the whole leaf, from
//! there on only a part, and needs an entry. Since a range of a single key has no such change, there is always a leaf.

use super::leaf::{ENTRIES_MAX, Entry, Fit};
use super::word::Cover;

/// The last key of the lower half of the keys: no leaf holds keys of both, see [`encode`](super::leaf::encode).
pub(crate) const HALF: u64 = u64::MAX >> 1;

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
}

/// How far a leaf has grown.
#[derive(Clone, Copy)]
struct Grown {
    /// Whether what it holds fits.
    fit: Fit,
    /// The first entry that begins behind it.
    next: usize,
    /// How many of the records that were open when it began still cover it.
    open: usize,
}

/// What a leaf holds, in the order in which it was taken in, with room for one that does not fit.
type Taken = [Entry; ENTRIES_MAX + 1];

impl<'a> Packer<'a> {
    /// A sweep over the keys from `first` to `last`. `open` are the records that begin before and reach in, each inside
    /// the one before; `entries` those that begin there, in ascending order.
    pub(crate) const fn new(first: u64, last: u64, open: Vec<Entry>, entries: &'a [Entry]) -> Self {
        Self { entries, next: 0, open, from: first, last, done: false }
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

    /// The last key up to which what a leaf must hold stays the same: behind it an entry begins, or one ends that covered
    /// the leaf until there.
    fn cut(&self, leaf: &Grown) -> u64 {
        // All that begins from here on begins behind the leaf's first key.
        let begins = self.entries.get(leaf.next).map_or(u64::MAX, |entry| entry.start - 1);
        let ends = leaf.open.checked_sub(1).map_or(u64::MAX, |innermost| self.open[innermost].last());
        let half = if self.from <= HALF { HALF } else { u64::MAX };
        begins.min(ends).min(half).min(self.last)
    }

    /// Takes in what changes behind `cut`, or as much of that as it takes to see that it does not fit.
    fn grow(&self, cut: u64, mut leaf: Grown, taken: &mut Taken) -> Grown {
        let mut take = |fit: &mut Fit, entry: &Entry| {
            taken[fit.count()] = *entry;
            fit.add(entry);
            fit.count() < taken.len()
        };
        while leaf.open > 0 && self.open[leaf.open - 1].last() == cut {
            leaf.open -= 1;
            if !take(&mut leaf.fit, &self.open[leaf.open]) {
                return leaf;
            }
        }
        while let Some(entry) = self.entries.get(leaf.next).filter(|entry| entry.start - 1 == cut) {
            leaf.next += 1;
            if !take(&mut leaf.fit, entry) {
                return leaf;
            }
        }
        leaf
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

impl Iterator for Packer<'_> {
    type Item = Packed;

    fn next(&mut self) -> Option<Packed> {
        if self.done {
            return None;
        }
        self.begin();
        let mut taken = [Entry { start: 0, len: 0, id: 0 }; ENTRIES_MAX + 1];
        let mut leaf = Grown { fit: Fit::default(), next: self.next, open: self.open.len() };
        // A link that begins with the leaf is the one entry that neither begins later nor covers what is behind it.
        if let Some(link) = self.entries.get(self.next).filter(|entry| entry.start == self.from) {
            taken[0] = *link;
            leaf.fit.add(link);
            leaf.next += 1;
        }
        let last = loop {
            let cut = self.cut(&leaf);
            if cut == HALF || cut == self.last {
                break cut;
            }
            let grown = self.grow(cut, leaf, &mut taken);
            if !grown.fit.is_possible() {
                break cut;
            }
            leaf = grown;
        };
        let taken = &mut taken[..leaf.fit.count()];
        if leaf.open < self.open.len() {
            // What was open has begun before the others.
            taken.sort_unstable_by_key(Entry::order);
        }
        let words = leaf.fit.encode(taken).expect("what fits, as was asked for each entry");
        let cover = leaf.open.checked_sub(1).map_or(Cover::NONE, |innermost| {
            let innermost = self.open[innermost];
            Cover::new(innermost.len, innermost.id)
        });
        self.step(leaf.next, last);
        Some(Packed { last, words, cover })
    }
}
