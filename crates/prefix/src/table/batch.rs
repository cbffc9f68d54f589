//! Many look-ups at once.
//!
//! They go down together, one step at a time: each step's lines are independent of each other and named ahead, so that
//! the processor waits for many at once. No step branches on what it finds, and the few look-ups that need more than a leaf
//! are finished after the others.

use core::hint::select_unpredictable;
use core::sync::atomic::Ordering::Acquire;

use credence_memory::{Line, prefetch};

use super::hosts::Block;
use super::index::{self, ABOVE, FANOUT, slot_at, word_at};
use super::leaf;
#[cfg(target_arch = "x86_64")]
use super::vector;
use super::walk::{Changed, Place, halves};
use super::word::{LINK, Link, Root, Word};
use super::{NO_MATCH, Table};

/// The steps that a processor may have better instructions for. A line is named by the number of its first word.
pub(super) trait Kernel {
    /// The line at this place, which an index or a leaf's word named.
    fn line(lines: &[Line], at: u32) -> &Line;
    /// The word at this place.
    fn word(lines: &[Line], at: u32) -> Word;
    /// The number of bounds of a node below `key`.
    fn rank(node: &Line, key: u64) -> u32;
    /// The most specific entry that contains each address in the leaf of its word, or the word's own answer. Each address is one
    /// that an index led to its leaf: in which half of the keys it lies need not be asked again.
    fn find_each(lines: &[Line], addrs: &[u128], words: &[Word; LANES], out: &mut [u32]);
    /// The record of exactly `host` in the block at this unit, or [`NO_MATCH`].
    fn host(lines: &[Line], unit: u32, host: u64) -> u32;
}

/// In the place of an answer: what the look-up saw has changed. No leaf says so, since it would be a link to hosts in the line
/// that an image begins with.
const CHANGED: u32 = Link::Hosts(0).id();

/// How many look-ups go down together: few enough that their keys and lines stay in a core's first cache. Since the next
/// ones go down while the leaves of these arrive, more gain nothing: at a million prefixes 32 and 128 took as long or longer.
pub(super) const LANES: usize = 64;
const _: () = assert!(LANES <= u64::BITS as usize, "a bit each");

/// Look-ups on their way down. Places are numbers of words.
struct Lanes {
    root: Root,
    /// The place of the chunk's word in the top index.
    outer: [u32; LANES],
    chunk: [u32; LANES],
    /// The node on the chunk's last level.
    node: [u32; LANES],
    /// The place of the word of the node's first leaf, then of the look-up's own.
    at: [u32; LANES],
    word: [Word; LANES],
    /// A bit for each lane that its leaf has not answered.
    further: u64,
}

impl Lanes {
    const NONE: Self = Self {
        root: Root { line: 0, levels: 0 },
        outer: [0; LANES],
        chunk: [0; LANES],
        node: [0; LANES],
        at: [0; LANES],
        word: [Word(0); LANES],
        further: 0,
    };

    fn place<'a>(&self, lines: &'a [Line], lane: usize) -> Place<'a> {
        let chunk = self.chunk[lane] / 8;
        Place {
            lines,
            root: self.root,
            outer: slot_at(self.root.line, self.outer[lane]),
            chunk,
            slot: slot_at(chunk, self.at[lane]),
            word: self.word[lane],
        }
    }
}

impl Table {
    /// Takes at most [`LANES`] look-ups down to their leaves, whose lines are on their way when it returns. All take a step, or
    /// two, before any takes the next: what waits for an answer waits in the core's scheduler, and that holds whole descents of
    /// a few look-ups only.
    #[inline(always)]
    fn descend<K: Kernel>(&self, lanes: &mut Lanes, addrs: &[u128]) {
        let lines = &*self.lines;
        let words = Line::words(lines);
        let root = self.root();
        lanes.root = root;
        let Lanes { outer, chunk, node, at, word, .. } = lanes;
        // The nodes of a level; the place of one among them is eight times its number.
        let nodes = |level: u32| &lines[(root.line + ABOVE[level as usize]) as usize..];
        let child = |node: u32, rank: u32| node * FANOUT as u32 + 8 * rank;
        let first = K::line(nodes(0), 0);
        for (&addr, outer) in addrs.iter().zip(&mut *outer) {
            *outer = child(0, K::rank(first, halves(addr).0));
        }
        for level in (1..root.levels).step_by(2) {
            let upper = nodes(level);
            // Of the last level there may be none below it.
            if level + 1 == root.levels {
                for (&addr, outer) in addrs.iter().zip(&mut *outer) {
                    *outer = child(*outer, K::rank(K::line(upper, *outer), halves(addr).0));
                }
            } else {
                let lower = nodes(level + 1);
                for (&addr, outer) in addrs.iter().zip(&mut *outer) {
                    let key = halves(addr).0;
                    let node = child(*outer, K::rank(K::line(upper, *outer), key));
                    *outer = child(node, K::rank(K::line(lower, node), key));
                }
            }
        }
        for ((_, outer), chunk) in addrs.iter().zip(&mut *outer).zip(&mut *chunk) {
            *outer = word_at(root.line, *outer as usize / 8) as u32;
            *chunk = K::word(lines, *outer).at();
            prefetch(words, *chunk as usize);
        }
        for (((&addr, &chunk), node), at) in addrs.iter().zip(&*chunk).zip(&mut *node).zip(&mut *at) {
            let rank = K::rank(K::line(lines, chunk), halves(addr).0);
            *node = chunk + 8 * (ABOVE[1] + rank);
            // As word_at.
            *at = chunk.wrapping_sub(2 + FANOUT as u32 * rank);
            prefetch(words, *node as usize);
        }
        for ((&addr, &node), at) in addrs.iter().zip(&*node).zip(&mut *at) {
            *at -= K::rank(K::line(lines, node), halves(addr).0);
            prefetch(words, *at as usize);
        }
        for ((_, &at), word) in addrs.iter().zip(&*at).zip(word) {
            *word = K::word(lines, at);
            prefetch(words, word.at() as usize);
        }
    }

    /// Searches the leaves, and asks the covers of chunks where those say nothing. The blocks of hosts that leaves name are on
    /// their way when it returns.
    #[inline(always)]
    fn match_leaves<K: Kernel>(&self, lanes: &mut Lanes, addrs: &[u128], out: &mut [u32]) {
        K::find_each(&self.lines, addrs, &lanes.word, out);
        self.lead_on::<K>(lanes, out);
    }

    /// Notes which look-ups lead on from their leaves, and answers those of which no leaf knows anything by the covers of their
    /// chunks: of most addresses there is no record.
    #[inline(always)]
    fn lead_on<K: Kernel>(&self, lanes: &mut Lanes, out: &mut [u32]) {
        let lines = &*self.lines;
        let words = Line::words(lines);
        let (mut links, mut unknown) = (0, 0);
        for (lane, &found) in out.iter().enumerate() {
            links |= u64::from(found & LINK != 0) << lane;
            unknown |= u64::from(found == NO_MATCH) << lane;
        }
        let mut further = links & !unknown;
        for lane in ones(further) {
            if let Some(unit) = hosts(out[lane]) {
                prefetch(words, 2 * unit as usize);
                prefetch(words, 2 * unit as usize + 8);
            }
        }
        let is_same_tree = self.root() == lanes.root;
        for lane in ones(unknown) {
            // As Place::inherited.
            let (outer, inner) = (K::word(lines, lanes.outer[lane]), K::word(lines, lanes.at[lane]));
            let is_same = is_same_tree & (outer.at() == lanes.chunk[lane]) & (inner == lanes.word[lane]);
            out[lane] = select_unpredictable(is_same, outer.answer(), CHANGED);
            // What changed meanwhile is looked up anew with those that lead on.
            further |= u64::from(!is_same) << lane;
        }
        lanes.further = further;
    }

    /// Follows links into /64s.
    #[inline(always)]
    fn match_further<K: Kernel>(&self, lanes: &Lanes, addrs: &[u128], out: &mut [u32]) {
        for lane in ones(lanes.further) {
            let found = out[lane];
            let host = match hosts(found) {
                Some(unit) => K::host(&self.lines, unit, halves(addrs[lane]).1),
                None => NO_MATCH,
            };
            out[lane] =
                if host == NO_MATCH { self.match_last(lanes, lane, addrs[lane], found) } else { host };
        }
    }

    /// The answer of a look-up that found neither a record in its leaf nor a host.
    fn match_last(&self, lanes: &Lanes, lane: usize, addr: u128, found: u32) -> u32 {
        match found {
            CHANGED => Err(Changed),
            found => self.settle(addr, &lanes.place(&self.lines, lane), found),
        }
        .unwrap_or_else(|_| self.find(addr))
    }

    /// As [`longest_match_batch`](Self::longest_match_batch), with these instructions. Three chunks of look-ups are on their
    /// way at a time: one goes down while the leaves of the one before and the hosts of the one before that arrive.
    #[inline(always)]
    pub(super) fn match_batch<K: Kernel>(&self, addrs: &[u128], out: &mut [u32]) {
        let mut lanes = [Lanes::NONE; 3];
        let chunk = |at: usize| at * LANES..addrs.len().min((at + 1) * LANES);
        let chunks = addrs.len().div_ceil(LANES);
        for step in 0..chunks + 2 {
            if step < chunks {
                self.descend::<K>(&mut lanes[step % 3], &addrs[chunk(step)]);
            }
            if let Some(at) = step.checked_sub(1).filter(|&at| at < chunks) {
                self.match_leaves::<K>(&mut lanes[at % 3], &addrs[chunk(at)], &mut out[chunk(at)]);
            }
            if let Some(at) = step.checked_sub(2) {
                self.match_further::<K>(&lanes[at % 3], &addrs[chunk(at)], &mut out[chunk(at)]);
            }
        }
    }
}

#[cfg(test)]
impl Table {
    /// A batch with plain instructions in which `meanwhile` happens when leaves are known by their lines and not yet read.
    pub(crate) fn match_around(&self, addrs: &[u128], meanwhile: impl FnOnce()) -> Vec<u32> {
        let (mut lanes, mut out) = (Lanes::NONE, vec![0; addrs.len()]);
        self.descend::<Plain>(&mut lanes, addrs);
        meanwhile();
        self.match_leaves::<Plain>(&mut lanes, addrs, &mut out);
        self.match_further::<Plain>(&lanes, addrs, &mut out);
        out
    }
}

/// The numbers of the bits that are set.
#[inline(always)]
pub(super) fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let one = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (one < LANES).then_some(one)
    })
}

/// The unit of the block of hosts that a leaf named, if it named one.
#[inline(always)]
const fn hosts(found: u32) -> Option<u32> {
    if found & LINK == 0 || found == CHANGED {
        return None;
    }
    match Link::of(found) {
        Link::Hosts(unit) => Some(unit),
        Link::Leaf(_) | Link::Tree(_) => None,
    }
}

/// Plain instructions, for any processor.
pub(super) struct Plain;

impl Kernel for Plain {
    #[inline(always)]
    fn line(lines: &[Line], at: u32) -> &Line {
        &lines[at as usize / 8]
    }

    #[inline(always)]
    fn word(lines: &[Line], at: u32) -> Word {
        Word(Line::words(lines)[at as usize].load(Acquire))
    }

    #[inline(always)]
    fn rank(node: &Line, key: u64) -> u32 {
        index::rank(node, key)
    }

    #[inline(always)]
    fn find_each(lines: &[Line], addrs: &[u128], words: &[Word; LANES], out: &mut [u32]) {
        for ((out, &addr), &word) in out.iter_mut().zip(addrs).zip(words) {
            *out = leaf::find(&leaf::load(Self::line(lines, word.at())), halves(addr).0, word.answer());
        }
    }

    #[inline(always)]
    fn host(lines: &[Line], unit: u32, host: u64) -> u32 {
        Block::new(lines, unit).find(host).unwrap_or(NO_MATCH)
    }
}

/// Instructions that look-ups can be made with. The answers are the same with any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

impl Instructions {
    /// Those that every processor has.
    pub const PLAIN: Self = Self(Set::Plain);

    /// Those that this processor has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [(Set::Avx512, vector::has_avx512()), (Set::Avx2, vector::has_avx2())];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = [];
        vectors.into_iter().filter(|&(_, is_there)| is_there).map(|(set, _)| Self(set)).chain([Self::PLAIN])
    }

    /// What they are called, in lower case.
    pub const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            Set::Plain => "plain",
        }
    }
}

impl Table {
    /// Writes to each place of `out` the record number for the address at the same place of `addrs`, or [`NO_MATCH`].
    /// Many times faster than one by one, as soon as there are a few. Each answer is that of some moment during the call;
    /// they need not all be of the same.
    ///
    /// # Panics
    /// When the two slices differ in length.
    pub fn longest_match_batch(&self, addrs: &[u128], out: &mut [u32]) {
        let fastest = Instructions::available().next().unwrap_or(Instructions::PLAIN);
        self.longest_match_batch_with(fastest, addrs, out);
    }

    /// As [`longest_match_batch`](Self::longest_match_batch), with these instructions: for telling what vectors save, and
    /// for testing on one processor what runs on others.
    ///
    /// # Panics
    /// When the two slices differ in length.
    pub fn longest_match_batch_with(&self, instructions: Instructions, addrs: &[u128], out: &mut [u32]) {
        assert_eq!(addrs.len(), out.len(), "one place for each answer");
        match instructions.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => vector::match_batch_avx512(self, addrs, out),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => vector::match_batch_avx2(self, addrs, out),
            Set::Plain => self.match_batch::<Plain>(addrs, out),
        }
    }
}
