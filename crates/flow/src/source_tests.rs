use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::key::FlowKey;

const SEED: SketchSeed = SketchSeed(42);

fn pending(src: u128, packets: u32) -> Pending {
    let key = FlowKey { src, dst: 9 << 96, proto: 17, sport: 1, dport: 53 };
    Pending { key, packets, wire_bytes: packets * 100, created: false, odd: false, opening: None }
}

fn silent(src: u128, dst: u128, dport: u16) -> Pending {
    let key = FlowKey { src, dst, proto: 6, sport: 1, dport };
    Pending { key, packets: 1, wire_bytes: 74, created: true, odd: false, opening: Some(Opening::Unanswered) }
}

/// What `events` add up to in one step.
fn step_of(events: impl IntoIterator<Item = Pending>) -> Vec<Delta> {
    let mut deltas = Deltas::new(100_000, SEED);
    events.into_iter().for_each(|p| deltas.add(&p, true));
    deltas.close()
}

fn held(aggregates: &Aggregates) -> usize {
    aggregates.sets.iter().flatten().filter(|a| a.step != 0).count()
}

#[path = "source_tests/aggregates.rs"]
mod aggregates;
#[path = "source_tests/deltas.rs"]
mod deltas;
