//! Routing headers (RFC 8200, section 4.4): what each type says of its own length.

use crate::anomaly::{Anomalies, Anomaly};

/// Checks the first eight bytes of a routing header: its length counts eight bytes and leaves out the first eight.
pub(crate) fn check(header: &[u8; 8], odd: &mut Anomalies) {
    let [_, len, kind, left, fourth, fifth, ..] = header.map(u32::from);
    let valid = match kind {
        0 => {
            odd.insert(Anomaly::RoutingType0);
            len % 2 == 0 && left <= len / 2
        }
        // Type 2 holds one home address (RFC 6275, section 6.4.1).
        2 => len == 2 && left == 1,
        3 => rpl_fits(len, left, fourth, fifth),
        // A segment routing header may hold fewer segments than it visits, by the one in the destination
        // (RFC 8754, section 4.3.1.1). `fourth` is its last entry.
        4 => 2 * (fourth + 1) <= len && left <= fourth + 1,
        _ => {
            if left > 0 {
                odd.insert(Anomaly::RoutingUnknown);
            }
            true
        }
    };
    if !valid {
        odd.insert(Anomaly::RoutingInvalid);
    }
}

/// Whether the compressed addresses of an RPL source route fill its length (RFC 6554, section 4.2).
fn rpl_fits(len: u32, left: u32, compression: u32, padding: u32) -> bool {
    let (each, last, pad) = (16 - (compression >> 4), 16 - (compression & 0x0f), padding >> 4);
    match (8 * len).checked_sub(pad + last) {
        Some(others) => others % each == 0 && left <= others / each + 1,
        None => len == 0 && left == 0,
    }
}
