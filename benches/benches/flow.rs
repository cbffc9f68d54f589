//! The flow table alone: hit, miss and insert.
//!
//! Ids: `flow/<operation>/<flows>/<implementation>`. Beside it stands what one would write first: the standard library's
//! hash map from key to counters, which grows without bound and never forgets.

use core::hint::black_box;
use std::collections::HashMap;

use credence_benches::random::Random;
use credence_benches::{criterion, smoke};
use credence_flow::{FlowKey, FlowTable, FullPolicy, Now, Placed, TableConfig, Timeouts};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

/// Keys looked up at a stretch.
const STRETCH: usize = 4096;

fn keys(count: usize, seed: u64) -> Vec<FlowKey> {
    let mut random = Random::new(seed);
    let mut addr = || u128::from(random.below(u64::MAX)) << 64 | u128::from(random.below(u64::MAX));
    (0..count).map(|i| FlowKey { src: addr(), dst: addr(), proto: 6, sport: i as u16, dport: 443 }).collect()
}

fn table(capacity: usize) -> FlowTable {
    let capacity = u32::try_from(capacity).expect("small");
    FlowTable::new(TableConfig { capacity, full: FullPolicy::Refuse, timeouts: Timeouts::default() }, 1)
}

fn place(table: &mut FlowTable, key: &FlowKey) -> Placed {
    let candidates = table.candidates(key);
    table.place(key, candidates, Now { ts_ns: 1, frame: 1 }, &mut |_| {})
}

fn operations(c: &mut Criterion) {
    let sizes: &[(usize, &str)] =
        if smoke() { &[(10_000, "10k")] } else { &[(10_000, "10k"), (1_000_000, "1m")] };
    for &(flows, size) in sizes {
        let known = keys(flows, 1);
        let strange = keys(STRETCH, 2);
        let mut ours = table(flows);
        let mut theirs = HashMap::new();
        for key in &known {
            place(&mut ours, key);
            theirs.insert(*key, (0_u64, 0_u64));
        }
        println!("flow/bytes/{size}: {:.1} bytes a flow of capacity", ours.bytes() as f64 / flows as f64);
        let mut random = Random::new(3);
        let hits: Vec<_> = (0..STRETCH).map(|_| known[random.below(flows as u64) as usize]).collect();

        let mut group = c.benchmark_group(format!("flow/hit/{size}"));
        group.throughput(Throughput::Elements(STRETCH as u64));
        group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
            b.iter(|| hits.iter().filter(|key| matches!(place(&mut ours, key), Placed::Known(_))).count());
        });
        group.bench_function(BenchmarkId::from_parameter("std_hash_map"), |b| {
            b.iter(|| hits.iter().filter(|key| theirs.get_mut(*key).map(|f| f.0 += 1).is_some()).count());
        });
        group.finish();

        let mut group = c.benchmark_group(format!("flow/miss/{size}"));
        group.throughput(Throughput::Elements(STRETCH as u64));
        group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
            b.iter(|| strange.iter().filter(|key| black_box(ours.find(key)).is_some()).count());
        });
        group.bench_function(BenchmarkId::from_parameter("std_hash_map"), |b| {
            b.iter(|| strange.iter().filter(|key| black_box(theirs.get(*key)).is_some()).count());
        });
        group.finish();

        let mut group = c.benchmark_group(format!("flow/insert/{size}"));
        group.sample_size(10).throughput(Throughput::Elements(flows as u64));
        group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
            b.iter_batched_ref(
                || table(flows),
                |table| known.iter().filter(|key| matches!(place(table, key), Placed::New(_))).count(),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::from_parameter("std_hash_map"), |b| {
            b.iter_batched_ref(
                || HashMap::with_capacity(flows),
                |map| {
                    for key in &known {
                        map.insert(*key, (0_u64, 0_u64));
                    }
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

fn main() {
    let mut criterion = criterion();
    operations(&mut criterion);
    criterion.final_summary();
}
