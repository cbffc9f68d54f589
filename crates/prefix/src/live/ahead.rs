//! A look ahead of changes: the lines that they will need are asked for before the first of them is made.
//!
//! A change to a large table waits a dozen times for memory, for nodes of the trie and for lines of the table, and each
//! time only for one line. Here the walks of trie and table of several changes take their steps in turn, so that the lines
//! of all come while each waits.

use core::sync::atomic::Ordering::Relaxed;

use credence_memory::{Line, prefetch};

use super::repack::REACH;
use crate::table::NO_MATCH;
use crate::table::hosts::UNITS_MAX;
use crate::table::index::{ABOVE, CHUNK_LEVELS, FANOUT, Index, rank, word_at};
use crate::table::leaf::{find, load};
use crate::table::space::Space;
use crate::table::word::{LINK, Link, Root, Word};
use crate::trie::Scout;
use crate::{Prefix, Trie};

/// Changes that are looked ahead of together. Windows of 32 measure the same.
pub(super) const WINDOW: usize = 16;
/// Steps of a look ahead at most. A walk that needs more, down a trie without hints, is the change's own.
const STEPS: u32 = 16;

/// Where a look ahead takes place.
pub(super) struct Ahead<'a> {
    pub(super) lines: &'a [Line],
    pub(super) root: Root,
    pub(super) trie: &'a Trie<u32>,
    pub(super) space: &'a Space,
}

/// How far a walk through the table has come.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    key: u64,
    is_inside: bool,
    chunk: u32,
    /// The node on the level that is walked next, counted from the first of that level; then the slot; then the leaf.
    node: u32,
}

impl Ahead<'_> {
    /// Asks for what changes to these prefixes will need, at most `MOST` of them.
    pub(super) fn look<const MOST: usize>(&self, prefixes: impl Iterator<Item = Prefix>) {
        let (mut scouts, mut paths) = ([(Prefix::ALL, Scout::Hints); MOST], [Path::default(); MOST]);
        let mut count = 0;
        for ((scout, path), prefix) in scouts.iter_mut().zip(&mut paths).zip(prefixes) {
            (*scout, *path) = ((prefix, self.trie.scout(prefix)), self.begin(prefix));
            count += 1;
        }
        self.space.upcoming(count).for_each(|line| prefetch(self.lines, line as usize));
        let mut walking = count;
        for step in 0..STEPS {
            walking = self.advance(&mut scouts[..walking]);
            paths[..count].iter_mut().for_each(|path| self.step(step, path));
            if walking == 0 && step > CHUNK_LEVELS {
                break;
            }
        }
    }

    /// Takes one step on each walk through the trie, and puts those that have not ended in front. Returns their number.
    fn advance(&self, scouts: &mut [(Prefix, Scout)]) -> usize {
        let mut walking = 0;
        for at in 0..scouts.len() {
            let (prefix, scout) = scouts[at];
            let next = self.trie.advance(scout, prefix);
            scouts[walking] = (prefix, next);
            walking += usize::from(next != Scout::Done);
        }
        walking
    }

    /// The top index is near anyway, since every change walks it.
    fn begin(&self, prefix: Prefix) -> Path {
        let (top, key) = (Index::new(self.lines, self.root), (prefix.first() >> 64) as u64);
        let chunk = top.word(top.slot(key)).line();
        prefetch(self.lines, chunk as usize - 1); // the number of slots
        prefetch(self.lines, chunk as usize);
        Path { key, is_inside: prefix.len() > 64, chunk, node: 0 }
    }

    /// Takes one step through the table: down the levels of the chunk, to the slot's word, to the leaf, into the /64.
    fn step(&self, step: u32, path: &mut Path) {
        const WORD: u32 = CHUNK_LEVELS;
        const LEAF: u32 = WORD + 1;
        match step {
            0..CHUNK_LEVELS => {
                let node = &self.lines[(path.chunk + ABOVE[step as usize] + path.node) as usize];
                path.node = path.node * FANOUT as u32 + rank(node, path.key);
                let below = path.chunk + ABOVE[step as usize + 1] + path.node;
                let word = word_at(path.chunk, path.node as usize) / 8;
                prefetch(self.lines, if step + 1 < CHUNK_LEVELS { below as usize } else { word });
            }
            WORD => {
                let leaf = |slot: u32| {
                    let at = word_at(path.chunk, slot as usize);
                    Word(self.lines[at / 8].0[at % 8].load(Relaxed)).line()
                };
                // How full the leaves beside it are is asked too. Beyond a chunk's last slot stands anything.
                let slot = path.node;
                (slot.saturating_sub(REACH as u32)..=slot + REACH as u32)
                    .for_each(|slot| prefetch(self.lines, leaf(slot) as usize));
                path.node = leaf(slot);
            }
            LEAF if path.is_inside => {
                self.ask_inside(find(&load(&self.lines[path.node as usize]), path.key, NO_MATCH));
            }
            _ => {}
        }
    }

    /// Asks for what hangs below a /64, when the number of an entry is a link.
    fn ask_inside(&self, id: u32) {
        if id & LINK == 0 || id == NO_MATCH {
            return;
        }
        match Link::of(id) {
            Link::Hosts(unit) => {
                let (first, last) = (unit as usize / 4, (unit as usize + UNITS_MAX) / 4);
                (first..=last).for_each(|line| prefetch(self.lines, line));
            }
            Link::Leaf(line) | Link::Tree(Root { line, .. }) => prefetch(self.lines, line as usize),
        }
    }
}
