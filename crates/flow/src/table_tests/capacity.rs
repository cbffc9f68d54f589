//! What fits, what happens when nothing more fits, and that the index, the flows and the free chain agree.

use super::*;

/// Every live flow has one slot of the index, in a bucket of its key and under its tag; the free chain holds the rest of
/// the places that were ever used.
fn check_integrity(table: &FlowTable) {
    let mut indexed = vec![false; table.hot.len()];
    for (b, bucket) in (0..).zip(table.index.buckets()) {
        for (way, &flow) in bucket.flows.iter().enumerate() {
            assert_eq!(flow == NONE, bucket.tags[way] == 0, "bucket {b}, way {way}");
            if flow != NONE {
                let hot = &table.hot[flow as usize];
                let Candidates { buckets, tag, .. } = table.candidates(&hot.key());
                assert!(!hot.is_free() && buckets.contains(&b) && tag == bucket.tags[way]);
                assert!(
                    !core::mem::replace(&mut indexed[flow as usize], true),
                    "flow {flow} is indexed twice"
                );
            }
        }
        assert_eq!(bucket.tags[WAYS..], [0; 16 - WAYS]);
    }
    assert_eq!(indexed.iter().filter(|&&i| i).count(), table.live() as usize);
    let (mut free, mut chained) = (table.free, 0);
    while free != NONE {
        assert!(table.hot[free as usize].is_free());
        free = table.hot[free as usize].next_free();
        chained += 1;
        assert!(chained <= table.capacity(), "the free chain has a loop");
    }
    assert_eq!(chained + table.live(), table.hot.len() as u32);
    assert!(table.hot.len() == table.cold.len() && table.hot.len() <= table.capacity() as usize);
}

/// Keys that nobody could tell from random ones.
fn random_keys(seed: u64) -> impl Iterator<Item = FlowKey> {
    (0_u64..).map(move |n| {
        let mixed = (n ^ seed << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let src = u128::from(mixed) << 64 | u128::from(mixed.rotate_left(23) ^ n);
        FlowKey { src, dst: !src, proto: 17, sport: (mixed >> 48) as u16, dport: 53 }
    })
}

/// Places new flows until one is not; how many found room.
fn fill(table: &mut FlowTable, keys: impl Iterator<Item = FlowKey>) -> u32 {
    let mut placed = 0;
    for key in keys {
        match place(table, &key, S, &mut Vec::new()) {
            Placed::New(_) => placed += 1,
            Placed::Refused => break,
            Placed::Known(_) => panic!("keys are distinct"),
        }
    }
    placed
}

/// Handshakes of clients `from` to `to`: two confirmed flows each.
fn confirm(table: &mut FlowTable, clients: core::ops::Range<u32>) {
    for n in clients {
        let (ask, answer) = (key(n), key(n).reverse());
        let packets = [tcp(ask, SYN, 1, 0), tcp(answer, SYN | ACK, 5, 2), tcp(ask, ACK, 2, 6)];
        for header in &packets {
            match place(table, &FlowKey::of(header), S, &mut Vec::new()) {
                Placed::New(slot) => handle(table, slot, true, header),
                Placed::Known(slot) => handle(table, slot, false, header),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn is_confirmed(table: &mut FlowTable, key: &FlowKey) -> bool {
    table.find(key).is_some_and(|slot| table.flow(slot).is_confirmed())
}

#[test]
fn a_million_flows_fit_in_128_bytes_each_and_fill_the_table() {
    let mut table = table(1_000_000, FullPolicy::Refuse, 11);
    let bytes = table.bytes();
    assert!(bytes <= 128 * 1_000_000, "{bytes}");
    assert_eq!(fill(&mut table, random_keys(1)), 1_000_000);
    assert_eq!((table.live(), table.bytes()), (1_000_000, bytes));
    check_integrity(&table);
}

#[test]
fn a_flow_of_acknowledgements_takes_no_memory_for_what_is_rare_and_one_that_opens_does() {
    let mut table = table(1_000, FullPolicy::Refuse, 11);
    let mut send = |n, flags| {
        let header = tcp(key(n), flags, 1, 1);
        let placed = place(&mut table, &key(n), S, &mut Vec::new());
        if let Placed::New(slot) | Placed::Known(slot) = placed {
            handle(&mut table, slot, matches!(placed, Placed::New(_)), &header);
        }
        table.rares.taken()
    };
    assert!((0..500).chain(0..500).all(|n| send(n, ACK) == 0));
    let one = send(500, SYN);
    assert!(one > 0 && send(501, ACK) == one);
}

#[test]
fn memory_is_used_from_the_front_and_never_moves_whether_touched_before_or_not() {
    for prefault in [false, true] {
        let mut table = table(50_000, FullPolicy::Refuse, 1);
        if prefault {
            table.prefault();
        }
        let places = |table: &FlowTable| (table.hot.as_ptr(), table.cold.as_ptr());
        let before = places(&table);
        assert_eq!((fill(&mut table, random_keys(1).take(1_000)), table.hot.len()), (1_000, 1_000));
        // What became free is used again before what never was.
        let mut ended = Vec::new();
        table.expire(50_000, 100 * S, &mut |f| ended.push(f.record));
        assert_eq!((ended.len(), table.live()), (1_000, 0));
        assert_eq!((fill(&mut table, random_keys(2).take(1_000)), table.hot.len()), (1_000, 1_000));
        assert_eq!(fill(&mut table, random_keys(3)), 49_000);
        assert_eq!(places(&table), before);
        check_integrity(&table);
    }
}

#[test]
fn the_flows_that_are_left_lie_in_the_places_that_were_used() {
    let mut table = table(1_000, FullPolicy::Refuse, 1);
    let mut keys: Vec<_> = random_keys(1).take(900).collect();
    for (n, key) in (0..).zip(&keys) {
        place(&mut table, key, S + n, &mut Vec::new());
    }
    table.expire(500, 100 * S, &mut |_| ());
    let mut left: Vec<_> = (0..table.places()).filter_map(|place| table.record(place)).collect();
    left.sort_unstable_by_key(|record| record.key);
    keys.retain(|key| table.find(key).is_some());
    keys.sort_unstable();
    assert_eq!(left.len(), 400, "what was swept has left");
    assert!(left.iter().map(|record| record.key).eq(keys));
    let begun: Vec<_> = (0..table.places()).filter_map(|place| table.begun(place)).collect();
    let mut of_records: Vec<_> = left.iter().map(|record| (record.first_ns, record.first_frame)).collect();
    of_records.sort_unstable();
    assert!(begun.is_sorted() && begun == of_records);
    assert_eq!((table.begun(1_000), table.record(1_000)), (None, None));
}

#[test]
fn tables_of_every_size_fill_to_their_capacity() {
    for (seed, capacity) in [(1, 512), (2, 5_000), (3, 50_000), (4, 50_000), (5, 50_000), (6, 100_000)] {
        let mut table = table(capacity, FullPolicy::Refuse, seed);
        assert_eq!(fill(&mut table, random_keys(seed)), capacity, "seed {seed}");
        assert_eq!(table.counters().created, u64::from(capacity));
    }
}

#[test]
fn flows_and_their_answers_fill_a_table_too_although_they_share_their_buckets() {
    for (seed, capacity) in [(1, 512), (2, 5_000), (3, 50_000), (4, 50_000), (5, 50_000), (6, 100_000)] {
        let mut table = table(capacity, FullPolicy::Refuse, seed);
        let both = random_keys(seed).flat_map(|key| [key, key.reverse()]);
        assert_eq!(fill(&mut table, both), capacity, "seed {seed}");
    }
}

#[test]
fn a_flow_and_its_answer_have_the_same_buckets_and_tags_that_tell_them_apart() {
    let table = table(1_000, FullPolicy::Refuse, 3);
    let kinds = (0..=u16::from(u8::MAX)).map(|sport| FlowKey { proto: 58, sport, dport: 0, ..key(1) });
    let within = FlowKey { dst: key(1).src, ..key(1) };
    for key in random_keys(1).take(1_000).chain(kinds).chain([within]) {
        let (there, back) = (table.candidates(&key), table.candidates(&key.reverse()));
        assert_eq!(there.of_answer(), back);
        assert_eq!(there.tag == back.tag, key.src == key.dst);
        assert!(there.tag != 0 && back.tag != 0, "0 is an empty slot");
    }
}

#[test]
fn keys_that_differ_in_one_place_only_fill_a_table_too() {
    type NthKey = fn(u32) -> FlowKey;
    let vary: [(&str, NthKey); 5] = [
        ("source identifier", key),
        ("source link", |n| FlowKey { src: u128::from(n) << 64, ..key(0) }),
        ("source site", |n| FlowKey { src: 0x2001_0db8 << 96 | u128::from(n) << 80, ..key(0) }),
        ("destination identifier", |n| FlowKey { dst: 2 << 64 | u128::from(n), ..key(0) }),
        ("ports", |n| FlowKey { sport: n as u16, dport: (n >> 16) as u16, ..key(0) }),
    ];
    for (place, keys) in vary {
        for seed in 0..2 {
            let mut table = table(40_000, FullPolicy::Refuse, seed);
            assert_eq!(fill(&mut table, (0..).map(keys)), 40_000, "{place}, seed {seed}");
        }
    }
}

#[test]
fn the_smallest_tables_work() {
    for capacity in [0, 1, 2, 13] {
        let mut table = table(capacity, FullPolicy::EvictUnconfirmed, 1);
        assert_eq!(table.capacity(), capacity.max(1));
        let mut ended = Vec::new();
        for key in random_keys(1).take(256) {
            place(&mut table, &key, S, &mut ended);
            check_integrity(&table);
        }
        let TableCounters { created, evicted, refused, .. } = table.counters();
        assert_eq!((created + refused, created - evicted), (256, u64::from(table.live())));
        assert_eq!(evicted, ended.len() as u64);
    }
}

#[test]
fn a_swept_table_can_be_filled_again() {
    let mut table = table(3_000, FullPolicy::Refuse, 2);
    assert_eq!(fill(&mut table, random_keys(1)), 3_000);
    let idle_at = S + Timeouts::default().unanswered_ns + REORDER_NS;
    let mut expired = 0;
    table.expire(u32::MAX, idle_at, &mut |_| expired += 1);
    assert_eq!(expired, 0, "a flow is idle only past its time-out");
    for _ in 0..3 {
        table.expire(1_000, idle_at + 1, &mut |_| expired += 1);
    }
    assert_eq!((expired, table.live(), table.counters().expired), (3_000, 0, 3_000));
    check_integrity(&table);
    assert_eq!(fill(&mut table, random_keys(2)), 3_000);
}

#[test]
fn a_flood_of_one_packet_flows_pushes_out_no_confirmed_flow() {
    let mut table = table(4_096, FullPolicy::EvictUnconfirmed, 5);
    confirm(&mut table, 0..500);
    let (mut ended, mut refused) = (Vec::new(), 0);
    for (n, flood) in random_keys(9).take(100_000).enumerate() {
        match place(&mut table, &flood, 2 * S + n as u64 * 1000, &mut ended) {
            Placed::New(_) => {}
            Placed::Refused => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(ended.iter().all(|r| !r.confirmed));
    assert!(
        (0..500).all(|n| is_confirmed(&mut table, &key(n)) && is_confirmed(&mut table, &key(n).reverse()))
    );
    let counters = table.counters();
    assert_eq!((counters.expired, counters.refused), (0, refused));
    assert_eq!(counters.created + refused, 1_000 + 100_000);
    assert_eq!(counters.created - counters.evicted, u64::from(table.live()));
    assert_eq!((counters.evicted, table.live()), (ended.len() as u64, 4_096));
    check_integrity(&table);
}

#[test]
fn a_table_full_of_confirmed_flows_refuses_new_ones() {
    let mut table = table(64, FullPolicy::EvictUnconfirmed, 5);
    confirm(&mut table, 0..32);
    for flood in random_keys(9).take(1_000) {
        assert_eq!(place(&mut table, &flood, 2 * S, &mut Vec::new()), Placed::Refused);
    }
    assert_eq!((table.counters().refused, table.counters().evicted), (1_000, 0));
}

#[test]
fn a_confirmed_flow_that_is_over_makes_room_before_anything_is_refused_or_pushed_out() {
    for full in [FullPolicy::EvictUnconfirmed, FullPolicy::Refuse] {
        let mut table = table(64, full, 5);
        confirm(&mut table, 0..32);
        let over = S + Timeouts::default().established_ns + REORDER_NS + 1;
        let mut ended = Vec::new();
        let newcomer = random_keys(9).next().unwrap();
        assert!(matches!(place(&mut table, &newcomer, over, &mut ended), Placed::New(_)));
        assert_eq!((ended.len(), ended[0].confirmed), (1, true));
        assert_eq!((table.counters().expired, table.counters().evicted, table.live()), (1, 0, 64));
        check_integrity(&table);
    }
}

#[test]
fn the_unconfirmed_flow_that_is_silent_longest_makes_room() {
    let mut table = table(100, FullPolicy::EvictUnconfirmed, 1);
    confirm(&mut table, 0..10);
    for n in 100..180 {
        place(&mut table, &key(n), 2 * S + u64::from(n * 37 % 80), &mut Vec::new());
    }
    for n in 1_000..1_200 {
        let Candidates { buckets, .. } = table.candidates(&key(n));
        let held = buckets.map(|b| table.index.buckets()[b as usize].flows).concat();
        let held = held.into_iter().filter(|&f| f != NONE);
        let unconfirmed = held.map(|f| &table.hot[f as usize]).filter(|h| !h.is_confirmed());
        let oldest = unconfirmed.map(|h| h.last_ns).min();
        let mut ended = Vec::new();
        place(&mut table, &key(n), 3 * S + u64::from(n), &mut ended);
        assert_eq!(ended.first().map(|r| r.last_ns), oldest);
    }
}

#[test]
fn a_flow_that_takes_the_place_of_its_peer_is_not_paired_with_itself() {
    let mut taken = 0;
    for seed in 0..20 {
        let mut table = table(1, FullPolicy::EvictUnconfirmed, seed);
        let mut ended = Vec::new();
        place(&mut table, &key(1), S, &mut ended);
        if let Placed::New(slot) = place(&mut table, &key(1).reverse(), 2 * S, &mut ended) {
            taken += 1;
            assert_eq!((ended[0].key, table.flow(slot).is_paired()), (key(1), false));
        }
    }
    assert!(taken > 0, "no seed put both keys into one bucket");
}

#[test]
fn a_refusing_table_keeps_what_is_there() {
    let mut table = table(1_000, FullPolicy::Refuse, 5);
    let held: Vec<_> = random_keys(1).take(1_000).collect();
    assert_eq!(fill(&mut table, held.iter().copied()), 1_000);
    for flood in random_keys(2).take(10_000) {
        assert_eq!(place(&mut table, &flood, 2 * S, &mut Vec::new()), Placed::Refused);
    }
    assert!(held.iter().all(|key| table.find(key).is_some()));
    assert_eq!(table.counters(), TableCounters { created: 1_000, refused: 10_000, ..Default::default() });
}

/// Keys that share both buckets and the tag under the table's seed, as only one who knows the seed could choose them.
fn colliding(table: &FlowTable, how_many: usize) -> Vec<FlowKey> {
    let mut shared = HashMap::<_, Vec<FlowKey>>::new();
    for key in (0..).map(key) {
        let Candidates { mut buckets, tag, .. } = table.candidates(&key);
        buckets.sort_unstable();
        let keys = shared.entry((buckets, tag)).or_default();
        keys.push(key);
        if keys.len() == how_many && buckets[0] != buckets[1] {
            return keys.clone();
        }
    }
    unreachable!("there are more keys than buckets and tags")
}

#[test]
fn keys_that_all_collide_fill_their_two_buckets_and_then_the_policy_acts() {
    for full in [FullPolicy::EvictUnconfirmed, FullPolicy::Refuse] {
        let mut table = table(60, full, 77);
        let keys = colliding(&table, 2 * PROBES_MAX);
        let (first, rest) = keys.split_at(PROBES_MAX);
        assert_eq!(fill(&mut table, first.iter().copied()), 24);
        let full_ones = table.candidates(&keys[0]).buckets;
        let elsewhere = |key: &FlowKey| !table.candidates(key).buckets.iter().any(|b| full_ones.contains(b));
        let others: Vec<_> = random_keys(1).filter(elsewhere).take(10).collect();
        fill(&mut table, others.iter().copied());
        let mut ended = Vec::new();
        for (key, late_ns) in rest.iter().zip(1..) {
            let placed = place(&mut table, key, S + late_ns, &mut ended);
            assert_eq!(placed == Placed::Refused, full == FullPolicy::Refuse, "{placed:?}");
        }
        let kept = if full == FullPolicy::Refuse { first } else { rest };
        assert!(kept.iter().all(|key| table.find(key).is_some()));
        assert_eq!(ended.len() as u64 + table.counters().refused, 24);
        assert!(others.iter().all(|key| table.find(key).is_some()));
        check_integrity(&table);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_the_flows_and_the_free_chain_agree_after_anything(
        capacity in 1_u32..80,
        seed in any::<u64>(),
        refuse in any::<bool>(),
        packets in prop::collection::vec((0_u32..120, 0..30 * S, 0_u32..16), 0..300),
    ) {
        let full = if refuse { FullPolicy::Refuse } else { FullPolicy::EvictUnconfirmed };
        let mut table = table(capacity, full, seed);
        let bytes = table.bytes();
        let (mut clock, mut ended) = (0, Vec::new());
        for (n, step, swept) in packets {
            clock += step;
            place(&mut table, &key(n), clock, &mut ended);
            table.expire(swept, clock, &mut |f| ended.push(f.record));
            prop_assert!(table.live() <= capacity);
        }
        check_integrity(&table);
        let counters = table.counters();
        prop_assert_eq!(counters.expired + counters.evicted, ended.len() as u64);
        prop_assert_eq!(counters.created - ended.len() as u64, u64::from(table.live()));
        prop_assert_eq!(table.bytes(), bytes);
    }
}
