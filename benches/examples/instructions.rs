//! One subject of the instruction counts, run once under callgrind; `cargo xtask instructions` runs it.
//!
//! What is counted is [`measured`] alone, with everything that it calls. Seeds are fixed, inputs are made beforehand, and
//! the work has been done once before it is counted, so that what is built at first use does not count.
//!
//! `valgrind --tool=callgrind --toggle-collect='*measured*' instructions SUBJECT`

use core::hint::black_box;

use credence_benches::frames::{destination_options, ethernet, tcp};
use credence_benches::prefixes::{hits, routed};
use credence_benches::random::Random;
use credence_credit::{Rating, Score};
use credence_flow::{
    Anomalies, Anomaly, Behaviour, FlowKey, FlowTable, FullPolicy, Now, Placed, TableConfig, Timeouts,
};
use credence_prefix::Table;
use credence_score::{Facts, Policy, Standing, assess};
use credence_wire::{Limits, Link, parse};

/// How often each subject's operation is done: enough that an uncommon path has its share.
const TIMES: usize = 1024;

const SRC: u128 = 0x2001_0db8 << 96 | 1;
const DST: u128 = 0x2001_0db8 << 96 | 2;
const ACK: u8 = 0x10;

/// Everything that counts happens in here.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn count(mut work: impl FnMut()) {
    work();
    measured(&mut work);
}

fn parse_frame(frame: &[u8]) {
    let limits = Limits::default();
    let len = u32::try_from(frame.len()).expect("a short frame");
    count(|| {
        for _ in 0..TIMES {
            black_box(&parse(Link::Ethernet, black_box(frame), len, &limits));
        }
    });
}

fn parse_plain() {
    parse_frame(&ethernet(SRC, DST, 6, &[], &tcp(40_000, 443, 1, 1, ACK)));
}

fn parse_options() {
    let segment = tcp(40_000, 443, 1, 1, ACK);
    parse_frame(&ethernet(SRC, DST, 60, &destination_options(7, 6), &segment));
}

fn look_up() {
    let prefixes = routed(100_000, 1);
    let table = Table::build(prefixes.iter().copied().zip(0..)).expect("sorted prefixes");
    let addrs = hits(&prefixes, TIMES, 2);
    let mut records = vec![0; TIMES];
    count(|| {
        table.longest_match_batch(black_box(&addrs), &mut records);
        black_box(&records);
    });
}

fn flow_hit() {
    let config = TableConfig { capacity: 4096, full: FullPolicy::Refuse, timeouts: Timeouts::default() };
    let mut table = FlowTable::new(config, 1);
    let mut random = Random::new(1);
    let mut keys = Vec::with_capacity(TIMES);
    for sport in 0..TIMES {
        let (src, dst) = (random.wide(), random.wide());
        keys.push(FlowKey { src, dst, proto: 6, sport: sport as u16, dport: 443 });
    }
    count(|| {
        for key in &keys {
            black_box(place(&mut table, key));
        }
    });
}

fn place(table: &mut FlowTable, key: &FlowKey) -> Placed {
    let candidates = table.candidates(key);
    table.place(key, candidates, Now { ts_ns: 1, frame: 1 }, &mut |_| {})
}

/// A rated source with an anomaly, of which two prefixes are busy: every kind of term is weighed.
fn score() {
    let rating = Rating::of(Score::new(700).expect("a score"));
    let mut anomalies = Anomalies::NONE;
    anomalies.insert(Anomaly::TcpNull);
    let busy = Behaviour { packets: 400, flows: 400, openings: 400, unanswered: 400, ..Behaviour::default() };
    let behaviour = [Some(busy), Some(busy), None, None];
    let facts =
        Facts { standing: Standing { rating, ..Standing::UNKNOWN }, confirmed: false, anomalies, behaviour };
    let policy = Policy::default();
    count(|| {
        for _ in 0..TIMES {
            black_box(assess(black_box(&facts), &policy));
        }
    });
}

/// The subjects by their names, each with what it does.
const SUBJECTS: [(&str, fn()); 5] = [
    ("parse_tcp", parse_plain),
    ("parse_options_7", parse_options),
    ("look_up_batch", look_up),
    ("flow_hit", flow_hit),
    ("assess", score),
];

/// Runs the subject that is named, or prints the names and how often each operation is done.
fn main() {
    let Some(name) = std::env::args().nth(1) else {
        SUBJECTS.iter().for_each(|(name, _)| println!("{name} {TIMES}"));
        return;
    };
    let subject = SUBJECTS.iter().find(|subject| subject.0 == name);
    subject.expect("a subject of the list").1();
}
