//! Publication under a model checker.
//!
//! What is checked is the law of [`Slot`]: whoever lets go of a replaced value last, it is the writer who frees it, and it
//! does free it. Modelled are the counts, the list, and every order of what writers and readers do. The swap itself is
//! arc-swap's, whose atomics no checker can take the place of; here a lock stands for it, which keeps what arc-swap
//! promises: a load and a swap each happen at one moment, a loaded value is held, and what was done before a swap is seen
//! by whoever loads what was swapped in.

use std::sync::Arc as Outside;
use std::sync::atomic::AtomicUsize as Tally;
use std::sync::atomic::Ordering::Relaxed;

use loom::thread::{self, ThreadId};

use super::*;

/// In the place of arc-swap's pointer.
#[derive(Debug, Default)]
pub(super) struct ArcSwap<T>(Mutex<Arc<T>>);

impl<T> ArcSwap<T> {
    pub(super) fn load_full(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unwrap())
    }

    pub(super) fn load(&self) -> Arc<T> {
        self.load_full()
    }

    pub(super) fn swap(&self, next: Arc<T>) -> Arc<T> {
        std::mem::replace(&mut *self.0.lock().unwrap(), next)
    }
}

/// In the place of arc-swap's reader: it lets go of what it holds when there is something else.
#[derive(Debug)]
pub(super) struct Held<T> {
    swap: Arc<ArcSwap<T>>,
    value: Arc<T>,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self { swap: Arc::clone(&self.swap), value: Arc::clone(&self.value) }
    }
}

impl<T> Held<T> {
    pub(super) fn new(swap: Arc<ArcSwap<T>>) -> Self {
        Self { value: swap.load_full(), swap }
    }

    pub(super) fn load(&mut self) -> &Arc<T> {
        let now = self.swap.load_full();
        if !Arc::ptr_eq(&now, &self.value) {
            self.value = now;
        }
        &self.value
    }
}

/// Values that are published after the first one.
const VALUES: usize = 2;
/// Looks of a reader.
const LOOKS: usize = 2;

/// What happened in all runs, counted where the model does not look.
#[derive(Default)]
struct Runs {
    /// Replaced values that a reader still held when the writer looked.
    waited: Tally,
    /// Values that a reader had to free.
    freed_by_reader: Tally,
    /// Values that were freed.
    freed: Tally,
    /// Values that were made.
    made: Tally,
}

impl Runs {
    fn count(tally: &Tally, more: usize) {
        tally.fetch_add(more, Relaxed);
    }
}

/// A value that notes who frees it.
struct Value {
    number: usize,
    writer: ThreadId,
    runs: Outside<Runs>,
}

impl Value {
    fn new(number: usize, runs: &Outside<Runs>) -> Self {
        Runs::count(&runs.made, 1);
        Self { number, writer: thread::current().id(), runs: Outside::clone(runs) }
    }

    fn next(&self) -> Self {
        Self::new(self.number + 1, &self.runs)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        Runs::count(&self.runs.freed, 1);
        Runs::count(&self.runs.freed_by_reader, usize::from(thread::current().id() != self.writer));
    }
}

/// Runs one writer, which replaces the value by `replace`, and one reader in every order.
fn check(replace: fn(&Slot<Value>)) -> Outside<Runs> {
    let runs = Outside::new(Runs::default());
    let tallies = Outside::clone(&runs);
    loom::model(move || {
        let current = Arc::new(ArcSwap(Mutex::new(Arc::new(Value::new(0, &tallies)))));
        let slot = Slot { current, retired: Mutex::default() };
        let mut held = slot.hold();
        let reader = thread::spawn(move || {
            let mut last = 0;
            for _ in 0..LOOKS {
                let number = held.load().number;
                assert!(number >= last, "a reader went back");
                last = number;
            }
        });
        for _ in 0..VALUES {
            replace(&slot);
            Runs::count(&tallies.waited, slot.reclaim());
        }
        reader.join().expect("a reader comes to its end");
        assert_eq!(slot.reclaim(), 0, "nobody holds what was replaced");
    });
    runs
}

#[test]
fn the_writer_frees_every_value_that_was_replaced() {
    let runs = check(|slot| slot.replace(|before| Arc::new(before.next())));
    assert_eq!(runs.freed_by_reader.load(Relaxed), 0);
    assert_eq!(runs.freed.load(Relaxed), runs.made.load(Relaxed));
    assert!(runs.waited.load(Relaxed) > 0, "a value had to wait for a reader in some run");
}

#[test]
fn letting_go_without_a_list_is_found() {
    let runs = check(|slot| drop(slot.current.swap(Arc::new(slot.current.load().next()))));
    assert!(runs.freed_by_reader.load(Relaxed) > 0);
}

#[test]
fn asking_for_the_count_before_the_swap_is_found() {
    let runs = check(|slot| {
        let old = slot.current.load();
        let alone = Arc::strong_count(&old) == 2;
        let swapped = slot.current.swap(Arc::new(old.next()));
        drop(old);
        if !alone {
            slot.retired.lock().unwrap().push(swapped);
        }
    });
    assert!(runs.freed_by_reader.load(Relaxed) > 0);
}
