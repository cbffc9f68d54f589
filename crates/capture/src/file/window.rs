//! The buffer between a reader and the parsers.

use std::io::{self, Read};

use super::BLOCK_MAX;

/// How many bytes are buffered at first: thousands of small frames a read, and little enough to stay in a core's
/// second-level cache, where the frames are still found when they are parsed.
const WINDOW_LEN: usize = 512 * 1024;

/// A stretch of a stream, of which the front is consumed and the back is filled.
///
/// It holds half a MiB and grows only to take a single pcapng block that is longer, to [`BLOCK_MAX`] bytes at
/// most.
pub(super) struct Window {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes of the stream came before `start`.
    offset: u64,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; WINDOW_LEN], start: 0, end: 0, offset: 0 }
    }

    /// The bytes that were read and not consumed.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The place in the stream of the first unread byte.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Drops the first `len` unread bytes.
    pub(super) fn consume(&mut self, len: usize) {
        debug_assert!(len <= self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Reads until at least `wanted` more bytes are unread, and returns whether the stream had them.
    ///
    /// Each read takes as much as there is and fits; none is made once enough is there, so that a pipe's
    /// frames are not held back until a buffer is full.
    pub(super) fn fill(&mut self, reader: &mut impl Read, wanted: usize) -> io::Result<bool> {
        debug_assert!(self.end - self.start + wanted <= BLOCK_MAX, "callers refuse longer records");
        self.make_room(wanted);
        let enough = self.end + wanted;
        while self.end < enough {
            match reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Moves the unread bytes to the front and sees to it that `wanted` more fit behind them.
    ///
    /// A move copies less than one record, and the next happens only after a fill, so that the work stays
    /// linear in the stream's length.
    fn make_room(&mut self, wanted: usize) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let missing = (self.end + wanted).saturating_sub(self.bytes.len());
        self.bytes.reserve_exact(missing);
        self.bytes.resize(self.bytes.len() + missing, 0);
    }

    /// How many bytes the window occupies.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}
