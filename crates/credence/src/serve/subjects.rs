//! The page `/subjects`: which sources fare worst and which best, for `credence top`.
//!
//! It is made of what the recorder remembers of alerts and of the best of each step, off the way of packets. Sources are named by their /64 and no
//! further. That is still more than counters tell, so that the page exists only where nobody on another host can ask for it.

use std::cmp::Reverse;
use std::net::Ipv6Addr;

use credence_engine::{BestSources, Offender, Offenders, Regarded};
use serde::{Deserialize, Serialize};

/// Sources shown: what fits on a screen below everything else.
const SHOWN: usize = 10;

/// How long ago a source's last alert may have been, in seconds.
pub(crate) const WINDOW_S: u64 = 600;

/// The page. The names of the members are a contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Subjects {
    /// The sources are those of so many seconds past.
    pub(crate) window_s: u64,
    /// Those that fare worst, the worst first.
    pub(crate) worst: Vec<Subject>,
    /// Those that fare better than a source of which nothing is known, and raised no alert; the best first.
    #[serde(default)]
    pub(crate) best: Vec<Good>,
}

/// A source that fares well.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Good {
    /// Its /64.
    pub(crate) prefix: String,
    /// The score of its flows.
    pub(crate) score: u16,
    /// When it was last seen, Unix seconds.
    pub(crate) last_s: u64,
}

/// A source that raised alerts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Subject {
    /// Its /64.
    pub(crate) prefix: String,
    /// The hardest verdict that it got since it was first seen.
    pub(crate) verdict: String,
    /// The score of its last alert.
    pub(crate) score: u16,
    /// Alerts that it raised.
    pub(crate) alerts: u64,
    /// When its last alert was written, Unix seconds.
    pub(crate) last_s: u64,
}

impl Subjects {
    /// What is remembered of the sources in `offenders` and `best`, at `now_s` (Unix seconds).
    pub(crate) fn of(offenders: &Offenders, best: &BestSources, now_s: u64) -> Self {
        let is_recent = |ns: u64| seconds(ns) + WINDOW_S >= now_s;
        let worst = offenders.iter().filter(|entry| is_recent(entry.written_ns));
        let is_worst = |source| offenders.get(&source).is_some_and(|offender| is_recent(offender.written_ns));
        let best = best.iter().filter(|entry| is_recent(entry.seen_ns) && !is_worst(*entry.key()));
        Self {
            window_s: WINDOW_S,
            worst: first(worst.map(|e| (*e.key(), *e.value())), rank).into_iter().map(Subject::of).collect(),
            best: first(best.map(|e| (*e.key(), *e.value())), merit).into_iter().map(Good::of).collect(),
        }
    }
}

/// The first few of `all`, in order. Some tens of thousands are remembered; a list of ten is kept in order rather than all of
/// them.
fn first<T, R: Ord>(all: impl Iterator<Item = T>, rank: impl Fn(&T) -> R) -> Vec<T> {
    let mut list: Vec<T> = Vec::with_capacity(SHOWN + 1);
    for found in all {
        let place = list.partition_point(|listed| rank(listed) < rank(&found));
        list.insert(place, found);
        list.truncate(SHOWN);
    }
    list
}

/// The order of sources: the hardest verdict first, then the lowest score, then the most alerts.
fn rank((source, offender): &(u128, Offender)) -> impl Ord + use<> {
    (Reverse(offender.verdict), offender.score, Reverse(offender.alerts), *source)
}

/// The order of sources that fare well: the highest score first, then who was seen last.
fn merit((source, regarded): &(u128, Regarded)) -> impl Ord + use<> {
    (Reverse(regarded.score), Reverse(regarded.seen_ns), *source)
}

const fn seconds(ns: u64) -> u64 {
    ns / 1_000_000_000
}

/// The /64 of a source. The bits of the interface identifier are none of anybody's business, whatever key the memory is kept by.
fn network(source: u128) -> String {
    format!("{}/64", Ipv6Addr::from(source >> 64 << 64))
}

impl Good {
    fn of((source, regarded): (u128, Regarded)) -> Self {
        Self { prefix: network(source), score: regarded.score, last_s: seconds(regarded.seen_ns) }
    }
}

impl Subject {
    fn of((source, offender): (u128, Offender)) -> Self {
        Self {
            prefix: network(source),
            verdict: offender.verdict.name().to_owned(),
            score: offender.score,
            alerts: offender.alerts,
            last_s: seconds(offender.written_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use credence_score::Verdict;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn offender(verdict: Verdict, score: u16, alerts: u64, age_s: u64) -> Offender {
        Offender {
            written_ns: (NOW_S - age_s) * 1_000_000_000,
            verdict,
            score,
            alerts,
            suppressed: 0,
            confirmed: false,
        }
    }

    #[test]
    fn the_worst_come_first_and_no_address_is_told_in_full() {
        let offenders = Offenders::default();
        let source = |number: u128| 0x2001_0db8_u128 << 96 | number << 64 | 0xdead_beef;
        for (number, offender) in [
            (1, offender(Verdict::Observe, 0, 99, 0)),
            (2, offender(Verdict::Drop, 50, 1, 0)),
            (3, offender(Verdict::Drop, 40, 1, WINDOW_S)),
            (4, offender(Verdict::Drop, 50, 7, 0)),
            (5, offender(Verdict::Drop, 0, 7, WINDOW_S + 1)),
        ] {
            offenders.insert(source(number), offender);
        }
        let subjects = Subjects::of(&offenders, &BestSources::default(), NOW_S);
        let told: Vec<_> = subjects.worst.iter().map(|subject| subject.prefix.as_str()).collect();
        assert_eq!(
            told,
            ["2001:db8:0:3::/64", "2001:db8:0:4::/64", "2001:db8:0:2::/64", "2001:db8:0:1::/64"]
        );
        assert_eq!(subjects.worst[0].last_s, NOW_S - WINDOW_S);
    }

    #[test]
    fn the_best_are_those_with_the_highest_scores_that_raised_no_alert() {
        let (offenders, best) = (Offenders::default(), BestSources::default());
        let source = |number: u128| 0x2001_0db8_u128 << 96 | number << 64;
        for (number, score, age_s) in
            [(1, 810, 0), (2, 900, 9), (3, 990, 5), (4, 900, 3), (5, 999, WINDOW_S + 1)]
        {
            best.insert(source(number), Regarded { score, seen_ns: (NOW_S - age_s) * 1_000_000_000 });
        }
        offenders.insert(source(3), offender(Verdict::Observe, 400, 1, 60));
        let told = Subjects::of(&offenders, &best, NOW_S).best;
        let good = |number: u128, score, last_s| Good { prefix: network(source(number)), score, last_s };
        assert_eq!(told, [good(4, 900, NOW_S - 3), good(2, 900, NOW_S - 9), good(1, 810, NOW_S)]);
    }

    #[test]
    fn a_few_of_many_are_the_same_as_sorting_all() {
        let offenders = Offenders::default();
        let mut all = Vec::new();
        for number in 0..5_000_u64 {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let verdict = Verdict::ALL[mixed as usize % Verdict::ALL.len()];
            let found =
                (u128::from(number) << 64, offender(verdict, (mixed >> 20) as u16 % 50, mixed >> 60, 0));
            offenders.insert(found.0, found.1);
            all.push(found);
        }
        all.sort_unstable_by_key(rank);
        let expected: Vec<_> = all.into_iter().take(SHOWN).map(Subject::of).collect();
        assert_eq!(Subjects::of(&offenders, &BestSources::default(), NOW_S).worst, expected);
    }
}
