//! Several capture files as one stream.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use credence_capture::{BATCH_FRAMES, Error, Frame, Poll, Source};
use credence_flow::REORDER_NS;

/// Sources read one after the other, with frame numbers that go on counting. A source that cannot be opened or fails on
/// the way ends there; its error is kept, and the next one is read.
///
/// Time is meant to go on from one source to the next. Where it goes back, a flow that appears in both may be ended in
/// between or not, as the sweep for idle flows happens to come by; [`Chain::backward`] names such sources.
pub struct Chain<O> {
    waiting: std::vec::IntoIter<PathBuf>,
    open: O,
    current: Option<Current>,
    /// Frames of the sources before the current one.
    before: u64,
    /// Frames of all sources so far.
    frames: u64,
    /// Latest time of all frames so far, Unix nanoseconds.
    latest_ns: u64,
    linktypes: Linktypes,
    failures: Vec<Error>,
    backward: Vec<PathBuf>,
}

/// The source being read.
struct Current {
    path: PathBuf,
    source: Box<dyn Source>,
    /// No frame of it has come.
    fresh: bool,
}

impl<O> Chain<O>
where
    O: FnMut(&Path) -> Result<Box<dyn Source>, Error> + Send,
{
    /// The sources that `open` makes of `paths`, each opened when its turn comes.
    pub fn new(paths: Vec<PathBuf>, open: O) -> Self {
        Self {
            waiting: paths.into_iter(),
            open,
            current: None,
            before: 0,
            frames: 0,
            latest_ns: 0,
            linktypes: Linktypes::default(),
            failures: Vec::new(),
            backward: Vec::new(),
        }
    }

    /// What went wrong so far, at most one error a source. Every frame before an error was handed over.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// The link types of all frames so far, as numbered in the `LINKTYPE_` registry of capture files.
    pub fn linktypes(&self) -> impl Iterator<Item = u16> {
        self.linktypes.seen.iter().copied()
    }

    /// The sources whose first frame is older, by more than frames are ever reordered, than the latest one before it.
    pub fn backward(&self) -> &[PathBuf] {
        &self.backward
    }

    /// Opens the next source that can be opened; whether there is one.
    fn advance(&mut self) -> bool {
        self.before = self.frames;
        self.current = None;
        for path in self.waiting.by_ref() {
            match (self.open)(&path) {
                Ok(source) => {
                    self.current = Some(Current { path, source, fresh: true });
                    return true;
                }
                Err(error) => self.failures.push(error),
            }
        }
        false
    }
}

impl<O> Source for Chain<O>
where
    O: FnMut(&Path) -> Result<Box<dyn Source>, Error> + Send,
{
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        loop {
            let Self { current, before, frames, latest_ns, linktypes, backward, .. } = self;
            let Some(Current { path, source, fresh }) = current else {
                if self.advance() {
                    continue;
                }
                return Ok(Poll::End);
            };
            let polled = source.poll(&mut |some| {
                if std::mem::take(fresh) && begins_before(some, *latest_ns) {
                    backward.push(path.clone());
                }
                *frames += some.len() as u64;
                *latest_ns = some.iter().fold(*latest_ns, |latest, frame| latest.max(frame.ts_ns));
                linktypes.note(some);
                if *before == 0 { sink(some) } else { renumbered(some, *before, sink) }
            });
            match polled {
                Ok(Poll::End) => self.current = None,
                Ok(polled) => return Ok(polled),
                Err(error) => {
                    self.failures.push(error);
                    self.current = None;
                }
            }
        }
    }

    fn kernel_drops(&mut self) -> u64 {
        0
    }

    fn describe(&self) -> String {
        self.current.as_ref().map_or_else(|| "no capture".to_owned(), |current| current.source.describe())
    }
}

fn begins_before(frames: &[Frame<'_>], latest_ns: u64) -> bool {
    frames.first().is_some_and(|first| first.ts_ns.saturating_add(REORDER_NS) < latest_ns)
}

/// Hands over `frames` with `before` added to their numbers.
fn renumbered(frames: &[Frame<'_>], before: u64, sink: &mut dyn FnMut(&[Frame<'_>])) {
    const NONE: Frame<'static> = Frame { number: 0, ts_ns: 0, wire_len: 0, linktype: 0, bytes: &[] };
    let mut slots = [NONE; BATCH_FRAMES];
    for some in frames.chunks(BATCH_FRAMES) {
        for (slot, frame) in slots.iter_mut().zip(some) {
            *slot = Frame { number: frame.number + before, ..*frame };
        }
        sink(&slots[..some.len()]);
    }
}

/// The link types seen. A capture has one or a few, so that a comparison with the last one answers for nearly all frames.
#[derive(Default)]
struct Linktypes {
    last: Option<u16>,
    seen: BTreeSet<u16>,
}

impl Linktypes {
    fn note(&mut self, frames: &[Frame<'_>]) {
        for frame in frames {
            if self.last != Some(frame.linktype) {
                self.last = Some(frame.linktype);
                self.seen.insert(frame.linktype);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source of `frames` frames of one second in batches of 100, then its end or a failure.
    struct Fake {
        second: u64,
        frames: u64,
        handed: u64,
        linktype: u16,
        fails: bool,
    }

    impl Source for Fake {
        fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
            let next = self.frames.min(self.handed + 100);
            if next == self.handed {
                let frame = self.frames + 1;
                let cut = || Error::Truncated { file: "fake".into(), frame, offset: 0 };
                return if self.fails { Err(cut()) } else { Ok(Poll::End) };
            }
            let frames: Vec<_> = (self.handed + 1..=next)
                .map(|number| Frame {
                    number,
                    ts_ns: self.second * SECOND,
                    wire_len: 1,
                    linktype: self.linktype,
                    bytes: &[7],
                })
                .collect();
            self.handed = next;
            sink(&frames);
            Ok(Poll::Frames)
        }

        fn kernel_drops(&mut self) -> u64 {
            0
        }

        fn describe(&self) -> String {
            "fake".to_owned()
        }
    }

    const SECOND: u64 = 1_000_000_000;

    /// Opens fakes by name: `FRAMES` or `FRAMES@SECOND`, with `!` behind for one that fails at its end; anything else is
    /// missing.
    fn open(path: &Path) -> Result<Box<dyn Source>, Error> {
        let name = path.display().to_string();
        let sound = name.trim_end_matches('!');
        let (frames, second) = sound.split_once('@').unwrap_or((sound, "0"));
        let missing = |_| Error::Missing { file: name.clone() };
        let (frames, second) = (frames.parse().map_err(missing)?, second.parse().map_err(missing)?);
        let linktype = u16::try_from(frames).unwrap_or(0);
        Ok(Box::new(Fake { second, frames, handed: 0, linktype, fails: sound.len() < name.len() }))
    }

    fn chain(names: &[&str]) -> Chain<impl FnMut(&Path) -> Result<Box<dyn Source>, Error> + use<>> {
        Chain::new(names.iter().map(PathBuf::from).collect(), open)
    }

    /// The numbers of all frames of a chain over `names`, its failures and link types.
    fn run(names: &[&str]) -> (Vec<u64>, Vec<String>, Vec<u16>) {
        let mut chain = chain(names);
        let mut numbers = Vec::new();
        while chain.poll(&mut |frames| numbers.extend(frames.iter().map(|f| f.number))).expect("told apart")
            != Poll::End
        {}
        assert_eq!(chain.poll(&mut |_| ()).expect("stays at its end"), Poll::End);
        let failures = chain.failures().iter().map(ToString::to_string).collect();
        (numbers, failures, chain.linktypes().collect())
    }

    #[test]
    fn frames_are_numbered_through() {
        let (numbers, failures, linktypes) = run(&["250", "0", "3", "101"]);
        assert_eq!(numbers, (1..=354).collect::<Vec<_>>());
        assert!(failures.is_empty());
        assert_eq!(linktypes, [3, 101, 250]);
    }

    #[test]
    fn what_fails_is_kept_and_the_rest_is_read() {
        let (numbers, failures, _) = run(&["missing", "2!", "3", "gone"]);
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(failures.len(), 3);
        assert!(failures[0].contains("missing"), "{failures:?}");
        assert!(failures[1].contains("fake is cut short at frame 3"), "{failures:?}");
    }

    #[test]
    fn sources_that_go_back_in_time_are_named() {
        let mut chain = chain(&["1@100", "0", "1@90", "1@101", "1@90", "1@102"]);
        while chain.poll(&mut |_| ()).expect("sound") != Poll::End {}
        assert_eq!(chain.backward(), [PathBuf::from("1@90")], "ten seconds are no more than reordering");
    }

    #[test]
    fn nothing_at_all_is_an_end() {
        assert_eq!(run(&[]), (vec![], vec![], vec![]));
    }
}
