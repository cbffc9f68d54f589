//! The public log, as whoever follows looks at it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, Tile, TileHashReader, TileReader, TreeProof, check_tree, tree_hash,
};

/// The first byte of an Ed25519 key in a signed note.
pub const ED25519: u8 = 1;

/// Whether a tree with this root and size begins with one of `before`, a size and its root, by such a proof.
pub fn is_consistent(proof: &[[u8; 32]], size: u64, root: &[u8; 32], before: (u64, &[u8; 32])) -> bool {
    let proof: TreeProof = proof.iter().map(|hash| Hash(*hash)).collect();
    check_tree(&proof, size, Hash(*root), before.0, Hash(*before.1)).is_ok()
}

/// The size and root that a checkpoint states, if this key signed it for the log of this name.
pub fn read_checkpoint(text: &[u8], origin: &str, public: &VerifyingKey) -> Option<(u64, [u8; 32])> {
    let key = [&[ED25519][..], public.as_bytes()].concat();
    let text_key = format!("{origin}+{:08x}+{}", signed_note::key_id(origin, &key), STANDARD.encode(&key));
    let verifier = StandardVerifier::new(&text_key).ok()?;
    let note = Note::from_bytes(text).ok()?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)])).ok()?;
    let checkpoint =
        Checkpoint::from_bytes(note.text()).ok().filter(|checkpoint| checkpoint.origin() == origin)?;
    Some((checkpoint.size(), checkpoint.hash().0))
}

/// The height of the log's tiles, which c2sp.org/tlog-tiles asks for: 256 hashes each.
pub const TILE_HEIGHT: u8 = 8;
/// More entries than any log has; beyond it the arithmetic of trees would end.
const SIZE_MAX: u64 = 1 << 48;

/// A tile of the log's hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileRef {
    /// Where it is, from the log's address on: `tile/0/001`, or `tile/0/001.p/44` for one that is not full.
    pub path: String,
    /// How many bytes it has: 32 for each hash.
    pub len: usize,
}

impl TileRef {
    fn of(tile: &Tile) -> Self {
        // The library's paths name the height as well, which has but one value here.
        let path = tile.path().replacen(&format!("tile/{TILE_HEIGHT}/"), "tile/", 1);
        Self { path, len: tile.width() as usize * size_of::<Hash>() }
    }
}

/// All tiles of a log of this size, which a mirror has for whoever followed the log at whatever size before.
pub fn tiles(size: u64) -> Vec<TileRef> {
    if size >= SIZE_MAX {
        return Vec::new();
    }
    Tile::new_tiles(TILE_HEIGHT, 0, size).iter().map(TileRef::of).collect()
}

/// What the tiles of a log say of its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The root that it had at that size. The tiles come to the root of the whole, so that nobody else can have made it up.
    Root([u8; 32]),
    /// These tiles are needed for that.
    Wants(Vec<TileRef>),
    /// The tiles are not those of that log.
    Wrong,
}

/// What a log of this size and root was at the size `before`, as its tiles say that are at hand, by their paths.
pub fn beginning(
    (size, root): (u64, &[u8; 32]),
    before: u64,
    tiles: &BTreeMap<String, Vec<u8>>,
) -> Beginning {
    if before == 0 || before > size || size >= SIZE_MAX {
        return Beginning::Wrong;
    }
    let shelf = Shelf { tiles, wants: RefCell::default() };
    let found = tree_hash(before, &TileHashReader::new(size, Hash(*root), &shelf));
    match (found, shelf.wants.into_inner()) {
        (Ok(root), _) => Beginning::Root(root.0),
        (Err(_), wants) if !wants.is_empty() => Beginning::Wants(wants),
        (Err(_), _) => Beginning::Wrong,
    }
}

/// Tiles that are at hand, and a note of those that were asked for in vain.
struct Shelf<'a> {
    tiles: &'a BTreeMap<String, Vec<u8>>,
    wants: RefCell<Vec<TileRef>>,
}

impl TileReader for Shelf<'_> {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let mut read = Vec::new();
        for tile in tiles.iter().map(TileRef::of) {
            match self.tiles.get(&tile.path) {
                Some(bytes) => read.push(bytes.clone()),
                None => self.wants.borrow_mut().push(tile),
            }
        }
        if self.wants.borrow().is_empty() { Ok(read) } else { Err(Error::IndexesNotInTree) }
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}
