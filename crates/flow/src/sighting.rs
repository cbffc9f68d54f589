//! What a packet tells its flow.

use credence_wire::{Anomalies, Header, TcpFlags, Upper};

/// The ICMPv6 type of an echo request (RFC 4443, section 4.1).
const ICMPV6_ECHO_REQUEST: u8 = 128;

/// The part of a packet that flow state is made from. A parsed header is four times as large, and a batch of them would
/// push out of the first-level cache what the batch is about to touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sighting {
    /// Length that the headers claim, in bytes.
    pub bytes: u64,
    /// Everything odd about the packet, with what only flow state can know, such as an overlap of fragments.
    pub anomalies: Anomalies,
    /// Length of the frame on the wire, in bytes.
    pub wire_len: u32,
    offer: u32,
    echo: u32,
    marks: u8,
}

impl Sighting {
    /// Puts a value before its receiver.
    const OFFERS: u8 = 1;
    /// Returns a value.
    const ECHOES: u8 = 1 << 1;
    /// Asks for an exchange, should it be the first packet of its flow.
    const ASKS: u8 = 1 << 2;
    /// TCP with FIN or RST.
    const CLOSES: u8 = 1 << 3;
    /// Has a fragment header.
    const FRAGMENT: u8 = 1 << 4;

    /// What a packet with this header, these anomalies and this length on the wire (in bytes) tells.
    #[inline]
    pub fn of(header: &Header, anomalies: Anomalies, wire_len: u32) -> Self {
        let (offer, echo, upper) = match header.upper {
            // What `Header::offers` and `Header::echoes` say of TCP, which most packets are, without asking thrice.
            Upper::Tcp { flags, seq, ack, .. } => (seq.wrapping_add(1), ack, of_tcp(flags.0)),
            _ => of_other(header),
        };
        let marks = upper | mark(header.fragment.is_some(), Self::FRAGMENT);
        Self { bytes: header.bytes, anomalies, wire_len, offer, echo, marks }
    }

    /// Whether there is nothing to do with the packet but to count it, as far as the packet itself tells: nothing is odd
    /// about it, it puts no value before its receiver, closes nothing, is no fragment, and claims a length that IPv6 allows
    /// without an option.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        const MORE: u8 = Sighting::OFFERS | Sighting::CLOSES | Sighting::FRAGMENT;
        self.marks & MORE == 0 && self.anomalies.is_empty() && self.bytes <= 40 + u16::MAX as u64
    }

    /// See [`Header::offers`].
    #[inline]
    pub(crate) fn offers(&self) -> Option<u32> {
        self.has(Self::OFFERS).then_some(self.offer)
    }

    /// See [`Header::echoes`].
    #[inline]
    pub(crate) fn echoes(&self) -> Option<u32> {
        self.has(Self::ECHOES).then_some(self.echo)
    }

    /// Whether a flow that begins with this packet asks for an exchange.
    pub(crate) const fn asks(&self) -> bool {
        self.has(Self::ASKS)
    }

    /// Whether the sender of this packet ends a TCP connection.
    #[inline]
    pub(crate) const fn closes(&self) -> bool {
        self.has(Self::CLOSES)
    }

    /// Whether the packet has a fragment header.
    #[inline]
    pub(crate) const fn is_fragment(&self) -> bool {
        self.has(Self::FRAGMENT)
    }

    #[inline]
    const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }
}

#[inline]
const fn mark(whether: bool, mark: u8) -> u8 {
    if whether { mark } else { 0 }
}

/// The marks of a TCP segment with these flags.
#[inline]
fn of_tcp(flags: u8) -> u8 {
    TCP_MARKS[usize::from(flags) % TCP_MARKS.len()]
}

/// The marks of a TCP segment by its five lowest flags, of which the fourth, PSH, says nothing.
const TCP_MARKS: [u8; 32] = {
    const OPENING: u8 = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST;
    let mut table = [0; 32];
    let mut flags = 0;
    while flags < 32 {
        table[flags as usize] = mark(flags & TcpFlags::SYN != 0, Sighting::OFFERS)
            | mark(flags & TcpFlags::ACK != 0, Sighting::ECHOES)
            | mark(flags & OPENING == TcpFlags::SYN, Sighting::ASKS)
            | mark(flags & (TcpFlags::FIN | TcpFlags::RST) != 0, Sighting::CLOSES);
        flags += 1;
    }
    table
};

/// What any other upper layer offers and echoes, and its marks.
fn of_other(header: &Header) -> (u32, u32, u8) {
    let (offer, echo) = (header.offers(), header.echoes());
    let asks = match header.upper {
        Upper::Icmpv6 { kind, .. } => kind == ICMPV6_ECHO_REQUEST,
        Upper::Udp { .. } | Upper::Sctp { .. } | Upper::Dccp { .. } => true,
        Upper::None | Upper::Tcp { .. } => false,
    };
    let marks = mark(offer.is_some(), Sighting::OFFERS)
        | mark(echo.is_some(), Sighting::ECHOES)
        | mark(asks, Sighting::ASKS);
    (offer.unwrap_or_default(), echo.unwrap_or_default(), marks)
}

#[cfg(test)]
mod tests {
    use credence_wire::{Fragment, QuicIds};
    use proptest::prelude::*;

    use super::*;

    fn header(upper: Upper, fragment: Option<Fragment>) -> Header {
        Header {
            src: 1,
            dst: 2,
            bytes: 60,
            flow_label: 0,
            fragment,
            proto: 0,
            traffic_class: 0,
            hop_limit: 64,
            ext_headers: 0,
            sport: 3,
            dport: 4,
            upper,
        }
    }

    fn any_upper() -> impl Strategy<Value = Upper> {
        let id = || prop::option::of(any::<u64>());
        prop_oneof![
            Just(Upper::None),
            (any::<u8>(), any::<u32>(), any::<u32>()).prop_map(|(flags, seq, ack)| Upper::Tcp {
                flags: TcpFlags(flags),
                seq,
                ack,
                window: 0
            }),
            prop::option::of((id(), id())).prop_map(|ids| Upper::Udp {
                quic: ids.map(|(destination, source)| QuicIds { destination, source })
            }),
            (any::<u32>(), prop::option::of(any::<u32>())).prop_map(|(verification_tag, initiate_tag)| {
                Upper::Sctp { verification_tag, initiate_tag }
            }),
            any::<u8>().prop_map(|kind| Upper::Icmpv6 { kind, code: 0 }),
        ]
    }

    proptest! {
        #[test]
        fn a_sighting_offers_and_echoes_what_its_header_does(upper in any_upper(), bytes in any::<u64>()) {
            let header = Header { bytes, ..header(upper, None) };
            let seen = Sighting::of(&header, Anomalies::NONE, 74);
            prop_assert_eq!((seen.offers(), seen.echoes()), (header.offers(), header.echoes()));
            prop_assert_eq!((seen.bytes, seen.wire_len, seen.is_fragment()), (bytes, 74, false));
        }
    }

    #[test]
    fn a_fragment_header_shows_even_on_a_whole_datagram() {
        let atomic = Fragment { id: 1, offset: 0, len: 8, more: false };
        assert!(Sighting::of(&header(Upper::None, Some(atomic)), Anomalies::NONE, 70).is_fragment());
    }

    #[test]
    fn only_what_asks_asks() {
        let (syn, ack) = (TcpFlags::SYN, TcpFlags::ACK);
        let tcp = |flags| Upper::Tcp { flags: TcpFlags(flags), seq: 0, ack: 0, window: 0 };
        let cases = [
            (tcp(syn), true),
            (tcp(syn | 0xc0), true),
            (tcp(syn | ack), false),
            (tcp(syn | TcpFlags::RST), false),
            (tcp(ack), false),
            (tcp(0), false),
            (Upper::Udp { quic: Some(QuicIds { source: None, destination: None }) }, true),
            (Upper::Sctp { verification_tag: 0, initiate_tag: Some(1) }, true),
            (Upper::Dccp { kind: 0 }, true),
            (Upper::Icmpv6 { kind: 128, code: 0 }, true),
            (Upper::Icmpv6 { kind: 129, code: 0 }, false),
            (Upper::Icmpv6 { kind: 1, code: 0 }, false),
            (Upper::None, false),
        ];
        for (upper, expected) in cases {
            let seen = Sighting::of(&header(upper, None), Anomalies::NONE, 74);
            assert_eq!(seen.asks(), expected, "{upper:?}");
        }
    }
}
