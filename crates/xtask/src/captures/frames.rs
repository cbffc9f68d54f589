//! Frames, and the file forms in which they are kept.

use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader, PcapNgWriter};
use pcap_file::{DataLink, Endianness, TsResolution};

/// One frame as a capture file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Time since the epoch, in nanoseconds.
    pub(crate) time_ns: u64,
    /// Length on the wire, in bytes; `bytes` may be shorter.
    pub(crate) wire_len: u32,
    /// What was captured.
    pub(crate) bytes: Vec<u8>,
}

/// Frames of one link layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    /// The `LINKTYPE_` number.
    pub(crate) link: u16,
    pub(crate) frames: Vec<Frame>,
}

/// Start of the time in built captures: 2026-09-01 00:00 UTC.
const BUILT_START_NS: u64 = 1_788_220_800 * 1_000_000_000;

/// Time between two built frames.
const BUILT_STEP_NS: u64 = 1_000_000;

impl Recording {
    /// An empty recording of built frames.
    pub(crate) fn built(link: u16) -> Self {
        Self { link, frames: Vec::new() }
    }

    /// Adds a whole frame, one millisecond after the last.
    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        let wire_len = bytes.len();
        self.push_snapped(bytes, wire_len);
    }

    /// Adds a frame of which only `bytes` were captured.
    pub(crate) fn push_snapped(&mut self, bytes: Vec<u8>, wire_len: usize) {
        let time_ns = self.frames.last().map_or(BUILT_START_NS, |frame| frame.time_ns + BUILT_STEP_NS);
        let wire_len = u32::try_from(wire_len).expect("frames are shorter than 4 GiB");
        self.frames.push(Frame { time_ns, wire_len, bytes });
    }

    /// The same frames in the order of their times: a recorder on several cores may have mixed neighbours.
    pub(crate) fn in_order(mut self) -> Self {
        self.frames.sort_by_key(|frame| frame.time_ns);
        self
    }

    /// The same frames with at most `len` bytes kept of each.
    pub(crate) fn snapped(mut self, len: usize) -> Self {
        for frame in &mut self.frames {
            frame.bytes.truncate(len);
        }
        self
    }

    /// The same packets under another link layer: `wrap` turns an Ethernet frame into a frame of `link`, or drops it.
    pub(crate) fn relinked(&self, link: u16, wrap: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        let frames = self.frames.iter().filter_map(|frame| {
            let bytes = wrap(&frame.bytes)?;
            let wire_len =
                (u64::from(frame.wire_len) + bytes.len() as u64).checked_sub(frame.bytes.len() as u64)?;
            Some(Frame { time_ns: frame.time_ns, wire_len: u32::try_from(wire_len).ok()?, bytes })
        });
        Self { link, frames: frames.collect() }
    }
}

/// How a capture is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Classic pcap, microseconds, little-endian.
    Pcap,
    /// Classic pcap, nanoseconds, little-endian.
    PcapNanoseconds,
    /// Classic pcap, microseconds, big-endian.
    PcapBigEndian,
    /// pcapng, nanoseconds, little-endian.
    PcapNg,
    /// pcapng, nanoseconds, big-endian.
    PcapNgBigEndian,
    /// Classic pcap, nanoseconds, in gzip.
    PcapGzip,
    /// Classic pcap, nanoseconds, in zstd.
    PcapZstd,
}

impl Form {
    /// What the table says.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::PcapNanoseconds => "pcap, nanoseconds",
            Self::PcapBigEndian => "pcap, big-endian",
            Self::PcapNg => "pcapng, nanoseconds",
            Self::PcapNgBigEndian => "pcapng, nanoseconds, big-endian",
            Self::PcapGzip => "pcap, nanoseconds, gzip",
            Self::PcapZstd => "pcap, nanoseconds, zstd",
        }
    }
}

/// Snap length that the files state; no frame here is longer.
const SNAPLEN: u32 = 262_144;

/// Writes a recording.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_recording(path: &Path, form: Form, recording: &Recording) -> Result<()> {
    let (little, big) = (Endianness::Little, Endianness::Big);
    let (micro, nano) = (TsResolution::MicroSecond, TsResolution::NanoSecond);
    let bytes = match form {
        Form::Pcap => pcap(recording, little, micro)?,
        Form::PcapNanoseconds => pcap(recording, little, nano)?,
        Form::PcapBigEndian => pcap(recording, big, micro)?,
        Form::PcapNg => pcapng(recording, little)?,
        Form::PcapNgBigEndian => pcapng(recording, big)?,
        Form::PcapGzip => gzip(&pcap(recording, little, nano)?)?,
        Form::PcapZstd => zstd::encode_all(Cursor::new(pcap(recording, little, nano)?), 19)?,
    };
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn pcap(recording: &Recording, endianness: Endianness, resolution: TsResolution) -> Result<Vec<u8>> {
    let header = PcapHeader {
        version_major: 2,
        version_minor: 4,
        ts_correction: 0,
        ts_accuracy: 0,
        snaplen: SNAPLEN,
        datalink: DataLink::from(u32::from(recording.link)),
        ts_resolution: resolution,
        endianness,
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header)?;
    for frame in &recording.frames {
        let time = Duration::from_nanos(frame.time_ns);
        writer.write_packet(&PcapPacket::new(time, frame.wire_len, &frame.bytes))?;
    }
    Ok(writer.into_writer())
}

fn pcapng(recording: &Recording, endianness: Endianness) -> Result<Vec<u8>> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness)?;
    writer.write_pcapng_block(InterfaceDescriptionBlock {
        linktype: DataLink::from(u32::from(recording.link)),
        snaplen: SNAPLEN,
        options: vec![InterfaceDescriptionOption::IfTsResol(9)],
    })?;
    for frame in &recording.frames {
        writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(frame.time_ns),
            original_len: frame.wire_len,
            data: (&frame.bytes).into(),
            options: Vec::new(),
        })?;
    }
    Ok(writer.into_inner())
}

/// Reads a capture file of any of the forms.
///
/// # Errors
/// When the file cannot be read or its pcapng blocks are none that [`write_recording`] writes.
pub(crate) fn read_recording(path: &Path) -> Result<Recording> {
    let file = BufReader::new(File::open(path).with_context(|| path.display().to_string())?);
    let name = path.to_string_lossy();
    let mut bytes = Vec::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(file).read_to_end(&mut bytes)?;
    } else if name.ends_with(".zst") {
        zstd::Decoder::new(file)?.read_to_end(&mut bytes)?;
    } else {
        { file }.read_to_end(&mut bytes)?;
    }
    let read = if name.contains(".pcapng") { read_pcapng(&bytes) } else { read_pcap(&bytes) };
    read.with_context(|| format!("cannot read {}", path.display()))
}

fn read_pcap(bytes: &[u8]) -> Result<Recording> {
    let mut reader = PcapReader::new(bytes)?;
    let link = u16::try_from(u32::from(reader.header().datalink))?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        let time_ns = u64::try_from(packet.timestamp.as_nanos())?;
        frames.push(Frame { time_ns, wire_len: packet.orig_len, bytes: packet.data.into_owned() });
    }
    Ok(Recording { link, frames })
}

fn read_pcapng(bytes: &[u8]) -> Result<Recording> {
    let mut reader = PcapNgReader::new(bytes)?;
    let (mut link, mut frames) = (None, Vec::new());
    while let Some(block) = reader.next_block() {
        match block? {
            Block::InterfaceDescription(interface) => {
                link = Some(u16::try_from(u32::from(interface.linktype))?);
            }
            Block::EnhancedPacket(packet) => frames.push(Frame {
                time_ns: u64::try_from(packet.timestamp.as_nanos())?,
                wire_len: packet.original_len,
                bytes: packet.data.into_owned(),
            }),
            other => bail!("a block that this program does not write: {other:?}"),
        }
    }
    Ok(Recording { link: link.context("no interface")?, frames })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_as_written() {
        let mut recording = Recording::built(276);
        recording.push(vec![1, 2, 3]);
        recording.push_snapped(vec![4; 60], 1_500);
        let directory = std::env::temp_dir();
        for (form, ending) in [
            (Form::Pcap, "pcap"),
            (Form::PcapNanoseconds, "pcap"),
            (Form::PcapBigEndian, "pcap"),
            (Form::PcapNg, "pcapng"),
            (Form::PcapNgBigEndian, "pcapng"),
            (Form::PcapGzip, "pcap.gz"),
            (Form::PcapZstd, "pcap.zst"),
        ] {
            let path = directory.join(format!("xtask-form-{}-{form:?}.{ending}", std::process::id()));
            write_recording(&path, form, &recording).unwrap();
            let read = read_recording(&path).unwrap();
            fs::remove_file(&path).unwrap();
            assert_eq!(read, recording, "{}", form.name());
        }
    }
}
