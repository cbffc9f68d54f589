//! That a log goes on, seen from its tiles (c2sp.org/tlog-tiles): files that never change, so that whoever serves files alone can
//! show it.

use std::cell::RefCell;
use std::collections::VecDeque;

use tlog_tiles::{Error, Hash, Tile, TileHashReader, TileReader, prove_tree};

/// The height of tiles that the specification asks for: 256 hashes each.
pub const TILE_HEIGHT: u8 = 8;
/// The largest tile, in bytes.
pub const TILE_BYTES_MAX: usize = 32 << TILE_HEIGHT;
/// The longest log that is looked at: a million entries a second for thirty thousand years.
const SIZE_MAX: u64 = 1 << 60;

/// A proof that a log begins with its first entries, as it is put together from tiles.
#[derive(Debug)]
pub struct TiledProof {
    before: u64,
    size: u64,
    root: [u8; 32],
    wanted: VecDeque<Tile>,
    had: Vec<(Tile, Vec<u8>)>,
}

impl TiledProof {
    /// The proof that the log of `size` entries with this root begins with its first `before`; none where there is nothing to prove.
    pub fn new(before: u64, (size, root): (u64, [u8; 32])) -> Option<Self> {
        if before == 0 || before > size || size > SIZE_MAX {
            return None;
        }
        let wanted = Wanted::default();
        let reader = TileHashReader::new(size, Hash(root), &wanted);
        // It ends as soon as it is known which tiles there have to be; none are where the two are the same.
        let _ = prove_tree(size, before, &reader);
        Some(Self { before, size, root, wanted: wanted.0.into_inner().into(), had: Vec::new() })
    }

    /// The path of the tile that is wanted next, from the log's address on; none once all are there.
    pub fn wants(&self) -> Option<String> {
        self.wanted.front().map(path)
    }

    /// Takes the tile that was wanted.
    pub fn take(&mut self, bytes: Vec<u8>) {
        if let Some(tile) = self.wanted.pop_front() {
            self.had.push((tile, bytes));
        }
    }

    /// The tiles that have come, by their paths.
    pub fn tiles(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.had.iter().map(|(tile, bytes)| (path(tile), bytes.clone()))
    }

    /// The hashes of the proof (RFC 6962, section 2.1.2), to be checked with [`is_consistent`](crate::log::is_consistent): not every tile is
    /// on the way here. None while tiles are wanted, and where they are seen to be of another log.
    pub fn proof(&self) -> Option<Vec<[u8; 32]>> {
        let tiles = Had(&self.had);
        let reader = TileHashReader::new(self.size, Hash(self.root), &tiles);
        let proof = prove_tree(self.size, self.before, &reader).ok()?;
        Some(proof.iter().map(|hash| hash.0).collect())
    }
}

/// The tiles by which a log of `size` entries is seen to go on, as paths from the log's address on: those that were filled since it had
/// `before` entries, and those at its end, which are not full.
pub fn tiles_since(before: u64, size: u64) -> Vec<String> {
    let size = size.min(SIZE_MAX);
    let filled = Tile::new_tiles(TILE_HEIGHT, before.min(size), size);
    let filled = filled.into_iter().filter(|tile| tile.width() == 1 << TILE_HEIGHT);
    let at_end = (0..)
        .map(|level| (level, size.checked_shr(u32::from(level * TILE_HEIGHT)).unwrap_or(0)))
        .take_while(|(_, hashes)| *hashes > 0)
        .filter_map(|(level, hashes)| {
            let width = hashes as u32 & ((1 << TILE_HEIGHT) - 1);
            (width > 0).then(|| Tile::new(TILE_HEIGHT, level, hashes >> TILE_HEIGHT, width, false))
        });
    filled.chain(at_end).map(|tile| path(&tile)).collect()
}

/// The path of a tile. The crate's own names the height as well, which has but one value here.
fn path(tile: &Tile) -> String {
    tile.path().replacen(&format!("tile/{TILE_HEIGHT}/"), "tile/", 1)
}

/// Notes which tiles are asked for, and has none.
#[derive(Default)]
struct Wanted(RefCell<Vec<Tile>>);

impl TileReader for Wanted {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        self.0.borrow_mut().extend_from_slice(tiles);
        Err(Error::InvalidTile)
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// Tiles that are there. Whether they are the log's is seen by whoever reads them.
struct Had<'t>(&'t [(Tile, Vec<u8>)]);

impl TileReader for Had<'_> {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let had = |tile: &Tile| self.0.iter().find(|(had, _)| had == tile).map(|(_, bytes)| bytes.clone());
        tiles.iter().map(had).collect::<Option<_>>().ok_or(Error::InvalidTile)
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::log::is_consistent;
    use crate::tree::Tree;

    fn log(size: u64, seed: u64) -> Tree {
        let mut tree = Tree::default();
        (0..size).for_each(|number| tree.append(&(seed + number).to_be_bytes()));
        tree
    }

    fn root(log: &Tree, size: u64) -> [u8; 32] {
        log.root(size).unwrap()
    }

    /// What a server of files has once the log has grown through these sizes.
    fn files(log: &Tree, sizes: &[u64]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut before = 0;
        for &size in sizes {
            for path in tiles_since(before, size) {
                let tile = Tile::from_path(&path.replacen("tile/", "tile/8/", 1)).unwrap();
                files.insert(path, tile.read_data(log).unwrap());
            }
            before = size;
        }
        files
    }

    fn shown(
        files: &BTreeMap<String, Vec<u8>>,
        before: u64,
        at: (u64, [u8; 32]),
    ) -> Result<Vec<[u8; 32]>, Option<String>> {
        let mut proof = TiledProof::new(before, at).ok_or(None)?;
        while let Some(path) = proof.wants() {
            proof.take(files.get(&path).ok_or(Some(path))?.clone());
        }
        proof.proof().ok_or(None)
    }

    #[test]
    fn what_lies_in_files_shows_that_a_log_goes_on() {
        let sizes = [1, 2, 255, 256, 257, 300, 511, 512, 600, 66_000];
        let log = log(66_000, 0);
        let files = files(&log, &sizes);
        for &size in &sizes {
            let at = (size, root(&log, size));
            for before in sizes.iter().filter(|before| **before <= size).chain(&[1, 100]) {
                if *before > size {
                    continue;
                }
                let proof = shown(&files, *before, at).unwrap();
                assert!(
                    is_consistent(&proof, size, &at.1, (*before, &root(&log, *before))),
                    "{before} of {size}"
                );
            }
        }
        assert!(TiledProof::new(3, (66_000, [0; 32])).unwrap().wanted.len() <= 6, "few are wanted");
    }

    #[test]
    fn tiles_of_another_log_show_nothing() {
        let [log, other] = [log(700, 0), log(700, 1)];
        let sizes = [300, 700];
        let (at, others) = ((700, root(&log, 700)), files(&other, &sizes));
        assert_eq!(shown(&others, 300, at), Err(None));
        let good = files(&log, &sizes);
        for (path, bytes) in &good {
            for wrong in [vec![], vec![7; 31], bytes[1..].to_vec(), {
                let mut bytes = bytes.clone();
                bytes[5] ^= 1;
                bytes
            }] {
                let mut bad = good.clone();
                bad.insert(path.clone(), wrong);
                // Not every tile is checked on the way: what comes of it is.
                if let Ok(proof) = shown(&bad, 300, at) {
                    let is_good = is_consistent(&proof, at.0, &at.1, (300, &root(&log, 300)));
                    assert!(!is_good || Ok(proof) == shown(&good, 300, at), "{path}");
                }
            }
        }
    }

    #[test]
    fn sizes_that_no_log_has_are_nothing_to_prove() {
        assert!(TiledProof::new(0, (1, [0; 32])).is_none());
        assert!(TiledProof::new(2, (1, [0; 32])).is_none());
        assert!(TiledProof::new(1, (u64::MAX, [0; 32])).is_none());
        let widest = TiledProof::new(SIZE_MAX / 3, (SIZE_MAX - 1, [0; 32])).unwrap();
        assert!(widest.wanted.len() < 40, "{}", widest.wanted.len());
        assert_eq!(tiles_since(5, 5), ["tile/0/000.p/5"]);
        assert_eq!(tiles_since(250, 513), ["tile/0/000", "tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2"]);
        assert!(tiles_since(0, 0).is_empty());
    }
}
