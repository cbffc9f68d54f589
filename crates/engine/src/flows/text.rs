//! The text of a flow, made digit by digit: the formatting of the standard library took longer than everything else that
//! happens to a flow of two packets.

use std::io::Write;
use std::net::Ipv6Addr;

use credence_flow::{FlowKey, FlowRecord};
use credence_score::Verdict;

use crate::anonymise::Anonymiser;

/// Hexadecimal digits of an order key: time, frame, two addresses, protocol and ports.
pub(super) const ORDER_LEN: usize = 16 + 8 + 32 + 32 + 2 + 4 + 4;

/// Decimal digits of 64 bits at most.
const DIGITS_MAX: usize = 20;
/// The numbers below a hundred in two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut at = 0;
    while at < 100 {
        pairs[at] = [b'0' + at as u8 / 10, b'0' + at as u8 % 10];
        at += 1;
    }
    pairs
};

/// Appends a key that compares as time, frame and flow key do.
pub(super) fn order_key(text: &mut Vec<u8>, first_ns: u64, frame: u32, key: &FlowKey) {
    digits(text, first_ns.into(), 16);
    digits(text, frame.into(), 8);
    digits(text, key.src, 32);
    digits(text, key.dst, 32);
    digits(text, key.proto.into(), 2);
    digits(text, key.sport.into(), 4);
    digits(text, key.dport.into(), 4);
}

/// Appends a flow's line, its columns as the header names them.
pub(super) fn line(text: &mut Vec<u8>, flow: &FlowRecord, anonymiser: Option<&Anonymiser>) {
    let shown = |addr: u128| anonymiser.map_or(addr, |a| a.address(addr));
    let key = &flow.key;
    for addr in [key.src, key.dst] {
        address(text, shown(addr));
        text.push(b'\t');
    }
    let counts = [flow.packets, flow.bytes, flow.first_ns, flow.last_ns, flow.fragments.into()];
    for number in [key.proto.into(), key.sport.into(), key.dport.into()].into_iter().chain(counts) {
        decimal(text, number);
        text.push(b'\t');
    }
    anomalies(text, flow);
    text.push(b'\t');
    decimal(text, flow.score.into());
    text.push(b'\t');
    let verdict = Verdict::from_number(flow.verdict).unwrap_or(Verdict::Pass);
    text.extend_from_slice(verdict.name().as_bytes());
    text.push(b'\n');
}

/// The names of a flow's anomalies with commas between them, or a dash.
fn anomalies(text: &mut Vec<u8>, flow: &FlowRecord) {
    if flow.anomalies.is_empty() {
        return text.push(b'-');
    }
    for (at, anomaly) in flow.anomalies.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(anomaly.name().as_bytes());
    }
}

/// A number in decimal digits.
fn decimal(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; DIGITS_MAX];
    let mut at = DIGITS_MAX;
    while number >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number > 0 || at == DIGITS_MAX {
        at -= 1;
        digits[at] = b'0' + number as u8;
    }
    text.extend_from_slice(&digits[at..]);
}

/// A number in as many lower-case hexadecimal digits.
fn digits(text: &mut Vec<u8>, number: u128, count: u32) {
    text.extend((0..count).rev().map(|place| digit((number >> (4 * place)) as u8 & 0xf)));
}

const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// An address in its canonical form (RFC 5952, section 4).
fn address(text: &mut Vec<u8>, addr: u128) {
    if addr >> 32 == 0xffff {
        // The mixed form of an IPv4-mapped address (section 5) is as rare as such a source. Writing to a vector never fails.
        let _ = write!(text, "{}", Ipv6Addr::from(addr));
        return;
    }
    let groups: [u16; 8] = std::array::from_fn(|at| (addr >> (112 - 16 * at)) as u16);
    let (from, until) = longest_zeroes(&groups);
    groups_between_colons(text, &groups[..from]);
    if from < until {
        text.extend_from_slice(b"::");
    }
    groups_between_colons(text, &groups[until..]);
}

fn groups_between_colons(text: &mut Vec<u8>, groups: &[u16]) {
    for (at, group) in groups.iter().enumerate() {
        if at > 0 {
            text.push(b':');
        }
        let all = [group >> 12, group >> 8, group >> 4, *group].map(|value| digit(value as u8 & 0xf));
        let leading = (group.leading_zeros() as usize / 4).min(3);
        text.extend_from_slice(&all[leading..]);
    }
}

/// Where the longest run of at least two zero groups lies, the first of equals; behind the last group where none is.
fn longest_zeroes(groups: &[u16; 8]) -> (usize, usize) {
    let (mut longest, mut from) = ((8, 8), 0);
    for (at, group) in groups.iter().enumerate() {
        if *group != 0 {
            from = at + 1;
        } else if at + 1 - from > (longest.1 - longest.0).max(1) {
            longest = (from, at + 1);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made(make: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        make(&mut text);
        String::from_utf8(text).expect("text")
    }

    #[track_caller]
    fn check(addr: u128) {
        assert_eq!(made(|text| address(text, addr)), Ipv6Addr::from(addr).to_string());
    }

    #[test]
    fn addresses_of_every_pattern_of_zero_groups_read_as_the_standard_librarys() {
        for pattern in 0_u32..256 {
            for group in [1_u128, 0x10, 0xabc, 0xffff] {
                check((0..8).filter(|at| pattern >> at & 1 == 1).map(|at| group << (16 * at)).sum());
            }
        }
        check(0xffff_c000_0201);
        check(0xfffe_c000_0201);
    }

    #[test]
    fn numbers_at_the_edges_of_their_lengths_read_as_the_standard_librarys() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        for number in powers.flat_map(|power| [power - 1, power, power + 1]).chain([0, u64::MAX]) {
            assert_eq!(made(|text| decimal(text, number)), number.to_string());
        }
    }

    proptest! {
        #[test]
        fn text_is_the_standard_librarys(addr: u128, number: u64, shift in 0_u32..64) {
            check(addr);
            let number = number >> shift;
            prop_assert_eq!(made(|text| decimal(text, number)), number.to_string());
        }

        /// Files are merged by comparing keys as bytes.
        #[test]
        fn order_keys_compare_as_what_they_are_made_of(a: (u64, u32, u128), b: (u64, u32, u128)) {
            let key = |src| FlowKey { src, dst: 1, proto: 6, sport: 7, dport: 8 };
            let made = |(ns, frame, src)| made(|text| order_key(text, ns, frame, &key(src)));
            prop_assert_eq!(made(a).len(), ORDER_LEN);
            prop_assert_eq!(made(a).cmp(&made(b)), a.cmp(&b));
        }
    }
}
