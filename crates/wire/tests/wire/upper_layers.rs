//! What flow state is made from: flags, tags, connection ids, quoted packets.

use crate::build::*;
use crate::{check, packet};
use credence_wire::Anomaly::*;
use credence_wire::{QuicIds, TcpFlags, Upper};

#[test]
fn tcp_fields() {
    let found = check(&ipv6(TCP, &tcp(SYN)), &[]).outer;
    let expected = Upper::Tcp { flags: TcpFlags(SYN), seq: 1, ack: 2, window: 0x1000 };
    assert_eq!((found.upper, found.sport, found.dport), (expected, 1000, 80));
    assert_eq!((found.offers(), found.echoes()), (Some(2), None));
}

#[test]
fn header_fields() {
    let mut bytes = plain();
    bytes[..4].copy_from_slice(&[0x6a, 0xbc, 0xde, 0xf1]);
    let found = check(&bytes, &[]).outer;
    assert_eq!((found.traffic_class, found.flow_label, found.hop_limit), (0xab, 0xcdef1, 64));
    assert_eq!((found.src, found.dst, found.bytes), (A, B, 64));
}

#[test]
fn sctp_tags() {
    let found = check(&ipv6(SCTP, &sctp(0, 1, 77)), &[]).outer;
    assert_eq!(found.upper, Upper::Sctp { verification_tag: 0, initiate_tag: Some(77) });
    let found = check(&ipv6(SCTP, &sctp(77, 2, 88)), &[]).outer;
    assert_eq!((found.echoes(), found.offers()), (Some(77), Some(88)));
    let found = check(&ipv6(SCTP, &sctp(77, 0, 88)), &[]).outer;
    assert_eq!(found.upper, Upper::Sctp { verification_tag: 77, initiate_tag: None });
}

#[test]
fn dccp_type() {
    let found = check(&ipv6(DCCP, &dccp(9)), &[]).outer;
    assert_eq!((found.upper, found.sport, found.dport), (Upper::Dccp { kind: 9 }, 1000, 80));
}

#[test]
fn udp_lite_has_ports() {
    let found = check(&ipv6(UDP_LITE, &udp(1000, 2000, b"data")), &[]).outer;
    assert_eq!((found.proto, found.sport, found.dport), (UDP_LITE, 1000, 2000));
}

#[test]
fn icmpv6_type_and_code_stand_in_the_ports() {
    let found = check(&ipv6(ICMPV6, &icmpv6(128, 3, &[0; 4])), &[]).outer;
    assert_eq!((found.sport, found.dport, found.upper), (128, 3, Upper::Icmpv6 { kind: 128, code: 3 }));
}

fn quic(version: u32, destination: &[u8], source: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc3];
    bytes.extend(version.to_be_bytes());
    for id in [destination, source] {
        bytes.push(u8::try_from(id.len()).unwrap());
        bytes.extend(id);
    }
    bytes.extend([0; 20]);
    bytes
}

fn ids(payload: &[u8]) -> Option<QuicIds> {
    match packet(&ipv6(UDP, &udp(50_000, 443, payload))).outer.upper {
        Upper::Udp { quic } => quic,
        other => panic!("UDP expected, not {other:?}"),
    }
}

#[test]
fn quic_connection_ids() {
    for version in [1, 0x6b33_43cf, 0xff00_001d] {
        let found = ids(&quic(version, &[1, 2, 3, 4, 5, 6, 7, 8, 9], &[8; 8])).unwrap();
        assert_eq!(found.destination, Some(0x0102_0304_0506_0708));
        assert_eq!(found.source, Some(0x0808_0808_0808_0808));
    }
    let short = ids(&quic(1, &[1; 7], &[])).unwrap();
    assert_eq!(short, QuicIds { destination: None, source: None });
}

#[test]
fn what_is_no_quic_long_header_has_no_connection_ids() {
    assert_eq!(ids(&quic(0, &[1; 8], &[2; 8])), None, "version negotiation");
    assert_eq!(ids(&quic(0xff00_0100, &[1; 8], &[2; 8])), None, "no draft");
    assert_eq!(ids(&quic(1, &[1; 21], &[2; 8])), None, "an id longer than 20 bytes");
    assert_eq!(ids(&quic(1, &[1; 8], &[2; 21])), None, "an id longer than 20 bytes");
    let mut short_header = quic(1, &[1; 8], &[2; 8]);
    short_header[0] = 0x43;
    assert_eq!(ids(&short_header), None, "a short header");
    assert_eq!(ids(&quic(1, &[1; 8], &[])[..12]), None, "cut");
}

#[test]
fn the_quoted_packet_of_an_error() {
    let sent =
        Ipv6 { src: B, dst: A, ..PLAIN }.chain(&[hop_by_hop(), destination()], UDP, &udp(1000, 53, b"data"));
    for kind in 1..=4 {
        let bytes = ipv6(ICMPV6, &icmpv6(kind, 0, &[&[0; 4], &sent[..]].concat()));
        let quoted = check(&bytes, &[]).quoted.unwrap();
        assert_eq!((quoted.src, quoted.dst, quoted.proto, quoted.sport, quoted.dport), (B, A, UDP, 1000, 53));
    }
    assert_eq!(packet(&ipv6(ICMPV6, &icmpv6(128, 0, &[&[0; 4], &sent[..]].concat()))).quoted, None);
}

#[test]
fn a_quoted_packet_is_cut_without_being_odd() {
    let sent = Ipv6 { src: B, dst: A, ..PLAIN }.chain(&[destination()], TCP, &tcp(SYN));
    for len in 40..sent.len() {
        let quoted = check(&ipv6(ICMPV6, &error(&sent[..len])), &[]).quoted.unwrap();
        assert_eq!((quoted.src, quoted.dst), (B, A));
        assert_eq!((quoted.sport, quoted.dport), if len >= 52 { (1000, 80) } else { (0, 0) });
    }
}

#[test]
fn a_quoted_chain_past_the_budget_has_no_ports() {
    let sent = Ipv6 { src: B, dst: A, ..PLAIN }.chain(&vec![destination(); 64], TCP, &tcp(SYN));
    let quoted = check(&ipv6(ICMPV6, &error(&sent)), &[]).quoted.unwrap();
    assert_eq!((quoted.proto, quoted.sport), (DESTINATION, 0));
}

#[test]
fn a_quoted_later_fragment_has_no_ports() {
    let sent = Ipv6 { src: B, dst: A, ..PLAIN }.chain(&[fragment(64, false, 1)], TCP, &tcp(SYN));
    let quoted = check(&ipv6(ICMPV6, &error(&sent)), &[]).quoted.unwrap();
    assert_eq!((quoted.proto, quoted.sport, quoted.dport), (TCP, 0, 0));
}

#[test]
fn a_quote_cut_by_the_capture_is_no_mismatch() {
    let sent = Ipv6 { src: B, dst: A, ..PLAIN }.carrying(TCP, &tcp(SYN));
    let bytes = ipv6(ICMPV6, &error(&sent));
    let found = credence_wire::parse(
        credence_wire::Link::Raw,
        &bytes[..70],
        u32::try_from(bytes.len()).unwrap(),
        &credence_wire::Limits::default(),
    )
    .unwrap();
    assert_eq!((found.quoted, found.anomalies.has(QuoteMismatch)), (None, false));
}

#[test]
fn ports_of_a_cut_header_are_read_when_they_are_there() {
    let found = check(&ipv6(TCP, &tcp(ACK)[..4]), &[UpperTruncated]).outer;
    assert_eq!((found.sport, found.dport, found.upper), (1000, 80, Upper::None));
    let found = check(&ipv6(TCP, &tcp(ACK)[..3]), &[UpperTruncated]).outer;
    assert_eq!((found.sport, found.dport), (0, 0));
}
