//! Sorted temporary files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use credence_credit::Anonymiser;
use credence_flow::FlowRecord;
use tempfile::tempfile;

use super::order::{KEY_LEN, Sorted, order_key};
use super::{TEXT, Text};

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
        for flow in Sorted::new(run) {
            lines.bytes().extend_from_slice(&order_key(&flow));
            lines.flow(&flow, anonymiser);
            lines.write_when_full()?;
        }
        lines.finish()?;
        file.rewind()?;
        Ok(Self(BufReader::with_capacity(TEXT, file)))
    }

    /// The order key of the next line; none at the end.
    pub(super) fn next_key(&mut self) -> io::Result<Option<[u8; KEY_LEN]>> {
        if self.0.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut key = [0; KEY_LEN];
        self.0.read_exact(&mut key)?;
        Ok(Some(key))
    }

    /// Appends the line behind the key that was read last.
    pub(super) fn append_line(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        self.0.read_until(b'\n', text)?;
        Ok(())
    }
}
