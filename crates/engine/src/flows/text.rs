//! The text of a flow.
//!
//! Every part of a line is written in full width at a place of an array, and the next one begins behind its last character:
//! no length of a copy depends on what is in it, and hardly a branch on a digit. A line takes two thirds of the instructions
//! that it took when parts were appended to a vector one by one, and numbers formatted by a library.

use std::io::Write;
use std::net::Ipv6Addr;

use credence_credit::Anonymiser;
use credence_flow::FlowRecord;
use credence_score::Verdict;

/// Room for a line without its anomalies, whose longest has 206 characters, and for the last word's full width.
const WIDTH: usize = 256;
/// What eight decimal digits can say, and one more.
const EIGHT_DIGITS: u64 = 100_000_000;
/// Nanoseconds of a second.
const NANOS: u64 = 1_000_000_000;

/// Memory for one line after the other, and what they have in common.
pub(super) struct Sheet {
    bytes: [u8; WIDTH],
    second: Second,
}

impl Default for Sheet {
    fn default() -> Self {
        Self { bytes: [0; WIDTH], second: Second::of(0) }
    }
}

/// A second in decimal digits: flows are written in the order of time, so that it is mostly that of the line before.
struct Second {
    number: u64,
    /// The first in the lowest byte.
    digits: u128,
    len: usize,
}

impl Second {
    /// The digits of a number that is no more than 64 bits of nanoseconds have.
    const fn of(number: u64) -> Self {
        let (high, low) = (decimal(number / EIGHT_DIGITS), decimal(number % EIGHT_DIGITS));
        let digits = high as u128 | (low as u128) << 64;
        let zeros = (digits ^ (DECIMAL_ZEROS as u128 | (DECIMAL_ZEROS as u128) << 64)).trailing_zeros() / 8;
        let zeros = if zeros < 16 { zeros } else { 15 };
        Self { number, digits: digits >> (8 * zeros), len: 16 - zeros as usize }
    }
}

/// Appends a flow's line, its columns as the header names them.
pub(super) fn line(
    text: &mut Vec<u8>,
    sheet: &mut Sheet,
    flow: &FlowRecord,
    anonymiser: Option<&Anonymiser>,
) {
    let shown = |addr: u128| anonymiser.map_or(addr, |a| a.address(addr));
    let key = &flow.key;
    let mut columns = Columns { bytes: &mut sheet.bytes, len: 0 };
    for addr in [key.src, key.dst] {
        columns.address(shown(addr));
        columns.byte(b'\t');
    }
    for number in [key.proto.into(), key.sport.into(), key.dport.into(), flow.packets, flow.bytes] {
        columns.decimal(number);
        columns.byte(b'\t');
    }
    for ns in [flow.first_ns, flow.last_ns] {
        columns.time(ns, &mut sheet.second);
        columns.byte(b'\t');
    }
    columns.decimal(flow.fragments.into());
    columns.byte(b'\t');
    if flow.anomalies.is_empty() {
        columns.byte(b'-');
    } else {
        columns.move_to(text);
        anomalies(text, flow);
    }
    columns.byte(b'\t');
    columns.decimal(flow.score.into());
    columns.byte(b'\t');
    columns.move_to(text);
    let verdict = Verdict::from_number(flow.verdict).unwrap_or(Verdict::Pass);
    text.extend_from_slice(verdict.name().as_bytes());
    text.push(b'\n');
}

/// The names of a flow's anomalies with commas between them.
fn anomalies(text: &mut Vec<u8>, flow: &FlowRecord) {
    for (at, anomaly) in flow.anomalies.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(anomaly.name().as_bytes());
    }
}

/// Characters of a line on their way. What is added to most lines is compiled into one function, so that their number stays
/// in a register: written to memory after each part, it is what all parts wait for.
struct Columns<'s> {
    bytes: &'s mut [u8; WIDTH],
    len: usize,
}

impl Columns<'_> {
    /// Moves all characters to the end of `text`.
    fn move_to(&mut self, text: &mut Vec<u8>) {
        text.extend_from_slice(&self.bytes[..self.len]);
        self.len = 0;
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Adds the first `len` of eight characters, of which the first is the lowest byte.
    #[inline(always)]
    fn word(&mut self, characters: u64, len: usize) {
        self.bytes[self.len..self.len + 8].copy_from_slice(&characters.to_le_bytes());
        self.len += len;
    }

    /// A number in decimal digits.
    #[inline(always)]
    fn decimal(&mut self, number: u64) {
        if number < 10 {
            return self.byte(b'0' + number as u8);
        }
        let (high, low) = (number / EIGHT_DIGITS, number % EIGHT_DIGITS);
        match high {
            0 => return self.leading(low),
            1..EIGHT_DIGITS => self.leading(high),
            _ => {
                self.leading(high / EIGHT_DIGITS);
                self.word(decimal(high % EIGHT_DIGITS), 8);
            }
        }
        self.word(decimal(low), 8);
    }

    /// A time in nanoseconds, of which the second before may be that of the last one.
    #[inline(always)]
    fn time(&mut self, ns: u64, second: &mut Second) {
        let (number, part) = (ns / NANOS, ns % NANOS);
        if number == 0 {
            return self.decimal(part);
        }
        if number != second.number {
            *second = Second::of(number);
        }
        self.word(second.digits as u64, second.len.min(8));
        self.word((second.digits >> 64) as u64, second.len.saturating_sub(8));
        self.byte(b'0' + (part / EIGHT_DIGITS) as u8);
        self.word(decimal(part % EIGHT_DIGITS), 8);
    }

    /// A number of at most eight digits without zeros in front of them.
    #[inline(always)]
    fn leading(&mut self, number: u64) {
        let digits = decimal(number);
        let zeros = ((digits ^ DECIMAL_ZEROS).trailing_zeros() / 8).min(7);
        self.word(digits >> (8 * zeros), 8 - zeros as usize);
    }

    /// An address in its canonical form (RFC 5952, section 4).
    #[inline(always)]
    fn address(&mut self, addr: u128) {
        if addr >> 32 == 0xffff {
            return self.mapped(addr);
        }
        let groups: [u16; 8] = std::array::from_fn(|at| (addr >> (112 - 16 * at)) as u16);
        let (from, until) = longest_zeroes(&groups);
        self.groups(&groups[..from]);
        match (from, until) {
            (8, _) => self.len -= 1,
            (0, _) => self.word(u64::from_le_bytes(*b"::      "), 2),
            _ => self.byte(b':'),
        }
        if until < groups.len() {
            self.groups(&groups[until..]);
            self.len -= 1;
        }
    }

    /// Groups without leading zeros, a colon behind each.
    #[inline(always)]
    fn groups(&mut self, groups: &[u16]) {
        for &group in groups {
            // The lowest digit stays, whatever it is.
            let zeros = (u32::from(group | 1).leading_zeros() - 16) / 4;
            let digits = u64::from(hexadecimal(group)) | u64::from(b':') << 32;
            self.word(digits >> (8 * zeros), 5 - zeros as usize);
        }
    }

    /// The mixed form of an IPv4-mapped address (RFC 5952, section 5), as rare as such a source.
    #[cold]
    fn mapped(&mut self, addr: u128) {
        let mut place = &mut self.bytes[self.len..];
        let room = place.len();
        // Its 22 characters at most find room.
        let _ = write!(place, "{}", Ipv6Addr::from(addr));
        self.len += room - place.len();
    }
}

/// Eight zeros.
const DECIMAL_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The digits of a number below [`EIGHT_DIGITS`], the first in the lowest byte: all numbers of four digits are halved at
/// once, then all of two. A division by a hundred or ten is a multiplication, exact for what can come.
const fn decimal(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | ((twos - 10 * tens) << 8)) + DECIMAL_ZEROS
}

/// The two lower-case digits of each byte, the first in the lower half.
const HEXADECIMAL: [u16; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = u16::from_le_bytes([DIGITS[byte >> 4], DIGITS[byte & 15]]);
        byte += 1;
    }
    table
};

/// The four lower-case digits of a group, the first in the lowest byte. Read out of half a KiB they take half of the
/// instructions that arithmetic on all four at once takes, and a line a tenth less.
#[inline(always)]
fn hexadecimal(group: u16) -> u32 {
    let [high, low] = group.to_be_bytes().map(|byte| u32::from(HEXADECIMAL[usize::from(byte)]));
    high | low << 16
}

/// Where the longest run of at least two zero groups lies, the first of equals; behind the last group where none is.
fn longest_zeroes(groups: &[u16; 8]) -> (usize, usize) {
    // All are compared: which is zero, if any, cannot be predicted, and mostly none is.
    if !groups.iter().fold(false, |any, &group| any | (group == 0)) {
        return (8, 8);
    }
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
    use credence_flow::FlowKey;
    use proptest::prelude::*;

    use super::super::tests::flow;
    use super::*;

    fn made(make: impl FnOnce(&mut Columns)) -> String {
        let (mut sheet, mut text) = (Sheet::default(), Vec::new());
        let mut columns = Columns { bytes: &mut sheet.bytes, len: 0 };
        make(&mut columns);
        columns.move_to(&mut text);
        String::from_utf8(text).expect("text")
    }

    #[track_caller]
    fn check(addr: u128) {
        assert_eq!(made(|columns| columns.address(addr)), Ipv6Addr::from(addr).to_string());
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
            assert_eq!(made(|columns| columns.decimal(number)), number.to_string());
        }
    }

    #[test]
    fn the_longest_line_finds_room() {
        let key =
            FlowKey { src: u128::MAX, dst: u128::MAX, proto: u8::MAX, sport: u16::MAX, dport: u16::MAX };
        let longest = FlowRecord {
            key,
            last_ns: u64::MAX,
            packets: u64::MAX,
            bytes: u64::MAX,
            fragments: u32::MAX,
            score: 1_000,
            ..flow(u64::MAX, 0, 0)
        };
        let mut text = Vec::new();
        line(&mut text, &mut Sheet::default(), &longest, None);
        let (addr, number) = (Ipv6Addr::from(u128::MAX), u64::MAX);
        let counts = format!("{number}\t{number}\t{number}\t{number}\t{}", u32::MAX);
        let expected = format!("{addr}\t{addr}\t255\t65535\t65535\t{counts}\t-\t1000\tpass\n");
        assert_eq!(String::from_utf8(text).expect("text"), expected);
    }

    #[test]
    fn times_read_as_numbers_whatever_second_was_before() {
        let mut second = Second::of(0);
        let edges = [0, 1, 9, 10, 99_999_999, 100_000_000, 1_780_000_000, 9_999_999_999, 18_446_744_073];
        for number in edges.into_iter().chain([1_780_000_000]) {
            for part in [0, 7, 99_999_999, 100_000_000, 709_551_615] {
                let ns = number * NANOS + part;
                assert_eq!(made(|columns| columns.time(ns, &mut second)), ns.to_string());
            }
        }
    }

    proptest! {
        #[test]
        fn text_is_the_standard_librarys(addr: u128, number: u64, shift in 0_u32..64) {
            check(addr);
            let number = number >> shift;
            prop_assert_eq!(made(|columns| columns.decimal(number)), number.to_string());
        }
    }
}
