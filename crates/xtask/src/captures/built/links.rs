//! Link layers: tags on Ethernet, and the packets of a real conversation under every other link header.

use super::super::forge::{self, Ends, ether, flag, mpls, pppoe, proto, tag};
use super::super::frames::Recording;
use super::{datagram, ends, ethernet_frames};

/// VLAN, QinQ, MPLS and PPPoE on Ethernet, alone and together, then too many of them.
pub(crate) fn tags() -> Recording {
    let packet = ends().packet(&[], proto::UDP, &datagram());
    let snap_len = u16::try_from(packet.len() + 8).expect("a short packet");
    let vlan = |inner: u16, payload: &[u8]| forge::ethernet(ether::VLAN, &tag(100, inner, payload));
    let qinq = |inner: u16, payload: &[u8]| {
        forge::ethernet(ether::QINQ, &tag(200, ether::VLAN, &tag(100, inner, payload)))
    };
    let labels = |count: u32| (0..count).fold(packet.clone(), |inner, at| mpls(1_000 + at, at == 0, &inner));
    let many_tags = (0..12).fold(tag(1, ether::IPV6, &packet), |inner, at| tag(at + 2, ether::VLAN, &inner));
    ethernet_frames([
        forge::ethernet(ether::IPV6, &packet),
        vlan(ether::IPV6, &packet),
        vlan(0x0806, &[0; 28]),
        qinq(ether::IPV6, &packet),
        forge::ethernet(
            ether::QINQ,
            &tag(3, ether::QINQ, &tag(2, ether::VLAN, &tag(1, ether::IPV6, &packet))),
        ),
        forge::ethernet(0x9100, &tag(2, ether::VLAN, &tag(1, ether::IPV6, &packet))),
        forge::ethernet(ether::MPLS, &labels(1)),
        forge::ethernet(ether::MPLS, &labels(3)),
        // Explicit null for IPv6 (RFC 3032, section 2.1).
        forge::ethernet(ether::MPLS, &mpls(2, true, &packet)),
        vlan(ether::MPLS, &labels(2)),
        forge::ethernet(ether::PPPOE_SESSION, &pppoe(&packet)),
        vlan(ether::PPPOE_SESSION, &pppoe(&packet)),
        qinq(ether::PPPOE_SESSION, &pppoe(&packet)),
        // An EtherType below 0x0600 is a length: IEEE 802.2 with SNAP.
        forge::ethernet(snap_len, &[&[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd][..], &packet].concat()),
        // Padding to the shortest Ethernet frame behind a packet of 48 bytes, and a trailer behind a longer one.
        forge::ethernet(
            ether::IPV6,
            &[ends().packet(&[], proto::UDP, &ends().udp(1, 2, b"")), vec![0; 12]].concat(),
        ),
        forge::ethernet(ether::IPV6, &[packet.clone(), vec![0xee; 40]].concat()),
        // Too deep, cut, and IPv6 that is none.
        forge::ethernet(ether::VLAN, &many_tags),
        forge::ethernet(ether::MPLS, &labels(20)),
        vlan(ether::IPV6, &packet)[..17].to_vec(),
        forge::ethernet(ether::MPLS, &mpls(5, false, &[])),
        forge::ethernet(ether::IPV6, &[0x45; 60]),
        forge::ethernet(ether::IPV6, &packet[..39]),
        forge::ethernet(ether::IPV6, &[])[..9].to_vec(),
    ])
}

/// A short conversation for the other link layers: its Ethernet header is taken off again.
pub(crate) fn conversation() -> Recording {
    let (there, back) = (ends(), ends().reversed());
    let segment = |ends: Ends, seq, ack, flags, payload: &[u8]| {
        let ports = if ends.src == there.src { (40_001, 443) } else { (443, 40_001) };
        let upper = ends.tcp(ports, seq, ack, flags, payload);
        forge::ethernet(ether::IPV6, &ends.packet(&[], proto::TCP, &upper))
    };
    let inquiry = |ends: Ends, ports: (u16, u16)| {
        forge::ethernet(ether::IPV6, &ends.packet(&[], proto::UDP, &ends.udp(ports.0, ports.1, &[0; 24])))
    };
    ethernet_frames([
        inquiry(there, (40_000, 53)),
        inquiry(back, (53, 40_000)),
        segment(there, 100, 0, flag::SYN, b""),
        segment(back, 900, 101, flag::SYN | flag::ACK, b""),
        segment(there, 101, 901, flag::ACK, b""),
        segment(there, 101, 901, flag::PSH | flag::ACK, b"a question"),
        segment(back, 901, 111, flag::PSH | flag::ACK, b"an answer"),
        segment(there, 111, 910, flag::FIN | flag::ACK, b""),
        segment(back, 910, 112, flag::FIN | flag::ACK, b""),
        segment(there, 112, 911, flag::ACK, b""),
    ])
}

/// The conversation under another link header.
pub(crate) fn under(link: u16, header: &'static [u8]) -> Recording {
    conversation().relinked(link, |ethernet| Some([header, &ethernet[14..]].concat()))
}

/// Link headers before an IPv6 packet, as the LINKTYPE_ registry describes them.
pub(crate) mod header {
    /// BSD loopback (0), FreeBSD's number for IPv6, written by a little-endian machine.
    pub(crate) const NULL: &[u8] = &[28, 0, 0, 0];
    /// OpenBSD loopback (108), network byte order.
    pub(crate) const LOOP: &[u8] = &[0, 0, 0, 24];
    /// PPP (9) without address and control, protocol 0x0057.
    pub(crate) const PPP: &[u8] = &[0x00, 0x57];
    /// PPP in HDLC-like framing (50).
    pub(crate) const PPP_HDLC: &[u8] = &[0xff, 0x03, 0x00, 0x57];
    /// PPPoE session (51): its length field is that of a packet of 72 bytes, and readers do not need it.
    pub(crate) const PPPOE: &[u8] = &[0x11, 0x00, 0x00, 0x01, 0x00, 0x4a, 0x00, 0x57];
    /// Frame Relay (107), address 16, network layer protocol identifier of IPv6 (RFC 2427).
    pub(crate) const FRAME_RELAY: &[u8] = &[0x04, 0x01, 0x03, 0x8e];
    /// 802.11 data frame (105) from an access point, with LLC and SNAP.
    pub(crate) const IEEE80211: &[u8] = &[
        0x08, 0x02, 0, 0, 2, 0, 0x5e, 0x10, 0, 2, 2, 0, 0x5e, 0x10, 0, 1, 2, 0, 0x5e, 0x10, 0, 1, 0x10, 0,
        0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd,
    ];
    /// The same with quality of service (subtype 8), behind a radiotap header (127) of 8 bytes.
    pub(crate) const RADIOTAP: &[u8] = &[
        0, 0, 8, 0, 0, 0, 0, 0, 0x88, 0x02, 0, 0, 2, 0, 0x5e, 0x10, 0, 2, 2, 0, 0x5e, 0x10, 0, 1, 2, 0, 0x5e,
        0x10, 0, 1, 0x10, 0, 0, 0, 0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd,
    ];
}
