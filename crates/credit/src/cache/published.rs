//! Handing a new cache to workers that never wait.

use std::sync::PoisonError;
#[cfg(not(all(test, loom)))]
use std::sync::{Arc, Mutex};

#[cfg(not(all(test, loom)))]
use arc_swap::ArcSwap;
#[cfg(all(test, loom))]
use loom::sync::{Arc, Mutex};

#[cfg(all(test, loom))]
use self::model::{ArcSwap, Held};
use super::Cache;

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
#[derive(Clone, Debug, Default)]
pub struct Published(Arc<Slot<Cache>>);

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
    pub fn store(&self, mut cache: Cache) -> u32 {
        let mut generation = 0;
        self.0.replace(|before| {
            generation = before.generation.wrapping_add(1);
            cache.generation = generation;
            cache
        });
        generation
    }

    /// Frees the replaced caches that no reader holds any more, and returns how many are still held.
    pub fn reclaim(&self) -> usize {
        self.0.reclaim()
    }

    /// The cache of now, for the control plane.
    pub fn current(&self) -> Arc<Cache> {
        self.0.current.load_full()
    }

    /// A reader for one worker.
    pub fn reader(&self) -> Reader {
        Reader(self.0.hold())
    }
}

impl<T> Slot<T> {
    /// Puts in the place of the present value what `next` makes of it.
    fn replace(&self, next: impl FnOnce(&T) -> T) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(next(&self.current.load()));
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
pub struct Reader(Held<Cache>);

impl Reader {
    /// The cache to use for the next batch. One atomic load when nothing changed.
    pub fn current(&mut self) -> &Arc<Cache> {
        self.0.load()
    }
}

#[cfg(all(test, loom))]
#[path = "published_model.rs"]
mod model;
