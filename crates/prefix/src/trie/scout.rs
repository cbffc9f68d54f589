//! A walk ahead of a change, which does nothing but ask for the lines that the change will need.
//!
//! Each step of a walk waits for a line. Several walks that take their steps in turn wait for their lines together, and a
//! change that comes after them finds everything near.

use super::node::{Link, Place};
use super::{Trie, side};
use crate::Prefix;

/// How far a walk ahead has come. It is good until the trie changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scout {
    /// The hints were asked for.
    Hints,
    /// This node was, to which a hint led.
    Hinted(u32),
    /// This one was, to which the walk led.
    Node(u32),
    /// This one was, below the end of the walk, where all share what the walk has skipped.
    Below(u32),
    /// All was asked for.
    Done,
}

impl<V> Trie<V> {
    /// Begins a walk ahead of a change to `prefix`.
    pub(crate) fn scout(&self, prefix: Prefix) -> Scout {
        self.hints.prefetch(prefix);
        Scout::Hints
    }

    /// Takes one step of a walk towards `prefix`.
    pub(crate) fn advance(&self, scout: Scout, prefix: Prefix) -> Scout {
        match scout {
            Scout::Hints => match self.hints.nearest(prefix) {
                Some(at) => self.ask(at, Scout::Hinted(at)),
                None => self.approach(self.top(), Place::TOP.node()),
            },
            // A node that is free, or too long for this prefix, is no place to begin.
            Scout::Hinted(at) if self.nodes.node(at).len() >= prefix.len() => {
                self.approach(self.top(), Place::TOP.node())
            }
            Scout::Hinted(at) | Scout::Node(at) => {
                let node = self.nodes.node(at);
                match node.len() >= prefix.len() {
                    true => self.sample_ahead(at),
                    false => self.approach(node.link(side(prefix, node.len())), at),
                }
            }
            Scout::Below(at) => self.sample_ahead(at),
            Scout::Done => Scout::Done,
        }
    }

    /// Asks for what a link of the node `from` leads to.
    fn approach(&self, link: Link, from: u32) -> Scout {
        match link {
            Link::Node(at) => return self.ask(at, Scout::Node(at)),
            Link::Run(run) => self.slots.prefetch(run),
            Link::Nothing => self.slots.prefetch(self.nodes.node(from).own_run()),
        }
        Scout::Done
    }

    /// Asks for the item that stands for all below the node `at`, or for the node on the way there.
    fn sample_ahead(&self, at: u32) -> Scout {
        let node = self.nodes.node(at);
        match (node.own(), node.link(0)) {
            (None, Link::Node(at)) => return self.ask(at, Scout::Below(at)),
            (None, Link::Run(run)) => self.slots.prefetch(run),
            _ => self.slots.prefetch(node.own_run()),
        }
        Scout::Done
    }

    fn ask(&self, at: u32, scout: Scout) -> Scout {
        self.nodes.prefetch(at);
        scout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks ahead of changes that follow, to what is there, what is not, and what was: each ends soon, and the trie is
    /// none the worse.
    #[test]
    fn every_walk_ahead_ends_within_the_depth_of_the_trie() {
        let mut trie: Trie<u32> = Trie::with_runs(2);
        let mut state = 1_u64;
        let mut longest = 0;
        for round in 0..40_000_u32 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let bits = u128::from(state >> 48) << 112 | u128::from(state >> 40 & 0xff) << 60;
            let prefix = Prefix::containing(bits, (state >> 33) as u8 % 129);
            let mut scout = trie.scout(prefix);
            let steps = (0..400).take_while(|_| {
                scout = trie.advance(scout, prefix);
                scout != Scout::Done
            });
            longest = longest.max(steps.count());
            assert_eq!(scout, Scout::Done);
            if state >> 32 & 1 == 0 {
                trie.remove(prefix)
            } else {
                trie.insert(prefix, round)
            };
        }
        assert!((10..=2 * 129 + 2).contains(&longest), "{longest} steps");
    }
}
