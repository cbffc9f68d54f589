//! How the first bytes of a frame are to be read.

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
    /// PPP, with or without HDLC-like framing (9, 50).
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
            9 | 50 => Self::Ppp,
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
