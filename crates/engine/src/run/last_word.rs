//! A thread that dies ends the run: its share of the traffic must not stay unscored in silence.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Sets the flag that ends a run when a thread drops it while dying. One that leaves in order changes nothing.
pub(super) struct LastWord<'e>(pub(super) &'e AtomicBool);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use credence_capture::{Error, Frame, Poll, Source};
    use credence_credit::Published;

    use super::*;
    use crate::config::LineConfig;
    use crate::run::{Engine, RunError};
    use crate::scene::{S, Scene};
    use crate::{Dropped, Enforce, Opinion, Recorder};

    /// How long a run that ends may take.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A live source: all frames of another, and then silence for ever, or until it dies.
    struct Live<S> {
        frames: S,
        polls_left: Option<u32>,
        /// What its silence comes to.
        silence: Poll,
    }

    impl<S: Source> Source for Live<S> {
        fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
            if let Some(left) = &mut self.polls_left {
                *left = left.checked_sub(1).expect("this source dies");
            }
            if self.frames.poll(sink)? == Poll::Frames {
                return Ok(Poll::Frames);
            }
            thread::sleep(Duration::from_millis(1));
            Ok(self.silence)
        }

        fn kernel_drops(&mut self) -> u64 {
            0
        }

        fn describe(&self) -> String {
            "a source of a test".to_owned()
        }
    }

    /// Runs an engine over these sources until it ends.
    fn run(sources: Vec<Box<dyn Source>>, mut recorder: Recorder) -> Result<(), RunError> {
        let line = LineConfig { flows: 1 << 10, sources: 1 << 10, datagrams: 16, ..LineConfig::default() };
        let engine = Engine::new(line, Published::default(), 2);
        let (ended, end) = channel();
        thread::spawn(move || {
            let stop = AtomicBool::new(false);
            let _ = ended.send(engine.live(sources, &mut recorder, &stop));
        });
        end.recv_timeout(PATIENCE).expect("the run goes on without the dead")
    }

    fn live(scene: &'static Scene, polls_left: Option<u32>, silence: Poll) -> Box<dyn Source> {
        Box::new(Live { frames: scene.source(&[16]), polls_left, silence })
    }

    #[test]
    fn a_worker_that_dies_ends_the_run_of_all() {
        let nothing = Box::leak(Box::new(Scene::default()));
        let sources = vec![live(nothing, None, Poll::Idle), live(nothing, Some(5), Poll::Idle)];
        assert!(matches!(run(sources, Recorder::default()), Err(RunError::WorkerDied)));
    }

    /// Kills whoever asks it for anything.
    struct Deadly;

    impl Enforce for Deadly {
        fn heed(&mut self, _: &[Opinion]) {
            panic!("whoever has an opinion dies")
        }

        fn saw(&mut self, _: &[u128]) {}

        fn dropped(&mut self) -> Option<Dropped> {
            None
        }
    }

    #[test]
    fn a_recorder_that_dies_ends_the_run_of_all() {
        let scene: &'static mut Scene = Box::leak(Box::default());
        (0..5).for_each(|second| scene.udp(second * S, (1 << 64, 1), (2 << 64, 2)));
        let nothing = Box::leak(Box::new(Scene::default()));
        // One reader for two workers: steps end with its frames. Two queues: steps end by the clock.
        let read = vec![live(scene, None, Poll::Frames)];
        let queues = vec![live(nothing, None, Poll::Idle), live(nothing, None, Poll::Idle)];
        for sources in [read, queues] {
            let outcome = run(sources, Recorder::default().enforcing(Box::new(Deadly)));
            assert!(matches!(outcome, Err(RunError::WorkerDied)));
        }
    }
}
