//! The upper layer: ports, flags, tags, and what else flow state is made from.

use crate::anomaly::{Anomalies, Anomaly};
use crate::chain::{Chain, NO_NEXT_HEADER};
use crate::packet::{QuicIds, TcpFlags, Upper};
use crate::path::Carried;
use crate::reader::{View, be16};
use crate::tunnel;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const DCCP: u8 = 33;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const PIM: u8 = 103;
pub(crate) const SCTP: u8 = 132;
pub(crate) const UDP_LITE: u8 = 136;

/// What an upper-layer header said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) upper: Upper,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
}

impl Segment {
    /// No upper layer, or one without ports.
    pub(crate) const NONE: Self = Self { upper: Upper::None, sport: 0, dport: 0 };

    /// An upper layer with ports.
    #[inline]
    fn with_ports((sport, dport): (u16, u16), upper: Upper, odd: &mut Anomalies) -> Self {
        if sport == 0 || dport == 0 {
            odd.insert(Anomaly::PortZero);
        }
        Self { upper, sport, dport }
    }

    /// An upper layer whose ports are as they should be.
    #[inline]
    fn plain((sport, dport): (u16, u16), upper: Upper) -> Option<Self> {
        (sport != 0 && dport != 0).then_some(Self { upper, sport, dport })
    }
}

/// What a protocol that is no upper layer carries, when it is a tunnel.
#[inline(always)]
pub(crate) fn carried<'a>(chain: &Chain<'a>, odd: &mut Anomalies) -> Option<Carried<'a>> {
    match chain.proto {
        NO_NEXT_HEADER => {
            if chain.claimed > 0 {
                odd.insert(Anomaly::NoNextHeaderPayload);
            }
            None
        }
        253 | 254 => {
            odd.insert(Anomaly::ExperimentalHeader);
            None
        }
        protocol => {
            let inside = if chain.is_first_fragment { chain.rest.continued() } else { chain.rest };
            tunnel::of_protocol(protocol, inside, true)
        }
    }
}

/// TCP (RFC 9293, section 3.1).
#[inline(always)]
pub(crate) fn tcp(chain: &Chain<'_>, odd: &mut Anomalies) -> Segment {
    let Some(header) = chain.rest.first::<20>() else { return cut(chain, 20, odd) };
    let len = tcp_len(header);
    if len < 20 {
        odd.insert(Anomaly::TcpOffset);
    } else if chain.ends_within(len) {
        let first = chain.is_first_fragment;
        odd.insert(if first { Anomaly::FirstFragmentIncomplete } else { Anomaly::TcpOffset });
    }
    *odd = odd.union(tcp_flags(TcpFlags(header[13])));
    Segment::with_ports(ports_of(header), tcp_upper(header), odd)
}

/// TCP about which nothing is odd.
#[inline(always)]
pub(crate) fn plain_tcp(payload: View<'_>, claimed: u64) -> Option<Segment> {
    let header = payload.first::<20>()?;
    let plain = (20..=claimed).contains(&tcp_len(header)) && tcp_flags(TcpFlags(header[13])).is_empty();
    if plain { Segment::plain(ports_of(header), tcp_upper(header)) } else { None }
}

#[inline]
const fn tcp_len(header: &[u8; 20]) -> u64 {
    (header[12] >> 4) as u64 * 4
}

#[inline]
const fn tcp_upper(header: &[u8; 20]) -> Upper {
    let [_, _, _, _, s0, s1, s2, s3, a0, a1, a2, a3, _, flags, w0, w1, ..] = *header;
    Upper::Tcp {
        flags: TcpFlags(flags),
        seq: u32::from_be_bytes([s0, s1, s2, s3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        window: be16(w0, w1),
    }
}

#[inline]
const fn tcp_flags(flags: TcpFlags) -> Anomalies {
    let mut odd = Anomalies::NONE;
    // An acknowledgement without SYN is nearly everything.
    if flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::SYN) {
        return odd;
    }
    if flags.0 == 0 {
        odd.insert(Anomaly::TcpNull);
    }
    if flags.has(TcpFlags::SYN | TcpFlags::FIN) || flags.has(TcpFlags::SYN | TcpFlags::RST) {
        odd.insert(Anomaly::TcpFlagsContradict);
    }
    if flags.has(TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG) && !flags.has(TcpFlags::ACK) {
        odd.insert(Anomaly::TcpXmas);
    }
    odd
}

/// UDP (RFC 768), what QUIC shows of itself inside, and tunnels.
#[inline(always)]
pub(crate) fn udp<'a>(chain: &Chain<'a>, jumbo: bool, odd: &mut Anomalies) -> (Segment, Option<Carried<'a>>) {
    let Some((header, payload)) = chain.rest.split::<8>() else { return (cut(chain, 8, odd), None) };
    let len = be16(header[4], header[5]);
    let in_other_fragments = len >= 8 && chain.is_first_fragment;
    let given_by_jumbo = len == 0 && jumbo;
    if (len < 8 || chain.ends_within(u64::from(len))) && !in_other_fragments && !given_by_jumbo {
        odd.insert(Anomaly::UdpLength);
    }
    let quic = if is_quic(payload) { quic_ids(payload.bytes()) } else { None };
    let segment = Segment::with_ports(ports_of(header), Upper::Udp { quic }, odd);
    let payload = if chain.is_first_fragment { payload.continued() } else { payload };
    let carried = tunnel::of_udp(segment.sport, segment.dport, len, payload);
    if be16(header[6], header[7]) == 0 && carried.is_none() {
        odd.insert(Anomaly::UdpChecksumZero);
    }
    (segment, carried)
}

/// UDP about which nothing is odd and which holds nothing to look into.
#[inline(always)]
pub(crate) fn plain_udp(payload: View<'_>, claimed: u64) -> Option<Segment> {
    let (header, behind) = payload.split::<8>()?;
    let len = u64::from(be16(header[4], header[5]));
    let plain = (8..=claimed).contains(&len) && be16(header[6], header[7]) != 0 && !is_quic(behind);
    let segment = Segment::plain(ports_of(header), Upper::Udp { quic: None })?;
    let tunnel = tunnel::may_be(segment.sport) || tunnel::may_be(segment.dport);
    (plain && !tunnel).then_some(segment)
}

/// The first four bytes of a header, which are its ports.
#[inline]
const fn ports_of<const N: usize>(header: &[u8; N]) -> (u16, u16) {
    const { assert!(N >= 4, "ports have four bytes") };
    (be16(header[0], header[1]), be16(header[2], header[3]))
}

/// UDP-Lite (RFC 3828): the length field is the checksum's coverage, where 0 means all, and the checksum is never absent.
#[inline(always)]
pub(crate) fn udp_lite(chain: &Chain<'_>, odd: &mut Anomalies) -> Segment {
    let Some(header) = chain.rest.first::<8>() else { return cut(chain, 8, odd) };
    let coverage = be16(header[4], header[5]);
    let past_end = chain.ends_within(u64::from(coverage)) && !chain.is_first_fragment;
    if (1..8).contains(&coverage) || past_end {
        odd.insert(Anomaly::UdpLength);
    }
    if be16(header[6], header[7]) == 0 {
        odd.insert(Anomaly::UdpChecksumZero);
    }
    Segment::with_ports(ports_of(header), Upper::Udp { quic: None }, odd)
}

/// Whether a payload starts like a QUIC long header of a version whose layout is known: 1, 2 and the drafts before them
/// (RFC 9000, section 17.2; RFC 9369).
#[inline(always)]
fn is_quic(payload: View<'_>) -> bool {
    const LONG_AND_FIXED: u8 = 0xc0;
    const DRAFTS: u32 = 0xff00_0000;
    let Some([first, version @ ..]) = payload.first::<5>() else { return false };
    let version = u32::from_be_bytes(*version);
    first & LONG_AND_FIXED == LONG_AND_FIXED
        && (version == 1 || version == 0x6b33_43cf || version & !0xff == DRAFTS)
}

/// The connection ids of a QUIC long header, none when they are longer than 20 bytes or cut.
#[inline(always)]
fn quic_ids(payload: &[u8]) -> Option<QuicIds> {
    const ID_MAX: u8 = 20;
    let id = |bytes| -> Option<(Option<u64>, &[u8])> {
        let (&len, rest) = <[u8]>::split_first(bytes)?;
        let (id, rest) = rest.split_at_checked(usize::from(len))?;
        (len <= ID_MAX).then(|| (id.first_chunk().map(|&id| u64::from_be_bytes(id)), rest))
    };
    let (destination, rest) = id(payload.get(5..)?)?;
    let (source, _) = id(rest)?;
    Some(QuicIds { destination, source })
}

/// SCTP (RFC 9260, section 3).
#[inline(always)]
pub(crate) fn sctp(chain: &Chain<'_>, odd: &mut Anomalies) -> Segment {
    const INIT: u8 = 1;
    const INIT_ACK: u8 = 2;
    let Some((header, chunks)) = chain.rest.split::<12>() else { return cut(chain, 12, odd) };
    let [_, _, _, _, t0, t1, t2, t3, ..] = *header;
    let verification_tag = u32::from_be_bytes([t0, t1, t2, t3]);
    let chunk = chunks.first::<8>();
    let kind = chunks.first::<1>().map(|[kind]| *kind);
    if kind.is_some_and(|kind| (verification_tag == 0) != (kind == INIT)) {
        odd.insert(Anomaly::SctpTag);
    }
    let initiate_tag = match chunk {
        Some([INIT | INIT_ACK, _, _, _, tag @ ..]) => Some(u32::from_be_bytes(*tag)),
        _ => None,
    };
    Segment::with_ports(ports_of(header), Upper::Sctp { verification_tag, initiate_tag }, odd)
}

/// DCCP (RFC 4340, section 5.1).
#[inline(always)]
pub(crate) fn dccp(chain: &Chain<'_>, odd: &mut Anomalies) -> Segment {
    let Some(header) = chain.rest.first::<12>() else { return cut(chain, 12, odd) };
    Segment::with_ports(ports_of(header), Upper::Dccp { kind: header[8] >> 1 & 0x0f }, odd)
}

/// An upper-layer header that is not whole: its ports, when at least these could be read.
#[inline]
fn cut(chain: &Chain<'_>, len: u64, odd: &mut Anomalies) -> Segment {
    name_cut(chain, len, odd);
    match chain.rest.first::<4>() {
        Some(ports) => Segment::with_ports(ports_of(ports), Upper::None, odd),
        None => Segment::NONE,
    }
}

/// Names the cut of an upper-layer header of `len` bytes.
#[inline(always)]
pub(crate) fn name_cut(chain: &Chain<'_>, len: u64, odd: &mut Anomalies) {
    odd.insert(if chain.is_first_fragment && chain.ends_within(len) {
        Anomaly::FirstFragmentIncomplete
    } else {
        Anomaly::UpperTruncated
    });
}

/// Ports, or ICMPv6 type and code, of a quoted packet.
pub(crate) fn ports(proto: u8, rest: View<'_>) -> (u16, u16) {
    match (proto, rest.bytes()) {
        (6 | 17 | 33 | 132 | 136, [s0, s1, d0, d1, ..]) => (be16(*s0, *s1), be16(*d0, *d1)),
        (ICMPV6, [kind, code, ..]) => (u16::from(*kind), u16::from(*code)),
        _ => (0, 0),
    }
}
