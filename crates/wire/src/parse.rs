//! The way from the first byte of a frame to its [`Packet`]: down through the layers to an IPv6 header, read it, and on
//! into what it carries. Two plain loops and no recursion, so that the stack stays as it is however deep a frame nests.

use crate::anomaly::{Anomalies, Anomaly};
use crate::icmpv6;
use crate::ipv6::{self, Fixed};
use crate::limits::Limits;
use crate::link::{self, Link};
use crate::packet::{Header, Malformed, NotIpv6, Packet, Quoted, Tunnels, Unkeyed};
use crate::plain;
use crate::reader::{View, be16};
use crate::tunnel;
use crate::upper::{self, Segment};

/// Reads one frame.
///
/// `frame` holds the captured bytes and `wire_len` the length that the frame had on the wire, in bytes; the two differ when
/// a capture was cut to a snap length. A header that is not whole in `frame` is reported as cut whatever the reason, but
/// [`Anomaly::PayloadTruncated`] and [`Anomaly::TrailingBytes`] compare what headers claim with `wire_len`.
///
/// The work is linear in the bytes of the headers and bounded by `limits`; nothing is allocated.
///
/// # Errors
///
/// [`Unkeyed::NotIpv6`] when the frame carries no IPv6 header, and [`Unkeyed::Malformed`] when it promises one that
/// cannot be read.
#[inline]
pub fn parse(link: Link, frame: &[u8], wire_len: u32, limits: &Limits) -> Result<Packet, Unkeyed> {
    if let Some((fixed, slack)) = direct(link, View::of_frame(frame, wire_len))
        && let Some(packet) = plain::read(&fixed, slack, (link, frame))
    {
        return Ok(packet);
    }
    walked(link, frame, wire_len, limits)
}

/// The header of a packet that lies directly in Ethernet or nothing, and the slack that its link leaves.
#[inline]
fn direct(link: Link, view: View<'_>) -> Option<(Fixed<'_>, u64)> {
    match link {
        Link::Ethernet => {
            let (header, rest) = view.split::<14>()?;
            let fixed =
                if be16(header[12], header[13]) == 0x86dd { Fixed::new(rest).ok()? } else { return None };
            Some((fixed, link::ethernet_slack(view)))
        }
        Link::Raw => Some((Fixed::new(view).ok()?, 0)),
        _ => None,
    }
}

/// The packet of any frame, by the whole way.
///
/// It starts from the frame again, since that is less work than handing over what the short way found out.
#[inline(never)]
fn walked(link: Link, frame: &[u8], wire_len: u32, limits: &Limits) -> Result<Packet, Unkeyed> {
    let mut path = Path::new(link, frame, limits);
    let mut view = View::of_frame(frame, wire_len);
    match link::open(link, &mut view, &mut path) {
        Ok(layer) => headers(layer, view, path, Anomalies::NONE, None),
        Err(stop) => Err(path.unkeyed(stop)),
    }
}

/// The packet that goes on inside its `outer` header.
#[inline(never)]
fn inside<'a>(
    outer: &Header,
    carried: &Carried<'a>,
    mut path: Path<'a>,
    odd: Anomalies,
) -> Result<Packet, Unkeyed> {
    match path.cross(carried) {
        Ok(()) => headers(carried.layer, carried.view, path, odd, Some(outer)),
        Err(stop) => Ok(cut_short(outer, None, 1, path.tunnels, odd, stop)),
    }
}

/// Reads the IPv6 headers from here on, as deep as the limit allows: the outermost one, or those inside `outer`.
///
/// Each kind of upper layer returns a packet of its own, so that it is put together where the caller wants it. One that
/// all kinds fill would be built in memory and moved, which costs more than reading it. For the same reason this is
/// inlined once for the outermost header, which nearly all packets end with, and once for what is [`inside`] it.
#[inline(always)]
fn headers<'a>(
    mut layer: Layer,
    mut view: View<'a>,
    mut path: Path<'a>,
    mut odd: Anomalies,
    outer: Option<&Header>,
) -> Result<Packet, Unkeyed> {
    let mut inner = None;
    let mut layers = 1u8;
    loop {
        let fixed = match (path.descend(layer, view), outer) {
            (Ok(fixed), _) => fixed,
            (Err(stop), None) => return Err(path.unkeyed(stop)),
            (Err(stop), Some(outer)) => return Ok(cut_short(outer, inner, layers, path.tunnels, odd, stop)),
        };
        let below = ipv6::walk(fixed, &path, &mut odd);
        let found = Found { outer, layers, tunnels: path.tunnels };
        let chain = &below.chain;
        let (segment, carried) = match chain.upper() {
            Some(upper::TCP) => {
                let segment = upper::tcp(chain, &mut odd);
                return Ok(found.packet(below.header(segment), odd, None));
            }
            Some(upper::ICMPV6) => {
                let segment = icmpv6::read(chain, below.fixed.hop_limit(), &mut odd);
                if icmpv6::is_error(&segment) {
                    let (error, dst) = (chain.rest.bytes(), below.fixed.dst());
                    let quoted = icmpv6::quote(error, chain.claimed, dst, path.limits, &mut odd);
                    return Ok(found.packet(below.header(segment), odd, quoted));
                }
                return Ok(found.packet(below.header(segment), odd, None));
            }
            Some(upper::DCCP) => {
                let segment = upper::dccp(chain, &mut odd);
                return Ok(found.packet(below.header(segment), odd, None));
            }
            Some(upper::SCTP) => {
                let segment = upper::sctp(chain, &mut odd);
                return Ok(found.packet(below.header(segment), odd, None));
            }
            Some(upper::UDP_LITE) => {
                let segment = upper::udp_lite(chain, &mut odd);
                return Ok(found.packet(below.header(segment), odd, None));
            }
            Some(upper::UDP) => upper::udp(chain, below.jumbo, &mut odd),
            Some(_) => (Segment::NONE, upper::carried(chain, &mut odd)),
            None => (Segment::NONE, None),
        };
        let Some(carried) = carried else { return Ok(found.packet(below.header(segment), odd, None)) };
        let header = below.header(segment);
        let Some(outer) = outer else { return inside(&header, &carried, Path { ..path }, odd) };
        if let Err(stop) = path.cross(&carried) {
            return Ok(cut_short(outer, Some(header), layers + 1, path.tunnels, odd, stop));
        }
        inner = Some(header);
        layers = layers.saturating_add(1);
        (layer, view) = (carried.layer, carried.view);
    }
}

/// What is found of a packet before its last header: the number of headers and the tunnels on the way.
#[derive(Clone, Copy)]
struct Found<'a> {
    outer: Option<&'a Header>,
    /// IPv6 headers, the last not counted.
    layers: u8,
    tunnels: Tunnels,
}

impl Found<'_> {
    /// The packet that ends with this header.
    #[inline(always)]
    fn packet(self, header: Header, anomalies: Anomalies, quoted: Option<Quoted>) -> Packet {
        let Self { outer, layers, tunnels } = self;
        match outer {
            None => Packet { outer: header, inner: None, tunnels, layers: 1, anomalies, quoted },
            Some(&outer) => {
                let layers = layers.saturating_add(1);
                Packet { outer, inner: Some(header), tunnels, layers, anomalies, quoted }
            }
        }
    }
}

/// The packet whose last header carries what is not IPv6 or cannot be read.
#[inline(never)]
fn cut_short(
    outer: &Header,
    inner: Option<Header>,
    layers: u8,
    tunnels: Tunnels,
    mut anomalies: Anomalies,
    stop: Stop,
) -> Packet {
    match stop {
        Stop::Depth => anomalies.insert(Anomaly::TunnelDepth),
        Stop::Unkeyed(Unkeyed::Malformed(_)) => anomalies.insert(Anomaly::TunnelTruncated),
        // A tunnel may carry anything; that it is not IPv6 is nothing odd.
        Stop::Unkeyed(Unkeyed::NotIpv6(_)) => {}
    }
    Packet { outer: *outer, inner, tunnels, layers, anomalies, quoted: None }
}

/// Source and destination of the outermost IPv6 header, or none where [`parse`] with the default limits finds no packet.
///
/// It reads no further than those addresses, so that a reader can distribute frames over workers for a fraction of the
/// cost of [`parse`].
#[inline]
pub fn pair(link: Link, frame: &[u8]) -> Option<(u128, u128)> {
    let view = View::of_frame(frame, 0);
    let fixed = match direct(link, view) {
        Some((fixed, _)) => fixed,
        None => return pair_walked(link, frame, view),
    };
    Some((fixed.src(), fixed.dst()))
}

#[inline(never)]
fn pair_walked(link: Link, frame: &[u8], view: View<'_>) -> Option<(u128, u128)> {
    let mut path = Path::new(link, frame, &Limits::DEFAULT);
    let mut view = view;
    let layer = link::open(link, &mut view, &mut path).ok()?;
    let fixed = path.descend(layer, view).ok()?;
    Some((fixed.src(), fixed.dst()))
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layer {
    /// A whole Ethernet frame.
    Ethernet,
    /// The payload of this EtherType.
    EtherType(u16),
    /// An LLC header.
    Llc,
    /// A PPP protocol field, perhaps behind address and control bytes.
    Ppp,
    /// An MPLS label stack.
    Mpls,
    /// An IP header of the version that its first four bits name.
    Ip,
    /// An IPv4 header.
    Ipv4,
    /// An IPv6 header.
    Ipv6,
    /// A MACsec tag, behind its EtherType.
    Macsec,
    /// A GRE header.
    Gre,
    /// An EtherIP header.
    EtherIp,
    /// A PIM header.
    Pim,
}

/// What an IP header carries, when that is another packet or frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried<'a> {
    pub(crate) tunnel: Tunnels,
    pub(crate) layer: Layer,
    pub(crate) view: View<'a>,
}

/// Why the way down ended before an IPv6 header.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Unkeyed(Unkeyed),
    Depth,
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Unkeyed(Unkeyed::Malformed(malformed))
    }
}

impl From<NotIpv6> for Stop {
    fn from(other: NotIpv6) -> Self {
        Self::Unkeyed(Unkeyed::NotIpv6(other))
    }
}

/// Where the parser stands between two IPv6 headers.
#[derive(Debug)]
pub(crate) struct Path<'a> {
    pub(crate) limits: &'a Limits,
    /// Bytes behind the next packet that the link below it explains: padding to its least length, or a frame check sequence.
    pub(crate) slack: u64,
    /// Encapsulations crossed so far, as a set.
    pub(crate) tunnels: Tunnels,
    link: Link,
    frame: &'a [u8],
    depth: u8,
    tags: u8,
    /// Whether IPv4 was crossed.
    ipv4: bool,
}

impl<'a> Path<'a> {
    #[inline]
    fn new(link: Link, frame: &'a [u8], limits: &'a Limits) -> Self {
        Self { limits, slack: 0, tunnels: Tunnels(0), link, frame, depth: 0, tags: 0, ipv4: false }
    }

    /// What it means that the way down ended before the first IPv6 header.
    #[inline]
    fn unkeyed(&self, stop: Stop) -> Unkeyed {
        match stop {
            Stop::Depth => Unkeyed::Malformed(Malformed::LinkDepth),
            // What IPv4 carried instead of IPv6 is still IPv4's business.
            Stop::Unkeyed(Unkeyed::NotIpv6(_)) if self.ipv4 => Unkeyed::NotIpv6(NotIpv6::Ipv4),
            Stop::Unkeyed(unkeyed) => unkeyed,
        }
    }

    /// Goes down layer by layer to the next IPv6 header. Each step consumes bytes or names a layer that does, and tags and
    /// tunnels are counted against their limits.
    #[inline(always)]
    fn descend(&mut self, layer: Layer, view: View<'a>) -> Result<Fixed<'a>, Stop> {
        let (mut layer, mut view) = (layer, view);
        loop {
            layer = match layer {
                Layer::Ipv6 => return Ok(Fixed::new(view)?),
                Layer::Ethernet => link::ethernet(&mut view, self)?,
                Layer::EtherType(kind) => link::ethertype(kind, &mut view, self)?,
                Layer::Ppp => link::ppp(&mut view)?,
                Layer::Mpls => link::mpls(&mut view, self)?,
                Layer::Ip => link::ip(view)?,
                Layer::Gre => tunnel::gre(&mut view)?,
                Layer::Ipv4 => {
                    self.ipv4 = true;
                    let carried = tunnel::ipv4(view)?;
                    self.cross(&carried)?;
                    view = carried.view;
                    carried.layer
                }
                Layer::Llc | Layer::Macsec | Layer::EtherIp | Layer::Pim => {
                    let (layer, rest) = rare(layer, view.bytes(), view.beyond())?;
                    view = rest;
                    layer
                }
            };
        }
    }

    /// Enters an encapsulation, if the limit allows one more.
    #[inline(always)]
    fn cross(&mut self, carried: &Carried<'_>) -> Result<(), Stop> {
        if self.depth >= self.limits.tunnels {
            return Err(Stop::Depth);
        }
        self.depth += 1;
        self.tags = 0;
        self.slack = if carried.tunnel.has(Tunnels::TEREDO) { tunnel::TEREDO_SLACK } else { 0 };
        self.tunnels.insert(carried.tunnel);
        Ok(())
    }

    /// Counts one VLAN tag or MPLS label.
    pub(crate) fn tag(&mut self) -> Result<(), Malformed> {
        if self.tags >= self.limits.link_tags {
            return Err(Malformed::LinkDepth);
        }
        self.tags += 1;
        Ok(())
    }

    /// The link and the frame, for the few packets of which it matters whether they ever left their host.
    #[inline]
    pub(crate) const fn origin(&self) -> (Link, &'a [u8]) {
        (self.link, self.frame)
    }
}

/// A step that few frames need.
#[inline(never)]
fn rare(layer: Layer, bytes: &[u8], beyond: u64) -> Result<(Layer, View<'_>), Stop> {
    let mut view = View::new(bytes, beyond);
    let next = match layer {
        Layer::Llc => link::llc(&mut view)?,
        Layer::Macsec => link::macsec(&mut view)?,
        Layer::EtherIp => tunnel::etherip(&mut view)?,
        Layer::Pim => tunnel::pim(&mut view)?,
        other => other,
    };
    Ok((next, view))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// An Ethernet frame with IPv6 from 2a00::1 to 2a00::2 and an upper layer of 32 bytes.
    fn frame(next_header: u8, upper: &[u8]) -> Vec<u8> {
        let mut frame = std::vec![2; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, next_header, 64]);
        frame.extend((0x2a00_u128 << 112 | 1).to_be_bytes());
        frame.extend((0x2a00_u128 << 112 | 2).to_be_bytes());
        frame.extend(upper);
        frame.resize(14 + 40 + 32, 7);
        frame
    }

    fn plain_frames() -> [Vec<u8>; 2] {
        [
            frame(6, &[3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 16, 0, 1, 2, 0, 0]),
            frame(17, &[3, 232, 0, 53, 0, 32, 1, 2]),
        ]
    }

    fn short(frame: &[u8], wire_len: u32) -> Option<Packet> {
        let (fixed, slack) = direct(Link::Ethernet, View::of_frame(frame, wire_len))?;
        plain::read(&fixed, slack, (Link::Ethernet, frame))
    }

    fn long(frame: &[u8], wire_len: u32) -> Result<Packet, Unkeyed> {
        walked(Link::Ethernet, frame, wire_len, &Limits::DEFAULT)
    }

    #[test]
    fn plain_packets_take_the_short_way() {
        for frame in plain_frames() {
            assert_eq!(short(&frame, 0).ok_or(()), long(&frame, 0).map_err(|_| ()));
            assert!(short(&frame, 0).is_some());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn the_short_way_gives_no_other_answer(
            which in 0..2usize,
            changes in prop::collection::vec((0..86usize, any::<u8>()), 0..4),
            len in 0..120usize,
            wire_len in 0..200u32,
        ) {
            let mut frame = plain_frames()[which].clone();
            for (at, value) in changes {
                frame[at] = value;
            }
            frame.resize(len, 0);
            if let Some(packet) = short(&frame, wire_len) {
                prop_assert_eq!(Ok(packet), long(&frame, wire_len));
            }
        }
    }
}
