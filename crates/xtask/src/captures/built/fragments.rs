//! Fragments as an evader sends them (RFC 5722, RFC 6946, RFC 7112, RFC 8200 section 4.5).

use super::super::forge::{self, Ends, Extension, dest_options, ether, fragment, hop_by_hop, proto, routing};
use super::super::frames::Recording;
use super::{ends, ethernet_frames, frame};

/// A piece of `body` from `from` to `to` (bytes, `from` a multiple of eight) of datagram `id`.
fn piece(ends: Ends, body: &[u8], range: std::ops::Range<usize>, more: bool, id: u32) -> Vec<u8> {
    let units = u16::try_from(range.start / 8).expect("an offset fits");
    let packet = ends.packet(&[fragment(units, more, id)], proto::UDP, &body[range]);
    forge::ethernet(ether::IPV6, &packet)
}

/// A datagram of 64 bytes, so that pieces of eight are at hand.
fn body(letter: u8) -> Vec<u8> {
    ends().udp(40_000, 5_300, &[letter; 56])
}

/// Datagrams whose pieces overlap in every way, and their harmless relatives.
pub(crate) fn overlapping() -> Recording {
    let (benign, evil) = (body(b'b'), body(b'e'));
    let send = |bytes: &[u8], from: usize, to: usize, id| piece(ends(), bytes, from..to, to < 64, id);
    ethernet_frames([
        // 1: in order. 2: backwards. 3: an exact duplicate, which is none of these sins.
        send(&benign, 0, 32, 1),
        send(&benign, 32, 64, 1),
        send(&benign, 32, 64, 2),
        send(&benign, 0, 32, 2),
        send(&benign, 0, 32, 3),
        send(&benign, 0, 32, 3),
        send(&benign, 32, 64, 3),
        // 4: the same range with other bytes. 5: the second reaches back. 6: the second lies inside the first.
        send(&benign, 0, 32, 4),
        send(&evil, 0, 32, 4),
        send(&benign, 32, 64, 4),
        send(&benign, 0, 32, 5),
        send(&evil, 24, 64, 5),
        send(&benign, 0, 48, 6),
        send(&evil, 16, 32, 6),
        send(&benign, 48, 64, 6),
        // 7: a later piece covers two earlier ones. 8: the ports themselves are written twice.
        send(&benign, 8, 16, 7),
        send(&benign, 24, 32, 7),
        send(&evil, 0, 40, 7),
        send(&benign, 40, 64, 7),
        send(&benign, 8, 64, 8),
        send(&benign, 0, 8, 8),
        send(&evil, 0, 16, 8),
        // 9: a second end, shorter than the first. 10: bytes behind the end.
        send(&benign, 0, 32, 9),
        send(&benign, 32, 64, 9),
        piece(ends(), &benign, 32..48, false, 9),
        piece(ends(), &benign, 0..32, false, 10),
        send(&benign, 32, 64, 10),
        // 11: pieces of one datagram under another identification. 12: another source with the same identification.
        send(&benign, 0, 32, 11),
        send(&benign, 32, 64, 12),
        piece(Ends::parse("2001:db8:a::9", "3fff:b::2"), &benign, 32..64, false, 11),
    ])
}

/// Fragment headers that are odd each by itself.
pub(crate) fn odd() -> Recording {
    let bytes = body(b'o');
    let nested = |first: Extension, second: Extension| frame(&[first, second], proto::UDP, &bytes);
    let solicitation = ends().hops(255).icmp(135, 0, &[0; 20]);
    let mut frames = vec![
        // Atomic; nested in three ways.
        frame(&[fragment(0, false, 20)], proto::UDP, &bytes),
        nested(fragment(0, false, 21), fragment(0, false, 22)),
        nested(fragment(0, true, 23), fragment(0, true, 24)),
        nested(fragment(0, true, 25), fragment(4, false, 26)),
        // A length that is no multiple of eight; the end past 65,535 bytes; no bytes at all, first and last.
        frame(&[fragment(0, true, 27)], proto::UDP, &bytes[..61]),
        frame(&[fragment(8_191, false, 28)], proto::UDP, &bytes),
        frame(&[fragment(8_191, true, 28)], proto::UDP, &bytes),
        frame(&[fragment(0, true, 29)], proto::UDP, &[]),
        frame(&[fragment(3, false, 29)], proto::UDP, &[]),
        // Neighbour discovery in fragments (RFC 6980), and router advertisements likewise.
        frame(&[fragment(0, true, 30)], proto::ICMPV6, &solicitation[..16]),
        frame(&[fragment(2, false, 30)], proto::ICMPV6, &solicitation[16..]),
        frame(&[fragment(0, false, 31)], proto::ICMPV6, &ends().icmp(134, 0, &[0; 12])),
    ];
    frames.extend(incomplete_first());
    // A middle piece whose bytes look like a TCP header, and one whose first header contradicts the first piece.
    let bait = ends().tcp((22, 22), 1, 1, forge::flag::SYN, b"");
    frames.push(frame(&[fragment(10, true, 40)], proto::TCP, &[bait, vec![0; 4]].concat()));
    frames.push(frame(&[fragment(0, true, 41)], proto::UDP, &bytes[..32]));
    frames.push(frame(&[fragment(4, false, 41)], proto::TCP, &bytes[32..]));
    ethernet_frames(frames)
}

/// First pieces that do not hold the whole header chain (RFC 7112), and headers only behind the fragment header.
fn incomplete_first() -> Vec<Vec<u8>> {
    let bytes = body(b'i');
    let (next, chain) = forge::chain(&[dest_options(&[0; 14]), dest_options(&[])], proto::UDP, &bytes);
    let split = |at: usize, id: u32| {
        let units = u16::try_from(at / 8).expect("an offset fits");
        [
            frame(&[fragment(0, true, id)], next, &chain[..at]),
            frame(&[fragment(units, false, id)], next, &chain[at..]),
        ]
    };
    let mut frames: Vec<_> = [split(8, 32), split(16, 33), split(24, 34), split(40, 35)].concat();
    // Eight bytes of UDP, eight bytes of TCP: the ports are there, the flags are not.
    frames.push(frame(&[fragment(0, true, 36)], proto::UDP, &bytes[..8]));
    frames.push(frame(&[fragment(0, true, 37)], proto::TCP, &ends().tcp((1_024, 22), 1, 0, 2, b"")[..8]));
    // The unfragmentable part before, the rest behind.
    let per_hop = [hop_by_hop(&[]), dest_options(&[]), routing(3, 0, &[0; 4])];
    for (units, more, range) in [(0, true, 0..32), (4, false, 32..64)] {
        let headers: Vec<Extension> = [&per_hop[..], &[fragment(units, more, 38)]].concat();
        frames.push(frame(&headers, proto::UDP, &bytes[range]));
    }
    frames
}

/// One datagram in 300 pieces of eight bytes, the last first.
pub(crate) fn many_pieces() -> Recording {
    let bytes = ends().udp(40_000, 5_300, &[b'm'; 300 * 8 - 8]);
    ethernet_frames((0..300).rev().map(|at| piece(ends(), &bytes, at * 8..at * 8 + 8, at < 299, 50)))
}
