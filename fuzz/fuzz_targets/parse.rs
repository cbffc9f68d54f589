//! Any bytes on any link: no panic, and the promises of a packet hold.
#![no_main]

use credence_wire::{Anomaly, Limits, Link, Packet, pair, parse};
use libfuzzer_sys::fuzz_target;

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

// The first byte chooses the link, the second how much longer the frame was on the wire, the third where it is cut.
fuzz_target!(|data: &[u8]| {
    let [link, beyond, cut, frame @ ..] = data else { return };
    let link = LINKS[usize::from(*link) % LINKS.len()];
    let wire_len = frame.len() as u32 + u32::from(*beyond);
    let limits = Limits::default();
    let whole = parse(link, frame, wire_len, &limits);
    let addresses = whole.as_ref().ok().map(|packet| (packet.outer.src, packet.outer.dst));
    assert_eq!(pair(link, frame), addresses);
    let prefix = &frame[..usize::from(*cut).min(frame.len())];
    let part = parse(link, prefix, wire_len, &limits);
    if let Ok(packet) = &whole {
        check(packet, &limits);
    }
    if let (Ok(part), Some(addresses)) = (part, addresses) {
        check(&part, &limits);
        assert_eq!((part.outer.src, part.outer.dst), addresses, "a cut frame is never another packet");
    }
});

fn check(packet: &Packet, limits: &Limits) {
    for header in [Some(packet.outer), packet.inner].into_iter().flatten() {
        assert!(header.bytes >= 40);
        assert!(header.ext_headers <= limits.ext_headers);
    }
    assert_eq!(packet.inner.is_some(), packet.layers > 1);
    assert!(packet.layers <= limits.tunnels + 1);
    assert!(!packet.anomalies.has(Anomaly::FragmentOverlap));
    assert!(!packet.anomalies.has(Anomaly::FragmentExcess));
}
