//! What a few leaves side by side hold, brought together.

use core::ops::RangeInclusive;

use super::edit::Tree;
use super::relay::explicit;
use super::share::Range;
use crate::table::index::Index;
use crate::table::leaf::{Entry, decode, load};
use crate::table::word::{Cover, Word};

impl Tree<'_> {
    /// Brings together what the leaves of some slots of a chunk hold, below a chunk's cover, with the change. `range` has
    /// their first and last key.
    pub(super) fn gather(
        &self,
        chunk: &Index<'_>,
        slots: RangeInclusive<usize>,
        above: Cover,
        range: &mut Range,
    ) {
        let own = self.change.entry();
        let (first, last) = (range.first, range.last);
        range.open.clear();
        range.entries.clear();
        // A change that reaches further may not be in all covers yet. Then the trie tells of all records.
        let told = first <= own.start && own.last() <= last;
        let mut key = first;
        for slot in slots.clone() {
            let (_, word) = explicit((0, chunk.word(slot)), above);
            let leaf_last = if slot == *slots.end() { last } else { chunk.last(slot) };
            let cover = prefix(word.cover(), key);
            // What covers a leaf whole is no entry of it. If it began in a leaf before, it is one there. What begins with
            // the leaf is only in the trie, unless the innermost of all covers has begun before.
            if !told {
                range.entries.extend(self.stage.covering(self.trie, key));
            } else if cover.is_some_and(|cover| cover.start == key) {
                let begins = self.stage.covering(self.trie, key).filter(|entry| entry.start == key);
                range.entries.extend(begins.filter(|entry| entry.last() >= leaf_last));
            }
            let own = range.entries.len();
            decode(&load(&self.lines()[word.line() as usize]), &mut range.entries);
            // Copies of what began before come first.
            let before = range.entries[own..].iter().take_while(|entry| entry.start < key).count();
            if slot == *slots.start() {
                // Below what covers the whole range, nothing else can come to the surface in it.
                if told && cover.is_none_or(|cover| cover.start < first && last <= cover.last()) {
                    range.open.extend(cover);
                    range.open.extend_from_slice(&range.entries[own..own + before]);
                } else {
                    let open = self.stage.covering(self.trie, first);
                    range.open.extend(open.filter(|entry| entry.start < first));
                }
            }
            range.entries.drain(own..own + before);
            key = leaf_last.wrapping_add(1);
        }
        if !told {
            range.entries.retain(|entry| entry.start >= first);
            range.entries.sort_unstable_by_key(Entry::order);
            range.entries.dedup_by_key(|entry| entry.order());
        }
        if own.start >= first {
            self.change.apply(&mut range.entries);
        }
    }
}

/// The prefix that covers `key` and what is around it.
fn prefix(cover: Cover, key: u64) -> Option<Entry> {
    let len = cover.rank().checked_sub(1)?;
    let start = if len == 0 { 0 } else { key & u64::MAX << (64 - len) };
    Some(Entry { start, len, id: Word::new(0, cover).answer() })
}
