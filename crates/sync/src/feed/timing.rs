//! When to ask: the first two timers of RFC 8210 section 6, in seconds. How old what is known may become is the gateway's to judge.

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long after a round that went well the next begins at the latest.
    pub refresh: u64,
    /// How long after one that did not.
    pub retry: u64,
    /// The longest pause between rounds that go wrong one after the other.
    pub retry_max: u64,
}

impl Default for Timings {
    fn default() -> Self {
        Self { refresh: 30, retry: 5, retry_max: 300 }
    }
}

/// How rounds went so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    timings: Timings,
    failures: u32,
    /// Milliseconds by a clock that nobody sets.
    next_ms: u64,
    /// Seconds of Unix time; 0 for never.
    fresh: u64,
}

impl Timing {
    /// A first round is due at once. `fresh` is when what is kept was last known to be the newest, in Unix seconds.
    pub const fn new(timings: Timings, fresh: u64) -> Self {
        Self { timings, failures: 0, next_ms: 0, fresh }
    }

    /// When the next round is due, in milliseconds by a clock that nobody sets.
    pub const fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// When what is known was last known to be the newest, in Unix seconds; 0 for never.
    pub const fn fresh(&self) -> u64 {
        self.fresh
    }

    /// Somebody rang: there is something new. Those who hear it together come within `spread_ms`, one after the other; `random` is any
    /// number.
    pub const fn ring(&mut self, now_ms: u64, spread_ms: u64, random: u64) {
        let soon = now_ms + random % (spread_ms + 1);
        if soon < self.next_ms {
            self.next_ms = soon;
        }
    }

    /// A round went well at `now`, in Unix seconds.
    pub fn went_well(&mut self, now: u64, now_ms: u64, random: u64) {
        (self.failures, self.fresh) = (0, now.max(self.fresh));
        self.next_ms = now_ms + jittered(self.timings.refresh, random);
    }

    /// A round went wrong. Pauses become longer, so that whoever is overrun has a rest.
    pub fn went_wrong(&mut self, now_ms: u64, random: u64) {
        let longer = self.timings.retry << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.next_ms = now_ms + jittered(longer.min(self.timings.retry_max), random);
    }
}

/// From three quarters of so many seconds to all of them, in milliseconds, so that nobody comes at the same moment for ever, and nobody
/// later than was said.
const fn jittered(seconds: u64, random: u64) -> u64 {
    seconds * 750 + random % (seconds * 250 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMINGS: Timings = Timings { refresh: 40, retry: 8, retry_max: 100 };

    #[test]
    fn rounds_come_at_their_times_and_never_all_at_once() {
        let mut timing = Timing::new(TIMINGS, 0);
        assert_eq!(timing.next_ms(), 0);
        for random in [0, 1, u64::MAX, 12_345_678_901] {
            timing.went_well(5, 1_000, random);
            assert!((31_000..=41_000).contains(&timing.next_ms()), "{}", timing.next_ms());
        }
        let mut pauses = Vec::new();
        for _ in 0..100 {
            timing.went_wrong(0, 4_000);
            pauses.push(timing.next_ms());
        }
        assert!(pauses[0] < pauses[1] && pauses[1] < pauses[2], "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 100_000), "{pauses:?}");
        timing.ring(1_000, 50, 7);
        assert_eq!(timing.next_ms(), 1_007);
        timing.ring(2_000, 50, 7);
        assert_eq!(timing.next_ms(), 1_007, "an earlier one stays");
    }

    #[test]
    fn a_clock_that_goes_back_makes_nothing_older() {
        let mut timing = Timing::new(TIMINGS, 0);
        timing.went_well(2_000, 0, 0);
        timing.went_well(1_000, 0, 0);
        assert_eq!(timing.fresh(), 2_000);
    }
}
