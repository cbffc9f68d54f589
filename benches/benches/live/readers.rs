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

use crate::changes::{Change, Churn, change};
use crate::report::{Report, median};

const BATCH: usize = 256;
/// Changes a second of a paced writer.
const PACE: u64 = 1_000_000;
/// Changes that a writer makes before it looks at the clock.
const TURN: usize = 64;
/// Changes that are drawn for a writer beforehand: more than it can make.
const DRAWN: usize = 1_000_000;

/// Who runs beside the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nobody,
    Spinner,
    Paced,
    Single,
    Listed,
}

impl Beside {
    const ALL: [(&'static str, Self); 5] = [
        ("alone", Self::Nobody),
        ("control", Self::Spinner),
        ("paced", Self::Paced),
        ("single", Self::Single),
        ("listed", Self::Listed),
    ];

    /// Makes changes of the list until the reader is done; returns how many.
    fn run(self, live: &mut Publisher, list: &[Change], done: &AtomicBool) -> usize {
        let (start, mut made, mut random) = (Instant::now(), 0, Random::new(1));
        while self != Self::Nobody && !done.load(Relaxed) {
            let due = Duration::from_nanos(made as u64 * 1_000_000_000 / PACE);
            if self == Self::Spinner || (self == Self::Paced && start.elapsed() < due) {
                black_box(random.bits());
                continue;
            }
            let turn = &list[made..][..TURN.min(list.len() - made)];
            match self {
                Self::Single => turn.iter().for_each(|&(prefix, insert)| change(live, prefix, insert)),
                _ => drop(live.apply(turn.iter().copied()).expect("the size stays")),
            }
            made += turn.len();
        }
        made
    }
}

/// Measures all in turns.
pub(crate) fn time(report: &Report, name: &str, live: &mut Publisher, churn: &mut Churn) {
    let addrs = hits(&held(live), 1 << 18, 2);
    let (rounds, turn) = if smoke() { (1, 5) } else { (9, 200) };
    let mut results = Beside::ALL.map(|_| (Vec::new(), Vec::new()));
    for _ in 0..rounds {
        for ((_, beside), (reads, changes)) in Beside::ALL.iter().zip(&mut results) {
            let (read, changed) = one(*beside, live, churn, &addrs, Duration::from_millis(turn));
            reads.push(read);
            changes.push(changed);
        }
    }
    let control = median(&mut results[1].0);
    for ((what, _), (reads, changes)) in Beside::ALL.iter().zip(&mut results) {
        let figures = [
            ("mlps", median(reads)),
            ("mlps_best", reads[reads.len() - 1]),
            ("loss_percent", 100.0 * (1.0 - median(reads) / control)),
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
    let drawn = if matches!(beside, Beside::Nobody | Beside::Spinner) { 0 } else { DRAWN };
    let list: Vec<Change> = (0..drawn).map(|_| churn.next()).collect();
    let (reads, made) = thread::scope(|scope| {
        let companion = scope.spawn(|| beside.run(live, &list, &done));
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
        let made = companion.join().expect("a writer that does not panic");
        ((count as f64 / time / 1e6, made as f64 / time / 1e3), made)
    });
    // What was drawn counts as done from now on.
    live.apply(list[made..].iter().copied()).expect("the size stays");
    reads
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
