use credence_wire::{Anomaly, Fragment, Header, TcpFlags, Upper};
use proptest::prelude::*;

use super::*;
use crate::table::Now;

const S: u64 = 1_000_000_000;
const KEY: FlowKey = FlowKey { src: 1, dst: 2, proto: TCP, sport: 40_000, dport: 443 };
const START: Now = Now { ts_ns: 5 * S, frame: 7 << 32 | 9 };

/// Both halves of a flow and what is rare about it, without a table around them.
struct Halves {
    hot: Hot,
    cold: Cold,
    rares: Rares,
}

impl Halves {
    fn new(proto: u8) -> Self {
        Self::of(&FlowKey { proto, ..KEY }, START)
    }

    fn of(key: &FlowKey, start: Now) -> Self {
        Self { hot: Hot::new(key, start), cold: Cold::new(start), rares: Rares::new(1) }
    }

    fn flow(&mut self) -> Flow<'_> {
        Flow { hot: &mut self.hot, cold: &mut self.cold, rares: &mut self.rares, place: 0 }
    }

    fn count(&mut self, bytes: u64, wire_len: u32) -> Counted {
        self.flow().count(&seen(bytes, tcp(TcpFlags::ACK), wire_len), Anomalies::NONE)
    }
}

fn header(bytes: u64, upper: Upper) -> Header {
    Header {
        src: KEY.src,
        dst: KEY.dst,
        bytes,
        flow_label: 0,
        fragment: None,
        proto: KEY.proto,
        traffic_class: 0,
        hop_limit: 64,
        ext_headers: 0,
        sport: KEY.sport,
        dport: KEY.dport,
        upper,
    }
}

fn seen(bytes: u64, upper: Upper, wire_len: u32) -> Sighting {
    Sighting::of(&header(bytes, upper), Anomalies::NONE, wire_len)
}

/// A packet with these anomalies.
fn odd(anomalies: Anomalies) -> Sighting {
    Sighting::of(&header(60, Upper::None), anomalies, 74)
}

fn tcp(flags: u8) -> Upper {
    Upper::Tcp { flags: TcpFlags(flags), seq: 0, ack: 0, window: 0 }
}

fn only(anomaly: Anomaly) -> Anomalies {
    let mut set = Anomalies::NONE;
    set.insert(anomaly);
    set
}

#[test]
fn a_flow_starts_as_its_first_packet_says() {
    let mut flow = Halves::new(TCP);
    flow.count(60, 74);
    let record = flow.flow().finish(u64::MAX).record;
    assert_eq!((record.key, record.first_ns, record.last_ns, record.first_frame), (KEY, 5 * S, 5 * S, 9));
    assert_eq!((record.packets, record.bytes, record.fragments), (1, 60, 0));
    assert_eq!(flow.flow().credit_record(), u32::MAX);
}

#[test]
fn more_packets_than_16_bits_count_are_all_in_the_record_and_are_folded_in_time() {
    let mut flow = Halves::new(TCP);
    let mut folded = 0;
    for n in 1..=200_000_u32 {
        let full = flow.count(60, 74).full;
        assert_eq!(full, matches!(n % 65_536, 65_535 | 0), "packet {n}");
        if full {
            folded += flow.flow().fold(0).packets;
        }
    }
    let ended = flow.flow().finish(u64::MAX);
    assert_eq!((ended.record.packets, ended.record.bytes), (200_000, 200_000 * 60));
    assert_eq!(folded + ended.pending.packets, 200_000);
}

/// Two halves of what a counter can say lie between two folds at most, wherever they fell.
#[test]
fn bytes_on_the_wire_are_folded_before_they_are_as_many_as_none() {
    for len in [1_514, 65_589, HALF / 2 + 1, HALF - 1] {
        for head_start in [0, 7, HALF - 3] {
            let mut flow = Halves::new(TCP);
            flow.count(60, head_start);
            let mut wire = u64::from(flow.flow().fold(0).wire_bytes);
            let packets = 3 * (u64::from(HALF) / u64::from(len) + 1);
            for _ in 0..packets {
                let packet = seen(60, tcp(TcpFlags::ACK), len);
                flow.flow().scored(SCORING);
                let passed = flow.hot.passes(&packet, SCORING.epoch);
                if !passed && flow.flow().count(&packet, Anomalies::NONE).full {
                    wire += u64::from(flow.flow().fold(0).wire_bytes);
                }
            }
            wire += u64::from(flow.flow().fold(0).wire_bytes);
            assert_eq!(wire, u64::from(head_start) + packets * u64::from(len), "{len} after {head_start}");
        }
    }
}

#[test]
fn a_flow_that_is_folded_when_it_is_full_loses_nothing() {
    let mut flow = Halves::new(TCP);
    let (mut packets, mut wire) = (0, 0);
    for _ in 0..200_000 {
        if flow.count(65_575, 65_589).full {
            let pending = flow.flow().fold(0);
            packets += u64::from(pending.packets);
            wire += u64::from(pending.wire_bytes);
        }
    }
    let ended = flow.flow().finish(u64::MAX);
    packets += u64::from(ended.pending.packets);
    wire += u64::from(ended.pending.wire_bytes);
    assert_eq!((packets, wire), (200_000, 200_000 * 65_589));
    assert_eq!((ended.record.packets, ended.record.bytes), (200_000, 200_000 * 65_575));
}

#[test]
fn claims_up_to_the_largest_jumbogram_add_up_without_a_fold() {
    let largest = 40 + u64::from(u32::MAX);
    for bytes in [u64::from(HALF) - 1, u64::from(HALF), u64::from(u32::MAX), largest] {
        let mut flow = Halves::new(TCP);
        for _ in 0..5 {
            flow.count(bytes, u32::MAX);
        }
        let ended = flow.flow().finish(u64::MAX);
        assert_eq!(ended.record.bytes, 5 * bytes);
        assert_eq!(ended.pending.wire_bytes, u32::MAX);
    }
}

#[test]
fn a_claim_forces_no_fold_however_large() {
    let mut flow = Halves::new(TCP);
    for bytes in [u64::from(HALF) - 1, u64::from(HALF), u64::from(u32::MAX), u64::MAX, 1] {
        assert!(!flow.count(bytes, 74).full);
    }
}

#[test]
fn claims_beyond_64_bits_saturate() {
    let mut flow = Halves::new(TCP);
    for bytes in [u64::MAX, u64::MAX, 60] {
        flow.count(bytes, 1);
    }
    assert_eq!(flow.flow().finish(u64::MAX).record.bytes, u64::MAX);
}

#[test]
fn an_anomaly_is_news_once() {
    let mut flow = Halves::new(TCP);
    let (one, both) = (only(Anomaly::PortZero), only(Anomaly::PortZero).union(only(Anomaly::FragmentAtomic)));
    let mut count = |anomalies| flow.flow().count(&odd(anomalies), Anomalies::NONE).news;
    assert_eq!(
        [count(Anomalies::NONE), count(one), count(one), count(both), count(both)],
        [false, true, false, true, false]
    );
    assert!(flow.flow().fold(0).odd);
    assert!(!flow.flow().count(&odd(both), Anomalies::NONE).news);
    assert!(!flow.flow().fold(0).odd);
    assert_eq!(flow.flow().anomalies(), both);
}

#[test]
fn fragments_are_counted() {
    let mut flow = Halves::new(17);
    let piece = Fragment { id: 1, offset: 8, len: 8, more: true };
    let fragment = Header { fragment: Some(piece), ..header(56, Upper::None) };
    flow.flow().count(&Sighting::of(&fragment, Anomalies::NONE, 70), Anomalies::NONE);
    flow.flow().count(&seen(56, Upper::None, 70), Anomalies::NONE);
    assert_eq!(flow.flow().finish(u64::MAX).record.fragments, 1);
}

#[test]
fn only_what_asks_opens() {
    for (flags, asks) in [(TcpFlags::SYN, true), (TcpFlags::SYN | TcpFlags::ACK, false)] {
        let mut flow = Halves::new(TCP);
        flow.flow().opens(&seen(60, tcp(flags), 74));
        assert_eq!(flow.flow().awaits_judgement(), asks);
    }
}

#[test]
fn an_answer_opens_nothing() {
    let mut flow = Halves::new(17);
    flow.cold.mark(Mark::ANSWERS);
    flow.flow().fold(0);
    flow.flow().opens(&seen(60, Upper::Udp { quic: None }, 74));
    assert!(!flow.flow().awaits_judgement());
}

#[test]
fn an_opening_is_judged_once_and_not_before_its_time() {
    let mut flow = Halves::new(TCP);
    flow.flow().opens(&seen(60, tcp(TcpFlags::SYN), 74));
    let due = START.ts_ns + JUDGED_AFTER_NS;
    assert_eq!(flow.flow().fold(due - 1).opening, None);
    assert!(flow.flow().awaits_judgement());
    assert_eq!(flow.flow().fold(due).opening, Some(Opening::Unanswered));
    assert!(!flow.flow().awaits_judgement());
    flow.hot.set(State::PAIRED);
    assert_eq!(flow.flow().fold(due + S).opening, None);
    assert_eq!(flow.flow().finish(u64::MAX).pending.opening, None);
}

#[test]
fn an_opening_is_judged_by_what_came_of_it() {
    let cases = [
        (&[][..], Opening::Unanswered),
        (&[State::PAIRED], Opening::Refused),
        (&[State::PAIRED, State::CONFIRMED], Opening::Confirmed),
    ];
    for (states, expected) in cases {
        let mut flow = Halves::new(TCP);
        flow.flow().opens(&seen(60, tcp(TcpFlags::SYN), 74));
        states.iter().for_each(|&s| flow.hot.set(s));
        assert_eq!(
            flow.flow().finish(u64::MAX).pending.opening,
            Some(expected),
            "at the flow's end, however young"
        );
    }
}

#[test]
fn an_opening_at_the_end_of_the_clock_is_judged() {
    let start = Now { ts_ns: u64::MAX, ..START };
    let mut flow = Halves::of(&KEY, start);
    flow.flow().opens(&seen(60, tcp(TcpFlags::SYN), 74));
    assert_eq!(flow.flow().finish(u64::MAX).pending.opening, Some(Opening::Unanswered));
}

#[test]
fn a_harmless_anomaly_is_shown_and_not_held_against_the_source() {
    let harmless = only(Anomaly::SourceReserved);
    let mut flow = Halves::new(TCP);
    assert!(flow.flow().count(&odd(harmless), harmless).news);
    assert!(!flow.flow().fold(START.ts_ns).odd);
    let both = harmless.union(only(Anomaly::TcpNull));
    flow.flow().count(&odd(both), harmless);
    let ended = flow.flow().finish(u64::MAX);
    assert!(ended.pending.odd && ended.record.anomalies == both);
}

#[test]
fn a_flow_pushed_out_young_is_not_judged() {
    let mut flow = Halves::new(TCP);
    flow.flow().opens(&seen(60, tcp(TcpFlags::SYN), 74));
    assert_eq!(flow.flow().finish(START.ts_ns + JUDGED_AFTER_NS - 1).pending.opening, None);
}

#[test]
fn a_flow_is_created_once() {
    let mut flow = Halves::new(TCP);
    assert!(flow.flow().fold(0).created);
    assert!(!flow.flow().fold(0).created);
    assert!(!flow.flow().finish(u64::MAX).pending.created);
}

#[test]
fn each_state_has_its_time_out() {
    let Timeouts { established_ns, closed_ns, paired_ns, unanswered_ns } = Timeouts::default();
    let cases = [
        (TCP, &[][..], unanswered_ns),
        (TCP, &[State::PAIRED], unanswered_ns),
        (TCP, &[State::CONFIRMED], established_ns),
        (TCP, &[State::CONFIRMED, State::CLOSED], closed_ns),
        (TCP, &[State::CLOSED], closed_ns),
        (17, &[], unanswered_ns),
        (17, &[State::PAIRED], paired_ns),
        (132, &[State::PAIRED, State::CONFIRMED], paired_ns),
    ];
    for (proto, states, limit) in cases {
        let mut hot = Halves::new(proto).hot;
        states.iter().for_each(|&s| hot.set(s));
        let idle = |ts_ns| hot.is_idle(&Timeouts::default(), ts_ns);
        let last = START.ts_ns;
        assert_eq!(
            [idle(0), idle(last), idle(last + limit), idle(last + limit + 1)],
            [false, false, false, true]
        );
        assert!(limit >= Timeouts::default().shortest());
    }
}

#[test]
fn fin_and_rst_close_and_nothing_else_does() {
    for flags in 0..=u8::MAX {
        let mut flow = Halves::new(TCP);
        flow.flow().count(&seen(60, tcp(flags), 74), Anomalies::NONE);
        assert_eq!(flow.hot.has(State::CLOSED), flags & (TcpFlags::FIN | TcpFlags::RST) != 0, "{flags:#x}");
        assert!(!flow.flow().is_confirmed() && !flow.flow().is_paired());
    }
}

const SCORING: Scoring = Scoring { epoch: 3, score: 870, verdict: 2, record: 41, stands_until_s: 0 };

#[test]
fn the_last_scoring_is_in_the_record() {
    let mut flow = Halves::new(TCP);
    assert_eq!(flow.flow().epoch(), 0);
    flow.flow().scored(SCORING);
    flow.flow().scored(Scoring { epoch: 4, score: 120, verdict: 5, record: 42, ..SCORING });
    assert_eq!((flow.flow().epoch(), flow.flow().verdict(), flow.flow().credit_record()), (4, 5, 42));
    let record = flow.flow().finish(u64::MAX).record;
    assert_eq!((record.score, record.verdict), (120, 5));
}

#[test]
fn a_score_of_ten_bits_leaves_the_marks_alone() {
    let marks = [Mark::CREATED, Mark::ODD, Mark::OPENS, Mark::ANSWERS, Mark::OFFERS, Mark::RARE];
    let mut cold = Cold::default();
    for score in (0..=1_000).chain((0..1_000).rev()) {
        cold.set_score(score);
        assert!(cold.score() == score && marks.iter().all(|&mark| !cold.has(mark)));
    }
    for (at, &mark) in marks.iter().enumerate() {
        cold.mark(mark);
        cold.set_score(1_000);
        assert!(marks.iter().enumerate().all(|(other, &mark)| cold.has(mark) == (other <= at)));
    }
    marks.iter().for_each(|&mark| cold.unmark(mark));
    assert!(cold.score() == 1_000 && marks.iter().all(|&mark| !cold.has(mark)));
}

#[test]
fn a_verdict_of_three_bits_leaves_the_state_alone() {
    let states = [State::PAIRED, State::EXPECTS, State::CONFIRMED, State::CLOSED];
    let mut flow = Halves::new(TCP);
    for verdict in (0..8).chain((0..8).rev()) {
        flow.flow().scored(Scoring { verdict, ..SCORING });
        assert!(flow.flow().verdict() == verdict && !flow.hot.is_free());
        assert!(states.iter().all(|&state| !flow.hot.has(state)));
    }
    states.iter().for_each(|&state| flow.hot.set(state));
    flow.flow().scored(Scoring { verdict: 0, ..SCORING });
    assert!(states.iter().all(|&state| flow.hot.has(state)) && !flow.hot.is_free());
}

#[test]
fn a_scoring_stands_until_its_second_and_not_for_packets_of_an_earlier_one() {
    let mut flow = Halves::new(TCP);
    assert!(!flow.flow().stands_at(START.ts_ns), "nothing was promised");
    flow.flow().scored(Scoring { stands_until_s: 9, ..SCORING });
    for (ts_ns, stands) in [(5 * S, true), (9 * S - 1, true), (9 * S, false), (8 * S, false), (20 * S, false)]
    {
        flow.hot.touch(Now { ts_ns, frame: 1 });
        assert_eq!(flow.flow().stands_at(ts_ns), stands, "{ts_ns}");
    }
}

#[test]
fn a_packet_passes_only_when_counting_it_is_all_there_is_to_do() {
    let plain = seen(60, tcp(TcpFlags::ACK), 74);
    let piece = Fragment { id: 1, offset: 8, len: 8, more: true };
    let fragment = Header { fragment: Some(piece), ..header(60, Upper::None) };
    let cases = [
        (plain, true),
        (seen(60, tcp(TcpFlags::SYN), 74), false),
        (seen(60, tcp(TcpFlags::FIN | TcpFlags::ACK), 74), false),
        (seen(60, tcp(TcpFlags::RST), 74), false),
        (seen(1 << 20, tcp(TcpFlags::ACK), 74), false),
        (odd(only(Anomaly::TcpNull)), false),
        (Sighting::of(&fragment, Anomalies::NONE, 74), false),
    ];
    for (seen, passes) in cases {
        let mut flow = Halves::new(TCP);
        flow.flow().scored(SCORING);
        assert_eq!(flow.hot.passes(&seen, SCORING.epoch), passes, "{seen:?}");
        assert!(!flow.hot.passes(&seen, SCORING.epoch + 1));
        flow.hot.set(State::EXPECTS);
        assert!(!flow.hot.passes(&seen, SCORING.epoch));
        flow.hot.set(State::CONFIRMED);
        assert_eq!(flow.hot.passes(&seen, SCORING.epoch), passes);
        assert_eq!(flow.flow().fold(0).packets, 2 * u32::from(passes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_folded_adds_up_to_the_record_wherever_it_is_cut(
        packets in prop::collection::vec((prop_oneof![any::<u32>(), 0..70_000_u32], 0..=65_589_u32, prop::bool::weighted(0.1)), 0..200),
    ) {
        let mut flow = Halves::new(TCP);
        let (mut folded, mut wire) = (0, 0);
        let mut take = |pending: Pending| {
            folded += u64::from(pending.packets);
            wire += u64::from(pending.wire_bytes);
        };
        flow.flow().scored(SCORING);
        for &(bytes, wire_len, cut) in &packets {
            let packet = seen(u64::from(bytes) + 40, tcp(TcpFlags::ACK), wire_len);
            let passed = flow.hot.passes(&packet, SCORING.epoch);
            let full = !passed && flow.flow().count(&packet, Anomalies::NONE).full;
            if full || cut {
                take(flow.flow().fold(0));
            }
        }
        let ended = flow.flow().finish(u64::MAX);
        take(ended.pending);
        prop_assert_eq!(folded, packets.len() as u64);
        prop_assert_eq!(ended.record.packets, folded);
        prop_assert_eq!(wire, packets.iter().map(|p| u64::from(p.1)).sum::<u64>());
        prop_assert_eq!(ended.record.bytes, packets.iter().map(|p| u64::from(p.0) + 40).sum::<u64>());
    }
}
