//! The whole line from memory: parse, flow, credit look-up, score, counters, alerts; one worker.
//!
//! Ids: `line/<what>/<flows>/<implementation>`. `steady` sends packets of flows that are there, with a step of packet
//! time closed each million packets; `new` begins a flow with every packet. Beside it stands the least that any engine
//! must do: strict slicing by etherparse and one hash map, without credit, scores, time-outs or bounds.

use core::hint::black_box;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credence_benches::frames::Stream;
use credence_benches::prefixes::{feed, hits};
use credence_benches::{criterion, smoke};
use credence_capture::{BATCH_FRAMES, Frame};
use credence_credit::{
    Authority, Cache, EvidenceClass, Guards, Header, Issuer, IssuerId, Measure, Published, Rating, Reasons,
    Record, Score, Snapshot, guard::NeverBlock,
};
use credence_engine::{Closing, LineConfig, Own, StepClock, Worker};
use criterion::{BenchmarkId, Criterion, Throughput};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// Packets of a stream: a second of packet time.
const PACKETS: usize = 1_000_000;
/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A credit cache of as many records, every score there is among them, none of which alerts.
fn credit(records: usize) -> (Published, Vec<u128>) {
    let prefixes = feed(records, 1);
    let record = |(i, &prefix): (usize, _)| Record {
        prefix,
        rating: Rating::of(Score::new(500 + (i % 501) as u16).expect("a score")),
        measure: Measure::None,
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
    let cache = Cache::build(vec![snapshot], &Guards::new(NeverBlock::new([]))).expect("a cache");
    published.store(cache);
    (published, hits(&prefixes, 100_000, 2))
}

/// A worker and the clock that cuts its steps.
struct Line {
    worker: Worker,
    clock: StepClock,
}

impl Line {
    fn new(credit: &Published, flows: usize) -> Self {
        let config = LineConfig { flows: u32::try_from(flows).expect("small"), ..LineConfig::default() };
        let worker = Worker::new(Arc::new(config), credit.reader(), Arc::new(Own::default()));
        Self { worker, clock: StepClock::default() }
    }

    fn run(&mut self, frames: &[Frame<'_>]) {
        for mut batch in frames.chunks(BATCH_FRAMES) {
            while !batch.is_empty() {
                let (now, closing) = self.clock.advance(batch);
                let (step, later) = batch.split_at(now);
                self.worker.process(step);
                if let Some(closing) = closing {
                    self.close(closing);
                }
                batch = later;
            }
        }
    }

    fn close(&mut self, closing: Closing) {
        let deltas = self.worker.close_step(closing);
        self.worker.apply(closing, &deltas);
        black_box(self.worker.collect());
    }
}

/// Addresses and ports.
type Key = ([u8; 16], [u8; 16], u16, u16);

/// The least that any flow engine does: packets and bytes of each flow.
fn least(frames: &[Frame<'_>], flows: &mut HashMap<Key, (u64, u64)>) {
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

fn later(frames: &mut [Frame<'_>], seconds: u64) {
    for frame in frames {
        frame.ts_ns += seconds * SECOND;
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn steady(c: &mut Criterion, credit: &Published, sources: &[u128], flows: usize, size: &str, packets: usize) {
    let stream = Stream::new(packets, flows, sources);
    let mut frames = stream.frames();
    let mut group = c.benchmark_group(format!("line/steady/{size}"));
    group.sample_size(10).throughput(Throughput::Elements(packets as u64));
    let mut line = Line::new(credit, flows.next_power_of_two() * 2);
    line.run(&frames);
    group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
        b.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    later(&mut frames, 1);
                    timed(|| line.run(&frames))
                })
                .sum()
        });
    });
    let mut map = HashMap::new();
    least(&frames, &mut map);
    group.bench_function(BenchmarkId::from_parameter("etherparse_and_hash_map"), |b| {
        b.iter(|| least(&frames, &mut map));
    });
    group.finish();
}

fn new(c: &mut Criterion, credit: &Published, sources: &[u128], flows: usize, size: &str) {
    let stream = Stream::new(flows, flows, sources);
    let frames = stream.frames();
    let mut group = c.benchmark_group(format!("line/new/{size}"));
    group.sample_size(10).throughput(Throughput::Elements(flows as u64));
    group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
        b.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    let mut line = Line::new(credit, flows.next_power_of_two());
                    timed(|| line.run(&frames))
                })
                .sum()
        });
    });
    group.bench_function(BenchmarkId::from_parameter("etherparse_and_hash_map"), |b| {
        b.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    let mut map = HashMap::new();
                    timed(|| least(&frames, &mut map))
                })
                .sum()
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = criterion();
    let (packets, records) = if smoke() { (50_000, 10_000) } else { (PACKETS, 1_000_000) };
    let (credit, sources) = credit(records);
    steady(&mut criterion, &credit, &sources, 10_000, "10k", packets);
    if !smoke() {
        steady(&mut criterion, &credit, &sources, 1_000_000, "1m", packets);
    }
    new(&mut criterion, &credit, &sources, packets, if smoke() { "50k" } else { "1m" });
    criterion.final_summary();
}
