//! How much of a frame is read before the parser gives up and says so.

/// Bounds on every loop of the parser. What exceeds one is flagged by name and not read further, so a hostile frame costs
/// no more than these numbers allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Extension headers walked behind one IPv6 header.
    pub ext_headers: u8,
    /// Encapsulations crossed in one frame.
    pub tunnels: u8,
    /// Options other than padding in one Hop-by-Hop or Destination Options header.
    pub options: u8,
    /// Bytes of consecutive padding in one options header.
    pub padding: u8,
    /// VLAN tags, MPLS labels, and frames and sessions inside a frame, below one network-layer header.
    pub link_tags: u8,
}

impl Limits {
    /// The bounds that the standards give where they give any.
    ///
    /// - Eight extension headers: RFC 8200, section 4.1, knows seven places in a chain, and a host may bound the chains
    ///   that it takes (RFC 8504, section 5.3).
    /// - Four encapsulations: a mobile core over an overlay over a transition tunnel is three, and four is also the
    ///   recommended Tunnel Encapsulation Limit (RFC 2473, section 6.6).
    /// - Eight options and seven bytes of padding: RFC 8504, section 5.3. Seven bytes align anything to eight.
    /// - Eight tags: two VLAN tags and a stack of six labels, which is deeper than routers push.
    pub const DEFAULT: Self = Self { ext_headers: 8, tunnels: 4, options: 8, padding: 7, link_tags: 8 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
