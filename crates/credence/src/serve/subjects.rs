//! The page `/subjects`: which sources fare worst, for `credence top`.
//!
//! It is made of what the recorder remembers of alerts, off the way of packets. Sources are named by their /64 and no
//! further. That is still more than counters tell, so that the page exists only where nobody on another host can ask for it.

use std::cmp::Reverse;
use std::net::Ipv6Addr;

use credence_engine::{Offender, Offenders};
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
    /// What is remembered of the sources in `offenders`, at `now_s` (Unix seconds).
    pub(crate) fn of(offenders: &Offenders, now_s: u64) -> Self {
        let is_recent = |offender: &Offender| seconds(offender) + WINDOW_S >= now_s;
        // Some tens of thousands are remembered; a list of ten is kept in order rather than all of them.
        let mut worst: Vec<(u128, Offender)> = Vec::with_capacity(SHOWN + 1);
        for entry in offenders.iter().filter(|entry| is_recent(entry.value())) {
            let found = (*entry.key(), *entry.value());
            let place = worst.partition_point(|listed| rank(listed) < rank(&found));
            worst.insert(place, found);
            worst.truncate(SHOWN);
        }
        Self { window_s: WINDOW_S, worst: worst.into_iter().map(Subject::of).collect() }
    }
}

/// The order of sources: the hardest verdict first, then the lowest score, then the most alerts.
fn rank((source, offender): &(u128, Offender)) -> impl Ord + use<> {
    (Reverse(offender.verdict), offender.score, Reverse(offender.alerts), *source)
}

fn seconds(offender: &Offender) -> u64 {
    offender.written_ns / 1_000_000_000
}

impl Subject {
    fn of((source, offender): (u128, Offender)) -> Self {
        // The bits of the interface identifier are none of anybody's business, whatever key the memory is kept by.
        let network = Ipv6Addr::from(source >> 64 << 64);
        Self {
            prefix: format!("{network}/64"),
            verdict: offender.verdict.name().to_owned(),
            score: offender.score,
            alerts: offender.alerts,
            last_s: seconds(&offender),
        }
    }
}

#[cfg(test)]
mod tests {
    use credence_score::Verdict;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn offender(verdict: Verdict, score: u16, alerts: u64, age_s: u64) -> Offender {
        Offender { written_ns: (NOW_S - age_s) * 1_000_000_000, verdict, score, alerts, suppressed: 0 }
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
        let subjects = Subjects::of(&offenders, NOW_S);
        let told: Vec<_> = subjects.worst.iter().map(|subject| subject.prefix.as_str()).collect();
        assert_eq!(
            told,
            ["2001:db8:0:3::/64", "2001:db8:0:4::/64", "2001:db8:0:2::/64", "2001:db8:0:1::/64"]
        );
        assert_eq!(subjects.worst[0].last_s, NOW_S - WINDOW_S);
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
        assert_eq!(Subjects::of(&offenders, NOW_S).worst, expected);
    }
}
