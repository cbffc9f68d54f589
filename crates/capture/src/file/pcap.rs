//! The records of a pcap file.

use pcap_parser::pcap::{
    LegacyPcapBlock, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};
use pcap_parser::{PcapError, nom};

use super::Stop;
use crate::Flaw;
use crate::frame::{FRAME_MAX, Frames};

/// The length in bytes of the header in front of the first record.
pub(super) const HEADER_LEN: usize = 24;

const RECORD_HEADER_LEN: usize = 16;
/// Kuznetzov's variant adds the interface, the protocol and the packet type to each record.
const RECORD_HEADER_LEN_MODIFIED: usize = 24;

type ParseRecord = fn(&[u8]) -> nom::IResult<&[u8], LegacyPcapBlock<'_>, PcapError<&[u8]>>;

/// What a pcap file's header says of all its records.
pub(super) struct Records {
    parse: ParseRecord,
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
        let (parse, header_len): (ParseRecord, _) = if header.is_modified_format() {
            (parse_pcap_frame_modified, RECORD_HEADER_LEN_MODIFIED)
        } else if header.is_bigendian() {
            (parse_pcap_frame_be, RECORD_HEADER_LEN)
        } else {
            (parse_pcap_frame, RECORD_HEADER_LEN)
        };
        let ns_per_tick = if header.is_nanosecond_precision() { 1 } else { 1_000 };
        // The upper half of the field tells of a frame check sequence behind each frame, whose bytes lie
        // beyond what the network layer claims.
        let linktype = header.network.0 as u16;
        Some(Self { parse, header_len, ns_per_tick, linktype })
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

    /// Takes one record off the front of `rest`, and returns what is left.
    fn record<'a>(&self, rest: &'a [u8], frames: &mut Frames<'a>) -> Result<&'a [u8], Stop> {
        let (left, record) = (self.parse)(rest).map_err(|error| self.stop(rest.len(), &error))?;
        check_length(record.caplen as usize)?;
        let ts_ns = u64::from(record.ts_sec) * 1_000_000_000 + u64::from(record.ts_usec) * self.ns_per_tick;
        frames.push(ts_ns, record.origlen, self.linktype, record.data);
        Ok(left)
    }

    /// Why no record could be taken off `available` bytes. What is needed in all tells the length that the
    /// record's header declares, and one beyond the limit is refused before anything is read for it.
    fn stop(&self, available: usize, error: &nom::Err<PcapError<&[u8]>>) -> Stop {
        let stop = Stop::from_parser(error);
        match stop {
            Stop::Need(needed) => {
                check_length((available + needed).saturating_sub(self.header_len)).err().unwrap_or(stop)
            }
            Stop::Flaw(_) => stop,
        }
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
