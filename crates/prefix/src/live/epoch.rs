//! When memory that look-ups have walked may be used again.
//!
//! Time is cut into epochs. A reader notes in a cell of its own which epoch it saw when it began, and that it has ended;
//! the writer notes the epoch in which it took something out of reach, and uses it again once every reader has ended or
//! begun later. Readers write nothing but their own cell, wait for nobody and free nothing. (Epoch-based reclamation:
//! Fraser, *Practical lock-freedom*, 2004, section 5.2.3, with one writer.)
//!
//! Each ordering below is needed: the model beside this file fails with any one of them weaker.

use std::sync::PoisonError;

use crate::sync::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::{Arc, AtomicU64, Mutex, fence};

/// The cell of a reader that is not reading.
const OUTSIDE: u64 = 0;

/// The writer's part.
#[derive(Debug)]
pub(crate) struct Epochs(Arc<Shared>);

/// What readers and the writer share.
#[derive(Debug)]
struct Shared {
    /// The present epoch; the first is 1.
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
    shared: Arc<Shared>,
    cell: Arc<Cell>,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared { now: AtomicU64::new(1), cells: Mutex::new(Vec::new()) }))
    }

    /// The epoch of what is taken out of reach now. For the writer alone.
    pub(crate) fn now(&self) -> u64 {
        self.0.now.load(Relaxed)
    }

    /// Begins the next epoch and returns the oldest that a reader may have begun in: what was taken out of reach before
    /// that one is free. For the writer alone, after it has published whatever took the place of what it retired.
    pub(crate) fn advance(&self) -> u64 {
        let now = self.now() + 1;
        // A reader that begins in this epoch sees what the writer has published before.
        self.0.now.store(now, Release);
        // Together with the reader's fence: either the writer sees the reader's cell below, or the reader sees what the
        // writer has published, and so nothing of what it has retired.
        fence(SeqCst);
        let mut cells = self.0.cells.lock().unwrap_or_else(PoisonError::into_inner);
        // What a reader did before it went comes before the drop of the last handle on its cell, which is here.
        cells.retain(|cell| Arc::strong_count(cell) > 1);
        let begun = cells.iter().map(|cell| cell.0.load(Acquire)).filter(|&epoch| epoch != OUTSIDE);
        begun.min().unwrap_or(now)
    }

    /// A reader, which begins outside.
    pub(crate) fn pin(&self) -> Pin {
        Pin::new(&self.0)
    }
}

impl Pin {
    fn new(shared: &Arc<Shared>) -> Self {
        let cell = Arc::new(Cell(AtomicU64::new(OUTSIDE)));
        shared.cells.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&cell));
        Self { shared: Arc::clone(shared), cell }
    }

    /// Runs `walk`: until it ends, nothing that it can reach is used for anything else.
    #[inline]
    pub(crate) fn during<R>(&mut self, walk: impl FnOnce() -> R) -> R {
        // An epoch that has just ended is safe too: it only makes the writer wait longer. The fence makes this acquire.
        let now = self.shared.now.load(Relaxed);
        // To the writer this may be the first sign of the end of the walk before.
        self.cell.0.store(now, Release);
        fence(SeqCst);
        let result = walk();
        self.cell.0.store(OUTSIDE, Release);
        result
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        Self::new(&self.shared)
    }
}

#[cfg(all(test, loom))]
#[path = "epoch_model.rs"]
mod model;
