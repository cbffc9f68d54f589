//! Chains of extension headers: what other parsers got wrong, and what every chain must keep to.

use crate::build::*;
use crate::{check, packet};
use credence_wire::Anomaly::*;
use credence_wire::{Limits, Link, Upper, parse};

#[test]
fn every_order_of_every_kind_leads_to_the_upper_layer() {
    let mut orders = vec![];
    permutations(&mut one_of_each().to_vec(), 6, &mut orders);
    assert_eq!(orders.len(), 720);
    for headers in orders {
        let found = packet(&PLAIN.chain(&headers, TCP, &tcp(ACK)));
        assert_eq!((found.outer.proto, found.outer.sport, found.outer.dport), (TCP, 1000, 80));
        assert_eq!(found.outer.ext_headers, 6);
        assert_eq!(found.anomalies.has(HopByHopNotFirst), headers[0].0 != HOP_BY_HOP);
        assert!(!found.anomalies.has(ExtHeaderTruncated) && !found.anomalies.has(ExtHeaderDuplicate));
    }
}

/// All orders of the first `count` headers.
fn permutations(headers: &mut Vec<Ext>, count: usize, found: &mut Vec<Vec<Ext>>) {
    if count <= 1 {
        found.push(headers.clone());
        return;
    }
    for i in 0..count {
        headers.swap(i, count - 1);
        permutations(headers, count - 1, found);
        headers.swap(i, count - 1);
    }
}

#[test]
fn chains_of_any_length_end_at_the_budget_and_say_so() {
    for count in 0..=64 {
        let found = packet(&PLAIN.chain(&vec![destination(); count], UDP, &udp(1000, 53, b"")));
        let walked = count.min(8);
        assert_eq!(usize::from(found.outer.ext_headers), walked);
        assert_eq!(found.anomalies.has(ExtHeaderLimit), count > 8);
        if count > 8 {
            assert_eq!((found.outer.proto, found.outer.upper), (DESTINATION, Upper::None));
        } else {
            assert_eq!((found.outer.proto, found.outer.dport), (UDP, 53));
        }
    }
}

#[test]
fn the_budget_is_the_callers_choice() {
    let bytes = PLAIN.chain(&vec![destination(); 3], TCP, &tcp(ACK));
    for (ext_headers, reached) in [(0, false), (2, false), (3, true), (255, true)] {
        let limits = Limits { ext_headers, ..Limits::default() };
        let found = parse(Link::Raw, &bytes, 0, &limits).unwrap();
        assert_eq!(found.outer.proto == TCP, reached);
        assert_eq!(found.anomalies.has(ExtHeaderLimit), !reached);
    }
}

/// A length that is computed in one byte wraps at 256 and lands the walk inside the header, on bytes of the sender's choice.
#[test]
fn a_length_of_255_units_does_not_wrap() {
    for (kind, units, len) in
        [(DESTINATION, 31, 256), (DESTINATION, 255, 2048), (AH, 62, 256), (AH, 255, 1028)]
    {
        // Where a wrapped length would land stands a UDP header.
        let mut bytes = vec![0; len];
        bytes[1] = units;
        bytes[8..16].copy_from_slice(&udp(1000, 53, b""));
        let found = packet(&PLAIN.chain(&[Ext(kind, bytes)], TCP, &tcp(ACK)));
        assert_eq!(
            (found.outer.proto, found.outer.sport, found.outer.dport),
            (TCP, 1000, 80),
            "{kind} {units}"
        );
    }
}

/// A walker that takes any unknown number for an extension header skips the bytes of the upper layer that follows.
#[test]
fn an_unknown_next_header_is_never_walked() {
    for proto in (0..=255).filter(|proto| {
        !matches!(
            proto,
            0 | 4 | 6 | 17 | 33 | 41 | 43 | 44 | 47 | 51 | 58..=60 | 97 | 103 | 132 | 136 | 137 | 140 | 143
        )
    }) {
        let disguised = [&[TCP, 0, 0, 0, 0, 0, 0, 0][..], &tcp(ACK)].concat();
        let found = packet(&PLAIN.chain(&[destination()], proto, &disguised));
        assert_eq!((found.outer.proto, found.outer.ext_headers), (proto, 1));
        assert_eq!((found.outer.sport, found.outer.dport, found.outer.upper), (0, 0, Upper::None));
    }
}

/// A budget that runs out and is reported as success lets a ninth header hide the ports from a rule.
#[test]
fn a_budget_that_runs_out_is_never_success() {
    let found = packet(&PLAIN.chain(&vec![destination(); 9], TCP, &tcp(SYN)));
    assert!(found.anomalies.has(ExtHeaderLimit));
    assert_eq!((found.outer.upper, found.outer.sport), (Upper::None, 0));
}

/// The Authentication Header counts in four bytes and leaves out two of them, unlike all others.
#[test]
fn the_authentication_header_has_its_own_unit() {
    for units in 1..=20 {
        let found = packet(&PLAIN.chain(&[authentication(units)], TCP, &tcp(ACK)));
        assert_eq!((found.outer.proto, found.outer.dport), (TCP, 80), "{units} units");
        assert_eq!(found.anomalies.has(AhInvalid), units % 2 == 1, "{units} units");
    }
}

#[test]
fn a_later_fragment_has_no_upper_layer() {
    for proto in [TCP, UDP, ICMPV6, SCTP, DESTINATION, 41, 47] {
        let found =
            check(&PLAIN.chain(&[hop_by_hop(), fragment(1480, true, 0xdead_beef)], proto, &tcp(ACK)), &[]);
        let outer = found.outer;
        assert_eq!((outer.proto, outer.sport, outer.dport, outer.upper), (proto, 0, 0, Upper::None));
        assert_eq!(outer.ext_headers, 2);
        let piece = outer.fragment.unwrap();
        assert_eq!((piece.id, piece.offset, piece.len, piece.more), (0xdead_beef, 1480, 24, true));
        assert!(found.inner.is_none());
    }
}

#[test]
fn a_first_fragment_has_its_ports() {
    let found = check(&PLAIN.chain(&[fragment(0, true, 5)], UDP, &udp(1000, 53, &[0; 1224])), &[]);
    assert_eq!((found.outer.sport, found.outer.dport), (1000, 53));
    // The UDP length covers pieces still to come.
    let mut datagram = udp(1000, 53, &[0; 8]);
    datagram[4] = 0x10;
    check(&PLAIN.chain(&[fragment(0, true, 5)], UDP, &datagram), &[]);
}

#[test]
fn an_atomic_fragment_is_read_alone_and_told_apart_from_a_pending_datagram() {
    let atomic = packet(&PLAIN.chain(&[fragment(0, false, 77)], TCP, &tcp(ACK))).outer.fragment.unwrap();
    let pending = packet(&PLAIN.chain(&[fragment(0, true, 77)], TCP, &tcp(ACK))).outer.fragment.unwrap();
    assert_eq!(atomic.id, pending.id);
    assert!(atomic.is_atomic() && !pending.is_atomic());
}

#[test]
fn a_segment_routing_header_with_a_packet_inside() {
    let inner = Ipv6 { src: B, dst: A, ..PLAIN }.carrying(UDP, &udp(1000, 53, b"data"));
    let found = check(&PLAIN.chain(&[routing(4, 1, 4, [1, 0, 0, 0])], 41, &inner), &[]);
    assert_eq!((found.outer.proto, found.outer.dst, found.layers), (41, B, 2));
    assert_eq!(found.inner.unwrap().dport, 53);
}

#[test]
fn routing_headers_of_every_type_lead_to_the_upper_layer() {
    for (kind, left, units) in [(0, 1, 2), (2, 1, 2), (3, 0, 2), (4, 0, 2), (1, 1, 1), (254, 9, 30)] {
        let found = packet(&PLAIN.chain(&[routing(kind, left, units, [0; 4])], TCP, &tcp(ACK)));
        assert_eq!((found.outer.proto, found.outer.dport), (TCP, 80), "type {kind}");
    }
}

#[test]
fn encryption_ends_the_walk() {
    let found = check(&PLAIN.chain(&[hop_by_hop(), authentication(4)], ESP, &tcp(ACK)), &[]);
    assert_eq!((found.outer.proto, found.outer.sport, found.outer.upper), (ESP, 0, Upper::None));
    check(&PLAIN.chain(&[routing(3, 0, 0, [0; 4]), destination()], ESP, &tcp(ACK)), &[ExtHeaderOrder]);
}

#[test]
fn mobility_and_host_identity_end_the_walk() {
    for proto in [135, 139] {
        let found = check(&ipv6(proto, &[TCP, 0, 0, 0, 0, 0, 0, 0]), &[]);
        assert_eq!((found.outer.proto, found.outer.ext_headers), (proto, 0));
    }
}

#[test]
fn options_that_try_to_loop_or_run_away_end() {
    // PadN without data, over and over; a header full of Pad1; a header full of options.
    for element in [&[1, 0][..], &[0, 0], &[5, 0]] {
        let bytes = element.repeat(1023);
        let found = packet(&PLAIN.chain(&[options(DESTINATION, &bytes)], TCP, &tcp(ACK)));
        assert!(found.anomalies.has(PaddingLimit) || found.anomalies.has(OptionLimit));
        assert_eq!(found.outer.dport, 80);
    }
}

#[test]
fn an_option_one_byte_past_its_header_is_cut() {
    for (len, odd) in [(3, None), (4, None), (5, Some(OptionTruncated)), (255, Some(OptionTruncated))] {
        let mut area = [5, len, 0, 0, 0, 0];
        if len == 3 {
            area[5] = 0;
        }
        let found = packet(&PLAIN.chain(&[options(DESTINATION, &area)], TCP, &tcp(ACK)));
        assert_eq!(found.anomalies.iter().next(), odd, "length {len}");
    }
}

#[test]
fn payload_lengths_that_lie_never_wrap() {
    let bytes = plain();
    for len in (0..=u16::MAX).step_by(7).chain([1, 23, 24, 25, u16::MAX]) {
        let found = packet(&Ipv6 { len: Some(len), ..PLAIN }.carrying(TCP, &bytes[40..]));
        assert_eq!(found.outer.bytes, 40 + u64::from(len));
        assert_eq!(found.anomalies.has(PayloadTruncated), len > 24);
        assert_eq!(found.anomalies.has(TrailingBytes), (1..24).contains(&len));
        assert_eq!(found.outer.upper != Upper::None, len >= 20, "never a header from beyond the payload");
    }
}

#[test]
fn jumbo_lengths_that_lie_never_wrap() {
    for len in [0, 1, 8, 65_535, 65_536, 0x7fff_ffff, u32::MAX] {
        let option = [&[0xc2, 4][..], &len.to_be_bytes()].concat();
        let bytes = Ipv6 { len: Some(0), ..PLAIN }.chain(&[options(HOP_BY_HOP, &option)], TCP, &tcp(ACK));
        let found = packet(&bytes);
        assert_eq!(found.outer.bytes, 40 + u64::from(len));
        assert_eq!(found.anomalies.has(JumboInvalid), len <= 65_535, "{len}");
    }
}

#[test]
fn what_cannot_be_parsed_still_has_its_source() {
    for payload in [&[][..], &[TCP], &[TCP, 255], &[255; 64]] {
        for next_header in 0..=255 {
            assert_eq!(packet(&ipv6(next_header, payload)).outer.src, A);
        }
    }
}
