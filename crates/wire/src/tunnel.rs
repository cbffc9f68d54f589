//! Encapsulations: what an IP header carries when that is another packet or frame.
//!
//! A protocol number announces its tunnel, so what is broken behind one is an oddity. A UDP port only suggests one: what
//! does not look like the tunnel in every reserved bit is taken for plain UDP, or anyone could make their packets odd or
//! unread by choosing a port.

use crate::packet::{Malformed, NotIpv6, Tunnels};
use crate::path::{Carried, Layer, Stop};
use crate::reader::{View, be16};

/// Bytes that may follow a packet inside Teredo: its trailers (RFC 6081, section 4).
pub(crate) const TEREDO_SLACK: u64 = u64::MAX;

const CUT: Malformed = Malformed::CarrierTruncated;

/// What an IP protocol carries, when it is a tunnel. `six` says that the header before it is IPv6.
#[inline(always)]
pub(crate) fn of_protocol(protocol: u8, view: View<'_>, six: bool) -> Option<Carried<'_>> {
    let (tunnel, layer) = match (protocol, six) {
        (41, true) => (Tunnels::SIX_IN_SIX, Layer::Ipv6),
        (41, false) => (Tunnels::SIX_IN_FOUR, Layer::Ipv6),
        (4, true) => (Tunnels::FOUR_IN_SIX, Layer::Ipv4),
        (4, false) => (Tunnels::FOUR_IN_FOUR, Layer::Ipv4),
        (47, _) => (Tunnels::GRE, Layer::Gre),
        (97, _) => (Tunnels::ETHERIP, Layer::EtherIp),
        (103, _) => (Tunnels::PIM_REGISTER, Layer::Pim),
        (137, _) => (Tunnels::MPLS, Layer::Mpls),
        // Ethernet as a next header (RFC 8986, section 4.9).
        (143, _) => (Tunnels::ETHERNET, Layer::Ethernet),
        _ => return None,
    };
    // Other PIM messages carry nothing, and are not tunnels.
    if protocol == 103 && pim(&mut View::clone(&view)).is_err() {
        return None;
    }
    Some(Carried { tunnel, layer, view })
}

/// An IPv4 header (RFC 791, section 3.1), the tunnel that it carries, and what lies in that.
#[inline(always)]
pub(crate) fn ipv4(view: &mut View<'_>) -> Result<(Tunnels, Layer), Stop> {
    const OFFSET: u16 = 0x1fff;
    const MORE: u16 = 0x2000;
    let header = view.first::<20>().ok_or(CUT)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total_len = be16(header[2], header[3]);
    // Segmentation offload leaves a total length of 0 in captures of the sender.
    let within = if total_len == 0 { *view } else { view.limit(u64::from(total_len)) };
    if header[0] >> 4 != 4 || header_len < 20 {
        return Err(CUT.into());
    }
    let mut payload = within.skip(header_len).ok_or(CUT)?;
    let mut protocol = header[9];
    let fragment = be16(header[6], header[7]);
    if fragment & OFFSET != 0 {
        return Err(NotIpv6::Ipv4.into());
    }
    if fragment & MORE != 0 {
        payload = payload.continued();
    }
    if protocol == 51 {
        let ah = payload.first::<2>().ok_or(CUT)?;
        protocol = ah[0];
        payload = payload.skip((usize::from(ah[1]) + 2) * 4).ok_or(CUT)?;
    }
    let carried = if protocol == 17 {
        payload.split::<8>().and_then(|(udp, rest)| {
            of_udp(be16(udp[0], udp[1]), be16(udp[2], udp[3]), be16(udp[4], udp[5]), rest)
        })
    } else {
        of_protocol(protocol, payload, false)
    };
    let Some(Carried { tunnel, layer, view: inside }) = carried else { return Err(NotIpv6::Ipv4.into()) };
    *view = inside;
    Ok((tunnel, layer))
}

/// GRE version 0 (RFC 2784, RFC 2890, and the routing field of RFC 1701), and ERSPAN inside it.
#[inline(always)]
pub(crate) fn gre(view: &mut View<'_>) -> Result<Layer, Stop> {
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    let [flags, version, high, low] = view.take::<4>().ok_or(CUT)?;
    match version & 0x07 {
        0 => {}
        // PPTP (RFC 2637) carries PPP that is encrypted or compressed as a rule.
        1 => return Err(NotIpv6::OtherProtocol.into()),
        _ => return Err(CUT.into()),
    }
    if flags & (CHECKSUM | ROUTING | KEY | SEQUENCE) != 0 {
        let optional = [CHECKSUM | ROUTING, KEY, SEQUENCE].iter().filter(|&&bit| flags & bit != 0).count();
        view.pass(4 * optional).ok_or(CUT)?;
        if flags & ROUTING != 0 {
            *view = gre_routing(view.bytes(), view.beyond()).ok_or(CUT)?;
        }
    }
    match be16(*high, *low) {
        // ERSPAN I has no header of its own, II has eight bytes and always a sequence number.
        0x88be if flags & SEQUENCE == 0 => Ok(Layer::Ethernet),
        0x88be => {
            view.pass(8).ok_or(CUT)?;
            Ok(Layer::Ethernet)
        }
        // ERSPAN III: twelve bytes, and eight more when the last bit says so. Frame types other than Ethernet exist.
        0x22eb => {
            let header = view.take::<12>().ok_or(CUT)?;
            view.pass(if header[11] & 1 == 0 { 0 } else { 8 }).ok_or(CUT)?;
            Ok(Layer::Ethernet)
        }
        kind => Ok(Layer::EtherType(kind)),
    }
}

/// What lies behind the source routes of GRE (RFC 1701): entries with a length each, until an empty one.
#[cold]
#[inline(never)]
fn gre_routing(routing: &[u8], beyond: u64) -> Option<View<'_>> {
    let mut rest = View::new(routing, beyond);
    loop {
        let [family_high, family_low, _, len] = rest.take::<4>()?;
        rest.pass(usize::from(*len))?;
        if (*family_high, *family_low, *len) == (0, 0, 0) {
            return Some(rest);
        }
    }
}

/// EtherIP version 3 (RFC 3378, section 3).
pub(crate) fn etherip(view: &mut View<'_>) -> Result<Layer, Stop> {
    match view.take::<2>() {
        Some([0x30, 0]) => Ok(Layer::Ethernet),
        _ => Err(CUT.into()),
    }
}

/// A PIM Register message (RFC 7761, section 4.9.3).
pub(crate) fn pim(view: &mut View<'_>) -> Result<Layer, Stop> {
    const VERSION_2_REGISTER: u8 = 0x21;
    match view.take::<8>() {
        Some([VERSION_2_REGISTER, ..]) => Ok(Layer::Ip),
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

/// What a UDP payload carries, when one of the ports suggests a tunnel and every bit of its header agrees.
///
/// `udp_len` is the length field of the UDP header. Lengths are held against it and not against what was captured, so that
/// the answer does not depend on where a capture was cut.
#[inline(always)]
pub(crate) fn of_udp(sport: u16, dport: u16, udp_len: u16, payload: View<'_>) -> Option<Carried<'_>> {
    // One port is asked and not the other after it, or a cut frame might be read as another tunnel than the whole.
    if may_be(dport) {
        of_port(dport, udp_len, payload.bytes(), payload.beyond())
    } else if may_be(sport) {
        of_port(sport, udp_len, payload.bytes(), payload.beyond())
    } else {
        None
    }
}

/// Whether a UDP port suggests a tunnel. One comparison turns almost every port away.
#[inline(always)]
pub(crate) const fn may_be(port: u16) -> bool {
    const LEAST: u16 = 2152;
    const MOST: u16 = 8472;
    port >= LEAST && port <= MOST && matches!(port, LEAST | 3544 | 4341 | 4789 | 4790 | 5072 | 6081 | MOST)
}

#[inline(never)]
fn of_port(port: u16, udp_len: u16, payload: &[u8], beyond: u64) -> Option<Carried<'_>> {
    let len = u64::from(udp_len.checked_sub(8)?);
    let payload = Claimed { view: View::new(payload, beyond).limit(len), len };
    let (tunnel, found) = match port {
        2152 => (Tunnels::GTP_U, gtp_u(payload)),
        3544 => (Tunnels::TEREDO, teredo(payload)),
        4341 => (Tunnels::LISP, lisp(payload)),
        4789 | 8472 => (Tunnels::VXLAN, vxlan(payload)),
        4790 => (Tunnels::VXLAN, vxlan_gpe(payload)),
        5072 => (Tunnels::AYIYA, ayiya(payload)),
        6081 => (Tunnels::GENEVE, geneve(payload)),
        _ => return None,
    };
    found.map(|(layer, view)| Carried { tunnel, layer, view })
}

/// A view with the length that headers claim for it, which what lies inside has to fit.
#[derive(Clone, Copy)]
struct Claimed<'a> {
    view: View<'a>,
    len: u64,
}

type Found<'a> = Option<(Layer, View<'a>)>;

impl<'a> Claimed<'a> {
    fn skip(self, len: usize) -> Option<Self> {
        Some(Self { view: self.view.skip(len)?, len: self.len.checked_sub(len as u64)? })
    }

    fn split<const N: usize>(self) -> Option<(&'a [u8; N], Self)> {
        Some((self.view.first()?, self.skip(N)?))
    }

    /// An inner frame that is at least long enough to be one.
    fn frame(self) -> Found<'a> {
        self.view.first::<14>().map(|_| (Layer::Ethernet, self.view))
    }

    /// The version of an inner IP packet.
    fn version(self) -> Option<u8> {
        self.view.first::<1>().map(|[first]| first >> 4)
    }

    /// A packet whose length fits exactly, as in tunnels that carry nothing else.
    fn packet(self) -> Found<'a> {
        let header = self.view.first::<20>()?;
        let len = match header[0] >> 4 {
            4 => u64::from(be16(header[2], header[3])),
            6 => 40 + u64::from(be16(header[4], header[5])),
            _ => return None,
        };
        (len == self.len).then_some((Layer::Ip, self.view))
    }

    /// An IPv6 packet that ends here or before.
    fn ipv6(self) -> Found<'a> {
        let header = self.view.first::<40>()?;
        let fits = 40 + u64::from(be16(header[4], header[5])) <= self.len;
        (header[0] >> 4 == 6 && fits).then_some((Layer::Ipv6, self.view))
    }
}

/// VXLAN (RFC 7348, section 5), also with a group policy.
fn vxlan(payload: Claimed<'_>) -> Found<'_> {
    const NETWORK_ID: u8 = 0x08;
    const NETWORK_ID_AND_POLICY: u8 = 0x88;
    let (header, rest) = payload.split::<8>()?;
    let reserved = match header[0] {
        NETWORK_ID => header[1] | header[2] | header[3] | header[7],
        NETWORK_ID_AND_POLICY => header[7],
        _ => return None,
    };
    if reserved == 0 { rest.frame() } else { None }
}

/// The generic protocol extension of VXLAN, which names what it carries.
fn vxlan_gpe(payload: Claimed<'_>) -> Found<'_> {
    const NETWORK_ID_AND_PROTOCOL: u8 = 0x0c;
    match payload.split::<8>()? {
        ([NETWORK_ID_AND_PROTOCOL, 0, 0, 1 | 2, _, _, _, 0], rest) => rest.packet(),
        ([NETWORK_ID_AND_PROTOCOL, 0, 0, 3, _, _, _, 0], rest) => rest.frame(),
        _ => None,
    }
}

/// GENEVE (RFC 8926, section 3.4).
fn geneve(payload: Claimed<'_>) -> Found<'_> {
    const OPTIONS_LEN: u8 = 0x3f;
    const RESERVED: u8 = 0x3f;
    let (header, rest) = payload.split::<8>()?;
    if header[0] & !OPTIONS_LEN != 0 || header[1] & RESERVED != 0 || header[7] != 0 {
        return None;
    }
    let rest = rest.skip(usize::from(header[0] & OPTIONS_LEN) * 4)?;
    match (be16(header[2], header[3]), rest.version()?) {
        (0x6558, _) => rest.frame(),
        (0x86dd, 6) => Some((Layer::Ipv6, rest.view)),
        (0x0800, 4) => Some((Layer::Ipv4, rest.view)),
        _ => None,
    }
}

/// The user plane of GTP (3GPP TS 29.281, section 5.1): only a G-PDU, whose length must be the payload's.
fn gtp_u(payload: Claimed<'_>) -> Found<'_> {
    const VERSION_1: u8 = 0x30;
    const FIXED_BITS: u8 = 0xf8;
    const EXTENSION: u8 = 0x04;
    const ANY_OPTION: u8 = 0x07;
    const G_PDU: u8 = 0xff;
    let ([flags, kind, high, low, ..], mut rest) = payload.split::<8>()?;
    if flags & FIXED_BITS != VERSION_1 || *kind != G_PDU || u64::from(be16(*high, *low)) != rest.len {
        return None;
    }
    if flags & ANY_OPTION != 0 {
        let ([_, _, _, first], behind) = rest.split::<4>()?;
        rest = behind;
        let mut next = if flags & EXTENSION == 0 { 0 } else { *first };
        while next != 0 {
            // The length counts four bytes and covers itself and the type behind the content.
            let len = 4 * usize::from(*rest.view.bytes().first()?);
            next = *rest.view.bytes().get(len.checked_sub(1)?)?;
            rest = rest.skip(len)?;
        }
    }
    matches!(rest.version()?, 4 | 6).then_some((Layer::Ip, rest.view))
}

/// Teredo (RFC 4380, section 5.1.1): authentication and origin indications, then IPv6.
fn teredo(payload: Claimed<'_>) -> Found<'_> {
    let mut rest = payload;
    if let Some([0, 1, id_len, auth_len]) = rest.view.first::<4>() {
        // A nonce of eight bytes and a confirmation byte follow the two values.
        rest = rest.skip(4 + usize::from(*id_len) + usize::from(*auth_len) + 9)?;
    }
    if let Some([0, 0]) = rest.view.first::<2>() {
        rest = rest.skip(8)?;
    }
    rest.ipv6()
}

/// AYIYA: a forwarded packet behind an identity and a signature.
fn ayiya(payload: Claimed<'_>) -> Found<'_> {
    const FORWARD: u8 = 1;
    const IPV6: u8 = 41;
    let ([identity, signature, operation, next, ..], rest) = payload.split::<8>()?;
    if operation & 0x0f != FORWARD || *next != IPV6 {
        return None;
    }
    rest.skip((1 << (identity >> 4)) + usize::from(signature >> 4) * 4)?.ipv6()
}

/// LISP data (RFC 9300, section 5.3) from a sender that uses no reserved flag.
fn lisp(payload: Claimed<'_>) -> Found<'_> {
    let (header, rest) = payload.split::<8>()?;
    if header[0] & 0x07 == 0 { rest.packet() } else { None }
}
