//! The walks over a trie that yield prefixes.

use super::node::Link;
use super::slots::{Item, Items, Run};
use super::{Trie, side};
use crate::Prefix;

/// The prefixes that cover a given one, from the shortest to the longest. Made by [`Trie::covering`] and
/// [`Trie::covering_prefix`].
#[derive(Clone, Debug)]
pub struct Covering<'a, V> {
    trie: &'a Trie<V>,
    target: Prefix,
    /// The items to be looked at before the walk goes on.
    items: Items<'a, V>,
    next: Link,
}

impl<'a, V> Covering<'a, V> {
    pub(super) fn new(trie: &'a Trie<V>, target: Prefix) -> Self {
        Self { trie, target, items: trie.slots.items(Run::EMPTY), next: trie.top() }
    }

    /// One step down: the items there, and where the walk goes on.
    fn step(&mut self) -> Option<()> {
        let (run, next) = match self.next {
            Link::Nothing => return None,
            Link::Run(run) => (run, Link::Nothing),
            Link::Node(at) => self.pass(at),
        };
        self.items = self.trie.slots.items(run);
        self.next = next;
        Some(())
    }

    /// The own item of a node, and what lies below it on the way.
    fn pass(&self, at: u32) -> (Run, Link) {
        let node = self.trie.nodes.node(at);
        let own = node.own_run();
        let covers = self.trie.slots.items(own).all(|item| item.covers(self.target));
        if !covers || node.len() > self.target.len() {
            return (Run::EMPTY, Link::Nothing);
        }
        let ends = node.len() == self.target.len();
        (own, if ends { Link::Nothing } else { node.link(side(self.target, node.len())) })
    }
}

impl<'a, V> Iterator for Covering<'a, V> {
    type Item = (Prefix, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let target = self.target;
        loop {
            if let Some(item) = self.items.find(|item| item.covers(target)) {
                return Some(pair(item));
            }
            self.step()?;
        }
    }
}

/// Prefixes in their order. Made by [`Trie::iter`] and [`Trie::covered_by`].
#[derive(Clone, Debug)]
pub struct Iter<'a, V> {
    trie: &'a Trie<V>,
    /// The items that come next.
    items: Items<'a, V>,
    /// The tops of the subtrees still to be walked, the next one last: at most one for each length.
    pending: Vec<Link>,
}

impl<'a, V> Iter<'a, V> {
    pub(super) fn new(trie: &'a Trie<V>, top: Link) -> Self {
        let items = trie.slots.items(top.run().unwrap_or(Run::EMPTY));
        let pending = if top.run().is_some() { Vec::new() } else { vec![top] };
        Self { trie, items, pending }
    }

    /// The items of a subtree that come first; the others wait.
    fn enter(&mut self, top: Link) -> Run {
        match top {
            Link::Nothing => Run::EMPTY,
            Link::Run(run) => run,
            Link::Node(at) => {
                let node = self.trie.nodes.node(at);
                let [left, right] = node.links();
                self.pending.extend([right, left]);
                node.own_run()
            }
        }
    }
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (Prefix, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(pair(item));
            }
            let top = self.pending.pop()?;
            self.items = self.trie.slots.items(self.enter(top));
        }
    }
}

const fn pair<V>(item: &Item<V>) -> (Prefix, &V) {
    (item.prefix(), item.value())
}
