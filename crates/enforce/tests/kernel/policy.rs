//! What is not on any list: limiters, behaviour, those who are spared, marks, failures.

use std::time::Duration;

use credence_credit::{Measure, Rating, Score, Status};
use credence_enforce::{Counts, Failure, Opinion, Policy, Rate, Reason, Records, Setup, Spared, Stand, Xdp};

use credence_prefix::Prefix;

use crate::world::{Random, address, cache, frame, loaded, now, record, segment, small, snapshot};

/// Bytes of the frame of [`segment`].
const SEGMENT: u64 = 74;

/// Sends the same frame so often, and says how many passed.
fn passed(xdp: &mut Xdp, frame: &[u8], times: usize) -> usize {
    (0..times).filter(|_| xdp.passes(frame).unwrap()).count()
}

fn of(counts: &Counts, measure: Measure, reason: Reason) -> u64 {
    counts.of(measure, reason).unwrap().packets
}

fn publish(records: &mut Records, list: Vec<credence_credit::Record>) {
    assert_eq!(records.publish(&cache(vec![snapshot(list)]), now()).unwrap(), 0);
}

/// So many segments at once, and hardly any more.
fn slow(segments: u64) -> Rate {
    Rate { bytes_per_s: 1, burst_bytes: segments * SEGMENT }
}

#[test]
fn a_limiter_lets_its_burst_pass_and_then_its_rate() {
    let setup = Setup { rate: slow(10), ..small() };
    let Some((mut xdp, mut records)) = loaded(&setup, &Policy::default()) else { return };
    let counts = xdp.counts().unwrap();
    publish(
        &mut records,
        vec![record("2001:db8::/48", Measure::RateLimit), record("2001:db8:1::/48", Measure::RateLimit)],
    );
    assert_eq!(passed(&mut xdp, &segment(address("2001:db8::1")), 50), 10);
    assert_eq!(passed(&mut xdp, &segment(address("2001:db8::2")), 50), 0, "a subject has one limiter");
    assert_eq!(passed(&mut xdp, &segment(address("2001:db8:1::1")), 50), 10, "and each its own");
    assert_eq!(of(&counts, Measure::None, Reason::WithinRate), 20);
    assert_eq!(of(&counts, Measure::RateLimit, Reason::Listed), 130);
    // A subject keeps its limiter from list to list, and a slot that another gets is new.
    publish(
        &mut records,
        vec![record("2001:db8::/48", Measure::RateLimit), record("2001:db8:2::/48", Measure::RateLimit)],
    );
    assert_eq!(passed(&mut xdp, &segment(address("2001:db8::1")), 50), 0);
    assert_eq!(passed(&mut xdp, &segment(address("2001:db8:2::1")), 50), 10);
    publish(&mut records, vec![record("2001:db8:3::/48", Measure::RateLimit)]);
    assert_eq!(passed(&mut xdp, &segment(address("2001:db8:3::1")), 50), 10);
}

#[test]
fn subjects_without_a_limiter_are_observed_and_told() {
    let setup = Setup { limiters: 2, rate: slow(1), ..small() };
    let Some((mut xdp, mut records)) = loaded(&setup, &Policy::default()) else { return };
    let list = (0..5).map(|i| record(&format!("2001:db8:{i}::/48"), Measure::RateLimit)).collect();
    assert_eq!(records.publish(&cache(vec![snapshot(list)]), now()).unwrap(), 3);
    assert_eq!(passed(&mut xdp, &segment(address("2001:db8:0::1")), 9), 1);
    assert_eq!(passed(&mut xdp, &segment(address("2001:db8:4::1")), 9), 9);
}

#[test]
fn behaviour_limits_a_source_unless_the_operator_knows_better() {
    let policy = Policy { told_rate: slow(10), ..Policy::default() };
    let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
    let (counts, mut told) = (xdp.counts().unwrap(), xdp.told().unwrap());
    publish(&mut records, vec![record("2001:db8:a::/48", Measure::None)]);
    let sources = ["2001:db8::1", "2001:db8:a::1"].map(address);
    for source in sources {
        told.tell(Opinion { source, measure: Measure::RateLimit }).unwrap();
    }
    assert_eq!(passed(&mut xdp, &segment(sources[0]), 50), 10);
    assert_eq!(passed(&mut xdp, &segment(sources[0] + 1), 50), 50, "a neighbour is none of it");
    assert_eq!(passed(&mut xdp, &segment(sources[1]), 50), 50, "the operator's allow list is stronger");
    assert_eq!(of(&counts, Measure::RateLimit, Reason::Behaviour), 40);
    told.tell(Opinion { source: sources[0], measure: Measure::RateLimit }).unwrap();
    assert_eq!(passed(&mut xdp, &segment(sources[0]), 50), 0, "what is told again keeps its limiter");
    told.tell(Opinion { source: sources[0], measure: Measure::Observe }).unwrap();
    assert_eq!(passed(&mut xdp, &segment(sources[0]), 50), 50);
}

#[test]
fn an_opinion_lapses() {
    let setup = Setup { opinions_last: Duration::from_secs(1), ..small() };
    let Some((mut xdp, mut records)) = loaded(&setup, &Policy { told_rate: slow(0), ..Policy::default() })
    else {
        return;
    };
    publish(&mut records, Vec::new());
    let source = address("2001:db8::1");
    let mut told = xdp.told().unwrap();
    told.tell(Opinion { source, measure: Measure::RateLimit }).unwrap();
    assert_eq!(passed(&mut xdp, &segment(source), 5), 0);
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(passed(&mut xdp, &segment(source), 5), 5);
}

#[test]
fn good_credit_has_a_higher_ceiling_and_what_it_bought_is_counted() {
    let policy = Policy { told_rate: slow(10), ..Policy::default() };
    let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
    let (counts, mut told) = (xdp.counts().unwrap(), xdp.told().unwrap());
    let rating = Rating::Rated { score: Score::new(900).unwrap(), status: Status::Good };
    let authority = credence_credit::Authority::OwnAlert;
    publish(
        &mut records,
        vec![credence_credit::Record { rating, authority, ..record("2001:db8::/48", Measure::None) }],
    );
    let (good, unrated) = (address("2001:db8::1"), address("2001:db8:1::1"));
    assert_eq!(passed(&mut xdp, &segment(good), 100), 100, "there is no ceiling without a limiter");
    for source in [good, unrated] {
        told.tell(Opinion { source, measure: Measure::RateLimit }).unwrap();
    }
    assert_eq!(passed(&mut xdp, &segment(unrated), 100), 10);
    assert_eq!(passed(&mut xdp, &segment(good), 100), 40);
    assert_eq!(of(&counts, Measure::Incentive, Reason::Incentive), 30);
}

/// An account of an incentive says what it bought, and not how much traffic there was.
#[test]
fn an_incentive_is_met_by_what_it_lets_pass_beyond_the_limit() {
    let policy = Policy { told_rate: slow(10), ..Policy::default() };
    let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
    let mut told = xdp.told().unwrap();
    let rating = Rating::Rated { score: Score::new(900).unwrap(), status: Status::Good };
    let authority = credence_credit::Authority::OwnAlert;
    let good = credence_credit::Record { rating, authority, ..record("2001:db8::/48", Measure::Incentive) };
    publish(&mut records, vec![good]);
    let source = address("2001:db8::1");
    assert_eq!(passed(&mut xdp, &segment(source), 100), 100);
    assert_eq!(records.met(0).packets, 0, "without a limit it buys nothing");
    told.tell(Opinion { source, measure: Measure::RateLimit }).unwrap();
    assert_eq!(passed(&mut xdp, &segment(source), 100), 40);
    let met = records.met(0);
    assert_eq!((met.packets, met.bytes), (30, 30 * segment(source).len() as u64));
}

#[test]
fn an_unrated_source_fares_as_if_nothing_was_there() {
    let Some((mut xdp, mut records)) = loaded(&small(), &Policy::default()) else { return };
    publish(&mut records, vec![record("2001:db8::/32", Measure::Drop)]);
    for source in ["2001:db9::1", "2a00::1", "::1", "ff02::1"].map(address) {
        assert_eq!(passed(&mut xdp, &segment(source), 20), 20);
    }
}

/// A set of records and failures under which everything would be dropped, but for whom nothing may block.
fn strictest() -> (Setup, Policy) {
    let spared = Spared {
        sources: vec!["2001:db8:aa::/48".parse().unwrap(), "fe80::/10".parse().unwrap()],
        portals: vec!["2001:db8:c0::/64".parse().unwrap()],
    };
    let policy = Policy { unknown: Measure::Drop, heard_rate: slow(10), ..Policy::default() };
    (Setup { spared, ..small() }, policy)
}

#[test]
fn nobody_blocks_those_who_are_spared() {
    let (setup, policy) = strictest();
    let Some((mut xdp, mut records)) = loaded(&setup, &policy) else { return };
    let counts = xdp.counts().unwrap();
    // The guards of this cache spare nobody, so that it is the kernel's own list that does.
    publish(
        &mut records,
        vec![record("2001:db8::/32", Measure::Drop), record("2001:db8:aa::1/128", Measure::Drop)],
    );
    for failure in [None, Some(Failure::Static), Some(Failure::Closed), Some(Failure::Open)] {
        xdp.control().declare(failure);
        assert_eq!(passed(&mut xdp, &segment(address("2001:db8:aa::1")), 20), 20, "{failure:?}");
        let open = failure == Some(Failure::Open);
        assert_eq!(
            passed(&mut xdp, &segment(address("2001:db8::1")), 20),
            if open { 20 } else { 0 },
            "{failure:?}"
        );
        let unlisted = passed(&mut xdp, &segment(address("2a00::1")), 20);
        assert_eq!(unlisted, if failure == Some(Failure::Closed) { 0 } else { 20 }, "{failure:?}");
    }
    assert_eq!(of(&counts, Measure::None, Reason::Spared), 60);
}

#[test]
fn neighbours_find_each_other_whatever_happens() {
    let (setup, policy) = strictest();
    let Some((mut xdp, mut records)) = loaded(&setup, &policy) else { return };
    publish(&mut records, vec![record("2001:db8::/32", Measure::Drop)]);
    xdp.control().declare(Some(Failure::Closed));
    let source = address("2001:db8::1");
    for (kind, hop_limit) in
        [(133, 255), (134, 255), (135, 255), (136, 255), (137, 255), (130, 1), (131, 1), (132, 1), (143, 1)]
    {
        let mut neighbour = frame(source, address("ff02::1"), 58, &[kind, 0, 0, 0, 0, 0, 0, 0]);
        neighbour[21] = hop_limit;
        assert_eq!(passed(&mut xdp, &neighbour, 3), 3, "type {kind}");
        neighbour[21] = hop_limit - 1;
        assert_eq!(
            passed(&mut xdp, &neighbour, 3),
            0,
            "type {kind} that crossed a router, or was made to look so"
        );
        // Behind a router alert, as multicast listening has it (RFC 2710, section 3).
        let alert = [58, 0, 5, 2, 0, 0, 1, 0, kind, 0, 0, 0, 0, 0, 0, 0];
        let mut behind = frame(source, address("ff02::16"), 0, &alert);
        behind[21] = hop_limit;
        assert_eq!(passed(&mut xdp, &behind, 3), 3, "type {kind} behind a router alert");
    }
    let echo = frame(source, address("2001:db8::2"), 58, &[128, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(passed(&mut xdp, &echo, 3), 0);
}

#[test]
fn the_blocked_are_heard_where_they_complain_each_network_at_its_own_rate() {
    let (setup, policy) = strictest();
    let Some((mut xdp, mut records)) = loaded(&setup, &policy) else { return };
    let counts = xdp.counts().unwrap();
    publish(&mut records, vec![record("2001:db8::/32", Measure::Drop)]);
    let to_portal = |source: &str| frame(address(source), address("2001:db8:c0::443"), 6, &[0; 20]);
    assert_eq!(passed(&mut xdp, &to_portal("2001:db8:1::1"), 50), 10);
    assert_eq!(passed(&mut xdp, &to_portal("2001:db8:1::2"), 50), 0, "a /64 is one voice");
    assert_eq!(passed(&mut xdp, &to_portal("2001:db8:2::1"), 50), 10, "and drowns no other");
    assert_eq!(passed(&mut xdp, &to_portal("2a00::1"), 50), 50, "who is not blocked needs no permission");
    assert_eq!(of(&counts, Measure::None, Reason::Heard), 20);
}

#[test]
fn silence_and_what_the_engine_declares_are_two_things() {
    let policy =
        Policy { silence: Failure::Closed, patience: Duration::from_millis(40), ..Policy::default() };
    let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
    publish(&mut records, vec![record("2001:db8::/32", Measure::Drop)]);
    let (listed, other) = (segment(address("2001:db8::1")), segment(address("2a00::1")));
    let both = |xdp: &mut Xdp| (xdp.passes(&listed).unwrap(), xdp.passes(&other).unwrap());
    xdp.control().beat(credence_enforce::boot_ns());
    assert_eq!(both(&mut xdp), (false, true));
    xdp.control().declare(Some(Failure::Open));
    assert_eq!(both(&mut xdp), (true, true));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(both(&mut xdp), (false, false), "who is silent has nothing to declare");
    xdp.control().beat(credence_enforce::boot_ns());
    xdp.control().declare(None);
    assert_eq!(both(&mut xdp), (false, true));
}

#[test]
fn dry_runs_and_taps_hold_nothing_up_and_count_all() {
    for policy in
        [Policy { dry_run: true, ..Policy::default() }, Policy { stand: Stand::Tap, ..Policy::default() }]
    {
        let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
        let counts = xdp.counts().unwrap();
        publish(&mut records, vec![record("2001:db8::/32", Measure::Drop)]);
        assert_eq!(passed(&mut xdp, &segment(address("2001:db8::1")), 20), 20);
        assert_eq!(of(&counts, Measure::Drop, Reason::Listed), 20);
    }
}

#[test]
fn marked_packets_get_the_code_point_and_nothing_else_changes() {
    let policy = Policy { dscp: Some(0b10_1110), ..Policy::default() };
    let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
    publish(&mut records, vec![record("2001:db8::/32", Measure::Mark)]);
    let mut sent = segment(address("2001:db8::1"));
    // Explicit congestion notification and the flow label stay (RFC 3168, section 5; RFC 6437).
    (sent[14], sent[15], sent[16]) = (0x60 | 0b0101, 0b0111_1010, 0xbc);
    let mut expected = sent.clone();
    (expected[14], expected[15]) = (0x60 | 0b1011, 0b1011_1010);
    assert_eq!(xdp.carried(&sent).unwrap(), Some(expected));
    let other = segment(address("2a00::1"));
    assert_eq!(xdp.carried(&other).unwrap(), Some(other));
}

#[test]
fn a_sample_of_what_did_not_pass_is_told() {
    let Some((mut xdp, mut records)) = loaded(&small(), &Policy { sample: 1, ..Policy::default() }) else {
        return;
    };
    let mut events = xdp.events().unwrap();
    publish(&mut records, vec![record("2001:db8::/32", Measure::Drop)]);
    let source = address("2001:db8::1");
    assert_eq!(passed(&mut xdp, &segment(source), 3), 0);
    assert_eq!(passed(&mut xdp, &segment(address("2a00::1")), 3), 3);
    for _ in 0..3 {
        let event = events.take().unwrap();
        assert_eq!((event.source, event.destination), (source, address("3fff::1")));
        assert_eq!((event.record, event.reason, event.protocol), (Some(0), Reason::Listed, 6));
        assert_eq!(u64::from(event.bytes), SEGMENT);
    }
    assert_eq!(events.take(), None);
}

/// Whom the operator protects: management, a resolver, a routing neighbour, link-local.
const PROTECTED: [&str; 4] = ["2001:db8:aa::/48", "2a01:53::53/128", "2a02:179::1/128", "fe80::/10"];

#[test]
fn no_set_of_rules_blocks_those_who_are_protected() {
    let sources = PROTECTED.iter().map(|prefix| prefix.parse().unwrap()).collect();
    let setup = Setup { spared: Spared { sources, portals: Vec::new() }, ..small() };
    let Some((mut xdp, mut records)) = loaded(&setup, &Policy { sample: 0, ..Policy::default() }) else {
        return;
    };
    let mut told = xdp.told().unwrap();
    let (mut random, mut others) = (Random(3), 0);
    for _ in 0..500 {
        // Records over, under and beside the protected, of every kind; no guard of user space is there to keep them back.
        let any = (0..1 + random.below(6)).map(|_| {
            let near = random.of(&PROTECTED).parse::<Prefix>().unwrap();
            let len = random.of(&[0, 8, 16, 29, 32, 48, 64, 127, 128]);
            let prefix = Prefix::containing(near.first(), len).to_string();
            credence_credit::Record {
                authority: random
                    .of(&[credence_credit::Authority::OperatorList, credence_credit::Authority::Restriction]),
                ..record(&prefix, random.of(&[Measure::Drop, Measure::RateLimit]))
            }
        });
        let list = snapshot(any.collect());
        records.publish(&cache(vec![list]), now()).unwrap();
        xdp.control().declare(random.of(&[None, None, Some(Failure::Static), Some(Failure::Closed)]));
        for protected in PROTECTED {
            let prefix: Prefix = protected.parse().unwrap();
            let source =
                prefix.first() | u128::from(random.below(1 << 20)) & !prefix.first() & host_bits(prefix);
            told.tell(Opinion { source, measure: Measure::RateLimit }).unwrap();
            assert!(xdp.passes(&segment(source)).unwrap(), "{source:#034x}");
            let cut = frame(source, address("3fff::1"), 0, &[43, 200]);
            assert!(xdp.passes(&cut).unwrap(), "{source:#034x} with a chain that is cut");
        }
        others += usize::from(!xdp.passes(&segment(address("2001:db8:ab::1"))).unwrap());
    }
    assert!(others > 100, "these rules block {others} of 500 times somebody else");
}

/// The bits behind a prefix.
fn host_bits(prefix: Prefix) -> u128 {
    u128::MAX.checked_shr(prefix.len().into()).unwrap_or(0)
}
