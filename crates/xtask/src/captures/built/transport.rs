//! Upper layers: odd flags, lengths and ports; SCTP and DCCP, which this kernel lacks; odd ICMPv6.

use super::super::forge::{self, Ends, dest_options, ether, flag, proto};
use super::super::frames::Recording;
use super::{ends, ethernet_frames, frame};

/// TCP and UDP headers that contradict themselves.
pub(crate) fn odd() -> Recording {
    let tcp = |flags: u8| frame(&[], proto::TCP, &ends().tcp((4_000, 80), 1, 1, flags, b""));
    let mut frames: Vec<_> = [
        0,
        flag::FIN | flag::PSH | flag::URG,
        flag::SYN | flag::FIN,
        flag::SYN | flag::RST,
        flag::FIN,
        flag::SYN | flag::ACK | flag::PSH | flag::URG,
        0xff,
    ]
    .map(tcp)
    .into();
    // Data offsets below 5, and past the end; headers that are cut.
    let segment = ends().tcp((4_000, 80), 1, 1, flag::ACK, b"data");
    for offset in [0u8, 4, 15] {
        let mut odd = segment.clone();
        odd[12] = offset << 4;
        frames.push(frame(&[], proto::TCP, &odd));
    }
    frames.extend([0, 2, 4, 13, 19].map(|len| frame(&[], proto::TCP, &segment[..len])));
    // Ports 0; UDP lengths below 8, past the end, short of it, and 0; a checksum of 0.
    frames.push(frame(&[], proto::TCP, &ends().tcp((0, 80), 1, 0, flag::SYN, b"")));
    frames.push(frame(&[], proto::UDP, &ends().udp(4_000, 0, b"")));
    let datagram = ends().udp(4_000, 5_300, b"datagram");
    for length in [0u16, 7, 9, 100] {
        let mut odd = datagram.clone();
        odd[4..6].copy_from_slice(&length.to_be_bytes());
        frames.push(frame(&[], proto::UDP, &odd));
    }
    frames.push(frame(&[], proto::UDP, &forge::udp_without_checksum(4_000, 5_300, b"no checksum")));
    frames.extend([0, 3, 7].map(|len| frame(&[], proto::UDP, &datagram[..len])));
    ethernet_frames(frames)
}

/// An SCTP association (RFC 9260) from INIT to SHUTDOWN, then tags that cannot be.
pub(crate) fn sctp() -> Recording {
    let (a, b) = (0x0a0a_0a0a, 0x0b0b_0b0b);
    let init = |kind: u8, tag: u32| {
        let mut chunk = vec![kind, 0, 0, 20];
        chunk.extend(tag.to_be_bytes());
        chunk.extend([0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1]);
        chunk
    };
    let there = |tag: u32, chunk: &[u8]| sctp_frame(ends(), (36_412, 36_412), tag, chunk);
    let back = |tag: u32, chunk: &[u8]| sctp_frame(ends().reversed(), (36_412, 36_412), tag, chunk);
    let data = [&[0, 3, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], b"data"].concat();
    let acknowledged = [3, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];
    ethernet_frames([
        there(0, &init(1, a)),
        back(a, &init(2, b)),
        there(b, &[10, 0, 0, 8, 1, 2, 3, 4]),
        back(a, &[11, 0, 0, 4]),
        there(b, &data),
        back(a, &acknowledged),
        there(b, &[7, 0, 0, 8, 0, 0, 0, 1]),
        back(a, &[8, 0, 0, 4]),
        there(b, &[14, 0, 0, 4]),
        // Tag 0 without INIT, INIT with a tag, an initiate tag of 0, an ABORT, a cut header.
        there(0, &data),
        there(b, &init(1, a)),
        there(0, &init(1, 0)),
        there(b, &[6, 0, 0, 4]),
        frame(&[], proto::SCTP, &[0x8e, 0x3c, 0x8e, 0x3c, 0, 0]),
    ])
}

/// The checksum is left 0: CRC32c is of no interest to a gateway.
fn sctp_frame(ends: Ends, ports: (u16, u16), tag: u32, chunk: &[u8]) -> Vec<u8> {
    let mut packet = ports.0.to_be_bytes().to_vec();
    packet.extend(ports.1.to_be_bytes());
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(chunk);
    forge::ethernet(ether::IPV6, &ends.packet(&[], proto::SCTP, &packet))
}

/// A DCCP connection (RFC 4340, section 5.1) with long sequence numbers, and a cut header.
pub(crate) fn dccp() -> Recording {
    let packet = |ends: Ends, kind: u8, rest: &[u8], data: &[u8]| {
        let there = ends.src == self::ends().src;
        let ports: [u8; 4] = if there { [0x9c, 0x40, 0x13, 0x8c] } else { [0x13, 0x8c, 0x9c, 0x40] };
        let words = u8::try_from((16 + rest.len()) / 4).expect("a short header");
        let mut header = ports.to_vec();
        header.extend([words, 0, 0, 0, kind << 1 | 1, 0, 0, 0, 0, 0, 0, 1]);
        header.extend(rest);
        header.extend(data);
        let sealed = ends.seal(proto::DCCP, header, 6);
        forge::ethernet(ether::IPV6, &ends.packet(&[], proto::DCCP, &sealed))
    };
    let (there, back) = (ends(), ends().reversed());
    ethernet_frames([
        // Request, response, acknowledgement, data, data with acknowledgement, close, reset.
        packet(there, 0, &[0; 4], &[]),
        packet(back, 1, &[0; 12], &[]),
        packet(there, 3, &[0; 8], &[]),
        packet(there, 2, &[], b"data"),
        packet(back, 4, &[0; 8], b"data"),
        packet(there, 6, &[0; 8], &[]),
        packet(back, 7, &[0; 12], &[]),
        frame(&[], proto::DCCP, &[0x9c, 0x40, 0x13, 0x8c, 4]),
    ])
}

/// ICMPv6: errors with honest, foreign, cut and nested quotes, unknown types, and neighbour discovery from afar.
pub(crate) fn icmp() -> Recording {
    let (there, back) = (ends(), ends().reversed());
    let quoted = there.packet(&[], proto::UDP, &there.udp(40_000, 9, &[0; 40]));
    let error = |kind: u8, code: u8, quote: &[u8]| {
        frame_of(back, &back.icmp(kind, code, &[&[0, 0, 5, 0][..], quote].concat()))
    };
    let foreign = Ends::parse("2001:db8:ffff::1", "2001:db8:ffff::2");
    let behind_headers = there.packet(&vec![dest_options(&[]); 12], proto::UDP, &there.udp(1, 2, b""));
    let mut frames = vec![
        error(1, 4, &quoted),
        error(2, 0, &quoted),
        error(3, 0, &quoted),
        error(3, 1, &quoted),
        error(4, 1, &quoted),
        error(1, 0, &foreign.packet(&[], proto::UDP, &foreign.udp(1, 2, b""))),
        error(1, 0, &behind_headers),
        error(1, 0, &back.packet(&[], proto::ICMPV6, &back.icmp(1, 0, &quoted))),
        error(1, 0, &forge::ipv4([192, 0, 2, 1], [192, 0, 2, 2], proto::UDP, &[0; 8])),
        error(2, 0, &quoted[..0]),
    ];
    frames.extend([8, 30, 40, 43, 47].map(|len| error(1, 4, &quoted[..len])));
    // Unassigned, experimental and reserved types.
    frames.extend([5, 100, 127, 199, 200, 255].map(|kind| frame_of(there, &there.icmp(kind, 0, &[0; 8]))));
    // Each message of neighbour discovery with hop limit 255 and with 64; MLD with 64; behind an extension header.
    for kind in [133, 134, 135, 136, 137] {
        for ends in [there.hops(255), there] {
            frames.push(frame_of(ends, &ends.icmp(kind, 0, &[0; 36])));
        }
    }
    frames.push(frame_of(there, &there.icmp(143, 0, &[0; 4])));
    let near = there.hops(255);
    let solicitation = near.icmp(135, 0, &[0; 20]);
    frames
        .push(forge::ethernet(ether::IPV6, &near.packet(&[dest_options(&[])], proto::ICMPV6, &solicitation)));
    // Echo, node information, mobile prefix, and messages that are cut.
    frames.extend([128, 129, 139, 140, 146, 160].map(|kind| frame_of(there, &there.icmp(kind, 0, &[0; 16]))));
    frames.extend([0, 1, 3].map(|len| frame_of(there, &there.icmp(128, 0, &[])[..len])));
    ethernet_frames(frames)
}

fn frame_of(ends: Ends, message: &[u8]) -> Vec<u8> {
    forge::ethernet(ether::IPV6, &ends.packet(&[], proto::ICMPV6, message))
}
