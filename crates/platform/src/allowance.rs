//! How much somebody may send in a time.
//!
//! The generic cell rate algorithm (ITU-T I.371, annex A): an allowance is one moment, the one at which all of it will be there
//! again. Time is an argument, in milliseconds of a clock that never goes back, so that a test can let days pass.

/// What an allowance is filled up by, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a second, for ever. At least one.
    pub each_second: u32,
    /// How many at once, after a pause. At least one.
    pub burst: u32,
}

impl Rate {
    /// How long one takes to come back, in microseconds.
    fn one_us(self) -> u64 {
        1_000_000 / u64::from(self.each_second.max(1))
    }

    /// How far ahead of the clock an allowance that is used up lies, in microseconds.
    fn all_us(self) -> u64 {
        self.one_us() * u64::from(self.burst.max(1))
    }
}

/// What somebody may still send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// When all of it will be there again, in microseconds.
    full_us: u64,
}

impl Allowance {
    /// Takes one from it at `now_ms`.
    ///
    /// # Errors
    /// With the milliseconds until one will be there, when none is.
    pub fn take(&mut self, rate: Rate, now_ms: u64) -> Result<(), u64> {
        let now_us = now_ms.saturating_mul(1_000);
        let full_us = self.full_us.max(now_us) + rate.one_us();
        match full_us.checked_sub(now_us + rate.all_us()) {
            None | Some(0) => {
                self.full_us = full_us;
                Ok(())
            }
            Some(wait_us) => Err(wait_us.div_ceil(1_000)),
        }
    }

    /// Whether one is there at `now_ms`, which is not taken.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn look(mut self, rate: Rate, now_ms: u64) -> Result<(), u64> {
        self.take(rate, now_ms)
    }

    /// Puts one back that was taken for nothing.
    pub fn give_back(&mut self, rate: Rate) {
        self.full_us = self.full_us.saturating_sub(rate.one_us());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { each_second: 10, burst: 3 };

    #[test]
    fn a_burst_then_a_rate() {
        let mut allowance = Allowance::default();
        assert_eq!([0; 3].map(|now| allowance.take(RATE, now)), [Ok(()); 3]);
        assert_eq!(allowance.take(RATE, 0), Err(100));
        assert_eq!(allowance.take(RATE, 40), Err(60));
        assert_eq!(allowance.look(RATE, 100), Ok(()));
        assert_eq!((allowance.take(RATE, 100), allowance.take(RATE, 100)), (Ok(()), Err(100)));
        allowance.give_back(RATE);
        assert_eq!(allowance.take(RATE, 100), Ok(()));
        assert_eq!([9_000; 4].map(|now| allowance.take(RATE, now).is_ok()), [true, true, true, false]);
    }

    proptest! {
        /// A bucket that is refilled drop by drop gives the same answers.
        #[test]
        fn it_is_a_bucket_of_tokens(steps in proptest::collection::vec(0..250_u64, 1..200)) {
            let (mut allowance, mut now_ms) = (Allowance::default(), 0);
            let mut filled_ms = 300;
            for step in steps {
                now_ms += step;
                filled_ms = (filled_ms + step).min(300);
                let is_there = filled_ms >= 100;
                if is_there { filled_ms -= 100 }
                prop_assert_eq!(allowance.take(RATE, now_ms).is_ok(), is_there, "at {}", now_ms);
            }
        }

        /// Whoever comes back when told finds one.
        #[test]
        fn the_wait_is_long_enough_and_no_longer(rate in (1..5_000_u32, 1..50_u32), now in 0..u64::from(u32::MAX)) {
            let (rate, mut allowance) = (Rate { each_second: rate.0, burst: rate.1 }, Allowance::default());
            let wait = std::iter::repeat_with(|| allowance.take(rate, now)).find_map(Result::err).unwrap();
            prop_assert!(allowance.look(rate, now + wait - 1).is_err() && allowance.look(rate, now + wait).is_ok());
        }
    }
}
