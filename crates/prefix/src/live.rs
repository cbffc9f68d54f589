//! One writer, and readers that never wait.

mod edit;
pub(crate) mod epoch;
mod limbo;
mod stage;

use core::cell::OnceCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use self::edit::{Change, Tree};
use self::epoch::{Epochs, Pin};
use self::limbo::Limbo;
use self::stage::Stage;
use crate::table::build::{build, checked};
use crate::table::hosts::Block;
use crate::table::leaf::Entry;
use crate::table::memory::{Memory, lower, upper};
use crate::table::space::{Full, Piece, Space};
use crate::table::word::{Link, Root};
use crate::{MAX_PREFIXES, MAX_RECORD, Prefix, Table, TableError, Trie};

/// Prefixes that a tree inside a /64 is left with when it may become a leaf or a block again: fewer than those take at
/// most, so that it does not soon become a tree again.
const BLOCK_AGAIN: usize = 8;

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
        let items = checked(items, MAX_PREFIXES as usize)?;
        let (table, space) = build(&items)?;
        let (table, epochs) = (Arc::new(table), Epochs::new());
        Ok(Self {
            trie: items.into_iter().collect(),
            limbo: Limbo::new(&epochs),
            shared: Arc::new(ArcSwap::new(Arc::clone(&table))),
            retired: Vec::new(),
            table,
            space,
            epochs,
        })
    }

    /// Stores `record` under `prefix` and returns the record that it replaces.
    ///
    /// Takes about two microseconds for a prefix that lies inside one leaf, as nearly all do. When the table has outgrown its
    /// address space, it is built anew, once with twice as much.
    ///
    /// # Errors
    /// When `record` is over [`MAX_RECORD`], or the table can hold no more; nothing has changed then.
    pub fn insert(&mut self, prefix: Prefix, record: u32) -> Result<Option<u32>, TableError> {
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

    /// Removes exactly `prefix` and returns its record.
    pub fn remove(&mut self, prefix: Prefix) -> Option<u32> {
        let old = self.trie.remove(prefix)?;
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
        let (table, space) = build(&items)?;
        self.trie = items.into_iter().collect();
        self.swap(table, space);
        Ok(())
    }

    /// All prefixes, in order, with their covering chains.
    pub const fn trie(&self) -> &Trie<u32> {
        &self.trie
    }

    /// The table that readers walk, which stays as it is for as long as it is borrowed from here.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The memory of the table, in bytes, of which readers walk a part; the rest is free for the next changes.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
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
        let table = Arc::clone(&self.table);
        self.tree(&table, Stage::Upper, table.root(), change, &|root| table.publish(root)).apply()
    }

    fn tree<'a>(
        &'a mut self,
        table: &'a Table,
        stage: Stage,
        root: Root,
        change: Change,
        publish: &'a dyn Fn(Root),
    ) -> Tree<'a> {
        let Self { space, limbo, trie, .. } = self;
        Tree {
            lines: &table.lines,
            space,
            limbo,
            trie,
            stage,
            root,
            change,
            publish,
            parent: OnceCell::new(),
        }
    }

    /// As [`change`](Self::change), for a prefix inside a /64.
    fn change_inside(&mut self, prefix: Prefix, record: Option<u32>) -> Result<(), Full> {
        let subnet = upper(Prefix::containing(prefix.first(), 64), 0);
        let table = Arc::clone(&self.table);
        let none = Change::Insert(subnet);
        let link = self.tree(&table, Stage::Upper, table.root(), none, &|_| ()).link(subnet.start);
        let inside = match link.map(Link::of) {
            None => self.all_inside(&table, prefix)?,
            Some(Link::Leaf(line)) => {
                self.limbo.retire(Piece::Line(line));
                self.all_inside(&table, prefix)?
            }
            Some(Link::Hosts(unit)) => {
                let block = Block::new(&table.lines, unit);
                self.limbo.retire(Piece::Hosts(unit, block.units()));
                self.change_hosts(&table, &block, prefix, record)?
            }
            Some(Link::Tree(root)) => self.change_tree(&table, root, prefix, record)?,
        };
        let id = inside.map(Link::id);
        if id == link {
            return Ok(());
        }
        let entry = |id| Entry { id, ..subnet };
        match (id, link) {
            (Some(id), _) => self.change_upper(Change::Insert(entry(id))),
            (None, Some(link)) => self.change_upper(Change::Remove(entry(link))),
            (None, None) => Ok(()),
        }
    }

    /// Everything inside the /64 of `prefix`, in a form of its own.
    fn all_inside(&mut self, table: &Table, prefix: Prefix) -> Result<Option<Link>, Full> {
        let items: Vec<(Prefix, u32)> = inside(&self.trie, prefix).collect();
        if items.is_empty() {
            return Ok(None);
        }
        Memory { lines: &table.lines, space: &mut self.space }.inside(&items).map(Some)
    }

    /// A block with one host more or less, or another record for it.
    fn change_hosts(
        &mut self,
        table: &Table,
        block: &Block<'_>,
        prefix: Prefix,
        record: Option<u32>,
    ) -> Result<Option<Link>, Full> {
        if prefix.len() < 128 {
            return self.all_inside(table, prefix);
        }
        let (mut hosts, host) = (block.decode(), lower(prefix, 0).start);
        match (hosts.binary_search_by_key(&host, |&(host, _)| host), record) {
            (Ok(at), Some(record)) => hosts[at].1 = record,
            (Err(at), Some(record)) => hosts.insert(at, (host, record)),
            (Ok(at), None) => drop(hosts.remove(at)),
            (Err(_), None) => {}
        }
        if hosts.is_empty() {
            return Ok(None);
        }
        match (Memory { lines: &table.lines, space: &mut self.space }).hosts(&hosts)? {
            Some(link) => Ok(Some(link)),
            None => self.all_inside(table, prefix),
        }
    }

    /// A tree with one prefix more or less, or another record for it; few hosts become a block again.
    fn change_tree(
        &mut self,
        table: &Table,
        root: Root,
        prefix: Prefix,
        record: Option<u32>,
    ) -> Result<Option<Link>, Full> {
        let entry = lower(prefix, record.unwrap_or_default());
        let stage = Stage::Inside(upper(prefix, 0).start);
        let few = inside(&self.trie, prefix).take(BLOCK_AGAIN + 1).map(|(prefix, _)| prefix.len() == 128);
        let few: Vec<bool> = few.collect();
        if record.is_none() && few.len() <= BLOCK_AGAIN && few.iter().all(|&is_host| is_host) {
            let block = self.all_inside(table, prefix)?;
            self.tree(table, stage, root, Change::Insert(entry), &|_| ()).retire();
            return Ok(block);
        }
        let change = match record {
            Some(_) => Change::Insert(entry),
            None => Change::Remove(entry),
        };
        let mut tree = self.tree(table, stage, root, change, &|_| ());
        tree.apply()?;
        Ok(Some(Link::Tree(tree.root)))
    }

    /// Notes a change, and frees what it can.
    fn settle(&mut self) {
        self.limbo.settle(&self.epochs, &mut self.space);
        self.table.account(self.trie.len(), &self.space);
    }

    /// Builds the table anew from the trie.
    fn rebuild(&mut self) -> Result<(), TableError> {
        let items: Vec<(Prefix, u32)> = self.trie.iter().map(|(prefix, &record)| (prefix, record)).collect();
        let (table, space) = build(&items)?;
        self.swap(table, space);
        Ok(())
    }

    fn swap(&mut self, table: Table, space: Space) {
        self.table = Arc::new(table);
        self.space = space;
        // What waited belongs to the table before, and goes with it.
        self.limbo = Limbo::new(&self.epochs);
        self.retired.push(self.shared.swap(Arc::clone(&self.table)));
        self.reclaim();
    }
}

/// The prefixes inside the /64 of `prefix`, in order.
fn inside(trie: &Trie<u32>, prefix: Prefix) -> impl Iterator<Item = (Prefix, u32)> {
    let all = trie.covered_by(Prefix::containing(prefix.first(), 64));
    all.filter(|(prefix, _)| prefix.len() > 64).map(|(prefix, &record)| (prefix, record))
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
