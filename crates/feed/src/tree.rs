//! One hash over many things.

use tlog_tiles::{EMPTY_HASH, Error, Hash, HashReader, stored_hashes, tree_hash};

/// The hashes of the tree's complete parts.
struct Hashes(Vec<Hash>);

impl HashReader for Hashes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let hash = |&index: &u64| self.0.get(usize::try_from(index).ok()?).copied();
        indexes.iter().map(hash).collect::<Option<_>>().ok_or(Error::IndexesNotInTree)
    }
}

/// The root of a Merkle tree with these leaves (RFC 6962, section 2.1).
pub(crate) fn root(leaves: &[Vec<u8>]) -> [u8; 32] {
    let mut hashes = Hashes(Vec::new());
    for (place, leaf) in (0..).zip(leaves) {
        let added = stored_hashes(place, leaf, &hashes).expect("the tree holds its own hashes");
        hashes.0.extend(added);
    }
    let root = if leaves.is_empty() { Ok(EMPTY_HASH) } else { tree_hash(leaves.len() as u64, &hashes) };
    root.expect("the tree holds its own hashes").0
}
