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

/// The epochs of one writer and its readers. A clone is another handle on the same ones.
#[derive(Clone, Debug)]
pub struct Epochs(Arc<Shared>);

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

/// A reader's part; each thread has one of its own.
#[derive(Debug)]
pub struct Pin {
    shared: Arc<Shared>,
    cell: Arc<Cell>,
}

/// A reader that gives no sign of itself, as a program in the kernel: it counts as reading all the time, and the writer asks
/// somebody else whether it has moved on.
#[derive(Debug)]
pub struct Elsewhere(Pin);

impl Epochs {
    /// Epochs that nobody reads in yet.
    pub fn new() -> Self {
        Self(Arc::new(Shared { now: AtomicU64::new(1), cells: Mutex::new(Vec::new()) }))
    }

    /// The epoch of what is taken out of reach now. For the writer alone.
    pub fn now(&self) -> u64 {
        self.0.now.load(Relaxed)
    }

    /// Begins the next epoch and returns the oldest that a reader may have begun in: what was taken out of reach before
    /// that one is free. For the writer alone, after it has published whatever took the place of what it retired.
    pub fn advance(&self) -> u64 {
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
    pub fn pin(&self) -> Pin {
        Pin::new(&self.0)
    }

    /// A reader that gives no sign of itself. Until it is [outwaited](Elsewhere::outwait) for the first time, nothing that is
    /// retired from now on is used again.
    pub fn elsewhere(&self) -> Elsewhere {
        let pin = self.pin();
        pin.enter();
        Elsewhere(pin)
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

impl Pin {
    fn new(shared: &Arc<Shared>) -> Self {
        let cell = Arc::new(Cell(AtomicU64::new(OUTSIDE)));
        shared.cells.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&cell));
        Self { shared: Arc::clone(shared), cell }
    }

    /// Begins to read: until [`leave`](Self::leave), nothing that can be reached is used for anything else.
    #[inline]
    pub fn enter(&self) {
        // An epoch that has just ended is safe too: it only makes the writer wait longer. The fence makes this acquire.
        let now = self.shared.now.load(Relaxed);
        // To the writer this may be the first sign of the end of the walk before.
        self.cell.0.store(now, Release);
        fence(SeqCst);
    }

    /// Ends what [`enter`](Self::enter) began.
    #[inline]
    pub fn leave(&self) {
        self.cell.0.store(OUTSIDE, Release);
    }

    /// Runs `walk`: until it ends, nothing that it can reach is used for anything else.
    #[inline]
    pub fn during<R>(&mut self, walk: impl FnOnce() -> R) -> R {
        self.enter();
        let result = walk();
        self.leave();
        result
    }
}

impl Elsewhere {
    /// Waits until the reader has left whatever was out of reach before this was called; `wait` returns when all its walks that
    /// were under way have ended, having seen to it that those which begin later see all that was stored before.
    ///
    /// # Errors
    /// Those of `wait`; the reader counts as reading where it was, then.
    pub fn outwait<E>(&mut self, wait: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let epochs = Epochs(Arc::clone(&self.0.shared));
        epochs.advance();
        let now = epochs.now();
        wait()?;
        self.0.cell.0.store(now, Release);
        Ok(())
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
