//! The whole line from memory, one worker, everything on: parse, flow, credit look-up against a million prefixes, score,
//! counters, alerts.
//!
//! Ids: `line/<what>/<flows>/<implementation>`.
//!
//! | what | stream |
//! |---|---|
//! | `steady` | packets of flows that are there, each flow drawn at random, 80 ns apart: 10 GbE full of the smallest TCP frames |
//! | `each_second` | each flow sends one packet a second, a microsecond apart: every packet is its flow's first in a step, the worst for whatever is done once a step |
//! | `new` | every packet begins a flow, 80 ns apart |
//!
//! A step of packet time closes whenever a second has passed, inside what is measured. Flows come from 250,000 hosts, or
//! from 10,000 where there are 10,000 flows; each host lies in a listed prefix, drawn at random. One record in a hundred
//! asks for a limit, so that about one flow in a hundred alerts.
//!
//! Beside it stands the least that any engine must do: strict slicing by etherparse and one hash map from addresses and
//! ports to packets and bytes, without credit, scores, time-outs or bounds, with the hasher of the standard library and with
//! a fast one. `line/yardstick` is the time of an exclusive-or and a multiplication that wait for those before them,
//! four cycles of most processors: against it figures of different machines compare.

use core::hash::BuildHasher;
use core::hint::black_box;
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credence_benches::frames::{Flows, Stream};
use credence_benches::prefixes::{feed, hits};
use credence_benches::{criterion, smoke};
use credence_capture::{BATCH_FRAMES, Frame};
use credence_credit::{
    Authority, Cache, EvidenceClass, Guards, Header, Issuer, IssuerId, Measure, Published, Rating, Reasons,
    Record, Score, Snapshot, guard::NeverBlock,
};
use credence_engine::{Cut, LineConfig, Own, StepClock, Worker};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// Between two frames at line rate, in nanoseconds: the smallest IPv6/TCP frame takes 98 byte times on the wire.
const LINE_RATE_NS: u64 = 80;
/// Between two frames when a million flows send one each second, in nanoseconds.
const EACH_SECOND_NS: u64 = 1_000;
/// Hosts that flows come from, at most.
const HOSTS: usize = 250_000;

/// A credit cache of as many records, every score there is among them; one in a hundred asks for a limit. And hosts.
fn credit(records: usize) -> (Published, Vec<u128>) {
    let prefixes = feed(records, 1);
    let record = |(i, &prefix): (usize, _)| Record {
        prefix,
        rating: Rating::of(Score::new(500 + (i % 501) as u16).expect("a score")),
        measure: if i % 100 == 0 { Measure::RateLimit } else { Measure::None },
        reasons: Reasons::NONE,
        issuer: IssuerId(0),
        evidence: EvidenceClass::Confirmed,
        authority: Authority::Decision,
        signatures: 2,
        expires: u64::MAX,
        act: None,
    };
    let issuer = vec![Issuer::new("bench").expect("a name")];
    let header = Header { session: 1, serial: 1, created: 0 };
    let records = prefixes.iter().enumerate().map(record).collect();
    let snapshot = Snapshot::new(header, issuer, records).expect("a snapshot");
    let published = Published::default();
    published.store(Cache::build(vec![snapshot], &Guards::new(NeverBlock::new([]))).expect("a cache"));
    (published, hits(&prefixes, HOSTS, 2))
}

/// A worker and the clock that cuts its steps.
struct Line {
    worker: Worker,
    clock: StepClock,
}

impl Line {
    /// A line with room for a quarter more than `flows`.
    fn new(credit: &Published, flows: usize) -> Self {
        let flows = u32::try_from(flows + flows / 4).expect("small");
        let config = LineConfig { flows, prefault: true, ..LineConfig::default() };
        let worker = Worker::new(Arc::new(config), credit.reader(), Arc::new(Own::default()));
        Self { worker, clock: StepClock::default() }
    }

    fn run(&mut self, frames: &[Frame<'_>]) {
        let Self { worker, clock } = self;
        for batch in frames.chunks(BATCH_FRAMES) {
            clock.cut(batch, &mut |cut| match cut {
                Cut::Frames(step) => worker.process(step),
                Cut::Close(closing) => worker.end_step(closing),
            });
            if worker.should_collect() {
                black_box(worker.collected()).clear();
            }
        }
    }
}

/// Addresses and ports.
type Key = ([u8; 16], [u8; 16], u16, u16);

/// The least that any flow engine does: packets and bytes of each flow.
fn least<H: BuildHasher>(frames: &[Frame<'_>], flows: &mut HashMap<Key, (u64, u64), H>) {
    for frame in frames {
        let Ok(packet) = SlicedPacket::from_ethernet(frame.bytes) else { continue };
        if let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Tcp(tcp))) = (&packet.net, &packet.transport) {
            let header = ip.header();
            let key = (header.source(), header.destination(), tcp.source_port(), tcp.destination_port());
            let flow = flows.entry(key).or_default();
            flow.0 += 1;
            flow.1 += u64::from(frame.wire_len);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// A map that all flows are in, looked up for each frame.
fn least_again<H: BuildHasher + Default>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    flows: &Flows<'_>,
    frames: &[Frame<'_>],
) {
    let mut map = HashMap::<_, _, H>::default();
    flows.each_once(LINE_RATE_NS, |round| least(round, &mut map));
    group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| least(frames, &mut map)));
}

/// A map that each frame adds a flow to.
fn least_new<H: BuildHasher + Default>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    frames: &[Frame<'_>],
) {
    group.bench_function(BenchmarkId::from_parameter(name), |b| {
        b.iter_custom(|times| {
            let run = || {
                let mut map = HashMap::<_, _, H>::default();
                timed(|| least(frames, &mut map))
            };
            (0..times).map(|_| run()).sum()
        });
    });
}

/// Packets of flows that are there, again and again.
fn known(c: &mut Criterion, id: &str, credit: &Published, flows: &Flows<'_>, stream: &Stream, gap_ns: u64) {
    let mut frames = stream.frames(gap_ns);
    let span_ns = frames.len() as u64 * gap_ns;
    let mut group = c.benchmark_group(id);
    group.sample_size(10).throughput(Throughput::Elements(frames.len() as u64));
    {
        let mut line = Line::new(credit, flows.count());
        flows.each_once(gap_ns, |round| line.run(round));
        let start_ns = flows.count() as u64 * gap_ns;
        frames.iter_mut().for_each(|frame| frame.ts_ns += start_ns);
        group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
            b.iter_custom(|times| {
                let run = |_| {
                    let spent = timed(|| line.run(&frames));
                    frames.iter_mut().for_each(|frame| frame.ts_ns += span_ns);
                    spent
                };
                (0..times).map(run).sum()
            });
        });
    }
    least_again::<RandomState>(&mut group, "etherparse_and_std_hash_map", flows, &frames);
    least_again::<foldhash::fast::RandomState>(&mut group, "etherparse_and_fold_hash_map", flows, &frames);
    group.finish();
}

/// Packets that each begin a flow.
fn new(c: &mut Criterion, id: &str, credit: &Published, flows: &Flows<'_>) {
    let stream = flows.shuffled();
    let frames = stream.frames(LINE_RATE_NS);
    let mut group = c.benchmark_group(id);
    group.sample_size(10).throughput(Throughput::Elements(frames.len() as u64));
    group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
        b.iter_custom(|times| {
            let run = |_| {
                let mut line = Line::new(credit, flows.count());
                timed(|| line.run(&frames))
            };
            (0..times).map(run).sum()
        });
    });
    least_new::<RandomState>(&mut group, "etherparse_and_std_hash_map", &frames);
    least_new::<foldhash::fast::RandomState>(&mut group, "etherparse_and_fold_hash_map", &frames);
    group.finish();
}

fn yardstick(c: &mut Criterion) {
    const TIMES: u64 = 1_000;
    let mut group = c.benchmark_group("line/yardstick");
    group.throughput(Throughput::Elements(TIMES));
    let next = |last: u64, i: u64| (last ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    group.bench_function("dependent", |b| b.iter(|| (0..black_box(TIMES)).fold(black_box(3), next)));
    group.finish();
}

fn main() {
    let mut criterion = criterion();
    let c = &mut criterion;
    yardstick(c);
    if smoke() {
        let (credit, hosts) = credit(10_000);
        let flows = Flows::new(10_000, &hosts[..10_000]);
        known(c, "line/steady/10k", &credit, &flows, &flows.at_random(50_000), LINE_RATE_NS);
        known(c, "line/each_second/10k", &credit, &flows, &flows.shuffled(), 100_000);
        new(c, "line/new/10k", &credit, &flows);
    } else {
        let (credit, hosts) = credit(1_000_000);
        for (count, size, packets) in
            [(10_000, "10k", 1_000_000), (1_000_000, "1m", 2_000_000), (10_000_000, "10m", 4_000_000)]
        {
            let flows = Flows::new(count, &hosts[..HOSTS.min(count)]);
            known(
                c,
                &format!("line/steady/{size}"),
                &credit,
                &flows,
                &flows.at_random(packets),
                LINE_RATE_NS,
            );
        }
        let flows = Flows::new(1_000_000, &hosts);
        known(c, "line/each_second/1m", &credit, &flows, &flows.shuffled(), EACH_SECOND_NS);
        new(c, "line/new/1m", &credit, &flows);
    }
    criterion.final_summary();
}
