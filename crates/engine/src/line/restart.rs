//! A line that fails begins anew with empty tables, so that one packet that nobody foresaw does not blind a gateway.
//!
//! What the line knew of flows and sources is lost with it, and so are the packets of the chunk that were not counted yet; both
//! are told. A line that fails time and again would only look as if it worked: the fifth failure within a minute goes on
//! to whoever runs the line, and ends the run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use credence_capture::Frame;

use super::Worker;
use super::judge::Credit;
use super::opinions::Opinions;
use super::sample::Sample;
use super::settle::Tally;
use super::sweep::Sweep;
use crate::best::Best;

/// Failures after which the next one within [`WINDOW_NS`] ends the run.
const FORGIVEN: usize = 4;
/// Nanoseconds of packet time.
const WINDOW_NS: u64 = 60_000_000_000;

/// When a line failed lately, in packet time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures([Option<u64>; FORGIVEN]);

impl Failures {
    /// Notes a failure; whether it may be forgiven.
    fn note(&mut self, now_ns: u64) -> bool {
        let oldest = self.0[0];
        self.0.rotate_left(1);
        self.0[FORGIVEN - 1] = Some(now_ns);
        oldest.is_none_or(|oldest| now_ns.saturating_sub(oldest) > WINDOW_NS)
    }
}

impl Worker {
    /// Takes a chunk down the line, and begins anew when that fails.
    pub(super) fn guarded(&mut self, chunk: &[Frame<'_>]) {
        // What a failure leaves half done is not looked at again.
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| self.take(chunk))) {
            self.begin_anew(chunk.len(), failure);
        }
    }

    #[cold]
    fn begin_anew(&mut self, frames: usize, failure: Box<dyn Any + Send>) {
        if !self.failures.note(self.clock_ns) {
            resume_unwind(failure);
        }
        // Those that carry no IPv6 packet are counted as they come, the others when all are through.
        self.counters.faulted.add((self.chunk.len() + frames - self.entered) as u64);
        self.counters.restarts.add(1);
        self.forget();
        self.take_credit();
    }

    /// Makes this a line that has seen nothing yet, in the memory that it has: with room for a million flows that takes a
    /// millisecond, and a new line 26, or several hundred where a virtual machine has yet to be given the memory.
    fn forget(&mut self) {
        // Taken apart whole, so that no part is overlooked.
        let Self {
            config,
            credit,
            table,
            fragments,
            sources,
            touched,
            chunk,
            entered,
            tally,
            sweep,
            opinions,
            sample,
            best,
            failures: _,
            counters: _,
            collected: _,
            policy: _,
            alarmed: _,
            epoch: _,
            harmless: _,
            clock_ns: _,
        } = self;
        *credit = Credit::new(credit.reader());
        table.clear();
        fragments.clear();
        sources.clear();
        touched.clear();
        chunk.clear();
        *entered = 0;
        *tally = Tally::default();
        *sweep = Sweep::new(config.flows);
        *opinions = Opinions::default();
        *sample = Sample::new(config.seed);
        *best = Best::new(config.policy.neutral);
    }
}

/// Failures that tests ask for.
#[cfg(test)]
pub(super) mod asked {
    use std::cell::RefCell;

    thread_local! {
        static AT: RefCell<Vec<(&'static str, u64)>> = const { RefCell::new(Vec::new()) };
    }

    /// Lets this thread fail once at a stage with a frame.
    pub(crate) fn at(stage: &'static str, frame: u64) {
        AT.with_borrow_mut(|at| at.push((stage, frame)));
    }

    /// Fails if that was asked for.
    pub(crate) fn fail(stage: &'static str, frame: u64) {
        let asked = AT.with_borrow_mut(|all| {
            let place = all.iter().position(|at| *at == (stage, frame));
            place.map(|place| all.swap_remove(place))
        });
        assert!(asked.is_none(), "a failure that a test asked for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_failure_within_a_minute_is_one_too_many() {
        let mut failures = Failures::default();
        for second in [0, 20, 40, 59] {
            assert!(failures.note(second * 1_000_000_000), "{second}");
        }
        let mut slow = failures;
        assert!(!failures.note(60_000_000_000));
        assert!(slow.note(60_000_000_001), "the first was more than a minute ago");
    }
}
