//! Whether a transfer comes fast enough, by times that are told.

use std::time::Duration;

/// How slow a publisher may be before the next one is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long it may take until there is a connection.
    pub connect: Duration,
    /// How long nothing may come.
    pub idle: Duration,
    /// How long the whole may take.
    pub total: Duration,
    /// Over which time the rate is taken.
    pub window: Duration,
    /// The least that must come in each such time, in bytes.
    pub least: u64,
}

impl Default for Patience {
    /// Ten seconds of silence, two minutes in all, and less than 10 kB a second for half a minute.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            idle: seconds(10),
            total: seconds(120),
            window: seconds(30),
            least: 300_000,
        }
    }
}

/// The pace of one transfer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    patience: Patience,
    /// When the present window began, and what has come since.
    begun: Duration,
    came: u64,
}

impl Pace {
    /// A transfer that begins at time 0.
    pub(super) const fn new(patience: Patience) -> Self {
        Self { patience, begun: Duration::ZERO, came: 0 }
    }

    /// Takes in that so many bytes came at `now`; whether that is fast enough.
    pub(super) fn came(&mut self, bytes: u64, now: Duration) -> bool {
        self.came += bytes;
        if now.saturating_sub(self.begun) < self.patience.window {
            return true;
        }
        let is_enough = self.came >= self.patience.least;
        (self.begun, self.came) = (now, 0);
        is_enough
    }

    /// How long may be waited at `now` for the next bytes; none when there is no time left.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let left = self.patience.total.checked_sub(now).filter(|left| !left.is_zero())?;
        Some(left.min(self.patience.idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// After how many seconds a transfer of so many bytes a second is given up, of two minutes.
    fn given_up(bytes: u64) -> Option<u32> {
        let mut pace = Pace::new(Patience::default());
        (1..=120).find(|second| !pace.came(bytes, SECOND * *second))
    }

    #[test]
    fn who_is_slower_than_the_least_is_given_up_after_a_window() {
        assert_eq!(given_up(1), Some(30));
        assert_eq!(given_up(9_999), Some(30));
        assert_eq!(given_up(10_000), None);
    }

    #[test]
    fn a_fast_beginning_is_no_excuse() {
        let mut pace = Pace::new(Patience::default());
        assert!(pace.came(1 << 30, SECOND));
        assert!((2..60).all(|second| pace.came(1, SECOND * second)));
        assert!(!pace.came(1, SECOND * 60));
    }

    #[test]
    fn no_wait_goes_beyond_the_whole() {
        let pace = Pace::new(Patience::default());
        assert_eq!(pace.wait(Duration::ZERO), Some(SECOND * 10));
        assert_eq!(pace.wait(SECOND * 115), Some(SECOND * 5));
        assert_eq!(pace.wait(SECOND * 120), None);
    }
}
