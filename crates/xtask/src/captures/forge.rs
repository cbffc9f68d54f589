//! Packets built byte by byte, for what no kernel sends.
//!
//! Each function wraps a payload in one header and returns the bytes; lengths and checksums are right unless the caller
//! spoils them afterwards. Deliberately without the project's parser or any packet library: what tests the parser must
//! not share its mistakes.

use std::net::Ipv6Addr;

/// Next-header values (IANA, "Assigned Internet Protocol Numbers").
pub(crate) mod proto {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const DCCP: u8 = 33;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const GRE: u8 = 47;
    pub(crate) const ESP: u8 = 50;
    pub(crate) const AH: u8 = 51;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NONE: u8 = 59;
    pub(crate) const DEST_OPTIONS: u8 = 60;
    pub(crate) const ETHERIP: u8 = 97;
    pub(crate) const SCTP: u8 = 132;
    pub(crate) const MOBILITY: u8 = 135;
    pub(crate) const MPLS_IN_IP: u8 = 137;
    pub(crate) const HIP: u8 = 139;
    pub(crate) const SHIM6: u8 = 140;
    pub(crate) const ETHERNET: u8 = 143;
    pub(crate) const EXPERIMENT_1: u8 = 253;
    pub(crate) const EXPERIMENT_2: u8 = 254;
}

/// EtherTypes (IANA, "IEEE 802 Numbers").
pub(crate) mod ether {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const TEB: u16 = 0x6558;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
    pub(crate) const QINQ: u16 = 0x88a8;
}

/// TCP flags (RFC 9293, section 3.1).
pub(crate) mod flag {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const URG: u8 = 0x20;
}

/// An extension header: its next-header value, and its bytes with the first one (the *next* header) still open.
pub(crate) type Extension = (u8, Vec<u8>);

/// The two addresses of a packet and its hop limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) src: Ipv6Addr,
    pub(crate) dst: Ipv6Addr,
    pub(crate) hop_limit: u8,
}

impl Ends {
    /// Two addresses, hop limit 64.
    pub(crate) const fn new(src: Ipv6Addr, dst: Ipv6Addr) -> Self {
        Self { src, dst, hop_limit: 64 }
    }

    /// Two addresses from their textual form.
    ///
    /// # Panics
    /// When one is not an address: they are literals of this program.
    pub(crate) fn parse(src: &str, dst: &str) -> Self {
        let address = |text: &str| text.parse().expect("a literal address of this program");
        Self::new(address(src), address(dst))
    }

    /// The same ends with another hop limit.
    pub(crate) const fn hops(self, hop_limit: u8) -> Self {
        Self { hop_limit, ..self }
    }

    /// The way back.
    pub(crate) const fn reversed(self) -> Self {
        Self { src: self.dst, dst: self.src, hop_limit: self.hop_limit }
    }

    /// An IPv6 packet (RFC 8200, section 3) with `extensions` in the given order before `payload`.
    pub(crate) fn packet(self, extensions: &[Extension], last: u8, payload: &[u8]) -> Vec<u8> {
        let (first, body) = chain(extensions, last, payload);
        let length = u16::try_from(body.len()).expect("a packet of this program fits 65,535 bytes");
        self.packet_with_length(first, &body, length)
    }

    /// An IPv6 packet whose payload length field says `length`, whatever follows.
    pub(crate) fn packet_with_length(self, next: u8, body: &[u8], length: u16) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([next, self.hop_limit]);
        packet.extend(self.src.octets());
        packet.extend(self.dst.octets());
        packet.extend(body);
        packet
    }

    /// A UDP datagram (RFC 768) with its checksum.
    pub(crate) fn udp(self, sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len() + 8).expect("a datagram of this program fits 65,535 bytes");
        let mut datagram = Vec::with_capacity(payload.len() + 8);
        datagram.extend(sport.to_be_bytes());
        datagram.extend(dport.to_be_bytes());
        datagram.extend(length.to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend(payload);
        self.seal(proto::UDP, datagram, 6)
    }

    /// A TCP segment (RFC 9293, section 3.1) without options, with its checksum.
    pub(crate) fn tcp(self, ports: (u16, u16), seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut segment = Vec::with_capacity(payload.len() + 20);
        segment.extend(ports.0.to_be_bytes());
        segment.extend(ports.1.to_be_bytes());
        segment.extend(seq.to_be_bytes());
        segment.extend(ack.to_be_bytes());
        segment.extend([5 << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        segment.extend(payload);
        self.seal(proto::TCP, segment, 16)
    }

    /// An ICMPv6 message (RFC 4443, section 2.1) with its checksum; `body` starts behind the checksum.
    pub(crate) fn icmp(self, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, code, 0, 0];
        message.extend(body);
        self.seal(proto::ICMPV6, message, 2)
    }

    /// Writes the checksum over the pseudo-header (RFC 8200, section 8.1) at `offset`, where zeros stand.
    pub(crate) fn seal(self, next: u8, mut upper: Vec<u8>, offset: usize) -> Vec<u8> {
        let mut sum = u32::from(next);
        sum += u32::try_from(upper.len()).expect("an upper layer of this program fits 4 GiB");
        sum += ones_sum(&self.src.octets()) + ones_sum(&self.dst.octets()) + ones_sum(&upper);
        let checksum = match fold(sum) {
            0xffff => 0xffff,
            other => !other,
        };
        upper[offset..offset + 2].copy_from_slice(&checksum.to_be_bytes());
        upper
    }
}

/// The sum of 16-bit words, an odd last byte padded with zero (RFC 1071).
fn ones_sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from)).sum()
}

/// The Internet checksum of `bytes` (RFC 1071).
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    !fold(ones_sum(bytes))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to sixteen bits")
}

/// Links extension headers to each other and to the payload; returns the first next-header value and the bytes.
pub(crate) fn chain(extensions: &[Extension], last: u8, payload: &[u8]) -> (u8, Vec<u8>) {
    let mut body = Vec::new();
    for (at, (_, header)) in extensions.iter().enumerate() {
        let next = extensions.get(at + 1).map_or(last, |(kind, _)| *kind);
        body.push(next);
        body.extend(&header[1..]);
    }
    body.extend(payload);
    (extensions.first().map_or(last, |(kind, _)| *kind), body)
}

/// Options behind their two-byte start, padded to a multiple of eight with Pad1 or PadN (RFC 8200, section 4.2).
fn options(tlvs: &[u8]) -> Vec<u8> {
    let mut header = vec![0, 0];
    header.extend(tlvs);
    match header.len().wrapping_neg() % 8 {
        0 => {}
        1 => header.push(0),
        room => {
            header.extend([1, u8::try_from(room - 2).expect("less than eight")]);
            header.resize(header.len() + room - 2, 0);
        }
    }
    header[1] = u8::try_from(header.len() / 8 - 1).expect("options of this program fit 2,048 bytes");
    header
}

/// A Hop-by-Hop Options header around `tlvs`.
pub(crate) fn hop_by_hop(tlvs: &[u8]) -> Extension {
    (proto::HOP_BY_HOP, options(tlvs))
}

/// A Destination Options header around `tlvs`.
pub(crate) fn dest_options(tlvs: &[u8]) -> Extension {
    (proto::DEST_OPTIONS, options(tlvs))
}

/// A routing header (RFC 8200, section 4.4); `data` starts behind segments left and fills whole units of eight.
pub(crate) fn routing(kind: u8, segments_left: u8, data: &[u8]) -> Extension {
    let units = u8::try_from((data.len() + 4) / 8 - 1).expect("routing data of this program fits");
    let mut header = vec![0, units, kind, segments_left];
    header.extend(data);
    (proto::ROUTING, header)
}

/// The data of a routing header that lists `hops` behind four reserved bytes.
pub(crate) fn hops(hops: &[&str]) -> Vec<u8> {
    let mut data = vec![0; 4];
    for hop in hops {
        let address: Ipv6Addr = hop.parse().expect("a literal address of this program");
        data.extend(address.octets());
    }
    data
}

/// A fragment header (RFC 8200, section 4.5) with its offset in units of eight bytes.
pub(crate) fn fragment(offset_units: u16, more: bool, id: u32) -> Extension {
    let mut header = vec![0, 0];
    header.extend((offset_units << 3 | u16::from(more)).to_be_bytes());
    header.extend(id.to_be_bytes());
    (proto::FRAGMENT, header)
}

/// An Authentication Header (RFC 4302) whose integrity value has `icv_len` bytes, a multiple of four.
pub(crate) fn auth(icv_len: usize) -> Extension {
    let words = u8::try_from((12 + icv_len) / 4 - 2).expect("an integrity value of this program fits");
    let mut header = vec![0, words, 0, 0];
    header.extend(0x0000_0100u32.to_be_bytes());
    header.extend(1u32.to_be_bytes());
    header.resize(12 + icv_len, 0xa5);
    (proto::AH, header)
}

/// An extension header of any other kind in units of eight bytes (Mobility, HIP, Shim6, …), zeros inside.
pub(crate) fn opaque(kind: u8, units: u8) -> Extension {
    let mut header = vec![0u8; (usize::from(units) + 1) * 8];
    header[1] = units;
    (kind, header)
}

/// Locally administered MAC addresses of the two sides of every built Ethernet frame.
const MACS: [u8; 12] = [0x02, 0, 0x5e, 0x10, 0, 2, 0x02, 0, 0x5e, 0x10, 0, 1];

/// An Ethernet II frame.
pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = MACS.to_vec();
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An 802.1Q or 802.1ad tag with the EtherType behind it; goes behind an Ethernet header or another tag.
pub(crate) fn tag(vlan: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut tagged = vlan.to_be_bytes().to_vec();
    tagged.extend(ethertype.to_be_bytes());
    tagged.extend(payload);
    tagged
}

/// One MPLS label stack entry (RFC 3032, section 2.1).
pub(crate) fn mpls(label: u32, bottom: bool, payload: &[u8]) -> Vec<u8> {
    let mut labelled = (label << 12 | u32::from(bottom) << 8 | 64).to_be_bytes().to_vec();
    labelled.extend(payload);
    labelled
}

/// A PPPoE session header (RFC 2516, section 4) and the PPP protocol 0x0057 for IPv6.
pub(crate) fn pppoe(packet: &[u8]) -> Vec<u8> {
    let mut session = vec![0x11, 0x00, 0x00, 0x2a];
    session.extend(u16::try_from(packet.len() + 2).expect("fits an Ethernet frame").to_be_bytes());
    session.extend([0x00, 0x57]);
    session.extend(packet);
    session
}

/// An IPv4 packet (RFC 791) without options, with its header checksum.
pub(crate) fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 20).expect("fits an IPv4 packet");
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    packet.extend(src);
    packet.extend(dst);
    let header_checksum = checksum(&packet);
    packet[10..12].copy_from_slice(&header_checksum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A UDP datagram in IPv4, without a checksum, as tunnels send it.
pub(crate) fn udp_without_checksum(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = sport.to_be_bytes().to_vec();
    datagram.extend(dport.to_be_bytes());
    datagram.extend(u16::try_from(payload.len() + 8).expect("fits a datagram").to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum over the pseudo-header and the upper layer, checksum included, is all ones when the checksum is right.
    fn verifies(ends: Ends, next: u8, upper: &[u8]) -> bool {
        let length = u32::try_from(upper.len()).unwrap();
        let sum = ones_sum(&ends.src.octets()) + ones_sum(&ends.dst.octets()) + ones_sum(upper);
        fold(sum + length + u32::from(next)) == 0xffff
    }

    #[test]
    fn checksums_verify() {
        let ends = Ends::parse("2001:db8::1", "3fff::2");
        assert!(verifies(ends, proto::UDP, &ends.udp(1, 2, b"odd")));
        assert!(verifies(ends, proto::TCP, &ends.tcp((1, 2), 3, 4, flag::SYN, b"")));
        assert!(verifies(ends, proto::ICMPV6, &ends.icmp(128, 0, &[0; 9])));
        assert!(!verifies(ends.reversed().hops(1), proto::UDP, &ends.udp(1, 3, b"odd")[1..]));
    }

    #[test]
    fn a_chain_links_its_headers() {
        let ends = Ends::parse("::1", "::2");
        let packet = ends.packet(&[hop_by_hop(&[]), fragment(0, true, 7)], proto::UDP, &[9; 8]);
        assert_eq!((packet[6], packet[40], packet[48]), (proto::HOP_BY_HOP, proto::FRAGMENT, proto::UDP));
        assert_eq!(packet.len(), 40 + 8 + 8 + 8);
        assert_eq!(packet[4..6], 24u16.to_be_bytes());
    }

    #[test]
    fn options_are_padded_to_units_of_eight() {
        for len in 0..40 {
            let (_, header) = dest_options(&vec![0; len]);
            assert_eq!(header.len(), (usize::from(header[1]) + 1) * 8);
            assert!(header.len() < len + 10);
        }
    }

    #[test]
    fn authentication_headers_count_words_less_two() {
        let (_, header) = auth(12);
        assert_eq!((usize::from(header[1]) + 2) * 4, header.len());
    }
}
