//! A report on the live table: what single changes take, what they leave behind, and what they cost the readers beside.
//!
//! Ids: `live/<subject>/<table>/<state>/<what>`; an argument picks those that contain it. With `--format json`, each
//! line is an object with the id and its figures. The tables are those of the bench `lookup`. States: `built`, as it comes
//! from sorted prefixes; `churned`, after a million random changes, ten million with `CREDENCE_BENCH_LARGE=1`.
//!
//! - `rate`: nanoseconds a change with nobody beside, one by one and in a list for `apply`; medians of seven rounds.
//! - `changes`: the distribution of changes made one by one, in nanoseconds: of `all`; of those to a prefix that covers no
//!   other, which write one `leaf`; of those that find it too full or too empty, so that leaves are `repacked`; of the rest,
//!   to prefixes `covering` others. Each is timed by itself, with the clock's own time in it, which `live/clock` tells. The
//!   maxima are mostly the machine's: a thread that is sent away for a while.
//! - `bytes`: bytes a prefix, free and waiting memory included; `packed`, what a table built of the same prefixes takes.
//! - `readers`: look-ups a second on one thread in batches of 256, with another thread beside it: `alone`, none; `control`,
//!   one that spins and writes nothing; `paced`, a writer at a million changes a second; writers at full speed, one by one
//!   (`single`) and in lists (`listed`). They take turns of a fifth of a second; medians and best of all rounds, and what
//!   the reader loses against the control.
//! - `credit`: a cache of a record for each prefix, of which one in a hundred becomes another: milliseconds to build it `whole`
//!   from its snapshot, to `find` what is to change in the one in force, and to change that `in_place`; and its bytes a record,
//!   with the control plane's and as `shared` with readers.

#![expect(clippy::disallowed_methods, reason = "what takes how long is the question")]

mod changes;
mod credit;
mod readers;
mod report;

use std::time::Instant;

use credence_benches::prefixes::{feed, routed};
use credence_benches::{large, smoke};
use credence_prefix::{Prefix, Publisher, Table};

use self::changes::Churn;
use self::report::{Report, quantiles};

/// Changes between the two states of a table.
fn churn() -> usize {
    match (smoke(), large()) {
        (true, _) => 5_000,
        (_, false) => 1_000_000,
        (_, true) => 10_000_000,
    }
}

/// Tells the time that a measurement takes when there is nothing between its two looks at the clock.
fn clock(report: &Report) {
    let mut times: Vec<u64> = (0..100_000)
        .map(|_| {
            let start = Instant::now();
            start.elapsed().as_nanos() as u64
        })
        .collect();
    report.line("live/clock", quantiles(&mut times));
}

/// All that is told of a table in one state.
fn state(report: &Report, name: &str, live: &mut Publisher, churn: &mut Churn) {
    if report.wants(&format!("live/bytes/{name}")) {
        let items = live.trie().iter().map(|(prefix, &record)| (prefix, record));
        let packed = Table::build(items).expect("what the live table holds");
        let each = |bytes: usize| bytes as f64 / live.trie().len() as f64;
        report.line(
            &format!("live/bytes/{name}"),
            [("each", each(live.bytes())), ("packed", each(packed.bytes()))],
        );
    }
    if report.wants(&format!("live/rate/{name}")) {
        changes::rate(report, name, live, churn);
    }
    if report.wants(&format!("live/changes/{name}")) {
        changes::time(report, name, live, churn);
    }
    if report.wants(&format!("live/readers/{name}")) {
        readers::time(report, name, live, churn);
    }
}

fn table(report: &Report, name: &str, prefixes: Vec<Prefix>, other: &[Prefix]) {
    let mut live = Publisher::with(prefixes.iter().copied().zip(0..)).expect("sorted prefixes");
    let mut changes = Churn::new(prefixes, other, 9);
    state(report, &format!("{name}/built"), &mut live, &mut changes);
    let churned = live.apply((0..churn()).map(|_| changes.next()));
    churned.expect("the size stays");
    readers::assert_answers(&live);
    state(report, &format!("{name}/churned"), &mut live, &mut changes);
}

fn main() {
    let report = Report::from_arguments(std::env::args().skip(1));
    if report.wants("live/clock") {
        clock(&report);
    }
    let made = |name: &str, make: fn(usize, u64) -> Vec<Prefix>, size: usize| {
        if report.wants(&format!("live/credit/{name}")) {
            credit::time(&report, name, &make(size, 1));
        }
        if ["built", "churned"].iter().any(|state| report.wants_table(name, state)) {
            table(&report, name, make(size, 1), &make(size / 5, 2));
        }
    };
    if smoke() {
        return made("10k", feed, 10_000);
    }
    made("281k", routed, 281_000);
    made("1m", feed, 1_000_000);
    if large() {
        made("4m", feed, 4_000_000);
    }
}
