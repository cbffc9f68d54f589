use credence_wire::{Anomaly, Fragment, QuicIds};
use proptest::prelude::*;

use super::*;

const S: u64 = 1_000_000_000;
const KEY: FlowKey = FlowKey { src: 1, dst: 2, proto: TCP, sport: 40_000, dport: 443 };
const START: Now = Now { ts_ns: 5 * S, frame: 7 << 32 | 9, batch: 0 };

/// Both halves of a flow, without a table around them.
struct Halves {
    hot: Hot,
    cold: Cold,
}

impl Halves {
    fn new(proto: u8) -> Self {
        Self { hot: Hot::new(&FlowKey { proto, ..KEY }, START), cold: Cold::new(START) }
    }

    fn flow(&mut self) -> Flow<'_> {
        Flow { hot: &mut self.hot, cold: &mut self.cold }
    }

    fn count(&mut self, bytes: u64, wire_len: u32) -> Counted {
        self.flow().count(&header(bytes, tcp(TcpFlags::ACK)), Odd::default(), wire_len)
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
fn more_packets_than_16_bits_count_without_a_fold_are_all_in_the_record() {
    let mut flow = Halves::new(TCP);
    for n in 1..=70_000_u32 {
        assert_eq!(flow.count(60, 74).full, n >= 65_535, "packet {n}");
    }
    let ended = flow.flow().finish(u64::MAX);
    assert_eq!((ended.record.packets, ended.record.bytes), (70_000, 70_000 * 60));
    assert_eq!(ended.pending.packets, 65_535);
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
fn a_claim_too_large_to_be_true_forces_no_fold() {
    let mut flow = Halves::new(TCP);
    for bytes in [u64::from(HALF), u64::from(u32::MAX), u64::MAX] {
        assert!(!flow.count(bytes, 74).full);
    }
    assert!(!flow.count(u64::from(HALF) - 1, 74).full);
    assert!(flow.count(1, 74).full);
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
    let (odd, both) = (only(Anomaly::PortZero), only(Anomaly::PortZero).union(only(Anomaly::FragmentAtomic)));
    let mut count =
        |anomalies| flow.flow().count(&header(60, Upper::None), Odd { anomalies, ..Odd::default() }, 74).news;
    assert_eq!(
        [count(Anomalies::NONE), count(odd), count(odd), count(both), count(both)],
        [false, true, false, true, false]
    );
    assert!(flow.flow().fold(0).odd);
    assert!(!flow.flow().count(&header(60, Upper::None), Odd { anomalies: both, ..Odd::default() }, 74).news);
    assert!(!flow.flow().fold(0).odd);
    assert_eq!(flow.flow().anomalies(), both);
}

#[test]
fn what_only_flow_state_knows_makes_a_flow_odd_too() {
    let mut flow = Halves::new(TCP);
    let overlap = only(Anomaly::FragmentOverlap);
    assert!(flow.flow().add_anomalies(Odd { anomalies: overlap, ..Odd::default() }));
    assert!(flow.flow().fold(0).odd);
    assert!(!flow.flow().add_anomalies(Odd { anomalies: overlap, ..Odd::default() }));
    assert!(!flow.flow().add_anomalies(Odd::default()));
    assert!(!flow.flow().fold(0).odd);
    assert_eq!(flow.flow().finish(u64::MAX).record.anomalies, overlap);
}

#[test]
fn fragments_are_counted() {
    let mut flow = Halves::new(17);
    let piece = Fragment { id: 1, offset: 8, len: 8, more: true };
    let fragment = Header { fragment: Some(piece), ..header(56, Upper::None) };
    flow.flow().count(&fragment, Odd::default(), 70);
    flow.flow().count(&header(56, Upper::None), Odd::default(), 70);
    assert_eq!(flow.flow().finish(u64::MAX).record.fragments, 1);
}

#[test]
fn only_what_asks_opens() {
    let (syn, ack) = (TcpFlags::SYN, TcpFlags::ACK);
    let udp = Upper::Udp { quic: Some(QuicIds { source: None, destination: None }) };
    let cases = [
        (tcp(syn), true),
        (tcp(syn | 0xc0), true),
        (tcp(syn | ack), false),
        (tcp(syn | TcpFlags::RST), false),
        (tcp(ack), false),
        (tcp(0), false),
        (udp, true),
        (Upper::Sctp { verification_tag: 0, initiate_tag: Some(1) }, true),
        (Upper::Dccp { kind: 0 }, true),
        (Upper::Icmpv6 { kind: 128, code: 0 }, true),
        (Upper::Icmpv6 { kind: 129, code: 0 }, false),
        (Upper::Icmpv6 { kind: 1, code: 0 }, false),
        (Upper::None, false),
    ];
    for (upper, asks) in cases {
        let mut flow = Halves::new(TCP);
        flow.flow().opens(&header(60, upper));
        assert_eq!(flow.flow().awaits_judgement(), asks, "{upper:?}");
    }
}

#[test]
fn an_answer_opens_nothing() {
    let mut flow = Halves::new(17);
    flow.cold.answers();
    flow.flow().fold(0);
    flow.flow().opens(&header(60, Upper::Udp { quic: None }));
    assert!(!flow.flow().awaits_judgement());
}

#[test]
fn an_opening_is_judged_once_and_not_before_its_time() {
    let mut flow = Halves::new(TCP);
    flow.flow().opens(&header(60, tcp(TcpFlags::SYN)));
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
        flow.flow().opens(&header(60, tcp(TcpFlags::SYN)));
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
    let mut flow = Halves { hot: Hot::new(&KEY, start), cold: Cold::new(start) };
    flow.flow().opens(&header(60, tcp(TcpFlags::SYN)));
    assert_eq!(flow.flow().finish(u64::MAX).pending.opening, Some(Opening::Unanswered));
}

#[test]
fn a_harmless_anomaly_is_shown_and_not_held_against_the_source() {
    let mut odd = Odd::default();
    odd.anomalies.insert(Anomaly::SourceReserved);
    odd.harmless = odd.anomalies;
    let mut flow = Halves::new(TCP);
    assert!(flow.flow().count(&header(60, Upper::None), odd, 74).news);
    assert!(!flow.flow().fold(START.ts_ns).odd);
    odd.anomalies.insert(Anomaly::TcpNull);
    flow.flow().count(&header(60, Upper::None), odd, 74);
    let ended = flow.flow().finish(u64::MAX);
    assert!(ended.pending.odd && ended.record.anomalies == odd.anomalies);
}

#[test]
fn a_flow_pushed_out_young_is_not_judged() {
    let mut flow = Halves::new(TCP);
    flow.flow().opens(&header(60, tcp(TcpFlags::SYN)));
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
        flow.flow().count(&header(60, tcp(flags)), Odd::default(), 74);
        assert_eq!(flow.hot.has(State::CLOSED), flags & (TcpFlags::FIN | TcpFlags::RST) != 0, "{flags:#x}");
        assert!(!flow.flow().is_confirmed() && !flow.flow().is_paired());
    }
}

#[test]
fn the_last_scoring_is_in_the_record() {
    let mut flow = Halves::new(TCP);
    assert_eq!(flow.flow().epoch(), 0);
    flow.flow().scored(3, 870, 2, 41);
    flow.flow().scored(4, 120, 5, 42);
    assert_eq!((flow.flow().epoch(), flow.flow().verdict(), flow.flow().credit_record()), (4, 5, 42));
    let record = flow.flow().finish(u64::MAX).record;
    assert_eq!((record.score, record.verdict), (120, 5));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_folded_adds_up_to_the_record_wherever_it_is_cut(
        packets in prop::collection::vec((any::<u32>(), 0..=65_589_u32, any::<bool>()), 0..200),
    ) {
        let mut flow = Halves::new(TCP);
        let (mut folded, mut wire) = (0, 0);
        let mut take = |pending: Pending| {
            folded += u64::from(pending.packets);
            wire += u64::from(pending.wire_bytes);
        };
        for &(bytes, wire_len, cut) in &packets {
            if flow.count(u64::from(bytes) + 40, wire_len).full || cut {
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
