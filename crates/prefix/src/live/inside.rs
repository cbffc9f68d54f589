//! Changes inside a /64.
//!
//! What lies there is one number in a leaf above: a link to a block of hosts, to a leaf, or to a tree of its own. A change
//! writes it anew, in the form that suits it then, and puts the new link in the place of the old; only a tree is changed in
//! place.

use super::Publisher;
use super::edit::Change;
use super::stage::Stage;
use crate::table::hosts::Block;
use crate::table::leaf::Entry;
use crate::table::memory::{lower, upper};
use crate::table::space::{Full, Piece};
use crate::table::word::{Link, Root};
use crate::{Prefix, Trie};

/// Prefixes that a tree inside a /64 is left with when it may become a leaf or a block again: fewer than those take at
/// most, so that it does not soon become a tree again.
const BLOCK_AGAIN: usize = 8;

impl Publisher {
    /// Brings the table in step with the trie, in which `prefix`, inside a /64, now has this record or none.
    pub(super) fn change_inside(&mut self, prefix: Prefix, record: Option<u32>) -> Result<(), Full> {
        let subnet = upper(Prefix::containing(prefix.first(), 64), 0);
        let link = self.upper(Change::Insert(subnet)).link(subnet.start);
        let inside = match link.map(Link::of) {
            // Whatever the trie holds in there is this one.
            None => record.map(|record| self.memory().inside([(prefix, record)])).transpose()?,
            Some(Link::Leaf(line)) => {
                self.limbo.retire(Piece::Line(line));
                self.all_inside(prefix)?
            }
            Some(Link::Hosts(unit)) => self.change_hosts(unit, prefix, record)?,
            Some(Link::Tree(root)) => self.change_tree(root, prefix, record)?,
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
    fn all_inside(&mut self, prefix: Prefix) -> Result<Option<Link>, Full> {
        let items: Vec<(Prefix, u32)> = inside(&self.trie, prefix).collect();
        if items.is_empty() {
            return Ok(None);
        }
        self.memory().inside(items).map(Some)
    }

    /// A block with one host more or less, or another record for it.
    fn change_hosts(&mut self, unit: u32, prefix: Prefix, record: Option<u32>) -> Result<Option<Link>, Full> {
        let block = Block::new(&self.table.lines, unit);
        self.limbo.retire(Piece::Hosts(unit, block.units()));
        if prefix.len() < 128 {
            return self.all_inside(prefix);
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
        match self.memory().hosts(&hosts)? {
            Some(link) => Ok(Some(link)),
            None => self.all_inside(prefix),
        }
    }

    /// A tree with one prefix more or less, or another record for it; few hosts become a block again.
    fn change_tree(&mut self, root: Root, prefix: Prefix, record: Option<u32>) -> Result<Option<Link>, Full> {
        let entry = lower(prefix, record.unwrap_or_default());
        let stage = Stage::Inside(upper(prefix, 0).start);
        if record.is_none() && self.has_few_hosts(prefix) {
            let block = self.all_inside(prefix)?;
            self.tree(stage, root, Change::Insert(entry)).retire();
            return Ok(block);
        }
        let change = match record {
            Some(_) => Change::Insert(entry),
            None => Change::Remove(entry),
        };
        let mut tree = self.tree(stage, root, change);
        tree.apply()?;
        Ok(Some(Link::Tree(tree.root)))
    }

    /// Whether what is left inside the /64 of `prefix` goes into a block, with room for more.
    fn has_few_hosts(&self, prefix: Prefix) -> bool {
        let mut left = inside(&self.trie, prefix).take(BLOCK_AGAIN + 1);
        left.by_ref().take(BLOCK_AGAIN).all(|(prefix, _)| prefix.len() == 128) && left.next().is_none()
    }
}

/// The prefixes inside the /64 of `prefix`, in order.
pub(super) fn inside(trie: &Trie<u32>, prefix: Prefix) -> impl Iterator<Item = (Prefix, u32)> {
    let all = trie.covered_by(Prefix::containing(prefix.first(), 64));
    all.filter(|(prefix, _)| prefix.len() > 64).map(|(prefix, &record)| (prefix, record))
}
