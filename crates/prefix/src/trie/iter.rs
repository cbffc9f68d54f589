//! The walks over a trie that yield prefixes.

use super::{NIL, Node, ROOT, Step, Trie};
use crate::Prefix;

/// The prefixes that cover a given one, from the shortest to the longest. Made by [`Trie::covering`] and
/// [`Trie::covering_prefix`].
#[derive(Clone, Debug)]
pub struct Covering<'a, V> {
    trie: &'a Trie<V>,
    target: Prefix,
    next: Option<u32>,
}

impl<'a, V> Covering<'a, V> {
    pub(super) const fn new(trie: &'a Trie<V>, target: Prefix) -> Self {
        Self { trie, target, next: Some(ROOT) }
    }
}

impl<'a, V> Iterator for Covering<'a, V> {
    type Item = (Prefix, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(at) = self.next {
            self.next = match self.trie.step(at, self.target) {
                Step::Down(_, child) => Some(child),
                Step::Here | Step::Gap(_) | Step::Beside(..) => None,
            };
            if let Some(item) = item(self.trie.node(at)) {
                return Some(item);
            }
        }
        None
    }
}

/// Prefixes in their order. Made by [`Trie::iter`] and [`Trie::covered_by`].
#[derive(Clone, Debug)]
pub struct Iter<'a, V> {
    trie: &'a Trie<V>,
    /// The tops of the subtrees still to be walked, the next one last: at most one for each length.
    pending: Vec<u32>,
}

impl<'a, V> Iter<'a, V> {
    pub(super) fn new(trie: &'a Trie<V>, top: Option<u32>) -> Self {
        Self { trie, pending: Vec::from_iter(top) }
    }
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (Prefix, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(at) = self.pending.pop() {
            let node = self.trie.node(at);
            let [left, right] = node.children;
            self.pending.extend([right, left].into_iter().filter(|&child| child != NIL));
            if let Some(item) = item(node) {
                return Some(item);
            }
        }
        None
    }
}

fn item<V>(node: &Node<V>) -> Option<(Prefix, &V)> {
    Some((node.prefix, node.value.as_ref()?))
}
