//! Lists of lines: the loop that all of them share, with its limits.

use std::io::{self, BufRead, Read};

use super::address::Address;
use super::problem::{Fault, Place};
use super::{Claim, ImportError, Importer};

/// The longest line that is read, in bytes. What is longer is passed over without being held in memory.
pub const LINE_LEN_MAX: usize = 64 << 10;

/// What a line turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Blank, a comment, or a row about the list itself.
    Nothing,
    /// A claim about an address.
    Entry(Address, Claim),
}

/// A fault in a line, with the part of the line that is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LineFault<'a> {
    /// The text at fault; a part of the line, so that its column can be told.
    pub(super) text: &'a str,
    /// What is wrong and what to do.
    pub(super) fault: Fault,
}

/// A format that is read line by line.
pub(super) trait LineFormat {
    /// Reads one line, without its end.
    fn line<'a>(&mut self, line: &'a str) -> Result<Line, LineFault<'a>>;
}

/// Reads all lines of `input` and hands them to `format`.
pub(super) fn read(
    importer: &mut Importer,
    source_name: &str,
    mut input: impl BufRead,
    format: &mut impl LineFormat,
) -> Result<(), ImportError> {
    let mut bytes = Vec::new();
    for line in 1.. {
        let whole = match next_line(&mut input, &mut bytes) {
            Ok(None) => break,
            Ok(Some(whole)) => whole,
            Err(error) => return Err(ImportError::Read { source_name: source_name.to_owned(), error }),
        };
        let bytes = trim(&bytes, line == 1);
        if !whole {
            let fault =
                Fault(format!("longer than {LINE_LEN_MAX} bytes; put each entry on a line of its own"));
            importer.entry_fault(source_name, Place::Line { line, column: 1 }, bytes, &fault);
            continue;
        }
        one_line(importer, source_name, line, bytes, format)?;
    }
    Ok(())
}

fn one_line(
    importer: &mut Importer,
    source_name: &str,
    line: u64,
    bytes: &[u8],
    format: &mut impl LineFormat,
) -> Result<(), ImportError> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let place = Place::Line { line, column: error.valid_up_to() as u64 + 1 };
            let fault = Fault::new("not UTF-8 text", "save the list as UTF-8");
            importer.entry_fault(source_name, place, bytes, &fault);
            return Ok(());
        }
    };
    match format.line(text) {
        Ok(Line::Nothing) => Ok(()),
        Ok(Line::Entry(address, claim)) => {
            importer.tally.entries += 1;
            importer.add(source_name, address, claim)
        }
        Err(LineFault { text: part, fault }) => {
            let column = column(text, part);
            importer.entry_fault(source_name, Place::Line { line, column }, part.as_bytes(), &fault);
            Ok(())
        }
    }
}

impl Importer {
    /// Counts an entry that cannot be read.
    pub(super) fn entry_fault(&mut self, source_name: &str, place: Place, text: &[u8], fault: &Fault) {
        self.tally.entries += 1;
        self.problems.note(source_name, place, text, fault);
    }
}

/// Fills `bytes` with the next line. `None` is the end of the input, `Some(false)` a line over [`LINE_LEN_MAX`], of which
/// `bytes` holds the beginning and the rest is read and forgotten.
fn next_line(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<Option<bool>> {
    bytes.clear();
    let limit = LINE_LEN_MAX as u64 + 1;
    if input.take(limit).read_until(b'\n', bytes)? == 0 {
        return Ok(None);
    }
    let whole = bytes.len() <= LINE_LEN_MAX || bytes.ends_with(b"\n");
    if !whole {
        skip_line(input)?;
    }
    Ok(Some(whole))
}

/// Reads on behind the next line's end.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    input.skip_until(b'\n').map(drop)
}

/// The line without its end and, in the first one, without the byte order mark that some editors put there.
fn trim(bytes: &[u8], first: bool) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if first { bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes) } else { bytes }
}

/// The column at which `part` begins in `line`, in bytes from 1. A part that is not of the line, such as a cell without
/// its quotes, counts from where its first occurrence begins.
fn column(line: &str, part: &str) -> u64 {
    line.find(part).unwrap_or(0) as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(usize, bool)> {
        let (mut input, mut bytes, mut found) = (text, Vec::new(), Vec::new());
        while let Some(whole) = next_line(&mut input, &mut bytes).unwrap() {
            found.push((bytes.len(), whole));
        }
        found
    }

    #[test]
    fn lines_end_at_the_limit_and_the_next_one_is_intact() {
        let line = |len: usize| vec![b'x'; len];
        assert_eq!(lines(b"ab\nc"), [(3, true), (1, true)]);
        assert_eq!(lines(b""), []);
        let exactly = [&line(LINE_LEN_MAX)[..], b"\nok\n"].concat();
        assert_eq!(lines(&exactly), [(LINE_LEN_MAX + 1, true), (3, true)]);
        let over = [&line(LINE_LEN_MAX + 1)[..], b"\nok\n"].concat();
        assert_eq!(lines(&over), [(LINE_LEN_MAX + 1, false), (3, true)]);
        let endless = line(5 * LINE_LEN_MAX);
        assert_eq!(lines(&endless), [(LINE_LEN_MAX + 1, false)]);
    }

    #[test]
    fn ends_of_lines_and_the_mark_at_the_beginning_are_cut_off() {
        assert_eq!(trim(b"\xef\xbb\xbfa\r\n", true), b"a");
        assert_eq!(trim(b"\xef\xbb\xbfa", false), b"\xef\xbb\xbfa");
        assert_eq!(trim(b"a\r", false), b"a");
    }
}
