//! Whether frames still get through, by what has moved and not by what exists.

use std::time::Duration;

/// How long anything may stand still. Steps close once a second, so that this is five of them.
const STILL_MAX: Duration = Duration::from_secs(5);

/// A number that rises while its owner works, and when it last did.
#[derive(Clone, Copy, Debug)]
struct Mark {
    value: u64,
    moved: Duration,
}

/// What was seen of the reader and of each worker.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    reader: Option<Mark>,
    workers: Vec<Mark>,
    seen: Duration,
}

impl Readiness {
    /// Takes in how far everybody is at `now`, a time since the start: looks at the source, and the steps
    /// that each worker closed. Before the first frame of all there is no step to close, which `idle` tells.
    pub(super) fn observe(
        &mut self,
        now: Duration,
        polls: u64,
        steps: impl Iterator<Item = u64>,
        idle: bool,
    ) {
        self.seen = now;
        let moved = |before: Option<&Mark>, value: u64| match before {
            Some(mark) if mark.value == value => *mark,
            _ => Mark { value, moved: now },
        };
        self.reader = Some(moved(self.reader.as_ref(), polls));
        let marks = steps.enumerate().map(|(number, value)| match self.workers.get(number) {
            before if !idle => moved(before, value),
            _ => Mark { value, moved: now },
        });
        self.workers = marks.collect();
    }

    /// Whether nobody has stood still for too long. Nobody is ready who was never seen.
    pub(super) fn is_ready(&self) -> bool {
        let moves = |mark: &Mark| self.seen.saturating_sub(mark.moved) < STILL_MAX;
        self.reader.as_ref().is_some_and(moves) && self.workers.iter().all(moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observations a second apart, each with polls and the steps of two workers; whether ready after each.
    fn course(observations: &[(u64, [u64; 2], bool)]) -> Vec<bool> {
        let mut readiness = Readiness::default();
        let times = (1..).map(Duration::from_secs);
        let observed = observations.iter().zip(times).map(|((polls, steps, idle), now)| {
            readiness.observe(now, *polls, steps.iter().copied(), *idle);
            readiness.is_ready()
        });
        observed.collect()
    }

    #[test]
    fn nobody_is_ready_before_the_first_look() {
        assert!(!Readiness::default().is_ready());
    }

    #[test]
    fn whoever_moves_is_ready() {
        let moving: Vec<_> = (0..20).map(|i| (i * 100, [i, i + 7], false)).collect();
        assert!(course(&moving).iter().all(|ready| *ready));
    }

    #[test]
    fn an_idle_source_is_ready_while_it_is_looked_at() {
        let idle: Vec<_> = (0..20).map(|i| (i, [0, 0], true)).collect();
        assert!(course(&idle).iter().all(|ready| *ready));
        let stuck: Vec<_> = (0..7).map(|_| (5, [0, 0], true)).collect();
        assert_eq!(course(&stuck), [true, true, true, true, true, false, false]);
    }

    #[test]
    fn one_worker_that_stands_still_is_enough() {
        let one: Vec<_> = (0..7).map(|i| (i, [i, 3], false)).collect();
        assert_eq!(course(&one), [true, true, true, true, true, false, false]);
    }

    #[test]
    fn who_moves_again_is_ready_again() {
        let mut resumed: Vec<_> = (0..8).map(|i| (i, [i, 3], false)).collect();
        resumed.push((9, [9, 4], false));
        assert_eq!(course(&resumed).last(), Some(&true));
    }
}
