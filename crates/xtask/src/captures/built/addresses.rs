//! Addresses that no packet on a link should bear (RFC 4291, RFC 6890), and hop limits likewise.

use super::super::forge::{self, Ends, ether, flag, proto};
use super::super::frames::Recording;
use super::ethernet_frames;

/// Sources and destinations, one datagram each.
const PAIRS: &[(&str, &str)] = &[
    // Land: source and destination are the same.
    ("2001:db8:a::1", "2001:db8:a::1"),
    ("ff02::1", "2001:db8:a::1"),
    ("ff0e::1234", "2001:db8:a::1"),
    ("::1", "2001:db8:a::1"),
    ("2001:db8:a::1", "::1"),
    ("::", "2001:db8:a::1"),
    ("2001:db8:a::1", "::"),
    ("::ffff:192.0.2.1", "2001:db8:a::1"),
    ("2001:db8:a::1", "::ffff:192.0.2.1"),
    ("::192.0.2.1", "2001:db8:a::1"),
    ("64:ff9b::192.0.2.1", "2001:db8:a::1"),
    ("64:ff9b:1::1", "2001:db8:a::1"),
    ("100::1", "2001:db8:a::1"),
    ("2001:2::1", "2001:db8:a::1"),
    ("2001:db8:ffff::1", "2600::1"),
    ("3fff:fff::1", "2600::1"),
    ("2001:20::1", "2600::1"),
    ("2001::1", "2600::1"),
    ("2002:c000:201::1", "2600::1"),
    ("fc00::1", "2600::1"),
    ("fd12:3456:789a::1", "2600::1"),
    ("fec0::1", "2600::1"),
    ("fe80::1", "2600::1"),
    ("fe80::1", "fe80::2"),
    ("2600::1", "ff00::1"),
    ("2600::1", "ff01::1"),
    ("2600::1", "ff02::1"),
    ("2600::1", "ff05::1:3"),
    ("2600::1", "ff0e::1"),
    ("2600::1", "ff0f::1"),
    ("2600::1", "ff3e:40:2001:db8::1"),
    ("2600::1", "4000::1"),
    ("5f00::1", "2600::1"),
];

/// Each pair once with UDP and once as a TCP SYN, then hop limits 0, 1 and 255.
pub(crate) fn odd() -> Recording {
    let mut frames = Vec::new();
    for (src, dst) in PAIRS {
        let ends = Ends::parse(src, dst);
        frames.push(packet(ends, proto::UDP, &ends.udp(4_000, 5_300, b"whence?")));
        frames.push(packet(ends, proto::TCP, &ends.tcp((4_000, 80), 1, 0, flag::SYN, b"")));
    }
    for hop_limit in [0, 1, 255] {
        let ends = super::ends().hops(hop_limit);
        frames.push(packet(ends, proto::UDP, &ends.udp(4_000, 5_300, b"how far?")));
    }
    ethernet_frames(frames)
}

fn packet(ends: Ends, next: u8, upper: &[u8]) -> Vec<u8> {
    forge::ethernet(ether::IPV6, &ends.packet(&[], next, upper))
}
