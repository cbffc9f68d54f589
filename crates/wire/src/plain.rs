//! The packet that nearly all packets are: TCP or UDP right behind an IPv6 header whose lengths agree.
//!
//! This is a shorter way to what [`ipv6::read`](crate::ipv6::read) finds, and never another answer: whatever is not plain
//! is left to it, and a test holds the two together. It exists because a walk that may meet anything keeps its state in
//! memory, which costs several times what a plain packet needs.

use crate::address;
use crate::ipv6::Fixed;
use crate::link::Link;
use crate::packet::{Header, Packet, Tunnels};
use crate::upper::{self, Segment};

/// The packet at `fixed`, when nothing but its addresses can be odd about it. The link below leaves `slack` bytes behind it.
#[inline(always)]
pub(crate) fn read(fixed: &Fixed<'_>, slack: u64, origin: (Link, &[u8])) -> Option<Packet> {
    let start = fixed.start();
    let trailing = fixed.behind().wire_len().checked_sub(start.claimed)?;
    if trailing > slack || fixed.hop_limit() == 0 {
        return None;
    }
    let segment = match start.next_header {
        6 => upper::plain_tcp(start.payload, start.claimed)?,
        17 => upper::plain_udp(start.payload, start.claimed)?,
        _ => return None,
    };
    let Segment { upper, sport, dport } = segment;
    let (src, dst) = (fixed.src(), fixed.dst());
    let anomalies = address::check(src, dst, || false, origin);
    let outer = Header {
        src,
        dst,
        bytes: 40 + start.claimed,
        flow_label: fixed.flow_label(),
        fragment: None,
        proto: start.next_header,
        traffic_class: fixed.traffic_class(),
        hop_limit: fixed.hop_limit(),
        ext_headers: 0,
        sport,
        dport,
        upper,
    };
    Some(Packet { outer, inner: None, tunnels: Tunnels::default(), layers: 1, anomalies, quoted: None })
}
