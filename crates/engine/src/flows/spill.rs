//! Sorted temporary files, and one table of all of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};

use credence_flow::FlowRecord;
use tempfile::tempfile;

use super::order::{KEY_LEN, each_sorted, order_key};
use super::{TEXT, Text, text};
use crate::anonymise::Anonymiser;

/// A temporary file of finished lines, each behind its order key. It is read from its beginning to its end, once.
pub(super) struct Spill(BufReader<File>);

impl Spill {
    /// A file of these flows.
    ///
    /// # Errors
    /// When no temporary file can be made or written.
    pub(super) fn of(run: &[FlowRecord], anonymiser: Option<&Anonymiser>) -> io::Result<Self> {
        let mut file = tempfile()?;
        let mut lines = Text::new(&mut file);
        each_sorted(run, |flow| {
            lines.bytes().extend_from_slice(&order_key(flow));
            text::line(lines.bytes(), flow, anonymiser);
            lines.write_when_full()
        })?;
        lines.finish()?;
        file.rewind()?;
        Ok(Self(BufReader::with_capacity(TEXT, file)))
    }

    /// The order key of the next line; none at the end.
    fn next_key(&mut self) -> io::Result<Option<[u8; KEY_LEN]>> {
        if self.0.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut key = [0; KEY_LEN];
        self.0.read_exact(&mut key)?;
        Ok(Some(key))
    }

    /// Appends the line behind the key that was read last.
    fn append_line(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        self.0.read_until(b'\n', text)?;
        Ok(())
    }
}

/// Writes the lines of all files in order, with one key of each in memory.
///
/// # Errors
/// When a file cannot be read or `out` cannot be written.
pub(super) fn merge(spilled: &mut [Spill], out: &mut impl Write) -> io::Result<()> {
    let mut text = Text::new(out);
    let mut heads = BinaryHeap::new();
    for (at, spill) in spilled.iter_mut().enumerate() {
        heads.extend(spill.next_key()?.map(|key| Reverse((key, at))));
    }
    while let Some(Reverse((_, at))) = heads.pop() {
        let spill = &mut spilled[at];
        spill.append_line(text.bytes())?;
        text.write_when_full()?;
        heads.extend(spill.next_key()?.map(|key| Reverse((key, at))));
    }
    text.finish()
}
