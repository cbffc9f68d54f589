//! The way down from one layer to the next, until there is an IPv6 header.

use crate::ipv6::Fixed;
use crate::limits::Limits;
use crate::link::{self, Link};
use crate::packet::{Malformed, NotIpv6, Tunnels, Unkeyed};
use crate::reader::View;
use crate::tunnel;

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
#[derive(Clone, Debug)]
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
    pub(crate) fn new(link: Link, frame: &'a [u8], limits: &'a Limits) -> Self {
        Self { limits, slack: 0, tunnels: Tunnels(0), link, frame, depth: 0, tags: 0, ipv4: false }
    }

    /// Finds the outermost IPv6 header.
    #[inline(always)]
    pub(crate) fn first(&mut self, mut view: View<'a>) -> Result<Fixed<'a>, Unkeyed> {
        let layer = match link::open(self.link, &mut view, self) {
            Ok(layer) => layer,
            Err(stop) => return Err(self.unkeyed(stop)),
        };
        match self.descend(layer, view) {
            Ok(fixed) => Ok(fixed),
            Err(stop) => Err(self.unkeyed(stop)),
        }
    }

    /// Finds the next IPv6 header inside an encapsulation.
    #[inline(always)]
    pub(crate) fn enter(&mut self, carried: &Carried<'a>) -> Result<Fixed<'a>, Stop> {
        self.cross(carried.tunnel)?;
        self.descend(carried.layer, carried.view)
    }

    /// What it means that the way down ended before the first IPv6 header.
    #[inline]
    pub(crate) fn unkeyed(&self, stop: Stop) -> Unkeyed {
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
                    let (tunnel, layer) = tunnel::ipv4(&mut view)?;
                    self.cross(tunnel)?;
                    layer
                }
                Layer::Llc | Layer::Macsec | Layer::EtherIp | Layer::Pim => {
                    let (next, rest) = rare(layer, view.bytes(), view.beyond());
                    view = rest;
                    next?
                }
            };
        }
    }

    /// Enters an encapsulation, if the limit allows one more.
    #[inline(always)]
    fn cross(&mut self, tunnel: Tunnels) -> Result<(), Stop> {
        if self.depth >= self.limits.tunnels {
            return Err(Stop::Depth);
        }
        self.depth += 1;
        self.tags = 0;
        self.slack = if tunnel.has(Tunnels::TEREDO) { tunnel::TEREDO_SLACK } else { 0 };
        self.tunnels.insert(tunnel);
        Ok(())
    }

    /// Counts one VLAN tag, MPLS label, or link layer inside another.
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
fn rare(layer: Layer, bytes: &[u8], beyond: u64) -> (Result<Layer, Stop>, View<'_>) {
    let mut view = View::new(bytes, beyond);
    let next = match layer {
        Layer::Llc => link::llc(&mut view),
        Layer::Macsec => link::macsec(&mut view),
        Layer::EtherIp => tunnel::etherip(&mut view),
        Layer::Pim => tunnel::pim(&mut view),
        other => Ok(other),
    };
    (next, view)
}
