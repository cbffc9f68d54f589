//! Epochs under a model checker.
//!
//! One writer moves a word from line to line and gives back each line that the word has left; readers follow the word. A
//! line is a cell of loom's that knows no ordering of its own: loom fails as soon as a line is written that somebody may
//! still be reading, that is, unless each reading happens before the writing.
//!
//! What is modelled: every order of the threads' steps, and for each load every value that the C++20 memory model lets it
//! return. A release store is followed by read-modify-writes alone in its release sequence, so that a later plain store of
//! the same thread hands nothing on. `fence(SeqCst)` is modelled as happening before each such fence that comes later,
//! which is more than the standard promises; nothing here leans on the difference, since a walk takes its line from the
//! word by an acquiring load. The handles' count is read by an acquiring load too, the standard library's by a relaxed one;
//! there the drop of the last handle, which follows, acquires. What is not modelled: a load that returns what is stored
//! later. It would be a read of a line after its walk, and the cells that stand for lines catch those by their order.

use std::sync::Arc as Outside;
use std::sync::atomic::AtomicUsize as Tally;

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::thread;

use super::*;
use crate::live::limbo::Limbo;
use crate::sync::Ordering;
use crate::table::space::{Piece, Space};

/// Changes that the writer makes: the second may use the line again that the first has left.
const CHANGES: usize = 2;
/// Lines, so that there is one for each change even if none is freed.
const LINES: usize = CHANGES + 1;
/// Walks of a reader: what the first leaves behind must hold when the second has begun.
const WALKS: usize = 2;

/// How often a thread is interrupted in one run at most; going on when the other has ended does not count. Each flaw shows
/// with three.
const PREEMPTIONS: usize = 4;

/// A way to tell when a line may be used again.
trait Scheme {
    type Reader: Walker;

    fn reader(&self) -> Self::Reader;

    /// A line to write.
    fn line(&mut self) -> usize;

    /// Gives back a line that is out of reach, and frees what may be used again. Returns how many lines wait.
    fn give_back(&mut self, line: usize) -> usize;
}

trait Walker: Clone + Send + 'static {
    fn during(&mut self, walk: impl FnOnce());
}

/// The crate's own, with the lists that the writer keeps.
struct Own {
    epochs: Epochs,
    limbo: Limbo,
    space: Space,
}

impl Own {
    fn new() -> Self {
        let epochs = Epochs::new();
        Self { limbo: Limbo::new(&epochs), epochs, space: Space::new(1, LINES as u32) }
    }
}

impl Scheme for Own {
    type Reader = Pin;

    fn reader(&self) -> Pin {
        self.epochs.pin()
    }

    fn line(&mut self) -> usize {
        self.space.line().expect("there is one for each change") as usize
    }

    fn give_back(&mut self, line: usize) -> usize {
        self.limbo.retire(Piece::Line(line as u32));
        self.limbo.reclaim(&self.epochs, &mut self.space);
        self.limbo.len()
    }
}

impl Walker for Pin {
    fn during(&mut self, walk: impl FnOnce()) {
        Self::during(self, walk);
    }
}

/// What is missing in a [`Sketch`] of the scheme.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The reader notes where it is and looks, without a fence in between.
    ReaderFence,
    /// The writer publishes and looks at the cells, without a fence in between.
    WriterFence,
    /// The epoch is stored without release.
    Epoch,
    /// The cell is stored without release when a walk begins.
    Begin,
    /// The cell is stored without release when a walk ends.
    End,
    /// The cells are loaded without acquire.
    Cells,
    /// The writer frees at once, whatever the cells say.
    Patience,
}

/// The scheme once more, in few words, for one reader, and with a flaw if so wanted.
struct Sketch {
    flaw: Flaw,
    now: Arc<AtomicU64>,
    cell: Arc<AtomicU64>,
    waiting: Vec<(u64, usize)>,
    free: Vec<usize>,
}

#[derive(Clone)]
struct SketchReader {
    flaw: Flaw,
    now: Arc<AtomicU64>,
    cell: Arc<AtomicU64>,
}

impl Flaw {
    /// This ordering, or none.
    fn unless(self, flaw: Self, ordering: Ordering) -> Ordering {
        if self == flaw { Relaxed } else { ordering }
    }

    fn fence_unless(self, flaw: Self) {
        if self != flaw {
            fence(SeqCst);
        }
    }
}

impl Sketch {
    fn new(flaw: Flaw) -> Self {
        let word = |value| Arc::new(AtomicU64::new(value));
        Self {
            flaw,
            now: word(1),
            cell: word(OUTSIDE),
            waiting: Vec::new(),
            free: (1..LINES).rev().collect(),
        }
    }
}

impl Scheme for Sketch {
    type Reader = SketchReader;

    fn reader(&self) -> SketchReader {
        SketchReader { flaw: self.flaw, now: Arc::clone(&self.now), cell: Arc::clone(&self.cell) }
    }

    fn line(&mut self) -> usize {
        self.free.pop().expect("there is one for each change")
    }

    fn give_back(&mut self, line: usize) -> usize {
        let now = self.now.load(Relaxed);
        self.waiting.push((now, line));
        self.now.store(now + 1, self.flaw.unless(Flaw::Epoch, Release));
        self.flaw.fence_unless(Flaw::WriterFence);
        let begun = self.cell.load(self.flaw.unless(Flaw::Cells, Acquire));
        let oldest = if begun == OUTSIDE || self.flaw == Flaw::Patience { now + 1 } else { begun };
        let (free, waiting) = self.waiting.iter().partition(|(epoch, _)| *epoch < oldest);
        self.waiting = waiting;
        self.free.extend(Vec::into_iter(free).map(|(_, line): (u64, usize)| line));
        self.waiting.len()
    }
}

impl Walker for SketchReader {
    fn during(&mut self, walk: impl FnOnce()) {
        let now = self.now.load(Relaxed);
        self.cell.store(now, self.flaw.unless(Flaw::Begin, Release));
        self.flaw.fence_unless(Flaw::ReaderFence);
        walk();
        self.cell.store(OUTSIDE, self.flaw.unless(Flaw::End, Release));
    }
}

/// All lines, and the word that leads to one of them.
struct Memory {
    word: AtomicU64,
    lines: [UnsafeCell<()>; LINES],
}

impl Memory {
    fn new() -> Self {
        Self { word: AtomicU64::new(0), lines: Default::default() }
    }

    fn walk(&self) {
        let at = self.word.load(Acquire) as usize;
        self.lines[at].with(|_| ());
    }

    /// Writes another line and lets the word lead there. Returns the line that it has left.
    fn change(&self, line: usize) -> usize {
        let old = self.word.load(Relaxed) as usize;
        self.lines[line].with_mut(|_| ());
        self.word.store(line as u64, Release);
        old
    }
}

/// What happened in how many of the runs, counted where the model does not look.
#[derive(Default)]
struct Runs {
    /// A line had to wait for a reader.
    held_back: Tally,
    /// A line was used again while a reader walked.
    used_again: Tally,
}

fn count(tally: &Tally) {
    tally.fetch_add(1, Relaxed);
}

fn counted(tally: &Tally) -> usize {
    tally.load(Relaxed)
}

/// The writer's changes, with what happens beside them.
fn write<S: Scheme>(mut scheme: S, memory: &Memory, walking: &Tally, runs: &Runs) {
    let mut used = [false; LINES];
    for _ in 0..CHANGES {
        let line = scheme.line();
        let old = memory.change(line);
        if used[line] && counted(walking) > 0 {
            count(&runs.used_again);
        }
        used[old] = true;
        if scheme.give_back(old) > 0 {
            count(&runs.held_back);
        }
    }
}

/// A reader's walks, each by a reader that takes the place of the one before if `renewed`.
fn read(mut reader: impl Walker, renewed: bool, memory: &Memory, walking: &Tally) {
    for _ in 0..WALKS {
        if renewed {
            reader = reader.clone();
        }
        reader.during(|| {
            count(walking);
            memory.walk();
            walking.fetch_sub(1, Relaxed);
        });
    }
}

/// Runs one writer and one reader in every order.
fn check<S: Scheme>(renewed: bool, scheme: impl Fn() -> S + Send + Sync + 'static) -> Outside<Runs> {
    let runs = Outside::new(Runs::default());
    let inside = Outside::clone(&runs);
    let mut model = Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(move || {
        let (scheme, memory, walking) = (scheme(), Arc::new(Memory::new()), Outside::new(Tally::new(0)));
        let (reader, walked) = (scheme.reader(), Arc::clone(&memory));
        let thread = {
            let walking = Outside::clone(&walking);
            thread::spawn(move || read(reader, renewed, &walked, &walking))
        };
        write(scheme, &memory, &walking, &inside);
        thread.join().expect("a walk comes to its end");
    });
    runs
}

impl Runs {
    fn assert_interesting(&self) {
        assert!(counted(&self.held_back) > 0, "a line had to wait in some run");
        assert!(counted(&self.used_again) > 0, "a line was used again beside a walk in some run");
    }
}

#[test]
fn a_reader_never_walks_what_is_used_again() {
    check(false, Own::new).assert_interesting();
}

#[test]
fn readers_that_come_and_go_never_walk_what_is_used_again() {
    check(true, Own::new).assert_interesting();
}

#[test]
fn the_sketch_without_a_flaw_is_as_good() {
    check(false, || Sketch::new(Flaw::None)).assert_interesting();
}

macro_rules! found {
    ($($name:ident: $flaw:ident,)*) => {$(
        #[test]
        #[should_panic(expected = "Causality violation")]
        fn $name() {
            check(false, || Sketch::new(Flaw::$flaw));
        }
    )*};
}

found! {
    a_reader_without_a_fence_is_found: ReaderFence,
    a_writer_without_a_fence_is_found: WriterFence,
    an_epoch_that_hands_nothing_on_is_found: Epoch,
    a_beginning_that_hands_nothing_on_is_found: Begin,
    an_end_that_hands_nothing_on_is_found: End,
    cells_that_are_read_carelessly_are_found: Cells,
    freeing_at_once_is_found: Patience,
}
