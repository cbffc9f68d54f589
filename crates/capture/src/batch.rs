//! Frames copied out of their source, so that another thread can have them.

use crate::frame::{BATCH_FRAMES, FRAME_MAX, Frame};

/// An owned batch of frames: one arena of bytes and the metadata beside it, both reused after
/// [`Batch::clear`].
///
/// The capacity is fixed when the batch is made. Only a single frame larger than the whole arena makes the
/// arena grow, to [`FRAME_MAX`] bytes at most.
#[derive(Clone, Debug)]
pub struct Batch {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    frames_max: usize,
    bytes_max: usize,
}

/// A frame's metadata, with the place of its bytes in the arena.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    ts_ns: u64,
    wire_len: u32,
    linktype: u16,
    start: usize,
    end: usize,
}

impl Batch {
    /// An empty batch with room for `frames` frames, at least one, and `bytes` bytes of them in all.
    pub fn with_capacity(frames: usize, bytes: usize) -> Self {
        let frames_max = frames.max(1);
        Self {
            entries: Vec::with_capacity(frames_max),
            bytes: Vec::with_capacity(bytes),
            frames_max,
            bytes_max: bytes,
        }
    }

    /// Copies a frame in, and returns whether it fitted.
    ///
    /// An empty batch takes any frame of up to [`FRAME_MAX`] bytes, so that handing over a full batch and
    /// pushing again always succeeds for the frames of this crate's sources. A longer frame is refused
    /// even then.
    pub fn push(&mut self, frame: &Frame<'_>) -> bool {
        if !self.has_room_for(frame.bytes.len()) {
            return false;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame.bytes);
        self.entries.push(Entry {
            number: frame.number,
            ts_ns: frame.ts_ns,
            wire_len: frame.wire_len,
            linktype: frame.linktype,
            start,
            end: self.bytes.len(),
        });
        true
    }

    fn has_room_for(&self, len: usize) -> bool {
        if self.entries.is_empty() {
            return len <= FRAME_MAX.max(self.bytes_max);
        }
        self.entries.len() < self.frames_max && self.bytes.len() + len <= self.bytes_max
    }

    /// The number of frames held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no frame is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets the frames and keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }

    /// Hands the frames to `sink` in the order they were pushed, at most [`BATCH_FRAMES`] a call, without
    /// allocating. An empty batch makes no call.
    pub fn frames(&self, mut sink: impl FnMut(&[Frame<'_>])) {
        let mut slots = [Frame::NONE; BATCH_FRAMES];
        for entries in self.entries.chunks(BATCH_FRAMES) {
            for (slot, entry) in slots.iter_mut().zip(entries) {
                *slot = self.frame(entry);
            }
            sink(&slots[..entries.len()]);
        }
    }

    fn frame(&self, entry: &Entry) -> Frame<'_> {
        Frame {
            number: entry.number,
            ts_ns: entry.ts_ns,
            wire_len: entry.wire_len,
            linktype: entry.linktype,
            bytes: &self.bytes[entry.start..entry.end],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(number: u64, bytes: &[u8]) -> Frame<'_> {
        Frame { number, ts_ns: number * 10, wire_len: bytes.len() as u32 + 4, linktype: 101, bytes }
    }

    /// The frames of a batch as owned values, and the sizes of the calls that brought them.
    fn contents(batch: &Batch) -> (Vec<(u64, Vec<u8>)>, Vec<usize>) {
        let (mut frames, mut calls) = (Vec::new(), Vec::new());
        batch.frames(|some| {
            calls.push(some.len());
            frames.extend(some.iter().map(|frame| (frame.number, frame.bytes.to_vec())));
        });
        (frames, calls)
    }

    #[test]
    fn a_frame_comes_back_as_it_went_in() {
        let mut batch = Batch::with_capacity(4, 64);
        let sent = frame(7, &[1, 2, 3]);
        assert!(batch.push(&sent));
        let mut seen = 0;
        batch.frames(|frames| {
            assert_eq!(frames, [sent]);
            seen += 1;
        });
        assert_eq!(seen, 1);
    }

    #[test]
    fn either_limit_refuses_a_frame_and_leaves_the_batch_as_it_was() {
        let mut few = Batch::with_capacity(2, 1000);
        assert!(few.push(&frame(1, &[0; 10])) && few.push(&frame(2, &[0; 10])));
        assert!(!few.push(&frame(3, &[])));

        let mut small = Batch::with_capacity(100, 20);
        assert!(small.push(&frame(1, &[1; 12])));
        assert!(!small.push(&frame(2, &[2; 9])), "21 bytes do not fit in 20");
        assert!(small.push(&frame(2, &[2; 8])), "20 bytes do");
        assert_eq!(contents(&small).0, [(1, vec![1; 12]), (2, vec![2; 8])]);
    }

    #[test]
    fn an_empty_batch_takes_the_largest_frame_and_nothing_larger() {
        let largest = vec![9; FRAME_MAX];
        let mut batch = Batch::with_capacity(8, 16);
        assert!(batch.push(&frame(1, &largest)));
        assert!(!batch.push(&frame(2, &[])), "the arena is over its capacity until it is cleared");
        batch.clear();
        assert!(batch.push(&frame(3, &[1; 16])) && !batch.push(&frame(4, &[1])));
        batch.clear();
        assert!(!batch.push(&frame(5, &vec![9; FRAME_MAX + 1])));
        assert!(batch.is_empty());
    }

    #[test]
    fn a_batch_without_capacity_still_takes_one_frame() {
        let mut batch = Batch::with_capacity(0, 0);
        assert!(batch.push(&frame(1, &[5; 60])) && !batch.push(&frame(2, &[5; 60])));
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn more_frames_than_one_call_may_carry_come_in_several() {
        let mut batch = Batch::with_capacity(1000, 1000);
        for number in 1..=600 {
            assert!(batch.push(&frame(number, &[number as u8])));
        }
        let (frames, calls) = contents(&batch);
        assert_eq!(calls, [256, 256, 88]);
        assert!(frames.iter().zip(1..).all(|(frame, number)| *frame == (number, vec![number as u8])));
        assert_eq!(frames.len(), 600);
    }

    #[test]
    fn an_empty_batch_calls_nobody() {
        Batch::with_capacity(4, 4).frames(|_| panic!("there is no frame to hand over"));
    }

    proptest! {
        /// A vector of owned frames is the stupid twin; pushing and clearing must keep the two alike, and
        /// memory must not grow past what was asked for once every frame fits the arena.
        #[test]
        fn a_batch_agrees_with_a_vector(
            frames_max in 1usize..20,
            bytes_max in 50usize..400,
            steps in prop::collection::vec(prop::option::weighted(0.9, prop::collection::vec(any::<u8>(), 0..50)), 0..200),
        ) {
            let mut batch = Batch::with_capacity(frames_max, bytes_max);
            let memory = (batch.entries.capacity(), batch.bytes.capacity());
            let mut twin: Vec<(u64, Vec<u8>)> = Vec::new();
            for (number, step) in (1..).zip(steps) {
                let Some(bytes) = step else {
                    batch.clear();
                    twin.clear();
                    continue;
                };
                let held: usize = twin.iter().map(|(_, bytes)| bytes.len()).sum();
                let fits = twin.len() < frames_max && held + bytes.len() <= bytes_max;
                prop_assert_eq!(batch.push(&frame(number, &bytes)), fits);
                if fits {
                    twin.push((number, bytes));
                }
                prop_assert_eq!(&contents(&batch).0, &twin);
                prop_assert_eq!((batch.len(), batch.is_empty()), (twin.len(), twin.is_empty()));
            }
            prop_assert_eq!((batch.entries.capacity(), batch.bytes.capacity()), memory);
        }
    }
}
