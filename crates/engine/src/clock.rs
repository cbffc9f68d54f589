//! The one place that asks the machine for the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Unix time in nanoseconds; 0 for a clock set before 1970.
#[expect(clippy::disallowed_methods, reason = "this is the place that may")]
pub fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Unix time in seconds.
pub fn unix_s() -> u64 {
    unix_ns() / 1_000_000_000
}

/// The wall clock, in Unix milliseconds.
pub fn unix_ms() -> u64 {
    unix_ns() / 1_000_000
}

/// Measures time from its start, whatever happens to the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
