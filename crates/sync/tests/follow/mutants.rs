//! Bits that flip: of heads every single one, of every other kind of file as many as time allows.
//!
//! The usual run flips bits of heads until there are 65,536 mutants, and 2,000 of all kinds of files; `cargo xtask test --full` flips
//! 10⁶ more.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use credence_feed::{Entry, Head};
use credence_law::Signed;
use credence_platform::log::Signer;
use credence_sync::feed::{Answer, Ask, Pinned};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::rounds::with;
use crate::stage::{Gateway, Lies, Memory, Publisher, honest};
use crate::witnesses::witness;

/// Mutants of heads that there are at least, each with another single bit flipped.
const OF_HEADS: usize = 65_536;
/// Mutants of all kinds of files in the usual run, and at full length.
const OF_FILES: [usize; 2] = [2_000, 1_000_000];
/// The kinds of files.
const KINDS: [&str; 8] = ["checkpoint", "consistency", "delta", "head", "list", "rule", "shard", "tile"];
/// After how many flips it is told how many there were.
const PROGRESS: usize = 50_000;

fn flipped(good: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Every single bit of heads of one publisher, the newest of which name many deltas: none is believed, and none changes anything.
#[test]
fn no_flipped_bit_of_a_head_is_believed() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    gateway.follow(&publisher);
    let (mut mutants, mut heads) = (0, 0);
    for turn in 0_u16.. {
        publisher.now += 30;
        publisher.alert(1 + turn % 5, turn / 5);
        publisher.publish();
        // Long heads and short ones, and each time a gateway that does not know it.
        if turn % 12 == 3 {
            let good = publisher.head().0.encode();
            let (before, disk) = (gateway.follower.trusted().clone(), gateway.disk.clone());
            for bit in 0..good.len() * 8 {
                let lies = with("feed/head", flipped(&good, bit));
                assert!(gateway.lied_to(&publisher, &lies).is_err(), "bit {bit} of the head of turn {turn}");
            }
            assert_eq!((gateway.follower.trusted(), &gateway.disk), (&before, &disk));
            (mutants, heads) = (mutants + good.len() * 8, heads + 1);
            assert!(gateway.follow(&publisher));
        }
        if mutants >= OF_HEADS {
            break;
        }
    }
    println!("{mutants} mutants of {heads} heads");
    assert!(heads > 3);
}

/// A kind of file, one of that kind, and what a round asks for it.
struct Target {
    kind: &'static str,
    path: String,
    good: Vec<u8>,
}

/// What there is to flip: a publisher with witnesses whose next version is known to nobody, and what a mirror of it has.
struct Range {
    publisher: Publisher,
    pinned: Pinned,
    disk: Memory,
    mirror: BTreeMap<String, Vec<u8>>,
    targets: Vec<Target>,
}

impl Range {
    fn new() -> Self {
        let mut publisher = Publisher::new();
        for site in 0..40 {
            publisher.alert(1 + site % 5, site);
        }
        publisher.publish();
        publisher.attest(0);
        publisher.publish();
        let mut pinned = Gateway::new(&publisher).pinned;
        pinned.witnesses = [1, 2].map(|seed| witness(seed).0).into();
        pinned.witness_quorum = 2;
        let mut gateway = Gateway::on(Memory::default(), pinned.clone());
        assert!(gateway.lied_to(&publisher, &seen(&publisher)).unwrap());
        let disk = gateway.disk.clone();
        publisher.now += 60;
        let next = publisher.next_registry(|_| {});
        publisher.adopt(&next);
        publisher.alert(2, 77);
        publisher.publish();
        let mut range = Self { publisher, pinned, disk, mirror: BTreeMap::new(), targets: Vec::new() };
        let seen = seen(&range.publisher);
        // By what is known, and from nothing: between them they ask for every kind of file.
        for disk in [range.disk.clone(), Memory::default()] {
            let mut gateway = Gateway::on(disk, range.pinned.clone());
            assert!(gateway.lied_to(&range.publisher, &seen).unwrap());
            for path in gateway.asked {
                let lie = seen.get(&path).cloned();
                range.mirror.entry(path).or_insert_with(|| match lie {
                    Some(Answer::Bytes(bytes)) => bytes,
                    _ => Vec::new(),
                });
            }
        }
        range.fill();
        range
    }

    fn fill(&mut self) {
        let publisher = &self.publisher;
        let (_, head) = publisher.head();
        let list = format!("feed/files/{}", head.snapshot.name());
        let shards: Vec<_> = publisher
            .list()
            .shards
            .0
            .iter()
            .map(|shard| format!("feed/files/{}", shard.file.name()))
            .collect();
        let size = head.log_size;
        for tile in credence_feed::tiles::tiles_since(0, size) {
            self.mirror.insert(format!("log/{tile}"), publisher.desk.log().tile(&tile).unwrap());
        }
        for (path, bytes) in &mut self.mirror {
            if bytes.is_empty() {
                *bytes = had(publisher, path);
            }
            let kind = match path.as_str() {
                "feed/head" => "head",
                "log/checkpoint/witnessed" => "checkpoint",
                path if path.starts_with("feed/rules/") => "rule",
                path if path.starts_with("log/consistency/") => "consistency",
                path if path.starts_with("log/tile/") => "tile",
                path if *path == list => "list",
                path if shards.iter().any(|shard| shard == path) => "shard",
                _ => "delta",
            };
            if !bytes.is_empty() {
                self.targets.push(Target { kind, path: path.clone(), good: bytes.clone() });
            }
        }
    }

    /// Flips one bit of a target for a gateway that asks for it, and says what was believed.
    fn flip(&self, target: &Target, bit: usize) {
        let disk = match target.kind {
            "list" | "shard" | "rule" => Memory::default(),
            _ => self.disk.clone(),
        };
        let mut gateway = Gateway::on(disk, self.pinned.clone());
        let mutant = flipped(&target.good, bit);
        let is_tile = target.kind == "tile";
        let mut was_asked = false;
        let ended = gateway.refresh(self.publisher.now, |ask: &Ask| {
            let path = ask.path();
            if path == target.path {
                was_asked = true;
                return Answer::Bytes(mutant.clone());
            }
            // Tiles are asked for where there is no proof.
            if is_tile && matches!(ask, Ask::Consistency(..)) {
                return Answer::Missing;
            }
            self.mirror
                .get(&path)
                .filter(|bytes| !bytes.is_empty())
                .cloned()
                .map_or(Answer::Missing, Answer::Bytes)
        });
        assert!(was_asked, "{}: {:?}", target.path, gateway.asked);
        let (kind, path) = (target.kind, &target.path);
        match (kind, ended) {
            (_, Err(_)) => {}
            // What a delta cannot tell, the whole state does, and a proof the tiles.
            ("delta", Ok(true)) => {
                assert!(gateway.asked.iter().any(|asked| self.kind(asked) == "list"), "{bit}");
            }
            ("consistency", Ok(true)) => {
                assert!(gateway.asked.iter().any(|asked| asked.starts_with("log/tile/")), "{bit} of {path}");
            }
            // A signature more than it takes counts for nothing, flipped or not; what is signed is the same.
            ("rule", Ok(true)) => {
                let [was, is] = [&target.good, &mutant].map(|bytes| Entry::decode(bytes).unwrap());
                assert_eq!(
                    (was.accepted, was.signed.bytes()),
                    (is.accepted, is.signed.bytes()),
                    "{bit} of {path}"
                );
            }
            (kind, ended) => panic!("bit {bit} of {path}, a {kind}: {ended:?}"),
        }
        if gateway.follower.held().is_some_and(|held| held.serial == self.publisher.head().1.serial) {
            assert_eq!(gateway.records(), self.publisher.records());
        }
    }

    fn kind(&self, path: &str) -> &str {
        self.targets.iter().find(|target| target.path == path).map_or("", |target| target.kind)
    }

    /// Flips a bit of some target, both as the number says; the kind of the target.
    fn flip_number(&self, number: usize) -> &'static str {
        let kind = KINDS[number % KINDS.len()];
        let targets: Vec<_> = self.targets.iter().filter(|target| target.kind == kind).collect();
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut below = |end: usize| (random.next_u64() % end as u64) as usize;
        assert!(!targets.is_empty(), "there is no {kind}");
        let target = targets[below(targets.len())];
        self.flip(target, below(target.good.len() * 8));
        kind
    }
}

/// Flips so many bits, as many of each kind, on as many threads as there are cores; how many of which.
fn flip_all(count: usize) -> BTreeMap<&'static str, usize> {
    let (next, flips) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let go = || {
        let range = Range::new();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= count {
                return;
            }
            let kind = range.flip_number(number);
            *flips.lock().unwrap().entry(kind).or_default() += 1;
            if (number + 1).is_multiple_of(PROGRESS) {
                println!("{} of {count} bits were flipped", number + 1);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(go))));
    flips.into_inner().unwrap()
}

/// What the publisher has under a path, as far as a round has asked for it.
fn had(publisher: &Publisher, path: &str) -> Vec<u8> {
    let mut parts = path.split('/').skip(1);
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap();
    let ask = match parts.next() {
        Some("head") => Ask::Head,
        Some("rules") => Ask::Rule(number(parts.next()) as u32),
        Some("consistency") => Ask::Consistency(number(parts.next()), number(parts.next())),
        Some("files") => {
            let hash = credence_platform::keys::unhex(parts.next().unwrap()).unwrap();
            return publisher.feed.file(&hash).unwrap().to_vec();
        }
        _ => return Vec::new(),
    };
    match honest(publisher, &ask) {
        Answer::Bytes(bytes) => bytes,
        Answer::Missing => Vec::new(),
    }
}

/// What a mirror says that both witnesses have seen.
fn seen(publisher: &Publisher) -> Lies {
    let log = publisher.desk.log();
    let signer = Signer::new(&format!("credence/{}", publisher.world), &publisher.operator());
    let mut note = signer.checkpoint_of(log, log.len()).unwrap();
    for seed in [1, 2] {
        let (witness, key) = witness(seed);
        note.extend(witness.cosign(&key, &note, publisher.now).unwrap());
    }
    with("log/checkpoint/witnessed", note)
}

/// Random single bits of every kind of file.
#[test]
fn no_flipped_bit_of_any_file_is_believed_at_length() {
    let is_full = std::env::var_os("CREDENCE_AT_LENGTH").is_some_and(|value| value == "1");
    let flips = flip_all(OF_FILES[usize::from(is_full)]);
    println!("{flips:?}");
    assert_eq!(flips.into_keys().collect::<Vec<_>>(), KINDS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever has the operator's key can name any file: bytes that are almost one are refused or mean the same, and nothing breaks.
    #[test]
    fn bytes_that_are_almost_a_file_break_nothing(flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..6)) {
        thread_local! { static RANGE: Range = Range::new(); }
        RANGE.with(|range| {
            for target in range.targets.iter().filter(|target| ["list", "shard", "delta"].contains(&target.kind)) {
                let mut bytes = target.good.clone();
                for (place, bit) in &flips {
                    let place = place.index(bytes.len());
                    bytes[place] ^= 1 << bit;
                }
                let _ = credence_feed::SnapshotList::decode(&bytes);
                let _ = credence_feed::Delta::decode(&bytes);
                let _ = credence_feed::unpack_shard(&bytes, 8);
                let _ = Entry::decode(&bytes);
                let _ = Signed::decode(&bytes).map(|signed| Head::hash(&signed));
            }
        });
    }
}
