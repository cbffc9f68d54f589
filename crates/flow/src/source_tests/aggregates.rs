//! Aggregates against a plain map, what earns one, sketches and decay.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::flow::{Opening, Pending};
use crate::source::aggregate::{DECAYED_STEPS, SKETCH_STEPS, decayed, linear_count};
use crate::source::delta::{OWN_FLOWS, OWN_PACKETS, bit};
use crate::source::tests::{SEED, all_quiet, event, pending, silent, step_of};
use crate::source::{Deltas, merge};

fn held(aggregates: &Aggregates) -> usize {
    aggregates.places.iter().filter(|place| place.name().is_some()).count()
}

/// The state of one prefix as a plain map holds it.
#[derive(Clone, Default)]
struct TwinAggregate {
    /// Packets, bytes, flows, odd, openings, unanswered.
    counters: [u64; 6],
    /// Bits of targets and of ports, by window.
    windows: HashMap<u32, (u64, u64)>,
}

impl TwinAggregate {
    fn add(&mut self, window: u32, p: &Pending) {
        let silent = matches!(p.opening, Some(Opening::Unanswered | Opening::Refused));
        let events = [p.created, p.odd, p.opening.is_some(), silent].map(u64::from);
        let all = [u64::from(p.packets), u64::from(p.wire_bytes), events[0], events[1], events[2], events[3]];
        self.counters.iter_mut().zip(all).for_each(|(c, a)| *c += a);
        if silent {
            let sketch = KeyedHash::new(SEED.0);
            let bits = self.windows.entry(window).or_default();
            bits.0 |= 1 << bit(&sketch, p.key.dst);
            bits.1 |= 1 << bit(&sketch, u128::from(p.key.dport) << 8 | u128::from(p.key.proto));
        }
    }

    fn behaviour(&self, window: u32) -> Behaviour {
        let at = |w: Option<u32>| w.and_then(|w| self.windows.get(&w)).copied().unwrap_or_default();
        let (recent, older) = (at(Some(window)), at(window.checked_sub(1)));
        let [packets, wire_bytes, flows, odd, openings, unanswered] = self.counters;
        let small = |c: u64| u32::try_from(c).unwrap();
        Behaviour {
            packets: packets / 8,
            wire_bytes: wire_bytes / 8,
            flows: small(flows / 8),
            odd: small(odd / 8),
            openings: small(openings),
            unanswered: small(unanswered),
            targets: by_formula((recent.0 | older.0).count_ones()),
            ports: by_formula((recent.1 | older.1).count_ones()),
        }
    }
}

/// Linear counting with 64 bits, by its formula.
fn by_formula(bits: u32) -> u32 {
    let zero = if bits == 64 { 0.5 } else { 64.0 - f64::from(bits) };
    (-64.0 * (zero / 64.0).ln()).round() as u32
}

#[derive(Default)]
struct Twin(HashMap<(Level, u128), TwinAggregate>);

impl Twin {
    fn close_step(&mut self, step: u32, events: &[Pending]) {
        let mut of_address = HashMap::<u128, (u32, u32)>::new();
        for p in events {
            let sum = of_address.entry(p.key.src).or_default();
            *sum = (sum.0 + p.packets, sum.1 + u32::from(p.created));
        }
        for aggregate in self.0.values_mut() {
            aggregate.counters.iter_mut().for_each(|c| *c -= c.div_ceil(8));
        }
        of_address.retain(|&src, &mut (packets, flows)| {
            packets >= OWN_PACKETS || flows >= OWN_FLOWS || self.0.contains_key(&(Level::Host, src))
        });
        for p in events.iter().filter(|p| p.packets > 0 || p.created || p.odd || p.opening.is_some()) {
            for level in Level::ALL {
                if level != Level::Host || of_address.contains_key(&p.key.src) {
                    let prefix = level.prefix(p.key.src);
                    self.0.entry((level, prefix)).or_default().add(step / SKETCH_STEPS, p);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn aggregates_are_those_of_a_plain_map(
        steps in prop::collection::vec(prop::collection::vec(event(), 0..60), 1..40),
        seed in any::<u64>(),
        first in 1_u32..50,
    ) {
        let (mut aggregates, mut twin) = (Aggregates::new(4_096, seed), Twin::default());
        let bytes = aggregates.bytes();
        for (step, events) in (first..).zip(&steps) {
            aggregates.close_step(step, &step_of(events.iter().copied()), &all_quiet);
            twin.close_step(step, events);
            for (&(level, prefix), expected) in &twin.0 {
                let found = aggregates.behaviour(level, prefix);
                prop_assert_eq!(found, Some(expected.behaviour(step / SKETCH_STEPS)), "{:?} {:x}", level, prefix);
            }
            prop_assert_eq!(held(&aggregates), twin.0.len());
        }
        prop_assert_eq!((aggregates.displaced(), aggregates.bytes()), (0, bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_address_is_quiet_when_all_its_prefixes_are(
        steps in prop::collection::vec(prop::collection::vec(event(), 0..40), 1..30),
        loud in (1_u64..12, 1_u32..60),
        places in prop::sample::select(vec![8_u32, 64, 4_096]),
    ) {
        let quiet = |level: Level, did: &Behaviour| {
            did.packets < loud.0 << level as u32 && did.targets < loud.1 << level as u32
        };
        let mut aggregates = Aggregates::new(places, 1);
        let bytes = aggregates.bytes();
        let mut wrong = 0;
        for (step, events) in (1..).zip(&steps) {
            aggregates.close_step(step, &step_of(events.iter().copied()), &quiet);
            for src in steps.iter().flatten().map(|p| p.key.src) {
                let expected = Level::ALL.iter().all(|&level| {
                    aggregates.behaviour(level, src).is_none_or(|did| quiet(level, &did))
                });
                prop_assert!(expected || !aggregates.is_quiet(src), "{:x} is not quiet", src);
                wrong += usize::from(expected != aggregates.is_quiet(src));
            }
        }
        prop_assert!(wrong <= steps.len() * steps.iter().map(Vec::len).sum::<usize>() / 20, "{}", wrong);
        prop_assert_eq!(aggregates.bytes(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn aggregates_that_were_cleared_are_as_new_ones(
        before in prop::collection::vec(prop::collection::vec(event(), 0..40), 1..10),
        after in prop::collection::vec(prop::collection::vec(event(), 0..40), 1..10),
    ) {
        let quiet = |_: Level, did: &Behaviour| did.packets < 10;
        let close = |aggregates: &mut Aggregates, steps: &[Vec<Pending>]| {
            for (step, events) in (1..).zip(steps) {
                aggregates.close_step(step, &step_of(events.iter().copied()), &quiet);
            }
        };
        let (mut cleared, mut new) = (Aggregates::new(64, 1), Aggregates::new(64, 1));
        close(&mut cleared, &before);
        cleared.clear();
        prop_assert_eq!(held(&cleared), 0);
        close(&mut cleared, &after);
        close(&mut new, &after);
        prop_assert_eq!(held(&cleared), held(&new));
        for src in before.iter().chain(&after).flatten().map(|p| p.key.src) {
            prop_assert_eq!(cleared.is_quiet(src), new.is_quiet(src));
            for level in Level::ALL {
                prop_assert_eq!(cleared.behaviour(level, src), new.behaviour(level, src));
            }
        }
    }
}

#[test]
fn what_was_notable_is_quiet_again_once_it_has_decayed() {
    let quiet = |_: Level, did: &Behaviour| did.packets < 10;
    let mut aggregates = Aggregates::new(64, 1);
    aggregates.close_step(1, &step_of([pending(5, 160)]), &quiet);
    assert!(!aggregates.is_quiet(5) && !aggregates.is_quiet(6), "one address counts for its link");
    assert!(aggregates.is_quiet(7 << 96));
    for step in 2..7 {
        aggregates.close_step(step, &[], &quiet);
        assert!(!aggregates.is_quiet(5), "20, 17, 15, 13, 11 and 10 packets a step");
    }
    aggregates.close_step(7, &[], &quiet);
    assert!(aggregates.is_quiet(5));
}

#[test]
fn counts_are_those_of_the_formula() {
    for bits in 0..=64 {
        let set = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
        assert_eq!(linear_count(set), by_formula(bits), "{bits} bits");
    }
}

/// The n-th value that a scanner tries.
type Order = fn(u128) -> u128;

/// The mean estimate of `n` values over 200 seeds.
fn mean_estimate(values: Order, n: u128) -> f64 {
    let estimate = |seed| {
        let sketch = KeyedHash::new(seed);
        f64::from(linear_count((0..n).fold(0, |bits, v| bits | 1 << bit(&sketch, values(v)))))
    };
    (0..200).map(estimate).sum::<f64>() / 200.0
}

#[test]
fn estimates_are_right_for_the_orders_in_which_scanners_count() {
    let orders: [(&str, Order); 4] = [
        ("ports", |n| n << 8 | 6),
        ("addresses", |n| 0x2001_0db8 << 96 | n),
        ("links", |n| 0x2001_0db8 << 96 | n << 64),
        ("sites", |n| 0x2001_0db8 << 96 | n << 80 | 1),
    ];
    for (name, values) in orders {
        for n in [4_u32, 16, 64, 128] {
            let mean = mean_estimate(values, u128::from(n));
            let ratio = mean / f64::from(n);
            assert!((0.92..1.08).contains(&ratio), "{n} {name} are estimated as {mean}");
        }
    }
}

#[test]
fn a_counter_decays_to_nothing_in_the_stated_steps_and_no_fewer() {
    let mut counter = u64::MAX;
    for _ in 0..DECAYED_STEPS - 1 {
        counter = decayed(counter);
    }
    assert_eq!((counter, decayed(counter), decayed(0)), (1, 0, 0));
}

#[test]
fn nothing_is_left_after_a_long_silence_however_much_there_was() {
    let mut delta = step_of([silent(5, 6, 7)])[0];
    (delta.packets, delta.wire_bytes, delta.flows) = (u32::MAX, u64::MAX, u32::MAX);
    for silence in [DECAYED_STEPS, 1_000, u32::MAX - 1] {
        let mut aggregates = Aggregates::new(64, 1);
        aggregates.close_step(1, &[delta], &all_quiet);
        assert_eq!(aggregates.behaviour(Level::Host, 5).unwrap().wire_bytes, u64::MAX / 8);
        aggregates.close_step(1 + silence, &[], &all_quiet);
        for level in Level::ALL {
            assert_eq!(aggregates.behaviour(level, 5), Some(Behaviour::default()), "{silence} steps");
        }
    }
}

#[test]
fn a_silence_is_as_long_in_one_jump_as_step_by_step() {
    for silence in 1..40 {
        let of = |jump: bool| {
            let mut aggregates = Aggregates::new(64, 1);
            aggregates.close_step(1, &step_of((0..100).map(|n| silent(5, n, n as u16))), &all_quiet);
            let steps = if jump { 1 + silence..=1 + silence } else { 2..=1 + silence };
            steps.for_each(|step| aggregates.close_step(step, &[], &all_quiet));
            aggregates.behaviour(Level::Subnet, 5).unwrap()
        };
        assert_eq!(of(true), of(false), "{silence} steps");
    }
}

#[test]
fn steps_never_fall() {
    let mut aggregates = Aggregates::new(64, 1);
    aggregates.close_step(100, &step_of([pending(5, 800)]), &all_quiet);
    aggregates.close_step(3, &step_of([pending(5, 800)]), &all_quiet);
    assert_eq!(aggregates.behaviour(Level::Subnet, 5).unwrap().packets, 200);
    aggregates.close_step(0, &[], &all_quiet);
    assert_eq!(aggregates.behaviour(Level::Subnet, 5).unwrap().packets, 200);
}

#[test]
fn an_address_earns_its_own_aggregate_by_being_busy_and_keeps_it() {
    let created = |src, n: u32| (0..n).map(move |_| Pending { created: true, ..pending(src, 1) });
    let mut aggregates = Aggregates::new(1_024, 1);
    let events = [pending(1, OWN_PACKETS - 1), pending(2, OWN_PACKETS)];
    let flows = created(3, OWN_FLOWS - 1).chain(created(4, OWN_FLOWS));
    aggregates.close_step(1, &step_of(events.into_iter().chain(flows)), &all_quiet);
    let own = [1, 2, 3, 4].map(|src| aggregates.behaviour(Level::Host, src).is_some());
    assert_eq!(own, [false, true, false, true]);
    aggregates.close_step(2, &step_of([pending(2, 8)]), &all_quiet);
    assert_eq!(aggregates.behaviour(Level::Host, 2).unwrap().packets, (16 - 2 + 8) / 8);
}

#[test]
fn an_address_is_busy_by_what_all_workers_saw_of_it() {
    let half = || step_of([pending(1, OWN_PACKETS / 2)]);
    let mut aggregates = Aggregates::new(64, 1);
    aggregates.close_step(1, &merge(&[half()]), &all_quiet);
    assert_eq!(aggregates.behaviour(Level::Host, 1), None);
    aggregates.close_step(2, &merge(&[half(), half()]), &all_quiet);
    assert!(aggregates.behaviour(Level::Host, 1).is_some());
}

#[test]
fn an_address_with_an_aggregate_counts_on_while_others_come_and_go() {
    let mut aggregates = Aggregates::new(256, 1);
    for step in 1..60_u32 {
        let crowd = (0..300_u128).map(|n| pending((u128::from(step) * 1_000 + n) << 64, 16));
        aggregates.close_step(step, &step_of(crowd.chain([pending(7, 4_000)])), &all_quiet);
        let held = aggregates.places.iter().filter_map(Aggregate::name).filter(|name| name.0 == Level::Host);
        for (level, prefix) in held {
            assert!(aggregates.busy.may_hold(aggregates.hash(level, prefix)), "{prefix:x} in step {step}");
        }
    }
    assert!(aggregates.displaced() > 10_000);
    aggregates.close_step(1_000, &step_of([pending(7, 8)]), &all_quiet);
    assert_eq!(aggregates.behaviour(Level::Host, 7).unwrap().packets, 1, "all before has decayed");
}

#[test]
fn random_interface_identifiers_fill_one_link_and_not_the_table() {
    let mut aggregates = Aggregates::new(64, 1);
    let flood = (1..=50_000_u128).map(|n| silent((7 << 64) + n * 0x9e37_79b9_7f4a, n, 80));
    aggregates.close_step(1, &step_of(flood), &all_quiet);
    assert_eq!((held(&aggregates), aggregates.displaced()), (3, 0));
    let link = aggregates.behaviour(Level::Subnet, 7 << 64).unwrap();
    assert_eq!((link.flows, link.unanswered, link.targets, link.ports), (6_250, 50_000, 311, 1));
}

#[test]
fn deltas_made_coarse_count_towards_the_wider_levels_only() {
    let mut aggregates = Aggregates::new(1_024, 1);
    let mut deltas = Deltas::new(16, SEED);
    (0..500_u128).for_each(|n| deltas.add(&pending(n << 80, 16), &aggregates));
    let closed = deltas.close(&aggregates).to_vec();
    assert!(closed.iter().any(|d| d.level == Level::Allocation));
    aggregates.close_step(1, &closed, &all_quiet);
    assert_eq!(aggregates.behaviour(Level::Allocation, 0).unwrap().packets, 1_000);
    let narrow: u64 =
        (0..500).filter_map(|n: u128| aggregates.behaviour(Level::Site, n << 80)).map(|b| b.packets).sum();
    assert!(narrow < 1_000, "{narrow}");
}

#[test]
fn fan_out_is_forgotten_after_two_windows() {
    let mut aggregates = Aggregates::new(64, 1);
    aggregates.close_step(SKETCH_STEPS, &step_of((0..10).map(|n| silent(5, n, 80))), &all_quiet);
    let targets = |a: &Aggregates| a.behaviour(Level::Subnet, 5).unwrap().targets;
    let seen = targets(&aggregates);
    assert!((7..=13).contains(&seen), "{seen}");
    aggregates.close_step(3 * SKETCH_STEPS - 1, &[], &all_quiet);
    assert_eq!(targets(&aggregates), seen);
    aggregates.close_step(3 * SKETCH_STEPS, &[], &all_quiet);
    assert_eq!(targets(&aggregates), 0);
}

/// Whether the sites of these addresses send.
fn send<const N: usize>(aggregates: &Aggregates, addrs: [u128; N]) -> [bool; N] {
    let mut sends = [false; N];
    aggregates.send(&addrs, &mut sends);
    sends
}

#[test]
fn a_site_sends_while_it_was_heard_in_the_last_steps() {
    let mut aggregates = Aggregates::new(64, 1);
    assert_eq!(send(&aggregates, [5]), [false]);
    aggregates.close_step(10, &step_of([pending(5, 1)]), &all_quiet);
    let (same_site, other_site) = (0xffff << 64 | 9, 1 << 80);
    assert_eq!(send(&aggregates, [same_site, other_site]), [true, false]);
    aggregates.close_step(10 + SKETCH_STEPS, &[], &all_quiet);
    assert_eq!(send(&aggregates, [same_site]), [true]);
    aggregates.close_step(11 + SKETCH_STEPS, &[], &all_quiet);
    assert_eq!(send(&aggregates, [same_site]), [false]);
}

#[test]
fn many_are_asked_at_once_for_the_same_answers() {
    let mut aggregates = Aggregates::new(4_096, 1);
    aggregates.close_step(1, &step_of((0..500).map(|n| pending(n << 81, 1))), &all_quiet);
    let all: [u128; 3 * BATCH + 1] = core::array::from_fn(|n| (n as u128) << 80);
    let expected = all.map(|addr| addr & 1 << 80 == 0);
    assert_eq!(send(&aggregates, all), expected);
}

#[test]
fn a_full_set_gives_up_a_prefix_that_fell_silent() {
    let mut aggregates = Aggregates::new(2 * WAYS as u32, 1);
    let bytes = aggregates.bytes();
    let mut sources = 0_u128;
    for step in 1..100 {
        sources += 1;
        aggregates.close_step(step, &step_of([pending(sources << 96, 1), pending(0, 1)]), &all_quiet);
        assert!(aggregates.behaviour(Level::Subnet, 0).is_some(), "what speaks in each step stays");
    }
    assert!(aggregates.displaced() > 100);
    assert_eq!((held(&aggregates), aggregates.bytes()), (2 * WAYS, bytes));
}

#[test]
fn a_flood_of_new_prefixes_does_not_wipe_out_what_is_known_of_a_busy_one() {
    let mut aggregates = Aggregates::new(256, 1);
    // The last of all in the order of prefixes, so that each step's flood comes before it.
    let busy = u128::MAX;
    for step in 1..20_u32 {
        let flood = (0..5_000).map(|n: u128| pending((u128::from(step) * 5_000 + n) << 64, 1));
        aggregates.close_step(step, &step_of(flood.chain([pending(busy, 1_000)])), &all_quiet);
    }
    for level in Level::ALL {
        let packets = aggregates.behaviour(level, busy).map_or(0, |b| b.packets);
        assert!(packets > 900, "{level:?}: {packets} of about 1,000 a step");
    }
    assert_eq!(held(&aggregates), 256);
}

#[test]
fn a_prefix_that_was_busy_long_ago_makes_room() {
    let mut aggregates = Aggregates::new(8, 1);
    aggregates.close_step(1, &step_of([pending(7 << 96, 1_000_000)]), &all_quiet);
    for step in 200..210 {
        aggregates.close_step(step, &step_of((100..120_u128).map(|n| pending(n << 96, 2))), &all_quiet);
    }
    assert_eq!(Level::ALL.map(|level| aggregates.behaviour(level, 7 << 96)), [None; 4]);
}

#[test]
fn what_makes_room_depends_on_the_seed_and_on_nothing_else() {
    let kept = |seed| {
        let mut aggregates = Aggregates::new(64, seed);
        aggregates.close_step(1, &step_of((0..200_u128).map(|n| pending(n << 96, 1))), &all_quiet);
        (0..200_u128).filter(|n| aggregates.behaviour(Level::Site, n << 96).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(kept(1), kept(1));
    assert_ne!(kept(1), kept(2));
}
