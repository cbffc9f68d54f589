//! Many look-ups at once.
//!
//! They go down together, one step at a time: each step's lines are independent of each other and named ahead, so that
//! the processor waits for many at once. No step branches on what it finds, and the few look-ups that need more than a leaf
//! are finished after the others.

use core::sync::atomic::Ordering::Acquire;

use credence_memory::{Line, prefetch};

use super::index::{self, ABOVE, FANOUT, slot_at, word_at};
use super::leaf;
use super::walk::{Changed, Place, halves};
use super::word::{LINK, Link, Root, Word};
use super::{NO_MATCH, Table};

/// The steps that a processor may have better instructions for.
pub(super) trait Kernel {
    /// The line at this place, which an index or a leaf's word named.
    fn line(lines: &[Line], at: u32) -> &Line;
    /// The word at this place.
    fn word(lines: &[Line], at: usize) -> Word;
    /// The number of bounds of a node below `key`.
    fn rank(node: &Line, key: u64) -> u32;
    /// The most specific entry of any leaf that contains `key`, or `otherwise`.
    fn find(leaf: &Line, key: u64, otherwise: u32) -> u32;
}

/// How many look-ups go down together: few enough that their keys and lines stay in a core's first cache. Since the next
/// ones go down while the leaves of these arrive, more gain nothing: at a million prefixes 256 took a tenth longer.
const LANES: usize = 64;

/// Look-ups on their way down.
struct Lanes {
    root: Root,
    keys: [u64; LANES],
    /// The slot in the top index.
    outer: [u32; LANES],
    /// The line of the chunk.
    chunk: [u32; LANES],
    /// The node on the chunk's last level, then the place of the leaf's word.
    at: [u32; LANES],
    word: [Word; LANES],
}

impl Lanes {
    const NONE: Self = Self {
        root: Root { line: 0, levels: 0 },
        keys: [0; LANES],
        outer: [0; LANES],
        chunk: [0; LANES],
        at: [0; LANES],
        word: [Word(0); LANES],
    };

    fn place<'a>(&self, lines: &'a [Line], lane: usize) -> Place<'a> {
        Place {
            lines,
            root: self.root,
            outer: self.outer[lane] as usize,
            chunk: self.chunk[lane],
            slot: slot_at(self.chunk[lane], self.at[lane]),
            word: self.word[lane],
        }
    }
}

impl Table {
    /// Takes at most [`LANES`] look-ups down to their leaves, whose lines are on their way when it returns.
    #[inline(always)]
    fn descend<K: Kernel>(&self, lanes: &mut Lanes, addrs: &[u128]) {
        let lines = &*self.lines;
        let root = self.root();
        let count = addrs.len().min(LANES);
        lanes.root = root;
        for (lane, &addr) in addrs.iter().take(LANES).enumerate() {
            let key = halves(addr).0;
            lanes.keys[lane] = key;
            let mut node = 0;
            for level in 0..root.levels {
                let line = K::line(lines, root.line + ABOVE[level as usize] + node);
                node = node * FANOUT as u32 + K::rank(line, key);
            }
            lanes.outer[lane] = node;
            lanes.chunk[lane] = K::word(lines, word_at(root.line, node as usize)).line();
        }
        for lane in 0..count {
            let (key, chunk) = (lanes.keys[lane], lanes.chunk[lane]);
            let first = K::rank(K::line(lines, chunk), key);
            let second = K::rank(K::line(lines, chunk + ABOVE[1] + first), key);
            let node = first * FANOUT as u32 + second;
            lanes.at[lane] = node;
            prefetch(lines, (chunk + ABOVE[2] + node) as usize);
        }
        for lane in 0..count {
            let (key, chunk, node) = (lanes.keys[lane], lanes.chunk[lane], lanes.at[lane]);
            let slot = node * FANOUT as u32 + K::rank(K::line(lines, chunk + ABOVE[2] + node), key);
            let at = word_at(chunk, slot as usize);
            lanes.at[lane] = at as u32;
            prefetch(lines, at / 8);
        }
        for lane in 0..count {
            let word = K::word(lines, lanes.at[lane] as usize);
            lanes.word[lane] = word;
            prefetch(lines, word.line() as usize);
        }
    }

    /// The last steps: leaves, and what leads on from them.
    #[inline(always)]
    fn match_leaves<K: Kernel>(&self, lanes: &Lanes, addrs: &[u128], out: &mut [u32]) {
        let lines = &*self.lines;
        for ((out, &key), &word) in out.iter_mut().zip(&lanes.keys).zip(&lanes.word) {
            *out = K::find(K::line(lines, word.line()), key, word.answer());
        }
        if out.iter().fold(0, |all, found| all | found) & LINK != 0 {
            self.match_further(lanes, addrs, out);
        }
    }

    /// Follows links into /64s, and covers of chunks.
    fn match_further(&self, lanes: &Lanes, addrs: &[u128], out: &mut [u32]) {
        let lines = &*self.lines;
        let (mut further, mut count) = ([0_u32; LANES], 0);
        for (lane, &found) in out.iter().enumerate() {
            further[count % LANES] = lane as u32;
            count += usize::from(found & LINK != 0);
        }
        let further = &further[..count];
        for &lane in further {
            let found = out[lane as usize];
            if found != NO_MATCH
                && let Link::Hosts(unit) = Link::of(found)
            {
                prefetch(lines, unit as usize / 4);
                prefetch(lines, unit as usize / 4 + 1);
            }
        }
        for &lane in further {
            let lane = lane as usize;
            out[lane] = match out[lane] {
                NO_MATCH => self.inherited(lanes, lane),
                found => self.settle(addrs[lane], &lanes.place(lines, lane), found),
            }
            .unwrap_or_else(|_| self.find(addrs[lane]));
        }
    }

    /// As [`Place::inherited`], with no more steps than that takes.
    #[inline(always)]
    fn inherited(&self, lanes: &Lanes, lane: usize) -> Result<u32, Changed> {
        let outer = Plain::word(&self.lines, word_at(lanes.root.line, lanes.outer[lane] as usize));
        let inner = Plain::word(&self.lines, lanes.at[lane] as usize);
        let same =
            outer.line() == lanes.chunk[lane] && inner == lanes.word[lane] && self.root() == lanes.root;
        if same { Ok(outer.answer()) } else { Err(Changed) }
    }
}

/// Plain instructions, for any processor.
pub(super) struct Plain;

impl Kernel for Plain {
    #[inline(always)]
    fn line(lines: &[Line], at: u32) -> &Line {
        &lines[at as usize]
    }

    #[inline(always)]
    fn word(lines: &[Line], at: usize) -> Word {
        Word(lines[at / 8].0[at % 8].load(Acquire))
    }

    #[inline(always)]
    fn rank(node: &Line, key: u64) -> u32 {
        index::rank(node, key)
    }

    #[inline(always)]
    fn find(leaf: &Line, key: u64, otherwise: u32) -> u32 {
        leaf::find(&leaf::load(leaf), key, otherwise)
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
        assert_eq!(addrs.len(), out.len(), "one place for each answer");
        #[cfg(target_arch = "x86_64")]
        if super::avx512::is_there() {
            return super::avx512::match_batch(self, addrs, out);
        }
        self.match_batch::<Plain>(addrs, out);
    }

    /// As [`longest_match_batch`](Self::longest_match_batch), with instructions that every processor has. The answers are
    /// the same; this is for telling what vectors save, and for testing on one processor what runs on others.
    ///
    /// # Panics
    /// When the two slices differ in length.
    pub fn longest_match_batch_plain(&self, addrs: &[u128], out: &mut [u32]) {
        assert_eq!(addrs.len(), out.len(), "one place for each answer");
        self.match_batch::<Plain>(addrs, out);
    }

    /// As [`longest_match_batch`](Self::longest_match_batch), with these instructions: takes each chunk of look-ups down
    /// while the leaves of the one before arrive.
    #[inline(always)]
    pub(super) fn match_batch<K: Kernel>(&self, addrs: &[u128], out: &mut [u32]) {
        let (mut one, mut other) = (Lanes::NONE, Lanes::NONE);
        let (mut ahead, mut behind) = (&mut one, &mut other);
        let mut waiting: Option<(&[u128], &mut [u32])> = None;
        for (addrs, out) in addrs.chunks(LANES).zip(out.chunks_mut(LANES)) {
            self.descend::<K>(ahead, addrs);
            if let Some((addrs, out)) = waiting.take() {
                self.match_leaves::<K>(behind, addrs, out);
            }
            core::mem::swap(&mut ahead, &mut behind);
            waiting = Some((addrs, out));
        }
        if let Some((addrs, out)) = waiting {
            self.match_leaves::<K>(behind, addrs, out);
        }
    }
}
