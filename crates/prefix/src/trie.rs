//! The control plane's map of prefixes: ordered, exact, and able to tell every prefix that covers an address.
//!
//! A binary radix trie with compressed paths. Nodes stand in one vector and point at each other by `u32`, so that a
//! clone is a copy and dropping a trie frees one allocation whatever its shape. Every walk is a loop: at most 129 nodes
//! lie between the root and an address, one for each length, however the prefixes were chosen.

mod iter;

pub use iter::{Covering, Iter};

use crate::Prefix;

/// The place of the root, which always stands. No node has the root as its child, so the same number in a link means
/// that there is none.
const ROOT: u32 = 0;
const NIL: u32 = 0;

/// A map from prefixes to values.
///
/// Each node but the root either holds a value or parts two subtrees, so `len` values never need more than
/// `2 * len + 1` nodes, and removing a prefix leaves nothing behind. Freed nodes are used again before the vector grows.
#[derive(Clone, Debug)]
pub struct Trie<V> {
    nodes: Vec<Node<V>>,
    /// The first of the free nodes; each leads to the next through its left link.
    free: u32,
    len: usize,
}

#[derive(Clone, Debug)]
struct Node<V> {
    prefix: Prefix,
    /// The subtrees whose next bit behind `prefix` is 0 and 1.
    children: [u32; 2],
    value: Option<V>,
}

/// What the walk towards a prefix finds below a node that covers it.
enum Step {
    /// The node is the prefix itself.
    Here,
    /// The child, on this side, covers the prefix as well.
    Down(usize, u32),
    /// No child stands on this side.
    Gap(usize),
    /// A child stands on this side and does not cover the prefix.
    Beside(usize, u32),
}

impl<V> Node<V> {
    const fn new(prefix: Prefix, value: Option<V>) -> Self {
        Self { prefix, children: [NIL; 2], value }
    }
}

impl<V> Trie<V> {
    /// An empty trie.
    pub fn new() -> Self {
        Self { nodes: vec![Node::new(Prefix::ALL, None)], free: NIL, len: 0 }
    }

    /// The number of prefixes held.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no prefix is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memory taken, in bytes, free nodes included; what the values point at is not counted.
    pub const fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node<V>>()
    }

    /// Removes every prefix and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Stores `value` under `prefix` and returns the value that it replaces.
    ///
    /// # Panics
    /// When 2³² nodes would be needed, which is over 150 GB: a caller bounds what it accepts long before.
    pub fn insert(&mut self, prefix: Prefix, value: V) -> Option<V> {
        let mut at = ROOT;
        loop {
            match self.step(at, prefix) {
                Step::Down(_, child) => at = child,
                Step::Here => {
                    let old = self.node_mut(at).value.replace(value);
                    self.len += usize::from(old.is_none());
                    return old;
                }
                Step::Gap(side) => {
                    let leaf = self.allocate(prefix, Some(value));
                    self.node_mut(at).children[side] = leaf;
                    break;
                }
                Step::Beside(side, child) => {
                    let joint = self.join(prefix, value, child);
                    self.node_mut(at).children[side] = joint;
                    break;
                }
            }
        }
        self.len += 1;
        None
    }

    /// Removes exactly `prefix` and returns its value; prefixes that it covers or that cover it stay.
    pub fn remove(&mut self, prefix: Prefix) -> Option<V> {
        // The links that lead here: (node, side) of the parent's, and of the one that leads to the parent.
        let (mut above, mut parent, mut at) = ((ROOT, 0), (ROOT, 0), ROOT);
        loop {
            match self.step(at, prefix) {
                Step::Down(side, child) => (above, parent, at) = (parent, (at, side), child),
                Step::Here => break,
                Step::Gap(_) | Step::Beside(..) => return None,
            }
        }
        let value = self.node_mut(at).value.take()?;
        self.len -= 1;
        self.prune(at, parent);
        // A parent that only parted two subtrees has lost one of them.
        self.prune(parent.0, above);
        Some(value)
    }

    /// The value under exactly `prefix`.
    pub fn get(&self, prefix: Prefix) -> Option<&V> {
        self.node(self.find(prefix)?).value.as_ref()
    }

    /// The value under exactly `prefix`, to be changed.
    pub fn get_mut(&mut self, prefix: Prefix) -> Option<&mut V> {
        let at = self.find(prefix)?;
        self.node_mut(at).value.as_mut()
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
        Iter::new(self, self.top_inside(prefix))
    }

    /// Every prefix in the order of [`Prefix`].
    pub fn iter(&self) -> Iter<'_, V> {
        Iter::new(self, Some(ROOT))
    }

    fn node(&self, at: u32) -> &Node<V> {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node<V> {
        &mut self.nodes[at as usize]
    }

    /// One step from the node `at`, which covers `prefix`.
    fn step(&self, at: u32, prefix: Prefix) -> Step {
        let node = self.node(at);
        if node.prefix.len() == prefix.len() {
            return Step::Here;
        }
        let side = side(node.prefix, prefix);
        match node.children[side] {
            NIL => Step::Gap(side),
            child if self.node(child).prefix.covers(prefix) => Step::Down(side, child),
            child => Step::Beside(side, child),
        }
    }

    /// The node of exactly `prefix`, which may hold no value.
    fn find(&self, prefix: Prefix) -> Option<u32> {
        let mut at = ROOT;
        loop {
            match self.step(at, prefix) {
                Step::Down(_, child) => at = child,
                Step::Here => return Some(at),
                Step::Gap(_) | Step::Beside(..) => return None,
            }
        }
    }

    /// The node at the top of all that `prefix` covers.
    fn top_inside(&self, prefix: Prefix) -> Option<u32> {
        let mut at = ROOT;
        loop {
            match self.step(at, prefix) {
                Step::Down(_, child) => at = child,
                Step::Here => return Some(at),
                Step::Beside(_, child) if prefix.covers(self.node(child).prefix) => return Some(child),
                Step::Gap(_) | Step::Beside(..) => return None,
            }
        }
    }

    /// Puts `prefix` over or beside the node `below`, which does not cover it, and returns the node above both.
    fn join(&mut self, prefix: Prefix, value: V, below: u32) -> u32 {
        let other = self.node(below).prefix;
        let joint = prefix.common(other);
        if joint == prefix {
            let top = self.allocate(prefix, Some(value));
            self.node_mut(top).children[side(prefix, other)] = below;
            return top;
        }
        let leaf = self.allocate(prefix, Some(value));
        let top = self.allocate(joint, None);
        let children = &mut self.node_mut(top).children;
        children[side(joint, prefix)] = leaf;
        children[side(joint, other)] = below;
        top
    }

    /// Takes the node `at` out if it neither holds a value nor parts two subtrees: its only child, if any, takes its
    /// place under the link `(node, side)` that leads to it.
    fn prune(&mut self, at: u32, (parent, side): (u32, usize)) {
        let node = self.node(at);
        let [left, right] = node.children;
        if at == ROOT || node.value.is_some() || (left != NIL && right != NIL) {
            return;
        }
        self.node_mut(parent).children[side] = if left == NIL { right } else { left };
        self.node_mut(at).children = [self.free, NIL];
        self.free = at;
    }

    fn allocate(&mut self, prefix: Prefix, value: Option<V>) -> u32 {
        let node = Node::new(prefix, value);
        if self.free == NIL {
            let at = u32::try_from(self.nodes.len()).expect("a trie of fewer than 2^32 nodes");
            self.nodes.push(node);
            return at;
        }
        let at = self.free;
        self.free = self.node(at).children[0];
        *self.node_mut(at) = node;
        at
    }
}

/// The side of `node` on which `inside`, longer and covered by it, lies.
const fn side(node: Prefix, inside: Prefix) -> usize {
    (inside.first() >> (127 - node.len() as u32) & 1) as usize
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

/// Of several values for one prefix, the last stands.
impl<V> FromIterator<(Prefix, V)> for Trie<V> {
    fn from_iter<I: IntoIterator<Item = (Prefix, V)>>(items: I) -> Self {
        let mut trie = Self::new();
        trie.extend(items);
        trie
    }
}

impl<'a, V> IntoIterator for &'a Trie<V> {
    type Item = (Prefix, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

#[cfg(test)]
impl<V> Trie<V> {
    /// Asserts that every node is either reachable and needed, or on the free list, and that links lead the right way.
    pub(crate) fn assert_sound(&self) {
        let (mut reached, mut values, mut pending) = (0, 0, vec![ROOT]);
        while let Some(at) = pending.pop() {
            let node = self.node(at);
            reached += 1;
            values += usize::from(node.value.is_some());
            let children = node.children.iter().filter(|&&child| child != NIL).count();
            assert!(at == ROOT || node.value.is_some() || children == 2, "{} is not needed", node.prefix);
            for (side_taken, &child) in node.children.iter().enumerate().filter(|&(_, &child)| child != NIL) {
                let below = self.node(child).prefix;
                assert!(node.prefix.covers(below) && node.prefix != below, "{below} under {}", node.prefix);
                assert_eq!(side(node.prefix, below), side_taken);
                pending.push(child);
            }
        }
        let (mut free, mut at) = (0, self.free);
        while at != NIL {
            assert!(self.node(at).value.is_none());
            (free, at) = (free + 1, self.node(at).children[0]);
        }
        assert_eq!(values, self.len);
        assert_eq!(reached + free, self.nodes.len());
        assert!(reached <= 2 * self.len + 1);
    }
}
