//! ICMPv6 (RFC 4443), neighbour discovery (RFC 4861), MLD (RFC 2710, RFC 3810), and packets quoted in errors.

use crate::anomaly::{Anomalies, Anomaly};
use crate::chain::{self, Chain};
use crate::ipv6::Fixed;
use crate::limits::Limits;
use crate::packet::{Malformed, Quoted, Upper};
use crate::reader::View;
use crate::upper::{self, Segment};

/// Type, code and checksum.
const HEADER_LEN: usize = 4;
/// Bytes before the quoted packet of an error.
const ERROR_LEN: usize = 8;

/// Reads type and code, and judges them by the header below.
#[inline(always)]
pub(crate) fn read(chain: &Chain<'_>, hop_limit: u8, odd: &mut Anomalies) -> Segment {
    if chain.rest.bytes().len() < HEADER_LEN {
        upper::name_cut(chain, HEADER_LEN as u64, odd);
    }
    let Some(&[kind, code]) = chain.rest.first::<2>() else { return Segment::NONE };
    match kind {
        1..=4 | 128..=129 => {}
        133..=137 => neighbour_discovery(chain, hop_limit, odd),
        // MLD is for the link, and its hop limit 1 keeps it there.
        130..=132 | 143 => {
            if hop_limit != 1 {
                odd.insert(Anomaly::NdHopLimit);
            }
        }
        // Certification paths serve neighbour discovery, and RFC 6980 forbids their fragments as well.
        148..=149 if chain.fragment.is_some() => odd.insert(Anomaly::NdFragmented),
        138..=161 => {}
        _ => odd.insert(Anomaly::Icmpv6Unknown),
    }
    Segment { upper: Upper::Icmpv6 { kind, code }, sport: u16::from(kind), dport: u16::from(code) }
}

/// Whether the message is an error, which quotes a packet (RFC 4443, section 2.1).
#[inline]
pub(crate) const fn is_error(segment: &Segment) -> bool {
    matches!(segment.upper, Upper::Icmpv6 { kind: 1..=4, .. })
}

/// Whether a node without an address may have sent this: neighbour discovery and MLD (RFC 4861, section 4; RFC 3590).
#[inline]
pub(crate) fn is_from_unspecified(chain: &Chain<'_>) -> bool {
    let message = chain.complete && chain.proto == upper::ICMPV6;
    message && matches!(chain.rest.first::<2>(), Some([130..=133 | 135 | 143, _]))
}

/// What a host checks before it believes a neighbour (RFC 4861, section 6.1; RFC 6980; RFC 7113).
#[inline]
fn neighbour_discovery(chain: &Chain<'_>, hop_limit: u8, odd: &mut Anomalies) {
    if hop_limit != 255 {
        odd.insert(Anomaly::NdHopLimit);
    }
    if chain.fragment.is_some() {
        odd.insert(Anomaly::NdFragmented);
    }
    if chain.ext_headers > 0 {
        odd.insert(Anomaly::NdExtHeader);
    }
}

/// The packet that an error of these bytes quotes (RFC 4443, section 2.4 c), when `claimed` bytes are its length. It is cut as
/// a rule, so nothing in it counts as odd but that its source has to be the `receiver` of the error.
#[inline(never)]
pub(crate) fn quote(
    error: &[u8],
    claimed: u64,
    receiver: u128,
    limits: &Limits,
    odd: &mut Anomalies,
) -> Option<Quoted> {
    let fixed = match View::new(error, 0).skip(ERROR_LEN).map(Fixed::new) {
        Some(Ok(fixed)) => fixed,
        Some(Err(Malformed::Version)) => {
            odd.insert(Anomaly::QuoteMismatch);
            return None;
        }
        _ => {
            if claimed < ERROR_LEN as u64 + 40 {
                odd.insert(Anomaly::QuoteMismatch);
            }
            return None;
        }
    };
    if fixed.src() != receiver {
        odd.insert(Anomaly::QuoteMismatch);
    }
    let inside = chain::walk(&fixed.start(), limits, &mut Anomalies::default());
    let (sport, dport) = if inside.complete { upper::ports(inside.proto, inside.rest) } else { (0, 0) };
    Some(Quoted { src: fixed.src(), dst: fixed.dst(), proto: inside.proto, sport, dport })
}
