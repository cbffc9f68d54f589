//! What sources do in a step: folded, closed and applied, for a million flows of one packet each.
//!
//! Ids: `source/step/<sources>/<implementation>`. Beside it stands what one would write first: the standard library's
//! hash map from level and prefix to counters, which is asked four times a flow, never decays and grows without bound.
//! `source/quiet/<sources>` asks of each flow what scoring asks at its first packet of the next step.

use core::hint::black_box;
use std::collections::HashMap;

use credence_benches::prefixes::{feed, hits};
use credence_benches::random::Random;
use credence_benches::{criterion, smoke};
use credence_flow::{Aggregates, Deltas, FlowKey, Level, Pending, SketchSeed};
use credence_score::Thresholds;
use criterion::{BenchmarkId, Criterion, Throughput};

/// Places for prefixes, four a source.
const PLACES_A_SOURCE: usize = 4;

/// What a flow of one packet adds to its source, for each of `count` flows from so many sources.
fn flows(count: usize, sources: usize) -> Vec<Pending> {
    let sources = hits(&feed(sources, 1), sources, 2);
    let mut random = Random::new(3);
    let mut source = |flow: usize| match sources.len() {
        all if all == count => sources[flow],
        fewer => sources[random.below(fewer as u64) as usize],
    };
    (0..count)
        .map(|flow| {
            let key = FlowKey { src: source(flow), dst: 1, proto: 17, sport: flow as u16, dport: 443 };
            Pending { key, packets: 1, wire_bytes: 90, created: false, odd: false, opening: None }
        })
        .collect()
}

/// What credence keeps about sources.
struct Sources {
    deltas: Deltas,
    aggregates: Aggregates,
    thresholds: Thresholds,
    step: u32,
}

impl Sources {
    fn new(flows: usize, sources: usize) -> Self {
        let places = u32::try_from((sources * PLACES_A_SOURCE).max(1 << 17)).expect("small");
        let deltas = Deltas::new(u32::try_from(2 * flows).expect("small"), SketchSeed(1));
        Self { deltas, aggregates: Aggregates::new(places, 1), thresholds: Thresholds::default(), step: 0 }
    }

    fn step(&mut self, flows: &[Pending]) {
        let Self { deltas, aggregates, thresholds, step } = self;
        flows.iter().for_each(|flow| deltas.add(flow, aggregates));
        *step += 1;
        let closed = deltas.close(aggregates);
        aggregates.close_step(*step, closed, &|level, did| thresholds.is_quiet(level, did));
    }
}

/// Packets, bytes and flows of every prefix there ever was.
type Naive = HashMap<(Level, u128), [u64; 3]>;

fn naive_step(map: &mut Naive, flows: &[Pending]) {
    for flow in flows {
        for level in Level::ALL {
            let counters = map.entry((level, level.prefix(flow.key.src))).or_default();
            counters[0] += u64::from(flow.packets);
            counters[1] += u64::from(flow.wire_bytes);
            counters[2] += u64::from(flow.created);
        }
    }
}

fn steps(c: &mut Criterion, count: usize, sources: usize, size: &str) {
    let flows = flows(count, sources);
    let mut group = c.benchmark_group(format!("source/step/{size}"));
    group.sample_size(10).throughput(Throughput::Elements(count as u64));
    let mut ours = Sources::new(count, sources);
    group.bench_function(BenchmarkId::from_parameter("credence"), |b| b.iter(|| ours.step(&flows)));
    let mut naive = Naive::new();
    group.bench_function(BenchmarkId::from_parameter("std_hash_map"), |b| {
        b.iter(|| naive_step(&mut naive, &flows));
    });
    group.finish();

    let mut group = c.benchmark_group("source/quiet");
    group.sample_size(10).throughput(Throughput::Elements(count as u64));
    group.bench_function(BenchmarkId::from_parameter(size), |b| {
        b.iter(|| black_box(flows.iter().filter(|flow| ours.aggregates.is_quiet(flow.key.src)).count()));
    });
    group.finish();
    println!(
        "source/bytes/{size}: {} of deltas, {} of aggregates",
        ours.deltas.bytes(),
        ours.aggregates.bytes()
    );
}

fn main() {
    let mut criterion = criterion();
    if smoke() {
        steps(&mut criterion, 20_000, 5_000, "5k");
    } else {
        steps(&mut criterion, 1_000_000, 10_000, "10k");
        steps(&mut criterion, 1_000_000, 250_000, "250k");
        steps(&mut criterion, 1_000_000, 1_000_000, "1m");
    }
    criterion.final_summary();
}
