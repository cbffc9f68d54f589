//! Tunnels that this kernel has no device for, and all of them cut, nested and contradictory.

use super::super::forge::{self, Ends, dest_options, ether, flag, ipv4, mpls, proto, udp_without_checksum};
use super::super::frames::Recording;
use super::{ends, ethernet_frames, frame};

/// Two tunnel endpoints in IPv4.
const FROM_V4: [u8; 4] = [192, 0, 2, 1];
const TO_V4: [u8; 4] = [198, 51, 100, 2];

/// The packet inside: another pair of hosts.
fn inner() -> Vec<u8> {
    let ends = Ends::parse("2001:db8:1:1::a", "2001:db8:2:2::b");
    ends.packet(&[], proto::TCP, &ends.tcp((50_000, 443), 7, 0, flag::SYN, b""))
}

fn inner_frame() -> Vec<u8> {
    forge::ethernet(ether::IPV6, &inner())
}

fn inner_v4() -> Vec<u8> {
    ipv4([10, 0, 0, 1], [10, 0, 0, 2], proto::UDP, &udp_without_checksum(50_000, 5_300, b"four"))
}

/// The same payload over IPv6 and over IPv4.
fn over_both(protocol: u8, payload: &[u8]) -> [Vec<u8>; 2] {
    [frame(&[], protocol, payload), over_v4(protocol, payload)]
}

fn over_v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    forge::ethernet(ether::IPV4, &ipv4(FROM_V4, TO_V4, protocol, payload))
}

/// UDP to a tunnel's port over IPv6 (with and without a checksum, RFC 6935) and over IPv4.
fn udp_over_both(port: u16, payload: &[u8]) -> [Vec<u8>; 3] {
    let open = udp_without_checksum(55_555, port, payload);
    [
        frame(&[], proto::UDP, &ends().udp(55_555, port, payload)),
        frame(&[], proto::UDP, &open),
        over_v4(proto::UDP, &open),
    ]
}

/// A GRE header (RFC 2784, RFC 2890) with the optional words that `flags` announce.
fn gre(flags: u16, protocol: u16, payload: &[u8]) -> Vec<u8> {
    let words = [0x8000, 0x2000, 0x1000].iter().filter(|&&bit| flags & bit != 0).count();
    let mut packet = flags.to_be_bytes().to_vec();
    packet.extend(protocol.to_be_bytes());
    packet.extend(vec![0; words * 4]);
    packet.extend(payload);
    if flags & 0x8000 != 0 {
        let checksum = forge::checksum(&packet);
        packet[4..6].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

/// 6in4, 6to4, 6in6, 4in6, GRE, EtherIP, MPLS in IP.
pub(crate) fn in_ip() -> Recording {
    let limit = dest_options(&[4, 1, 3]);
    let relay = ipv4(FROM_V4, [192, 88, 99, 1], proto::IPV6, &to_6to4());
    let mut frames = vec![
        over_v4(proto::IPV6, &inner()),
        forge::ethernet(ether::IPV4, &relay),
        frame(&[], proto::IPV6, &inner()),
        // With the tunnel encapsulation limit that kernels put there by default (RFC 2473, section 4.1.1).
        frame(std::slice::from_ref(&limit), proto::IPV6, &inner()),
        frame(&[limit], proto::IPV4, &inner_v4()),
        frame(&[], proto::IPV4, &inner_v4()),
        over_v4(proto::IPV4, &inner_v4()),
    ];
    for flags in [0, 0x8000, 0x2000, 0x1000, 0xb000] {
        frames.extend(over_both(proto::GRE, &gre(flags, ether::IPV6, &inner())));
    }
    for (protocol, payload) in [
        (ether::TEB, inner_frame()),
        (ether::IPV4, inner_v4()),
        (ether::MPLS, mpls(16, true, &inner())),
        (0x88be, [vec![0x10, 0, 0, 0, 0, 0, 0, 0], inner_frame()].concat()),
    ] {
        let flags = if protocol == 0x88be { 0x1000 } else { 0x2000 };
        frames.extend(over_both(proto::GRE, &gre(flags, protocol, &payload)));
    }
    frames.extend(over_both(proto::ETHERIP, &[&[0x30, 0][..], &inner_frame()].concat()));
    frames.extend(over_both(proto::MPLS_IN_IP, &mpls(17, false, &mpls(18, true, &inner()))));
    frames.push(frame(&[], proto::ETHERNET, &inner_frame()));
    ethernet_frames(frames)
}

/// An IPv6 packet between 6to4 hosts (RFC 3056).
fn to_6to4() -> Vec<u8> {
    let ends = Ends::parse("2002:c000:201::1", "2002:c633:6402::1");
    ends.packet(&[], proto::UDP, &ends.udp(40_000, 5_300, b"6to4"))
}

/// VXLAN, VXLAN-GPE, GENEVE, GTP-U, Teredo, MPLS in UDP.
pub(crate) fn in_udp() -> Recording {
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &inner_frame()].concat();
    let geneve = |option_words: u8, protocol: u16, payload: &[u8]| {
        let mut packet = vec![option_words, 0];
        packet.extend(protocol.to_be_bytes());
        packet.extend([0, 0, 42, 0]);
        packet.extend(vec![0; usize::from(option_words) * 4]);
        packet.extend(payload);
        packet
    };
    let gtp = |flags: u8, kind: u8, extra: &[u8], payload: &[u8]| {
        let len = u16::try_from(extra.len() + payload.len()).expect("a short packet");
        [&[flags, kind][..], &len.to_be_bytes(), &[0, 0, 0, 9], extra, payload].concat()
    };
    let teredo = Ends::parse("2001:0:c000:201::1", "2001:db8:2:2::b");
    let bubble = teredo.packet(&[], proto::NONE, &[]);
    let carried = teredo.packet(&[], proto::UDP, &teredo.udp(40_000, 5_300, b"teredo"));
    let origin = [0, 0, 0x12, 0x34, 1, 2, 3, 4];
    let authentication = [0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    let mut frames = Vec::new();
    for (port, payload) in [
        (4_789, vxlan),
        (4_790, [&[0x0c, 0, 0, 2, 0, 0, 42, 0][..], &inner()].concat()),
        (6_081, geneve(0, ether::TEB, &inner_frame())),
        (6_081, geneve(2, ether::TEB, &inner_frame())),
        (6_081, geneve(1, ether::IPV6, &inner())),
        (2_152, gtp(0x30, 255, &[], &inner())),
        // A sequence number, then one with an extension header that carries a QoS flow (PDU session container).
        (2_152, gtp(0x32, 255, &[0, 1, 0, 0], &inner())),
        (2_152, gtp(0x34, 255, &[0, 0, 0, 0x85, 1, 0, 9, 0], &inner())),
        (2_152, gtp(0x30, 255, &[], &inner_v4())),
        (2_152, gtp(0x32, 1, &[0, 1, 0, 0], &[])),
        (3_544, bubble),
        (3_544, carried.clone()),
        (3_544, [&origin[..], &carried].concat()),
        (3_544, [&authentication[..], &origin, &carried].concat()),
        (6_635, mpls(19, true, &inner())),
    ] {
        frames.extend(udp_over_both(port, &payload));
    }
    ethernet_frames(frames)
}

/// Tunnels in tunnels, tunnels cut at each byte, and tunnels that carry something else than they say.
pub(crate) fn odd() -> Recording {
    let mut frames = Vec::new();
    for depth in 1..=12 {
        let nest = (0..depth).fold(inner(), |packet, _| ends().packet(&[], proto::IPV6, &packet));
        frames.push(forge::ethernet(ether::IPV6, &nest));
    }
    // Alternating kinds: GRE in 6in4 in GRE; VXLAN in 6in6 in GENEVE.
    let once = ends().packet(&[], proto::GRE, &gre(0, ether::IPV6, &inner()));
    let twice = ipv4(FROM_V4, TO_V4, proto::IPV6, &once);
    frames.extend(over_both(proto::GRE, &gre(0, ether::IPV4, &twice)));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &inner_frame()].concat();
    let middle = ends().packet(&[], proto::UDP, &ends().udp(1, 4_789, &vxlan));
    let geneve = [&[0, 0, 0x86, 0xdd, 0, 0, 1, 0][..], &ends().packet(&[], proto::IPV6, &middle)].concat();
    frames.extend(udp_over_both(6_081, &geneve));
    // Cut.
    let whole = gre(0xb000, ether::IPV6, &inner());
    frames.extend((0..whole.len()).map(|len| frame(&[], proto::GRE, &whole[..len])));
    let vxlan_header = 8 + 14;
    frames.extend(
        (0..vxlan_header + 40).map(|len| frame(&[], proto::UDP, &ends().udp(1, 4_789, &vxlan[..len]))),
    );
    // Not what they say: IPv4 under protocol 41, GRE version 1, an unknown EtherType, GENEVE options past the end.
    frames.push(frame(&[], proto::IPV6, &inner_v4()));
    frames.push(frame(&[], proto::IPV4, &inner()));
    frames.push(frame(&[], proto::GRE, &gre(0x0001, ether::IPV6, &inner())));
    frames.push(frame(&[], proto::GRE, &gre(0, 0x1234, &inner())));
    frames.extend(udp_over_both(6_081, &[0x3f, 0, 0x86, 0xdd, 0, 0, 1, 0, 1, 2, 3]));
    frames.extend(udp_over_both(2_152, &[0x34, 255, 0, 40, 0, 0, 0, 9, 0, 0, 0, 0x85, 0, 0, 0, 0]));
    // The carrier is a fragment: what lies in it is not whole.
    let piece = [forge::fragment(0, true, 60)];
    frames.push(frame(&piece, proto::IPV6, &inner()[..56]));
    ethernet_frames(frames)
}
