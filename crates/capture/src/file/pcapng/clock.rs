//! From an interface's ticks to Unix time.

/// How an interface counts time (options `if_tsresol` and `if_tsoffset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    tick: Tick,
    offset_s: i64,
}

/// The length of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    /// So many nanoseconds.
    Nanoseconds(u64),
    /// So many to the nanosecond.
    PerNanosecond(u64),
    /// The second's so-manieth halving.
    HalvedSecond(u32),
}

impl Clock {
    /// Microseconds, where an interface does not say.
    pub(super) const RESOLUTION_DEFAULT: u8 = 6;

    /// The clock of an `if_tsresol` value (a negative power of ten, or of two with the upper bit set) and
    /// an `if_tsoffset` in seconds.
    pub(super) fn new(resolution: u8, offset_s: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let tick = if resolution & 0x80 != 0 {
            Tick::HalvedSecond(exponent)
        } else if exponent <= 9 {
            Tick::Nanoseconds(10_u64.pow(9 - exponent))
        } else {
            // Past 28 no count of 64 bits reaches a nanosecond, so that time stands still at the offset.
            10_u64.checked_pow(exponent - 9).map_or(Tick::Nanoseconds(0), Tick::PerNanosecond)
        };
        Self { tick, offset_s }
    }

    /// The Unix time in nanoseconds after `ticks`. A time before 1970 becomes 0, and one after the year
    /// 2554 the latest that can be told.
    pub(super) fn unix_ns(self, ticks: u64) -> u64 {
        let since_offset = match self.tick {
            Tick::Nanoseconds(ns) => ticks.saturating_mul(ns),
            Tick::PerNanosecond(count) => ticks / count,
            Tick::HalvedSecond(halvings) => {
                let ns = (u128::from(ticks) * 1_000_000_000) >> halvings;
                u64::try_from(ns).unwrap_or(u64::MAX)
            }
        };
        if self.offset_s == 0 {
            return since_offset;
        }
        let ns = i128::from(since_offset) + i128::from(self.offset_s) * 1_000_000_000;
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(resolution: u8, offset_s: i64, ticks: u64, unix_ns: u64) {
        assert_eq!(
            Clock::new(resolution, offset_s).unix_ns(ticks),
            unix_ns,
            "{resolution:#x} {offset_s} {ticks}"
        );
    }

    #[test]
    fn powers_of_ten() {
        check(0, 0, 1_700_000_000, 1_700_000_000_000_000_000);
        check(3, 0, 1_234, 1_234_000_000);
        check(6, 0, 1_700_000_000_123_456, 1_700_000_000_123_456_000);
        check(9, 0, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789);
        check(12, 0, 1_234_567_890_123_999, 1_234_567_890_123);
        check(28, 0, u64::MAX, 1);
        check(29, 0, u64::MAX, 0);
        check(127, 5, u64::MAX, 5_000_000_000);
    }

    #[test]
    fn powers_of_two() {
        check(0x80, 0, 7, 7_000_000_000);
        check(0x81, 0, 3, 1_500_000_000);
        check(0x80 | 20, 0, 1 << 19, 500_000_000);
        check(0x80 | 63, 0, 1 << 62, 500_000_000);
        check(0x80 | 64, 0, u64::MAX, 999_999_999);
        check(0xff, 0, u64::MAX, 0);
    }

    #[test]
    fn offsets_move_time_both_ways_and_stop_at_the_ends() {
        check(6, 1_000, 5, 1_000_000_005_000);
        check(6, -1, 2_500_000, 1_500_000_000);
        check(6, -3, 2_500_000, 0);
        check(6, i64::MIN, u64::MAX, 0);
        check(6, i64::MAX, u64::MAX, u64::MAX);
        check(0, 0, u64::MAX, u64::MAX);
    }
}
