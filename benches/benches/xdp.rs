//! Longest-prefix match inside an XDP program, beside the kernel's own trie.
//!
//! Ids: `xdp/hit/<table>/<implementation>`. Each run of a program takes the next address of a list; `nothing` does only that,
//! and is what the other two must be seen without. Tables are those of the bench `lookup`.
//!
//! - `nothing`: a run without a look-up.
//! - `credence`: the image that user space walks too.
//! - `lpm_trie`: `BPF_MAP_TYPE_LPM_TRIE`, filled element by element.
//!
//! Times are the kernel's own, of test runs. It needs root, or the capabilities to load programs; without them it says so.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Map, MapData};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use credence_benches::prefixes::{feed, hits, routed};
use credence_benches::{criterion, smoke};
use credence_memory::{Lines, Words};
use credence_prefix::{Prefix, Table};
use criterion::{BenchmarkId, Criterion};

/// The programs, compiled. A test of the crate `credence-enforce` compiles them anew and compares.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../crates/enforce/bpf/compare.bpf.o");

/// Addresses in the list.
const QUERIES: usize = 1 << 20;
/// Runs that the kernel makes in one call at most.
const RUNS_MAX: u64 = 1 << 20;
/// The smallest frame that the kernel takes for a test.
const FRAME: [u8; 64] = [0; 64];

/// The three programs over one table.
struct Arena(Ebpf);

impl Arena {
    fn new(prefixes: &[Prefix]) -> Result<Self, aya::EbpfError> {
        let table =
            Table::build(prefixes.iter().copied().zip(0..)).expect("sorted prefixes with small numbers");
        let lines = table.image().len();
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("image", lines.next_multiple_of(64) as u32)
            .map_max_entries("trie", prefixes.len() as u32)
            .load(OBJECT)?;
        for name in ["nothing", "by_image", "by_trie"] {
            program(&mut ebpf, name).load().expect("the verifier takes the program");
        }
        let image = Lines::shared(array(&ebpf, "image").fd().as_fd(), 0, lines).expect("the map is shared");
        image.overwrite(0, table.image());
        let queries =
            Words::shared(array(&ebpf, "queries").fd().as_fd(), 2 * QUERIES).expect("the map is shared");
        for (number, address) in hits(prefixes, QUERIES, 2).into_iter().enumerate() {
            queries[2 * number].store((address >> 64) as u64, Relaxed);
            queries[2 * number + 1].store(address as u64, Relaxed);
        }
        fill_trie(&mut ebpf, prefixes);
        Ok(Self(ebpf))
    }

    /// Runs a program so often, and says how long that took and whether the last address was found.
    fn run(&mut self, name: &str, times: u64) -> (Duration, bool) {
        let (mut took, mut left, mut found) = (Duration::ZERO, times, false);
        while left > 0 {
            let now = left.min(RUNS_MAX);
            let mut options = TestRunOptions::new();
            options.data_in = Some(&FRAME);
            options.repeat = now as u32;
            let outcome = program(&mut self.0, name).test_run(options).expect("the kernel runs the program");
            // What the kernel tells is the mean.
            took += outcome.duration * now as u32;
            found = outcome.return_value == XDP_DROP;
            left -= now;
        }
        (took, found)
    }
}

/// The program's answer for an address that was found.
const XDP_DROP: u32 = 1;

fn fill_trie(ebpf: &mut Ebpf, prefixes: &[Prefix]) {
    let map = ebpf.map_mut("trie").expect("the object holds it");
    let mut trie: LpmTrie<_, [u8; 16], u32> = LpmTrie::try_from(map).expect("it is one");
    for (number, prefix) in prefixes.iter().enumerate() {
        let key = Key::new(prefix.len().into(), prefix.first().to_be_bytes());
        trie.insert(&key, number as u32, 0).expect("there is room");
    }
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> &'e mut Xdp {
    ebpf.program_mut(name).expect("the object holds it").try_into().expect("it is one")
}

fn array<'e>(ebpf: &'e Ebpf, name: &str) -> &'e MapData {
    match ebpf.map(name) {
        Some(Map::Array(map)) => map,
        _ => unreachable!("the object holds an array of that name"),
    }
}

fn look_ups(c: &mut Criterion) {
    let tables: Vec<(&str, Vec<Prefix>)> = if smoke() {
        vec![("10k", feed(10_000, 1))]
    } else {
        vec![("281k", routed(281_000, 1)), ("1m", feed(1_000_000, 1))]
    };
    for (size, prefixes) in tables {
        let mut arena = match Arena::new(&prefixes) {
            Ok(arena) => arena,
            Err(error) => {
                return println!("xdp: not measured, since programs may not be loaded here: {error}");
            }
        };
        // Every address of the list is a hit.
        assert!(arena.run("by_image", 1).1 && arena.run("by_trie", 1).1);
        let mut group = c.benchmark_group(format!("xdp/hit/{size}"));
        for (name, id) in [("nothing", "nothing"), ("by_image", "credence"), ("by_trie", "lpm_trie")] {
            group.bench_function(BenchmarkId::from_parameter(id), |b| {
                b.iter_custom(|times| arena.run(name, times).0);
            });
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = criterion();
    look_ups(&mut criterion);
    criterion.final_summary();
}
