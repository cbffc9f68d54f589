use std::collections::HashMap;

use credence_wire::Upper;
use proptest::prelude::*;

use super::*;

const S: u64 = 1_000_000_000;
const KEY: FlowKey = FlowKey { src: 1, dst: 2, proto: 17, sport: 40_000, dport: 53 };

fn fragment(id: u32, offset: u16, len: u16, more: bool) -> Fragment {
    Fragment { id, offset, len, more }
}

/// A packet from `src`; ports only in the first piece, as the parser reads it.
fn header(src: u128, piece: Fragment) -> Header {
    let (sport, dport) = if piece.offset == 0 { (KEY.sport, KEY.dport) } else { (0, 0) };
    Header {
        src,
        dst: KEY.dst,
        bytes: 48 + u64::from(piece.len),
        flow_label: 0,
        fragment: Some(piece),
        proto: KEY.proto,
        traffic_class: 0,
        hop_limit: 64,
        ext_headers: 1,
        sport,
        dport,
        upper: Upper::None,
    }
}

/// What comes of a piece from source 1, and the key that it is counted towards.
fn add(fragments: &mut Fragments, piece: Fragment, now_ns: u64) -> (Attributed, FlowKey) {
    let header = header(KEY.src, piece);
    let mut key = FlowKey::of(&header);
    let attributed = fragments.attribute(&header, &mut key, now_ns);
    (attributed, key)
}

/// The anomalies of each piece of one datagram, all at one time.
fn anomalies(pieces: &[Fragment]) -> Vec<Anomalies> {
    let mut fragments = Fragments::new(8, 1);
    pieces.iter().map(|&piece| add(&mut fragments, piece, S).0.anomalies).collect()
}

fn only(anomaly: Anomaly) -> Anomalies {
    let mut set = Anomalies::NONE;
    set.insert(anomaly);
    set
}

/// Whether a datagram in these pieces is named for an overlap, and once named stays so to its end.
fn is_overlap(pieces: &[Fragment]) -> bool {
    let named = anomalies(pieces);
    let since = named.iter().position(|a| !a.is_empty()).unwrap_or(named.len());
    assert!(named[since..].iter().all(|&a| a == only(Anomaly::FragmentOverlap)), "{pieces:?}: {named:?}");
    since < named.len()
}

fn for_each_order(pieces: &mut [Fragment; 6], from: usize, check: &mut impl FnMut(&[Fragment; 6])) {
    if from == pieces.len() {
        return check(pieces);
    }
    for i in from..pieces.len() {
        pieces.swap(from, i);
        for_each_order(pieces, from + 1, check);
        pieces.swap(from, i);
    }
}

/// A datagram of six pieces of 24 bytes each.
fn six() -> [Fragment; 6] {
    core::array::from_fn(|i| fragment(7, 24 * i as u16, 24, i < 5))
}

#[test]
fn six_pieces_that_fit_are_fine_in_all_720_orders() {
    let mut orders = 0;
    for_each_order(&mut six(), 0, &mut |pieces| {
        orders += 1;
        assert!(!is_overlap(pieces), "{pieces:?}");
    });
    assert_eq!(orders, 720);
}

#[test]
fn an_overlap_of_any_two_of_six_pieces_is_named_in_all_720_orders() {
    // One piece moved or stretched: over its neighbour's head, its tail, all of it, a part of it, or exactly its range.
    let changes = [
        (1, fragment(7, 16, 24, true)),
        (1, fragment(7, 24, 32, true)),
        (1, fragment(7, 24, 48, true)),
        (2, fragment(7, 32, 8, true)),
        (3, fragment(7, 0, 144, true)),
        (4, fragment(7, 80, 40, true)),
        (5, fragment(7, 96, 48, false)),
        (5, fragment(7, 96, 24, false)),
    ];
    for (changed, piece) in changes {
        let mut pieces = six();
        pieces[changed] = piece;
        for_each_order(&mut pieces, 0, &mut |pieces| assert!(is_overlap(pieces), "{pieces:?}"));
    }
}

#[test]
fn an_overlap_by_each_length_of_one_to_eight_bytes_is_named() {
    for len in 17..=24 {
        let pieces = [fragment(7, 0, len, true), fragment(7, 16, 8, false)];
        assert!(is_overlap(&pieces), "by {} bytes", len - 16);
        assert!(is_overlap(&[pieces[1], pieces[0]]), "by {} bytes", len - 16);
    }
    assert!(!is_overlap(&[fragment(7, 0, 16, true), fragment(7, 16, 8, false)]), "adjacent");
}

#[test]
fn exact_copies_are_tolerated() {
    let pieces = six();
    assert!(!is_overlap(&[pieces, pieces, pieces].concat()));
}

#[test]
fn a_copy_that_ends_the_datagram_where_the_other_goes_on_is_no_copy() {
    assert!(is_overlap(&[fragment(7, 0, 24, true), fragment(7, 24, 24, true), fragment(7, 24, 24, false)]));
}

#[test]
fn whatever_comes_for_a_dead_datagram_is_named_even_a_copy_of_an_innocent_piece() {
    let mut fragments = Fragments::new(8, 1);
    let innocent = fragment(7, 0, 16, true);
    add(&mut fragments, innocent, S);
    add(&mut fragments, fragment(7, 8, 16, true), S);
    for late in [0, 1, 30 * S, FRAGMENT_TIMEOUT_NS] {
        for piece in [innocent, fragment(7, 800, 8, false)] {
            let (attributed, _) = add(&mut fragments, piece, S + late);
            assert_eq!(attributed.anomalies, only(Anomaly::FragmentOverlap), "{late} ns later");
        }
    }
}

#[test]
fn a_dead_datagram_is_forgotten_after_its_time() {
    let mut fragments = Fragments::new(8, 1);
    add(&mut fragments, fragment(7, 0, 16, true), S);
    add(&mut fragments, fragment(7, 8, 16, true), 50 * S);
    let (attributed, key) = add(&mut fragments, fragment(7, 24, 8, false), S + FRAGMENT_TIMEOUT_NS + 1);
    assert_eq!(attributed, Attributed::default());
    assert_eq!((key.sport, key.dport), (0, 0), "the first fragment belonged to another datagram");
    assert_eq!(fragments.displaced(), 0);
}

#[test]
fn a_dead_datagram_is_forgotten_when_all_are() {
    let mut fragments = Fragments::new(8, 1);
    add(&mut fragments, fragment(1, 0, 16, true), S);
    let overlapping = fragment(1, 8, 16, true);
    assert_eq!(add(&mut fragments, overlapping, S).0.anomalies, only(Anomaly::FragmentOverlap));
    fragments.clear();
    let (attributed, key) = add(&mut fragments, overlapping, S);
    assert_eq!((attributed, key.sport), (Attributed::default(), 0));
}

#[test]
fn an_atomic_fragment_leaves_a_datagram_with_its_id_alone() {
    let mut fragments = Fragments::new(8, 1);
    add(&mut fragments, fragment(7, 0, 16, true), S);
    let atomic = header(KEY.src, fragment(7, 0, 8, false));
    let mut key = FlowKey { sport: 9, dport: 9, ..FlowKey::of(&atomic) };
    assert_eq!(fragments.attribute(&atomic, &mut key, S), Attributed::default());
    assert_eq!((key.sport, key.dport), (9, 9));
    let (attributed, key) = add(&mut fragments, fragment(7, 16, 8, false), S);
    assert_eq!((attributed, key), (Attributed { anomalies: Anomalies::NONE, joined: true }, KEY));
}

#[test]
fn a_packet_without_a_fragment_header_is_left_alone() {
    let plain = Header { fragment: None, ..header(1, fragment(1, 0, 8, true)) };
    let mut key = KEY;
    let attributed = Fragments::new(8, 1).attribute(&plain, &mut key, S);
    assert_eq!((attributed, key), (Attributed::default(), KEY));
}

#[test]
fn later_pieces_join_the_flow_of_a_first_piece_that_came_before_them() {
    let mut fragments = Fragments::new(8, 1);
    let (early, early_key) = add(&mut fragments, fragment(7, 32, 8, false), S);
    assert!(!early.joined);
    assert_eq!(early_key, FlowKey { sport: 0, dport: 0, ..KEY });
    let (first, first_key) = add(&mut fragments, fragment(7, 0, 16, true), S);
    assert_eq!((first.joined, first_key), (false, KEY));
    let (later, later_key) = add(&mut fragments, fragment(7, 16, 16, true), S);
    assert_eq!((later.joined, later_key), (true, KEY));
}

#[test]
fn a_second_first_piece_takes_no_later_piece_over() {
    let mut fragments = Fragments::new(8, 1);
    add(&mut fragments, fragment(7, 0, 16, true), S);
    let forged = header(KEY.src, fragment(7, 0, 8, true));
    let mut forged_key = FlowKey { sport: 666, dport: 666, ..FlowKey::of(&forged) };
    let attributed = fragments.attribute(&forged, &mut forged_key, S);
    assert_eq!(attributed.anomalies, only(Anomaly::FragmentOverlap));
    assert_eq!(add(&mut fragments, fragment(7, 16, 8, false), S).1, KEY);
}

#[test]
fn the_same_id_between_other_addresses_is_another_datagram() {
    let mut fragments = Fragments::new(64, 1);
    add(&mut fragments, fragment(7, 0, 16, true), S);
    let overlapping = fragment(7, 8, 16, false);
    for other in [Header { dst: 99, ..header(1, overlapping) }, header(3, overlapping)] {
        let mut key = FlowKey::of(&other);
        assert_eq!(fragments.attribute(&other, &mut key, S), Attributed::default());
    }
    assert_eq!(add(&mut fragments, fragment(8, 8, 16, false), S).0, Attributed::default());
}

#[test]
fn more_pieces_than_are_told_apart_kill_the_datagram() {
    let pieces: Vec<_> = (0..8_191).map(|n| fragment(7, n * 8, 8, true)).collect();
    let named = anomalies(&pieces);
    assert!(named[..PIECES].iter().all(|a| a.is_empty()));
    assert!(named[PIECES..].iter().all(|&a| a == only(Anomaly::FragmentExcess)));
}

#[test]
fn a_datagram_of_the_greatest_length_in_pieces_of_the_least_mtu_is_fine() {
    let pieces: Vec<_> = (0..54)
        .map(|n| fragment(7, n * 1_232, if n < 53 { 1_232 } else { 65_535 - 53 * 1_232 }, n < 53))
        .collect();
    assert!(anomalies(&pieces).iter().all(|a| a.is_empty()));
}

#[test]
fn pieces_at_the_far_end_neither_wrap_nor_overlap_what_they_do_not() {
    let far = fragment(7, 65_528, u16::MAX, false);
    assert!(!is_overlap(&[fragment(7, 0, 16, true), far]));
    assert!(is_overlap(&[fragment(7, 65_520, 16, true), far]));
    assert!(
        !is_overlap(&[fragment(7, 8, 0, true), fragment(7, 0, 8, true), fragment(7, 8, 8, false)]),
        "empty"
    );
}

#[test]
fn a_full_table_forgets_its_oldest_datagram_and_counts_it() {
    let mut fragments = Fragments::new(WAYS as u32, 1);
    let bytes = fragments.bytes();
    for id in 0..=WAYS as u32 {
        add(&mut fragments, fragment(id, 0, 16, true), S + u64::from(id));
    }
    assert_eq!(fragments.displaced(), 1);
    for id in 1..=WAYS as u32 {
        assert!(add(&mut fragments, fragment(id, 16, 8, false), 2 * S).0.joined, "id {id}");
    }
    assert!(!add(&mut fragments, fragment(0, 16, 8, false), 2 * S).0.joined);
    assert_eq!((fragments.displaced(), fragments.bytes()), (2, bytes));
}

#[test]
fn a_flood_of_first_pieces_stays_in_the_memory_taken_at_the_start() {
    let mut fragments = Fragments::new(1_000, 1);
    let bytes = fragments.bytes();
    assert!(bytes <= 1_000 * 400, "{bytes}");
    for id in 0..50_000 {
        add(&mut fragments, fragment(id, 0, 16, true), S + u64::from(id));
    }
    assert_eq!(fragments.bytes(), bytes);
    assert!((49_000..50_000).contains(&fragments.displaced()), "{}", fragments.displaced());
}

#[test]
fn times_at_both_ends_of_the_clock_are_times() {
    for now_ns in [0, u64::MAX] {
        let mut fragments = Fragments::new(8, 1);
        add(&mut fragments, fragment(7, 0, 16, true), now_ns);
        assert!(add(&mut fragments, fragment(7, 16, 8, false), now_ns).0.joined);
        assert!(add(&mut fragments, fragment(7, 24, 8, true), 0).0.joined, "time went backwards");
    }
}

/// What a datagram in these pieces comes to, found bytewise: dead from the first piece that covers a byte again without
/// being a copy.
fn dead_since(pieces: &[Fragment]) -> Option<usize> {
    let mut covered = [false; 256];
    let mut seen = Vec::new();
    for (n, &piece) in pieces.iter().enumerate() {
        let range = usize::from(piece.offset)..usize::from(piece.offset + piece.len);
        if seen.contains(&piece) {
            continue;
        }
        if covered[range.clone()].contains(&true) {
            return Some(n);
        }
        covered[range].fill(true);
        seen.push(piece);
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn overlaps_are_those_of_a_map_of_bytes(
        drawn in prop::collection::vec((0_u32..3, 0_u16..16, 1_u16..20, any::<bool>()), 1..60),
        seed in any::<u64>(),
    ) {
        let mut fragments = Fragments::new(64, seed);
        let mut sent = HashMap::<u32, Vec<Fragment>>::new();
        for (id, offset, len, more) in drawn {
            let piece = fragment(id, offset * 8, len, more);
            if piece.is_atomic() {
                continue;
            }
            let pieces = sent.entry(id).or_default();
            pieces.push(piece);
            let expected = dead_since(pieces).map_or(Anomalies::NONE, |_| only(Anomaly::FragmentOverlap));
            prop_assert_eq!(add(&mut fragments, piece, S).0.anomalies, expected);
        }
    }
}
