//! Options of Hop-by-Hop and Destination Options headers (RFC 8200, section 4.2).

use crate::anomaly::{Anomalies, Anomaly};
use crate::limits::Limits;

const PAD1: u8 = 0x00;
const PADN: u8 = 0x01;
const JUMBO: u8 = 0xc2;

/// Elements read in one header for each option allowed, padding included. Three paddings to an option would be silly
/// already; what exceeds this is not read, so that two-byte options cannot be made to cost more than others.
const ELEMENTS_AN_OPTION: u32 = 4;

/// Whether a header of eight bytes holds one PadN that fills it and is within the limit, which is what nearly all padding
/// is. The rest of the parser may pass such a header without a [`scan`], which has nothing to say of it.
#[inline]
pub(crate) const fn is_padding(header: &[u8; 8], limits: &Limits) -> bool {
    // All but the next header, which is the first byte.
    const PADN_OF_SIX: u64 = u64::from_le_bytes([0, PADN, 4, 0, 0, 0, 0, 0]);
    u64::from_le_bytes(*header) >> 8 == PADN_OF_SIX && limits.padding >= 6
}

/// Checks the options of a whole header, and returns the jumbo payload length when a well-formed jumbo option is among them
/// (RFC 2675, section 2).
pub(crate) fn scan(header: &[u8], limits: &Limits, odd: &mut Anomalies) -> Option<u32> {
    let mut rest = header.get(2..).unwrap_or_default();
    let mut jumbo = None;
    let mut options = 0u8;
    let mut padding = 0usize;
    for _ in 0..(u32::from(limits.options) + 1) * ELEMENTS_AN_OPTION {
        let Some((&kind, behind)) = rest.split_first() else { return jumbo };
        if kind == PAD1 {
            let run = leading_zeros(rest);
            padding += run;
            rest = rest.get(run..).unwrap_or_default();
        } else {
            let Some((data, behind)) = option_data(behind) else {
                odd.insert(Anomaly::OptionTruncated);
                return jumbo;
            };
            rest = behind;
            if kind == PADN {
                padding += 2 + data.len();
                check_padding(data, odd);
            } else if options < limits.options {
                options += 1;
                padding = 0;
                jumbo = jumbo.or(option(kind, data, odd));
                continue;
            } else {
                break;
            }
        }
        if padding > usize::from(limits.padding) {
            odd.insert(Anomaly::PaddingLimit);
        }
    }
    odd.insert(Anomaly::OptionLimit);
    jumbo
}

fn option_data(behind: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, data) = behind.split_first()?;
    data.split_at_checked(usize::from(len))
}

fn check_padding(data: &[u8], odd: &mut Anomalies) {
    if data.iter().any(|&byte| byte != 0) {
        odd.insert(Anomaly::PaddingNotZero);
    }
}

/// One option that is not padding; the jumbo payload length when it is that.
fn option(kind: u8, data: &[u8], odd: &mut Anomalies) -> Option<u32> {
    if kind == JUMBO {
        if let Ok(len) = data.try_into() {
            return Some(u32::from_be_bytes(len));
        }
        odd.insert(Anomaly::JumboInvalid);
    } else if kind & 0xc0 != 0 && !is_known(kind) {
        odd.insert(Anomaly::OptionUnknown);
    }
    None
}

/// Options that IANA has assigned among those whose first bits ask an unaware node to discard the packet.
const fn is_known(kind: u8) -> bool {
    matches!(
        kind,
        0x4d            // formerly the multicast protocol for low-power networks
        | 0x63          // RPL, first assignment (RFC 6553)
        | 0x6d          // multicast protocol for low-power networks (RFC 7731)
        | 0x8a          // endpoint identification
        | 0x8b          // ILNP nonce (RFC 6744)
        | 0x8c          // line identification (RFC 6788)
        | JUMBO
        | 0xc9          // home address (RFC 6275)
        | 0xee // depth-first forwarding (RFC 6971)
    )
}

/// How many zero bytes `bytes` starts with, eight at a time: a header full of them is cheap to send.
fn leading_zeros(bytes: &[u8]) -> usize {
    let words = bytes.chunks_exact(8).take_while(|word| *word == [0; 8]).count() * 8;
    let tail = bytes.get(words..).unwrap_or_default();
    words + tail.iter().take_while(|&&byte| byte == 0).count()
}
