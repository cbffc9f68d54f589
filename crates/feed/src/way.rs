//! Which files lead from one version to another, and at what price.
//!
//! A head names deltas over one version and roll-ups over runs of them. Each leads to its end from its beginning and from every version
//! between, so that whoever is anywhere inside a run needs no more than the roll-up, and goes on from its end with the next. Of all
//! ways the one of the fewest bytes is taken.

use std::cmp::Reverse;

use crate::head::DeltaRef;

/// What asking for a file costs beside its bytes, in bytes: headers there and back, and the time that they take on their way.
const ASKED: u64 = 1 << 10;

impl DeltaRef {
    /// Whether whoever has this serial gets further by it.
    pub const fn leads_from(&self, serial: u64) -> bool {
        self.from <= serial && serial < self.to
    }
}

/// What it costs in bytes to go on with each of these to a serial, with all that has to follow; none where that does not lead there.
/// It takes the square of their number, which a head [bounds](crate::DELTAS_MAX).
pub fn costs(deltas: &[DeltaRef], serial: u64) -> Vec<Option<u64>> {
    let mut order: Vec<_> = deltas.iter().zip(0_usize..).collect();
    order.sort_unstable_by_key(|(delta, place)| (Reverse(delta.to), *place));
    let mut known: Vec<(&DeltaRef, usize, Option<u64>)> = Vec::with_capacity(deltas.len());
    for (delta, place) in order {
        let onward = known.iter().filter(|(next, ..)| next.leads_from(delta.to));
        let rest = if delta.to == serial { Some(0) } else { onward.filter_map(|(.., cost)| *cost).min() };
        let is_past = serial < delta.to;
        let cost = rest.filter(|_| !is_past).map(|rest| rest + u64::from(delta.file.len) + ASKED);
        known.push((delta, place, cost));
    }
    known.sort_unstable_by_key(|(_, place, _)| *place);
    known.into_iter().map(|(.., cost)| cost).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::head::FileRef;

    /// The cheapest way by trying all of them.
    fn cheapest(deltas: &[DeltaRef], (from, to): (u64, u64)) -> Option<u64> {
        let mut best: Option<u64> = None;
        let mut open = VecDeque::from([(from, 0_u64)]);
        while let Some((at, cost)) = open.pop_front() {
            if at == to {
                best = Some(best.map_or(cost, |best| best.min(cost)));
            }
            let on = deltas.iter().filter(|delta| delta.from <= at && at < delta.to && delta.to <= to);
            open.extend(on.map(|delta| (delta.to, cost + ASKED + u64::from(delta.file.len))));
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_way_that_is_taken_is_the_cheapest_of_all(
            ways in prop::collection::vec((0_u64..12, 0_u64..12, 0_u32..5_000), 0..14),
            (from, to) in (0_u64..12, 0_u64..12),
        ) {
            let way = |(from, to, len)| DeltaRef { from, to, file: FileRef { hash: [1; 32], len } };
            let deltas: Vec<_> = ways.into_iter().map(way).collect();
            let costs = costs(&deltas, to);
            let ways = deltas.iter().zip(&costs).filter(|(delta, _)| delta.leads_from(from));
            let found = if from == to { Some(0) } else { ways.filter_map(|(_, cost)| *cost).min() };
            prop_assert_eq!(found, cheapest(&deltas, (from, to)));
        }
    }
}
