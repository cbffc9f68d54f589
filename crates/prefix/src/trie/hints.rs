//! Short cuts into a trie.
//!
//! A walk from the top passes some 25 nodes at a million prefixes, each at the cost of a cache miss or of waiting for the
//! node before. Most of that way is the same for all prefixes with the same beginning. A hint names the node where the
//! beginning of some length leads, so that a walk starts there.
//!
//! A hint is no more than a guess. Whoever starts from one checks at the end that the prefix agrees with what lies there,
//! and otherwise walks from the top; so nothing has to be kept in step when nodes come and go, and beginnings that were
//! chosen to collide only make walks as long as they are without hints.

use credence_memory::{filled, prefetch};

use crate::Prefix;

/// The lengths of the beginnings, in bits. With these, eight of ten changes to 281,000 routed prefixes find a hint and pass
/// three nodes from there, and nine of ten to a million of a feed, four nodes; with 32 and 48 alone, it is four and five.
pub(super) const LENGTHS: [u8; 4] = [24, 32, 44, 56];

/// The deepest node within each of [`LENGTHS`] that a walk has passed.
pub(super) type Deepest = [Option<u32>; LENGTHS.len()];

/// Fewer nodes than this are found as fast without hints.
const WORTH_NODES: usize = 256;

/// Spreads beginnings over the hints: the golden ratio in 64 bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The nodes where beginnings lead.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    /// A power of two, or none.
    hints: Box<[Hint]>,
}

/// A node, with what of the hash of its beginning does not follow from the hint's place.
#[derive(Clone, Copy, Debug)]
struct Hint {
    tag: u32,
    node: u32,
}

impl Hints {
    pub(super) const fn bytes(&self) -> usize {
        self.hints.len() * size_of::<Hint>()
    }

    /// Makes room for so many nodes; what was known is forgotten then, and soon found again.
    pub(super) fn fit(&mut self, nodes: usize) {
        if nodes >= WORTH_NODES && nodes > self.hints.len() {
            let none = Hint { tag: 0, node: 0 };
            self.hints = filled(none, nodes.next_power_of_two());
        }
    }

    /// The node of the longest beginning of `prefix` that is known.
    pub(super) fn nearest(&self, prefix: Prefix) -> Option<u32> {
        LENGTHS.map(|len| self.look(prefix, len)).into_iter().flatten().last()
    }

    /// Asks for the lines in which [`nearest`](Self::nearest) looks.
    pub(super) fn prefetch(&self, prefix: Prefix) {
        LENGTHS.into_iter().for_each(|len| prefetch(&self.hints, self.place(prefix, len).0));
    }

    fn look(&self, prefix: Prefix, len: u8) -> Option<u32> {
        let (place, tag) = self.place(prefix, len);
        let hint = self.hints.get(place)?;
        (hint.tag == tag && hint.node != 0 && prefix.len() > len).then_some(hint.node)
    }

    /// Notes what the walk to `prefix` has passed. A hint that is right already is not written, so that its line stays
    /// clean.
    pub(super) fn note(&mut self, prefix: Prefix, deepest: Deepest) {
        for (len, node) in LENGTHS.into_iter().zip(deepest) {
            let (place, tag) = self.place(prefix, len);
            let Some((hint, node)) = self.hints.get_mut(place).zip(node) else { continue };
            if (hint.tag, hint.node) != (tag, node) && prefix.len() > len {
                *hint = Hint { tag, node };
            }
        }
    }

    /// Where the hint for a beginning is, and its tag.
    const fn place(&self, prefix: Prefix, len: u8) -> (usize, u32) {
        let beginning = (prefix.first() >> 64) as u64 >> (64 - len) << 8 | len as u64;
        let hash = beginning.wrapping_mul(SPREAD);
        let hash = (hash ^ hash >> 32).wrapping_mul(SPREAD);
        ((hash >> 32) as usize & self.hints.len().wrapping_sub(1), hash as u32)
    }
}
