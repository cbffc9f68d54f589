//! Handing a new cache to workers that never wait.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
#[cfg(not(all(test, loom)))]
use std::sync::{Arc, Mutex};

#[cfg(not(all(test, loom)))]
use arc_swap::ArcSwap;
use credence_prefix::{Epochs, Pin};
#[cfg(all(test, loom))]
use loom::sync::{Arc, Mutex};

#[cfg(all(test, loom))]
use self::model::{ArcSwap, Held};
use super::Cache;

/// A handle on what is published.
pub(super) type Shared<T> = Arc<T>;

/// What a reader holds on to until it next looks.
#[cfg(not(all(test, loom)))]
type Held<T> = arc_swap::Cache<Arc<ArcSwap<T>>, Arc<T>>;

/// The place where the control plane puts a new cache and workers find it. Cloning gives another handle on the same
/// place.
///
/// A worker's look is one atomic load, and a worker sees a whole cache, the one before or the new one. Old caches are
/// not freed by whichever worker lets go last, since that would stop it for as long as a million records take; they
/// wait in here until no one holds them and are freed by [`Published::store`] or [`Published::reclaim`]. At most one
/// waits for each reader.
///
/// A [`Keeper`](super::Keeper) changes the cache that is published record by record. What it takes out is used again when
/// every [`Reader`] that was reading then has ended.
#[derive(Clone, Debug, Default)]
pub struct Published {
    slot: Arc<Slot<Cache>>,
    /// When readers began to read.
    epochs: Epochs,
}

/// One pointer that is replaced now and then, and what it pointed to before.
#[derive(Debug, Default)]
struct Slot<T> {
    current: Arc<ArcSwap<T>>,
    /// What was replaced, oldest first. The lock is between writers alone.
    retired: Mutex<Vec<Arc<T>>>,
}

impl Published {
    /// Publishes `cache` and returns its generation, one after that of the cache before. Generations wrap after 2³²,
    /// which at one a second is 136 years.
    pub fn store(&self, cache: Cache) -> u32 {
        self.put(Arc::new(cache))
    }

    /// As [`Published::store`], for a cache that its keeper holds on to.
    pub(super) fn put(&self, cache: Arc<Cache>) -> u32 {
        let mut generation = 0;
        self.slot.replace(|before| {
            generation = before.generation().wrapping_add(1);
            cache.generation.store(generation, Relaxed);
            cache
        });
        generation
    }

    /// Frees the replaced caches that no reader holds any more, and returns how many are still held.
    pub fn reclaim(&self) -> usize {
        self.slot.reclaim()
    }

    /// The cache of now, for the control plane. What a number of it stands for may change while it is held, unless whoever
    /// holds it is the one who changes it.
    pub fn current(&self) -> Arc<Cache> {
        self.slot.current.load_full()
    }

    /// A reader for one worker.
    pub fn reader(&self) -> Reader {
        Reader { held: self.slot.hold(), pin: self.epochs.pin() }
    }

    /// When readers began to read, for a copy of what is published that others read.
    pub const fn epochs(&self) -> &Epochs {
        &self.epochs
    }
}

impl<T> Slot<T> {
    /// Puts in the place of the present value what `next` makes of it.
    fn replace(&self, next: impl FnOnce(&T) -> Arc<T>) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next(&self.current.load());
        retired.push(self.current.swap(next));
        free(&mut retired);
    }

    fn reclaim(&self) -> usize {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        free(&mut retired);
        retired.len()
    }

    fn hold(&self) -> Held<T> {
        Held::new(Arc::clone(&self.current))
    }
}

/// Drops what only this list holds. A count of one cannot rise again: the pointer is out of the swap, and readers clone
/// from there alone.
fn free<T>(retired: &mut Vec<Arc<T>>) {
    retired.retain(|value| Arc::strong_count(value) > 1);
}

/// One worker's view of what is published. It holds on to a cache until it next looks.
#[derive(Clone, Debug)]
pub struct Reader {
    held: Held<Cache>,
    pin: Pin,
}

impl Reader {
    /// The cache to use for the next batch. One atomic load when nothing changed.
    pub fn current(&mut self) -> &Arc<Cache> {
        self.held.load()
    }

    /// Begins a batch: until [`Reader::leave`], each number that was found under the [generation](Cache::generation) of now
    /// stands for the same record.
    #[inline]
    pub fn enter(&self) {
        self.pin.enter();
    }

    /// Ends a batch. Nothing may be read by a number of it afterwards, unless the generation is the same in the next.
    #[inline]
    pub fn leave(&self) {
        self.pin.leave();
    }
}

#[cfg(all(test, loom))]
#[path = "published_model.rs"]
mod model;
