//! When a list is asked for, and where: by times and chances that are told.
//!
//! Intervals run on the clock that nobody sets. The wall clock only says how old a copy from before this start is, so that a
//! clock that was set has a list asked for once too often, and never keeps it from being asked for.

use std::time::Duration;

/// The first rest after no place gave the list; each further one is twice as long, up to the usual interval.
const RETRY: Duration = Duration::from_secs(30);

/// A list that is due at a start is asked for within this share of its interval, and within [`SPREAD_MAX`]: gateways that start
/// together, as after a power cut, do not ask together.
const SPREAD: u32 = 20;
/// An operator waits for a first copy.
const SPREAD_MAX: Duration = Duration::from_secs(10);

/// This moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the start.
    pub elapsed: Duration,
    /// Unix seconds.
    pub unix_s: u64,
}

/// A number between 0 and 1, in parts of 2³²: chance as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance(pub u32);

impl Chance {
    /// That share of a time.
    fn of(self, time: Duration) -> Duration {
        let ns = (time.as_nanos() * u128::from(self.0)) >> 32;
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

/// When a list is asked for next, and at which of its places.
#[derive(Clone, Debug)]
pub struct Schedule {
    refresh: Duration,
    places: usize,
    /// The place that is asked next.
    place: usize,
    /// The longest rest that a place of this round asked for.
    rest: Duration,
    /// Rounds in a row in which no place gave it.
    failures: u32,
    due: Duration,
}

impl Schedule {
    /// The schedule of a list that is at so many `places`, is asked for every `refresh`, and was had last at `checked_s` (Unix
    /// seconds; none for never).
    pub fn new(
        refresh: Duration,
        places: usize,
        checked_s: Option<u64>,
        now: Moment,
        chance: Chance,
    ) -> Self {
        let spread = chance.of((refresh / SPREAD).min(SPREAD_MAX));
        // A copy from the future was made before the clock was set back; who knows how old it is.
        let age = checked_s.and_then(|checked_s| now.unix_s.checked_sub(checked_s));
        let left = age.map_or(Duration::ZERO, |age| refresh.saturating_sub(Duration::from_secs(age)));
        let due = now.elapsed + left + spread;
        Self { refresh, places, place: 0, rest: Duration::ZERO, failures: 0, due }
    }

    /// From when it is to be asked for, as a time since the start.
    pub const fn due(&self) -> Duration {
        self.due
    }

    /// The place to ask.
    pub const fn place(&self) -> usize {
        self.place
    }

    /// Notes that the list was had: it is asked for again after the interval, a tenth more or less.
    pub fn succeeded(&mut self, now: Moment, chance: Chance) {
        self.begin_anew();
        self.failures = 0;
        self.due = now.elapsed + self.refresh - self.refresh / 10 + chance.of(self.refresh / 5);
    }

    /// Notes that a place did not give it, and wants to be left alone for `rest`: the next place is asked at once, and after the
    /// last all rest, for longer each time.
    pub fn failed(&mut self, rest: Option<Duration>, now: Moment, chance: Chance) {
        self.rest = self.rest.max(rest.unwrap_or_default());
        self.place += 1;
        if self.place < self.places {
            self.due = now.elapsed;
            return;
        }
        let longest = RETRY.min(self.refresh).saturating_mul(1 << self.failures.min(20)).min(self.refresh);
        let pause = longest / 2 + chance.of(longest / 2);
        self.due = now.elapsed + pause.max(self.rest);
        self.failures = self.failures.saturating_add(1);
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        (self.place, self.rest) = (0, Duration::ZERO);
    }
}

/// Whether a publisher may be asked if anything has changed since a copy was made at `created_s`, rather than for all of it:
/// while the records of that copy have half of their lifetime before them. After that it is asked for anew, and its records
/// begin a new life.
pub fn may_stay(created_s: u64, lifetime: Duration, now_s: u64) -> bool {
    now_s.checked_sub(created_s).is_some_and(|age| age < lifetime.as_secs() / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const BEGIN_S: u64 = 1_800_000_000;

    /// Chances by a generator that is no secret.
    struct Chances(u64);

    impl Chances {
        fn next(&mut self) -> Chance {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Chance((self.0 >> 32) as u32)
        }
    }

    fn at(elapsed: Duration) -> Moment {
        Moment { elapsed, unix_s: BEGIN_S + elapsed.as_secs() }
    }

    #[test]
    fn a_first_copy_is_asked_for_soon_and_a_fresh_one_when_it_is_due() {
        let due = |checked_s, chance| {
            Schedule::new(HOUR, 1, checked_s, at(Duration::ZERO), Chance(chance)).due().as_secs()
        };
        assert_eq!((due(None, 0), due(None, u32::MAX)), (0, 9));
        assert_eq!(due(Some(BEGIN_S - 600), 0), 3_000);
        assert_eq!(due(Some(BEGIN_S - 86_400), 0), 0);
        // A clock that was set back by ten years.
        assert_eq!(due(Some(BEGIN_S + 315_360_000), 0), 0);
    }

    #[test]
    fn each_place_is_asked_before_any_is_asked_again() {
        let (mut schedule, mut now) =
            (Schedule::new(HOUR, 3, None, at(Duration::ZERO), Chance(0)), Duration::ZERO);
        let mut asked = Vec::new();
        for _ in 0..9 {
            asked.push((schedule.place(), schedule.due().as_secs()));
            now = now.max(schedule.due());
            schedule.failed(None, at(now), Chance(0));
        }
        assert_eq!(asked, [(0, 0), (1, 0), (2, 0), (0, 15), (1, 15), (2, 15), (0, 45), (1, 45), (2, 45)]);
        schedule.succeeded(at(now), Chance(1 << 31));
        assert_eq!((schedule.place(), schedule.due() - now), (0, HOUR));
    }

    #[test]
    fn a_place_that_asks_for_a_rest_gets_it_and_holds_up_no_other() {
        let mut schedule = Schedule::new(HOUR, 2, None, at(Duration::ZERO), Chance(0));
        schedule.failed(Some(2 * HOUR), at(Duration::ZERO), Chance(0));
        assert_eq!((schedule.place(), schedule.due()), (1, Duration::ZERO));
        schedule.failed(None, at(Duration::ZERO), Chance(0));
        assert_eq!((schedule.place(), schedule.due()), (0, 2 * HOUR));
    }

    #[test]
    fn ten_thousand_gateways_after_an_outage_of_an_hour_do_not_come_together() {
        let refresh = Duration::from_secs(60);
        let mut chances = Chances(7);
        let mut served = [0_u32; 5 * 60];
        for _ in 0..10_000 {
            let mut schedule = Schedule::new(refresh, 1, None, at(Duration::ZERO), chances.next());
            while schedule.due() < HOUR {
                schedule.failed(None, at(schedule.due()), chances.next());
            }
            while let Some(second) = served.get_mut((schedule.due() - HOUR).as_secs() as usize) {
                *second += 1;
                schedule.succeeded(at(schedule.due()), chances.next());
            }
        }
        let mean = served.iter().sum::<u32>() / served.len() as u32;
        let most = served.into_iter().max().unwrap();
        assert!(mean > 100 && most <= 3 * mean, "{most} in a second, {mean} on average");
    }

    #[test]
    fn a_copy_may_stay_for_half_of_its_life() {
        let week = 168 * HOUR;
        assert!(may_stay(BEGIN_S, week, BEGIN_S) && may_stay(BEGIN_S, week, BEGIN_S + 302_399));
        assert!(!may_stay(BEGIN_S, week, BEGIN_S + 302_400));
        assert!(!may_stay(BEGIN_S, week, BEGIN_S - 1), "the clock was set");
    }

    proptest! {
        /// Whatever places answer and wherever the wall clock is set to, a list is asked for at least once an interval and a
        /// tenth, and a failing one not more often than each place at each rest.
        #[test]
        fn nobody_is_hammered_and_nobody_forgotten(
            seed in any::<u64>(), places in 1_usize..5, refresh in 1_u64..100_000,
            answers in proptest::collection::vec(any::<bool>(), 1..200),
            steps in proptest::collection::vec(any::<u64>(), 200),
        ) {
            let (refresh, mut chances) = (Duration::from_secs(refresh), Chances(seed));
            let first = Moment { elapsed: Duration::ZERO, unix_s: steps[0] };
            let mut schedule = Schedule::new(refresh, places, Some(steps[1]), first, chances.next());
            let (mut now, mut tried) = (Duration::ZERO, 0);
            prop_assert!(schedule.due() <= refresh + refresh / 10);
            for (is_given, unix_s) in answers.into_iter().zip(steps) {
                now = now.max(schedule.due());
                prop_assert!(schedule.place() < places);
                let moment = Moment { elapsed: now, unix_s };
                tried += 1;
                if is_given {
                    schedule.succeeded(moment, chances.next());
                    prop_assert!(schedule.due() - now >= refresh - refresh / 10);
                    tried = 0;
                } else {
                    schedule.failed(None, moment, chances.next());
                    if tried % places == 0 {
                        prop_assert!(schedule.due() - now >= RETRY.min(refresh) / 2);
                    }
                }
                prop_assert!(schedule.due() - now <= refresh + refresh / 10);
            }
        }
    }
}
