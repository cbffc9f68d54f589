//! Longest-prefix match beside other crates on the same tables and addresses.
//!
//! Ids: `lookup/<stream>/<table>/<implementation>_<manner>`, and `update/<table>/<implementation>`.
//!
//! - Streams: `hit`, a random host in a random prefix; `zipf`, the same by Zipf's law; `miss`, anywhere in `2000::/3`.
//! - Tables: `10k` and `1m` are feeds, `281k` is a routed table. With `CREDENCE_BENCH_LARGE=1` there is also `4m`, a feed
//!   with one other implementation beside our own, for which 3 GB and some minutes are needed; with
//!   `CREDENCE_BENCH_PREFIXES=FILE`, a text of one prefix a line, there is `file`.
//! - Our own implementations: `credence`, a table alone; `credence_plain`, the same without vector instructions;
//!   `credence_live`, a reader's look-ups in a publisher's table; `credence_trie`, what the control plane keeps.
//! - Manners: `batch`, many addresses in one call; `batch256`, as many as a worker hands over; `loop`, one by one, none
//!   waiting for another; `dependent`, each address chosen by the answer before it.
//!
//! `ip_network_table` is a wrapper around treebitmap and measured as one; `iptrie_lc` is the crate's level-compressed
//! trie, which cannot be changed. All implementations must give the same answers before any is timed. Bytes a prefix are
//! printed as each table is built: of ours what [`Table::bytes`] says, of others what the heap still holds after building.

mod contenders;
mod update;

use core::hint::black_box;
use std::rc::Rc;

use credence_benches::prefixes::{feed, hits, routed, strays, zipf};
use credence_benches::{criterion, large, smoke};
use credence_prefix::{Instructions, Prefix, Publisher, Reader, Table};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

use self::contenders::{Contender, cheapest_peer, own, peers};

/// Addresses in a stream: too many for a small cache to know them all.
const STREAM: usize = 1 << 18;

/// Look-ups timed at a stretch, so that the bench's own steps vanish among them.
const STRETCH: usize = 4096;

/// Look-ups that a worker hands over at once.
const BATCH: usize = 256;

/// A table to measure on.
struct Size {
    name: &'static str,
    prefixes: Vec<Prefix>,
    peers: fn(&[Prefix]) -> Vec<Contender>,
}

/// One set of prefixes in every implementation; a prefix's record number is its place in the sorted table.
struct Arena {
    table: Rc<Table>,
    live: Publisher,
    singly: Vec<Contender>,
}

impl Arena {
    fn new(size: &Size) -> Self {
        let items = || size.prefixes.iter().copied().zip(0..);
        let table = Rc::new(Table::build(items()).expect("sorted prefixes with small numbers"));
        let live = Publisher::with(items()).expect("sorted prefixes with small numbers");
        let mut singly = own(&table, &live, &size.prefixes);
        singly.extend((size.peers)(&size.prefixes));
        println!("lookup/bytes/{}: {} prefixes; bytes a prefix:", size.name, size.prefixes.len());
        for contender in &singly {
            println!("  {} {:.1}", contender.name, contender.bytes as f64 / size.prefixes.len() as f64);
        }
        Self { table, live, singly }
    }

    /// Asserts that all give the same answers, on as many addresses as take no noticeable time.
    fn assert_agree(&self, addrs: &[u128]) {
        let addrs = &addrs[..STREAM / 4];
        let (mut found, mut again) = (vec![0; addrs.len()], vec![0; addrs.len()]);
        self.table.longest_match_batch(addrs, &mut found);
        for instructions in Instructions::available() {
            self.table.longest_match_batch_with(instructions, addrs, &mut again);
            assert!(found == again, "the fastest instructions and {}", instructions.name());
        }
        self.live.reader().longest_match_batch(addrs, &mut again);
        assert!(found == again, "a table alone and a live one");
        for contender in &self.singly {
            for (&addr, &found) in addrs.iter().zip(&found) {
                assert_eq!(contender.find.answer(addr), found, "{addr:#034x} by {}", contender.name);
            }
        }
    }

    fn bench(&self, criterion: &mut Criterion, name: &str, addrs: &[u128]) {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(STRETCH as u64));
        self.bench_batches(&mut group, addrs);
        for contender in &self.singly {
            for (manner, wait) in [("loop", false), ("dependent", true)] {
                let mut stretches = addrs.chunks_exact(STRETCH).cycle();
                group.bench_function(format!("{}_{manner}", contender.name), |b| {
                    b.iter(|| contender.find.walk(stretches.next().expect("a cycle has no end"), wait));
                });
            }
        }
        group.finish();
    }

    fn bench_batches(&self, group: &mut BenchmarkGroup<'_, WallTime>, addrs: &[u128]) {
        let mut out = vec![0; STRETCH];
        let mut batch = |name: &str, find: &mut dyn FnMut(&[u128], &mut [u32])| {
            let mut stretches = addrs.chunks_exact(STRETCH).cycle();
            group.bench_function(name, |b| {
                b.iter(|| {
                    find(stretches.next().expect("a cycle has no end"), &mut out);
                    black_box(&out);
                });
            });
        };
        let mut reader = self.live.reader();
        batch("credence_batch", &mut |addrs, out| self.table.longest_match_batch(addrs, out));
        for instructions in Instructions::available().skip(1) {
            batch(&format!("credence_{}_batch", instructions.name()), &mut |addrs, out| {
                self.table.longest_match_batch_with(instructions, addrs, out);
            });
        }
        batch("credence_live_batch", &mut |addrs, out| reader.longest_match_batch(addrs, out));
        batch("credence_live_batch256", &mut |addrs, out| in_batches(&mut reader, addrs, out));
    }
}

/// As a worker looks up: so many addresses a call.
fn in_batches(reader: &mut Reader, addrs: &[u128], out: &mut [u32]) {
    for (addrs, out) in addrs.chunks(BATCH).zip(out.chunks_mut(BATCH)) {
        reader.longest_match_batch(addrs, out);
    }
}

/// The table of the file that the environment names, if it names one.
fn from_file() -> Option<Vec<Prefix>> {
    let path = std::env::var_os("CREDENCE_BENCH_PREFIXES")?;
    let text = std::fs::read_to_string(path).expect("CREDENCE_BENCH_PREFIXES names a text file");
    let mut prefixes: Vec<Prefix> =
        text.lines().map(|line| line.parse().expect("one prefix a line")).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    Some(prefixes)
}

/// The tables to measure on, each made when it is its turn.
fn sizes() -> impl Iterator<Item = Size> {
    let usual = !smoke();
    let size = |name, prefixes| Size { name, prefixes, peers };
    let small = [size("10k", feed(10_000, 1))].into_iter();
    let routed = usual.then_some(()).map(move |()| size("281k", routed(281_000, 1)));
    let file = from_file().filter(|_| usual).map(move |prefixes| size("file", prefixes));
    let million = usual.then_some(()).into_iter().map(move |()| size("1m", feed(1_000_000, 1)));
    let huge = (usual && large()).then_some(()).into_iter();
    let huge = huge.map(|()| Size { name: "4m", prefixes: feed(4_000_000, 1), peers: cheapest_peer });
    small.chain(routed).chain(file).chain(million).chain(huge)
}

fn main() {
    let mut criterion = criterion();
    for size in sizes() {
        let arena = Arena::new(&size);
        let streams = [
            ("hit", hits(&size.prefixes, STREAM, 2)),
            ("zipf", zipf(&size.prefixes, STREAM, 3)),
            ("miss", strays(STREAM, 4)),
        ];
        for (stream, addrs) in &streams {
            arena.assert_agree(addrs);
            if !smoke() || *stream == "hit" {
                arena.bench(&mut criterion, &format!("lookup/{stream}/{}", size.name), addrs);
            }
        }
        drop(arena);
        update::bench(&mut criterion, size.name, &size.prefixes);
    }
    criterion.final_summary();
}
