//! The items of a trie, in runs.

use core::mem;
use core::num::NonZeroU8;
use core::ops::Range;
use core::{iter, slice};

use credence_memory::prefetch;

use super::{RUN_MOST, make_room, side};
use crate::Prefix;

/// One prefix and its value. The length cannot be zero here, so that a slot without an item needs no byte to say so: with
/// values of 32 bits, a slot takes 24 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Item<V> {
    high: u64,
    low: u64,
    value: V,
    /// The prefix's length, and one more.
    len: NonZeroU8,
}

impl<V> Item<V> {
    pub(crate) fn new(prefix: Prefix, value: V) -> Self {
        let bits = prefix.first();
        Self {
            high: (bits >> 64) as u64,
            low: bits as u64,
            value,
            len: NonZeroU8::MIN.saturating_add(prefix.len()),
        }
    }

    /// The first address of the prefix.
    pub(super) const fn bits(&self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    pub(crate) const fn prefix(&self) -> Prefix {
        Prefix::containing(self.bits(), self.len.get() - 1)
    }

    pub(crate) const fn value(&self) -> &V {
        &self.value
    }

    pub(super) const fn value_mut(&mut self) -> &mut V {
        &mut self.value
    }

    pub(super) fn into_value(self) -> V {
        self.value
    }

    /// The prefix with a copy of its value.
    pub(crate) fn pair(&self) -> (Prefix, V)
    where
        V: Copy,
    {
        (self.prefix(), self.value)
    }

    pub(super) fn into_pair(self) -> (Prefix, V) {
        (self.prefix(), self.value)
    }

    /// Puts another value in and returns the one before.
    pub(super) const fn replace(&mut self, value: V) -> V {
        mem::replace(&mut self.value, value)
    }

    /// Whether every address of `prefix` lies inside the item's.
    pub(super) const fn covers(&self, prefix: Prefix) -> bool {
        let len = self.len.get() - 1;
        len <= prefix.len() && (self.bits() ^ prefix.first()).leading_zeros() >= len as u32
    }

    /// Whether the item comes before `prefix`.
    fn precedes(&self, prefix: Prefix) -> bool {
        let bits = self.bits();
        bits < prefix.first() || (bits == prefix.first() && self.len.get() <= prefix.len())
    }
}

/// Items that lie in a row, in the order of their prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    first: u32,
    count: u8,
}

impl Run {
    /// No items.
    pub(super) const EMPTY: Self = Self::new(0, 0);

    pub(super) const fn new(first: u32, count: u8) -> Self {
        Self { first, count }
    }

    /// The first slot.
    pub(super) const fn first(self) -> u32 {
        self.first
    }

    /// The number of items.
    pub(super) const fn count(self) -> u8 {
        self.count
    }

    /// The slots that a run of so many items takes: few sizes, so that what is given back soon fits again.
    const fn size(count: u8) -> usize {
        if count <= 2 { count as usize } else { (count as usize).next_multiple_of(4) }
    }

    const fn range(self) -> Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// The items of a run, in their order.
pub(super) type Items<'a, V> = iter::Flatten<slice::Iter<'a, Option<Item<V>>>>;

/// All items, each in a run; an item that a node holds is a run of one.
#[derive(Clone, Debug)]
pub(super) struct Slots<V> {
    slots: Vec<Option<Item<V>>>,
    /// The first slots of free runs, by size. A run is used again for its own size only, so that at worst each size keeps
    /// what it once needed.
    free: [Vec<u32>; Run::size(RUN_MOST) + 1],
}

impl<V> Slots<V> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: [const { Vec::new() }; Run::size(RUN_MOST) + 1] }
    }

    pub(super) fn bytes(&self) -> usize {
        let free: usize = self.free.iter().map(Vec::capacity).sum();
        self.slots.len() * size_of::<Option<Item<V>>>() + free * size_of::<u32>()
    }

    pub(super) fn item(&self, slot: u32) -> Option<&Item<V>> {
        self.slots[slot as usize].as_ref()
    }

    pub(super) fn item_mut(&mut self, slot: u32) -> Option<&mut Item<V>> {
        self.slots[slot as usize].as_mut()
    }

    pub(super) fn items(&self, run: Run) -> Items<'_, V> {
        self.slots[run.range()].iter().flatten()
    }

    /// Asks for the lines of a run, so that they are missed together.
    pub(super) fn prefetch(&self, run: Run) {
        let step = (64 / size_of::<Option<Item<V>>>()).max(1);
        run.range().step_by(step).for_each(|slot| prefetch(&self.slots, slot));
    }

    /// The slot of exactly `prefix`, or the one that it would have.
    pub(super) fn search(&self, run: Run, prefix: Prefix) -> Result<u32, u32> {
        // Compared with every item, which takes no branch that could be guessed wrong.
        let before = self.items(run).filter(|item| item.precedes(prefix)).count() as u32;
        let slot = run.first + before;
        let held = before < run.count.into() && self.item(slot).is_some_and(|item| item.prefix() == prefix);
        if held { Ok(slot) } else { Err(slot) }
    }

    /// The items of a run that `prefix` covers, which lie in a row.
    pub(super) fn inside(&self, run: Run, prefix: Prefix) -> Run {
        let (Ok(first) | Err(first)) = self.search(run, prefix);
        let behind = Run::new(first, run.count - (first - run.first) as u8);
        Run::new(first, self.items(behind).take_while(|item| prefix.covers(item.prefix())).count() as u8)
    }

    /// The longest prefix that covers all items of a run, which is not empty.
    pub(super) fn common(&self, run: Run) -> Prefix {
        let ends = [run.first, run.first + u32::from(run.count) - 1];
        let [first, last] =
            ends.map(|slot| self.item(slot).expect("a run has an item in each slot").prefix());
        first.common(last)
    }

    /// The number of items of a run that lie on the left side below a prefix of `len` bits that covers all of them.
    pub(super) fn left(&self, run: Run, len: u8) -> u8 {
        self.items(run).filter(|item| side(item.prefix(), len) == 0).count() as u8
    }

    /// A run of one item.
    pub(super) fn add(&mut self, item: Item<V>) -> Run {
        let run = self.allocate(1);
        self.slots[run.first as usize] = Some(item);
        run
    }

    /// A run of these items, which are taken out of where they are.
    pub(super) fn add_run(&mut self, items: &mut [Option<Item<V>>]) -> Run {
        let run = self.allocate(items.len() as u8);
        for (slot, item) in run.range().zip(items) {
            self.slots[slot] = item.take();
        }
        run
    }

    /// Puts an item into a run, at `slot`.
    pub(super) fn insert(&mut self, run: Run, slot: u32, item: Item<V>) -> Run {
        let (at, count) = (slot as usize, run.count + 1);
        if Run::size(run.count) == Run::size(count) {
            let grown = Run::new(run.first, count);
            self.slots[at..grown.range().end].rotate_right(1);
            self.slots[at] = Some(item);
            return grown;
        }
        let grown = self.allocate(count);
        let place = (grown.first + slot - run.first) as usize;
        self.shift(run.range().start..at, grown.first as usize);
        self.slots[place] = Some(item);
        self.shift(at..run.range().end, place + 1);
        self.release(run);
        grown
    }

    /// Takes the item at `slot` out of a run.
    pub(super) fn remove(&mut self, run: Run, slot: u32) -> (Option<Item<V>>, Run) {
        let (at, count) = (slot as usize, run.count - 1);
        let item = self.slots[at].take();
        if Run::size(run.count) == Run::size(count) {
            self.slots[at..run.range().end].rotate_left(1);
            return (item, Run::new(run.first, count));
        }
        let shrunk = self.allocate(count);
        let place = (shrunk.first + slot - run.first) as usize;
        self.shift(run.range().start..at, shrunk.first as usize);
        self.shift(at + 1..run.range().end, place);
        self.release(run);
        (item, shrunk)
    }

    /// Cuts a run into runs of so many items each, which together are all of its items.
    pub(super) fn cut<const PARTS: usize>(&mut self, run: Run, counts: [u8; PARTS]) -> [Run; PARTS] {
        let mut start = run.range().start;
        let parts = counts.map(|count| {
            let part = self.allocate(count);
            self.shift(start..start + usize::from(count), part.first as usize);
            start += usize::from(count);
            part
        });
        self.release(run);
        parts
    }

    /// Makes one run of several, in their order.
    pub(super) fn join(&mut self, parts: [Run; 3]) -> Run {
        let joined = self.allocate(parts.iter().map(|part| part.count).sum());
        let mut start = joined.range().start;
        for part in parts {
            self.shift(part.range(), start);
            start += usize::from(part.count);
            self.release(part);
        }
        joined
    }

    /// Moves items to free slots.
    fn shift(&mut self, from: Range<usize>, to: usize) {
        for (slot, free) in from.zip(to..) {
            self.slots[free] = self.slots[slot].take();
        }
    }

    fn allocate(&mut self, count: u8) -> Run {
        let size = Run::size(count);
        if let Some(first) = self.free[size].pop() {
            return Run::new(first, count);
        }
        if size == 0 {
            return Run::EMPTY;
        }
        let first = u32::try_from(self.slots.len()).expect("a trie of fewer than 2^32 slots");
        make_room(&mut self.slots, size);
        self.slots.extend(iter::repeat_with(|| None).take(size));
        Run::new(first, count)
    }

    /// Gives back a run, whose items were taken out.
    fn release(&mut self, run: Run) {
        if run.count > 0 {
            self.free[Run::size(run.count)].push(run.first);
        }
    }
}

#[cfg(test)]
impl<V> Slots<V> {
    /// Asserts that a run has an item in each slot, in order, and nothing behind them.
    pub(super) fn assert_run(&self, run: Run) {
        assert!(run.count > 0);
        let slots = &self.slots[run.first as usize..][..Run::size(run.count)];
        let (held, rest) = slots.split_at(run.count.into());
        assert!(held.iter().flatten().map(Item::prefix).is_sorted_by(|a, b| a < b));
        assert!(held.iter().all(Option::is_some) && rest.iter().all(Option::is_none));
    }

    /// The slots that a run takes.
    pub(super) const fn taken(run: Run) -> usize {
        Run::size(run.count)
    }

    /// All slots that were ever made, and how many of them are free.
    pub(super) fn made_and_free(&self) -> (usize, usize) {
        let free = self.free.iter().enumerate().map(|(size, runs)| size * runs.len()).sum();
        (self.slots.len(), free)
    }
}
