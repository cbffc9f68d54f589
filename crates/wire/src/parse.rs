//! The way from the first byte of a frame to its [`Packet`]: down through the layers to an IPv6 header, read it, and on
//! into what it carries, as deep as the limit allows. All of it is loops, so that the stack stays as it is however deep a
//! frame nests.
//!
//! What decides its speed is less what it computes than what it moves. A [`Packet`] has 272 bytes, written in small
//! pieces; to copy it right afterwards in large ones makes the processor wait for each. So a packet is put together once,
//! where the caller wants it, and nothing that the steps share is handed over in memory: they are inlined into one
//! function, and what is not inlined takes and returns no more than fits into registers.

use crate::anomaly::{Anomalies, Anomaly};
use crate::icmpv6;
use crate::ipv6::{self, Fixed, Walked};
use crate::limits::Limits;
use crate::link::{self, Link};
use crate::packet::{Header, Packet, Quoted, Tunnels, Unkeyed};
use crate::path::{Carried, Path, Stop};
use crate::plain;
use crate::reader::{View, be16};
use crate::upper::{self, Segment};

/// Reads one frame.
///
/// `frame` holds the captured bytes and `wire_len` the length that the frame had on the wire, in bytes; the two differ when
/// a capture was cut to a snap length. What the capture cut is not held against the sender: anomalies that say no more than that bytes are missing are
/// named only where the whole frame is there, and [`Anomaly::PayloadTruncated`] and [`Anomaly::TrailingBytes`] compare what
/// headers claim with `wire_len`.
///
/// The work is linear in the bytes of the headers and bounded by `limits`; nothing is allocated.
///
/// # Errors
///
/// [`Unkeyed::NotIpv6`] when the frame carries no IPv6 header, and [`Unkeyed::Malformed`] when it promises one that
/// cannot be read.
#[inline]
pub fn parse(link: Link, frame: &[u8], wire_len: u32, limits: &Limits) -> Result<Packet, Unkeyed> {
    let mut found = if plain::may_be(link, frame) {
        short(frame, wire_len, limits)
    } else {
        walked(link, frame, wire_len, limits)
    };
    if (frame.len() as u64) < u64::from(wire_len)
        && let Ok(packet) = &mut found
    {
        packet.anomalies = packet.anomalies.without(UNSEEN);
    }
    found
}

/// Anomalies that say no more than that bytes are missing.
const UNSEEN: Anomalies = {
    let mut unseen = Anomalies::NONE;
    unseen.insert(Anomaly::ExtHeaderTruncated);
    unseen.insert(Anomaly::UpperTruncated);
    unseen.insert(Anomaly::TunnelTruncated);
    unseen.insert(Anomaly::QuoteMismatch);
    // The jumbo option that would explain it may be among what is missing.
    unseen.insert(Anomaly::PayloadLengthZero);
    unseen
};

/// The packet of an Ethernet frame that may be plain. Apart from [`parse`], so that other frames do not pay for its
/// registers.
#[inline(never)]
fn short(frame: &[u8], wire_len: u32, limits: &Limits) -> Result<Packet, Unkeyed> {
    if let Some((fixed, slack)) = direct(Link::Ethernet, View::of_frame(frame, wire_len))
        && let Some((header, odd)) = plain::read(&fixed, slack)
    {
        return Ok(Found::NONE.packet(header, odd, None));
    }
    walked(Link::Ethernet, frame, wire_len, limits)
}

/// The header of a packet that lies directly in Ethernet or nothing, and the slack that its link leaves.
#[inline]
pub(crate) fn direct(link: Link, view: View<'_>) -> Option<(Fixed<'_>, u64)> {
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
    let view = View::of_frame(frame, wire_len);
    let fixed = match direct(link, view) {
        Some((fixed, slack)) => {
            path.slack = slack;
            fixed
        }
        None => path.first(view)?,
    };
    if !plain::may_be(link, frame)
        && let Some((header, odd)) = plain::read(&fixed, path.slack)
    {
        return Ok(Found { tunnels: path.tunnels, ..Found::NONE }.packet(header, odd, None));
    }
    headers(fixed, path, Anomalies::NONE, None)
}

/// The packet that goes on inside its `outer` header. It comes from [`headers`] and goes there once more, to stay.
#[inline(never)]
fn inside<'a>(
    outer: &Header,
    carried: &Carried<'a>,
    mut path: Path<'a>,
    odd: Anomalies,
) -> Result<Packet, Unkeyed> {
    match path.enter(carried) {
        Ok(fixed) => headers(fixed, path, odd, Some(outer)),
        Err(stop) => Ok(cut_short(outer, None, 1, path.tunnels, odd, stop)),
    }
}

/// Reads the IPv6 headers from here on, as deep as the limit allows: the outermost one, or those inside `outer`.
///
/// Each kind of upper layer returns a packet of its own; one that all of them fill would be built aside and moved. For the
/// same reason this is inlined once for the outermost header, which nearly all packets end with, and once for what lies
/// [`inside`] it.
#[inline(always)]
fn headers<'a>(
    mut fixed: Fixed<'a>,
    mut path: Path<'a>,
    mut odd: Anomalies,
    outer: Option<&Header>,
) -> Result<Packet, Unkeyed> {
    let mut layers = 1u8;
    loop {
        let found = Found { outer, layers, tunnels: path.tunnels };
        if outer.is_some()
            && let Some((header, more)) = plain::read(&fixed, path.slack)
        {
            return Ok(found.packet(header, odd.union(more), None));
        }
        let below = ipv6::walk(fixed, &path, &mut odd);
        let chain = &below.chain;
        let (segment, carried) = match chain.upper() {
            Some(upper::TCP) => return found.end(&below, upper::tcp(chain, &mut odd), odd),
            Some(upper::DCCP) => return found.end(&below, upper::dccp(chain, &mut odd), odd),
            Some(upper::SCTP) => return found.end(&below, upper::sctp(chain, &mut odd), odd),
            Some(upper::UDP_LITE) => return found.end(&below, upper::udp_lite(chain, &mut odd), odd),
            Some(upper::ICMPV6) => {
                let segment = icmpv6::read(chain, below.fixed.hop_limit(), &mut odd);
                if !icmpv6::is_error(&segment) {
                    return found.end(&below, segment, odd);
                }
                let (error, receiver) = (chain.rest.bytes(), below.fixed.dst());
                let quoted = icmpv6::quote(error, chain.claimed, receiver, path.limits, &mut odd);
                return Ok(found.packet(below.header(segment), odd, quoted));
            }
            Some(upper::UDP) => upper::udp(chain, below.jumbo, &mut odd),
            Some(_) => (Segment::NONE, upper::carried(chain, &mut odd)),
            None => return found.end(&below, Segment::NONE, odd),
        };
        let Some(carried) = carried else { return found.end(&below, segment, odd) };
        let header = below.header(segment);
        let Some(outer) = outer else { return inside(&header, &carried, path.clone(), odd) };
        layers = layers.saturating_add(1);
        fixed = match path.enter(&carried) {
            Ok(fixed) => fixed,
            Err(stop) => return Ok(cut_short(outer, Some(header), layers, path.tunnels, odd, stop)),
        };
    }
}

/// What is found of a packet before its last header.
#[derive(Clone, Copy)]
struct Found<'a> {
    outer: Option<&'a Header>,
    /// IPv6 headers, the last not counted.
    layers: u8,
    tunnels: Tunnels,
}

impl Found<'_> {
    /// Nothing yet.
    const NONE: Self = Self { outer: None, layers: 0, tunnels: Tunnels(0) };

    /// The packet that ends with this upper layer.
    #[inline(always)]
    fn end(self, below: &Walked<'_>, segment: Segment, anomalies: Anomalies) -> Result<Packet, Unkeyed> {
        Ok(self.packet(below.header(segment), anomalies, None))
    }

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
    let fixed = Path::new(link, frame, &Limits::DEFAULT).first(view).ok()?;
    Some((fixed.src(), fixed.dst()))
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

    fn plainly(frame: &[u8], wire_len: u32) -> Option<Packet> {
        let (fixed, slack) = direct(Link::Ethernet, View::of_frame(frame, wire_len))?;
        let (header, odd) = plain::read(&fixed, slack)?;
        Some(Found::NONE.packet(header, odd, None))
    }

    fn long(frame: &[u8], wire_len: u32) -> Result<Packet, Unkeyed> {
        walked(Link::Ethernet, frame, wire_len, &Limits::DEFAULT)
    }

    #[test]
    fn plain_packets_take_the_short_way() {
        for frame in plain_frames() {
            assert_eq!(plainly(&frame, 0).ok_or(()), long(&frame, 0).map_err(|_| ()));
            assert!(plainly(&frame, 0).is_some() && plain(Link::Ethernet, &frame, 0).is_some());
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
            if let Some(packet) = plainly(&frame, wire_len) {
                prop_assert_eq!(Ok(packet), long(&frame, wire_len));
            }
            if let Some((outer, anomalies)) = plain(Link::Ethernet, &frame, wire_len) {
                let packet = Packet { outer, inner: None, tunnels: Tunnels(0), layers: 1, anomalies, quoted: None };
                prop_assert_eq!(Ok(packet), parse(Link::Ethernet, &frame, wire_len, &Limits::DEFAULT));
            }
        }
    }
}
