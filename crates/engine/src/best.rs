//! The sources that fare best, for operators to watch: the counterpart of those that raise alerts.
//!
//! Each worker keeps a few of the open step, and hands them on when that ends. What a source is worth watching for is a score
//! above that of a source of which nothing is known, so that the list stays empty where nobody is rated.

use std::sync::Arc;

use credence_flow::Level;
use dashmap::DashMap;

/// Sources kept of each step by each worker, which is what a screen shows.
const KEPT: usize = 10;
/// Sources remembered at most.
const REMEMBERED_MAX: usize = 1 << 12;
/// How long a source is remembered when others want its place, in nanoseconds of packet time.
const RECENT_NS: u64 = 600_000_000_000;

/// What is known of a source that fares well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regarded {
    /// The best score of its flows in the last step in which it was among the best.
    pub score: u16,
    /// When that step's last packet came, Unix nanoseconds.
    pub seen_ns: u64,
}

/// The sources that fare best, by /64. Shared with whoever shows them.
pub type BestSources = Arc<DashMap<u128, Regarded>>;

/// Takes in the best sources of a step. When there are too many, those not seen for ten minutes make room; whoever finds none
/// then is left out, so that memory is bounded.
pub(crate) fn remember(best: &BestSources, found: &[(u128, Regarded)]) {
    let Some((_, Regarded { seen_ns, .. })) = found.last() else { return };
    if best.len() + found.len() > REMEMBERED_MAX {
        best.retain(|_, old| old.seen_ns.saturating_add(RECENT_NS) > *seen_ns);
    }
    for (source, regarded) in found {
        if best.len() < REMEMBERED_MAX || best.contains_key(source) {
            best.insert(*source, *regarded);
        }
    }
}

/// The best sources of the open step.
pub(crate) struct Best {
    kept: Vec<(u128, u16)>,
    /// The score that has to be beaten.
    bar: u16,
    neutral: u16,
}

impl Best {
    /// Nobody yet; whoever scores no more than `neutral` never is.
    pub(crate) fn new(neutral: u16) -> Self {
        Self { kept: Vec::with_capacity(KEPT), bar: neutral, neutral }
    }

    /// Takes the source of a flow with this score, if it is among the best.
    #[inline]
    pub(crate) fn offer(&mut self, source: u128, score: u16) {
        if score > self.bar {
            self.insert(Level::Subnet.prefix(source), score);
        }
    }

    #[cold]
    fn insert(&mut self, source: u128, score: u16) {
        if let Some(known) = self.kept.iter_mut().find(|kept| kept.0 == source) {
            known.1 = known.1.max(score);
        } else if self.kept.len() < KEPT {
            self.kept.push((source, score));
        } else if let Some(least) = self.kept.iter_mut().min_by_key(|kept| kept.1) {
            *least = (source, score);
        }
        if self.kept.len() == KEPT {
            self.bar = self.kept.iter().map(|kept| kept.1).min().unwrap_or(self.neutral);
        }
    }

    /// Moves the best to the end of `to`, as of `seen_ns`, and begins anew.
    pub(crate) fn hand_out(&mut self, seen_ns: u64, to: &mut Vec<(u128, Regarded)>) {
        to.extend(self.kept.drain(..).map(|(source, score)| (source, Regarded { score, seen_ns })));
        self.bar = self.neutral;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NEUTRAL: u16 = 600;

    proptest! {
        #[test]
        fn the_best_are_those_that_sorting_all_finds(
            offers in prop::collection::vec((0_u128..40, 550_u16..700), 0..200),
        ) {
            let mut best = Best::new(NEUTRAL);
            let mut all = BTreeMap::new();
            for (network, score) in offers {
                best.offer(network << 64 | 0xbeef, score);
                let known = all.entry(network << 64).or_insert(score);
                *known = score.max(*known);
            }
            let mut expected: Vec<u16> = all.values().copied().filter(|score| *score > NEUTRAL).collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            expected.truncate(KEPT);
            let mut found = Vec::new();
            best.hand_out(7, &mut found);
            // Of equals any may be kept, each with its own score.
            prop_assert!(found.iter().all(|(source, regarded)| all[source] == regarded.score));
            let mut scores: Vec<u16> = found.iter().map(|(_, regarded)| regarded.score).collect();
            scores.sort_unstable_by(|a, b| b.cmp(a));
            prop_assert_eq!(scores, expected);
        }
    }

    #[test]
    fn a_step_begins_without_the_one_before() {
        let mut best = Best::new(NEUTRAL);
        (0..20).for_each(|network| best.offer(network << 64, 900));
        let mut found = Vec::new();
        best.hand_out(1, &mut found);
        best.offer(99 << 64, 601);
        best.hand_out(2, &mut found);
        assert_eq!(found.len(), KEPT + 1);
        assert_eq!(found.last(), Some(&(99 << 64, Regarded { score: 601, seen_ns: 2 })));
    }

    #[test]
    fn memory_is_bounded_and_the_long_unseen_make_room() {
        let best = BestSources::default();
        for n in 0..2 * REMEMBERED_MAX as u128 {
            remember(&best, &[(n << 64, Regarded { score: 700, seen_ns: 0 })]);
        }
        assert_eq!(best.len(), REMEMBERED_MAX);
        remember(&best, &[(u128::MAX, Regarded { score: 700, seen_ns: RECENT_NS })]);
        assert_eq!(best.len(), 1);
    }
}
