//! What a reader gets done beside others.

use core::hint::black_box;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use std::thread;
use std::time::Instant;

use credence_benches::prefixes::hits;
use credence_benches::random::Random;
use credence_benches::smoke;
use credence_prefix::{NO_MATCH, Prefix, Publisher, Reader};

use crate::changes::Churn;
use crate::report::Report;

const BATCH: usize = 256;
/// Changes a second of a paced writer.
const PACE: u64 = 1_000_000;
/// Changes that a writer makes before it looks at the clock.
const TURN: u64 = 64;

/// Who runs beside the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nobody,
    Spinner,
    Paced,
    FlatOut,
}

impl Beside {
    const ALL: [(&'static str, Self); 4] = [
        ("alone", Self::Nobody),
        ("control", Self::Spinner),
        ("paced", Self::Paced),
        ("flat_out", Self::FlatOut),
    ];

    /// Runs until it is done; returns the number of changes.
    fn run(self, live: &mut Publisher, churn: &mut Churn, done: &AtomicBool) -> u64 {
        let (start, mut changes, mut random) = (Instant::now(), 0, Random::new(1));
        while self != Self::Nobody && !done.load(Relaxed) {
            let due = Duration::from_nanos(changes * 1_000_000_000 / PACE);
            if self == Self::Spinner || (self == Self::Paced && start.elapsed() < due) {
                black_box(random.bits());
                continue;
            }
            (0..TURN).for_each(|_| churn.step(live));
            changes += TURN;
        }
        changes
    }
}

/// Measures all in turns.
pub(crate) fn time(report: &Report, name: &str, live: &mut Publisher, churn: &mut Churn) {
    let addrs = hits(&held(live), 1 << 18, 2);
    let (rounds, turn) = if smoke() { (1, 5) } else { (9, 250) };
    let mut results = Beside::ALL.map(|_| (Vec::new(), Vec::new()));
    for _ in 0..rounds {
        for ((_, beside), (reads, changes)) in Beside::ALL.iter().zip(&mut results) {
            let (read, changed) = one(*beside, live, churn, &addrs, Duration::from_millis(turn));
            reads.push(read);
            changes.push(changed);
        }
    }
    let alone = median(&mut results[0].0);
    for ((what, _), (reads, changes)) in Beside::ALL.iter().zip(&mut results) {
        let figures = [
            ("mlps", median(reads)),
            ("mlps_best", reads[reads.len() - 1]),
            ("of_alone_percent", 100.0 * median(reads) / alone),
            ("changes_per_ms", median(changes)),
        ];
        report.line(&format!("live/readers/{name}/{what}"), figures);
    }
}

/// Million look-ups a second, and changes a millisecond.
fn one(
    beside: Beside,
    live: &mut Publisher,
    churn: &mut Churn,
    addrs: &[u128],
    turn: Duration,
) -> (f64, f64) {
    let (mut reader, done) = (live.reader(), AtomicBool::new(false));
    thread::scope(|scope| {
        let companion = scope.spawn(|| beside.run(live, churn, &done));
        let (start, mut count) = (Instant::now(), 0);
        for stretch in addrs.chunks_exact(16 * BATCH).cycle() {
            look_up(&mut reader, stretch);
            count += stretch.len();
            if start.elapsed() >= turn {
                break;
            }
        }
        let time = start.elapsed().as_secs_f64();
        done.store(true, Relaxed);
        let changes = companion.join().expect("a writer that does not panic");
        (count as f64 / time / 1e6, changes as f64 / time / 1e3)
    })
}

fn look_up(reader: &mut Reader, addrs: &[u128]) {
    let mut out = [0; BATCH];
    for addrs in addrs.chunks_exact(BATCH) {
        reader.longest_match_batch(addrs, &mut out);
        black_box(&out);
    }
}

/// Asserts that a reader gets the answers that the trie gives.
pub(crate) fn assert_answers(live: &Publisher) {
    let addrs = hits(&held(live), 1 << 14, 3);
    let mut out = vec![0; addrs.len()];
    live.reader().longest_match_batch(&addrs, &mut out);
    for (&addr, &found) in addrs.iter().zip(&out) {
        assert_eq!(found, live.trie().longest_match(addr).map_or(NO_MATCH, |(_, &record)| record));
    }
}

fn held(live: &Publisher) -> Vec<Prefix> {
    live.trie().iter().map(|(prefix, _)| prefix).collect()
}

/// The middle of some figures, which are in order afterwards.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
