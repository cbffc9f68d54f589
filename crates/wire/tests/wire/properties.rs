//! What holds for any bytes at all.

use crate::build::*;
use crate::cuts::corpus;
use crate::read;
use credence_wire::{Anomaly, Limits, Link, Packet, pair, parse};
use proptest::prelude::*;

const LINKS: [Link; 11] = [
    Link::Ethernet,
    Link::Raw,
    Link::Null,
    Link::Loop,
    Link::LinuxSll,
    Link::LinuxSll2,
    Link::Ppp,
    Link::Pppoe,
    Link::FrameRelay,
    Link::Ieee80211,
    Link::Radiotap,
];

fn any_link() -> impl Strategy<Value = Link> {
    (0..LINKS.len()).prop_map(|i| LINKS[i])
}

/// Asserts what is true of every packet.
fn consistent(packet: &Packet, limits: &Limits) {
    for header in [Some(packet.outer), packet.inner].into_iter().flatten() {
        assert!(header.bytes >= 40);
        assert!(header.ext_headers <= limits.ext_headers);
        assert!(header.flow_label < 1 << 20);
    }
    assert_eq!(packet.inner.is_some(), packet.layers > 1);
    assert!(packet.layers <= limits.tunnels.saturating_add(1));
    assert!(
        !packet.anomalies.has(Anomaly::FragmentOverlap) && !packet.anomalies.has(Anomaly::FragmentExcess)
    );
}

fn agree(link: Link, frame: &[u8], wire_len: u32) {
    let found = parse(link, frame, wire_len, &Limits::default());
    assert_eq!(pair(link, frame), found.as_ref().ok().map(|packet| (packet.outer.src, packet.outer.dst)));
    if let Ok(packet) = found {
        consistent(&packet, &Limits::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(
        link in any_link(),
        frame in prop::collection::vec(any::<u8>(), 0..300),
        wire_len in any::<u32>(),
    ) {
        agree(link, &frame, wire_len);
    }

    #[test]
    fn random_payloads_behind_a_valid_header_never_panic(
        next_header in any::<u8>(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        agree(Link::Raw, &ipv6(next_header, &payload), 0);
        agree(Link::Raw, &ipv4(next_header, &payload), 0);
    }

    #[test]
    fn mutated_packets_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        wire_len in 0u32..2000,
    ) {
        let corpus = corpus();
        let (link, mut frame) = corpus[which.index(corpus.len())].clone();
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        agree(link, &frame, wire_len);
    }

    #[test]
    fn any_limits_hold(
        which in any::<prop::sample::Index>(),
        (ext_headers, tunnels, options, padding, link_tags) in any::<(u8, u8, u8, u8, u8)>(),
    ) {
        let limits = Limits { ext_headers, tunnels, options, padding, link_tags };
        let corpus = corpus();
        let (link, frame) = &corpus[which.index(corpus.len())];
        if let Ok(packet) = parse(*link, frame, 0, &limits) {
            consistent(&packet, &limits);
        }
    }

    #[test]
    fn bytes_behind_the_claimed_payload_change_no_key(
        which in any::<prop::sample::Index>(),
        behind in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let corpus = corpus();
        let (link, frame) = &corpus[which.index(corpus.len())];
        let longer = [&frame[..], &behind].concat();
        let (short, long) = (read(*link, frame).unwrap(), read(*link, &longer).unwrap());
        // A packet that claims more than the frame held is completed by what follows.
        prop_assume!(!short.anomalies.has(Anomaly::PayloadTruncated));
        prop_assert_eq!(short.outer, long.outer);
        prop_assert_eq!(short.inner, long.inner);
        let odd = long.anomalies.without(short.anomalies);
        prop_assert!(odd.iter().all(|one| one == Anomaly::TrailingBytes));
    }

    #[test]
    fn the_wire_length_decides_only_what_is_missing_or_too_much(
        which in any::<prop::sample::Index>(),
        len in any::<prop::sample::Index>(),
        wire_len in 0u32..3000,
    ) {
        let corpus = corpus();
        let (link, frame) = &corpus[which.index(corpus.len())];
        let cut = &frame[..len.index(frame.len())];
        let (one, other) = (read(*link, cut), parse(*link, cut, wire_len, &Limits::default()));
        prop_assert_eq!(one.map(|p| (p.outer, p.inner, p.quoted)), other.map(|p| (p.outer, p.inner, p.quoted)));
    }

    #[test]
    fn a_packet_inside_another_reads_as_it_does_alone(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let packets: Vec<_> = corpus().into_iter().filter(|(link, _)| *link == Link::Raw).collect();
        let mut bytes = packets[which.index(packets.len())].1.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (Ok(alone), true) = (read(Link::Raw, &bytes), bytes[0] >> 4 == 6) else { return Ok(()) };
        let nested = read(Link::Raw, &ipv6(41, &bytes)).unwrap();
        // The last header stays the last, unless the limit of tunnels is met one earlier.
        prop_assume!(!nested.anomalies.has(Anomaly::TunnelDepth));
        prop_assert_eq!(nested.inner, Some(alone.inner.unwrap_or(alone.outer)));
        prop_assert_eq!((nested.layers, nested.quoted), (alone.layers + 1, alone.quoted));
        prop_assert_eq!(nested.anomalies, alone.anomalies);
    }
}
