//! Each oddity of a single packet has a packet that shows it, alone where that is possible.

use crate::build::*;
use crate::{check, packet, read};
use credence_wire::Anomaly::*;
use credence_wire::{Limits, Link, parse};

#[test]
fn a_plain_packet_has_none() {
    check(&plain(), &[]);
    check(&ipv6(UDP, &udp(1000, 53, b"query")), &[]);
    check(&PLAIN.chain(&[hop_by_hop(), routing(4, 0, 2, [0; 4]), destination()], TCP, &tcp(ACK)), &[]);
}

#[test]
fn ext_header_truncated() {
    let found = check(&ipv6(DESTINATION, &[TCP, 3, 1, 4, 0, 0, 0, 0]), &[ExtHeaderTruncated]);
    assert_eq!((found.outer.proto, found.outer.sport), (TCP, 0));
}

#[test]
fn ext_header_limit() {
    let found = check(&PLAIN.chain(&vec![destination(); 9], TCP, &tcp(ACK)), &[ExtHeaderLimit]);
    assert_eq!((found.outer.proto, found.outer.ext_headers), (DESTINATION, 8));
    check(&PLAIN.chain(&vec![destination(); 8], TCP, &tcp(ACK)), &[]);
}

#[test]
fn ext_header_duplicate() {
    check(&PLAIN.chain(&vec![routing(3, 0, 0, [0; 4]); 2], TCP, &tcp(ACK)), &[ExtHeaderDuplicate]);
    check(&PLAIN.chain(&vec![authentication(4); 2], TCP, &tcp(ACK)), &[ExtHeaderDuplicate]);
}

#[test]
fn ext_header_order() {
    let found = check(
        &PLAIN.chain(&[authentication(4), routing(3, 0, 0, [0; 4])], TCP, &tcp(ACK)),
        &[ExtHeaderOrder],
    );
    assert_eq!(found.outer.dport, 80);
    // Destination Options have two places.
    check(&PLAIN.chain(&[destination(), routing(3, 0, 0, [0; 4]), destination()], TCP, &tcp(ACK)), &[]);
    check(
        &PLAIN.chain(&[routing(3, 0, 0, [0; 4]), destination(), authentication(4)], TCP, &tcp(ACK)),
        &[ExtHeaderOrder],
    );
}

#[test]
fn hop_by_hop_not_first() {
    check(&PLAIN.chain(&[destination(), hop_by_hop()], TCP, &tcp(ACK)), &[HopByHopNotFirst, ExtHeaderOrder]);
    check(
        &PLAIN.chain(&[hop_by_hop(), hop_by_hop()], TCP, &tcp(ACK)),
        &[HopByHopNotFirst, ExtHeaderDuplicate],
    );
}

#[test]
fn option_limit() {
    let nine: Vec<u8> = [5, 0].repeat(9).into_iter().chain([1, 2, 0, 0]).collect();
    check(&PLAIN.chain(&[options(DESTINATION, &nine)], TCP, &tcp(ACK)), &[OptionLimit]);
    let eight: Vec<u8> = [5, 0].repeat(8).into_iter().chain([1, 4, 0, 0, 0, 0]).collect();
    check(&PLAIN.chain(&[options(DESTINATION, &eight)], TCP, &tcp(ACK)), &[]);
}

#[test]
fn eight_options_that_fill_their_header_are_allowed() {
    let eight: Vec<u8> = [5, 0].repeat(7).into_iter().chain([5, 6, 0, 0, 0, 0, 0, 0]).collect();
    check(&PLAIN.chain(&[options(DESTINATION, &eight)], TCP, &tcp(ACK)), &[]);
}

#[test]
fn padding_limit() {
    // Eight bytes in one PadN, in a row of Pad1, and in two PadN that follow each other.
    let one = [1, 6, 0, 0, 0, 0, 0, 0, 5, 4, 0, 0, 0, 0];
    let row = [0, 0, 0, 0, 0, 0, 0, 0, 5, 4, 0, 0, 0, 0];
    let two = [1, 2, 0, 0, 1, 2, 0, 0, 5, 4, 0, 0, 0, 0];
    for bytes in [one, row, two] {
        check(&PLAIN.chain(&[options(HOP_BY_HOP, &bytes)], TCP, &tcp(ACK)), &[PaddingLimit]);
    }
    // Seven bytes are what aligns to eight, before and behind an option.
    let seven = [0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 3, 0, 0, 0];
    check(&PLAIN.chain(&[options(HOP_BY_HOP, &seven)], TCP, &tcp(ACK)), &[]);
}

#[test]
fn padding_not_zero() {
    check(&PLAIN.chain(&[options(DESTINATION, &[1, 4, 0, 0, 9, 0])], TCP, &tcp(ACK)), &[PaddingNotZero]);
}

#[test]
fn option_truncated() {
    let found =
        check(&PLAIN.chain(&[options(DESTINATION, &[5, 5, 0, 0, 0, 0])], TCP, &tcp(ACK)), &[OptionTruncated]);
    assert_eq!(found.outer.dport, 80, "the header's own length leads on");
    check(&PLAIN.chain(&[options(DESTINATION, &[1, 3, 0, 0, 0, 5])], TCP, &tcp(ACK)), &[OptionTruncated]);
}

#[test]
fn option_unknown() {
    for kind in [0x5e, 0x9e, 0xde] {
        check(
            &PLAIN.chain(&[options(DESTINATION, &[kind, 4, 0, 0, 0, 0])], TCP, &tcp(ACK)),
            &[OptionUnknown],
        );
    }
    // An unknown option that asks to be skipped, and known ones that ask to be discarded where unknown.
    for kind in [0x1e, 0x63, 0xc9] {
        check(&PLAIN.chain(&[options(DESTINATION, &[kind, 4, 0, 0, 0, 0])], TCP, &tcp(ACK)), &[]);
    }
}

fn jumbo(len: u32) -> Ext {
    options(HOP_BY_HOP, &[&[0xc2, 4][..], &len.to_be_bytes()].concat())
}

#[test]
fn jumbo_invalid() {
    let beside_a_length = PLAIN.chain(&[jumbo(70_000)], TCP, &tcp(ACK));
    check(&beside_a_length, &[JumboInvalid]);
    let short = Ipv6 { len: Some(0), ..PLAIN }.chain(&[jumbo(32)], TCP, &tcp(ACK));
    let found = check(&short, &[JumboInvalid]);
    assert_eq!(found.outer.bytes, 72);
    let mut fragmented =
        Ipv6 { len: Some(0), ..PLAIN }.chain(&[jumbo(70_000), fragment(0, true, 1)], TCP, &tcp(ACK));
    fragmented.resize(40 + 70_000, 0);
    check(&fragmented, &[JumboInvalid, FragmentPastEnd]);
    let wrong_size = PLAIN.chain(&[options(HOP_BY_HOP, &[0xc2, 2, 0, 0, 0, 0])], TCP, &tcp(ACK));
    check(&wrong_size, &[JumboInvalid]);
}

#[test]
fn a_true_jumbogram_has_none() {
    let mut bytes = Ipv6 { len: Some(0), ..PLAIN }.chain(&[jumbo(70_000)], TCP, &tcp(ACK));
    bytes.resize(40 + 70_000, 0);
    let found = check(&bytes, &[]);
    assert_eq!((found.outer.bytes, found.outer.dport), (70_040, 80));
}

#[test]
fn payload_length_zero() {
    let found = check(&Ipv6 { len: Some(0), ..PLAIN }.carrying(TCP, &tcp(ACK)), &[PayloadLengthZero]);
    assert_eq!((found.outer.bytes, found.outer.sport, found.outer.proto), (40, 0, TCP));
    let found =
        check(&Ipv6 { len: Some(0), ..PLAIN }.chain(&[hop_by_hop()], TCP, &tcp(ACK)), &[PayloadLengthZero]);
    assert_eq!((found.outer.proto, found.outer.ext_headers), (HOP_BY_HOP, 0));
    check(&ipv6(NONE, &[]), &[]);
}

#[test]
fn payload_truncated() {
    let found = check(&Ipv6 { len: Some(25), ..PLAIN }.carrying(TCP, &tcp(ACK)), &[PayloadTruncated]);
    assert_eq!((found.outer.bytes, found.outer.dport), (65, 80));
}

#[test]
fn a_snap_length_is_not_a_truncated_payload() {
    let whole = PLAIN.carrying(TCP, &[&tcp(ACK)[..], &[7; 1000]].concat());
    let found = parse(Link::Raw, &whole[..64], 1064, &Limits::default()).unwrap();
    assert!(found.anomalies.is_empty());
    assert_eq!(found.outer.bytes, 1064);
}

#[test]
fn trailing_bytes() {
    let longer = [&plain()[..], &[0; 5]].concat();
    check(&longer, &[TrailingBytes]);
    let padded = [&ethernet(0x86dd, &plain())[..], &[0; 5]].concat();
    assert!(read(Link::Ethernet, &padded).unwrap().anomalies.has(TrailingBytes));
}

#[test]
fn padding_and_check_sequence_of_ethernet_are_not_trailing_bytes() {
    let short = ipv6(NONE, &[]);
    let padded = [&ethernet(0x86dd, &short)[..], &[0; 6], &[1, 2, 3, 4]].concat();
    assert!(read(Link::Ethernet, &padded).unwrap().anomalies.is_empty());
    let checked = [&ethernet(0x86dd, &plain())[..], &[1, 2, 3, 4]].concat();
    assert!(read(Link::Ethernet, &checked).unwrap().anomalies.is_empty());
}

#[test]
fn routing_type_0() {
    let found = check(&PLAIN.chain(&[routing(0, 1, 2, [0; 4])], TCP, &tcp(ACK)), &[RoutingType0]);
    assert_eq!(found.outer.dport, 80);
}

#[test]
fn routing_invalid() {
    for (kind, left, units, rest) in [
        (2, 0, 2, [0; 4]),       // a home address that is not to be visited
        (2, 1, 4, [0; 4]),       // two home addresses
        (3, 2, 2, [0; 4]),       // more segments left than addresses
        (3, 1, 1, [0; 4]),       // half an address
        (4, 0, 2, [1, 0, 0, 0]), // a last entry behind the end
        (4, 2, 2, [0, 0, 0, 0]), // more segments left than the list and one
    ] {
        check(&PLAIN.chain(&[routing(kind, left, units, rest)], TCP, &tcp(ACK)), &[RoutingInvalid]);
    }
    check(&PLAIN.chain(&[routing(0, 2, 2, [0; 4])], TCP, &tcp(ACK)), &[RoutingType0, RoutingInvalid]);
    check(&PLAIN.chain(&[routing(0, 0, 1, [0; 4])], TCP, &tcp(ACK)), &[RoutingType0, RoutingInvalid]);
}

#[test]
fn routing_unknown() {
    check(&PLAIN.chain(&[routing(77, 1, 0, [0; 4])], TCP, &tcp(ACK)), &[RoutingUnknown]);
    check(&PLAIN.chain(&[routing(77, 0, 0, [0; 4])], TCP, &tcp(ACK)), &[]);
}

#[test]
fn fragment_atomic() {
    let found = check(&PLAIN.chain(&[fragment(0, false, 9)], TCP, &tcp(ACK)), &[FragmentAtomic]);
    assert!(found.outer.fragment.unwrap().is_atomic());
    assert_eq!(found.outer.dport, 80, "an atomic fragment is read as a whole");
}

#[test]
fn fragment_nested() {
    for depth in 2..=4 {
        let mut headers = vec![fragment(0, false, 1); depth];
        headers[0] = fragment(0, false, 42);
        let found = check(
            &PLAIN.chain(&headers, TCP, &tcp(ACK)),
            &[FragmentAtomic, FragmentNested, ExtHeaderDuplicate],
        );
        assert_eq!(found.outer.fragment.unwrap().id, 42, "of nested headers the first is told");
    }
}

#[test]
fn a_later_fragment_inside_a_first_one_has_no_ports() {
    let bytes = PLAIN.chain(&[fragment(0, true, 1), fragment(64, false, 2)], TCP, &tcp(ACK));
    let found = check(&bytes, &[FragmentNested, ExtHeaderDuplicate]);
    assert_eq!((found.outer.proto, found.outer.sport), (TCP, 0));
}

#[test]
fn fragment_length() {
    check(&PLAIN.chain(&[fragment(0, true, 9)], UDP, &udp(1, 2, b"odd")), &[FragmentLength]);
    check(&PLAIN.chain(&[fragment(8, false, 9)], UDP, &[0; 3]), &[]);
}

#[test]
fn fragment_past_end() {
    check(&PLAIN.chain(&[fragment(0xfff8, false, 9)], UDP, &[0; 8]), &[FragmentPastEnd]);
    check(&PLAIN.chain(&[fragment(0xfff8, false, 9)], UDP, &[0; 7]), &[]);
    // The headers before the fragment header count towards the datagram.
    check(&PLAIN.chain(&[destination(), fragment(0xfff8, false, 9)], UDP, &[0; 7]), &[FragmentPastEnd]);
}

#[test]
fn fragment_empty() {
    let found = check(&PLAIN.chain(&[fragment(64, true, 9)], UDP, &[]), &[FragmentEmpty]);
    assert_eq!(found.outer.fragment.unwrap().len, 0);
}

#[test]
fn first_fragment_incomplete() {
    for len in [0, 8, 16] {
        let bytes = PLAIN.chain(&[fragment(0, true, 9)], TCP, &tcp(ACK)[..len]);
        assert!(packet(&bytes).anomalies.has(FirstFragmentIncomplete), "{len} bytes of TCP");
    }
    // TCP options count as part of the chain.
    let mut options = tcp(ACK);
    options[12] = 0x70;
    check(&PLAIN.chain(&[fragment(0, true, 9)], TCP, &options), &[FirstFragmentIncomplete]);
    // So does an extension header that continues in the next fragment.
    let bytes = PLAIN.chain(&[fragment(0, true, 9)], DESTINATION, &[TCP, 1, 1, 4, 0, 0, 0, 0]);
    check(&bytes, &[FirstFragmentIncomplete]);
}

#[test]
fn ah_invalid() {
    // Eight bytes are less than the fixed part; twenty are no multiple of eight.
    for units in [0, 3] {
        let found = check(&PLAIN.chain(&[authentication(units)], TCP, &tcp(ACK)), &[AhInvalid]);
        assert_eq!(found.outer.dport, 80);
    }
}

#[test]
fn no_next_header_payload() {
    check(&ipv6(NONE, &[1, 2, 3]), &[NoNextHeaderPayload]);
}

#[test]
fn upper_truncated() {
    for (proto, len) in [(TCP, 19), (UDP, 7), (SCTP, 11), (DCCP, 11), (UDP_LITE, 7), (ICMPV6, 3)] {
        let mut upper = vec![0x81; len];
        upper[0] = 128;
        check(&ipv6(proto, &upper), &[UpperTruncated]);
    }
}

#[test]
fn tcp_offset() {
    for offset in [0x40, 0x70] {
        let mut segment = tcp(ACK);
        segment[12] = offset;
        check(&ipv6(TCP, &segment), &[TcpOffset]);
    }
}

#[test]
fn tcp_null() {
    check(&ipv6(TCP, &tcp(0)), &[TcpNull]);
}

#[test]
fn tcp_flags_contradict() {
    check(&ipv6(TCP, &tcp(0x03)), &[TcpFlagsContradict]);
    check(&ipv6(TCP, &tcp(0x16)), &[TcpFlagsContradict]);
}

#[test]
fn tcp_xmas() {
    check(&ipv6(TCP, &tcp(0x29)), &[TcpXmas]);
    check(&ipv6(TCP, &tcp(0x39)), &[]);
}

#[test]
fn port_zero() {
    check(&ipv6(UDP, &udp(0, 53, b"")), &[PortZero]);
    check(&ipv6(UDP, &udp(1000, 0, b"")), &[PortZero]);
    for (proto, mut upper) in [(TCP, tcp(ACK)), (DCCP, dccp(2)), (SCTP, sctp(5, 0, 0))] {
        upper[3] = 0;
        check(&ipv6(proto, &upper), &[PortZero]);
    }
}

#[test]
fn udp_length() {
    for len in [0, 7, 13] {
        let mut datagram = udp(1000, 53, b"data");
        datagram[5] = len;
        check(&ipv6(UDP, &datagram), &[UdpLength]);
    }
    let mut coverage = udp(1000, 53, b"data");
    coverage[5] = 0;
    check(&ipv6(UDP_LITE, &coverage), &[]);
    coverage[5] = 7;
    check(&ipv6(UDP_LITE, &coverage), &[UdpLength]);
}

#[test]
fn a_jumbogram_may_leave_the_udp_length_zero() {
    let mut datagram = udp(1000, 53, b"");
    datagram[5] = 0;
    let mut bytes = Ipv6 { len: Some(0), ..PLAIN }.chain(&[jumbo(70_000)], UDP, &datagram);
    bytes.resize(40 + 70_000, 0);
    check(&bytes, &[]);
}

#[test]
fn udp_checksum_zero() {
    let mut datagram = udp(1000, 53, b"data");
    datagram[6..8].fill(0);
    check(&ipv6(UDP, &datagram), &[UdpChecksumZero]);
    check(&ipv6(UDP_LITE, &datagram), &[UdpChecksumZero]);
}

#[test]
fn sctp_tag() {
    check(&ipv6(SCTP, &sctp(0, 0, 0)), &[SctpTag]);
    check(&ipv6(SCTP, &sctp(9, 1, 7)), &[SctpTag]);
    check(&ipv6(SCTP, &sctp(0, 1, 7)), &[]);
    check(&ipv6(SCTP, &sctp(9, 2, 7)), &[]);
}

const NEIGHBOUR: Ipv6 = Ipv6 { hop_limit: 255, ..PLAIN };

#[test]
fn nd_fragmented() {
    for kind in 133..=137 {
        check(
            &NEIGHBOUR.chain(&[fragment(0, false, 1)], ICMPV6, &icmpv6(kind, 0, &[0; 20])),
            &[NdFragmented, NdExtHeader, FragmentAtomic],
        );
    }
    check(
        &NEIGHBOUR.chain(&[fragment(0, false, 1)], ICMPV6, &icmpv6(148, 0, &[0; 20])),
        &[NdFragmented, FragmentAtomic],
    );
}

#[test]
fn nd_hop_limit() {
    check(&Ipv6 { hop_limit: 254, ..PLAIN }.carrying(ICMPV6, &icmpv6(135, 0, &[0; 20])), &[NdHopLimit]);
    check(&Ipv6 { hop_limit: 2, ..PLAIN }.carrying(ICMPV6, &icmpv6(143, 0, &[0; 4])), &[NdHopLimit]);
    check(&NEIGHBOUR.carrying(ICMPV6, &icmpv6(135, 0, &[0; 20])), &[]);
}

#[test]
fn nd_ext_header() {
    for header in [hop_by_hop(), destination()] {
        let found = check(&NEIGHBOUR.chain(&[header], ICMPV6, &icmpv6(134, 0, &[0; 12])), &[NdExtHeader]);
        assert_eq!(found.outer.sport, 134, "a router advertisement is recognised behind it");
    }
}

#[test]
fn quote_mismatch() {
    let to_another = Ipv6 { src: B + 1, dst: A, ..PLAIN }.carrying(TCP, &tcp(SYN));
    check(&ipv6(ICMPV6, &error(&to_another)), &[QuoteMismatch]);
    check(&ipv6(ICMPV6, &error(&to_another[..39])), &[QuoteMismatch]);
    check(&ipv6(ICMPV6, &error(&ipv4(6, &[0; 40]))), &[QuoteMismatch]);
    check(&ipv6(ICMPV6, &error(&Ipv6 { src: B, dst: A, ..PLAIN }.carrying(TCP, &tcp(SYN)))), &[]);
}

#[test]
fn icmpv6_unknown() {
    for kind in [0, 5, 100, 127, 162, 200, 255] {
        check(&ipv6(ICMPV6, &icmpv6(kind, 0, &[0; 4])), &[Icmpv6Unknown]);
    }
    check(&ipv6(ICMPV6, &icmpv6(128, 0, &[0; 4])), &[]);
    check(&ipv6(ICMPV6, &icmpv6(161, 0, &[0; 4])), &[]);
}

fn from(src: u128) -> Vec<u8> {
    Ipv6 { src, ..PLAIN }.carrying(TCP, &tcp(ACK))
}

fn to(dst: u128) -> Vec<u8> {
    Ipv6 { dst, ..PLAIN }.carrying(TCP, &tcp(ACK))
}

#[test]
fn source_multicast() {
    check(&from(0xff0e << 112 | 1), &[SourceMulticast]);
}

#[test]
fn loopback_address() {
    check(&from(1), &[LoopbackAddress]);
    check(&to(1), &[LoopbackAddress]);
}

#[test]
fn unspecified_address() {
    check(&from(0), &[UnspecifiedAddress]);
    check(&to(0), &[UnspecifiedAddress]);
    let solicitation = Ipv6 { src: 0, dst: 0xff02 << 112 | 1, hop_limit: 255, len: None };
    check(&solicitation.carrying(ICMPV6, &icmpv6(135, 0, &[0; 20])), &[]);
    check(&solicitation.carrying(ICMPV6, &icmpv6(136, 0, &[0; 20])), &[UnspecifiedAddress]);
}

#[test]
fn mapped_address() {
    for address in [0xffff_c000_0201, 0xc000_0201] {
        check(&from(address), &[MappedAddress]);
        check(&to(address), &[MappedAddress]);
    }
}

#[test]
fn source_is_destination() {
    check(&from(B), &[SourceIsDestination]);
}

#[test]
fn source_reserved() {
    for src in [0x2001_0db8 << 96, 0x3fff_0fff << 96, 0x2001_0002 << 96, 0x0100 << 112 | 7] {
        check(&from(src), &[SourceReserved]);
    }
    for src in [0x2001_0db9 << 96, 0x3fff_1000 << 96, 0x2001_0002_0001 << 80, 0x0100_0000_0000_0001 << 64] {
        check(&from(src), &[]);
    }
}

#[test]
fn source_site_local() {
    check(&from(0xfeff << 112 | 1), &[SourceSiteLocal]);
    check(&from(0xfe80 << 112 | 1), &[]);
    check(&from(0xfd00 << 112 | 1), &[]);
}

#[test]
fn hop_limit_zero() {
    check(&Ipv6 { hop_limit: 0, ..PLAIN }.carrying(TCP, &tcp(ACK)), &[HopLimitZero]);
}

#[test]
fn tunnel_depth() {
    let mut bytes = plain();
    for _ in 0..100 {
        bytes = ipv6(41, &bytes);
    }
    let found = check(&bytes, &[TunnelDepth]);
    assert_eq!(found.layers, 5);
    assert_eq!(found.inner.unwrap().proto, 41);
}

#[test]
fn tunnel_truncated() {
    check(&ipv6(41, &plain()[..39]), &[TunnelTruncated]);
    check(&ipv6(41, &ipv4(6, &[0; 40])), &[TunnelTruncated]);
    check(&ipv6(47, &[0, 0, 0x86]), &[TunnelTruncated]);
    check(&ipv6(4, &ipv4(6, &[])[..19]), &[TunnelTruncated]);
    check(&ipv6(97, &[0x40, 0, 0, 0]), &[TunnelTruncated]);
}

#[test]
fn multicast_scope() {
    for dst in [0xff00 << 112 | 1, 0xff0f << 112 | 1, 0xff01 << 112 | 1] {
        check(&to(dst), &[MulticastScope]);
    }
    check(&to(0xff02 << 112 | 1), &[]);
}

#[test]
fn a_host_may_say_anything_to_itself() {
    let bytes = Ipv6 { src: 1, dst: 1, ..PLAIN }.carrying(TCP, &tcp(ACK));
    let frame = [&[30, 0, 0, 0][..], &bytes].concat();
    assert!(read(Link::Null, &frame).unwrap().anomalies.is_empty());
    let device = [&[0; 12][..], &[0x86, 0xdd], &bytes].concat();
    assert!(read(Link::Ethernet, &device).unwrap().anomalies.is_empty());
    check(&bytes, &[SourceIsDestination, LoopbackAddress]);
}

#[test]
fn experimental_header() {
    for proto in [253, 254] {
        let found = check(&ipv6(proto, &[TCP, 0, 0, 0, 0, 0, 0, 0]), &[ExperimentalHeader]);
        assert_eq!(found.outer.proto, proto);
    }
}
