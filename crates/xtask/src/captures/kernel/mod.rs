//! Scenes that the kernel's own stack plays in a [`Lab`], recorded as they happen.

pub(crate) mod control;
pub(crate) mod transport;
pub(crate) mod tunnels;

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::Result;

use super::frames::Recording;
use super::lab::{Lab, Recorder};

/// The left host.
pub(crate) const LEFT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);

/// The right host.
pub(crate) const RIGHT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);

/// No particular address.
pub(crate) const ANY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

/// A port of the right host.
pub(crate) fn right(port: u16) -> SocketAddr {
    SocketAddr::from((RIGHT, port))
}

/// Plays `scene` in a new lab and records one of the gate's interfaces.
fn recorded(interface: &str, options: &str, scene: impl FnOnce(&Lab) -> Result<()>) -> Result<Recording> {
    prepared(interface, options, |_| Ok(()), scene)
}

/// As [`recorded`], with preparations that are not to be seen.
fn prepared(
    interface: &str,
    options: &str,
    prepare: impl FnOnce(&Lab) -> Result<()>,
    scene: impl FnOnce(&Lab) -> Result<()>,
) -> Result<Recording> {
    let lab = Lab::new()?;
    prepare(&lab)?;
    let recorder = Recorder::start(&lab.gate, interface, options)?;
    scene(&lab)?;
    recorder.stop()
}
