//! Durations as Go writes them, which is how CrowdSec states what is left of a decision.

/// The length of time that `text` gives, in seconds, rounded up so that a fraction of a second is not yet over; 0 for
/// zero and for anything negative. `None` when it is no duration, or one over 2⁶³ nanoseconds, which Go cannot hold
/// either.
///
/// The form is a sign, then numbers with a unit of `h`, `m`, `s`, `ms`, `us`, `µs` or `ns`, with or without a
/// fraction, as in `59m58.788467239s`; a bare `0` needs no unit.
pub(super) fn seconds(text: &str) -> Option<u64> {
    const NANOSECONDS: u128 = 1_000_000_000;
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: u128 = 0;
    loop {
        let (nanoseconds, behind) = term(rest)?;
        total = total.checked_add(nanoseconds).filter(|&total| total <= i64::MAX as u128)?;
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    if negative { Some(0) } else { u64::try_from(total.div_ceil(NANOSECONDS)).ok() }
}

/// The nanoseconds of the first number and unit of `text`, and what follows them.
fn term(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let units = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (unit, rest) = units.iter().find_map(|(name, unit)| Some((*unit, rest.strip_prefix(name)?)))?;
    // Leading zeros are no size. 19 digits are what 2⁶³ has, and their product with an hour fits.
    let whole = whole.trim_start_matches('0');
    if whole.len() > 19 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((whole * unit + part(fraction, unit), rest))
}

/// The nanoseconds of the digits behind the point. 14 of them tell an hour to the nanosecond; the rest is cut off.
fn part(fraction: &str, unit: u128) -> u128 {
    let fraction = &fraction[..fraction.len().min(14)];
    let number = fraction.bytes().fold(0, |number, digit| number * 10 + u128::from(digit - b'0'));
    number * unit / 10u128.pow(fraction.len() as u32)
}

/// The digits that `text` begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(seconds(text), expected, "{text}");
    }

    #[test]
    fn the_forms_that_go_writes() {
        check("4h", Some(14_400));
        check("72h0m0s", Some(259_200));
        check("59m58.788467239s", Some(3_599));
        check("29m58.788467749s", Some(1_799));
        check("1.5h", Some(5_400));
        check(".5m", Some(30));
        check("1h1m1s1ms1us1ns", Some(3_662));
        check("+3s", Some(3));
    }

    #[test]
    fn a_fraction_of_a_second_is_not_over_and_nothing_is() {
        check("1ns", Some(1));
        check("700µs", Some(1));
        check("700μs", Some(1));
        check("0", Some(0));
        check("0s", Some(0));
        check("-12.709097ms", Some(0));
        check("-3m", Some(0));
    }

    #[test]
    fn what_go_does_not_write_is_refused() {
        for text in
            ["", "-", "bogus", "4", "4d", "h", ".s", "1h ", " 1h", "1h-1m", "2026-11-21T10:00:00Z", "1e3s"]
        {
            check(text, None);
        }
    }

    #[test]
    fn the_largest_is_two_to_the_63_nanoseconds() {
        check("9223372036854775807ns", Some(9_223_372_037));
        check("9223372036854775808ns", None);
        check("2562047h47m16.854775807s", Some(9_223_372_037));
        check("2562048h", None);
        check("99999999999999999999h", None);
        check(&format!("{}1s", "0".repeat(100)), Some(1));
        check(&format!("0.{}s", "9".repeat(1_000)), Some(1));
    }
}
