//! What a frame turned out to carry. A value of these types cannot be wrong about the bytes it came from: it is built
//! once, by [`parse`](crate::parse()), and only read afterwards.

use crate::anomaly::Anomalies;

/// The outermost IPv6 packet of a frame, with what lies inside it when it is a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The first IPv6 header met, also when IPv4 carried it (6in4, Teredo, VXLAN over IPv4, …). Flows are keyed by it.
    pub outer: Header,
    /// The last IPv6 header met, when there is more than one. Anyone can forge it, so it is keyed only on request.
    pub inner: Option<Header>,
    /// Every encapsulation crossed on the way, in no order.
    pub tunnels: Tunnels,
    /// IPv6 headers met, quoted packets not counted: 1 without a tunnel.
    pub layers: u8,
    /// Everything odd about the frame, by name.
    pub anomalies: Anomalies,
    /// The packet quoted inside an ICMPv6 error of the innermost header. Never keyed.
    pub quoted: Option<Quoted>,
}

/// One IPv6 header and the chain behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address, most significant bit first.
    pub src: u128,
    /// Destination address in the header itself: with a routing header, the current hop.
    pub dst: u128,
    /// Length that the headers claim, in bytes: 40 + payload length, or 40 + jumbo payload length (RFC 2675).
    pub bytes: u64,
    /// Flow label (RFC 8200, section 3), 20 bits.
    pub flow_label: u32,
    /// The fragment header, when the chain has one; of nested ones the first.
    pub fragment: Option<Fragment>,
    /// Upper-layer protocol: the last next-header value after the extension headers 0, 43, 44, 51, 60 and 140.
    /// Everything else ends the walk, so 50 (ESP), 59 (none), 135 (mobility), 139 (HIP) stand here. When the chain
    /// is cut or its budget runs out, the last value that could be read.
    pub proto: u8,
    /// Traffic class (RFC 8200, section 7).
    pub traffic_class: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Extension headers walked.
    pub ext_headers: u8,
    /// Source port, or the ICMPv6 type; 0 where there is none or it could not be read.
    pub sport: u16,
    /// Destination port, or the ICMPv6 code; 0 where there is none or it could not be read.
    pub dport: u16,
    /// What the upper layer says that flows need.
    pub upper: Upper,
}

/// A fragment header (RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// Offset of this piece in bytes, a multiple of 8.
    pub offset: u16,
    /// Length of the fragmentable piece that the header claims, in bytes.
    pub len: u16,
    /// More fragments follow.
    pub more: bool,
}

impl Fragment {
    /// Whether this piece is the whole datagram (RFC 6946).
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// The part of an upper-layer header that flow state is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper {
    /// No upper layer here: a non-first fragment, ESP, No Next Header, a cut chain, or a protocol without state.
    None,
    /// TCP (RFC 9293).
    Tcp {
        /// The low eight flags, FIN lowest: see the associated constants of [`TcpFlags`].
        flags: TcpFlags,
        /// Sequence number.
        seq: u32,
        /// Acknowledgement number.
        ack: u32,
        /// Receive window as sent, unscaled.
        window: u16,
    },
    /// UDP or UDP-Lite.
    Udp {
        /// Connection ids, when the payload starts with a QUIC long header (RFC 9000, section 17.2).
        quic: Option<QuicIds>,
    },
    /// SCTP (RFC 9260).
    Sctp {
        /// Verification tag of the common header.
        verification_tag: u32,
        /// Initiate tag, when the first chunk is INIT or INIT ACK.
        initiate_tag: Option<u32>,
    },
    /// DCCP (RFC 4340).
    Dccp {
        /// Packet type, 0 to 15.
        kind: u8,
    },
    /// ICMPv6 (RFC 4443).
    Icmpv6 {
        /// Type; also in `sport`.
        kind: u8,
        /// Code; also in `dport`.
        code: u8,
    },
}

/// The connection ids of a QUIC long header, each the first eight bytes; absent when shorter, since a short id can be
/// guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicIds {
    /// Destination connection id.
    pub destination: Option<u64>,
    /// Source connection id.
    pub source: Option<u64>,
}

/// TCP flags as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number is significant.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u8 = 0x20;

    /// Whether all of `bits` are set.
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }
}

/// The packet quoted inside an ICMPv6 error (RFC 4443, section 2.4 c), as far as it could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Source of the quoted packet, which should be the destination of the error.
    pub src: u128,
    /// Destination of the quoted packet.
    pub dst: u128,
    /// Its upper-layer protocol, 0 ports where unread.
    pub proto: u8,
    /// Source port or ICMPv6 type.
    pub sport: u16,
    /// Destination port or ICMPv6 code.
    pub dport: u16,
}

impl Header {
    /// The value this packet puts before its receiver that cannot be known without receiving it, if any: the initial
    /// sequence number plus one of a TCP SYN (what the peer will acknowledge), the initiate tag of an SCTP INIT or INIT
    /// ACK, the source connection id of a QUIC long header. 64-bit ids are folded to 32 bits.
    pub const fn offers(&self) -> Option<u32> {
        match self.upper {
            Upper::Tcp { flags, seq, .. } if flags.has(TcpFlags::SYN) => Some(seq.wrapping_add(1)),
            Upper::Sctp { initiate_tag, .. } => initiate_tag,
            Upper::Udp { quic: Some(QuicIds { source: Some(id), .. }) } => Some(fold(id)),
            _ => None,
        }
    }

    /// The value this packet returns that its sender can only know by having received it, if any: to be compared with
    /// what the peer [offered](Self::offers).
    pub const fn echoes(&self) -> Option<u32> {
        match self.upper {
            Upper::Tcp { flags, ack, .. } if flags.has(TcpFlags::ACK) => Some(ack),
            Upper::Sctp { verification_tag: tag, .. } if tag != 0 => Some(tag),
            Upper::Udp { quic: Some(QuicIds { destination: Some(id), .. }) } => Some(fold(id)),
            _ => None,
        }
    }
}

const fn fold(id: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "folding is the purpose")]
    let folded = (id ^ (id >> 32)) as u32;
    folded
}

/// A set of encapsulations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tunnels(pub u16);

impl Tunnels {
    /// IPv6 directly in IPv4 (RFC 4213), 6to4 included.
    pub const SIX_IN_FOUR: Self = Self(1);
    /// IPv6 directly in IPv6 (RFC 2473), SRv6 with an inner packet included.
    pub const SIX_IN_SIX: Self = Self(1 << 1);
    /// IPv4 directly in IPv6 (RFC 2473).
    pub const FOUR_IN_SIX: Self = Self(1 << 2);
    /// GRE (RFC 2784, RFC 2890).
    pub const GRE: Self = Self(1 << 3);
    /// EtherIP (RFC 3378).
    pub const ETHERIP: Self = Self(1 << 4);
    /// VXLAN (RFC 7348).
    pub const VXLAN: Self = Self(1 << 5);
    /// GENEVE (RFC 8926).
    pub const GENEVE: Self = Self(1 << 6);
    /// GTP-U (3GPP TS 29.281).
    pub const GTP_U: Self = Self(1 << 7);
    /// Teredo (RFC 4380).
    pub const TEREDO: Self = Self(1 << 8);
    /// IPv4 directly in IPv4 (RFC 2003).
    pub const FOUR_IN_FOUR: Self = Self(1 << 9);
    /// MPLS (RFC 3032), in a tunnel or on the link.
    pub const MPLS: Self = Self(1 << 10);
    /// A PIM Register message (RFC 7761, section 4.9.3).
    pub const PIM_REGISTER: Self = Self(1 << 11);
    /// Ethernet directly in IP (RFC 8986, section 4.9).
    pub const ETHERNET: Self = Self(1 << 12);
    /// AYIYA, the tunnel of the former SixXS brokers.
    pub const AYIYA: Self = Self(1 << 13);
    /// LISP (RFC 9300).
    pub const LISP: Self = Self(1 << 14);

    /// Whether any of `other` is in the set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Why a frame yields no [`Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unkeyed {
    /// The frame carries something else; nothing is wrong with it.
    NotIpv6(NotIpv6),
    /// The frame says it carries IPv6, and no IPv6 header can be read from it.
    Malformed(Malformed),
}

/// What a frame carries instead of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotIpv6 {
    /// IPv4 without IPv6 inside.
    Ipv4,
    /// ARP.
    Arp,
    /// Any other protocol of the link layer, frames without one included.
    OtherProtocol,
    /// A link layer that this parser does not read.
    UnknownLink,
}

/// What stopped the parser before an IPv6 header was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The link layer is cut.
    LinkTruncated,
    /// The IPv6 header is cut.
    HeaderTruncated,
    /// The version field is not 6 although the layer below says IPv6.
    Version,
    /// More VLAN tags or MPLS labels than the limit, or more IPv4 tunnels before the first IPv6 header.
    LinkDepth,
    /// The layer below IPv6, IPv4 or a tunnel, is cut or impossible.
    CarrierTruncated,
}
