//! QUIC as a gateway sees it: long headers with their connection ids, then short ones (RFC 8999, RFC 9000 section 17).

use super::super::forge::{self, Ends, ether, proto};
use super::super::frames::Recording;
use super::{ends, ethernet_frames};

/// A long header of `kind` (0 Initial, 1 0-RTT, 2 Handshake, 3 Retry) with the ids and a payload.
pub(crate) fn long(kind: u8, version: u32, dcid: &[u8], scid: &[u8], payload_len: usize) -> Vec<u8> {
    // Version 2 numbers the kinds otherwise (RFC 9369, section 3.2).
    let kind_bits = if version == V2 { (kind + 1) % 4 } else { kind };
    let mut packet = vec![0xc0 | kind_bits << 4 | 0x01];
    packet.extend(version.to_be_bytes());
    for id in [dcid, scid] {
        packet.push(u8::try_from(id.len()).expect("a connection id has at most 20 bytes"));
        packet.extend(id);
    }
    if kind == 0 {
        packet.push(0); // no token
    }
    if kind != 3 {
        // A variable-length integer of two bytes (RFC 9000, section 16).
        let len = 0x4000 | u16::try_from(payload_len).expect("fits 14 bits");
        packet.extend(len.to_be_bytes());
    }
    packet.extend(filler(payload_len, dcid));
    packet
}

/// A short header: no source id, and the destination id without its length (RFC 9000, section 17.3).
pub(crate) fn short(dcid: &[u8], payload_len: usize) -> Vec<u8> {
    [&[0x41][..], dcid, &filler(payload_len, dcid)].concat()
}

/// Bytes without a pattern, the same for the same seed, in place of what encryption would leave.
fn filler(len: usize, seed: &[u8]) -> Vec<u8> {
    let mut state =
        seed.iter().fold(0x9e37_79b9_7f4a_7c15u64, |state, &byte| state.rotate_left(8) ^ u64::from(byte));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// QUIC version 1 and 2 (RFC 9000, RFC 9369).
const V1: u32 = 1;
const V2: u32 = 0x6b33_43cf;

/// Handshakes in both directions, Retry, version negotiation, 0-RTT, short and absent ids, and cut headers.
pub(crate) fn handshakes() -> Recording {
    let mut frames = Vec::new();
    for (version, port) in [(V1, 50_000), (V2, 50_001)] {
        frames.extend(handshake(version, port));
    }
    let there = |port: u16, payload: &[u8]| datagram(ends(), (port, 443), payload);
    let back = |port: u16, payload: &[u8]| datagram(ends().reversed(), (443, port), payload);
    let (client, server, first) = (b"client-2", b"server-2", b"at-first");
    frames.extend([
        // Version negotiation (version 0) and Retry, each echoing the client's id.
        there(50_002, &long(0, 0x1a2a_3a4a, first, client, 1_150)),
        back(
            50_002,
            &[&[0x80, 0, 0, 0, 0, 8][..], client, &[8], first, &V1.to_be_bytes(), &V2.to_be_bytes()].concat(),
        ),
        there(50_003, &long(0, V1, first, client, 1_150)),
        back(50_003, &long(3, V1, client, server, 32)),
        there(50_003, &long(0, V1, server, client, 1_150)),
        // 0-RTT beside the Initial; ids of 0, 4 and 20 bytes.
        there(50_004, &[long(0, V1, first, client, 600), long(1, V1, first, client, 400)].concat()),
        there(50_005, &long(0, V1, first, b"", 1_150)),
        back(50_005, &long(0, V1, b"", b"four", 1_150)),
        there(50_006, &long(0, V1, b"an id of 20 bytes .1", b"an id of 20 bytes .2", 1_100)),
        // An id longer than version 1 allows, a header cut within its ids, and an Initial that is too small.
        there(50_007, &[&[0xc0, 0, 0, 0, 1, 200][..], &[7; 60]].concat()),
        there(50_008, &long(0, V1, first, client, 0)[..10]),
        there(50_009, &long(0, V1, first, client, 20)),
        // An Initial whose answer names other ids: nothing is confirmed.
        there(50_010, &long(0, V1, first, client, 1_150)),
        back(50_010, &long(0, V1, b"stranger", server, 1_150)),
    ]);
    ethernet_frames(frames)
}

/// A whole handshake and some data: each side chooses its id, and the other one uses it from then on.
fn handshake(version: u32, port: u16) -> Vec<Vec<u8>> {
    let (first, client, server) = (b"at-first", b"client-1", b"server-1");
    let there = |payload: &[u8]| datagram(ends(), (port, 443), payload);
    let back = |payload: &[u8]| datagram(ends().reversed(), (443, port), payload);
    vec![
        there(&long(0, version, first, client, 1_150)),
        back(&[long(0, version, client, server, 120), long(2, version, client, server, 900)].concat()),
        back(&long(2, version, client, server, 700)),
        there(&[long(0, version, server, client, 40), long(2, version, server, client, 60)].concat()),
        there(&short(server, 200)),
        back(&short(client, 1_100)),
        back(&short(client, 1_100)),
        there(&short(server, 30)),
    ]
}

fn datagram(ends: Ends, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    forge::ethernet(ether::IPV6, &ends.packet(&[], proto::UDP, &ends.udp(ports.0, ports.1, payload)))
}
