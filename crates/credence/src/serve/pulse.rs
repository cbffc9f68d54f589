//! Sources whose polls are counted, so that others can tell a reader that works from one that hangs, and a link that is up from
//! one that is down.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credence_capture::{Error, Frame, Poll, Source};

/// Polls between two looks at what a source that is down has to say: a second.
const POLLS_A_WORD: u32 = 100;

/// What is known of the sources of a run from outside.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    polls: AtomicU64,
    /// Sources that were polled once.
    begun: AtomicUsize,
    links: Mutex<Vec<Arc<Mutex<Link>>>>,
}

/// A source's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Whether the interface was down when the source was last idle.
    pub(crate) is_down: bool,
    /// What the source says of itself since then: how it captures, or what it waits for.
    pub(crate) description: String,
}

impl Pulse {
    /// Polls of all sources so far.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Whether every source is read by now.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed) == locked(&self.links).len()
    }

    /// The link of each source, in the order in which they were opened.
    pub(crate) fn links(&self) -> Vec<Link> {
        locked(&self.links).iter().map(|link| locked(link).clone()).collect()
    }

    /// Whether any link is down.
    pub(crate) fn is_down(&self) -> bool {
        locked(&self.links).iter().any(|link| locked(link).is_down)
    }
}

/// What a lock holds. Whoever died with it has left it whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A source with a pulse.
pub(crate) struct Watched {
    source: Box<dyn Source>,
    pulse: Arc<Pulse>,
    /// Locked by this source only when it goes down or comes back, and now and then while it is down.
    link: Arc<Mutex<Link>>,
    has_begun: bool,
    is_down: bool,
    /// Polls since the source was last asked what it waits for.
    silent: u32,
}

impl Watched {
    /// `source`, with its polls counted in `pulse`.
    pub(crate) fn new(source: Box<dyn Source>, pulse: Arc<Pulse>) -> Self {
        let link = Arc::new(Mutex::new(Link { is_down: false, description: source.describe() }));
        locked(&pulse.links).push(Arc::clone(&link));
        Self { source, pulse, link, has_begun: false, is_down: false, silent: 0 }
    }

    /// Notes whether the source is down. It is asked for a description when that changes, and now and then while it is down,
    /// since it may find out why it does not come back.
    fn note(&mut self, is_down: bool) {
        self.silent += u32::from(is_down);
        if is_down != self.is_down || self.silent >= POLLS_A_WORD {
            self.silent = 0;
            self.is_down = is_down;
            *locked(&self.link) = Link { is_down, description: self.source.describe() };
        }
    }
}

impl Source for Watched {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        let polled = self.source.poll(sink);
        self.pulse.polls.fetch_add(1, Ordering::Relaxed);
        if !self.has_begun {
            self.has_begun = true;
            self.pulse.begun.fetch_add(1, Ordering::Relaxed);
        }
        // Asking costs a system call, so it is left to the moments when there is nothing to do.
        self.note(matches!(polled, Ok(Poll::Idle)) && !self.source.is_up());
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A source that is up or not as `up` says, and tells how often it was asked.
    struct Fickle {
        up: Arc<AtomicBool>,
        asked: AtomicU64,
    }

    impl Source for Fickle {
        fn poll(&mut self, _: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
            Ok(Poll::Idle)
        }

        fn kernel_drops(&mut self) -> u64 {
            0
        }

        fn is_up(&self) -> bool {
            self.up.load(Ordering::Relaxed)
        }

        fn describe(&self) -> String {
            format!("{}", self.asked.fetch_add(1, Ordering::Relaxed))
        }
    }

    #[test]
    fn a_run_has_begun_when_each_of_its_sources_was_polled() {
        let pulse = Arc::<Pulse>::default();
        let mut sources = [0, 1].map(|_| {
            let source = Fickle { up: Arc::new(AtomicBool::new(true)), asked: AtomicU64::new(0) };
            Watched::new(Box::new(source), Arc::clone(&pulse))
        });
        let mut begun = |at: usize| {
            sources[at].poll(&mut |_| {}).unwrap();
            pulse.has_begun()
        };
        assert!(!begun(0) && !begun(0) && begun(1) && begun(0));
    }

    #[test]
    fn each_link_is_told_by_itself_and_describes_itself_when_it_changes() {
        let pulse = Arc::<Pulse>::default();
        let ups = [true, true].map(|up| Arc::new(AtomicBool::new(up)));
        let mut sources = ups.each_ref().map(|up| {
            let source = Fickle { up: Arc::clone(up), asked: AtomicU64::new(0) };
            Watched::new(Box::new(source), Arc::clone(&pulse))
        });
        let mut poll = |times: u32| {
            for _ in 0..times {
                sources.iter_mut().for_each(|source| drop(source.poll(&mut |_| {})));
            }
            let links = pulse.links();
            [0, 1].map(|at| links[at].clone())
        };
        let told = |is_down, word: &str| Link { is_down, description: word.to_owned() };
        assert_eq!(poll(1_000), [told(false, "0"), told(false, "0")], "who is up is not asked again");
        ups[1].store(false, Ordering::Relaxed);
        assert_eq!(poll(1), [told(false, "0"), told(true, "1")]);
        assert!(pulse.is_down());
        assert_eq!(poll(POLLS_A_WORD)[1], told(true, "2"), "why it does not come back");
        ups[1].store(true, Ordering::Relaxed);
        assert_eq!(poll(500)[1], told(false, "3"));
        assert!(!pulse.is_down());
        assert_eq!(pulse.polls(), 2 * (1_000 + 1 + u64::from(POLLS_A_WORD) + 500));
    }
}
