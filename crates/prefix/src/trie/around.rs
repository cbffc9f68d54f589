//! What lies around prefixes, asked of many at once.
//!
//! Whoever changes what is said of a prefix has to know what stands there, what stands further out, and whether anything
//! lies inside. One walk passes all of that, and waits for each node of it; here several walks take their steps in turn,
//! so that the nodes of all come while each waits.

use super::node::Link;
use super::slots::{Item, Run};
use super::{Place, Spot, Trie, side};
use crate::Prefix;

/// Walks that are under way together.
const WINDOW: usize = 16;

/// What a trie holds around a prefix.
#[derive(Debug)]
pub struct Around<'a, V> {
    /// The value under exactly this prefix.
    pub own: Option<&'a V>,
    /// The value under the longest of the shorter prefixes that cover it.
    pub cover: Option<&'a V>,
    /// Whether it covers longer ones.
    pub is_outer: bool,
}

/// How far a walk has come.
#[derive(Clone, Copy, Debug)]
struct Walk {
    prefix: Prefix,
    spot: Spot,
    /// The item of the node that was passed last, which was asked for.
    passed: Run,
    /// The longest prefix of a node that was found to cover this one.
    cover: Run,
    has_ended: bool,
}

impl<V> Trie<V> {
    /// Tells what lies around each of some prefixes, in their order.
    pub fn around<'a>(&'a self, prefixes: &[Prefix], mut tell: impl FnMut(Around<'a, V>)) {
        for window in prefixes.chunks(WINDOW) {
            let mut walks = [self.set_out(Prefix::ALL); WINDOW];
            let walks = &mut walks[..window.len()];
            for (walk, &prefix) in walks.iter_mut().zip(window) {
                *walk = self.set_out(prefix);
            }
            while walks.iter().any(|walk| !walk.has_ended) {
                walks.iter_mut().filter(|walk| !walk.has_ended).for_each(|walk| self.go_on(walk));
            }
            walks.iter().for_each(|walk| tell(self.arrive(walk)));
        }
    }

    fn set_out(&self, prefix: Prefix) -> Walk {
        let spot = Spot { place: Place::TOP, link: self.top() };
        Walk { prefix, spot, passed: Run::EMPTY, cover: Run::EMPTY, has_ended: false }
    }

    /// Takes one step: looks at what was asked for, and asks for what comes next.
    fn go_on(&self, walk: &mut Walk) {
        if walk.passed != Run::EMPTY {
            if !self.slots.items(walk.passed).all(|item| item.covers(walk.prefix)) {
                // It lies elsewhere, and so does all that is below.
                (walk.spot.link, walk.has_ended) = (Link::Nothing, true);
                return;
            }
            walk.cover = walk.passed;
        }
        walk.passed = Run::EMPTY;
        let Link::Node(at) = walk.spot.link else {
            walk.has_ended = true;
            return;
        };
        let node = self.nodes.node(at);
        if node.len() >= walk.prefix.len() {
            self.slots.prefetch(node.own_run());
            walk.has_ended = true;
            return;
        }
        let side = side(walk.prefix, node.len());
        walk.passed = node.own_run();
        self.slots.prefetch(walk.passed);
        walk.spot = Spot { place: Place::new(at, side), link: node.link(side) };
        match walk.spot.link {
            Link::Node(at) => self.nodes.prefetch(at),
            Link::Run(run) => self.slots.prefetch(run),
            Link::Nothing => {}
        }
    }

    /// What a walk has found where it ended.
    fn arrive(&self, walk: &Walk) -> Around<'_, V> {
        let value = |run| self.slots.items(run).next().map(Item::value);
        let mut around = Around { own: None, cover: value(walk.cover), is_outer: false };
        match walk.spot.link {
            Link::Nothing => {}
            Link::Run(run) => {
                for item in self.slots.items(run) {
                    if item.prefix() == walk.prefix {
                        around.own = Some(item.value());
                    } else if item.covers(walk.prefix) {
                        around.cover = Some(item.value());
                    } else if walk.prefix.covers(item.prefix()) {
                        around.is_outer = true;
                    }
                }
            }
            // All below shares the first bits, as many as the node has.
            Link::Node(at) if self.agreement(walk.spot, walk.prefix) == walk.prefix.len() => {
                let node = self.nodes.node(at);
                let is_own = node.len() == walk.prefix.len();
                around.own = if is_own { value(node.own_run()) } else { None };
                around.is_outer = !is_own || node.links() != [Link::Nothing; 2];
            }
            Link::Node(_) => {}
        }
        around
    }
}
