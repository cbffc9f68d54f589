//! Frame bytes to packets: link layers, tunnels, IPv6 with every extension header, and every anomaly by name.
#![no_std]
#![forbid(unsafe_code)]

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
