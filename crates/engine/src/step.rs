//! Steps of packet time, and how workers exchange what their sources did in one.

use std::sync::{Arc, PoisonError};

use credence_capture::Frame;
use credence_flow::{Delta, STEP_NS, merge_into};

use crate::sync::{Condvar, Mutex};

/// Cuts a stream of frames into steps by the latest time seen, in the order of the frames. So the cuts are the same
/// whoever makes them, and a frame that comes late belongs to the step in which it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepClock {
    /// Latest time seen, Unix nanoseconds.
    latest_ns: u64,
    /// The open step; none before the first frame.
    open: Option<Open>,
    /// Number of the first step in Unix time.
    first: u64,
    /// Frames older than one before them.
    reordered: u64,
}

/// The open step.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Its number in Unix time.
    number: u64,
    /// No frame has come in it.
    quiet: bool,
}

/// A step that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The step's number in this run, from 1. Steps without a frame may be left out, but for the first of them.
    pub step: u32,
    /// Its end, Unix nanoseconds.
    pub end_ns: u64,
}

/// What comes next in a stream that is cut into steps.
#[derive(Clone, Copy, Debug)]
pub enum Cut<'f, 'a> {
    /// Frames of the open step.
    Frames(&'f [Frame<'a>]),
    /// The open step ends here.
    Close(Closing),
}

impl StepClock {
    /// A clock whose first step is the one of `ts_ns`, so that several clocks number steps alike.
    pub fn starting_at(ts_ns: u64) -> Self {
        let number = ts_ns / STEP_NS;
        Self { open: Some(Open { number, quiet: true }), first: number, ..Self::default() }
    }

    /// How many of `frames` belong to the open step, and what closes before the next one can be processed.
    pub fn advance(&mut self, frames: &[Frame<'_>]) -> (usize, Option<Closing>) {
        for (i, frame) in frames.iter().enumerate() {
            let number = frame.ts_ns / STEP_NS;
            match self.open {
                Some(open) if number > open.number => return (i, Some(self.close(open, number))),
                Some(ref mut open) => open.quiet = false,
                None => {
                    self.first = number;
                    self.open = Some(Open { number, quiet: false });
                }
            }
            self.reordered += u64::from(frame.ts_ns < self.latest_ns);
            self.latest_ns = self.latest_ns.max(frame.ts_ns);
        }
        (frames.len(), None)
    }

    /// Cuts `frames` into what belongs to one step each, with the steps that close between them, in order.
    pub fn cut<'f, 'a>(&mut self, mut frames: &'f [Frame<'a>], on: &mut dyn FnMut(Cut<'f, 'a>)) {
        while !frames.is_empty() {
            let (now, closing) = self.advance(frames);
            let (step, later) = frames.split_at(now);
            if !step.is_empty() {
                on(Cut::Frames(step));
            }
            closing.into_iter().for_each(|closing| on(Cut::Close(closing)));
            frames = later;
        }
    }

    /// What closes because `now_ns` says so although no frame has come: for live sources.
    pub fn idle(&mut self, now_ns: u64) -> Option<Closing> {
        let open = self.open?;
        let number = now_ns / STEP_NS;
        (number > open.number).then(|| self.close(open, number))
    }

    /// Frames older than one before them.
    pub const fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Closes `open` because time has come to step `next`. Behind a step with frames comes the very next one, even when
    /// it is empty, since what was opened last is judged at its end; behind an empty one, time jumps.
    fn close(&mut self, open: Open, next: u64) -> Closing {
        let number = if open.quiet { next } else { open.number + 1 };
        self.open = Some(Open { number, quiet: true });
        let step = u32::try_from(open.number - self.first + 1).unwrap_or(u32::MAX);
        Closing { step, end_ns: (open.number + 1).saturating_mul(STEP_NS) }
    }
}

/// Where workers meet at the end of a step: each brings its deltas and leaves with those of all, merged.
pub struct Exchange {
    round: Mutex<Round>,
    turned: Condvar,
    workers: usize,
}

#[derive(Default)]
struct Round {
    number: u64,
    brought: Vec<Vec<Delta>>,
    /// Lists that were merged, whose memory goes back to the workers.
    spent: Vec<Vec<Delta>>,
    merged: Arc<Vec<Delta>>,
    /// A worker is gone; nobody waits for it.
    broken: bool,
}

impl Exchange {
    /// An exchange for so many workers.
    pub fn new(workers: usize) -> Self {
        Self { round: Mutex::default(), turned: Condvar::new(), workers }
    }

    /// Brings one worker's deltas, waits for the others, and returns the merged list; none when a worker is gone. What is
    /// left in `deltas` is memory for the next step.
    pub fn meet(&self, deltas: &mut Vec<Delta>) -> Option<Arc<Vec<Delta>>> {
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        round.brought.push(std::mem::take(deltas));
        if round.brought.len() == self.workers {
            round.turn();
            self.turned.notify_all();
        } else {
            let number = round.number;
            while round.number == number && !round.broken {
                round = self.turned.wait(round).unwrap_or_else(PoisonError::into_inner);
            }
        }
        *deltas = round.spent.pop().unwrap_or_default();
        (!round.broken).then(|| Arc::clone(&round.merged))
    }

    /// Lets everybody go on without a worker that ended early.
    pub fn break_up(&self) {
        self.round.lock().unwrap_or_else(PoisonError::into_inner).broken = true;
        self.turned.notify_all();
    }
}

impl Round {
    /// Merges what all have brought, in the memory of the round before: by now nobody reads that any more. A million sources
    /// are 64 MB, and memory that is new in each step costs more than to merge them.
    fn turn(&mut self) {
        let mut merged = Arc::try_unwrap(std::mem::take(&mut self.merged)).unwrap_or_default();
        merge_into(&mut merged, &self.brought);
        self.merged = Arc::new(merged);
        self.spent.append(&mut self.brought);
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ts_ns: u64) -> Frame<'static> {
        Frame { number: 1, ts_ns, wire_len: 0, linktype: 1, bytes: &[] }
    }

    /// The steps that close, each with the number of frames before it.
    fn closings(seconds: &[u64]) -> Vec<(usize, u32)> {
        let frames: Vec<_> = seconds.iter().map(|s| frame(s * STEP_NS)).collect();
        let (mut clock, mut closed, mut at) = (StepClock::default(), Vec::new(), 0);
        loop {
            let (taken, closing) = clock.advance(&frames[at..]);
            at += taken;
            match closing {
                Some(c) => closed.push((at, c.step)),
                None => return closed,
            }
        }
    }

    #[test]
    fn a_step_closes_when_a_later_frame_comes() {
        assert_eq!(closings(&[100, 100, 101, 101, 102]), [(2, 1), (4, 2)]);
    }

    #[test]
    fn a_gap_closes_one_empty_step_and_jumps() {
        assert_eq!(closings(&[100, 200, 201]), [(1, 1), (1, 2), (2, 101)]);
    }

    #[test]
    fn late_frames_belong_to_the_step_in_which_they_come() {
        assert_eq!(closings(&[100, 101, 7, 101, 102]), [(1, 1), (4, 2)]);
    }

    #[test]
    fn cuts_do_not_depend_on_how_frames_are_handed_over() {
        let frames: Vec<_> = [5, 5, 6, 9, 8, 30, 31].iter().map(|s| frame(s * STEP_NS)).collect();
        let mut clock = StepClock::default();
        let mut closed = Vec::new();
        for (i, one) in frames.iter().enumerate() {
            while let (0, Some(closing)) = clock.advance(std::slice::from_ref(one)) {
                closed.push((i, closing.step));
            }
        }
        assert_eq!(closed, closings(&[5, 5, 6, 9, 8, 30, 31]));
    }

    #[test]
    fn times_at_the_edge_of_the_clock_do_not_wrap() {
        let frames = [frame(0), frame(u64::MAX), frame(0)];
        let mut clock = StepClock::default();
        let mut at = 0;
        for _ in 0..4 {
            at += clock.advance(&frames[at..]).0;
        }
        assert_eq!(at, 3);
        assert!(clock.idle(u64::MAX).is_none(), "no step comes after the last");
    }

    #[test]
    fn workers_leave_an_exchange_with_the_same_list() {
        let exchange = Exchange::new(3);
        std::thread::scope(|scope| {
            let met: Vec<_> = (0..3).map(|_| scope.spawn(|| exchange.meet(&mut Vec::new()))).collect();
            assert!(met.into_iter().all(|m| m.join().expect("no panic").is_some()));
        });
    }

    #[test]
    fn a_worker_that_is_gone_holds_up_nobody() {
        let exchange = Exchange::new(2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| exchange.meet(&mut Vec::new()));
            exchange.break_up();
            assert_eq!(waiting.join().expect("no panic"), None);
        });
    }
}

#[cfg(all(test, loom))]
#[path = "step_model.rs"]
mod model;
