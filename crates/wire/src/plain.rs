//! The packet that nearly all packets are: TCP or UDP right behind an IPv6 header whose lengths agree.
//!
//! This is a shorter way to what [`ipv6::walk`](crate::ipv6::walk) and the upper layers find, and never another answer:
//! whatever is not plain is left to them, and a test holds the two together. It exists because a walk that may meet
//! anything carries more state than there are registers, which costs twice what a plain packet needs.

use crate::address;
use crate::anomaly::Anomalies;
use crate::ipv6::Fixed;
use crate::link::Link;
use crate::packet::Header;
use crate::parse::direct;
use crate::reader::View;
use crate::upper::{self, Segment};

/// The only header of a frame that is plain TCP or UDP in Ethernet, and what is odd about its addresses: the shortest way
/// to what [`parse()`](crate::parse()) says of nearly every frame, for callers that want no more than this. None means that [`parse()`](crate::parse()) must be
/// asked, not that anything is wrong.
#[inline(always)]
pub fn plain(link: Link, frame: &[u8], wire_len: u32) -> Option<(Header, Anomalies)> {
    if !may_be(link, frame) {
        return None;
    }
    let (fixed, slack) = direct(Link::Ethernet, View::of_frame(frame, wire_len))?;
    read(&fixed, slack)
}

/// Whether an Ethernet frame may be plain, judged by the byte where its next header would stand. It is asked first, since
/// it needs next to nothing.
#[inline(always)]
pub(crate) fn may_be(link: Link, frame: &[u8]) -> bool {
    link == Link::Ethernet && matches!(frame.get(14 + 6), Some(&(upper::TCP | upper::UDP)))
}

/// The header at `fixed` and what is odd about its addresses, when these are global, nothing else can be odd about it and it
/// carries no other. The link below leaves `slack` bytes behind it.
#[inline(always)]
pub(crate) fn read(fixed: &Fixed<'_>, slack: u64) -> Option<(Header, Anomalies)> {
    if !matches!(fixed.next_header(), upper::TCP | upper::UDP) {
        return None;
    }
    let start = fixed.start();
    let trailing = fixed.behind().wire_len().checked_sub(start.claimed)?;
    if trailing > slack || fixed.hop_limit() == 0 {
        return None;
    }
    let segment = match start.next_header {
        upper::TCP => upper::plain_tcp(start.payload, start.claimed)?,
        _ => upper::plain_udp(start.payload, start.claimed)?,
    };
    let Segment { upper, sport, dport } = segment;
    let (src, dst) = (fixed.src(), fixed.dst());
    let anomalies = address::of_usual(src, dst)?;
    let header = Header {
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
    Some((header, anomalies))
}
