//! What the parser promises, told from outside: a module for each story.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps fails with a place and a cause")]

mod anomalies;
mod build;
mod chains;
mod cuts;
mod etherparse_agrees;
mod links;
mod properties;
mod tunnels;
mod upper_layers;

use credence_wire::{Anomaly, Limits, Link, Packet, Unkeyed, parse};

/// Parses a whole frame with the default limits.
fn read(link: Link, frame: &[u8]) -> Result<Packet, Unkeyed> {
    parse(link, frame, u32::try_from(frame.len()).unwrap(), &Limits::default())
}

/// Parses a bare IP packet, which must yield a packet.
fn packet(bytes: &[u8]) -> Packet {
    read(Link::Raw, bytes).expect("an IPv6 packet")
}

/// Asserts exactly which oddities a bare IP packet has, and returns it.
#[track_caller]
fn check(bytes: &[u8], expected: &[Anomaly]) -> Packet {
    let packet = packet(bytes);
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(packet.anomalies.iter().collect::<Vec<_>>(), expected);
    packet
}
