//! What the tests of sources share.

use proptest::prelude::*;

use super::*;
use crate::flow::{Opening, Pending};
use crate::key::FlowKey;

pub(super) const SEED: SketchSeed = SketchSeed(42);

pub(super) fn pending(src: u128, packets: u32) -> Pending {
    let key = FlowKey { src, dst: 9 << 96, proto: 17, sport: 1, dport: 53 };
    Pending { key, packets, wire_bytes: packets * 100, created: false, odd: false, opening: None }
}

pub(super) fn silent(src: u128, dst: u128, dport: u16) -> Pending {
    let key = FlowKey { src, dst, proto: 6, sport: 1, dport };
    Pending { key, packets: 1, wire_bytes: 74, created: true, odd: false, opening: Some(Opening::Unanswered) }
}

/// What a flow may do, from few addresses that share prefixes.
pub(super) fn event() -> impl Strategy<Value = Pending> {
    let src =
        (0_u128..3, 0_u128..3, 0_u128..3, 0_u128..4).prop_map(|(a, s, n, h)| a << 96 | s << 80 | n << 64 | h);
    let opening = prop::option::of(prop::sample::select(vec![
        Opening::Confirmed,
        Opening::Answered,
        Opening::Refused,
        Opening::Unanswered,
    ]));
    (src, 0_u128..200, 0_u16..99, 0_u32..12, any::<(bool, bool)>(), opening).prop_map(
        |(src, dst, dport, packets, (created, odd), opening)| {
            let key = FlowKey { src, dst: dst << 70, proto: 6, sport: 1, dport };
            Pending { key, packets, wire_bytes: packets * 90, created, odd, opening }
        },
    )
}

/// Nothing that a source does is held against it.
pub(super) fn all_quiet(_: Level, _: &Behaviour) -> bool {
    true
}

/// Aggregates that know of a sender in site 0, where all destinations of [`event`] lie.
pub(super) fn answering() -> Aggregates {
    let mut aggregates = Aggregates::new(8, 1);
    let mut deltas = Deltas::new(16, SEED);
    deltas.add(&pending(0, 1), &aggregates);
    let closed = deltas.close(&aggregates).to_vec();
    aggregates.close_step(1, &closed, &all_quiet);
    aggregates
}

/// What `events` add up to in one step, where answers would be seen.
pub(super) fn step_of(events: impl IntoIterator<Item = Pending>) -> Vec<Delta> {
    let (answering, events) = (answering(), Vec::from_iter(events));
    let mut deltas = Deltas::new(2 * events.len() as u32, SEED);
    events.iter().for_each(|p| deltas.add(p, &answering));
    deltas.close(&answering).to_vec()
}

#[test]
fn a_level_keeps_its_prefix_and_nothing_below() {
    let addr = u128::MAX;
    let kept = Level::ALL.map(|level| (level.prefix_len(), level.prefix(addr)));
    let expected = [128, 64, 48, 32].map(|len| (len, u128::MAX >> (128 - len) << (128 - len)));
    assert_eq!(kept, expected);
    assert!(Level::ALL.is_sorted());
    assert!(Level::ALL.iter().all(|level| level.prefix(0) == 0));
}
