//! What makes two packets one flow, and two flows one pair.

use credence_wire::Header;

/// ICMPv6, whose type and code stand in the port fields.
const ICMPV6: u8 = 58;

/// ICMPv6 types that ask, each with the type that answers, as the Community ID specification (version 1) pairs them.
const ICMPV6_PAIRS: [(u16, u16); 6] =
    [(128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)];

/// The key of a unidirectional flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Source address.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// Upper-layer protocol behind the extension headers.
    pub proto: u8,
    /// Source port, or ICMPv6 type.
    pub sport: u16,
    /// Destination port, or ICMPv6 code.
    pub dport: u16,
}

impl FlowKey {
    /// The key of a packet with this header; fragments are attributed by [`Fragments`](crate::Fragments) afterwards.
    #[inline]
    pub const fn of(header: &Header) -> Self {
        Self {
            src: header.src,
            dst: header.dst,
            proto: header.proto,
            sport: header.sport,
            dport: header.dport,
        }
    }

    /// The key of the flow that answers this one.
    #[must_use]
    pub fn reverse(self) -> Self {
        let (sport, dport) = match self.proto {
            ICMPV6 => (answer_of(self.sport), self.dport),
            _ => (self.dport, self.sport),
        };
        Self { src: self.dst, dst: self.src, proto: self.proto, sport, dport }
    }

    /// Both ends of the flow, each an address and a port: those of the flow that answers are the same, the other way round.
    #[inline]
    pub(crate) fn ends(&self) -> [(u128, u16); 2] {
        let (at_src, at_dst) = match self.proto {
            // Neither end has a port: both have the exchange, by the lower of its types, and the code.
            ICMPV6 => {
                let exchange = self.sport.min(answer_of(self.sport)) << 8 ^ self.dport;
                (exchange, exchange)
            }
            _ => (self.sport, self.dport),
        };
        [(self.src, at_src), (self.dst, at_dst)]
    }
}

/// The ICMPv6 type at the other end of an exchange; a type that is no exchange answers itself.
fn answer_of(kind: u16) -> u16 {
    ICMPV6_PAIRS
        .iter()
        .find_map(|&(ask, answer)| match kind {
            k if k == ask => Some(answer),
            k if k == answer => Some(ask),
            _ => None,
        })
        .unwrap_or(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: FlowKey = FlowKey { src: 1, dst: 2, proto: 6, sport: 40_000, dport: 443 };

    #[test]
    fn ports_swap_with_the_addresses() {
        assert_eq!(TCP.reverse(), FlowKey { src: 2, dst: 1, proto: 6, sport: 443, dport: 40_000 });
    }

    #[test]
    fn echo_request_and_reply_are_a_pair() {
        let ask = FlowKey { proto: 58, sport: 128, dport: 0, ..TCP };
        assert_eq!(ask.reverse(), FlowKey { src: 2, dst: 1, proto: 58, sport: 129, dport: 0 });
    }

    #[test]
    fn reversing_twice_is_the_same_flow_for_every_type() {
        for sport in 0..=255 {
            let key = FlowKey { proto: 58, sport, dport: 3, ..TCP };
            assert_eq!(key.reverse().reverse(), key);
        }
    }

    #[test]
    fn every_listed_icmpv6_request_and_reply_is_a_pair_and_nothing_else_is() {
        let answers: Vec<u16> =
            (0..=255).map(|sport| FlowKey { proto: 58, sport, dport: 0, ..TCP }.reverse().sport).collect();
        let mut expected: Vec<u16> = (0..=255).collect();
        for (ask, answer) in ICMPV6_PAIRS {
            expected.swap(usize::from(ask), usize::from(answer));
        }
        assert_eq!(answers, expected);
    }

    #[test]
    fn types_are_no_types_outside_icmpv6() {
        let udp = FlowKey { proto: 17, sport: 128, dport: 0, ..TCP };
        assert_eq!(udp.reverse(), FlowKey { src: 2, dst: 1, proto: 17, sport: 0, dport: 128 });
    }
}
