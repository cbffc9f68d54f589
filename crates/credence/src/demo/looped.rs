//! A capture that begins anew whenever it ends, on a clock that runs on.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credence_capture::{Error, FileSource, Frame, Poll, Source};

/// Time between the last frame of a round and the first of the next, in nanoseconds.
const PAUSE_NS: u64 = 1_000_000_000;

/// How much of the capture the first round leaves out, in nanoseconds. It begins with hosts that find each
/// other and little else, and a tour should not.
const LEAD_IN_NS: u64 = 5_000_000_000;

/// What stands for the capture in messages.
const NAME: &str = "the bundled capture";

/// Frames of the same capture, round after round, with the times of now and numbers that go on counting.
pub(super) struct Looped {
    capture: &'static [u8],
    source: FileSource,
    /// Nothing is handed out from before this time, in Unix nanoseconds.
    start_ns: u64,
    /// When this round began, on the clock that runs on, in Unix nanoseconds.
    begun_ns: u64,
    /// Time of the round's first frame in the capture; none before it.
    first_ns: Option<u64>,
    /// Time of the last frame that was handed out.
    last_ns: u64,
    /// Frames handed out.
    frames: u64,
    rounds: Arc<AtomicU64>,
}

impl Looped {
    /// `capture`, which is played from `start_ns` (Unix nanoseconds) on, the first time without its lead-in.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn new(capture: &'static [u8], start_ns: u64) -> Result<Self, Error> {
        Ok(Self {
            capture,
            source: open(capture)?,
            start_ns,
            begun_ns: start_ns.saturating_sub(LEAD_IN_NS),
            first_ns: None,
            last_ns: start_ns,
            frames: 0,
            rounds: Arc::new(AtomicU64::new(1)),
        })
    }

    /// Where the rounds begun are counted.
    pub(super) fn rounds(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.rounds)
    }

    fn begin_anew(&mut self) -> Result<(), Error> {
        self.source = open(self.capture)?;
        self.begun_ns = self.last_ns.saturating_add(PAUSE_NS);
        self.first_ns = None;
        self.rounds.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn open(capture: &'static [u8]) -> Result<FileSource, Error> {
    FileSource::from_reader(NAME, Cursor::new(capture))
}

impl Source for Looped {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        let Self { source, start_ns, begun_ns, first_ns, last_ns, frames: total, .. } = self;
        let polled = source.poll(&mut |frames| {
            let shifted = frames.iter().filter_map(|frame| {
                let since = frame.ts_ns.saturating_sub(*first_ns.get_or_insert(frame.ts_ns));
                let ts_ns = begun_ns.saturating_add(since);
                *last_ns = ts_ns.max(*last_ns);
                (ts_ns >= *start_ns).then(|| {
                    *total += 1;
                    Frame { number: *total, ts_ns, ..*frame }
                })
            });
            let shifted: Vec<_> = shifted.collect();
            if !shifted.is_empty() {
                sink(&shifted);
            }
        })?;
        // A round without a frame would be followed by the same at once.
        if polled != Poll::End || self.first_ns.is_none() {
            return Ok(polled);
        }
        self.begin_anew()?;
        Ok(Poll::Idle)
    }

    fn kernel_drops(&mut self) -> u64 {
        0
    }

    fn describe(&self) -> String {
        format!("{NAME}, again and again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A capture without a frame: the header of a pcap file alone.
    static EMPTY: &[u8] =
        &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

    const START_NS: u64 = 1_800_000_000_000_000_000;

    #[test]
    fn rounds_follow_each_other_on_one_clock() {
        let mut looped = Looped::new(super::super::CAPTURE, START_NS).unwrap();
        let rounds = looped.rounds();
        let mut seen: Vec<Vec<(u64, u64, usize)>> = vec![Vec::new(); 3];
        while rounds.load(Ordering::Relaxed) <= 3 {
            let round = rounds.load(Ordering::Relaxed) as usize - 1;
            let taken = |frames: &[Frame<'_>]| {
                seen[round].extend(frames.iter().map(|f| (f.number, f.ts_ns, f.bytes.len())));
            };
            looped.poll(&mut { taken }).unwrap();
        }
        let [first, second, third] = &seen[..] else { panic!("three rounds") };
        assert!(seen.concat().iter().zip(1..).all(|(frame, number)| frame.0 == number));
        let times = |frames: &[(u64, u64, usize)]| {
            let earliest = frames.iter().map(|frame| frame.1).min().unwrap();
            (earliest, frames.iter().map(|frame| frame.1).max().unwrap())
        };
        assert!((START_NS..START_NS + 1_000_000_000).contains(&times(first).0), "the action begins at once");
        assert!(first.len() < second.len(), "the first round lacks the lead-in");
        assert_eq!(times(second).0, times(first).1 + PAUSE_NS);
        let shift = times(third).0 - times(second).0;
        assert_eq!(second.len(), third.len());
        assert!(
            second.iter().zip(third).all(|(a, b)| (a.1 + shift, a.2) == (b.1, b.2)),
            "the same frames, later"
        );
        assert!(
            first.iter().rev().zip(second.iter().rev()).all(|(a, b)| a.2 == b.2),
            "the same from there on"
        );
    }

    #[test]
    fn a_capture_without_frames_ends() {
        let mut looped = Looped::new(EMPTY, START_NS).unwrap();
        assert_eq!(looped.poll(&mut |_| panic!("there is no frame")).unwrap(), Poll::End);
        assert_eq!(looped.rounds().load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        assert!(Looped::new(b"nothing of the kind", START_NS).is_err());
    }
}
