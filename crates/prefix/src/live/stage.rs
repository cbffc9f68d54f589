//! Which half of addresses a tree is over.

use crate::table::leaf::Entry;
use crate::table::memory::{lower, upper};
use crate::table::word::Cover;
use crate::{Prefix, Trie};

/// The keys of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The upper 64 bits.
    Upper,
    /// The lower 64 bits, behind these upper ones.
    Inside(u64),
}

impl Stage {
    /// The entry of a prefix, if it belongs to this stage.
    fn entry(self, prefix: Prefix, id: u32) -> Option<Entry> {
        match self {
            Self::Upper => (prefix.len() <= 64).then(|| upper(prefix, id)),
            Self::Inside(_) => (prefix.len() > 64).then(|| lower(prefix, id)),
        }
    }

    /// The prefix of one key.
    fn key(self, key: u64) -> Prefix {
        match self {
            Self::Upper => Prefix::containing(u128::from(key) << 64, 64),
            Self::Inside(upper) => Prefix::host(u128::from(upper) << 64 | u128::from(key)),
        }
    }

    /// The records that cover `key`, from the widest to the most specific.
    pub(super) fn covering(self, trie: &Trie<u32>, key: u64) -> impl Iterator<Item = Entry> {
        trie.covering_prefix(self.key(key)).filter_map(move |(prefix, &id)| self.entry(prefix, id))
    }

    /// The longest prefix that covers all keys from `first` to `last`.
    pub(super) fn cover(self, trie: &Trie<u32>, first: u64, last: u64) -> Cover {
        self.longest(trie, self.key(first).common(self.key(last)))
    }

    /// The longest prefix that covers all of a prefix that the trie does not hold any more.
    pub(super) fn parent(self, trie: &Trie<u32>, gone: &Entry) -> Cover {
        let (first, len) = (self.key(gone.start).first(), gone.len);
        self.longest(trie, Prefix::containing(first, if self == Self::Upper { len } else { 64 + len }))
    }

    fn longest(self, trie: &Trie<u32>, prefix: Prefix) -> Cover {
        let covering = trie.covering_prefix(prefix).filter_map(|(prefix, &id)| self.entry(prefix, id));
        covering.last().map_or(Cover::NONE, |entry| Cover::new(entry.len, entry.id))
    }
}
