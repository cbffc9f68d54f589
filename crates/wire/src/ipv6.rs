//! One IPv6 header (RFC 8200, section 3) and the chain behind it.

use crate::address;
use crate::anomaly::{Anomalies, Anomaly};
use crate::chain::{self, Chain, NO_NEXT_HEADER, Start};
use crate::icmpv6;
use crate::limits::Limits;
use crate::options;
use crate::packet::{Header, Malformed};
use crate::path::Path;
use crate::reader::{View, be16};
use crate::upper::{self, Segment};

/// The 40 bytes of an IPv6 header, and what lies behind them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed<'a> {
    head: &'a [u8; 8],
    src: &'a [u8; 16],
    dst: &'a [u8; 16],
    behind: View<'a>,
}

impl<'a> Fixed<'a> {
    /// The header at the beginning of `view`, if it is whole and says version 6.
    #[inline]
    pub(crate) fn new(view: View<'a>) -> Result<Self, Malformed> {
        match Self::split(view) {
            Some(fixed) if fixed.head[0] >> 4 == 6 => Ok(fixed),
            Some(_) => Err(Malformed::Version),
            None => Err(Malformed::HeaderTruncated),
        }
    }

    #[inline]
    fn split(view: View<'a>) -> Option<Self> {
        // One bounds check; the pieces of a fixed array need none.
        let (header, behind) = view.split::<40>()?;
        let (head, addresses) = header.split_first_chunk()?;
        let (src, rest) = addresses.split_first_chunk()?;
        let dst = rest.first_chunk()?;
        Some(Self { head, src, dst, behind })
    }

    #[inline]
    pub(crate) const fn src(&self) -> u128 {
        u128::from_be_bytes(*self.src)
    }

    #[inline]
    pub(crate) const fn dst(&self) -> u128 {
        u128::from_be_bytes(*self.dst)
    }

    /// The chain as the payload length alone has it.
    #[inline]
    pub(crate) fn start(&self) -> Start<'a> {
        let claimed = u64::from(self.payload_len());
        Start { next_header: self.next_header(), payload: self.behind.limit(claimed), claimed, jumbo: false }
    }

    /// Everything behind the header, which may be more than it claims.
    #[inline]
    pub(crate) const fn behind(&self) -> View<'a> {
        self.behind
    }

    #[inline]
    pub(crate) const fn hop_limit(&self) -> u8 {
        self.head[7]
    }

    #[inline]
    pub(crate) const fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.head[1] & 0x0f, self.head[2], self.head[3]])
    }

    #[inline]
    pub(crate) const fn traffic_class(&self) -> u8 {
        self.head[0] << 4 | self.head[1] >> 4
    }

    #[inline]
    fn payload_len(&self) -> u16 {
        be16(self.head[4], self.head[5])
    }

    #[inline]
    pub(crate) const fn next_header(&self) -> u8 {
        self.head[6]
    }
}

/// An IPv6 header whose chain has been walked: all but its upper layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked<'a> {
    pub(crate) fixed: Fixed<'a>,
    pub(crate) chain: Chain<'a>,
    /// Length of the payload that is claimed, in bytes.
    claimed: u64,
    /// Whether a jumbo option gave that length.
    pub(crate) jumbo: bool,
}

impl Walked<'_> {
    /// The header with what its upper layer said.
    #[inline(always)]
    pub(crate) fn header(&self, Segment { upper, sport, dport }: Segment) -> Header {
        let Self { fixed, chain, claimed, .. } = self;
        Header {
            src: fixed.src(),
            dst: fixed.dst(),
            bytes: 40 + claimed,
            flow_label: fixed.flow_label(),
            fragment: chain.fragment,
            proto: chain.proto,
            traffic_class: fixed.traffic_class(),
            hop_limit: fixed.hop_limit(),
            ext_headers: chain.ext_headers,
            sport,
            dport,
            upper,
        }
    }
}

/// Walks the chain behind a header. What is odd about either is added to `odd`.
#[inline(always)]
pub(crate) fn walk<'a>(fixed: Fixed<'a>, path: &Path<'a>, odd: &mut Anomalies) -> Walked<'a> {
    let start = claim(&fixed, path, odd);
    let chain = if start.claimed == 0 && start.next_header != NO_NEXT_HEADER {
        Chain { complete: false, ..Chain::without_headers(&start) }
    } else {
        chain::walk(&start, path.limits, odd)
    };
    if fixed.hop_limit() == 0 {
        odd.insert(Anomaly::HopLimitZero);
    }
    let may_be_unspecified = || icmpv6::is_from_unspecified(&chain);
    *odd = odd.union(address::check(fixed.src(), fixed.dst(), may_be_unspecified, path.origin()));
    Walked { fixed, chain, claimed: start.claimed, jumbo: start.jumbo }
}

/// The payload as the header claims it, held against what the wire had.
#[inline(always)]
fn claim<'a>(fixed: &Fixed<'a>, path: &Path<'a>, odd: &mut Anomalies) -> Start<'a> {
    let mut start = fixed.start();
    if start.claimed == 0 {
        if let Some(len) = jumbo_len(start.next_header, fixed.behind.bytes(), path.limits) {
            start = Start { claimed: len, payload: fixed.behind.limit(len), jumbo: true, ..start };
            if len <= chain::DATAGRAM_MAX {
                odd.insert(Anomaly::JumboInvalid);
            }
        } else if !matches!(start.next_header, NO_NEXT_HEADER | upper::PIM) {
            // Segmentation offload writes this too; nothing behind such a header is known to belong to it.
            odd.insert(Anomaly::PayloadLengthZero);
            return start;
        }
    }
    let on_wire = fixed.behind.wire_len();
    if start.claimed > on_wire {
        odd.insert(Anomaly::PayloadTruncated);
    } else if on_wire - start.claimed > path.slack && on_wire != u64::MAX {
        odd.insert(Anomaly::TrailingBytes);
    }
    start
}

/// The jumbo payload length of a packet whose payload length is zero, when Hop-by-Hop Options give one.
#[cold]
#[inline(never)]
fn jumbo_len(next_header: u8, behind: &[u8], limits: &Limits) -> Option<u64> {
    if next_header != chain::HOP_BY_HOP {
        return None;
    }
    let len = (usize::from(*behind.get(1)?) + 1) * 8;
    // The walk reads the same options again and says what is odd about them.
    options::scan(behind.get(..len)?, limits, &mut Anomalies::default()).map(u64::from)
}
