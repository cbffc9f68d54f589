//! Threads: how frames reach workers, and events the recorder.
//!
//! A capture file with one worker runs on the caller's thread alone. Otherwise one reader hands batches to workers
//! through bounded rings, split by a symmetric hash of the address pair, so that both directions and all fragments of a
//! pair meet on one worker. A file waits when a ring is full; a live source sheds and counts. A live interface with as
//! many queues as workers needs no reader: each worker polls its own ring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use credence_capture::{Batch, Frame, Poll, Source};
use credence_credit::Published;
use credence_flow::merge;
use credence_wire::{Link, Packet, pair, parse};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};

use crate::clock::{Stopwatch, unix_ns};
use crate::config::{Keyed, LineConfig};
use crate::counters::{Own, Totals};
use crate::event::Collected;
use crate::line::Worker;
use crate::mailbox::Mailboxes;
use crate::record::Recorder;
use crate::step::{Closing, Exchange, StepClock};

/// Frames of a batch on its way to a worker.
const BATCH_FRAMES: usize = 256;
/// Bytes of a batch: 256 frames of 1,500 bytes and some.
const BATCH_BYTES: usize = 400 * 1024;
/// Batches waiting for one worker: 64 · 256 frames are 16 ms at a million frames a second.
const RING: usize = 64;
/// Collections waiting for the recorder.
const OUTBOX: usize = 256;
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

/// What goes through a worker's ring.
enum Message {
    Frames(Batch),
    Close(Closing),
}

/// What workers send to the recorder.
enum Report {
    Some(Collected),
    StepEnded(Collected),
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
            Read::Frames(frames) => pacer.play(frames, stop, &mut |due| line.frames(due)),
            Read::Idle => line.idle(),
        });
        if let Some(closing) = line.clock.finish() {
            line.close(closing);
        }
        self.reader.reordered.set(line.clock.reordered());
        let Alone { mut worker, recorder, .. } = line;
        worker.finish(&mut |collected| recorder.take(collected));
        outcome
    }

    /// Polls a source to its end, counting what is received.
    fn read(
        &self,
        source: &mut dyn Source,
        stop: &AtomicBool,
        on: &mut dyn FnMut(Read<'_, '_>),
    ) -> Result<(), RunError> {
        while !stop.load(Ordering::Relaxed) {
            let polled = source.poll(&mut |frames| {
                self.reader.received.add(frames.len() as u64);
                self.reader.received_bytes.add(frames.iter().map(|f| u64::from(f.wire_len)).sum());
                on(Read::Frames(frames));
            });
            self.reader.kernel_drops.set(source.kernel_drops());
            match polled? {
                Poll::Frames => {}
                Poll::Idle => on(Read::Idle),
                Poll::End => break,
            }
        }
        Ok(())
    }

    /// One reader, several workers, and a recorder.
    fn spread(
        &self,
        source: &mut dyn Source,
        pacer: &mut Pacer,
        recorder: &mut Recorder,
        stop: &AtomicBool,
        full: Full,
    ) -> Result<(), RunError> {
        let workers = self.workers.len();
        let exchange = Exchange::new(workers);
        let (reports, reported) = bounded(OUTBOX);
        thread::scope(|scope| {
            let mut rings = Vec::with_capacity(workers);
            let mut threads = Vec::with_capacity(workers);
            for number in 0..workers {
                let (ring, inbox) = bounded(RING);
                let (spent, empties) = bounded(RING + 2);
                let (reports, exchange) = (reports.clone(), &exchange);
                let seat = Seat { exchange, reports, full };
                threads.push(scope.spawn(move || seat.work(self.worker(number), &inbox, &spent)));
                rings.push(Ring { ring, empties, filling: Batch::with_capacity(BATCH_FRAMES, BATCH_BYTES) });
            }
            drop(reports);
            let recording = scope.spawn(|| record(recorder, &reported, workers));
            let mut reader = Reader { engine: self, rings, full, clock: StepClock::default(), alive: true };
            let outcome = self.read(source, stop, &mut |event| match event {
                Read::Frames(frames) => {
                    pacer.play(frames, stop, &mut |due| reader.frames(due));
                    if full == Full::Shed {
                        reader.flush();
                    }
                }
                Read::Idle => reader.idle(),
            });
            reader.finish();
            let joined = threads.into_iter().all(|worker| worker.join().is_ok()) && recording.join().is_ok();
            if joined { outcome } else { Err(RunError::WorkerDied) }
        })
    }

    /// One source a worker; what their sources do is exchanged without waiting.
    fn queues(
        &self,
        sources: Vec<Box<dyn Source>>,
        recorder: &mut Recorder,
        stop: &AtomicBool,
    ) -> Result<(), RunError> {
        let mailboxes = Mailboxes::new(self.workers.len());
        let (reports, reported) = bounded(OUTBOX);
        let start_ns = unix_ns();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (number, source) in sources.into_iter().enumerate().take(self.workers.len()) {
                let (reports, mailboxes, own) = (reports.clone(), &mailboxes, &self.workers[number]);
                threads.push(scope.spawn(move || {
                    let clock = StepClock::starting_at(start_ns);
                    let queue = Queue { number, worker: self.worker(number), clock, mailboxes, reports, own };
                    let outcome = queue.work(source, stop);
                    // One queue that ends would leave its share of the traffic unscored in silence.
                    stop.store(true, Ordering::Relaxed);
                    outcome
                }));
            }
            drop(reports);
            let recording = scope.spawn(|| record(recorder, &reported, 1));
            let mut outcome = Ok(());
            for worker in threads {
                outcome = outcome.and(worker.join().unwrap_or(Err(RunError::WorkerDied)));
            }
            outcome.and(recording.join().map_err(|_| RunError::WorkerDied))
        })
    }
}

/// What reading a source brings.
enum Read<'a, 'f> {
    Frames(&'a [Frame<'f>]),
    Idle,
}

/// What happens to frames for a worker whose ring is full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Full {
    Wait,
    Shed,
}

/// A line with its step clock and recorder, all on one thread.
struct Alone<'r> {
    worker: Worker,
    clock: StepClock,
    recorder: &'r mut Recorder,
}

impl Alone<'_> {
    fn frames(&mut self, mut frames: &[Frame<'_>]) {
        while !frames.is_empty() {
            let (now, closing) = self.clock.advance(frames);
            let (step, later) = frames.split_at(now);
            self.worker.process(step);
            if self.worker.should_collect() {
                self.recorder.take(self.worker.collect());
            }
            if let Some(closing) = closing {
                self.close(closing);
            }
            frames = later;
        }
    }

    fn idle(&mut self) {
        while let Some(closing) = self.clock.idle(unix_ns()) {
            self.close(closing);
        }
    }

    fn close(&mut self, closing: Closing) {
        let deltas = self.worker.close_step(closing);
        self.worker.apply(closing, &merge([deltas]));
        self.recorder.take(self.worker.collect());
        self.recorder.end_step();
    }
}

/// The reader's end of a worker's ring.
struct Ring {
    ring: Sender<Message>,
    empties: Receiver<Batch>,
    filling: Batch,
}

/// Hands frames to workers.
struct Reader<'e> {
    engine: &'e Engine,
    rings: Vec<Ring>,
    full: Full,
    clock: StepClock,
    alive: bool,
}

impl Reader<'_> {
    fn frames(&mut self, mut frames: &[Frame<'_>]) {
        while !frames.is_empty() {
            let (now, closing) = self.clock.advance(frames);
            let (step, later) = frames.split_at(now);
            for frame in step {
                self.hand_over(frame);
            }
            if let Some(closing) = closing {
                self.close(closing);
            }
            frames = later;
        }
    }

    fn hand_over(&mut self, frame: &Frame<'_>) {
        let number = share(frame, &self.engine.line, self.rings.len());
        if !self.rings[number].filling.push(frame) {
            self.send(number);
            // An empty batch takes any frame that a source can hand out.
            if !self.rings[number].filling.push(frame) {
                self.engine.reader.shed.add(1);
            }
        }
    }

    /// Sends what is gathered for a worker, or sheds it when its ring is full and the source cannot wait.
    fn send(&mut self, number: usize) {
        let ring = &mut self.rings[number];
        if ring.filling.is_empty() {
            return;
        }
        let empty =
            ring.empties.try_recv().unwrap_or_else(|_| Batch::with_capacity(BATCH_FRAMES, BATCH_BYTES));
        let batch = std::mem::replace(&mut ring.filling, empty);
        let frames = batch.len() as u64;
        let refused = match self.full {
            Full::Wait => ring.ring.send(Message::Frames(batch)).map_err(|e| e.0).err(),
            Full::Shed => ring.ring.try_send(Message::Frames(batch)).map_err(TrySendError::into_inner).err(),
        };
        if let Some(Message::Frames(mut batch)) = refused {
            self.engine.reader.shed.add(frames);
            batch.clear();
            self.rings[number].filling = batch;
        }
    }

    fn flush(&mut self) {
        for number in 0..self.rings.len() {
            self.send(number);
        }
    }

    fn idle(&mut self) {
        self.flush();
        while let Some(closing) = self.clock.idle(unix_ns()) {
            self.close(closing);
        }
    }

    /// Ends a step for all workers. The word is never shed: it waits for a place in each ring.
    fn close(&mut self, closing: Closing) {
        self.flush();
        for ring in &self.rings {
            self.alive &= ring.ring.send(Message::Close(closing)).is_ok();
        }
    }

    fn finish(mut self) {
        match self.clock.finish() {
            Some(closing) => self.close(closing),
            None => self.flush(),
        }
        self.engine.reader.reordered.set(self.clock.reordered());
    }
}

/// The worker that a frame belongs to. Frames that no flow is keyed by go to the first.
fn share(frame: &Frame<'_>, line: &LineConfig, workers: usize) -> usize {
    let Some(link) = Link::from_linktype(frame.linktype) else { return 0 };
    let pair = match &line.keyed {
        Keyed::Outer => pair(link, frame.bytes),
        _ => parse(link, frame.bytes, frame.wire_len, &line.limits)
            .ok()
            .map(|packet| keyed_pair(&packet, line)),
    };
    let Some((src, dst)) = pair else { return 0 };
    spread_over(src, dst, workers)
}

fn keyed_pair(packet: &Packet, line: &LineConfig) -> (u128, u128) {
    let (header, _) = line.keyed.header(packet);
    (header.src, header.dst)
}

/// A worker number from an address pair, the same for both directions.
fn spread_over(src: u128, dst: u128, workers: usize) -> usize {
    let fold = |a: u128| (a as u64) ^ ((a >> 64) as u64).rotate_left(32);
    // Sum and product are symmetric; the multiplication carries every bit into the upper half.
    let mixed = fold(src).wrapping_add(fold(dst)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(mixed ^ mixed >> 29) * workers as u128) >> 64) as usize
}

/// Where a worker sits while a reader feeds it.
struct Seat<'e> {
    exchange: &'e Exchange,
    reports: Sender<Report>,
    full: Full,
}

impl Seat<'_> {
    fn work(self, mut worker: Worker, inbox: &Receiver<Message>, spent: &Sender<Batch>) {
        // A worker that dies must not leave the others waiting for it at the end of the step.
        let leaving = Leaving(self.exchange);
        for message in inbox {
            match message {
                Message::Frames(mut batch) => {
                    batch.frames(|frames| worker.process(frames));
                    batch.clear();
                    // A full return ring only means that this batch is freed.
                    let _ = spent.try_send(batch);
                    if worker.should_collect() {
                        self.report(Report::Some(worker.collect()), &worker);
                    }
                }
                Message::Close(closing) => {
                    let deltas = worker.close_step(closing);
                    // Before the meeting: so all reports of a step come before any of the next.
                    self.report(Report::StepEnded(worker.collect()), &worker);
                    let Some(merged) = self.exchange.meet(deltas) else { break };
                    worker.apply(closing, &merged);
                }
            }
        }
        worker.finish(&mut |collected| {
            let _ = self.reports.send(Report::Some(collected));
        });
        std::mem::forget(leaving);
    }

    /// Tells the recorder. On a live source a recorder that cannot keep up costs alerts, counted, never packets.
    fn report(&self, report: Report, worker: &Worker) {
        let lost = match self.full {
            Full::Wait => self.reports.send(report).map_err(|e| e.0).err(),
            Full::Shed => self.reports.try_send(report).map_err(TrySendError::into_inner).err(),
        };
        if let Some(Report::Some(lost) | Report::StepEnded(lost)) = lost {
            worker.lose(&lost);
        }
    }
}

/// Breaks the exchange up when dropped.
struct Leaving<'e>(&'e Exchange);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.break_up();
    }
}

/// A worker with a source of its own.
struct Queue<'e> {
    number: usize,
    worker: Worker,
    clock: StepClock,
    mailboxes: &'e Mailboxes,
    reports: Sender<Report>,
    own: &'e Own,
}

impl Queue<'_> {
    fn work(mut self, mut source: Box<dyn Source>, stop: &AtomicBool) -> Result<(), RunError> {
        let outcome = loop {
            if stop.load(Ordering::Relaxed) {
                break Ok(());
            }
            let polled = source.poll(&mut |frames| {
                self.own.received.add(frames.len() as u64);
                self.own.received_bytes.add(frames.iter().map(|f| u64::from(f.wire_len)).sum());
                self.frames(frames);
            });
            self.own.kernel_drops.set(source.kernel_drops());
            match polled {
                Ok(Poll::Frames) => {}
                Ok(Poll::Idle) => self.idle(),
                Ok(Poll::End) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        self.own.reordered.set(self.clock.reordered());
        let reports = &self.reports;
        self.worker.finish(&mut |collected| {
            let _ = reports.send(Report::StepEnded(collected));
        });
        outcome
    }

    fn frames(&mut self, mut frames: &[Frame<'_>]) {
        while !frames.is_empty() {
            let (now, closing) = self.clock.advance(frames);
            let (step, later) = frames.split_at(now);
            self.worker.process(step);
            if let Some(closing) = closing {
                self.close(closing);
            }
            frames = later;
        }
    }

    fn idle(&mut self) {
        while let Some(closing) = self.clock.idle(unix_ns()) {
            self.close(closing);
        }
    }

    fn close(&mut self, closing: Closing) {
        let deltas = self.worker.close_step(closing);
        let merged = self.mailboxes.exchange(self.number, deltas);
        self.worker.apply(closing, &merged);
        let report = Report::StepEnded(self.worker.collect());
        if let Err(
            TrySendError::Full(Report::StepEnded(lost)) | TrySendError::Disconnected(Report::StepEnded(lost)),
        ) = self.reports.try_send(report)
        {
            self.worker.lose(&lost);
        }
    }
}

/// Takes reports until all workers are gone; a step has ended when `workers` have said so.
fn record(recorder: &mut Recorder, reports: &Receiver<Report>, workers: usize) {
    let mut ended = 0;
    for report in reports {
        match report {
            Report::Some(collected) => recorder.take(collected),
            Report::StepEnded(collected) => {
                recorder.take(collected);
                ended += 1;
                if ended == workers {
                    recorder.end_step();
                    ended = 0;
                }
            }
        }
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
