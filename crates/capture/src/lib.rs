//! A device or a capture file, turned into batches of frames.
//!
//! Everything that yields frames is a [`Source`]: the caller polls it and is handed at most
//! [`BATCH_FRAMES`] frames at a time, borrowed from the source's own memory for the length of that call.
//!
//! - [`open`] reads a capture file: pcap or pcapng, plain or compressed, told apart by their first bytes.
//! - [`live`] listens on a Linux interface: through a memory-mapped `AF_PACKET` ring, through the
//!   portable data link of the crate `pnet` where a ring cannot be had, or through `AF_XDP` sockets where that is asked for.
//!   Interfaces may go and come back.
//! - [`Batch`] is the owned copy of some frames, for hand-over to another thread.
//!
//! ```no_run
//! use credence_capture::{Poll, Source, open};
//!
//! # fn main() -> Result<(), credence_capture::Error> {
//! let mut source = open("evening.pcapng.zst")?;
//! let mut bytes = 0;
//! while source.poll(&mut |frames| bytes += frames.iter().map(|frame| frame.bytes.len()).sum::<usize>())?
//!     != Poll::End
//! {}
//! println!("{bytes} bytes in {}", source.describe());
//! # Ok(())
//! # }
//! ```
//!
//! Frames are bytes with a link type, a length and a time; this crate never looks inside them. It neither
//! filters nor reassembles, keeps no frame beyond the call that delivers it, and sends nothing. It holds no
//! global state and starts no thread.
//!
//! Memory is bounded whatever a file claims: a frame has at most [`FRAME_MAX`] bytes, a pcapng block at
//! most [`BLOCK_MAX`], and decompression runs as a stream.
//!
//! The crate is for Linux. All system calls that the standard library does not offer stand in `sys`, and so does all unsafe code;
//! the two programs for the kernel, in `bpf`, are loaded by the crate `aya`.

mod batch;
mod clock;
mod datalink;
mod error;
mod fanout;
mod file;
mod frame;
mod lasting;
mod live;
mod redirect;
mod ring;
mod sys;
mod xsk;

pub use batch::Batch;
pub use error::{Error, Flaw};
pub use file::{BLOCK_MAX, FileSource, open};
pub use frame::{BATCH_FRAMES, FRAME_MAX, Frame};
pub use live::{Backend, LiveConfig, live};

/// Something that yields frames: an interface or a file.
pub trait Source: Send {
    /// Hands at most [`BATCH_FRAMES`] frames to `sink`, in one call of it, and says what came of it.
    ///
    /// A live source returns within some 10 ms, and within half a second when its interface has just gone or come
    /// back. A file returns when its reader does, so that reading from a pipe waits for the writer.
    ///
    /// # Errors
    ///
    /// The first error of a file ends it: every frame before the error has been handed over by then, and
    /// later calls return [`Poll::End`]. An error of a live source means that the kernel refused to go on; an
    /// interface that is removed is none: the source is idle until there is one of the same name, and captures on
    /// that within a second.
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error>;

    /// The number of frames that the kernel lost since the source was opened, because nobody read them in
    /// time. It is 0 for files, and 0 for the `pnet` data link, which cannot tell.
    fn kernel_drops(&mut self) -> u64;

    /// Whether the interface is there and administratively up. One that is not yields [`Poll::Idle`] until
    /// it comes back. Files are always up.
    fn is_up(&self) -> bool {
        true
    }

    /// One line for the operator: what is read, how, and why in that way.
    fn describe(&self) -> String;
}

/// What a call of [`Source::poll`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Frames were handed to the sink.
    Frames,
    /// Nothing came for some 10 ms, or a stretch of a file held no frame: time for housekeeping.
    Idle,
    /// The file has ended. A live source never ends.
    End,
}
