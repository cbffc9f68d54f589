//! ICMPv6 (RFC 4443), neighbour discovery (RFC 4861), MLD (RFC 2710, RFC 3810), and packets quoted in errors.

use crate::anomaly::{Anomalies, Anomaly};
use crate::chain::{self, Chain};
use crate::ipv6::Fixed;
use crate::limits::Limits;
use crate::packet::{Malformed, Quoted, Upper};
use crate::upper::{self, Base, Segment};

/// Type, code and checksum.
const HEADER_LEN: usize = 4;
/// Bytes before the quoted packet of an error.
const ERROR_LEN: usize = 8;

/// Reads type and code, judges them by the header below, and finds the quoted packet of an error.
#[inline(always)]
pub(crate) fn read<'a>(
    chain: &Chain<'a>,
    base: &Base,
    limits: &Limits,
    odd: &mut Anomalies,
    quoted: &mut Option<Quoted>,
) -> Segment<'a> {
    if chain.rest.bytes().len() < HEADER_LEN {
        upper::name_cut(chain, HEADER_LEN as u64, odd);
    }
    let Some(&[kind, code]) = chain.rest.first::<2>() else { return Segment::NONE };
    match kind {
        1..=4 => *quoted = quote(*chain, base.dst, limits, odd),
        128..=129 => {}
        133..=137 => neighbour_discovery(chain, base, odd),
        // MLD is for the link, and its hop limit 1 keeps it there.
        130..=132 | 143 => {
            if base.hop_limit != 1 {
                odd.insert(Anomaly::NdHopLimit);
            }
        }
        // Certification paths serve neighbour discovery, and RFC 6980 forbids their fragments as well.
        148..=149 if chain.fragment.is_some() => odd.insert(Anomaly::NdFragmented),
        138..=161 => {}
        _ => odd.insert(Anomaly::Icmpv6Unknown),
    }
    Segment {
        upper: Upper::Icmpv6 { kind, code },
        sport: u16::from(kind),
        dport: u16::from(code),
        carried: None,
    }
}

/// What a host checks before it believes a neighbour (RFC 4861, section 6.1; RFC 6980; RFC 7113).
#[inline]
fn neighbour_discovery(chain: &Chain<'_>, base: &Base, odd: &mut Anomalies) {
    if base.hop_limit != 255 {
        odd.insert(Anomaly::NdHopLimit);
    }
    if chain.fragment.is_some() {
        odd.insert(Anomaly::NdFragmented);
    }
    if chain.ext_headers > 0 {
        odd.insert(Anomaly::NdExtHeader);
    }
}

/// The packet that an error quotes (RFC 4443, section 2.4 c). It is cut as a rule, so nothing in it counts as odd but
/// that its source has to be the `receiver` of the error.
#[inline(never)]
fn quote(chain: Chain<'_>, receiver: u128, limits: &Limits, odd: &mut Anomalies) -> Option<Quoted> {
    let fixed = match chain.rest.skip(ERROR_LEN).map(Fixed::new) {
        Some(Ok(fixed)) if fixed.src() == receiver => fixed,
        Some(Ok(fixed)) => {
            odd.insert(Anomaly::QuoteMismatch);
            fixed
        }
        Some(Err(Malformed::Version)) => {
            odd.insert(Anomaly::QuoteMismatch);
            return None;
        }
        _ => {
            if chain.ends_within(ERROR_LEN as u64 + 40) {
                odd.insert(Anomaly::QuoteMismatch);
            }
            return None;
        }
    };
    let inside = chain::walk(&fixed.start(), limits, &mut Anomalies::default());
    let (sport, dport) = if inside.complete { upper::ports(inside.proto, inside.rest) } else { (0, 0) };
    Some(Quoted { src: fixed.src(), dst: fixed.dst(), proto: inside.proto, sport, dport })
}
