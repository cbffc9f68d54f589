//! An independent parser reads the same from generated packets, but for the differences listed here.

use crate::build::*;
use credence_wire::{Anomaly, Fragment, Link, Packet};
use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use proptest::prelude::*;

type Key = (u128, u128, u8, u16, u16);

/// Why the two may differ on a packet, and when.
type Difference = (&'static str, fn(&Packet) -> bool);

const DIFFERENCES: [Difference; 4] = [
    ("it reads no upper layer in a first fragment, whose ports are there", |ours| {
        ours.outer.fragment.is_some_and(|piece| piece.offset == 0 && piece.more)
    }),
    ("it walks on behind the header of a later fragment, into bytes that may be anything", |ours| {
        let later = ours.outer.fragment.is_some_and(|piece| piece.offset > 0);
        later && matches!(ours.outer.proto, HOP_BY_HOP | ROUTING | FRAGMENT | AH | DESTINATION)
    }),
    ("it tells of any fragment header what this parser tells of the first, and flags with another", |ours| {
        ours.anomalies.has(Anomaly::FragmentNested)
    }),
    (
        "it ends at Hop-by-Hop Options that do not come first, behind which a receiver may still look",
        |ours| ours.anomalies.has(Anomaly::HopByHopNotFirst),
    ),
];

fn ours(bytes: &[u8]) -> (Key, Option<Fragment>, Packet) {
    let packet = crate::read(Link::Ethernet, bytes).unwrap();
    let outer = packet.outer;
    let ports = if outer.proto == ICMPV6 { (0, 0) } else { (outer.sport, outer.dport) };
    ((outer.src, outer.dst, outer.proto, ports.0, ports.1), outer.fragment, packet)
}

fn theirs(bytes: &[u8]) -> (Key, bool) {
    let sliced = LaxSlicedPacket::from_ethernet(bytes).unwrap();
    let Some(LaxNetSlice::Ipv6(net)) = &sliced.net else { panic!("no IPv6") };
    let ports = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => (tcp.source_port(), tcp.destination_port()),
        Some(TransportSlice::Udp(udp)) => (udp.source_port(), udp.destination_port()),
        _ => (0, 0),
    };
    let header = net.header();
    let key = (
        u128::from_be_bytes(header.source()),
        u128::from_be_bytes(header.destination()),
        net.payload().ip_number.0,
        ports.0,
        ports.1,
    );
    (key, net.payload().fragmented)
}

fn any_header() -> impl Strategy<Value = Ext> {
    prop_oneof![
        Just(destination()),
        Just(hop_by_hop()),
        (any::<u8>(), any::<u8>(), 0u8..6).prop_map(|(kind, left, units)| routing(kind, left, units, [0; 4])),
        (0u16..3, any::<bool>(), any::<u32>()).prop_map(|(offset, more, id)| fragment(offset * 8, more, id)),
        (1u8..6).prop_map(|units| authentication(units * 2)),
    ]
}

fn any_upper() -> impl Strategy<Value = (u8, Vec<u8>)> {
    prop_oneof![
        (any::<u16>(), any::<u16>(), any::<u8>()).prop_map(|(sport, dport, flags)| {
            let mut bytes = tcp(flags);
            bytes[..4].copy_from_slice(&[sport.to_be_bytes(), dport.to_be_bytes()].concat());
            (TCP, bytes)
        }),
        (any::<u16>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(sport, dport, payload)| (UDP, udp(sport, dport, &payload))),
        (any::<u8>(), any::<u8>()).prop_map(|(kind, code)| (ICMPV6, icmpv6(kind, code, &[0; 4]))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20000))]

    #[test]
    fn on_source_destination_protocol_ports_and_fragment(
        src in any::<u128>(),
        dst in any::<u128>(),
        headers in prop::collection::vec(any_header(), 0..4),
        (proto, upper) in any_upper(),
    ) {
        let bytes = ethernet(0x86dd, &Ipv6 { src, dst, ..PLAIN }.chain(&headers, proto, &upper));
        let (key, fragment, packet) = ours(&bytes);
        let (their_key, fragmented) = theirs(&bytes);
        let excused = DIFFERENCES.iter().any(|(_, applies)| applies(&packet));
        if !excused {
            prop_assert_eq!(key, their_key);
            prop_assert_eq!(fragment.is_some_and(|piece| !piece.is_atomic()), fragmented);
        }
        prop_assert_eq!((key.0, key.1), (their_key.0, their_key.1));
    }
}

#[test]
fn most_generated_shapes_are_compared() {
    // The list above must not swallow what it is there to check.
    for headers in
        [vec![], vec![destination()], vec![hop_by_hop(), fragment(64, true, 1)], vec![authentication(4)]]
    {
        let bytes = ethernet(0x86dd, &PLAIN.chain(&headers, TCP, &tcp(ACK)));
        let (key, _, packet) = ours(&bytes);
        assert!(DIFFERENCES.iter().all(|(_, applies)| !applies(&packet)));
        assert_eq!(key, theirs(&bytes).0);
    }
}
