//! Deltas of a step: what counts, how they are split and merged, and floods of them.

use proptest::prelude::*;

use super::*;
use crate::flow::{Opening, Pending};
use crate::source::delta::OWN_PACKETS;
use crate::source::tests::{SEED, answering, event, pending, step_of};
use crate::source::{Level, merge};

/// Aggregates that know of nobody.
fn nobody() -> Aggregates {
    Aggregates::new(8, 1)
}

/// The closed step of deltas without openings.
fn close(deltas: &mut Deltas) -> Vec<Delta> {
    deltas.close(&nobody()).to_vec()
}

/// Packets, bytes, flows, odd, openings and unanswered of a list, added up.
fn sums(list: &[Delta]) -> [u64; 6] {
    list.iter().fold([0; 6], |s, d| {
        let counters = [d.flows, d.odd, d.openings, d.unanswered].map(u64::from);
        let all = [d.packets.into(), d.wire_bytes, counters[0], counters[1], counters[2], counters[3]];
        core::array::from_fn(|i| s[i] + all[i])
    })
}

/// Adds one packet from each source to `deltas` and returns how often the log was added to the list.
fn flood(deltas: &mut Deltas, sources: impl Iterator<Item = u128>) -> usize {
    let (mut passes, nobody) = (0, nobody());
    for src in sources {
        let before = deltas.log.len();
        deltas.add(&pending(src, 1), &nobody);
        passes += usize::from(deltas.log.len() <= before);
    }
    passes
}

#[test]
fn silence_counts_only_where_the_way_back_is_seen_and_an_answer_always() {
    let judged = |opening, reverse_seen| {
        let mut deltas = Deltas::new(16, SEED);
        let aggregates = if reverse_seen { answering() } else { nobody() };
        let mut pending = Pending { opening, ..pending(1, 1) };
        pending.key.dst = 7;
        deltas.add(&pending, &aggregates);
        let delta = deltas.close(&aggregates)[0];
        (delta.openings, delta.unanswered, delta.targets.count_ones(), delta.ports.count_ones())
    };
    for reverse_seen in [false, true] {
        assert_eq!(judged(None, reverse_seen), (0, 0, 0, 0));
        assert_eq!(judged(Some(Opening::Answered), reverse_seen), (1, 0, 0, 0));
        assert_eq!(judged(Some(Opening::Confirmed), reverse_seen), (1, 0, 0, 0));
        assert_eq!(judged(Some(Opening::Refused), reverse_seen), (1, 1, 1, 1));
    }
    assert_eq!(judged(Some(Opening::Unanswered), true), (1, 1, 1, 1));
    assert_eq!(judged(Some(Opening::Unanswered), false), (0, 0, 0, 0));
}

#[test]
fn a_fold_that_brings_nothing_takes_no_room() {
    let mut deltas = Deltas::new(16, SEED);
    deltas.add(&pending(1, 0), &nobody());
    deltas.add(&Pending { opening: Some(Opening::Unanswered), ..pending(1, 0) }, &nobody());
    assert!(close(&mut deltas).is_empty());
    deltas.add(&Pending { odd: true, ..pending(1, 0) }, &nobody());
    assert_eq!(close(&mut deltas).len(), 1);
    assert!(close(&mut deltas).is_empty());
}

#[test]
fn counters_that_would_wrap_saturate() {
    let mut delta = step_of([pending(1, 1)])[0];
    (delta.packets, delta.wire_bytes, delta.flows) = (u32::MAX, u64::MAX, u32::MAX);
    let merged = merge(&[vec![delta], vec![delta], step_of([Pending { created: true, ..pending(1, 7) }])]);
    assert_eq!((merged.len(), merged[0]), (1, delta));
}

#[test]
fn a_flood_of_addresses_of_one_link_is_one_prefix_and_loses_nothing() {
    let mut deltas = Deltas::new(64, SEED);
    let bytes = deltas.bytes();
    flood(&mut deltas, 1..=100_000);
    assert_eq!((deltas.dropped(), deltas.bytes()), (0, bytes));
    let closed = close(&mut deltas);
    assert_eq!(sums(&closed)[..2], [100_000, 10_000_000]);
    assert!(closed.iter().any(|d| d.level == Level::Subnet && d.prefix == 0));
}

#[test]
fn a_flood_of_sites_of_one_allocation_loses_nothing() {
    let mut deltas = Deltas::new(64, SEED);
    flood(&mut deltas, (0..60_000).map(|n: u128| n << 80));
    assert_eq!((deltas.dropped(), sums(&close(&mut deltas))[0]), (0, 60_000));
}

#[test]
fn busy_addresses_stay_apart_in_a_flood_of_quiet_ones() {
    let mut deltas = Deltas::new(64, SEED);
    deltas.add(&pending(1 << 64 | 77, OWN_PACKETS), &nobody());
    flood(&mut deltas, (1..=1_000).map(|n| 5 << 64 | n));
    let closed = close(&mut deltas);
    assert!(closed.iter().any(|d| d.level == Level::Host && d.prefix == (1 << 64 | 77)));
}

#[test]
fn a_flood_of_allocations_is_dropped_and_counted_in_the_memory_taken_at_the_start() {
    let mut deltas = Deltas::new(64, SEED);
    let bytes = deltas.bytes();
    for round in 0..3 {
        let before = deltas.dropped();
        flood(&mut deltas, (0..50_000).map(|n: u128| n << 96));
        let kept = sums(&close(&mut deltas))[0];
        let dropped = deltas.dropped() - before;
        assert!(dropped > 49_000, "round {round}: {dropped}");
        assert_eq!(kept + dropped, 50_000);
    }
    assert_eq!(deltas.bytes(), bytes);
}

#[test]
fn a_flood_of_allocations_pushes_out_none_that_sends_more() {
    let mut deltas = Deltas::new(64, SEED);
    let busy = u128::MAX;
    deltas.add(&pending(busy, 2), &nobody());
    flood(&mut deltas, (0..50_000).map(|n: u128| n << 96));
    let closed = close(&mut deltas);
    let of_busy = closed.iter().find(|d| d.prefix == Level::Allocation.prefix(busy)).unwrap();
    assert_eq!((of_busy.level, of_busy.packets), (Level::Allocation, 2));
}

#[test]
fn an_allocation_seen_before_a_flood_still_counts_in_it() {
    let mut deltas = Deltas::new(64, SEED);
    let scanner = 7 << 96 | 5;
    flood(&mut deltas, core::iter::once(scanner).chain((100..1_100).map(|n: u128| n << 96)));
    // What the flood has logged so far may still be dropped.
    let most = deltas.dropped() + deltas.log.len() as u64;
    flood(&mut deltas, (0..1_000).map(|_| scanner));
    assert!(deltas.dropped() <= most);
    let closed = close(&mut deltas);
    let of_scanner = closed.iter().filter(|d| Level::Allocation.prefix(d.prefix) == 7 << 96);
    assert_eq!(of_scanner.map(|d| d.packets).sum::<u32>(), 1_001);
}

#[test]
fn each_pass_over_the_list_is_paid_for_by_a_log_as_long() {
    const CAPACITY: usize = 256;
    let spread = |n: u128, shift: u32| (n.wrapping_mul(0x9e37_79b9) & 0xffff) << shift;
    for shift in [0, 64, 80, 96] {
        let mut deltas = Deltas::new(CAPACITY as u32, SEED);
        let passes = flood(&mut deltas, (0..100_000).map(|n| spread(n, shift)));
        assert!((1..=100_000 / (CAPACITY / 2)).contains(&passes), "{passes} passes");
        assert!(close(&mut deltas).len() <= CAPACITY);
    }
}

#[test]
fn a_closed_step_leaves_nothing_of_a_flood_behind() {
    let mut deltas = Deltas::new(64, SEED);
    flood(&mut deltas, (0..1_000).map(|n: u128| n << 96));
    close(&mut deltas);
    let dropped = deltas.dropped();
    deltas.add(&pending(5, 1), &nobody());
    assert_eq!((close(&mut deltas)[0].level, deltas.dropped()), (Level::Host, dropped));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_merged_list_does_not_depend_on_which_worker_saw_what(
        events in prop::collection::vec((event(), 0_usize..8), 0..300),
    ) {
        let whole = merge(&[step_of(events.iter().map(|e| e.0))]);
        for workers in [1, 2, 3, 8] {
            let list = |w| step_of(events.iter().filter(|e| e.1 % workers == w).map(|e| e.0));
            let mut lists: Vec<_> = (0..workers).map(list).collect();
            prop_assert_eq!(&merge(&lists), &whole);
            lists.reverse();
            prop_assert_eq!(&merge(&lists), &whole);
        }
        prop_assert!(whole.is_sorted_by(|a, b| a.rank() < b.rank()));
        let expected = events.iter().fold(0, |sum, e| sum + u64::from(e.0.packets));
        prop_assert_eq!(sums(&whole)[0], expected);
    }

    #[test]
    fn a_small_list_adds_up_to_the_same_when_it_drops_nothing(
        events in prop::collection::vec(event(), 0..300),
    ) {
        let (mut small, answering) = (Deltas::new(16, SEED), answering());
        events.iter().for_each(|p| small.add(p, &answering));
        let closed = small.close(&answering).to_vec();
        prop_assert_eq!(small.dropped(), 0, "three allocations always fit");
        prop_assert!(closed.is_sorted_by(|a, b| a.rank() < b.rank()));
        prop_assert_eq!(sums(&closed), sums(&step_of(events)));
    }
    #[test]
    fn deltas_that_were_cleared_are_as_new_ones(
        before in prop::collection::vec(event(), 0..300),
        after in prop::collection::vec(event(), 0..300),
        closes in any::<bool>(),
    ) {
        let (mut cleared, mut new, answering) = (Deltas::new(64, SEED), Deltas::new(64, SEED), answering());
        before.iter().for_each(|p| cleared.add(p, &answering));
        if closes {
            cleared.close(&answering);
        }
        cleared.clear();
        for deltas in [&mut cleared, &mut new] {
            after.iter().for_each(|p| deltas.add(p, &answering));
        }
        prop_assert_eq!(cleared.close(&answering), new.close(&answering));
    }
}
