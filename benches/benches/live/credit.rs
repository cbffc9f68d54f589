//! What an update of a credit cache takes: one record in a hundred is another, in place and whole.

use std::time::Instant;

use credence_credit::{
    Authority, EvidenceClass, Guards, Header, Issuer, IssuerId, Keeper, Measure, Published, Rating, Reason,
    Record, Snapshot,
};
use credence_prefix::Prefix;

use crate::report::{Report, median};

/// One record in so many is another.
const SHARE: usize = 100;

/// A record for each prefix, some of them harder from one round to the next.
fn snapshot(prefixes: &[Prefix], round: usize) -> Snapshot {
    let record = |(at, &prefix): (usize, &Prefix)| Record {
        prefix,
        rating: Rating::Unrated,
        measure: if at % SHARE == 0 && round % 2 == 1 { Measure::Drop } else { Measure::Observe },
        reasons: Reason::Listed.into(),
        issuer: IssuerId(0),
        evidence: EvidenceClass::Declared,
        authority: Authority::OperatorList,
        signatures: 0,
        expires: u64::MAX,
        act: None,
    };
    let issuers = vec![Issuer::new("bench").expect("a name")];
    let records = prefixes.iter().enumerate().map(record).collect();
    Snapshot::new(Header::default(), issuers, records).expect("sorted prefixes")
}

/// Milliseconds that something takes, and what comes of it.
fn timed<T>(what: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = what();
    (start.elapsed().as_secs_f64() * 1e3, result)
}

/// Measures updates of a cache of these prefixes.
pub(crate) fn time(report: &Report, name: &str, prefixes: &[Prefix]) {
    let published = Published::default();
    let build = |round| {
        Keeper::build(&published, vec![snapshot(prefixes, round)], &Guards::default()).expect("a cache")
    };
    let mut keeper = build(0);
    keeper.publish();
    let reader = published.reader();
    let (mut built, mut found, mut applied, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 1..=7 {
        let snapshots = vec![snapshot(prefixes, round)];
        let (build_ms, next) =
            timed(|| Keeper::build(&published, snapshots, &Guards::default()).expect("a cache"));
        let (find_ms, changes) = timed(|| keeper.changes_to(&next).expect("few"));
        count = changes.len();
        reader.enter();
        let (apply_ms, outcome) = timed(|| keeper.apply(changes, &mut ()));
        reader.leave();
        outcome.expect("there is room");
        assert!(keeper.changes_to(&next).is_some_and(|changes| changes.is_empty()));
        keeper.reclaim();
        built.push(build_ms);
        found.push(find_ms);
        applied.push(apply_ms);
    }
    let figures = [
        ("changes", count as f64),
        ("whole_ms", median(&mut built)),
        ("find_ms", median(&mut found)),
        ("in_place_ms", median(&mut applied)),
        ("bytes_each", keeper.bytes() as f64 / prefixes.len() as f64),
        ("shared_bytes_each", keeper.cache().bytes() as f64 / prefixes.len() as f64),
    ];
    report.line(&format!("live/credit/{name}"), figures);
}
