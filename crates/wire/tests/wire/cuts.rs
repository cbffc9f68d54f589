//! Frames cut at every length, on the wire and by a capture.

use crate::build::*;
use crate::read;
use credence_wire::{Limits, Link, Packet, Unkeyed, pair, parse};

/// One frame of each shape that the parser knows.
pub(crate) fn corpus() -> Vec<(Link, Vec<u8>)> {
    let inner = Ipv6 { src: B, dst: A, ..PLAIN }.chain(&[hop_by_hop()], UDP, &udp(1000, 53, b"query"));
    let quoted = Ipv6 { src: B, dst: A, ..PLAIN }.chain(&[destination()], TCP, &tcp(SYN));
    let frame = ethernet(0x86dd, &inner);
    let packets = [
        plain(),
        PLAIN.chain(&one_of_each(), TCP, &tcp(SYN)),
        PLAIN.chain(
            &[routing(0, 1, 2, [0; 4]), routing(2, 1, 2, [0; 4]), routing(4, 1, 4, [1, 0, 0, 0])],
            SCTP,
            &sctp(0, 1, 9),
        ),
        PLAIN.chain(
            &[options(HOP_BY_HOP, &[5, 2, 0, 0, 1, 0]), destination(), fragment(0, true, 1)],
            DCCP,
            &dccp(0),
        ),
        PLAIN.chain(&[fragment(0, true, 1), fragment(8, false, 2)], TCP, &tcp(ACK)),
        Ipv6 { len: Some(0), ..PLAIN }.chain(
            &[options(HOP_BY_HOP, &[0xc2, 4, 0, 1, 0x11, 0x70])],
            TCP,
            &tcp(ACK),
        ),
        ipv6(UDP_LITE, &udp(1, 2, b"lite")),
        ipv6(
            UDP,
            &udp(50_000, 443, &[0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ),
        ipv6(ICMPV6, &error(&quoted)),
        ipv6(41, &ipv6(4, &ipv4(41, &inner))),
        ipv6(47, &[&[0xb0, 0, 0x65, 0x58][..], &[0; 12], &frame].concat()),
        ipv6(97, &[&[0x30, 0][..], &frame].concat()),
        ipv6(137, &[&[0, 1, 0, 64, 0, 1, 1, 64][..], &inner].concat()),
        ipv6(UDP, &udp(9, 4789, &[&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat())),
        ipv6(UDP, &udp(9, 6081, &[&[1, 0, 0x65, 0x58, 0, 0, 7, 0, 0, 0, 0, 0][..], &frame].concat())),
        ipv4(UDP, &udp(9, 3544, &inner)),
        ipv4(4, &ipv4(41, &inner)),
    ];
    let mut frames: Vec<_> =
        packets.iter().map(|bytes| (Link::Ethernet, ethernet(ethertype(bytes), bytes))).collect();
    frames.extend(packets.into_iter().map(|bytes| (Link::Raw, bytes)));
    let tagged = [&[0, 5, 0x81, 0, 0, 6, 0x88, 0x47, 0, 1, 1, 64][..], &inner].concat();
    frames.push((Link::Ethernet, ethernet(0x88a8, &tagged)));
    let wireless = [&[0x88, 0x02][..], &[0; 24], &[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd], &inner].concat();
    frames.push((Link::Radiotap, [&[0, 0, 9, 0, 2, 0, 0, 0, 0][..], &wireless].concat()));
    frames.push((Link::Ieee80211, wireless));
    for (link, head) in [
        (Link::Null, &[30, 0, 0, 0][..]),
        (Link::Ppp, &[0xff, 0x03, 0, 0x57]),
        (Link::Pppoe, &[0x11, 0, 0, 7, 0, 99, 0, 0x57]),
        (Link::FrameRelay, &[0x18, 0x41, 0x03, 0x8e]),
        (Link::LinuxSll, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x86, 0xdd]),
        (Link::LinuxSll2, &[0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        frames.push((link, [head, &inner].concat()));
    }
    frames
}

fn ethertype(bytes: &[u8]) -> u16 {
    if bytes[0] >> 4 == 6 { 0x86dd } else { 0x0800 }
}

#[test]
fn every_frame_of_the_corpus_is_read_whole() {
    for (link, frame) in corpus() {
        let packet = read(link, &frame);
        assert!(packet.is_ok(), "{link:?} {packet:?}");
    }
}

#[test]
fn a_cut_frame_gives_part_of_the_same_packet_or_none() {
    for (link, frame) in corpus() {
        let whole = read(link, &frame).unwrap();
        for len in 0..frame.len() {
            let cut = &frame[..len];
            let wire_len = u32::try_from(frame.len()).unwrap();
            for seen in [wire_len, u32::try_from(len).unwrap()] {
                let found = parse(link, cut, seen, &Limits::default());
                assert_eq!(pair(link, cut), found.as_ref().ok().map(|p| (p.outer.src, p.outer.dst)));
                if let Ok(part) = found {
                    is_part_of(&part, &whole);
                    let odd = part.anomalies.without(whole.anomalies);
                    // What the capture cut is not held against the sender.
                    if seen == wire_len {
                        assert!(odd.is_empty(), "{link:?} cut to {len}: {odd:?}");
                    }
                } else {
                    assert!(matches!(found, Err(Unkeyed::Malformed(_) | Unkeyed::NotIpv6(_))));
                }
            }
        }
    }
}

/// Whether everything that `part` claims is in `whole`.
fn is_part_of(part: &Packet, whole: &Packet) {
    let (part_outer, outer) = (&part.outer, &whole.outer);
    assert_eq!((part_outer.src, part_outer.dst), (outer.src, outer.dst));
    // The jumbo option is one of the things that a cut may take.
    assert!(part_outer.bytes == outer.bytes || outer.bytes > 65_575);
    for (found, expected) in [(part_outer.sport, outer.sport), (part_outer.dport, outer.dport)] {
        assert!(found == expected || found == 0);
    }
    assert!(part_outer.fragment.is_none() || part_outer.fragment == outer.fragment);
    assert!(part_outer.ext_headers <= outer.ext_headers && part.layers <= whole.layers);
    assert_eq!(part.inner.is_some(), part.layers > 1);
}
