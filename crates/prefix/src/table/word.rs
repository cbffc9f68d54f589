//! The words and numbers that tie a table together.

use super::NO_MATCH;

/// The longest prefix that covers a range of keys whole: what holds there where nothing more specific matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cover {
    /// The length plus one; 0 where there is no such prefix.
    rank: u8,
    id: u32,
}

impl Cover {
    pub(crate) const NONE: Self = Self { rank: 0, id: NO_MATCH };

    pub(crate) const fn new(len: u8, id: u32) -> Self {
        Self { rank: len + 1, id }
    }

    /// Orders covers of the same range: the longer prefix ranks higher.
    pub(crate) const fn rank(self) -> u8 {
        self.rank
    }
}

/// One slot of an index: where its child stands, and the cover of the child's range. In a slot that leads to a leaf,
/// [`Cover::NONE`] means: what the chunk's own slot says.
///
/// Bits 3 to 27 hold the line, so that what stands there, with all else clear, is the number of the line's first word. Bits 0 to
/// 2 and 28 to 31 hold the cover's rank, the lowest bits first, bits 32 to 63 its record number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

/// Lines that a table has at most, since a word numbers them in 25 bits.
pub(crate) const MAX_LINES: u32 = 1 << 25;

/// The bits of a line in a word.
const LINE: u32 = (MAX_LINES - 1) << LINE_AT;
const LINE_AT: u32 = 3;
/// The lowest bits of a rank, which stand below the line; the others stand above it.
const RANK_LOW: u32 = 7;
const RANK_HIGH_AT: u32 = 28;

impl Word {
    pub(crate) const fn new(line: u32, cover: Cover) -> Self {
        let rank = cover.rank as u32;
        let low = line << LINE_AT | rank & RANK_LOW | rank >> LINE_AT << RANK_HIGH_AT;
        Self(low as u64 | (cover.id as u64) << 32)
    }

    #[inline(always)]
    pub(crate) const fn line(self) -> u32 {
        self.at() >> LINE_AT
    }

    /// The number of the first word of its line.
    #[inline(always)]
    pub(crate) const fn at(self) -> u32 {
        self.0 as u32 & LINE
    }

    #[inline(always)]
    pub(crate) const fn answer(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) const fn cover(self) -> Cover {
        let low = self.0 as u32;
        Cover { rank: (low & RANK_LOW | low >> RANK_HIGH_AT << LINE_AT) as u8, id: self.answer() }
    }
}

/// Set in the number of an entry that leads on to the hosts of a /64. [`NO_MATCH`] has this bit too and is no such link.
pub(crate) const LINK: u32 = 1 << 31;

/// Set besides [`LINK`] when there is more than single hosts: a leaf, or a tree of so many levels.
const LINK_TREE: u32 = 1 << 30;

/// Where the prefixes inside a /64 stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// A block of single hosts, by its number of 16 bytes.
    Hosts(u32),
    /// A single leaf over the lower 64 bits, by its line.
    Leaf(u32),
    /// A tree over the lower 64 bits.
    Tree(Root),
}

impl Link {
    /// The link that an entry's number holds; the number must have [`LINK`] set and not be [`NO_MATCH`].
    #[inline]
    pub(crate) const fn of(id: u32) -> Self {
        if id & LINK_TREE == 0 {
            return Self::Hosts(id & !LINK);
        }
        let root = Root { line: id & (MAX_LINES - 1), levels: id >> 25 & 0xf };
        match root {
            Root { line, levels: 0 } => Self::Leaf(line),
            _ => Self::Tree(root),
        }
    }

    pub(crate) const fn id(self) -> u32 {
        match self {
            Self::Hosts(unit) => LINK | unit,
            Self::Leaf(line) => LINK | LINK_TREE | line,
            Self::Tree(root) => LINK | LINK_TREE | root.levels << 25 | root.line,
        }
    }
}

/// Where the top index of a tree stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) line: u32,
    /// Levels of the index, at most 8: nine to the eighth is more than there are lines.
    pub(crate) levels: u32,
}

impl Root {
    pub(crate) const fn word(self) -> u64 {
        self.line as u64 | (self.levels as u64) << 32
    }

    #[inline(always)]
    pub(crate) const fn of(word: u64) -> Self {
        Self { line: word as u32, levels: (word >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_give_back_what_went_in() {
        let cover = Cover::new(64, 0x7fff_ffff);
        let word = Word::new(MAX_LINES - 1, cover);
        assert_eq!((word.line(), word.cover(), word.answer()), (MAX_LINES - 1, cover, 0x7fff_ffff));
        let word = Word::new(7, Cover::NONE);
        assert_eq!((word.line(), word.cover(), word.answer()), (7, Cover::NONE, NO_MATCH));
        assert!(Cover::new(0, 1).rank() > Cover::NONE.rank());
    }

    #[test]
    fn links_give_back_what_went_in_and_none_is_the_number_of_no_match() {
        let deepest = Root { line: MAX_LINES - 1, levels: 8 };
        let leaves = [Link::Leaf(1), Link::Leaf(MAX_LINES - 1)];
        for link in
            [Link::Hosts(0), Link::Hosts(4 * MAX_LINES - 1), Link::Tree(deepest)].into_iter().chain(leaves)
        {
            assert_eq!(Link::of(link.id()), link);
            assert!(link.id() & LINK != 0 && link.id() != NO_MATCH);
        }
        assert_eq!(Root::of(deepest.word()), deepest);
    }
}
