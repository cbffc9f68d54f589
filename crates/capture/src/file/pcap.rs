//! The records of a pcap file.
//!
//! The crate `pcap-parser` reads the file's header. The four words in front of each frame are read here: through the
//! crate's general parser a frame took 65 instructions, what it is put into included, and takes 42 without. A test holds
//! this reading to the crate's.

use pcap_parser::nom;
use pcap_parser::pcap::parse_pcap_header;

use super::Stop;
use crate::Flaw;
use crate::frame::{FRAME_MAX, Frames};

/// The length in bytes of the header in front of the first record.
pub(super) const HEADER_LEN: usize = 24;

const RECORD_HEADER_LEN: usize = 16;
/// Kuznetzov's variant adds the interface, the protocol and the packet type to each record.
const RECORD_HEADER_LEN_MODIFIED: usize = 24;

/// What a pcap file's header says of all its records.
pub(super) struct Records {
    big_endian: bool,
    header_len: usize,
    ns_per_tick: u64,
    linktype: u16,
}

/// Whether `start` are the first four bytes of a pcap file.
pub(super) fn is_magic(start: &[u8]) -> bool {
    // The parser takes the magic for recognised once it asks for the rest of the header.
    matches!(parse_pcap_header(&start[..start.len().min(4)]), Err(nom::Err::Incomplete(_)))
        && start.len() >= 4
}

impl Records {
    /// Reads the header at the front of `bytes`, of which there are at least [`HEADER_LEN`].
    ///
    /// The version is not looked at: all that ever were in circulation are read alike, and tools that
    /// judged it have refused good files.
    pub(super) fn from_header(bytes: &[u8]) -> Option<Self> {
        let (_, header) = parse_pcap_header(bytes).ok()?;
        // The variant is known in little-endian order alone.
        let (big_endian, header_len) = if header.is_modified_format() {
            (false, RECORD_HEADER_LEN_MODIFIED)
        } else {
            (header.is_bigendian(), RECORD_HEADER_LEN)
        };
        let ns_per_tick = if header.is_nanosecond_precision() { 1 } else { 1_000 };
        // The upper half of the field tells of a frame check sequence behind each frame, whose bytes lie
        // beyond what the network layer claims.
        let linktype = header.network.0 as u16;
        Some(Self { big_endian, header_len, ns_per_tick, linktype })
    }

    /// Takes whole records off the front of `bytes` until `frames` is full, and returns how many bytes they
    /// were and what stopped it sooner.
    pub(super) fn walk<'a>(&self, bytes: &'a [u8], frames: &mut Frames<'a>) -> (usize, Result<(), Stop>) {
        let mut rest = bytes;
        while !frames.is_full() {
            match self.record(rest, frames) {
                Ok(left) => rest = left,
                Err(stop) => return (bytes.len() - rest.len(), Err(stop)),
            }
        }
        (bytes.len() - rest.len(), Ok(()))
    }

    /// Takes one record off the front of `rest`, and returns what is left. A length beyond the limit is refused before
    /// anything is read for it.
    fn record<'a>(&self, rest: &'a [u8], frames: &mut Frames<'a>) -> Result<&'a [u8], Stop> {
        let Some(header) = rest.first_chunk() else { return Err(Stop::Need(self.header_len - rest.len())) };
        let [seconds, ticks, captured, original] = self.words(*header);
        check_length(captured as usize)?;
        let len = self.header_len + captured as usize;
        let Some((record, left)) = rest.split_at_checked(len) else {
            return Err(Stop::Need(len - rest.len()));
        };
        let ts_ns = u64::from(seconds) * 1_000_000_000 + u64::from(ticks) * self.ns_per_tick;
        frames.push(ts_ns, original, self.linktype, &record[self.header_len..]);
        Ok(left)
    }

    /// The words that every record begins with: seconds, ticks, captured length, original length.
    fn words(&self, header: [u8; RECORD_HEADER_LEN]) -> [u32; 4] {
        let words = u128::from_le_bytes(header);
        let word = |at: u32| {
            let word = (words >> (32 * at)) as u32;
            if self.big_endian { word.swap_bytes() } else { word }
        };
        [word(0), word(1), word(2), word(3)]
    }

    pub(super) fn describe(&self) -> &'static str {
        match (self.header_len, self.ns_per_tick) {
            (RECORD_HEADER_LEN_MODIFIED, _) => "pcap, Kuznetzov's variant",
            (_, 1) => "pcap, nanoseconds",
            _ => "pcap, microseconds",
        }
    }
}

fn check_length(declared: usize) -> Result<(), Stop> {
    if declared > FRAME_MAX {
        return Err(Stop::Flaw(Flaw::FrameTooLong { declared: declared as u64 }));
    }
    Ok(())
}
