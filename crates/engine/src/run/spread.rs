//! One reader for several workers: frames are copied into batches, batches go through bounded rings.

use std::sync::atomic::AtomicBool;
use std::thread;

use credence_capture::{Batch, Frame, Source};
use credence_wire::{Link, Packet, pair, parse};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use super::last_word::LastWord;
use super::{Engine, NAP, Pacer, Read, RunError, named};
use crate::clock::unix_ns;
use crate::config::{Keyed, LineConfig};
use crate::line::Worker;
use crate::record::{OUTBOX, Recorder, Report, record};
use crate::step::{Closing, Cut, Exchange, StepClock};

/// Frames of a batch on its way to a worker.
const BATCH_FRAMES: usize = 256;
/// Bytes of a batch: 256 frames of 1,500 bytes and some.
const BATCH_BYTES: usize = 400 * 1024;
/// Batches waiting for one worker: 64 · 256 frames are 16 ms at a million frames a second.
const RING: usize = 64;

/// What goes through a worker's ring.
enum Message {
    Frames(Batch),
    Close(Closing),
}

/// What happens to frames for a worker whose ring is full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Wait,
    Shed,
}

impl Engine {
    /// One reader, several workers, and a recorder.
    pub(super) fn spread(
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
                let work = move || {
                    let _last_word = LastWord(stop);
                    seat.work(self.worker(number), &inbox, &spent);
                };
                threads.push(named(scope, format!("credence-w{number}"), work));
                rings.push(Ring { ring, empties, filling: Batch::with_capacity(BATCH_FRAMES, BATCH_BYTES) });
            }
            drop(reports);
            let recording = named(scope, "credence-record".to_owned(), || {
                let _last_word = LastWord(stop);
                record(recorder, &reported, workers);
            });
            let mut reader = Reader { engine: self, rings, full, clock: StepClock::default() };
            let outcome = self.read(source, stop, &mut |event| match event {
                Read::Frames(frames) => {
                    pacer.play(frames, stop, &mut |due| {
                        self.reader.count_received(due);
                        reader.frames(due);
                    });
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
}

impl Reader<'_> {
    fn frames(&mut self, frames: &[Frame<'_>]) {
        let mut clock = self.clock;
        clock.cut(frames, &mut |cut| match cut {
            Cut::Frames(step) => step.iter().for_each(|frame| self.hand_over(frame)),
            Cut::Close(closing) => self.close(closing),
        });
        self.clock = clock;
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
            // Nobody is told where the worker has died, which ends the run.
            let _ = ring.ring.send(Message::Close(closing));
        }
    }

    fn finish(mut self) {
        self.flush();
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

/// A worker number from an address pair, the same for both directions. The kernel spreads frames over queues by the same
/// function, see `capture/bpf/fanout.bpf.c`.
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
        let mut share = Vec::new();
        loop {
            worker.turn();
            let message = match inbox.recv_timeout(NAP) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
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
                    worker.close_step(closing, &mut share);
                    // Before the meeting: so all reports of a step come before any of the next.
                    self.report(Report::StepEnded(worker.collect()), &worker);
                    let Some(merged) = self.exchange.meet(&mut share) else { break };
                    worker.apply(closing, &merged);
                }
            }
        }
        let (collected, table) = worker.finish();
        let _ = self.reports.send(Report::Some(collected));
        let _ = self.reports.send(Report::Left(Box::new(table)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_meet_on_one_worker_and_pairs_spread() {
        let mut hits = [0_u32; 8];
        for i in 0..8_000_u128 {
            let (a, b) = (0x2001_0db8_000a << 80 | i, 0x2001_0db8_000b << 80 | (i * 7));
            let worker = spread_over(a, b, 8);
            assert_eq!(worker, spread_over(b, a, 8));
            hits[worker] += 1;
        }
        assert!(hits.iter().all(|&h| (700..1_300).contains(&h)), "{hits:?}");
    }
}
