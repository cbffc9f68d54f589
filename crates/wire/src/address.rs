//! Addresses that have no business on a wire.

use crate::anomaly::{Anomalies, Anomaly};
use crate::link::{Link, is_loopback};

const UNSPECIFIED: u128 = 0;
const LOOPBACK: u128 = 1;

/// What is odd about source and destination. Ordinary global unicast passes with a few comparisons.
///
/// `may_be_unspecified` tells whether a node without an address may have sent this, and the frame is asked whether it
/// ever left its host.
#[inline(always)]
pub(crate) fn check(
    src: u128,
    dst: u128,
    may_be_unspecified: impl FnOnce() -> bool,
    (link, frame): (Link, &[u8]),
) -> Anomalies {
    match of_usual(src, dst) {
        Some(odd) => odd,
        None => unusual(src, dst, may_be_unspecified(), link, frame),
    }
}

/// What is odd about two addresses of global unicast; none when they are the same or anything else.
#[inline(always)]
pub(crate) fn of_usual(src: u128, dst: u128) -> Option<Anomalies> {
    // Both at once: each comparison of its own would be a branch.
    if !is_global_unicast(src) | !is_global_unicast(dst) | (src == dst) {
        return None;
    }
    let mut odd = Anomalies::NONE;
    if is_reserved_unicast(src) {
        odd.insert(Anomaly::SourceReserved);
    }
    Some(odd)
}

#[inline(never)]
fn unusual(src: u128, dst: u128, may_be_unspecified: bool, link: Link, frame: &[u8]) -> Anomalies {
    let mut odd = Anomalies::NONE;
    if is_multicast(src) {
        odd.insert(Anomaly::SourceMulticast);
    }
    if (src == UNSPECIFIED && !may_be_unspecified) || dst == UNSPECIFIED {
        odd.insert(Anomaly::UnspecifiedAddress);
    }
    if holds_ipv4(src) || holds_ipv4(dst) {
        odd.insert(Anomaly::MappedAddress);
    }
    if is_reserved(src) {
        odd.insert(Anomaly::SourceReserved);
    }
    if src >> 118 == 0xfec0 >> 6 {
        odd.insert(Anomaly::SourceSiteLocal);
    }
    let scope = if is_multicast(dst) { Some((dst >> 112) & 0x0f) } else { None };
    if matches!(scope, Some(0x0 | 0xf)) {
        odd.insert(Anomaly::MulticastScope);
    }
    // A host may say anything to itself.
    let to_itself = src == dst || src == LOOPBACK || dst == LOOPBACK || scope == Some(0x1);
    if to_itself && !is_loopback(link, frame) {
        if src == dst {
            odd.insert(Anomaly::SourceIsDestination);
        }
        if src == LOOPBACK || dst == LOOPBACK {
            odd.insert(Anomaly::LoopbackAddress);
        }
        if scope == Some(0x1) {
            odd.insert(Anomaly::MulticastScope);
        }
    }
    odd
}

/// 2000::/3.
#[inline]
const fn is_global_unicast(address: u128) -> bool {
    address >> 125 == 0b001
}

const fn is_multicast(address: u128) -> bool {
    address >> 120 == 0xff
}

/// IPv4-mapped (`::ffff:0:0/96`) or IPv4-compatible (`::/96` but for the two addresses that have a meaning).
const fn holds_ipv4(address: u128) -> bool {
    let above = address >> 32;
    above == 0xffff || (above == 0 && address > LOOPBACK)
}

/// 2001:db8::/32 and 3fff::/20 (documentation), 2001:2::/48 (benchmarking), 100::/64 (discard only).
#[inline]
const fn is_reserved(address: u128) -> bool {
    is_reserved_unicast(address) || address >> 64 == 0x0100 << 48
}

/// Those of them inside [global unicast](is_global_unicast). The first sixteen bits turn almost every address away.
#[inline]
const fn is_reserved_unicast(address: u128) -> bool {
    match address >> 112 {
        0x2001 => address >> 96 == 0x2001_0db8 || address >> 80 == 0x2001_0002_0000,
        0x3fff => address >> 108 == 0x3fff0,
        _ => false,
    }
}
