//! The nodes above the runs.

use credence_memory::prefetch;

use super::make_room;
use super::slots::Run;

/// What leads nowhere: a node without an item of its own, a free node that is the last.
const NIL: u32 = u32::MAX;

/// The kind of a link to a node; those of runs are their counts, and that of a link to nothing is 0.
const NODE: u8 = u8::MAX;

/// Where paths part: four of them to a cache line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// The subtrees whose next bit behind the node's prefix is 0 and 1.
    to: [u32; 2],
    kinds: [u8; 2],
    len: u8,
    /// The slot of the item whose prefix is exactly the node's.
    own: u32,
}

/// What a subtree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing is there.
    Nothing,
    /// So few items that they lie in a row.
    Run(Run),
    /// A node.
    Node(u32),
}

/// A link: one side of a node, or the one that leads to the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    node: u32,
    side: usize,
}

/// All nodes. The first is none of the trie's: one of its links leads to the top.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    /// The first of the free nodes; each leads to the next.
    free: u32,
}

impl Link {
    const fn pack(self) -> (u32, u8) {
        match self {
            Self::Nothing => (NIL, 0),
            Self::Run(run) => (run.first(), run.count()),
            Self::Node(at) => (at, NODE),
        }
    }

    /// The items below, if they lie in one run.
    pub(super) const fn run(self) -> Option<Run> {
        match self {
            Self::Nothing => Some(Run::EMPTY),
            Self::Run(run) => Some(run),
            Self::Node(_) => None,
        }
    }
}

impl From<Run> for Link {
    fn from(run: Run) -> Self {
        if run.count() == 0 { Self::Nothing } else { Self::Run(run) }
    }
}

impl Place {
    /// The link that leads to the top of the trie.
    pub(super) const TOP: Self = Self::new(0, 0);

    pub(super) const fn new(node: u32, side: usize) -> Self {
        Self { node, side }
    }

    /// The node that the link is part of.
    pub(super) const fn node(self) -> u32 {
        self.node
    }
}

impl Node {
    /// A node of a prefix of `len` bits, with the slot of that prefix's item and two subtrees.
    pub(super) const fn new(len: u8, own: Option<u32>, links: [Link; 2]) -> Self {
        let [(left, left_kind), (right, right_kind)] = [links[0].pack(), links[1].pack()];
        let own = match own {
            Some(own) => own,
            None => NIL,
        };
        Self { to: [left, right], kinds: [left_kind, right_kind], len, own }
    }

    /// The length of the prefix, in bits.
    pub(super) const fn len(&self) -> u8 {
        self.len
    }

    pub(super) const fn own(&self) -> Option<u32> {
        if self.own == NIL { None } else { Some(self.own) }
    }

    /// The node's own item as a run, empty without one.
    pub(super) fn own_run(&self) -> Run {
        self.own().map_or(Run::EMPTY, |own| Run::new(own, 1))
    }

    pub(super) const fn link(&self, side: usize) -> Link {
        match (self.to[side], self.kinds[side]) {
            (_, 0) => Link::Nothing,
            (at, NODE) => Link::Node(at),
            (first, count) => Link::Run(Run::new(first, count)),
        }
    }

    pub(super) const fn links(&self) -> [Link; 2] {
        [self.link(0), self.link(1)]
    }
}

impl Nodes {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::new(0, None, [Link::Nothing; 2])], free: NIL }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node>()
    }

    /// How many nodes were ever made.
    pub(super) const fn made(&self) -> usize {
        self.nodes.len() - 1
    }

    pub(super) fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    /// Asks for the line of a node.
    pub(super) fn prefetch(&self, at: u32) {
        prefetch(&self.nodes, at as usize);
    }

    pub(super) fn link(&self, place: Place) -> Link {
        self.node(place.node).link(place.side)
    }

    pub(super) fn set(&mut self, place: Place, link: Link) {
        let node = &mut self.nodes[place.node as usize];
        (node.to[place.side], node.kinds[place.side]) = link.pack();
    }

    /// Gives the node an item, or takes it away.
    pub(super) fn set_own(&mut self, at: u32, own: Option<u32>) {
        self.nodes[at as usize].own = own.unwrap_or(NIL);
    }

    /// Stores a node and returns its number.
    pub(super) fn add(&mut self, node: Node) -> u32 {
        if self.free == NIL {
            let at = u32::try_from(self.nodes.len()).expect("a trie of fewer than 2^32 nodes");
            make_room(&mut self.nodes, 1);
            self.nodes.push(node);
            return at;
        }
        let at = self.free;
        self.free = self.node(at).to[0];
        self.nodes[at as usize] = node;
        at
    }

    /// Frees a node. It is longer than any prefix from now on, so that no walk starts from it.
    pub(super) fn remove(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        (node.to[0], node.len) = (self.free, u8::MAX);
        self.free = at;
    }
}

#[cfg(test)]
impl Nodes {
    /// How many nodes are free.
    pub(super) fn free(&self) -> usize {
        let (mut free, mut at) = (0, self.free);
        while at != NIL {
            (free, at) = (free + 1, self.node(at).to[0]);
        }
        free
    }
}
