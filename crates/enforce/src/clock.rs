//! The two clocks: records end by one, and the kernel's programs know only the other.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started, those asleep included: the clock of the kernel's programs.
pub fn boot_ns() -> u64 {
    read(ClockId::Boottime)
}

/// Unix time in nanoseconds; 0 for a clock set before 1970.
pub fn unix_ns() -> u64 {
    read(ClockId::Realtime)
}

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let (seconds, ns) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Unix time in seconds.
    pub unix_s: u64,
    /// Nanoseconds since the machine started, those asleep included.
    pub boot_ns: u64,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self { unix_s: unix_ns() / 1_000_000_000, boot_ns: boot_ns() }
    }

    /// The boot time of a Unix time in seconds.
    pub(crate) fn boot_ns_of(&self, unix_s: u64) -> u64 {
        let ahead = unix_s.saturating_sub(self.unix_s).saturating_mul(1_000_000_000);
        let behind = self.unix_s.saturating_sub(unix_s).saturating_mul(1_000_000_000);
        self.boot_ns.saturating_add(ahead).saturating_sub(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_by_the_wall_clock_become_ends_by_the_other() {
        let now = Moment { unix_s: 1_000, boot_ns: 50_000_000_000 };
        assert_eq!(now.boot_ns_of(1_000), now.boot_ns);
        assert_eq!(now.boot_ns_of(1_007), 57_000_000_000);
        assert_eq!(now.boot_ns_of(990), 40_000_000_000);
        assert_eq!(now.boot_ns_of(1), 0, "before the machine started");
        assert_eq!(now.boot_ns_of(u64::MAX), u64::MAX);
    }
}
