//! How the first bytes of a frame are to be read, down to the network layer.

use crate::packet::{Malformed, NotIpv6, Tunnels};
use crate::path::{Layer, Path, Stop};
use crate::reader::{View, be16};

/// A link layer that the parser reads, named by the `LINKTYPE_` registry of capture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Ethernet (1), with any 802.1Q, 802.1ad and MPLS tags.
    Ethernet,
    /// A bare IP packet of either version (12, 14, 101, 228, 229).
    Raw,
    /// BSD loopback: a four-byte address family in the capturing machine's byte order (0).
    Null,
    /// OpenBSD loopback: the same in network byte order (108).
    Loop,
    /// Linux cooked capture, version 1 (113).
    LinuxSll,
    /// Linux cooked capture, version 2 (276).
    LinuxSll2,
    /// PPP, with or without HDLC-like framing, and Cisco HDLC (9, 50, 104).
    Ppp,
    /// PPP over Ethernet, session header first (51).
    Pppoe,
    /// Frame Relay (107).
    FrameRelay,
    /// 802.11 data frames (105).
    Ieee80211,
    /// 802.11 behind a radiotap header (127).
    Radiotap,
}

impl Link {
    /// The link layer of a `LINKTYPE_` number, or none when this parser does not read it.
    pub const fn from_linktype(linktype: u16) -> Option<Self> {
        Some(match linktype {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 | 104 => Self::Ppp,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            51 => Self::Pppoe,
            105 => Self::Ieee80211,
            107 => Self::FrameRelay,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            127 => Self::Radiotap,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }
}

/// Shortest Ethernet frame without its check sequence, in bytes (IEEE 802.3, section 4.2.3.3).
const ETHERNET_MIN: u64 = 60;
/// Frame check sequence of Ethernet, 802.11 and PPP at most, in bytes.
const CHECK_SEQUENCE: u64 = 4;
/// Largest value of the type field that is a length (IEEE 802.3, section 3.2.6).
const LENGTH_MAX: u16 = 1500;
/// Smallest value of the type field that is an EtherType (IEEE 802.3, section 3.2.6).
const ETHERTYPE_MIN: u16 = 0x0600;
/// The EtherType of bridged Ethernet (RFC 1701, RFC 7637).
const BRIDGED: u16 = 0x6558;
/// The hardware type of the loopback device in cooked captures.
const ARPHRD_LOOPBACK: [u8; 2] = 772u16.to_be_bytes();

/// The next layer, for which the view has been moved on.
type Step = Result<Layer, Stop>;

const CUT: Malformed = Malformed::LinkTruncated;

/// The first layer of a frame of this link.
#[inline(always)]
pub(crate) fn open<'a>(link: Link, view: &mut View<'a>, path: &mut Path<'a>) -> Step {
    match link {
        Link::Ethernet => Ok(Layer::Ethernet),
        Link::Raw => Ok(Layer::Ip),
        _ => {
            let (layer, rest) = open_other(link, view.bytes(), view.beyond());
            *view = rest;
            path.slack = slack(link, rest);
            layer
        }
    }
}

/// The same of links that few captures have.
#[inline(never)]
fn open_other(link: Link, frame: &[u8], beyond: u64) -> (Step, View<'_>) {
    let mut view = View::new(frame, beyond);
    let layer = match link {
        Link::Ethernet => Ok(Layer::Ethernet),
        Link::Raw => Ok(Layer::Ip),
        Link::Null | Link::Loop => family(&mut view),
        Link::LinuxSll => linux_sll(&mut view),
        Link::LinuxSll2 => linux_sll2(&mut view),
        Link::Ppp => Ok(Layer::Ppp),
        Link::Pppoe => pppoe(&mut view),
        Link::FrameRelay => frame_relay(&mut view),
        Link::Ieee80211 => ieee80211(&mut view, false),
        Link::Radiotap => radiotap(&mut view),
    };
    (layer, view)
}

/// Bytes behind a packet that such a link explains, when `rest` lies behind its header.
fn slack(link: Link, rest: View<'_>) -> u64 {
    // The padding of an Ethernet frame stays when its header is replaced.
    const COOKED_MIN: u64 = ETHERNET_MIN - 14 + CHECK_SEQUENCE;
    match link {
        Link::LinuxSll | Link::LinuxSll2 if rest.wire_len() <= COOKED_MIN => COOKED_MIN,
        Link::Ppp | Link::FrameRelay | Link::Ieee80211 | Link::Radiotap => CHECK_SEQUENCE,
        _ => 0,
    }
}

/// Whether the frame was captured on a loopback device.
#[cold]
pub(crate) fn is_loopback(link: Link, frame: &[u8]) -> bool {
    match link {
        Link::Null | Link::Loop => true,
        // The loopback device of Linux speaks Ethernet with both addresses zero.
        Link::Ethernet => frame.get(..12).is_some_and(|addresses| addresses.iter().all(|&b| b == 0)),
        Link::LinuxSll => frame.get(2..4) == Some(&ARPHRD_LOOPBACK),
        Link::LinuxSll2 => frame.get(8..10) == Some(&ARPHRD_LOOPBACK),
        _ => false,
    }
}

/// Bytes behind a packet that Ethernet explains: any in a frame of the least length, else a check sequence.
#[inline]
pub(crate) fn ethernet_slack(view: View<'_>) -> u64 {
    // One 802.1Q tag may be stripped or kept, so four bytes more are still the least length.
    let wire_len = view.wire_len();
    if wire_len <= ETHERNET_MIN + 2 * CHECK_SEQUENCE { wire_len } else { CHECK_SEQUENCE }
}

#[inline(always)]
pub(crate) fn ethernet(view: &mut View<'_>, path: &mut Path<'_>) -> Step {
    path.slack = ethernet_slack(*view);
    let header = view.take::<14>().ok_or(CUT)?;
    typed(be16(header[12], header[13]), view)
}

/// The type field of Ethernet, which may be a length.
#[inline(always)]
fn typed(kind: u16, view: &mut View<'_>) -> Step {
    match kind {
        ETHERTYPE_MIN.. => Ok(Layer::EtherType(kind)),
        0..=LENGTH_MAX => {
            *view = view.limit(u64::from(kind));
            Ok(Layer::Llc)
        }
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

#[inline(always)]
pub(crate) fn ethertype(kind: u16, view: &mut View<'_>, path: &mut Path<'_>) -> Step {
    match kind {
        0x86dd => Ok(Layer::Ipv6),
        0x0800 => Ok(Layer::Ipv4),
        0x0806 => Err(NotIpv6::Arp.into()),
        // 802.1Q, 802.1ad, and the numbers that stacked tags had before 802.1ad.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
            path.tag()?;
            let tag = view.take::<4>().ok_or(CUT)?;
            typed(be16(tag[2], tag[3]), view)
        }
        0x8847 | 0x8848 => Ok(Layer::Mpls),
        0x8864 => {
            path.tag()?;
            pppoe(view)
        }
        // Cisco HDLC and GRE name PPP and bridged Ethernet by these EtherTypes.
        0x880b => {
            path.tag()?;
            Ok(Layer::Ppp)
        }
        BRIDGED => {
            path.tag()?;
            Ok(Layer::Ethernet)
        }
        // FabricPath wraps a frame in addresses of its own, the type and a forwarding tag.
        0x8903 => {
            path.tag()?;
            view.pass(2).ok_or(CUT)?;
            Ok(Layer::Ethernet)
        }
        0x88e5 => {
            path.tag()?;
            // The integrity check value behind the packet has 8 to 16 bytes.
            path.slack = path.slack.saturating_add(16);
            Ok(Layer::Macsec)
        }
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

/// MACsec that protects integrity only (IEEE 802.1AE, section 9.3): an encrypted frame says nothing.
pub(crate) fn macsec(view: &mut View<'_>) -> Step {
    const CHANNEL_ID: u8 = 0x20;
    const ENCRYPTED_OR_CHANGED: u8 = 0x0c;
    let tag = view.take::<6>().ok_or(CUT)?;
    if tag[0] & ENCRYPTED_OR_CHANGED != 0 {
        return Err(NotIpv6::OtherProtocol.into());
    }
    if tag[0] & CHANNEL_ID != 0 {
        view.pass(8).ok_or(CUT)?;
    }
    let kind = view.take::<2>().ok_or(CUT)?;
    typed(be16(kind[0], kind[1]), view)
}

/// LLC, and SNAP behind it (IEEE 802.2; RFC 1042).
pub(crate) fn llc(view: &mut View<'_>) -> Step {
    match view.first::<3>() {
        Some([0xaa, 0xaa, 0x03]) => {
            let [_, _, _, organisation @ ..] = *view.take::<8>().ok_or(CUT)?;
            snap(organisation)
        }
        Some([0x06, 0x06, 0x03]) => {
            view.pass(3).ok_or(CUT)?;
            Ok(Layer::Ipv4)
        }
        Some(_) => Err(NotIpv6::OtherProtocol.into()),
        None => Err(CUT.into()),
    }
}

/// The five bytes of SNAP: an organisation and its protocol.
fn snap([o0, o1, o2, p0, p1]: [u8; 5]) -> Step {
    match ([o0, o1, o2], be16(p0, p1)) {
        // Encapsulated Ethernet, and bridge tunnels of 802.1H.
        ([0, 0, 0] | [0, 0, 0xf8], kind @ ETHERTYPE_MIN..) => Ok(Layer::EtherType(kind)),
        // Bridged Ethernet, with and without its check sequence (RFC 2427, section 4.2).
        ([0, 0x80, 0xc2], 0x0001 | 0x0007) => Ok(Layer::EtherType(BRIDGED)),
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

/// The address family of BSD loopback frames, in either byte order: captures cross machines.
fn family(view: &mut View<'_>) -> Step {
    let family = match *view.take::<4>().ok_or(CUT)? {
        [family, 0, 0, 0] | [0, 0, 0, family] => family,
        _ => 0,
    };
    match family {
        2 => Ok(Layer::Ipv4),
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, and Darwin.
        10 | 24 | 28 | 30 => Ok(Layer::Ipv6),
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

fn linux_sll(view: &mut View<'_>) -> Step {
    let header = view.take::<16>().ok_or(CUT)?;
    cooked(be16(header[14], header[15]))
}

fn linux_sll2(view: &mut View<'_>) -> Step {
    let header = view.take::<20>().ok_or(CUT)?;
    cooked(be16(header[0], header[1]))
}

/// The protocol field of a cooked capture.
fn cooked(kind: u16) -> Step {
    match kind {
        0x0001 | 0x0004 => Ok(Layer::Llc),
        ETHERTYPE_MIN.. => Ok(Layer::EtherType(kind)),
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

/// PPP (RFC 1661, section 2) with or without HDLC-like framing (RFC 1662) and field compression, and Cisco's HDLC, which
/// shares the number of its captures.
#[inline(always)]
pub(crate) fn ppp(view: &mut View<'_>) -> Step {
    match view.first::<2>() {
        Some([0xff, 0x03]) => view.pass(2).ok_or(CUT)?,
        Some([0x0f | 0x8f, 0x00]) => {
            let header = view.take::<4>().ok_or(CUT)?;
            return Ok(Layer::EtherType(be16(header[2], header[3])));
        }
        _ => {}
    }
    // A protocol number ends with the first odd byte, so one whose high byte is zero may be sent as one byte.
    let protocol = match view.first::<1>() {
        Some([low]) if low & 1 == 1 => {
            view.pass(1).ok_or(CUT)?;
            u16::from(*low)
        }
        _ => {
            let [high, low] = view.take::<2>().ok_or(CUT)?;
            be16(*high, *low)
        }
    };
    match protocol {
        0x0057 => Ok(Layer::Ipv6),
        0x0021 => Ok(Layer::Ipv4),
        0x0281 | 0x0283 => Ok(Layer::Mpls),
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

/// The session header of PPPoE (RFC 2516, section 4).
#[inline(always)]
fn pppoe(view: &mut View<'_>) -> Step {
    let [version, code, _, _, high, low] = view.take::<6>().ok_or(CUT)?;
    if (*version, *code) != (0x11, 0) {
        return Err(NotIpv6::OtherProtocol.into());
    }
    *view = view.limit(u64::from(be16(*high, *low)));
    Ok(Layer::Ppp)
}

/// Frame Relay (ITU-T Q.922 addresses of two to four bytes; RFC 2427 behind them, or Cisco's EtherType).
fn frame_relay(view: &mut View<'_>) -> Step {
    let address_len = match view.bytes().iter().take(4).position(|byte| byte & 1 == 1) {
        Some(last @ 1..) => last + 1,
        Some(_) => return Err(NotIpv6::OtherProtocol.into()),
        None if view.bytes().len() < 4 => return Err(CUT.into()),
        None => return Err(NotIpv6::OtherProtocol.into()),
    };
    view.pass(address_len).ok_or(CUT)?;
    let [control, second] = view.take::<2>().ok_or(CUT)?;
    if *control != 0x03 {
        return Ok(Layer::EtherType(be16(*control, *second)));
    }
    let nlpid = match *second {
        // A pad byte aligns what follows.
        0x00 => view.take::<1>().ok_or(CUT)?[0],
        nlpid => nlpid,
    };
    match nlpid {
        0x8e => Ok(Layer::Ipv6),
        0xcc => Ok(Layer::Ipv4),
        0x80 => snap(*view.take::<5>().ok_or(CUT)?),
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

/// Radiotap: little-endian fields in the order of the bits that announce them.
fn radiotap(view: &mut View<'_>) -> Step {
    const DATA_PAD: u8 = 0x20;
    let header = view.first::<8>().ok_or(CUT)?;
    let len = usize::from(u16::from_le_bytes([header[2], header[3]]));
    if header[0] != 0 || len < 8 {
        return Err(NotIpv6::OtherProtocol.into());
    }
    let fields = view.bytes().get(..len).ok_or(CUT)?;
    let padded = radiotap_flags(fields).is_some_and(|flags| flags & DATA_PAD != 0);
    view.pass(len).ok_or(CUT)?;
    ieee80211(view, padded)
}

/// The flags field of a radiotap header, when it has one: behind the presence words and the timestamp.
fn radiotap_flags(fields: &[u8]) -> Option<u8> {
    const TIMESTAMP: u8 = 0x01;
    const FLAGS: u8 = 0x02;
    const MORE_WORDS: u8 = 0x80;
    let words = fields.get(4..)?.chunks_exact(4);
    let present = words.clone().next()?[0];
    let mut at = 8 + 4 * words.take_while(|word| word[3] & MORE_WORDS != 0).count();
    if present & TIMESTAMP != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    (present & FLAGS != 0).then(|| fields.get(at).copied())?
}

/// An 802.11 data frame (IEEE 802.11, section 9.3.2) with LLC inside. `padded` says that the receiver aligned the body to
/// four bytes.
fn ieee80211(view: &mut View<'_>, padded: bool) -> Step {
    let control = view.first::<2>().ok_or(CUT)?;
    let data = control[0] & 0x0f == 0x08;
    let no_body = control[0] & 0x40 != 0;
    let protected = control[1] & 0x40 != 0;
    if !data || no_body || protected {
        return Err(NotIpv6::OtherProtocol.into());
    }
    let four_addresses = control[1] & 0x03 == 0x03;
    let quality = control[0] & 0x80 != 0;
    let mut len = if four_addresses { 30 } else { 24 };
    let mut aggregated = false;
    if quality {
        let qos = view.skip(len).and_then(View::first::<2>).ok_or(CUT)?;
        aggregated = qos[0] & 0x80 != 0;
        len += if control[1] & 0x80 == 0 { 2 } else { 6 };
    }
    if padded {
        len = len.next_multiple_of(4);
    }
    view.pass(len).ok_or(CUT)?;
    if aggregated {
        // The first frame of an aggregate: addresses and a length before its own LLC.
        let header = view.take::<14>().ok_or(CUT)?;
        *view = view.limit(u64::from(be16(header[12], header[13])));
    }
    Ok(Layer::Llc)
}

/// A stack of labels (RFC 3032). Nothing says what lies below it, so its first four bits are asked, as routers do
/// (RFC 4928, section 3).
#[inline(always)]
pub(crate) fn mpls(view: &mut View<'_>, path: &mut Path<'_>) -> Step {
    const BOTTOM: u8 = 0x01;
    loop {
        path.tag()?;
        let label = view.take::<4>().ok_or(CUT)?;
        if label[2] & BOTTOM != 0 {
            break;
        }
    }
    path.tunnels.insert(Tunnels::MPLS);
    match view.first::<1>().ok_or(CUT)?[0] >> 4 {
        6 => Ok(Layer::Ipv6),
        4 => Ok(Layer::Ipv4),
        // A pseudowire with a control word (RFC 4385, section 3); Ethernet is what they carry.
        0 => {
            view.pass(4).ok_or(CUT)?;
            Ok(Layer::Ethernet)
        }
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}

/// An IP packet of the version that its first four bits name.
#[inline(always)]
pub(crate) fn ip(view: View<'_>) -> Step {
    match view.first::<1>().ok_or(CUT)?[0] >> 4 {
        6 => Ok(Layer::Ipv6),
        4 => Ok(Layer::Ipv4),
        _ => Err(NotIpv6::OtherProtocol.into()),
    }
}
