//! A live interface with a ring for each worker: nobody reads for anyone else, and nobody waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use credence_capture::{Frame, Poll, Source};
use credence_flow::Delta;
use crossbeam::channel::{Sender, TrySendError, bounded};

use super::last_word::LastWord;
use super::{Drops, Engine, RunError, named};
use crate::clock::unix_ns;
use crate::counters::Own;
use crate::line::Worker;
use crate::mailbox::Mailboxes;
use crate::record::{OUTBOX, Recorder, Report, record};
use crate::step::{Closing, Cut, StepClock};

impl Engine {
    /// One source a worker; what their sources do is exchanged without waiting.
    pub(super) fn queues(
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
                threads.push(named(scope, format!("credence-w{number}"), move || {
                    let _last_word = LastWord(stop);
                    let clock = StepClock::starting_at(start_ns);
                    let (worker, share) = (self.worker(number), Vec::new());
                    let queue = Queue { number, worker, clock, share, mailboxes, reports, own };
                    let outcome = queue.work(source, stop);
                    // One queue that ends would leave its share of the traffic unscored in silence.
                    stop.store(true, Ordering::Relaxed);
                    outcome
                }));
            }
            drop(reports);
            let recording = named(scope, "credence-record".to_owned(), || {
                let _last_word = LastWord(stop);
                record(recorder, &reported, 1);
            });
            let mut outcome = Ok(());
            for worker in threads {
                outcome = outcome.and(worker.join().unwrap_or(Err(RunError::WorkerDied)));
            }
            outcome.and(recording.join().map_err(|_| RunError::WorkerDied))
        })
    }
}

/// A worker with a source of its own.
struct Queue<'e> {
    number: usize,
    worker: Worker,
    clock: StepClock,
    /// What sources did in the step that ends.
    share: Vec<Delta>,
    mailboxes: &'e Mailboxes,
    reports: Sender<Report>,
    own: &'e Own,
}

impl Queue<'_> {
    fn work(mut self, mut source: Box<dyn Source>, stop: &AtomicBool) -> Result<(), RunError> {
        let mut drops = Drops { own: self.own, polls: 0 };
        let outcome = loop {
            if stop.load(Ordering::Relaxed) {
                break Ok(());
            }
            self.worker.turn();
            let polled = source.poll(&mut |frames| {
                self.own.count_received(frames);
                self.frames(frames);
            });
            drops.polled(source.as_mut(), &polled);
            match polled {
                Ok(Poll::Frames) => {}
                Ok(Poll::Idle) => self.idle(),
                Ok(Poll::End) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        drops.look(source.as_mut());
        self.own.reordered.set(self.clock.reordered());
        let (collected, _) = self.worker.finish();
        let _ = self.reports.send(Report::StepEnded(collected));
        outcome
    }

    fn frames(&mut self, frames: &[Frame<'_>]) {
        let mut clock = self.clock;
        clock.cut(frames, &mut |cut| match cut {
            Cut::Frames(step) => self.worker.process(step),
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
        self.worker.close_step(closing, &mut self.share);
        let merged = self.mailboxes.exchange(self.number, &self.share);
        self.worker.apply(closing, &merged);
        self.own.step_reports_lost.set(self.mailboxes.lost(self.number));
        let report = Report::StepEnded(self.worker.collect());
        if let Err(
            TrySendError::Full(Report::StepEnded(lost)) | TrySendError::Disconnected(Report::StepEnded(lost)),
        ) = self.reports.try_send(report)
        {
            self.worker.lose(&lost);
        }
    }
}
