//! Frame bytes to packets: link layers, tunnels, IPv6 with every extension header, and every anomaly by name.
#![no_std]
#![forbid(unsafe_code)]

mod anomaly;
mod link;
mod packet;

pub use anomaly::{Anomalies, Anomaly};
pub use link::Link;
pub use packet::{
    Fragment, Header, Malformed, NotIpv6, Packet, QuicIds, Quoted, TcpFlags, Tunnels, Unkeyed, Upper,
};
