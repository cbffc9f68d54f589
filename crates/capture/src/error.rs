//! What can go wrong, told from the operator's side: which file or interface, where, and what to do.

use std::io;

use crate::file::BLOCK_MAX;
use crate::frame::FRAME_MAX;

/// Why a source could not be opened or cannot go on.
///
/// Offsets count bytes from the start of the file, after decompression where the file is compressed. Frame
/// numbers count from 1 and name the first frame that could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no file of that name.
    #[error("there is no capture file {file}: check the path, or give - to read standard input")]
    Missing {
        /// The path as it was given.
        file: String,
    },

    /// The path names a directory.
    #[error("{file} is a directory: give the capture files in it, for example {file}/*.pcap")]
    Directory {
        /// The path as it was given.
        file: String,
    },

    /// The operating system refused to open the file.
    #[error("{file} cannot be opened: {source}; check its permissions, or give - to read standard input")]
    Open {
        /// The path as it was given.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },

    /// The file, or what its compression holds, has no byte.
    #[error("{file} is empty: not even a capture file's header was written to it; capture again")]
    Empty {
        /// The path as it was given.
        file: String,
    },

    /// The first bytes are those of no format that this crate reads.
    #[error(
        "{file} is not a capture file: starts with {start}; expected pcap, pcapng, or either compressed \
         with gzip or zstd"
    )]
    NotACapture {
        /// The path as it was given.
        file: String,
        /// The file's first bytes, at most four, in hexadecimal.
        start: String,
    },

    /// The file ends inside a header, a record or a block, or inside its compression.
    #[error(
        "{file} is cut short at frame {frame}, byte offset {offset}: everything before it was read; copy \
         the file again, or stop its writer before reading"
    )]
    Truncated {
        /// The path as it was given.
        file: String,
        /// The number that the incomplete frame would have had.
        frame: u64,
        /// Where the incomplete record starts.
        offset: u64,
    },

    /// A record or block contradicts its format. What follows cannot be found again, so reading stops.
    #[error(
        "{file} is damaged at frame {frame}, byte offset {offset}: {flaw}; everything before it was read, \
         nothing after it can be"
    )]
    Corrupt {
        /// The path as it was given.
        file: String,
        /// The number that the next frame would have had.
        frame: u64,
        /// Where the damaged record or block starts.
        offset: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },

    /// The compressed data is damaged or asks for more memory than it may have.
    #[error(
        "{file} cannot be decompressed beyond frame {frame}, byte offset {offset}: {source}; what was \
         decompressed before was read; test the file with gzip -t or zstd -t, and copy it again"
    )]
    Decompress {
        /// The path as it was given.
        file: String,
        /// The number that the next frame would have had.
        frame: u64,
        /// Where the record that could not be completed starts.
        offset: u64,
        /// What the decompressor said.
        source: io::Error,
    },

    /// The operating system failed to read on.
    #[error(
        "{file} cannot be read beyond frame {frame}, byte offset {offset}: {source}; everything before it \
         was read; check the disk or the pipe"
    )]
    Read {
        /// The path as it was given.
        file: String,
        /// The number that the next frame would have had.
        frame: u64,
        /// Where the record that could not be completed starts.
        offset: u64,
        /// What the operating system said.
        source: io::Error,
    },

    /// There is no interface of that name in this network namespace.
    #[error("there is no interface {interface}: this network namespace has {available}")]
    NoSuchInterface {
        /// The name as it was given.
        interface: String,
        /// The interfaces there are, separated by commas.
        available: String,
    },

    /// The kernel could not be asked about the interface.
    #[error("the kernel cannot be asked about the interface {interface}: {source}; check `ulimit -n`")]
    Interface {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },

    /// The process may not open packet sockets.
    #[error(
        "capturing on {interface} needs the capability CAP_NET_RAW, which this process lacks: run \
         `sudo setcap cap_net_raw+ep {program}`, or run as root"
    )]
    Privilege {
        /// The interface that was to be captured on.
        interface: String,
        /// The path of the running program.
        program: String,
    },

    /// The interface's link layer has no counterpart that this crate can name.
    #[error(
        "{interface} has hardware type {hardware} (ARPHRD_ registry), which is not supported: capture on \
         an Ethernet, loopback, tun or IPv6 tunnel interface, such as the device beneath it"
    )]
    LinkLayer {
        /// The interface.
        interface: String,
        /// The hardware type that the kernel reports.
        hardware: u16,
    },

    /// A number in the configuration is outside what can work.
    #[error("the capture on {interface} is misconfigured: {what}")]
    Config {
        /// The interface.
        interface: String,
        /// Which number, and what it may be.
        what: String,
    },

    /// The `AF_PACKET` ring could not be set up, or stopped working.
    #[error("the AF_PACKET ring on {interface} failed to {step}: {source}; {cure}")]
    Ring {
        /// The interface.
        interface: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
        /// What to try.
        cure: &'static str,
    },

    /// An `AF_XDP` socket could not be set up, or stopped working.
    #[error("the AF_XDP socket on {interface} failed to {step}: {source}; {cure}")]
    Xsk {
        /// The interface.
        interface: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
        /// What to try.
        cure: &'static str,
    },

    /// The `pnet` data link could not be set up, or stopped working.
    #[error(
        "the pnet data link on {interface} failed to {step}: {source}; the backend af-packet needs no such \
         step"
    )]
    DataLink {
        /// The interface.
        interface: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// Neither backend works.
    #[error("no backend can capture on {interface}: {ring}; and {datalink}")]
    NoBackend {
        /// The interface.
        interface: String,
        /// Why the ring failed.
        ring: Box<Error>,
        /// Why the data link failed.
        datalink: Box<Error>,
    },

    /// The interface was removed, or moved to another network namespace, while it was opened.
    #[error(
        "the interface {interface} is gone: it was removed or moved to another network namespace; create \
         it again and start the capture anew"
    )]
    DeviceGone {
        /// The interface.
        interface: String,
    },
}

/// What the kernel said, where an error of another crate is about that.
pub(crate) fn cause(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let errors = std::iter::successors(Some(error), |error| error.source());
    let code = |error: &(dyn std::error::Error + 'static)| error.downcast_ref::<io::Error>()?.raw_os_error();
    match errors.filter_map(code).next() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    }
}

/// What is wrong with a record or block of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A frame claims more bytes than any frame may have.
    #[error("a frame declares {declared} bytes, more than the limit of {FRAME_MAX}")]
    FrameTooLong {
        /// The captured length that the record declares, in bytes.
        declared: u64,
    },
    /// A pcapng block claims more bytes than any block may have.
    #[error("a block declares {declared} bytes, more than the limit of {max}")]
    BlockTooLong {
        /// The total length that the block declares, in bytes.
        declared: u64,
        /// The limit for this kind of block, at most [`BLOCK_MAX`].
        max: usize,
    },
    /// A pcapng block claims fewer bytes than its own fields take.
    #[error("a block of type {block:#x} declares fewer bytes than its fields need")]
    BlockTooShort {
        /// The block's type.
        block: u32,
    },
    /// The two copies of a pcapng block's length differ.
    #[error("a block's length is {leading} bytes at its start and {trailing} at its end")]
    LengthMismatch {
        /// The length in front of the block's body.
        leading: u32,
        /// The length behind it.
        trailing: u32,
    },
    /// A packet block's captured length reaches beyond the block.
    #[error("a packet of {declared} bytes does not fit in its block")]
    PacketBeyondBlock {
        /// The captured length that the block declares, in bytes.
        declared: u32,
    },
    /// A packet block names an interface that its section has not described.
    #[error("a packet names interface {interface}, of which the section describes {described}")]
    UnknownInterface {
        /// The interface's number, from 0.
        interface: u32,
        /// How many interfaces the section has described so far.
        described: usize,
    },
    /// A section describes more interfaces than are kept.
    #[error("a section describes more than {max} interfaces")]
    TooManyInterfaces {
        /// The limit.
        max: usize,
    },
    /// A section's byte-order magic is neither of the two there are.
    #[error("a section header has no byte-order magic")]
    ByteOrder,
    /// A section is written in a version of the format that is not known.
    #[error("a section is written in pcapng version {major}, of which only 1 is known")]
    Version {
        /// The major version.
        major: u16,
    },
    /// The format parser refuses the record or block for another reason.
    #[error("its header cannot be understood")]
    Unreadable,
}

const _: () = assert!(FRAME_MAX < BLOCK_MAX, "a block must be able to hold the largest frame");
