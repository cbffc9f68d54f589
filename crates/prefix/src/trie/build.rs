//! A trie of many prefixes at once.

use core::ops::Range;

use super::node::{Link, Node, Place};
use super::slots::Item;
use super::{Trie, side};
use crate::Prefix;

/// Of several values for one prefix, the last stands. Prefixes in ascending order are laid out without a walk for each, in
/// a third of the time.
impl<V> FromIterator<(Prefix, V)> for Trie<V> {
    fn from_iter<I: IntoIterator<Item = (Prefix, V)>>(items: I) -> Self {
        let items: Vec<Item<V>> = items.into_iter().map(|(prefix, value)| Item::new(prefix, value)).collect();
        if items.iter().map(Item::prefix).is_sorted_by(|a, b| a < b) {
            return Self::of(items);
        }
        let mut trie = Self::new();
        trie.extend(items.into_iter().map(Item::into_pair));
        trie
    }
}

impl<V> Trie<V> {
    /// The trie of items in ascending order, each prefix once.
    pub(crate) fn of(items: Vec<Item<V>>) -> Self {
        let mut trie = Self::new();
        // Of the same size, and so in the same place.
        trie.lay_out(items.into_iter().map(Some).collect());
        trie
    }

    /// Fills an empty trie with items in ascending order.
    fn lay_out(&mut self, mut items: Vec<Option<Item<V>>>) {
        self.len = items.len();
        let mut pending = vec![(0..items.len(), Place::TOP)];
        while let Some((range, place)) = pending.pop() {
            let link = if range.len() <= self.run_most.into() {
                self.slots.add_run(&mut items[range]).into()
            } else {
                let (at, [left, right]) = self.lay_node(&mut items, range);
                pending.extend([(right, Place::new(at, 1)), (left, Place::new(at, 0))]);
                Link::Node(at)
            };
            self.nodes.set(place, link);
        }
        self.hints.fit(self.nodes.made());
    }

    /// A node for a range of items, and what is to lie below it on both sides.
    fn lay_node(&mut self, items: &mut [Option<Item<V>>], range: Range<usize>) -> (u32, [Range<usize>; 2]) {
        let prefix = |at: usize| items[at].as_ref().map_or(Prefix::ALL, Item::prefix);
        let all = prefix(range.start).common(prefix(range.end - 1));
        let heads = usize::from(prefix(range.start) == all);
        let (first, end) = (range.start + heads, range.end);
        let on_left =
            |item: &Option<Item<V>>| item.as_ref().is_some_and(|item| side(item.prefix(), all.len()) == 0);
        let middle = first + items[first..end].partition_point(on_left);
        let own = self.slots.add_run(&mut items[range.start..first]);
        let own = (heads > 0).then_some(own.first());
        let at = self.nodes.add(Node::new(all.len(), own, [Link::Nothing; 2]));
        (at, [first..middle, middle..end])
    }
}
