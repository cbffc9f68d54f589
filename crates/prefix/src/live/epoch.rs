//! When memory that look-ups have walked may be used again.
//!
//! Time is cut into epochs. A reader notes in a cell of its own which epoch it saw when it began, and that it has ended;
//! the writer notes the epoch in which it took something out of reach, and uses it again once every reader has ended or
//! begun later. Readers write nothing but their own cell, wait for nobody and free nothing. (Epoch-based reclamation:
//! Fraser, *Practical lock-freedom*, 2004, section 5.2.3, with one writer.)

use std::sync::PoisonError;

use crate::sync::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::{Arc, AtomicU64, Mutex, fence};

/// The cell of a reader that is not reading.
const OUTSIDE: u64 = 0;

/// What readers and the writer share. The first epoch is 1.
#[derive(Debug)]
pub(crate) struct Epochs {
    now: AtomicU64,
    cells: Mutex<Vec<Arc<Cell>>>,
}

/// One reader's cell, on a cache line that no other reader writes to.
#[derive(Debug)]
#[repr(align(128))]
struct Cell(AtomicU64);

/// A reader's part.
#[derive(Debug)]
pub(crate) struct Pin {
    epochs: Arc<Epochs>,
    cell: Arc<Cell>,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self { now: AtomicU64::new(1), cells: Mutex::new(Vec::new()) }
    }

    /// The epoch of what is taken out of reach now. For the writer alone.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    /// Begins the next epoch and returns the oldest that a reader may have begun in: what was taken out of reach before
    /// that one is free. For the writer alone, after it has published whatever took the place of what it retired.
    pub(crate) fn advance(&self) -> u64 {
        let now = self.now.load(Relaxed) + 1;
        self.now.store(now, Release);
        // Together with the reader's fence: either the writer sees the reader's cell below, or the reader sees what the
        // writer has published, and so nothing of what it has retired.
        fence(SeqCst);
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.retain(|cell| Arc::strong_count(cell) > 1);
        let begun = cells.iter().map(|cell| cell.0.load(Acquire)).filter(|&epoch| epoch != OUTSIDE);
        begun.min().unwrap_or(now)
    }

    /// A reader, which begins outside.
    pub(crate) fn pin(self: &Arc<Self>) -> Pin {
        let cell = Arc::new(Cell(AtomicU64::new(OUTSIDE)));
        self.cells.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&cell));
        Pin { epochs: Arc::clone(self), cell }
    }
}

impl Pin {
    /// Runs `walk`: until it ends, nothing that it can reach is used for anything else.
    #[inline]
    pub(crate) fn during<R>(&mut self, walk: impl FnOnce() -> R) -> R {
        // An epoch that has just ended is safe too: it only makes the writer wait longer.
        self.cell.0.store(self.epochs.now.load(Acquire), Relaxed);
        fence(SeqCst);
        let result = walk();
        self.cell.0.store(OUTSIDE, Release);
        result
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        self.epochs.pin()
    }
}
