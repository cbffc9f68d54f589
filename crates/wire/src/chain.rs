//! The chain of extension headers (RFC 8200, section 4).
//!
//! Only headers whose length is known are walked. A next header that is not in the list ends the chain, so nothing is
//! ever taken for an extension header because it might be one.

use crate::anomaly::{Anomalies, Anomaly};
use crate::limits::Limits;
use crate::options;
use crate::packet::Fragment;
use crate::reader::{View, be16};
use crate::routing;

pub(crate) const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ESP: u8 = 50;
const AUTHENTICATION: u8 = 51;
pub(crate) const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;
const SHIM6: u8 = 140;

/// Largest payload without a jumbo option, reassembled or not, in bytes (RFC 8200, section 4.5; RFC 2675, section 3).
pub(crate) const DATAGRAM_MAX: u64 = 65_535;

/// What stands behind the extension headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    /// The last next-header value that could be read.
    pub(crate) proto: u8,
    /// Whether an upper-layer header is to be expected at `rest`.
    pub(crate) complete: bool,
    /// Extension headers walked.
    pub(crate) ext_headers: u8,
    /// The first fragment header.
    pub(crate) fragment: Option<Fragment>,
    /// Whether a fragment header said that this is the first of several pieces, so that what is missing may follow in
    /// another.
    pub(crate) is_first_fragment: bool,
    /// The bytes behind the last header walked.
    pub(crate) rest: View<'a>,
    /// Bytes that the payload length claims for `rest`.
    pub(crate) claimed: u64,
}

/// What the IPv6 header says about the chain behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) next_header: u8,
    /// The payload, no longer than claimed.
    pub(crate) payload: View<'a>,
    /// Length of the payload that is claimed, in bytes.
    pub(crate) claimed: u64,
    /// Whether a jumbo option gave that length.
    pub(crate) jumbo: bool,
}

impl<'a> Chain<'a> {
    /// The chain of a packet without extension headers.
    #[inline]
    pub(crate) const fn without_headers(start: &Start<'a>) -> Self {
        Self {
            proto: start.next_header,
            complete: true,
            ext_headers: 0,
            fragment: None,
            is_first_fragment: false,
            rest: start.payload,
            claimed: start.claimed,
        }
    }

    /// Passes a header that starts with `fixed` and has `rest` behind it.
    #[inline(always)]
    fn pass(&mut self, fixed: &[u8; 8], rest: View<'a>) {
        self.proto = fixed[0];
        self.ext_headers += 1;
        self.rest = rest;
    }

    /// Bytes that the payload length claims for `rest`, when the walk began at `start`: no payload is longer than claimed,
    /// so what was walked never is.
    #[inline(always)]
    fn still_claimed(&self, start: &Start<'_>) -> u64 {
        let walked = start.payload.bytes().len() - self.rest.bytes().len();
        start.claimed - walked as u64
    }

    /// The upper-layer protocol, when its header is to be expected at `rest`.
    #[inline]
    pub(crate) const fn upper(&self) -> Option<u8> {
        if self.complete { Some(self.proto) } else { None }
    }

    /// Whether the header itself ends behind the claimed payload, rather than being cut by a capture.
    #[inline]
    pub(crate) const fn ends_within(&self, len: u64) -> bool {
        self.claimed < len
    }
}

/// Walks the extension headers, at most as many as `limits` allows.
///
/// Inlined where it is used, since its ten words of state cost more to hand over than to walk by.
#[inline(always)]
pub(crate) fn walk<'a>(start: &Start<'a>, limits: &Limits, odd: &mut Anomalies) -> Chain<'a> {
    let mut chain = Chain::without_headers(start);
    if is_walked(start.next_header) {
        chain.complete = pass_all(&mut chain, start, limits, odd);
        chain.claimed = chain.still_claimed(start);
    }
    chain
}

/// Passes header after header. False when it does not come to the end of the chain.
#[inline(always)]
fn pass_all<'a>(chain: &mut Chain<'a>, start: &Start<'a>, limits: &Limits, odd: &mut Anomalies) -> bool {
    let mut order = Order::default();
    loop {
        if chain.ext_headers >= limits.ext_headers {
            odd.insert(Anomaly::ExtHeaderLimit);
            return false;
        }
        if chain.proto == DESTINATION {
            order.destination();
        } else {
            order.check(chain.proto, odd);
        }
        if !step(chain, start, limits, odd) {
            return false;
        }
        if !is_walked(chain.proto) {
            order.check(chain.proto, odd);
            return true;
        }
    }
}

/// Passes one header. False when the walk ends with it: the header is cut, or the rest is in another fragment.
#[inline(always)]
fn step<'a>(chain: &mut Chain<'a>, start: &Start<'a>, limits: &Limits, odd: &mut Anomalies) -> bool {
    let kind = chain.proto;
    // The cheapest header to repeat is the cheapest to pass.
    if kind == DESTINATION
        && let Some((header, rest)) = chain.rest.split::<8>()
        && options::is_padding(header, limits)
    {
        chain.pass(header, rest);
        return true;
    }
    let Some((header, fixed, rest)) = whole(kind, chain.rest) else {
        let claimed = chain.still_claimed(start);
        chain.proto = cut(kind, chain.rest.bytes(), claimed, chain.is_first_fragment, odd);
        return false;
    };
    chain.pass(fixed, rest);
    match kind {
        HOP_BY_HOP | DESTINATION => {
            let jumbo = options::scan(header, limits, odd);
            // A jumbo option has to be alone in saying how long the packet is (RFC 2675, section 3).
            if kind == HOP_BY_HOP && jumbo.is_some() && !start.jumbo {
                odd.insert(Anomaly::JumboInvalid);
            }
        }
        ROUTING => routing::check(fixed, odd),
        // The fixed part has twelve bytes, and IPv6 wants a multiple of eight.
        AUTHENTICATION if header.len() < 12 || !header.len().is_multiple_of(8) => {
            odd.insert(Anomaly::AhInvalid);
        }
        FRAGMENT => return fragment(chain, start, fixed, odd),
        _ => {}
    }
    true
}

/// Length of an extension header in bytes. Hardly any two agree: the fragment header has no length field, and the
/// Authentication Header counts in four bytes and leaves out two of them (RFC 4302, section 2.2).
#[inline]
const fn header_len(kind: u8, len: u8) -> usize {
    match kind {
        FRAGMENT => 8,
        AUTHENTICATION => (len as usize + 2) * 4,
        _ => (len as usize + 1) * 8,
    }
}

/// The header of this kind at the beginning of `view`, its first eight bytes, and what lies behind it, when it is whole.
#[inline]
fn whole(kind: u8, view: View<'_>) -> Option<(&[u8], &[u8; 8], View<'_>)> {
    let fixed = view.first::<8>()?;
    let (header, rest) = view.split_at(header_len(kind, fixed[1]))?;
    Some((header, fixed, rest))
}

/// Names the cut of an extension header, and returns the last next-header value that can be believed.
#[cold]
#[inline(never)]
fn cut(kind: u8, bytes: &[u8], claimed: u64, is_first_fragment: bool, odd: &mut Anomalies) -> u8 {
    let len = bytes.get(1).map_or(2, |len| header_len(kind, *len));
    odd.insert(if is_first_fragment && claimed < len as u64 {
        Anomaly::FirstFragmentIncomplete
    } else {
        Anomaly::ExtHeaderTruncated
    });
    match bytes.first() {
        // Not whether a fragment holds what is named behind a cut header.
        Some(next) if kind != FRAGMENT => *next,
        _ => kind,
    }
}

/// A fragment header (RFC 8200, section 4.5). False when another fragment holds the upper layer.
#[inline(always)]
fn fragment(chain: &mut Chain<'_>, start: &Start<'_>, header: &[u8; 8], odd: &mut Anomalies) -> bool {
    let [_, _, high, low, id @ ..] = *header;
    let len = chain.still_claimed(start);
    let piece = Fragment {
        id: u32::from_be_bytes(id),
        offset: be16(high, low) & !0x07,
        len: u16::try_from(len).unwrap_or(u16::MAX),
        more: low & 1 == 1,
    };
    if chain.fragment.is_some() {
        odd.insert(Anomaly::FragmentNested);
    }
    if start.jumbo {
        odd.insert(Anomaly::JumboInvalid);
    }
    if piece.is_atomic() {
        odd.insert(Anomaly::FragmentAtomic);
    }
    if piece.more && !len.is_multiple_of(8) {
        odd.insert(Anomaly::FragmentLength);
    }
    // Headers before the fragment header count towards the payload of the whole, but not this one.
    if start.claimed + u64::from(piece.offset) > DATAGRAM_MAX + 8 {
        odd.insert(Anomaly::FragmentPastEnd);
    }
    if len == 0 {
        odd.insert(Anomaly::FragmentEmpty);
    }
    let first = piece.offset == 0;
    chain.is_first_fragment |= first && piece.more;
    // Of nested headers the first is told, but a piece of any of them hides the upper layer.
    if chain.fragment.is_none() {
        chain.fragment = Some(piece);
    }
    first
}

/// Place of each next-header value in the recommended order (RFC 8200, section 4.1), as a bit, first place lowest; 0 for
/// what ends the chain and has no place in it.
const PLACES: [u8; 256] = {
    let mut places = [0; 256];
    places[HOP_BY_HOP as usize] = 1;
    // Destination Options stand last, or before a routing header: see `Order::destination`.
    places[DESTINATION as usize] = 1 << 7;
    places[ROUTING as usize] = 1 << 2;
    // Between the routing header and the headers of the end point (RFC 5533, section 4.6).
    places[SHIM6 as usize] = 1 << 3;
    places[FRAGMENT as usize] = 1 << 4;
    places[AUTHENTICATION as usize] = 1 << 5;
    places[ESP as usize] = PLACE_OF_ESP;
    places
};
/// The one place whose header ends the walk.
const PLACE_OF_ESP: u8 = 1 << 6;

/// Whether the walk passes this next header.
#[inline]
const fn is_walked(next_header: u8) -> bool {
    PLACES[next_header as usize] & !PLACE_OF_ESP != 0
}

/// The places of the headers that were seen.
#[derive(Clone, Copy, Default)]
struct Order(u8);

impl Order {
    /// Adds Destination Options, which take the place before a routing header when nothing but Hop-by-Hop Options was
    /// seen. Neither of their places is ever wrong, and they may occur twice.
    #[inline]
    const fn destination(&mut self) {
        self.0 |= if self.0 < 1 << 1 { 1 << 1 } else { 1 << 7 };
    }

    /// Adds any other header, or what ends the chain.
    #[inline]
    fn check(&mut self, kind: u8, odd: &mut Anomalies) {
        let place = PLACES[kind as usize];
        // Nothing from this place on was seen before, as a rule.
        if self.0 >= place && place != 0 {
            self.misplaced(kind, place, odd);
        }
        self.0 |= place;
    }

    #[cold]
    #[inline(never)]
    fn misplaced(self, kind: u8, place: u8, odd: &mut Anomalies) {
        if kind == HOP_BY_HOP {
            odd.insert(Anomaly::HopByHopNotFirst);
        }
        if self.0 & place != 0 {
            odd.insert(Anomaly::ExtHeaderDuplicate);
        }
        if self.0 >> 1 >= place {
            odd.insert(Anomaly::ExtHeaderOrder);
        }
    }
}
