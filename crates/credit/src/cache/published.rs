//! Handing a new cache to workers that never wait.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::Cache;

/// The place where the control plane puts a new cache and workers find it. Cloning gives another handle on the same
/// place.
///
/// A worker's look is one atomic load, and a worker sees a whole cache, the one before or the new one. Old caches are
/// not freed by whichever worker lets go last, since that would stop it for as long as a million records take; they
/// wait in here until no one holds them and are freed by [`Published::store`] or [`Published::reclaim`]. At most one
/// waits for each reader.
#[derive(Clone, Debug, Default)]
pub struct Published(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    current: Arc<ArcSwap<Cache>>,
    /// Caches that were replaced, oldest first. The lock is between writers alone.
    retired: Mutex<Vec<Arc<Cache>>>,
}

impl Published {
    /// Publishes `cache` and returns its generation, one after that of the cache before. Generations wrap after 2³²,
    /// which at one a second is 136 years.
    pub fn store(&self, mut cache: Cache) -> u32 {
        let mut retired = self.0.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.0.current.load().generation.wrapping_add(1);
        cache.generation = generation;
        retired.push(self.0.current.swap(Arc::new(cache)));
        free(&mut retired);
        generation
    }

    /// Frees the replaced caches that no reader holds any more, and returns how many are still held.
    pub fn reclaim(&self) -> usize {
        let mut retired = self.0.retired.lock().unwrap_or_else(PoisonError::into_inner);
        free(&mut retired);
        retired.len()
    }

    /// The cache of now, for the control plane.
    pub fn current(&self) -> Arc<Cache> {
        self.0.current.load_full()
    }

    /// A reader for one worker.
    pub fn reader(&self) -> Reader {
        Reader(arc_swap::Cache::new(Arc::clone(&self.0.current)))
    }
}

/// Drops what only this list holds. A count of one cannot rise again: the pointer is out of the swap, and readers clone
/// from there alone.
fn free(retired: &mut Vec<Arc<Cache>>) {
    retired.retain(|cache| Arc::strong_count(cache) > 1);
}

/// One worker's view of what is published. It holds on to a cache until it next looks.
#[derive(Clone, Debug)]
pub struct Reader(arc_swap::Cache<Arc<ArcSwap<Cache>>, Arc<Cache>>);

impl Reader {
    /// The cache to use for the next batch. One atomic load when nothing changed.
    pub fn current(&mut self) -> &Arc<Cache> {
        self.0.load()
    }
}
