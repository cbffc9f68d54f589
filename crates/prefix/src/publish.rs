//! One writer, and readers that never wait.

use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use crate::{MAX_RECORD, Prefix, Table, TableError, Trie};

/// The writer's end: edits a trie, and publishes what it holds as a table.
///
/// Changes are seen by no reader until [`publish`](Self::publish), and then all at once. Dropping the publisher leaves
/// readers with the last table.
#[derive(Debug)]
pub struct Publisher {
    trie: Trie<u32>,
    shared: Arc<ArcSwap<Table>>,
    /// Tables that some reader may still hold. They wait here so that it is the writer who frees them, never a reader
    /// on the packet path. A reader holds one table, so that no more than one for each reader waits.
    retired: Vec<Arc<Table>>,
}

/// A reader's end: each thread has one of its own.
pub struct Reader {
    cache: Cache<Arc<ArcSwap<Table>>, Arc<Table>>,
}

impl Publisher {
    /// A publisher of no prefixes, with an empty table published.
    pub fn new() -> Self {
        Self {
            trie: Trie::new(),
            shared: Arc::new(ArcSwap::from_pointee(Table::default())),
            retired: Vec::new(),
        }
    }

    /// Stores `record` under `prefix` and returns the record that it replaces.
    ///
    /// # Errors
    /// When `record` is over [`MAX_RECORD`]; nothing has changed then.
    pub fn insert(&mut self, prefix: Prefix, record: u32) -> Result<Option<u32>, TableError> {
        if record > MAX_RECORD {
            return Err(TableError::Record(prefix));
        }
        Ok(self.trie.insert(prefix, record))
    }

    /// Removes exactly `prefix` and returns its record.
    pub fn remove(&mut self, prefix: Prefix) -> Option<u32> {
        self.trie.remove(prefix)
    }

    /// Removes every prefix.
    pub fn clear(&mut self) {
        self.trie.clear();
    }

    /// What has been edited, published or not.
    pub const fn trie(&self) -> &Trie<u32> {
        &self.trie
    }

    /// Builds a table of all prefixes and swaps it in: each reader's next [`load`](Reader::load) sees it. Takes time
    /// linear in the number of prefixes.
    ///
    /// # Errors
    /// When there are more prefixes than a table holds; the table before stays published.
    pub fn publish(&mut self) -> Result<(), TableError> {
        let table = Table::build(self.trie.iter().map(|(prefix, &record)| (prefix, record)))?;
        self.retired.push(self.shared.swap(Arc::new(table)));
        self.reclaim();
        Ok(())
    }

    /// Frees the tables that no reader holds any more and returns how many still wait. [`publish`](Self::publish) does
    /// so too; between two publications this gives memory back earlier.
    pub fn reclaim(&mut self) -> usize {
        // Once swapped out, a table is reachable only through those who hold it already: a count of one is ours, and final.
        self.retired.retain(|table| Arc::strong_count(table) > 1);
        self.retired.len()
    }

    /// A new reader, which begins with the table published last.
    pub fn reader(&self) -> Reader {
        Reader { cache: Cache::new(Arc::clone(&self.shared)) }
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// The table published last. Costs one atomic load while nothing new has been published, and never waits for the
    /// writer; meant to be called once a batch.
    #[inline]
    pub fn load(&mut self) -> &Table {
        self.cache.load()
    }
}

/// A reader for another thread.
impl Clone for Reader {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone() }
    }
}

impl core::fmt::Debug for Reader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn changes_show_on_publication_only() {
        let mut publisher = Publisher::new();
        let mut reader = publisher.reader();
        let site = prefix("2001:db8::/32");
        assert_eq!(publisher.insert(site, 7), Ok(None));
        assert_eq!(reader.load().longest_match(site.first()), None);
        publisher.publish().unwrap();
        assert_eq!(reader.load().longest_match(site.first()), Some(7));
        assert_eq!(publisher.remove(site), Some(7));
        assert_eq!(reader.load().longest_match(site.first()), Some(7));
        publisher.publish().unwrap();
        assert_eq!(reader.load().longest_match(site.first()), None);
        assert!(publisher.trie().is_empty());
    }

    #[test]
    fn a_record_number_that_no_table_can_hold_is_refused_at_the_door() {
        let mut publisher = Publisher::new();
        assert_eq!(publisher.insert(Prefix::ALL, MAX_RECORD), Ok(None));
        assert_eq!(publisher.insert(Prefix::ALL, MAX_RECORD + 1), Err(TableError::Record(Prefix::ALL)));
        assert_eq!(publisher.trie().get(Prefix::ALL), Some(&MAX_RECORD));
        assert_eq!(publisher.publish(), Ok(()));
    }

    #[test]
    fn the_writer_frees_old_tables_once_readers_have_moved_on() {
        let mut publisher = Publisher::new();
        let (mut slow, mut quick) = (publisher.reader(), publisher.reader());
        for record in 0..10 {
            publisher.insert(Prefix::ALL, record).unwrap();
            publisher.publish().unwrap();
            assert_eq!(quick.load().longest_match(0), Some(record));
        }
        assert_eq!(publisher.reclaim(), 1, "the first table, which the slow reader holds");
        assert_eq!(slow.load().longest_match(0), Some(9));
        assert_eq!(publisher.reclaim(), 0);
        drop(publisher);
        assert_eq!(slow.load().longest_match(0), Some(9));
    }

    /// Looks up `addrs` until that many versions have arrived, each of which must be whole and newer than the last.
    fn watch(reader: &mut Reader, addrs: &[u128], versions: u32) {
        // Far more than needed, so that a writer that has failed fails the test too, and does not hang it.
        const LOADS_MAX: usize = 1_000_000;
        let (mut last, mut seen, mut out) = (0, 0, vec![0; addrs.len()]);
        for _ in 0..LOADS_MAX {
            reader.load().longest_match_batch(addrs, &mut out);
            let version = out[0].wrapping_add(1); // 0 before the first
            assert!(out.iter().all(|&record| record == out[0]), "a mixture of versions: {out:?}");
            assert!(version >= last, "version {version} after {last}");
            seen += u32::from(version > last);
            last = version;
            if seen == versions {
                return;
            }
        }
        panic!("only {seen} versions arrived");
    }

    /// Every version gives its own number to prefixes all over the address space. The writer goes on until each reader
    /// has seen many versions arrive under its hands.
    #[test]
    fn readers_see_whole_versions_in_order() {
        const READERS: usize = 2;
        let prefixes: Vec<Prefix> =
            (0..64).map(|i| Prefix::containing(i << 122, if i % 2 == 0 { 128 } else { 48 })).collect();
        let addrs: Vec<u128> = prefixes.iter().map(|prefix| prefix.first()).collect();
        let mut publisher = Publisher::new();
        let mut most_retired = 0;
        thread::scope(|scope| {
            let start = |mut reader: Reader| {
                scope.spawn({
                    let addrs = &addrs;
                    move || watch(&mut reader, addrs, 50)
                })
            };
            let readers: [_; READERS] = core::array::from_fn(|_| start(publisher.reader()));
            for version in 0.. {
                if readers.iter().all(thread::ScopedJoinHandle::is_finished) {
                    break;
                }
                for &prefix in &prefixes {
                    publisher.insert(prefix, version).unwrap();
                }
                publisher.publish().unwrap();
                most_retired = most_retired.max(publisher.retired.len());
            }
        });
        assert!(most_retired <= READERS, "{most_retired} old tables for {READERS} readers");
    }
}
