//! One writer, and readers that never wait.

mod ahead;
mod edit;
pub(crate) mod epoch;
mod gather;
mod inside;
mod limbo;
mod mirror;
mod relay;
mod repack;
mod share;
mod splice;
mod stage;

use core::cell::OnceCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use self::ahead::{Ahead, WINDOW};
use self::edit::{Change, Scratch, Tree};
pub use self::epoch::{Elsewhere, Epochs, Pin};
use self::limbo::Limbo;
pub use self::mirror::Mirror;
use self::stage::Stage;
use crate::table::build::{ROOM, build, checked};
use crate::table::memory::{Memory, upper};
use crate::table::space::{Full, Space};
use crate::table::word::Root;
use crate::trie::Item;
use crate::{MAX_PREFIXES, MAX_RECORD, Prefix, Table, TableError, Trie};

/// Lines of address space beyond what prefixes take, where readers stay for longer than a look-up: for what thousands of changes
/// leave behind meanwhile.
const SHARED_ROOM: usize = 1 << 16;

/// The writer's end: a trie of all prefixes, and the table that readers walk, kept in step with every change.
///
/// A change is seen by look-ups that begin after it returns, and by each look-up before that either whole or not at all.
/// Dropping the publisher leaves readers with the last state.
#[derive(Debug)]
pub struct Publisher {
    trie: Trie<u32>,
    table: Arc<Table>,
    space: Space,
    limbo: Limbo,
    epochs: Epochs,
    shared: Arc<ArcSwap<Table>>,
    /// Tables that were replaced and that some reader may still hold. They wait here so that it is the writer who frees
    /// them, never a reader on the packet path. A reader holds one table, so that no more than one for each reader waits.
    retired: Vec<Arc<Table>>,
    /// How often leaves were packed anew.
    repacks: u64,
    scratch: Scratch,
    mirror: Option<Mirror>,
    /// Lines of address space for what waits for readers.
    room: usize,
}

/// A reader's end: each thread has one of its own.
pub struct Reader {
    cache: Cache<Arc<ArcSwap<Table>>, Arc<Table>>,
    pin: Pin,
}

impl Publisher {
    /// A publisher of no prefixes.
    pub fn new() -> Self {
        Self::with([]).expect("nothing is in no wrong order")
    }

    /// A publisher of `items`, which come in the order of [`Prefix`], each prefix once.
    ///
    /// # Errors
    /// As [`Table::build`].
    pub fn with(items: impl IntoIterator<Item = (Prefix, u32)>) -> Result<Self, TableError> {
        Self::within(&Epochs::new(), items, ROOM)
    }

    /// A publisher of `items`, as [`with`](Self::with), that uses memory again when those who read in `epochs` have moved on:
    /// for readers that hold more than the table, see [`shared`](Self::shared). Only one thread may publish to them.
    ///
    /// # Errors
    /// As [`Table::build`].
    pub fn sharing(
        epochs: &Epochs,
        items: impl IntoIterator<Item = (Prefix, u32)>,
    ) -> Result<Self, TableError> {
        Self::within(epochs, items, SHARED_ROOM)
    }

    fn within(
        epochs: &Epochs,
        items: impl IntoIterator<Item = (Prefix, u32)>,
        room: usize,
    ) -> Result<Self, TableError> {
        let items = checked(items, MAX_PREFIXES as usize)?;
        let (table, space) = build(&items, room)?;
        let (table, epochs) = (Arc::new(table), epochs.clone());
        Ok(Self {
            trie: Trie::of(items),
            limbo: Limbo::new(&epochs),
            shared: Arc::new(ArcSwap::new(Arc::clone(&table))),
            retired: Vec::new(),
            repacks: 0,
            scratch: Scratch::default(),
            mirror: None,
            room,
            table,
            space,
            epochs,
        })
    }

    /// Stores `record` under `prefix` and returns the record that it replaces.
    ///
    /// Takes about a microsecond for a prefix that lies inside one leaf, as nearly all do; of many changes,
    /// [`apply`](Self::apply) makes each faster, and so does a [look ahead](Self::look_ahead). When the table has outgrown its address space, it is built anew, once with
    /// twice as much.
    ///
    /// # Errors
    /// When `record` is over [`MAX_RECORD`], or the table can hold no more; nothing has changed then.
    pub fn insert(&mut self, prefix: Prefix, record: u32) -> Result<Option<u32>, TableError> {
        self.look::<1>([prefix].into_iter());
        self.insert_near(prefix, record)
    }

    /// Removes exactly `prefix` and returns its record.
    pub fn remove(&mut self, prefix: Prefix) -> Option<u32> {
        self.look::<1>([prefix].into_iter());
        self.remove_near(prefix)
    }

    /// Makes changes in their order: a prefix with a record is inserted, one without is removed, if it is there. Readers
    /// see each change as if it were made by itself, but memory is asked for many at a time.
    ///
    /// Returns the number of changes.
    ///
    /// # Errors
    /// When a change cannot be made: its place in the list and the reason, as [`insert`](Self::insert) gives it. Those
    /// before are made and stay, this one and those behind are not. Of `changes`, some more may have been taken.
    pub fn apply(
        &mut self,
        changes: impl IntoIterator<Item = (Prefix, Option<u32>)>,
    ) -> Result<usize, (usize, TableError)> {
        let (mut changes, mut made) = (changes.into_iter(), 0);
        loop {
            let mut window = [(Prefix::ALL, None); WINDOW];
            let taken =
                window.iter_mut().zip(changes.by_ref()).map(|(place, change)| *place = change).count();
            let window = &window[..taken];
            self.look_ahead(window.iter().map(|change| change.0));
            for &(prefix, record) in window {
                match record {
                    Some(record) => drop(self.insert_near(prefix, record).map_err(|error| (made, error))?),
                    None => drop(self.remove_near(prefix)),
                }
                made += 1;
            }
            if taken < WINDOW {
                return Ok(made);
            }
        }
    }

    /// How many changes are worth a [look ahead](Self::look_ahead) together.
    pub const WINDOW: usize = WINDOW;

    /// Asks for the memory that changes to these prefixes will need, at most [`WINDOW`](Self::WINDOW) of them, so that they wait for it
    /// together.
    pub fn look_ahead(&self, prefixes: impl Iterator<Item = Prefix>) {
        self.look::<WINDOW>(prefixes);
    }

    fn look<const MOST: usize>(&self, prefixes: impl Iterator<Item = Prefix>) {
        let Self { trie, table, space, .. } = self;
        Ahead { lines: &table.lines, root: table.root(), trie, space }.look::<MOST>(prefixes);
    }

    /// As [`insert`](Self::insert), behind a [look ahead](Self::look_ahead).
    ///
    /// # Errors
    /// As `insert`.
    pub fn insert_near(&mut self, prefix: Prefix, record: u32) -> Result<Option<u32>, TableError> {
        if record > MAX_RECORD {
            return Err(TableError::Record(prefix));
        }
        if self.trie.len() >= MAX_PREFIXES as usize && self.trie.get(prefix).is_none() {
            return Err(TableError::TooMany);
        }
        let old = self.trie.insert(prefix, record);
        if old == Some(record) {
            return Ok(old);
        }
        self.limbo.begin(&self.epochs);
        if self.change(prefix, Some(record)).is_err()
            && let Err(error) = self.rebuild()
        {
            match old {
                Some(old) => self.trie.insert(prefix, old),
                None => self.trie.remove(prefix),
            };
            // What the change has done before it found no room must not stay.
            self.rebuild()?;
            return Err(error);
        }
        self.settle();
        Ok(old)
    }

    /// As [`remove`](Self::remove), behind a [look ahead](Self::look_ahead).
    pub fn remove_near(&mut self, prefix: Prefix) -> Option<u32> {
        let old = self.trie.remove(prefix)?;
        self.limbo.begin(&self.epochs);
        if self.change(prefix, None).is_err() {
            self.rebuild().expect("what has been there without this prefix finds room again");
        }
        self.settle();
        Some(old)
    }

    /// Replaces all prefixes: readers go from the state before to this one, from one batch to the next.
    ///
    /// # Errors
    /// As [`Table::build`]; the prefixes before stay.
    pub fn replace(&mut self, items: impl IntoIterator<Item = (Prefix, u32)>) -> Result<(), TableError> {
        let items = checked(items, MAX_PREFIXES as usize)?;
        let (table, space) = build(&items, self.room)?;
        self.trie = Trie::of(items);
        self.swap(table, space);
        Ok(())
    }

    /// All prefixes, in order, with their covering chains.
    pub const fn trie(&self) -> &Trie<u32> {
        &self.trie
    }

    /// The table that readers walk, which stays as it is for as long as it is borrowed from here.
    pub fn table(&self) -> &Table {
        // Noted when somebody asks: these figures share a line with what readers load once a batch.
        self.table.account(self.trie.len(), &self.space);
        &self.table
    }

    /// The table that readers walk, for whoever reads in the same epochs. Another one takes its place when it has outgrown its
    /// address space or was [replaced](Self::replace); this one then stays as it was.
    pub const fn shared(&self) -> &Arc<Table> {
        &self.table
    }

    /// The memory of the table, in bytes, of which readers walk a part; the rest is free for the next changes.
    pub fn bytes(&self) -> usize {
        self.table().bytes()
    }

    /// How many times so far leaves were packed anew because one overflowed or they would do with one less. That takes a
    /// microsecond or two more than another change, which writes a line or two.
    pub const fn repacks(&self) -> u64 {
        self.repacks
    }

    /// The memory that changes have left and that some reader may still be reading, in bytes.
    pub const fn waiting_bytes(&self) -> usize {
        self.limbo.units() * 16
    }

    /// Frees what no reader holds any more, and returns how many replaced tables and how many pieces of the present one
    /// still wait. Changes do so too, now and then.
    pub fn reclaim(&mut self) -> (usize, usize) {
        self.limbo.reclaim(&self.epochs, &mut self.space);
        // Once swapped out, a table is reachable only through those who hold it already: a count of one is ours, and final.
        self.retired.retain(|table| Arc::strong_count(table) > 1);
        (self.retired.len(), self.limbo.len())
    }

    /// A new reader.
    pub fn reader(&self) -> Reader {
        Reader { cache: Cache::new(Arc::clone(&self.shared)), pin: self.epochs.pin() }
    }

    /// Brings the table in step with the trie, in which `prefix` now has this record or none.
    fn change(&mut self, prefix: Prefix, record: Option<u32>) -> Result<(), Full> {
        if prefix.len() > 64 {
            return self.change_inside(prefix, record);
        }
        let change = match record {
            Some(record) => Change::Insert(upper(prefix, record)),
            None => Change::Remove(upper(prefix, 0)),
        };
        self.change_upper(change)
    }

    fn change_upper(&mut self, change: Change) -> Result<(), Full> {
        self.upper(change).apply()
    }

    /// The tree over the upper halves, to which this happens.
    fn upper(&mut self, change: Change) -> Tree<'_> {
        let root = self.table.root();
        self.tree(Stage::Upper, root, change)
    }

    fn tree(&mut self, stage: Stage, root: Root, change: Change) -> Tree<'_> {
        let Self { table, space, limbo, trie, repacks, scratch, .. } = self;
        Tree { table, space, limbo, trie, stage, root, change, parent: OnceCell::new(), repacks, scratch }
    }

    fn memory(&mut self) -> Memory<'_> {
        Memory { lines: &self.table.lines, space: &mut self.space }
    }

    /// Frees what it can after a change.
    fn settle(&mut self) {
        self.follow();
        self.limbo.settle(&self.epochs, &mut self.space);
    }

    /// Builds the table anew from the trie.
    fn rebuild(&mut self) -> Result<(), TableError> {
        let items: Vec<_> = self.trie.iter().map(|(prefix, &record)| Item::new(prefix, record)).collect();
        let (table, space) = build(&items, self.room)?;
        self.swap(table, space);
        Ok(())
    }

    fn swap(&mut self, table: Table, space: Space) {
        self.table = Arc::new(table);
        self.space = space;
        // What waited belongs to the table before, and goes with it.
        self.limbo = Limbo::new(&self.epochs);
        self.mirror = None;
        self.retired.push(self.shared.swap(Arc::clone(&self.table)));
        self.reclaim();
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// As [`Table::longest_match_batch`], in the table of now. Costs an atomic load and a fence beyond that.
    ///
    /// # Panics
    /// When the two slices differ in length.
    #[inline]
    pub fn longest_match_batch(&mut self, addrs: &[u128], out: &mut [u32]) {
        let table = self.cache.load();
        self.pin.during(|| table.longest_match_batch(addrs, out));
    }

    /// As [`Table::longest_match`], in the table of now.
    pub fn longest_match(&mut self, addr: u128) -> Option<u32> {
        let table = self.cache.load();
        self.pin.during(|| table.longest_match(addr))
    }
}

/// A reader for another thread.
impl Clone for Reader {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), pin: self.pin.clone() }
    }
}

impl core::fmt::Debug for Reader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
