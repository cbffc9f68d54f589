//! Random changes that keep a table's size, and what each of them takes.

use std::time::Instant;

use credence_benches::random::Random;
use credence_benches::smoke;
use credence_prefix::{Prefix, Publisher};

use crate::report::{Report, quantiles};

/// More prefixes than a leaf holds.
const WIDE: usize = 10;

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

    /// Makes the next change.
    pub(crate) fn step(&mut self, live: &mut Publisher) {
        let (prefix, insert) = self.next();
        change(live, prefix, insert);
    }

    /// The next change: a prefix, and the record to insert it with, if it is not removed.
    fn next(&mut self) -> (Prefix, Option<u32>) {
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

fn change(live: &mut Publisher, prefix: Prefix, insert: Option<u32>) {
    match insert {
        Some(record) => drop(live.insert(prefix, record).expect("the size stays")),
        None => drop(live.remove(prefix)),
    }
}

/// Times changes one by one.
pub(crate) fn time(report: &Report, name: &str, live: &mut Publisher, churn: &mut Churn) {
    let (mut alone, mut some, mut wide) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..if smoke() { 2_000 } else { 400_000 } {
        let (prefix, insert) = churn.next();
        let start = Instant::now();
        change(live, prefix, insert);
        let time = start.elapsed().as_nanos() as u64;
        // Asked afterwards, since asking brings near what the change has to fetch.
        let others = live.trie().covered_by(prefix).filter(|item| item.0 != prefix);
        match others.take(WIDE).count() {
            0 => alone.push(time),
            WIDE.. => wide.push(time),
            _ => some.push(time),
        }
    }
    for (kind, times) in [("alone", &mut alone), ("some", &mut some), ("wide", &mut wide)] {
        if !times.is_empty() {
            report.line(&format!("live/changes/{name}/{kind}"), quantiles(times));
        }
    }
}
