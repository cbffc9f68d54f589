//! Random changes that keep a table's size, and what each of them takes.

use std::time::Instant;

use credence_benches::random::Random;
use credence_benches::smoke;
use credence_prefix::{Prefix, Publisher};

use crate::report::{Report, median, quantiles};

/// A prefix, and the record to insert it with, if it is not removed.
pub(crate) type Change = (Prefix, Option<u32>);

/// Removes a random prefix and inserts another, in turns. What is inserted was removed before, or never there.
pub(crate) struct Churn {
    held: Vec<Prefix>,
    absent: Vec<Prefix>,
    random: Random,
    record: u32,
}

impl Churn {
    /// Changes to a table of `held`, into which prefixes of `others` come.
    pub(crate) fn new(held: Vec<Prefix>, others: &[Prefix], seed: u64) -> Self {
        let absent = others.iter().copied().filter(|other| held.binary_search(other).is_err()).collect();
        Self { held, absent, random: Random::new(seed), record: 0 }
    }

    /// The next change.
    pub(crate) fn next(&mut self) -> Change {
        self.record = (self.record + 1) % 1_000_000;
        let insert = self.record.is_multiple_of(2);
        let (from, to) = match insert {
            true => (&mut self.absent, &mut self.held),
            false => (&mut self.held, &mut self.absent),
        };
        let prefix = from.swap_remove(self.random.below(from.len() as u64) as usize);
        to.push(prefix);
        (prefix, insert.then_some(self.record))
    }
}

pub(crate) fn change(live: &mut Publisher, prefix: Prefix, insert: Option<u32>) {
    match insert {
        Some(record) => drop(live.insert(prefix, record).expect("the size stays")),
        None => drop(live.remove(prefix)),
    }
}

/// Times changes one by one.
pub(crate) fn time(report: &Report, name: &str, live: &mut Publisher, churn: &mut Churn) {
    let [mut all, mut leaf, mut repacked, mut covering] = [const { Vec::new() }; 4];
    for _ in 0..if smoke() { 2_000 } else { 400_000 } {
        let ((prefix, insert), repacks) = (churn.next(), live.repacks());
        let start = Instant::now();
        change(live, prefix, insert);
        let time = start.elapsed().as_nanos() as u64;
        all.push(time);
        // Asked afterwards, since asking brings near what the change has to fetch.
        let covers = live.trie().covered_by(prefix).any(|item| item.0 != prefix);
        match (live.repacks() > repacks, covers) {
            (true, _) => repacked.push(time),
            (false, false) => leaf.push(time),
            (false, true) => covering.push(time),
        }
    }
    let kinds =
        [("all", &mut all), ("leaf", &mut leaf), ("repacked", &mut repacked), ("covering", &mut covering)];
    for (kind, times) in kinds {
        if !times.is_empty() {
            report.line(&format!("live/changes/{name}/{kind}"), quantiles(times));
        }
    }
}

/// Tells how many changes a second there are with nobody beside, one by one and in a list.
pub(crate) fn rate(report: &Report, name: &str, live: &mut Publisher, churn: &mut Churn) {
    let (rounds, size) = if smoke() { (1, 1_000) } else { (7, 200_000) };
    let [mut single, mut listed] = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        for (rates, is_list) in [(&mut single, false), (&mut listed, true)] {
            let list: Vec<Change> = (0..size).map(|_| churn.next()).collect();
            let start = Instant::now();
            match is_list {
                true => drop(live.apply(list).expect("the size stays")),
                false => list.into_iter().for_each(|(prefix, insert)| change(live, prefix, insert)),
            }
            rates.push(start.elapsed().as_nanos() as f64 / f64::from(size));
        }
    }
    let figures = [("single_ns", median(&mut single)), ("listed_ns", median(&mut listed))];
    report.line(&format!("live/rate/{name}"), figures);
}
