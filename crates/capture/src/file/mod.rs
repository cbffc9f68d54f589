//! Capture files, read as a stream.
//!
//! `input` opens and decompresses, `window` buffers, `pcap` and `pcapng` walk the buffered bytes with the
//! parsers of the crate `pcap-parser`, and [`FileSource`] joins them: it walks what is buffered, hands over
//! what it found, and only then reads on. So whatever stops it, all before the stop has been delivered.

mod input;
mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;
mod window;

use std::io::{self, Read};
use std::path::Path;

use pcap_parser::PcapError;
use pcap_parser::nom;

use self::input::Input;
use self::pcap::Records;
use self::pcapng::Blocks;
use self::window::Window;
use crate::frame::Frames;
use crate::{Error, Flaw, Frame, Poll, Source};

/// The most bytes of one pcapng block. Packet blocks stay far below; name resolution and decryption secrets
/// can be long, and are buffered whole before they are skipped.
pub const BLOCK_MAX: usize = 16 * 1024 * 1024;

/// How often a poll reads on without having found a frame before it lets its caller breathe. A pipe may
/// deliver endless blocks that hold no packet.
const READS_PER_POLL: usize = 16;

/// Opens the capture file at `path`, or standard input where `path` is `-`.
///
/// The formats are pcap (microseconds or nanoseconds, either byte order, and Kuznetzov's variant in
/// little-endian order) and pcapng, each plain or compressed with gzip or zstd. The first bytes decide,
/// never the name. Compression within compression is not undone. A compressed stream proves itself only at
/// its end, or at the end of a part, so that frames may come out of damaged bytes before the damage shows.
///
/// # Errors
///
/// [`Error::Missing`], [`Error::Directory`] and [`Error::Open`] when there is nothing to read,
/// [`Error::Empty`], [`Error::NotACapture`] and [`Error::Truncated`] when the first bytes are no capture
/// file's header, [`Error::Decompress`] and [`Error::Read`] when they cannot be had.
pub fn open(path: impl AsRef<Path>) -> Result<FileSource, Error> {
    let path = path.as_ref();
    let (name, reader) = input::open(path)?;
    FileSource::from_reader(name, reader)
}

/// A capture file being read.
pub struct FileSource {
    name: String,
    input: Input,
    window: Window,
    format: Format,
    frames: u64,
    ended: bool,
}

enum Format {
    Pcap(Records),
    Pcapng(Blocks),
}

/// Why a walk over the buffered bytes ended before the batch was full.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// The next record is not all there: so many bytes more are needed to get on.
    Need(usize),
    /// The next record is wrong.
    Flaw(Flaw),
}

impl Stop {
    /// What a parser of `pcap-parser` means by its error.
    fn from_parser(error: &nom::Err<PcapError<&[u8]>>) -> Self {
        match error {
            nom::Err::Incomplete(nom::Needed::Size(bytes)) => Self::Need(bytes.get()),
            nom::Err::Incomplete(nom::Needed::Unknown) => Self::Need(1),
            nom::Err::Error(_) | nom::Err::Failure(_) => Self::Flaw(Flaw::Unreadable),
        }
    }
}

impl FileSource {
    /// Reads a capture from any reader; `name` stands for the file in messages.
    ///
    /// # Errors
    ///
    /// As [`open`], once the reader is at hand.
    pub fn from_reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Result<Self, Error> {
        let name = name.into();
        let mut input = Input::detect(reader).map_err(|source| failed(&name, None, 1, 0, source))?;
        let mut window = Window::new();
        let whole = window
            .fill(&mut input, input::MAGIC_LEN)
            .map_err(|source| failed(&name, input.compression(), 1, 0, source))?;
        let magic = window.unread();
        if magic.is_empty() {
            return Err(Error::Empty { file: name });
        }
        let format = if whole && pcapng::is_magic(magic) {
            Format::Pcapng(Blocks::new())
        } else if whole && pcap::is_magic(magic) {
            Format::Pcap(open_pcap(&name, &mut input, &mut window)?)
        } else {
            return Err(Error::NotACapture { file: name, start: input::hexadecimal(magic) });
        };
        Ok(Self { name, input, window, format, frames: 0, ended: false })
    }

    /// Gets the window to where another walk can go on, or finds out why that cannot be.
    fn resume(&mut self, stop: &Stop) -> Result<(), Error> {
        let needed = match *stop {
            Stop::Need(needed) => needed,
            Stop::Flaw(flaw) => return Err(self.corrupt(flaw)),
        };
        match self.window.fill(&mut self.input, needed) {
            Ok(true) => Ok(()),
            Ok(false) if self.window.unread().is_empty() => {
                self.ended = true;
                Ok(())
            }
            Ok(false) => Err(truncated(&self.name, self.frames + 1, self.window.offset())),
            Err(source) => {
                let compression = self.input.compression();
                Err(failed(&self.name, compression, self.frames + 1, self.window.offset(), source))
            }
        }
    }

    fn corrupt(&self, flaw: Flaw) -> Error {
        Error::Corrupt { file: self.name.clone(), frame: self.frames + 1, offset: self.window.offset(), flaw }
    }
}

impl Source for FileSource {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        for _ in 0..READS_PER_POLL {
            if self.ended {
                return Ok(Poll::End);
            }
            let mut frames = Frames::numbered_from(self.frames + 1);
            let (walked, stop) = match &mut self.format {
                Format::Pcap(records) => records.walk(self.window.unread(), &mut frames),
                Format::Pcapng(blocks) => blocks.walk(self.window.unread(), &mut frames),
            };
            let found = frames.as_slice().len();
            if found > 0 {
                sink(frames.as_slice());
            }
            self.frames += found as u64;
            self.window.consume(walked);
            // Whatever stopped a walk that found frames stops the next one again, at its first record.
            match stop {
                Err(stop) if found == 0 => {
                    self.resume(&stop).inspect_err(|_| self.ended = true)?;
                }
                _ => return Ok(Poll::Frames),
            }
        }
        Ok(Poll::Idle)
    }

    fn kernel_drops(&mut self) -> u64 {
        0
    }

    fn describe(&self) -> String {
        let format = match &self.format {
            Format::Pcap(records) => records.describe(),
            Format::Pcapng(_) => "pcapng",
        };
        match self.input.compression() {
            Some(compression) => format!("capture file {} ({format}, {compression})", self.name),
            None => format!("capture file {} ({format})", self.name),
        }
    }
}

/// Reads the header of a pcap file, whose magic is in the window already.
fn open_pcap(name: &str, input: &mut Input, window: &mut Window) -> Result<Records, Error> {
    let missing = pcap::HEADER_LEN.saturating_sub(window.unread().len());
    let whole =
        window.fill(input, missing).map_err(|source| failed(name, input.compression(), 1, 0, source))?;
    if !whole {
        return Err(truncated(name, 1, 0));
    }
    let Some(records) = Records::from_header(window.unread()) else {
        return Err(Error::NotACapture { file: name.into(), start: input::hexadecimal(window.unread()) });
    };
    window.consume(pcap::HEADER_LEN);
    Ok(records)
}

fn truncated(file: &str, frame: u64, offset: u64) -> Error {
    Error::Truncated { file: file.into(), frame, offset }
}

/// The error for a read that failed: a compressed stream without its end is cut short like any file, its
/// other troubles are the decompressor's, and what has an error number is the operating system's.
fn failed(file: &str, compression: Option<&str>, frame: u64, offset: u64, source: io::Error) -> Error {
    let file = file.to_owned();
    match source.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated { file, frame, offset },
        io::ErrorKind::IsADirectory => Error::Directory { file },
        _ if compression.is_some() && source.raw_os_error().is_none() => {
            Error::Decompress { file, frame, offset, source }
        }
        _ => Error::Read { file, frame, offset, source },
    }
}
