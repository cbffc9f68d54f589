//! Encapsulations: the first IPv6 header is the outer one wherever it lies, the last one is the inner one.

use crate::build::*;
use crate::{check, packet, read};
use credence_wire::Anomaly::*;
use credence_wire::{Limits, Link, Malformed, NotIpv6, Packet, Tunnels, Unkeyed, pair, parse};

const C: u128 = A + 0x100;
const D: u128 = B + 0x100;

/// What the tunnels carry: a packet between two other addresses.
fn inner() -> Vec<u8> {
    Ipv6 { src: C, dst: D, ..PLAIN }.carrying(UDP, &udp(1000, 53, b"data"))
}

/// Carries `payload` in IPv6, and asserts that the packet inside was found without anything odd.
#[track_caller]
fn six_finds_it(proto: u8, payload: &[u8], tunnels: &[Tunnels]) -> Packet {
    let found = check(&ipv6(proto, payload), &[]);
    assert_eq!((found.outer.src, found.outer.dst, found.layers), (A, B, 2));
    let inside = found.inner.expect("a packet inside");
    assert_eq!((inside.src, inside.dst, inside.dport), (C, D, 53));
    assert_eq!(found.tunnels, set(tunnels));
    found
}

/// Carries `payload` in IPv4, and asserts that what is inside became the outermost packet.
#[track_caller]
fn four_finds_it(proto: u8, payload: &[u8], tunnels: &[Tunnels]) {
    let bytes = ipv4(proto, payload);
    let found = check(&bytes, &[]);
    assert_eq!((found.outer.src, found.outer.dst, found.outer.dport), (C, D, 53));
    assert_eq!((found.layers, found.inner), (1, None));
    assert_eq!(found.tunnels, set(tunnels));
    assert_eq!(pair(Link::Raw, &bytes), Some((C, D)));
}

fn set(tunnels: &[Tunnels]) -> Tunnels {
    let mut all = Tunnels::default();
    tunnels.iter().for_each(|&one| all.insert(one));
    all
}

/// The same tunnel over both versions.
#[track_caller]
fn both_find_it(proto: u8, payload: &[u8], tunnel: Tunnels) {
    six_finds_it(proto, payload, &[tunnel]);
    four_finds_it(proto, payload, &[tunnel]);
}

/// A UDP port on either side, over both versions.
#[track_caller]
fn ports_find_it(port: u16, payload: &[u8], tunnel: Tunnels) {
    both_find_it(UDP, &udp(50_000, port, payload), tunnel);
    both_find_it(UDP, &udp(port, 50_000, payload), tunnel);
}

/// Asserts that a UDP payload is taken for plain UDP, and that nothing is odd about that.
#[track_caller]
fn plain_udp(port: u16, payload: &[u8]) {
    let found = check(&ipv6(UDP, &udp(50_000, port, payload)), &[]);
    assert_eq!((found.layers, found.tunnels, found.outer.dport), (1, Tunnels::default(), port));
    let carried = read(Link::Raw, &ipv4(UDP, &udp(50_000, port, payload)));
    assert_eq!(carried, Err(Unkeyed::NotIpv6(NotIpv6::Ipv4)));
}

#[test]
fn ip_in_ip() {
    six_finds_it(41, &inner(), &[Tunnels::SIX_IN_SIX]);
    four_finds_it(41, &inner(), &[Tunnels::SIX_IN_FOUR]);
    four_finds_it(4, &ipv4(41, &inner()), &[Tunnels::FOUR_IN_FOUR, Tunnels::SIX_IN_FOUR]);
    six_finds_it(4, &ipv4(41, &inner()), &[Tunnels::FOUR_IN_SIX, Tunnels::SIX_IN_FOUR]);
}

#[test]
fn ipv4_inside_is_recognised_and_nothing_is_odd_about_it() {
    let found = check(&ipv6(4, &ipv4(6, &tcp(ACK))), &[]);
    assert_eq!((found.outer.proto, found.layers, found.inner), (4, 1, None));
    assert_eq!(found.tunnels, Tunnels::FOUR_IN_SIX);
}

#[test]
fn six_in_six_in_six() {
    let middle = Ipv6 { src: 5 << 120, dst: 6 << 120, ..PLAIN }.carrying(41, &inner());
    let found = packet(&ipv6(41, &middle));
    assert_eq!((found.layers, found.outer.src, found.inner.unwrap().src), (3, A, C));
}

/// The count of headers is a byte, and so is the deepest limit that a caller may set.
#[test]
fn headers_beyond_what_their_count_can_hold() {
    let limits = Limits { tunnels: 255, ..Limits::default() };
    for (nested, layers, too_deep) in
        [(254, 255, false), (255, 255, false), (256, 255, true), (300, 255, true)]
    {
        let mut bytes = plain();
        for _ in 0..nested {
            bytes = ipv6(41, &bytes);
        }
        let found = parse(Link::Raw, &bytes, 0, &limits).unwrap();
        assert_eq!((found.layers, found.anomalies.has(TunnelDepth)), (layers, too_deep), "{nested}");
    }
}

#[test]
fn gre_with_every_field() {
    both_find_it(47, &[&[0, 0, 0x86, 0xdd][..], &inner()].concat(), Tunnels::GRE);
    for (flags, fields) in [(0x80, 4), (0x20, 4), (0x10, 4), (0xa0, 8), (0xb0, 12)] {
        let bytes = [&[flags, 0, 0x86, 0xdd][..], &vec![9; fields], &inner()].concat();
        both_find_it(47, &bytes, Tunnels::GRE);
    }
    // Source routes of eight bytes and of none, which ends them.
    let routed =
        [&[0x40, 0, 0x86, 0xdd, 0, 0, 0, 0, 8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0][..], &inner()].concat();
    both_find_it(47, &routed, Tunnels::GRE);
}

#[test]
fn gre_carries_frames_labels_and_mirrored_ports() {
    let frame = ethernet(0x86dd, &inner());
    both_find_it(47, &[&[0, 0, 0x65, 0x58][..], &frame].concat(), Tunnels::GRE);
    both_find_it(47, &[&[0, 0, 0x88, 0xbe][..], &frame].concat(), Tunnels::GRE);
    both_find_it(47, &[&[0x10, 0, 0x88, 0xbe][..], &[0; 12], &frame].concat(), Tunnels::GRE);
    both_find_it(47, &[&[0x10, 0, 0x22, 0xeb][..], &[0; 16], &frame].concat(), Tunnels::GRE);
    let with_subheader = [&[0x10, 0, 0x22, 0xeb][..], &[0; 15], &[1], &[0; 8], &frame].concat();
    both_find_it(47, &with_subheader, Tunnels::GRE);
    let labelled = [&[0, 0, 0x88, 0x47, 0, 1, 1, 64][..], &inner()].concat();
    six_finds_it(47, &labelled, &[Tunnels::GRE, Tunnels::MPLS]);
}

#[test]
fn pptp_is_left_alone_and_unknown_gre_is_odd() {
    let pptp = [&[0x20, 0x01, 0x88, 0x0b][..], &inner()].concat();
    assert_eq!(check(&ipv6(47, &pptp), &[]).layers, 1);
    let unknown = [&[0, 0x02, 0x86, 0xdd][..], &inner()].concat();
    check(&ipv6(47, &unknown), &[TunnelTruncated]);
}

#[test]
fn etherip_and_ethernet_as_a_next_header() {
    let frame = ethernet(0x86dd, &inner());
    both_find_it(97, &[&[0x30, 0][..], &frame].concat(), Tunnels::ETHERIP);
    both_find_it(143, &frame, Tunnels::ETHERNET);
}

#[test]
fn mpls_in_ip() {
    both_find_it(137, &[&[0, 1, 1, 64][..], &inner()].concat(), Tunnels::MPLS);
}

#[test]
fn pim_register() {
    both_find_it(103, &[&[0x21, 0, 0, 0, 0, 0, 0, 0][..], &inner()].concat(), Tunnels::PIM_REGISTER);
    let hello = check(&ipv6(103, &[0x20, 0, 0, 0, 0, 1, 0, 2, 0, 105]), &[]);
    assert_eq!((hello.tunnels, hello.outer.proto), (Tunnels::default(), 103));
    // A Null-Register carries a header without a payload, and that is how it should be.
    let null = Ipv6 { src: C, dst: D, ..PLAIN }.carrying(103, &[]);
    check(&ipv6(103, &[&[0x21, 0, 0, 0, 0x40, 0, 0, 0][..], &null].concat()), &[]);
}

#[test]
fn vxlan() {
    let frame = ethernet(0x86dd, &inner());
    for port in [4789, 8472] {
        ports_find_it(port, &[&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat(), Tunnels::VXLAN);
    }
    ports_find_it(4789, &[&[0x88, 0, 0, 9, 0, 0, 7, 0][..], &frame].concat(), Tunnels::VXLAN);
    for header in [[0, 0, 0, 0, 0, 0, 7, 0], [8, 0, 0, 1, 0, 0, 7, 0], [8, 0, 0, 0, 0, 0, 7, 1]] {
        plain_udp(4789, &[&header[..], &frame].concat());
    }
    plain_udp(4789, &[8, 0, 0, 0, 0, 0, 7, 0, 1, 2, 3]);
}

#[test]
fn vxlan_that_names_its_protocol() {
    ports_find_it(4790, &[&[0x0c, 0, 0, 2, 0, 0, 7, 0][..], &inner()].concat(), Tunnels::VXLAN);
    ports_find_it(
        4790,
        &[&[0x0c, 0, 0, 3, 0, 0, 7, 0][..], &ethernet(0x86dd, &inner())].concat(),
        Tunnels::VXLAN,
    );
    plain_udp(4790, &[&[0x0c, 0, 0, 4, 0, 0, 7, 0][..], &inner()].concat());
}

#[test]
fn geneve_with_options() {
    let frame = ethernet(0x86dd, &inner());
    ports_find_it(6081, &[&[0, 0, 0x65, 0x58, 0, 0, 7, 0][..], &frame].concat(), Tunnels::GENEVE);
    ports_find_it(6081, &[&[2, 0x40, 0x65, 0x58, 0, 0, 7, 0][..], &[0; 8], &frame].concat(), Tunnels::GENEVE);
    ports_find_it(6081, &[&[0, 0, 0x86, 0xdd, 0, 0, 7, 0][..], &inner()].concat(), Tunnels::GENEVE);
    for header in [
        [0x40, 0, 0x86, 0xdd, 0, 0, 7, 0],
        [0, 1, 0x86, 0xdd, 0, 0, 7, 0],
        [0x3f, 0, 0x86, 0xdd, 0, 0, 7, 0],
        [0, 0, 0x08, 0, 0, 0, 7, 0],
    ] {
        plain_udp(6081, &[&header[..], &inner()].concat());
    }
}

fn gtp(flags: u8, fields: &[u8]) -> Vec<u8> {
    let len = u16::try_from(fields.len() + inner().len()).unwrap().to_be_bytes();
    [&[flags, 0xff, len[0], len[1], 0, 0, 0, 9][..], fields, &inner()].concat()
}

#[test]
fn gtp_with_extension_headers() {
    ports_find_it(2152, &gtp(0x30, &[]), Tunnels::GTP_U);
    ports_find_it(2152, &gtp(0x32, &[0, 1, 0, 0]), Tunnels::GTP_U);
    ports_find_it(2152, &gtp(0x34, &[0, 0, 0, 0x85, 1, 0, 9, 0x85, 2, 0, 0, 0, 0, 0, 0, 0]), Tunnels::GTP_U);
    let mut echo = gtp(0x30, &[]);
    echo[1] = 1;
    plain_udp(2152, &echo);
    let mut length = gtp(0x30, &[]);
    length[3] += 1;
    plain_udp(2152, &length);
    plain_udp(2152, &gtp(0x38, &[]));
    plain_udp(2152, &gtp(0x34, &[0, 0, 0, 0x85, 0, 0, 0, 0]));
}

#[test]
fn teredo_with_indications() {
    ports_find_it(3544, &inner(), Tunnels::TEREDO);
    let origin = [&[0, 0, 1, 2, 3, 4, 5, 6][..], &inner()].concat();
    ports_find_it(3544, &origin, Tunnels::TEREDO);
    let authenticated = [&[0, 1, 2, 3][..], &[9; 5], &[8; 8], &[0], &origin].concat();
    ports_find_it(3544, &authenticated, Tunnels::TEREDO);
    // Trailers may follow the packet.
    ports_find_it(3544, &[&inner()[..], &[1, 4, 0, 0, 0, 0]].concat(), Tunnels::TEREDO);
    plain_udp(3544, &inner()[..39]);
    plain_udp(3544, &inner()[..50]);
    plain_udp(3544, &[0x40; 64]);
}

#[test]
fn lisp_and_ayiya() {
    ports_find_it(4341, &[&[0x80, 1, 2, 3, 0, 0, 0, 1][..], &inner()].concat(), Tunnels::LISP);
    plain_udp(4341, &[&[0x80, 1, 2, 3, 0, 0, 0, 1][..], &inner(), &[0]].concat());
    let header = [0x42, 0x52, 0x11, 41, 0, 0, 0, 0];
    ports_find_it(5072, &[&header[..], &[7; 16], &[8; 20], &inner()].concat(), Tunnels::AYIYA);
    plain_udp(5072, &[&[0x42, 0x52, 0x10, 41, 0, 0, 0, 0][..], &[7; 36], &inner()].concat());
}

#[test]
fn a_tunnel_may_omit_the_udp_checksum() {
    let frame = ethernet(0x86dd, &inner());
    let mut datagram = udp(50_000, 4789, &[&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat());
    datagram[6..8].fill(0);
    six_finds_it(UDP, &datagram, &[Tunnels::VXLAN]);
    datagram[8] = 0;
    check(&ipv6(UDP, &datagram), &[UdpChecksumZero]);
}

#[test]
fn a_frame_inside_may_carry_anything() {
    let arp = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &ethernet(0x0806, &[0; 46])].concat();
    let found = check(&ipv6(UDP, &udp(50_000, 4789, &arp)), &[]);
    assert_eq!((found.layers, found.tunnels), (1, Tunnels::VXLAN));
}

#[test]
fn tags_inside_a_tunnel_are_read() {
    let tagged = ethernet(0x8100, &[&[0, 5, 0x86, 0xdd][..], &inner()].concat());
    six_finds_it(97, &[&[0x30, 0][..], &tagged].concat(), &[Tunnels::ETHERIP]);
}

#[test]
fn ipv4_carriers_keep_to_their_lengths() {
    let mut options = ipv4(41, &[&[1, 1, 1, 0][..], &inner()].concat());
    options[0] = 0x46;
    assert_eq!(packet(&options).outer.src, C);
    let mut long_header = ipv4(41, &inner());
    long_header[0] = 0x4f;
    long_header.truncate(59);
    assert_eq!(read(Link::Raw, &long_header), Err(Unkeyed::Malformed(Malformed::CarrierTruncated)));
    let mut short_total = ipv4(41, &inner());
    short_total[2..4].copy_from_slice(&59u16.to_be_bytes());
    assert_eq!(read(Link::Raw, &short_total), Err(Unkeyed::Malformed(Malformed::HeaderTruncated)));
    let mut not_six = ipv4(41, &inner());
    not_six[20] = 0x50;
    assert_eq!(read(Link::Raw, &not_six), Err(Unkeyed::Malformed(Malformed::Version)));
}

#[test]
fn later_fragments_of_ipv4_are_not_walked() {
    let mut later = ipv4(41, &inner());
    later[7] = 1;
    assert_eq!(read(Link::Raw, &later), Err(Unkeyed::NotIpv6(NotIpv6::Ipv4)));
    let mut first = ipv4(41, &inner());
    first[6] = 0x20;
    first.truncate(70);
    first[3] = 70;
    assert_eq!(check(&first, &[]).outer.dport, 53, "what is missing is in the other fragments");
}

#[test]
fn a_packet_in_the_first_of_several_fragments_is_not_truncated() {
    let whole = Ipv6 { src: C, dst: D, len: Some(2000), ..PLAIN }.carrying(TCP, &tcp(ACK));
    let found = check(&PLAIN.chain(&[fragment(0, true, 3)], 41, &whole), &[]);
    assert_eq!(found.inner.unwrap().bytes, 2040);
}

#[test]
fn a_hundred_tunnels_end_at_the_limit() {
    let mut in_four = inner();
    for _ in 0..100 {
        in_four = ipv4(4, &in_four);
    }
    assert_eq!(read(Link::Raw, &in_four), Err(Unkeyed::Malformed(Malformed::LinkDepth)));
    let mut mixed = inner();
    for _ in 0..50 {
        mixed = ipv6(4, &ipv4(41, &mixed));
    }
    check(&mixed, &[TunnelDepth]);
    let mut routed = inner();
    for _ in 0..100 {
        routed = ipv6(47, &[&[0, 0, 0x86, 0xdd][..], &routed].concat());
    }
    assert_eq!(check(&routed, &[TunnelDepth]).layers, 5);
}

#[test]
fn the_quote_belongs_to_the_innermost_header() {
    let sent = Ipv6 { src: D, dst: C, ..PLAIN }.carrying(TCP, &tcp(SYN));
    let error = Ipv6 { src: C, dst: D, ..PLAIN }.carrying(ICMPV6, &error(&sent));
    assert_eq!(check(&ipv6(41, &error), &[]).quoted.unwrap().src, D);
}
