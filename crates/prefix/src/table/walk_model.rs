//! The fall-back from word to word, under a model checker.
//!
//! A look-up whose leaf has no answer takes that of the chunk, and the two words belong together only if the leaf's is
//! still the same afterwards ([`Place::inherited`]). Here is a tree of one leaf, of words alone: a root, two places for a
//! top index of one slot, and two for a chunk of one slot. The writer makes the stores of its changes in their order, and
//! the look-up makes the loads of [`Table::find`] in theirs; nodes and leaves do not change and are left out.
//!
//! Each history gives the address answers that follow one another, and hides [`NEVER`] from it throughout. A look-up that
//! mixes two moments answers with that or with nothing at all. The answers of one reader never go back either.
//!
//! Modelled are every order of the steps, and every value that a load may return by the C++20 memory model. Not modelled is
//! that lines are used again: that they are not while a look-up goes on is the epochs' part, which has its own model.

use std::sync::Arc as Outside;
use std::sync::atomic::AtomicUsize as Tally;

use loom::thread;

use super::*;
use crate::sync::Ordering::{self, Acquire, Relaxed, Release};
use crate::sync::{Arc, AtomicU64};
use crate::table::word::Cover;

/// A record that covers the address in some states and is the longest in none.
const NEVER: u32 = 99;

/// Look-ups of the reader.
const LOOKUPS: usize = 2;

/// What a look-up or a writer does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The leaf's word is not compared with what it was.
    NoSecondLook,
    /// The leaf's word is looked at again before the chunk's.
    EarlySecondLook,
    /// The top's word may lead to another chunk by now.
    OtherChunk,
    /// The tree may begin at another top index by now.
    OtherTop,
    /// The root is loaded without acquire.
    CarelessRoot,
    /// The top's word is loaded without acquire on the way down.
    CarelessTop,
    /// The leaf's word is loaded without acquire on the way down.
    CarelessLeaf,
    /// The top's word is loaded without acquire for its cover.
    CarelessCover,
    /// A leaf that inherits again stands in the line in which it stood before.
    SameLine,
}

impl Flaw {
    /// Acquire, or nothing.
    fn unless(self, flaw: Self) -> Ordering {
        if self == flaw { Relaxed } else { Acquire }
    }
}

/// A change of one word.
#[derive(Clone, Copy)]
enum Step {
    Root(u64),
    Top(usize, u64),
    Leaf(usize, u64),
}

/// What the words are at first, how they change, and the answers that the address has one after another.
struct History {
    tops: [u64; 2],
    leaves: [u64; 2],
    steps: Vec<Step>,
    answers: &'static [u32],
}

const fn top_at(line: u32) -> u64 {
    Root { line, levels: 1 }.word()
}

/// The word of a chunk that a wide prefix covers.
const fn chunk_at(line: u32, wide: u32) -> u64 {
    Word::new(line, Cover::new(16, wide)).0
}

/// The word of a leaf that a narrower prefix covers.
const fn covered(line: u32, narrow: u32) -> u64 {
    Word::new(line, Cover::new(48, narrow)).0
}

/// The word of a leaf for which the chunk's speaks.
const fn inheriting(line: u32) -> u64 {
    Word::new(line, Cover::NONE).0
}

/// A narrow prefix comes and goes, and while it stands the wide one changes unseen.
fn narrow_comes_and_goes(flaw: Flaw) -> History {
    let fresh = if flaw == Flaw::SameLine { 1 } else { 2 };
    History {
        tops: [chunk_at(0, 10), 0],
        leaves: [inheriting(1), 0],
        steps: vec![
            Step::Leaf(0, covered(1, 11)),
            Step::Top(0, chunk_at(0, NEVER)),
            Step::Top(0, chunk_at(0, 12)),
            Step::Leaf(0, inheriting(fresh)),
        ],
        answers: &[10, 11, 12],
    }
}

/// The same after the chunk was laid anew, so that the words of the old one change no more.
fn chunk_moves(_: Flaw) -> History {
    History {
        tops: [chunk_at(0, 10), 0],
        leaves: [inheriting(1), 0],
        steps: vec![
            Step::Leaf(1, inheriting(1)),
            Step::Top(0, chunk_at(1, 10)),
            Step::Leaf(1, covered(1, 11)),
            Step::Top(0, chunk_at(1, NEVER)),
        ],
        answers: &[10, 11],
    }
}

/// The top is laid anew, the wide prefix changes in the new one alone, and the narrow one goes.
fn top_moves(_: Flaw) -> History {
    History {
        tops: [chunk_at(1, NEVER), 0],
        leaves: [0, covered(1, 10)],
        steps: vec![
            Step::Top(1, chunk_at(1, NEVER)),
            Step::Root(top_at(1)),
            Step::Top(1, chunk_at(1, 11)),
            Step::Leaf(1, inheriting(2)),
        ],
        answers: &[10, 11],
    }
}

/// The words of a tree of one leaf.
struct Words {
    flaw: Flaw,
    root: AtomicU64,
    tops: [AtomicU64; 2],
    leaves: [AtomicU64; 2],
}

impl Words {
    fn new(flaw: Flaw, history: &History) -> Self {
        Self {
            flaw,
            root: AtomicU64::new(top_at(0)),
            tops: history.tops.map(AtomicU64::new),
            leaves: history.leaves.map(AtomicU64::new),
        }
    }

    fn apply(&self, step: Step) {
        let (cell, word) = match step {
            Step::Root(word) => (&self.root, word),
            Step::Top(at, word) => (&self.tops[at], word),
            Step::Leaf(at, word) => (&self.leaves[at], word),
        };
        cell.store(word, Release);
    }

    fn root(&self) -> Root {
        Root::of(self.root.load(self.flaw.unless(Flaw::CarelessRoot)))
    }

    fn top(&self, root: Root, ordering: Ordering) -> Word {
        Word(self.tops[root.line as usize].load(ordering))
    }

    fn leaf(&self, chunk: u32, ordering: Ordering) -> Word {
        Word(self.leaves[chunk as usize].load(ordering))
    }

    /// As [`Table::find`] and [`Place::at`]. Counts how often it begins anew.
    fn find(&self, again: &Tally) -> u32 {
        loop {
            let root = self.root();
            let chunk = self.top(root, self.flaw.unless(Flaw::CarelessTop)).line();
            let word = self.leaf(chunk, self.flaw.unless(Flaw::CarelessLeaf));
            if word.answer() != NO_MATCH {
                return word.answer();
            }
            if let Some(inherited) = self.inherited(root, chunk, word) {
                return inherited;
            }
            again.fetch_add(1, Relaxed);
        }
    }

    /// As [`Place::inherited`].
    fn inherited(&self, root: Root, chunk: u32, word: Word) -> Option<u32> {
        let now = self.root();
        let early = (self.flaw == Flaw::EarlySecondLook).then(|| self.leaf(chunk, Acquire));
        let outer = self.top(root, self.flaw.unless(Flaw::CarelessCover));
        let second = early.unwrap_or_else(|| self.leaf(chunk, Acquire));
        let same_leaf = second == word || self.flaw == Flaw::NoSecondLook;
        let same_chunk = outer.line() == chunk || self.flaw == Flaw::OtherChunk;
        let same_top = now == root || self.flaw == Flaw::OtherTop;
        (same_leaf && same_chunk && same_top).then(|| outer.answer())
    }

    /// Look-ups of one reader; the last answer's place in `answers`.
    fn read(&self, answers: &[u32], again: &Tally) -> usize {
        let mut last = 0;
        for _ in 0..LOOKUPS {
            let found = self.find(again);
            let place = answers.iter().position(|&answer| answer == found);
            let place = place.expect("what was found was never the answer");
            assert!(place >= last, "the answer went back");
            last = place;
        }
        last
    }
}

/// What happened in how many of the runs, counted where the model does not look.
#[derive(Default)]
struct Runs {
    /// Look-ups that saw a change between two of their loads.
    again: Tally,
    /// Readers by the answer that they saw last.
    last: [Tally; 3],
}

/// Runs a history beside a reader, in every order.
fn check(flaw: Flaw, history: fn(Flaw) -> History) -> Outside<Runs> {
    let runs = Outside::new(Runs::default());
    let tallies = Outside::clone(&runs);
    loom::model(move || {
        let history = history(flaw);
        let words = Arc::new(Words::new(flaw, &history));
        let reader = {
            let (words, tallies) = (Arc::clone(&words), Outside::clone(&tallies));
            thread::spawn(move || {
                let last = words.read(history.answers, &tallies.again);
                tallies.last[last].fetch_add(1, Relaxed);
            })
        };
        history.steps.iter().for_each(|&step| words.apply(step));
        reader.join().expect("a look-up comes to its end");
    });
    runs
}

fn check_good(history: fn(Flaw) -> History) {
    let runs = check(Flaw::None, history);
    assert!(runs.again.load(Relaxed) > 0, "a change came between two loads in some run");
    let answers = history(Flaw::None).answers;
    let each = runs.last.iter().take(answers.len());
    assert!(each.clone().all(|last| last.load(Relaxed) > 0), "each answer is some reader's last");
}

#[test]
fn no_moments_are_mixed_while_a_narrow_prefix_comes_and_goes() {
    check_good(narrow_comes_and_goes);
}

#[test]
fn no_moments_are_mixed_while_a_chunk_moves() {
    check_good(chunk_moves);
}

#[test]
fn no_moments_are_mixed_while_the_top_moves() {
    check_good(top_moves);
}

macro_rules! found {
    ($($name:ident: $flaw:ident in $history:ident,)*) => {$(
        #[test]
        #[should_panic(expected = "was never the answer")]
        fn $name() {
            check(Flaw::$flaw, $history);
        }
    )*};
}

found! {
    a_missing_second_look_is_found: NoSecondLook in narrow_comes_and_goes,
    a_second_look_that_comes_too_early_is_found: EarlySecondLook in narrow_comes_and_goes,
    a_word_that_becomes_what_it_was_is_found: SameLine in narrow_comes_and_goes,
    a_cover_that_is_read_carelessly_is_found: CarelessCover in narrow_comes_and_goes,
    a_chunk_that_has_moved_is_found: OtherChunk in chunk_moves,
    a_top_word_that_is_read_carelessly_is_found: CarelessTop in chunk_moves,
    a_top_that_has_moved_is_found: OtherTop in top_moves,
    a_leaf_word_that_is_read_carelessly_is_found: CarelessLeaf in top_moves,
    a_root_that_is_read_carelessly_is_found: CarelessRoot in top_moves,
}
