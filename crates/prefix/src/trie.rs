//! The control plane's map of prefixes: ordered, exact, and able to tell every prefix that covers an address.
//!
//! A binary radix trie with compressed paths down to subtrees of at most [`RUN_MOST`] prefixes, which lie in one sorted
//! run. A change walks a few small nodes and then touches one run, whose lines are missed together. Nodes do not hold the
//! bits of their prefix: a walk looks only at the bits where paths part, and compares the whole prefix once, with any item
//! below the place where it ends, since all of them share what the path has skipped. That is also what lets a change
//! start from a guess in the middle (`hints`).
//!
//! On a table of a million prefixes, a change takes a quarter of the time that it takes with a node for each prefix, and
//! the trie a third of the memory. Most of that is due to runs; hints make changes 1.1 to 1.4 times as fast there, and at
//! 281,000 prefixes no faster than the noise.
//!
//! Every walk is a loop: at most 129 nodes lie between the top and an address, one for each length, however the prefixes
//! were chosen. A clone is a copy of a few vectors, and dropping a trie frees them.

mod around;
mod build;
mod change;
mod hints;
mod iter;
mod node;
mod scout;
mod slots;

pub use around::Around;
pub use iter::{Covering, Iter};
pub(crate) use scout::Scout;

use credence_memory::room;

use self::hints::{Deepest, Hints, LENGTHS};
use self::node::{Link, Nodes, Place};
pub(crate) use self::slots::Item;
use self::slots::Slots;
use crate::Prefix;

/// The longest run: six cache lines of 32-bit values. The tables of the benches fill runs to eight or nine on
/// average.
const RUN_MOST: u8 = 16;

/// A map from prefixes to values.
///
/// Each node either holds a value or parts two subtrees that are not empty, so `len` values never need more than `len`
/// nodes, and removing a prefix leaves no node behind. Freed memory is used again before the vectors grow.
#[derive(Clone, Debug)]
pub struct Trie<V> {
    nodes: Nodes,
    slots: Slots<V>,
    hints: Hints,
    len: usize,
    /// A run with more items becomes a node with two.
    run_most: u8,
}

/// Where a walk ends.
#[derive(Clone, Copy, Debug)]
struct Spot {
    /// The link at which the walk stops.
    place: Place,
    /// What it leads to: no node that the walk should have passed.
    link: Link,
}

impl<V> Trie<V> {
    /// An empty trie.
    pub fn new() -> Self {
        Self::with_runs(RUN_MOST)
    }

    /// An empty trie with runs of at most `run_most` items, which is at least 2.
    pub(crate) fn with_runs(run_most: u8) -> Self {
        Self { nodes: Nodes::new(), slots: Slots::new(), hints: Hints::default(), len: 0, run_most }
    }

    /// The number of prefixes held.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no prefix is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memory taken, in bytes, free nodes, free slots and hints included; what the values point at is not counted, nor
    /// is address space that was never written to.
    pub fn bytes(&self) -> usize {
        self.nodes.bytes() + self.slots.bytes() + self.hints.bytes()
    }

    /// Removes every prefix and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::with_runs(self.run_most);
    }

    /// The value under exactly `prefix`.
    pub fn get(&self, prefix: Prefix) -> Option<&V> {
        self.slots.item(self.find(prefix)?).map(Item::value)
    }

    /// The value under exactly `prefix`, to be changed.
    pub fn get_mut(&mut self, prefix: Prefix) -> Option<&mut V> {
        let slot = self.find(prefix)?;
        self.slots.item_mut(slot).map(Item::value_mut)
    }

    /// The longest prefix that contains `addr`, and its value.
    pub fn longest_match(&self, addr: u128) -> Option<(Prefix, &V)> {
        self.covering(addr).last()
    }

    /// Every prefix that contains `addr`, from the shortest to the longest.
    pub fn covering(&self, addr: u128) -> Covering<'_, V> {
        self.covering_prefix(Prefix::host(addr))
    }

    /// Every prefix that covers `prefix`, from the shortest to the longest, `prefix` itself included.
    pub fn covering_prefix(&self, prefix: Prefix) -> Covering<'_, V> {
        Covering::new(self, prefix)
    }

    /// Every prefix that `prefix` covers, itself included, in the order of [`Prefix`].
    pub fn covered_by(&self, prefix: Prefix) -> Iter<'_, V> {
        let spot = self.descend(prefix, prefix.len());
        match spot.link {
            Link::Nothing => Iter::new(self, Link::Nothing),
            Link::Run(run) => Iter::new(self, Link::Run(self.slots.inside(run, prefix))),
            Link::Node(_) if self.agreement(spot, prefix) == prefix.len() => Iter::new(self, spot.link),
            Link::Node(_) => Iter::new(self, Link::Nothing),
        }
    }

    /// Every prefix in the order of [`Prefix`].
    pub fn iter(&self) -> Iter<'_, V> {
        Iter::new(self, self.top())
    }

    /// Walks towards `prefix` through the nodes that are shorter than `len`.
    fn descend(&self, prefix: Prefix, len: u8) -> Spot {
        self.walk(Spot { place: Place::TOP, link: self.top() }, prefix, len, |_, _| ())
    }

    /// The spot at which the walk to `prefix` ends, and how many bits of the prefix agree with what is there. Looks it up
    /// from where a hint leads, and notes better ones.
    fn seek(&mut self, prefix: Prefix) -> (Spot, u8) {
        let start = self.hints.nearest(prefix).filter(|&at| self.nodes.node(at).len() < prefix.len());
        if let Some(at) = start
            && let (spot, agreed, deepest) = self.seek_from(Link::Node(at), prefix)
            && agreed >= self.nodes.node(spot.place.node()).len()
        {
            self.hints.note(prefix, deepest);
            return (spot, agreed);
        }
        let (spot, agreed, deepest) = self.seek_from(self.top(), prefix);
        self.hints.note(prefix, deepest);
        (spot, agreed)
    }

    /// As [`seek`](Self::seek) from one link on, with the deepest node passed within each length of hints.
    fn seek_from(&self, link: Link, prefix: Prefix) -> (Spot, u8, Deepest) {
        let mut deepest = [None; LENGTHS.len()];
        let spot = self.walk(Spot { place: Place::TOP, link }, prefix, prefix.len(), |at, len| {
            for (deepest, most) in deepest.iter_mut().zip(LENGTHS) {
                if len <= most {
                    *deepest = Some(at);
                }
            }
        });
        if let Link::Run(run) = spot.link {
            self.slots.prefetch(run);
        }
        (spot, self.agreement(spot, prefix), deepest)
    }

    /// Walks on from a spot through the nodes that are shorter than `len`, and tells of each and its length.
    fn walk(&self, mut spot: Spot, prefix: Prefix, len: u8, mut passed: impl FnMut(u32, u8)) -> Spot {
        while let Link::Node(at) = spot.link {
            let node = self.nodes.node(at);
            if node.len() >= len {
                break;
            }
            passed(at, node.len());
            let side = side(prefix, node.len());
            spot = Spot { place: Place::new(at, side), link: node.link(side) };
        }
        spot
    }

    /// How many bits of `prefix` agree with all that lies below the spot, or above it if nothing does.
    fn agreement(&self, spot: Spot, prefix: Prefix) -> u8 {
        match self.sample(spot) {
            None => prefix.len(),
            Some(item) => prefix.len().min((item.bits() ^ prefix.first()).leading_zeros() as u8),
        }
    }

    /// Any item below the spot, or the nearest above if it is empty; there is none if the whole trie is.
    fn sample(&self, spot: Spot) -> Option<&Item<V>> {
        let mut link = spot.link;
        while let Link::Node(at) = link {
            let node = self.nodes.node(at);
            match node.own() {
                Some(own) => return self.slots.item(own),
                None => link = node.link(0),
            }
        }
        match link {
            Link::Run(run) => self.slots.item(run.first()),
            _ => self.slots.item(self.nodes.node(spot.place.node()).own()?),
        }
    }

    /// The slot of exactly `prefix`.
    fn find(&self, prefix: Prefix) -> Option<u32> {
        match self.descend(prefix, prefix.len()).link {
            Link::Nothing => None,
            Link::Run(run) => self.slots.search(run, prefix).ok(),
            Link::Node(at) => self.own(at, prefix),
        }
    }

    /// The slot of the node's own item, if that is `prefix`.
    fn own(&self, at: u32, prefix: Prefix) -> Option<u32> {
        let own = self.nodes.node(at).own()?;
        (self.slots.item(own)?.prefix() == prefix).then_some(own)
    }

    fn top(&self) -> Link {
        self.nodes.link(Place::TOP)
    }
}

/// The side on which `prefix` lies of a node of length `len`, which is shorter.
const fn side(prefix: Prefix, len: u8) -> usize {
    let half = (prefix.first() >> (if len < 64 { 64 } else { 0 })) as u64;
    (half >> (!len & 63) & 1) as usize
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Extend<(Prefix, V)> for Trie<V> {
    fn extend<I: IntoIterator<Item = (Prefix, V)>>(&mut self, items: I) {
        for (prefix, value) in items {
            self.insert(prefix, value);
        }
    }
}

impl<'a, V> IntoIterator for &'a Trie<V> {
    type Item = (Prefix, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

/// From this size on, a vector lies in huge pages.
const HUGE_BYTES: usize = 4 << 20;

/// Makes room for `more` items, and where that takes another allocation, for an eighth of what is there, since memory
/// counts here. A large vector gets twice its length of address space, of which it takes what it fills: changes at random
/// to a million prefixes are a fifth faster in huge pages, and those are lost where an allocator moves pages.
fn make_room<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() >= more {
        return;
    }
    let more = more.max(vec.len() / 8);
    let len = vec.len() + more;
    if len * size_of::<T>() < HUGE_BYTES {
        return vec.reserve_exact(more);
    }
    let mut larger = room(2 * len);
    larger.append(vec);
    *vec = larger;
}

#[cfg(test)]
mod tests;
