//! Frame bytes to packets: link layers, tunnels, IPv6 with every extension header, and every anomaly by name.
//!
//! [`parse()`] takes one frame, and gives the [`Packet`] in it or the reason why there is none; [`plain()`] is the short way
//! for frames that hold nothing but plain TCP or UDP, and [`pair()`] gives only the addresses, to distribute frames by.
//! Everything else here is what these two return.
//!
//! The way down a frame, with the module that knows it:
//!
//! ```text
//! link ─▶ tunnel (IPv4, GRE, VXLAN, …) ─▶ ipv6 ─▶ chain ─▶ upper ─▶ tunnel ─▶ ipv6 …
//!                                          │        ├ options, routing
//!                                       address     └ icmpv6 (the quoted packet)
//! ```
//!
//! `parse` holds the loop over IPv6 headers and `path` the one over the layers between them, `plain` is the short cut that
//! most packets take, and `reader` the only access to bytes.
//!
//! What this crate refuses to do: allocate, recurse, keep state between frames, reassemble fragments, verify checksums,
//! guess at an unknown next header, or take a UDP payload for a tunnel unless all of it agrees. Bytes behind the length
//! that a header claims belong to nobody and are never read.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod address;
mod anomaly;
mod chain;
mod icmpv6;
mod ipv6;
mod limits;
mod link;
mod options;
mod packet;
mod parse;
mod path;
mod plain;
mod reader;
mod routing;
mod tunnel;
mod upper;

pub use anomaly::{Anomalies, Anomaly};
pub use limits::Limits;
pub use link::Link;
pub use packet::{
    Fragment, Header, Malformed, NotIpv6, Packet, QuicIds, Quoted, TcpFlags, Tunnels, Unkeyed, Upper,
};
pub use parse::{pair, parse};
pub use plain::plain;
