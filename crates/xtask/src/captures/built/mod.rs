//! What no kernel sends, and what this one cannot: built byte by byte.

pub(crate) mod addresses;
pub(crate) mod extensions;
pub(crate) mod fragments;
pub(crate) mod links;
pub(crate) mod quic;
pub(crate) mod transport;
pub(crate) mod tunnels;

use super::forge::{self, Ends, Extension, ether, proto};
use super::frames::Recording;

/// `LINKTYPE_ETHERNET`.
const ETHERNET: u16 = 1;

/// Two hosts that every built capture may use.
fn ends() -> Ends {
    Ends::parse("2001:db8:a::1", "3fff:b::2")
}

/// A small UDP datagram between them.
fn datagram() -> Vec<u8> {
    ends().udp(40_000, 5_300, b"behind the headers")
}

/// An Ethernet frame with an IPv6 packet of the two hosts.
fn frame(extensions: &[Extension], last: u8, payload: &[u8]) -> Vec<u8> {
    forge::ethernet(ether::IPV6, &ends().packet(extensions, last, payload))
}

/// An Ethernet frame with extension headers before the small datagram.
fn before_datagram(extensions: &[Extension]) -> Vec<u8> {
    frame(extensions, proto::UDP, &datagram())
}

/// A recording of Ethernet frames.
fn ethernet_frames(frames: impl IntoIterator<Item = Vec<u8>>) -> Recording {
    let mut recording = Recording::built(ETHERNET);
    for frame in frames {
        recording.push(frame);
    }
    recording
}
