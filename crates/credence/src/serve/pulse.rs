//! A source whose polls are counted, so that others can tell a reader that works from one that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use credence_capture::{Error, Frame, Poll, Source};

/// What is known of the sources of a run from outside.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    polls: AtomicU64,
    down: AtomicBool,
}

impl Pulse {
    /// Polls of all sources so far.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Whether the interface was down when it was last idle.
    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }
}

/// A source with a pulse.
pub(crate) struct Watched {
    source: Box<dyn Source>,
    pulse: Arc<Pulse>,
}

impl Watched {
    /// `source`, with its polls counted in `pulse`.
    pub(crate) fn new(source: Box<dyn Source>, pulse: Arc<Pulse>) -> Self {
        Self { source, pulse }
    }
}

impl Source for Watched {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        let polled = self.source.poll(sink);
        self.pulse.polls.fetch_add(1, Ordering::Relaxed);
        // Asking costs a system call, so it is left to the moments when there is nothing to do.
        let down = matches!(polled, Ok(Poll::Idle)) && !self.source.is_up();
        self.pulse.down.store(down, Ordering::Relaxed);
        polled
    }

    fn kernel_drops(&mut self) -> u64 {
        self.source.kernel_drops()
    }

    fn is_up(&self) -> bool {
        self.source.is_up()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}
