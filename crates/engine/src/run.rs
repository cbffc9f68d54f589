//! Threads: how frames reach workers, and events the recorder.
//!
//! A capture file with one worker runs on the caller's thread alone. Otherwise one reader hands batches to workers
//! through bounded rings, split by a symmetric hash of the address pair, so that both directions and all fragments of a
//! pair meet on one worker. A file waits when a ring is full; a live source sheds and counts. A live interface with as
//! many queues as workers needs no reader: each worker polls its own ring.

mod last_word;
mod queues;
mod spread;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use credence_capture::{Frame, Poll, Source};
use credence_credit::Published;

use self::spread::Full;
use crate::clock::{Stopwatch, unix_ns};
use crate::config::LineConfig;
use crate::counters::{Own, Totals};
use crate::line::Worker;
use crate::record::Recorder;
use crate::step::{Closing, Cut, StepClock};

/// The longest sleep between looks at the stop flag.
const NAP: Duration = Duration::from_millis(20);

/// Workers, their counters and what they share.
pub struct Engine {
    line: Arc<LineConfig>,
    credit: Published,
    workers: Vec<Arc<Own>>,
    reader: Arc<Own>,
}

/// How fast a capture is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pace {
    /// As fast as it can be processed.
    #[default]
    Max,
    /// As fast as it was captured.
    Real,
}

/// What a run over frames ended with, when not by its end or the stop flag.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The source failed; every frame before the failure was processed.
    #[error(transparent)]
    Capture(#[from] credence_capture::Error),
    /// A worker thread ended early, by a mistake of this program.
    #[error("a worker stopped by an internal error; the packets it held are lost")]
    WorkerDied,
}

impl Engine {
    /// An engine of `workers` lines, at least one.
    pub fn new(line: LineConfig, credit: Published, workers: usize) -> Self {
        let own = || Arc::new(Own::default());
        Self {
            line: Arc::new(line),
            credit,
            workers: (0..workers.max(1)).map(|_| own()).collect(),
            reader: own(),
        }
    }

    /// Sums of all counters at this moment.
    pub fn totals(&self) -> Totals {
        Totals::of(self.counters().map(|own| &***own))
    }

    /// Flows that all workers together hold at most.
    pub fn flow_capacity(&self) -> u64 {
        u64::from(self.line.flows) * self.workers.len() as u64
    }

    /// How far every thread has come that began to work: numbers of which each rises some ten times a second at least, unless
    /// its thread hangs.
    pub fn turns(&self) -> impl Iterator<Item = u64> {
        self.counters().map(|own| own.turns.value()).filter(|&turns| turns > 0)
    }

    /// The counters of every worker and of the reader.
    pub fn counters(&self) -> impl Iterator<Item = &Arc<Own>> {
        self.workers.iter().chain([&self.reader])
    }

    /// Scores a capture, to its end or until `stop`. Everything before a failure of the source is processed.
    ///
    /// # Errors
    /// When the source fails or a worker dies.
    pub fn replay(
        &self,
        source: &mut dyn Source,
        pace: Pace,
        recorder: &mut Recorder,
        stop: &AtomicBool,
    ) -> Result<(), RunError> {
        let mut pacer = Pacer::new(pace);
        match self.workers.as_slice() {
            [_] => self.alone(source, &mut pacer, recorder, stop),
            _ => self.spread(source, &mut pacer, recorder, stop, Full::Wait),
        }
    }

    /// Scores live traffic until `stop`. With one source a worker, each worker polls its own; otherwise the first source
    /// is read for all workers.
    ///
    /// # Errors
    /// When a source fails or a worker dies.
    pub fn live(
        &self,
        mut sources: Vec<Box<dyn Source>>,
        recorder: &mut Recorder,
        stop: &AtomicBool,
    ) -> Result<(), RunError> {
        let mut pacer = Pacer::new(Pace::Max);
        match sources.as_mut_slice() {
            [] => Ok(()),
            [only] if self.workers.len() == 1 => self.alone(only.as_mut(), &mut pacer, recorder, stop),
            [only] => self.spread(only.as_mut(), &mut pacer, recorder, stop, Full::Shed),
            _ => self.queues(sources, recorder, stop),
        }
    }

    fn worker(&self, number: usize) -> Worker {
        Worker::new(Arc::clone(&self.line), self.credit.reader(), Arc::clone(&self.workers[number]))
    }

    /// One line on this thread.
    fn alone(
        &self,
        source: &mut dyn Source,
        pacer: &mut Pacer,
        recorder: &mut Recorder,
        stop: &AtomicBool,
    ) -> Result<(), RunError> {
        let mut line = Alone { worker: self.worker(0), clock: StepClock::default(), recorder };
        let outcome = self.read(source, stop, &mut |event| match event {
            Read::Frames(frames) => pacer.play(frames, stop, &mut |due| {
                self.reader.count_received(due);
                line.frames(due);
            }),
            Read::Idle => line.idle(),
        });
        self.reader.reordered.set(line.clock.reordered());
        let Alone { worker, recorder, .. } = line;
        let (mut collected, table) = worker.finish();
        recorder.take(&mut collected);
        recorder.end_step();
        recorder.inherit(table);
        outcome
    }

    /// Polls a source to its end.
    fn read(
        &self,
        source: &mut dyn Source,
        stop: &AtomicBool,
        on: &mut dyn FnMut(Read<'_, '_>),
    ) -> Result<(), RunError> {
        let mut drops = Drops { own: &self.reader, polls: 0 };
        while !stop.load(Ordering::Relaxed) {
            self.reader.turns.add(1);
            let polled = source.poll(&mut |frames| on(Read::Frames(frames)));
            drops.polled(source, &polled);
            match polled? {
                Poll::Frames => {}
                Poll::Idle => on(Read::Idle),
                Poll::End => break,
            }
        }
        drops.look(source);
        Ok(())
    }
}

/// A thread of the engine under a name of its own, by which `top -H` and `ps -L` tell it from the others.
fn named<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    run: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    thread::Builder::new().name(name).spawn_scoped(scope, run).expect("the system gives a thread")
}

/// Polls in a row that bring frames before the kernel is asked what it lost: the question is a system call.
const POLLS_A_LOOK: u32 = 64;

/// Keeps the count of what the kernel lost: looked at when nothing comes, and now and then when much does.
struct Drops<'e> {
    own: &'e Own,
    polls: u32,
}

impl Drops<'_> {
    fn polled(&mut self, source: &mut dyn Source, polled: &Result<Poll, credence_capture::Error>) {
        self.polls += 1;
        if self.polls == POLLS_A_LOOK || !matches!(polled, Ok(Poll::Frames)) {
            self.look(source);
        }
    }

    fn look(&mut self, source: &mut dyn Source) {
        self.polls = 0;
        self.own.kernel_drops.set(source.kernel_drops());
    }
}

/// What reading a source brings.
enum Read<'a, 'f> {
    Frames(&'a [Frame<'f>]),
    Idle,
}

/// A line with its step clock and recorder, all on one thread.
struct Alone<'r> {
    worker: Worker,
    clock: StepClock,
    recorder: &'r mut Recorder,
}

impl Alone<'_> {
    fn frames(&mut self, frames: &[Frame<'_>]) {
        let mut clock = self.clock;
        clock.cut(frames, &mut |cut| match cut {
            Cut::Frames(step) => {
                self.worker.process(step);
                if self.worker.should_collect() {
                    self.recorder.take(self.worker.collected());
                }
            }
            Cut::Close(closing) => self.close(closing),
        });
        self.clock = clock;
    }

    fn idle(&mut self) {
        while let Some(closing) = self.clock.idle(unix_ns()) {
            self.close(closing);
        }
    }

    fn close(&mut self, closing: Closing) {
        self.worker.end_step(closing);
        self.recorder.take(self.worker.collected());
        self.recorder.end_step();
    }
}

/// Holds frames back until they are due.
struct Pacer {
    pace: Pace,
    started: Option<(Stopwatch, u64)>,
}

impl Pacer {
    const fn new(pace: Pace) -> Self {
        Self { pace, started: None }
    }

    /// Plays frames in portions, each when it is due, until `stop`.
    fn play(&mut self, mut frames: &[Frame<'_>], stop: &AtomicBool, play: &mut dyn FnMut(&[Frame<'_>])) {
        if self.pace == Pace::Max {
            return play(frames);
        }
        while let Some(first) = frames.first() {
            let (since, first_ns) = *self.started.get_or_insert_with(|| (Stopwatch::start(), first.ts_ns));
            let elapsed = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let due_ns = first_ns.saturating_add(elapsed);
            let due = frames.iter().take_while(|f| f.ts_ns <= due_ns).count();
            if due == 0 && !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_nanos(first.ts_ns - due_ns).min(NAP));
                continue;
            }
            // Once stopped, what was received is still processed, so that every frame is accounted for.
            let (now, later) = frames.split_at(if due == 0 { frames.len() } else { due });
            play(now);
            frames = later;
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
