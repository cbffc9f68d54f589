//! Points in time and lengths of time, on the command line and in answers.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Timestamp};

/// Reads a point in time as Unix seconds: a whole number of them, or a date and time with its offset.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse_moment(text: &str) -> Result<u64, String> {
    let cure = "write Unix seconds, or a time like 2026-11-21T10:00:00Z";
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| format!("not a number of seconds that fits; {cure}"));
    }
    let moment: Timestamp = text.parse().map_err(|_| format!("not a point in time; {cure}"))?;
    u64::try_from(moment.as_second()).map_err(|_| format!("before 1970; {cure}"))
}

/// Reads a length of time such as `30d`, `12h`, `45m` or `2w`; days have 24 hours. Months and years are refused, since
/// their length depends on when they begin.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let cure = "write it like 30d, 12h, 45m or 2w";
    let span: Span = text.parse().map_err(|_| format!("not a length of time; {cure}"))?;
    let exact = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| format!("months and years have no fixed length; {cure}"))?;
    match Duration::try_from(exact) {
        Ok(lifetime) if lifetime.as_secs() > 0 => Ok(lifetime),
        _ => Err(format!("less than a second; {cure}")),
    }
}

/// A point in time for people, to the second, in UTC.
pub(crate) fn utc(unix_s: u64) -> String {
    i64::try_from(unix_s)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "never".to_owned(), |moment| moment.to_string())
}

/// How far `moment` lies from `now`, both in Unix seconds, for people.
pub(crate) fn distance(moment: u64, now: u64) -> String {
    match moment.checked_sub(now) {
        Some(ahead) if ahead > 0 => format!("in {}", length(ahead)),
        _ => format!("{} ago", length(now - moment)),
    }
}

/// A length of time in its two largest units.
fn length(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (..10_000, _, _) => format!("{days} d {hours} h"),
        _ => format!("{days} d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_seconds_or_a_time_with_its_offset() {
        assert_eq!(parse_moment("1700000000"), Ok(1_700_000_000));
        assert_eq!(parse_moment("2023-11-14T22:13:20Z"), Ok(1_700_000_000));
        assert_eq!(parse_moment("2023-11-15T00:13:20+02:00"), Ok(1_700_000_000));
        for text in ["", "tomorrow", "2023-11-14", "-5", "1969-12-31T23:59:59Z", "99999999999999999999"] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_lifetime_has_a_fixed_length() {
        let day = 86_400;
        for (text, seconds) in
            [("30d", 30 * day), ("12h", day / 2), ("45m", 2_700), ("2w", 14 * day), ("90s", 90)]
        {
            assert_eq!(parse_lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "d", "1mo", "1y", "-1d", "0s", "1 fortnight"] {
            assert!(parse_lifetime(text).is_err(), "{text}");
        }
    }

    #[test]
    fn distances_have_two_units_at_most() {
        assert_eq!(distance(100 + 86_400 * 29 + 3_600 * 4, 100), "in 29 d 4 h");
        assert_eq!(distance(100 + 3_660, 100), "in 1 h 1 min");
        assert_eq!(distance(100, 100), "0 s ago");
        assert_eq!(distance(100, 160), "1 min ago");
        assert_eq!(distance(u64::MAX, 0), "in 213503982334601 d");
    }

    #[test]
    fn moments_beyond_the_calendar_have_a_word() {
        assert_eq!(utc(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(utc(u64::MAX), "never");
    }
}
