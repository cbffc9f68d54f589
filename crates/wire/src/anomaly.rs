//! Everything that can be odd about a packet, by name.

macro_rules! anomalies {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// One oddity of a packet. The name in outputs is a contract; the number is not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Anomaly { $($(#[doc = $doc])* $variant,)* }

        impl Anomaly {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in outputs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

anomalies! {
    /// An extension header runs past the end of the packet.
    ExtHeaderTruncated = "ext_header_truncated",
    /// More extension headers than the limit (RFC 8504, section 5.3; RFC 8883).
    ExtHeaderLimit = "ext_header_limit",
    /// An extension header other than Destination Options occurs twice (RFC 8200, section 4.1).
    ExtHeaderDuplicate = "ext_header_duplicate",
    /// Extension headers stand in another order than RFC 8200, section 4.1, recommends.
    ExtHeaderOrder = "ext_header_order",
    /// Hop-by-Hop Options do not follow the IPv6 header directly (RFC 8200, section 4.1).
    HopByHopNotFirst = "hop_by_hop_not_first",
    /// More than eight options in one header (RFC 8504, section 5.3).
    OptionLimit = "option_limit",
    /// More than seven bytes of consecutive padding (RFC 8504, section 5.3).
    PaddingLimit = "padding_limit",
    /// PadN with bytes other than zero (RFC 4942, section 2.1.9.5).
    PaddingNotZero = "padding_not_zero",
    /// An option runs past the end of its header.
    OptionTruncated = "option_truncated",
    /// An unknown option that asks for the packet to be discarded (RFC 8200, section 4.2).
    OptionUnknown = "option_unknown",
    /// A jumbo option beside a payload length, a fragment header, or a length of 65,535 or less (RFC 2675, section 3).
    JumboInvalid = "jumbo_invalid",
    /// Payload length 0 without a jumbo option and with a next header that needs a payload.
    PayloadLengthZero = "payload_length_zero",
    /// The headers claim more bytes than the frame had on the wire.
    PayloadTruncated = "payload_truncated",
    /// More bytes on the wire behind the packet than the link's padding explains.
    TrailingBytes = "trailing_bytes",
    /// Routing header type 0 (RFC 5095).
    RoutingType0 = "routing_type_0",
    /// A routing header whose length contradicts its type or its segments left (RFC 8200, section 4.4).
    RoutingInvalid = "routing_invalid",
    /// An unknown routing type with segments left (RFC 8200, section 4.4).
    RoutingUnknown = "routing_unknown",
    /// An atomic fragment (RFC 6946, RFC 8021).
    FragmentAtomic = "fragment_atomic",
    /// A fragment header behind a fragment header.
    FragmentNested = "fragment_nested",
    /// A fragment that is not the last and whose length is not a multiple of 8 (RFC 8200, section 4.5).
    FragmentLength = "fragment_length",
    /// A fragment that ends past 65,535 bytes (RFC 8200, section 4.5).
    FragmentPastEnd = "fragment_past_end",
    /// A fragment without any bytes.
    FragmentEmpty = "fragment_empty",
    /// A first fragment without the whole header chain (RFC 7112).
    FirstFragmentIncomplete = "first_fragment_incomplete",
    /// A fragment overlaps another of its datagram (RFC 5722). Known to flow state, not to one packet.
    FragmentOverlap = "fragment_overlap",
    /// More pieces in a datagram than are tracked. Known to flow state, not to one packet.
    FragmentExcess = "fragment_excess",
    /// Authentication Header whose length is impossible (RFC 4302, section 2.2).
    AhInvalid = "ah_invalid",
    /// Bytes behind No Next Header (RFC 8200, section 4.7).
    NoNextHeaderPayload = "no_next_header_payload",
    /// An upper-layer header is cut.
    UpperTruncated = "upper_truncated",
    /// TCP data offset below 5 or past the end (RFC 9293, section 3.1).
    TcpOffset = "tcp_offset",
    /// TCP without any flag.
    TcpNull = "tcp_null",
    /// TCP with SYN and FIN, or SYN and RST.
    TcpFlagsContradict = "tcp_flags_contradict",
    /// TCP with FIN, PSH and URG and no ACK.
    TcpXmas = "tcp_xmas",
    /// TCP, UDP, SCTP or DCCP port 0.
    PortZero = "port_zero",
    /// UDP length below 8 or past the payload (RFC 768; 0 in a jumbogram is fine, RFC 2675, section 4), or the same of the
    /// checksum coverage of UDP-Lite (RFC 3828, section 3.1).
    UdpLength = "udp_length",
    /// UDP without a checksum, outside tunnels that may omit it (RFC 8200, section 8.1; RFC 6935).
    UdpChecksumZero = "udp_checksum_zero",
    /// SCTP verification tag 0 without INIT, or INIT with one (RFC 9260, section 8.5.1).
    SctpTag = "sctp_tag",
    /// Neighbour discovery in a fragment (RFC 6980).
    NdFragmented = "nd_fragmented",
    /// Neighbour discovery or MLD with a hop limit that shows it crossed a router (RFC 4861, section 6.1; RFC 3810).
    NdHopLimit = "nd_hop_limit",
    /// Neighbour discovery behind an extension header (RFC 7113).
    NdExtHeader = "nd_ext_header",
    /// The packet quoted in an ICMPv6 error is cut before its addresses, or was not sent by the error's receiver.
    QuoteMismatch = "quote_mismatch",
    /// An ICMPv6 type that is unassigned or reserved for experiments (RFC 4443, section 2.1).
    Icmpv6Unknown = "icmpv6_unknown",
    /// Multicast source (RFC 4291, section 2.7).
    SourceMulticast = "source_multicast",
    /// Loopback source or destination on a link (RFC 4291, section 2.5.3).
    LoopbackAddress = "loopback_address",
    /// Unspecified source outside neighbour discovery and MLD, or unspecified destination (RFC 4291, section 2.5.2).
    UnspecifiedAddress = "unspecified_address",
    /// IPv4-mapped or IPv4-compatible source or destination on the wire (RFC 4291, section 2.5.5; RFC 4942, section 2.2).
    MappedAddress = "mapped_address",
    /// Source and destination are the same.
    SourceIsDestination = "source_is_destination",
    /// Documentation, discard-only or benchmarking prefix as source (RFC 3849, RFC 6666, RFC 5180, RFC 9637).
    SourceReserved = "source_reserved",
    /// Site-local source, deprecated (RFC 3879).
    SourceSiteLocal = "source_site_local",
    /// Hop limit 0 on the wire (RFC 8200, section 3).
    HopLimitZero = "hop_limit_zero",
    /// More tunnels inside each other than the limit; what lies deeper is not read.
    TunnelDepth = "tunnel_depth",
    /// What a tunnel carries is cut or is not what the tunnel says.
    TunnelTruncated = "tunnel_truncated",
    /// Multicast destination with reserved scope 0 or F, or interface-local scope on a link (RFC 4291, section 2.7).
    MulticastScope = "multicast_scope",
    /// An experimental next header, 253 or 254 (RFC 3692).
    ExperimentalHeader = "experimental_header",
}

/// A set of anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct Anomalies(u64);

const _: () = assert!(Anomaly::ALL.len() <= 64, "the set is one 64-bit word");

impl Anomalies {
    /// No anomaly.
    pub const NONE: Self = Self(0);

    /// Adds one.
    #[inline]
    pub const fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u8;
    }

    /// Whether `anomaly` is in the set.
    #[inline]
    pub const fn has(self, anomaly: Anomaly) -> bool {
        self.0 >> anomaly as u8 & 1 == 1
    }

    /// Whether nothing is odd.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both sets together.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// One by one, in the order of [`Anomaly::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.iter().copied().filter(move |&a| self.has(a))
    }
}
