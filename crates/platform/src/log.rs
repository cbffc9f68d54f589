//! The public log: what was accepted, in which order, for anybody to check.
//!
//! A Merkle tree as in RFC 6962 section 2.1, served in tiles (c2sp.org/tlog-tiles) under signed checkpoints
//! (c2sp.org/tlog-checkpoint). A leaf tells when something was accepted and a hash of it, so that the log stays whole when what
//! was hashed is erased.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_credit::ActId;
use credence_feed::Tree;
use credence_feed::log::ED25519;
pub use credence_feed::log::{is_consistent, read_checkpoint};
use credence_feed::tiles::TILE_HEIGHT;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use signed_note::{Note, StandardSigner};
use tlog_tiles::{Checkpoint, Hash, RecordProof, Tile, check_record, prove_record, prove_tree, record_hash};

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// When it was accepted, in Unix seconds.
    pub accepted: u64,
    /// The identity of what was accepted, or of what is not public the SHA-256 of 32 secret bytes and of that.
    pub digest: [u8; 32],
}

impl Leaf {
    /// The leaf of an object, which is hidden behind a salt where there is one.
    pub fn of(accepted: u64, id: &ActId, salt: Option<&[u8; 32]>) -> Self {
        let hidden = |salt: &[u8; 32]| Sha256::new().chain_update(salt).chain_update(id.0).finalize().into();
        Self { accepted, digest: salt.map_or(id.0, hidden) }
    }

    /// What the log hashes: the time in eight bytes, the digest in 32.
    pub fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&self.accepted.to_be_bytes());
        bytes[8..].copy_from_slice(&self.digest);
        bytes
    }
}

/// The leaves, and the tree over them.
#[derive(Debug, Default)]
pub struct Log {
    tree: Tree,
    leaves: Vec<Leaf>,
}

impl Log {
    /// Appends a leaf.
    pub fn append(&mut self, leaf: Leaf) {
        self.tree.append(&leaf.bytes());
        self.leaves.push(leaf);
    }

    /// How many leaves there are.
    pub fn len(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// The leaf at a place.
    pub fn leaf(&self, place: u64) -> Option<&Leaf> {
        self.leaves.get(usize::try_from(place).ok()?)
    }

    /// The hash of the first `size` leaves; none when there are fewer.
    pub fn root(&self, size: u64) -> Option<[u8; 32]> {
        self.tree.root(size)
    }

    /// The hashes that lead from a leaf to the root of the first `size` leaves.
    pub fn inclusion(&self, place: u64, size: u64) -> Option<Vec<[u8; 32]>> {
        let is_there = place < size && size <= self.len();
        let proof = is_there.then(|| prove_record(size, place, &self.tree).ok()).flatten()?;
        Some(proof.iter().map(|hash| hash.0).collect())
    }

    /// The hashes by which the first `size` leaves are seen to begin with the first `before`.
    pub fn consistency(&self, before: u64, size: u64) -> Option<Vec<[u8; 32]>> {
        let is_there = 0 < before && before <= size && size <= self.len();
        let proof = is_there.then(|| prove_tree(size, before, &self.tree).ok()).flatten()?;
        Some(proof.iter().map(|hash| hash.0).collect())
    }

    /// A tile by its path, `tile/<level>/<number>` or with `.p/<width>` behind; none that the log has not filled so far.
    pub fn tile(&self, path: &str) -> Option<Vec<u8>> {
        // The crate's paths name the height as well, which has but one value here.
        let tile = Tile::from_path(&path.replacen("tile/", &format!("tile/{TILE_HEIGHT}/"), 1)).ok()?;
        let width = u64::from(if tile.width() == 0 { 1 << TILE_HEIGHT } else { tile.width() });
        let last = (tile.level_index() << TILE_HEIGHT).checked_add(width)?;
        let is_filled = u32::from(tile.level()) * u32::from(TILE_HEIGHT) < 64
            && last <= self.len() >> (tile.level() * TILE_HEIGHT);
        is_filled.then(|| tile.read_data(&self.tree).ok()).flatten()
    }
}

/// Whether a leaf stands at `place` of a tree with this root and size, by such a proof.
pub fn is_included(proof: &[[u8; 32]], size: u64, root: &[u8; 32], place: u64, leaf: &Leaf) -> bool {
    let proof: RecordProof = proof.iter().map(|hash| Hash(*hash)).collect();
    check_record(&proof, size, Hash(*root), place, record_hash(&leaf.bytes())).is_ok()
}

/// What names a log in its checkpoints, and the key that signs them.
#[derive(Clone)]
pub struct Signer {
    origin: String,
    key: StandardSigner,
}

impl Signer {
    /// A signer for the log of this name.
    pub fn new(origin: &str, key: &SigningKey) -> Self {
        let public = [&[ED25519][..], key.verifying_key().as_bytes()].concat();
        let secret = STANDARD.encode([&[ED25519][..], &key.to_bytes()].concat());
        let id = signed_note::key_id(origin, &public);
        let text = format!("PRIVATE+KEY+{origin}+{id:08x}+{secret}");
        Self {
            origin: origin.to_owned(),
            key: StandardSigner::new(&text).expect("it is written as it is read"),
        }
    }

    /// The name of its log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The signed checkpoint of the whole log.
    pub fn checkpoint(&self, log: &Log) -> Vec<u8> {
        self.checkpoint_of(log, log.len()).expect("it has as many leaves as it has")
    }

    /// The signed checkpoint of the first `size` leaves; none when there are fewer.
    pub fn checkpoint_of(&self, log: &Log, size: u64) -> Option<Vec<u8>> {
        let text = checkpoint_text(&self.origin, log, size)?;
        let mut note = Note::new(&text, &[]).expect("a checkpoint is plain text");
        note.add_sigs(&[&self.key]).expect("it is signed by one key once");
        Some(note.to_bytes())
    }
}

/// What a checkpoint of the first `size` leaves says; none when there are fewer, or the name is none.
pub fn checkpoint_text(origin: &str, log: &Log, size: u64) -> Option<Vec<u8>> {
    Some(Checkpoint::new(origin, size, Hash(log.root(size)?), "").ok()?.to_bytes())
}

/// Says nothing of the key.
impl core::fmt::Debug for Signer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Signer").field("origin", &self.origin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;

    fn leaf(number: u64) -> Leaf {
        Leaf { accepted: 1_800_000_000 + number, digest: [number as u8; 32] }
    }

    fn log(size: u64) -> Log {
        let mut log = Log::default();
        (0..size).for_each(|number| log.append(leaf(number)));
        log
    }

    /// Another implementation of the same tree comes to the same root at each size.
    #[test]
    fn roots_are_those_of_another_implementation() {
        let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let log = log(300);
        for size in 0..300 {
            let expected: [u8; 32] = other.root().as_bytes().as_slice().try_into().unwrap();
            assert_eq!(log.root(size), Some(expected), "{size} leaves");
            other.push(leaf(size).bytes().to_vec());
        }
        assert_eq!(log.root(301), None);
    }

    #[test]
    fn each_leaf_is_shown_to_be_there_and_no_other() {
        let log = log(150);
        for size in [1, 2, 3, 64, 149, 150] {
            let root = log.root(size).unwrap();
            for place in 0..size {
                let proof = log.inclusion(place, size).unwrap();
                assert!(is_included(&proof, size, &root, place, &leaf(place)));
                assert!(!is_included(&proof, size, &root, place, &leaf(place + 1)));
            }
            assert_eq!(log.inclusion(size, size), None);
        }
    }

    #[test]
    fn a_longer_log_is_shown_to_begin_with_a_shorter_one() {
        let log = log(90);
        let mut other = Log::default();
        (0..90).for_each(|number| other.append(leaf(number + u64::from(number == 40))));
        for size in 1..=90 {
            for before in 1..=size {
                let proof = log.consistency(before, size).unwrap();
                let (root, was) = (log.root(size).unwrap(), log.root(before).unwrap());
                assert!(is_consistent(&proof, size, &root, (before, &was)));
                if before > 40 {
                    let forked = other.root(before).unwrap();
                    assert!(!is_consistent(&proof, size, &root, (before, &forked)), "{before} of {size}");
                }
            }
        }
        assert_eq!((log.consistency(0, 90), log.consistency(91, 90)), (None, None));
    }

    #[test]
    fn tiles_are_those_that_are_filled() {
        let log = log(300);
        let full = log.tile("tile/0/000").unwrap();
        assert_eq!(full.len(), 256 * 32);
        assert_eq!(full[..32], record_hash(&leaf(0).bytes()).0);
        assert_eq!(log.tile("tile/0/001.p/44").map(|tile| tile.len()), Some(44 * 32));
        assert_eq!(log.tile("tile/1/000.p/1").map(|tile| tile.len()), Some(32));
        for missing in [
            "tile/0/001",
            "tile/0/001.p/45",
            "tile/1/000",
            "tile/7/000",
            "tile/63/000",
            "tile/0/x",
            "",
            "tile/",
        ] {
            assert_eq!(log.tile(missing), None, "{missing}");
        }
    }

    #[test]
    fn a_checkpoint_is_read_with_its_key_and_name_alone() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let log = log(5);
        let text = Signer::new("log.example/credence", &key).checkpoint(&log);
        let public = key.verifying_key();
        let read = |text: &[u8], origin: &str| read_checkpoint(text, origin, &public);
        assert_eq!(read(&text, "log.example/credence"), Some((5, log.root(5).unwrap())));
        assert_eq!(read(&text, "log.example/other"), None);
        assert_eq!(read_checkpoint(&text, "log.example/credence", &other.verifying_key()), None);
        for place in 0..text.len() {
            let mut changed = text.clone();
            changed[place] ^= 1;
            assert_eq!(read(&changed, "log.example/credence"), None, "byte {place}");
        }
        assert_eq!(format!("{:?}", Signer::new("log", &key)), "Signer { origin: \"log\", .. }");
    }

    #[test]
    fn what_is_hidden_tells_nothing_without_its_salt() {
        let id = ActId([7; 32]);
        assert_eq!(Leaf::of(9, &id, None).digest, id.0);
        let hidden = Leaf::of(9, &id, Some(&[1; 32])).digest;
        assert!(hidden != id.0 && hidden != Leaf::of(9, &id, Some(&[2; 32])).digest);
    }
}
