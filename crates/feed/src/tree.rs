//! One hash over many things.

use tlog_tiles::{EMPTY_HASH, Error, Hash, HashReader, stored_hashes, tree_hash};

/// A Merkle tree (RFC 6962, section 2.1) that only grows: the hashes of its complete parts, two for each leaf.
#[derive(Debug, Default)]
pub struct Tree {
    hashes: Vec<Hash>,
    leaves: u64,
}

impl HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let hash = |&index: &u64| self.hashes.get(usize::try_from(index).ok()?).copied();
        indexes.iter().map(hash).collect::<Option<_>>().ok_or(Error::IndexesNotInTree)
    }
}

impl Tree {
    /// Appends a leaf.
    pub fn append(&mut self, leaf: &[u8]) {
        let added = stored_hashes(self.leaves, leaf, self).expect("the tree holds its own hashes");
        self.hashes.extend(added);
        self.leaves += 1;
    }

    /// The hash of the first `size` leaves; none when there are fewer.
    pub fn root(&self, size: u64) -> Option<[u8; 32]> {
        let hash = if size == 0 { Ok(EMPTY_HASH) } else { tree_hash(size, self) };
        hash.ok().filter(|_| size <= self.leaves).map(|hash| hash.0)
    }
}

/// The root of a tree with these leaves.
pub(crate) fn root(leaves: &[Vec<u8>]) -> [u8; 32] {
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.append(leaf));
    tree.root(tree.leaves).expect("it has so many")
}
