//! The walker: what a reader of the documented format would write.

use core::sync::atomic::Ordering::Relaxed;

use credence_prefix::{MAGIC, Table};

/// Bounds of a node of an index.
const BOUNDS: usize = 8;
/// Levels of an index at most.
const LEVELS_MAX: u64 = 8;
/// Levels of a chunk.
const CHUNK_LEVELS: u64 = 2;
/// The number that stands where no prefix is.
const NOTHING: u32 = u32::MAX;
/// Set in the number of a leaf's entry that leads into a /64.
const LINK: u32 = 1 << 31;
/// Set besides when it leads to a tree.
const TREE: u32 = 1 << 30;

/// A table's words.
pub(super) struct Image(Vec<u64>);

/// What a walk came across.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// The lines that it loaded from, each once.
    pub(super) lines: Vec<usize>,
    /// Bits of the windows of leaves.
    pub(super) widths: Vec<u32>,
    pub(super) hosts: bool,
    pub(super) tree: bool,
    /// An entry answered that stands behind a link under which nothing was found.
    pub(super) behind_link: bool,
    pub(super) leaf_cover: bool,
    pub(super) chunk_cover: bool,
}

/// A walk under way.
struct Walk<'a> {
    words: &'a [u64],
    met: Met,
}

/// The header of a leaf, taken apart.
struct Leaf {
    /// Its first word.
    at: usize,
    /// Bits of a window, and the bit of the line at which the first begins.
    width: u32,
    first: usize,
    shift: u32,
    entries: usize,
    /// The highest bit of the keys that it is for.
    half: u64,
    base: u64,
}

impl Image {
    pub(super) fn of(table: &Table) -> Self {
        let words = table.image().iter().flat_map(|line| line.0.iter().map(|word| word.load(Relaxed)));
        Self(words.collect())
    }

    /// The record number of the longest prefix that contains `addr`, and what was met on the way.
    pub(super) fn longest_match(&self, addr: u128) -> (Option<u32>, Met) {
        let mut walk = Walk { words: &self.0, met: Met::default() };
        assert_eq!(walk.load(0), MAGIC);
        let top = walk.load(1);
        let found = walk.tree(top & 0xffff_ffff, top >> 32, (addr >> 64) as u64, Some(addr as u64));
        (found, walk.met)
    }
}

impl Walk<'_> {
    fn load(&mut self, at: usize) -> u64 {
        let line = at / 8;
        if !self.met.lines.contains(&line) {
            self.met.lines.push(line);
        }
        self.words[at]
    }

    /// The word of the slot of an index that leads to `key`.
    fn slot(&mut self, line: u64, levels: u64, key: u64) -> u64 {
        assert!((1..=LEVELS_MAX).contains(&levels), "{levels} levels");
        let (mut above, mut node) = (0, 0);
        for _ in 0..levels {
            let at = (line + above + node) as usize * 8;
            let below = (0..BOUNDS).filter(|bound| self.load(at + bound) < key).count();
            node = 9 * node + below as u64;
            above = 9 * above + 1; // (9^v - 1) / 8 of the next level v
        }
        self.load((8 * line - 2 - node) as usize)
    }

    /// What a tree says of `key`; `inside` are the lower 64 bits, where links may lead into a /64.
    fn tree(&mut self, line: u64, levels: u64, key: u64, inside: Option<u64>) -> Option<u32> {
        let outer = self.slot(line, levels, key);
        let inner = self.slot(line_of(outer), CHUNK_LEVELS, key);
        if let Some(found) = self.leaf(line_of(inner) as usize * 8, key, inside) {
            return Some(found);
        }
        if let Some(found) = cover(inner) {
            self.met.leaf_cover = true;
            return Some(found);
        }
        self.met.chunk_cover |= cover(outer).is_some();
        cover(outer)
    }

    /// What the entries of a leaf say of `key`.
    fn leaf(&mut self, at: usize, key: u64, inside: Option<u64>) -> Option<u32> {
        let leaf = self.header(at);
        self.met.widths.push(leaf.width);
        let wanted = key << 1 >> leaf.shift;
        let above = if leaf.width == 64 { 0 } else { wanted >> leaf.width };
        if key >> 63 != leaf.half || above != leaf.base {
            return None;
        }
        let wanted = wanted & (u64::MAX >> (64 - leaf.width));
        let mut failed = false;
        for place in 0..leaf.entries {
            let window = self.window(&leaf, place);
            if wanted ^ window > window ^ (window - 1) {
                continue;
            }
            let number = self.half(at, 15 - place);
            if number & LINK == 0 {
                self.met.behind_link |= failed;
                return Some(number);
            }
            let found = self.link(number, inside.expect("a tree inside a /64 has no links"));
            if found.is_some() {
                return found;
            }
            failed = true;
        }
        None
    }

    fn header(&mut self, at: usize) -> Leaf {
        let word = self.load(at);
        let (width, room, first) =
            [(16, 9, 64), (24, 8, 64), (32, 7, 64), (64, 5, 32)][(word >> 6 & 3) as usize];
        let entries = (word >> 8 & 0xf) as usize;
        assert!(entries <= room, "{entries} entries in a leaf of windows of {width} bits");
        let base = if width == 64 { 0 } else { word >> 16 & (u64::MAX >> width) };
        Leaf { at, width, first, shift: (word & 0x3f) as u32, entries, half: word >> 15 & 1, base }
    }

    fn window(&mut self, leaf: &Leaf, place: usize) -> u64 {
        (0..leaf.width as usize).fold(0, |window, bit| {
            let at = leaf.first + leaf.width as usize * place + bit;
            window | (self.load(leaf.at + at / 64) >> (at % 64) & 1) << bit
        })
    }

    /// The 32-bit number at this place of a line or block.
    fn half(&mut self, at: usize, place: usize) -> u32 {
        (self.load(at + place / 2) >> (32 * (place % 2))) as u32
    }

    fn link(&mut self, number: u32, lower: u64) -> Option<u32> {
        if number & TREE == 0 {
            return self.hosts((number & 0x3fff_ffff) as usize * 2, lower);
        }
        if number >> 25 & 0xf == 0 {
            return self.leaf((number & 0x1ff_ffff) as usize * 8, lower, None);
        }
        self.met.tree = true;
        self.tree((number & 0x1ff_ffff).into(), (number >> 25 & 0xf).into(), lower, None)
    }

    fn hosts(&mut self, at: usize, lower: u64) -> Option<u32> {
        self.met.hosts = true;
        let header = self.load(at);
        let (small, others) = ((header & 0xff) as usize, (header >> 8 & 0xff) as usize);
        let first = at + 1 + others;
        let place = if lower < 1 << 16 {
            (0..small).find(|place| self.load(first + place / 4) >> (16 * (place % 4)) & 0xffff == lower)
        } else {
            (0..others).find(|place| self.load(at + 1 + place) == lower).map(|place| small + place)
        };
        Some(self.half(first + small.div_ceil(4), place?))
    }
}

/// The line that a slot's word leads to.
fn line_of(word: u64) -> u64 {
    word >> 3 & 0x1ff_ffff
}

/// The record number of the prefix that covers all that a slot's word leads to.
fn cover(word: u64) -> Option<u32> {
    let (record, length) = ((word >> 32) as u32, word & 7 | (word >> 28 & 0xf) << 3);
    assert_eq!(record == NOTHING, length == 0, "length and number agree");
    (record != NOTHING).then_some(record)
}
