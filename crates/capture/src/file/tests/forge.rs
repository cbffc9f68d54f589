//! Capture files, made from their parts.

use std::io::Write;

use super::Seen;

/// A byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

impl Endian {
    pub(crate) const BOTH: [Self; 2] = [Self::Little, Self::Big];

    fn put<const N: usize>(self, mut little: [u8; N], out: &mut Vec<u8>) {
        if self == Self::Big {
            little.reverse();
        }
        out.extend(little);
    }

    pub(crate) fn u16(self, value: u16, out: &mut Vec<u8>) {
        self.put(value.to_le_bytes(), out);
    }

    pub(crate) fn u32(self, value: u32, out: &mut Vec<u8>) {
        self.put(value.to_le_bytes(), out);
    }

    pub(crate) fn i64(self, value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(value.to_le_bytes(), &mut out);
        out
    }
}

/// The variants of pcap, with their magics.
pub(crate) const MICROSECONDS: u32 = 0xa1b2_c3d4;
pub(crate) const NANOSECONDS: u32 = 0xa1b2_3c4d;
pub(crate) const KUZNETZOV: u32 = 0xa1b2_cd34;

/// A pcap file, and where each of its records ends.
pub(crate) fn pcap(magic: u32, endian: Endian, network: u32, frames: &[Seen]) -> (Vec<u8>, Vec<usize>) {
    let mut file = pcap_header(magic, endian, network);
    let mut ends = vec![file.len()];
    for frame in frames {
        let tick = if magic == NANOSECONDS { 1 } else { 1_000 };
        endian.u32((frame.ts_ns / 1_000_000_000) as u32, &mut file);
        endian.u32((frame.ts_ns % 1_000_000_000 / tick) as u32, &mut file);
        endian.u32(frame.bytes.len() as u32, &mut file);
        endian.u32(frame.wire_len, &mut file);
        if magic == KUZNETZOV {
            file.extend([0x55; 8]);
        }
        file.extend(&frame.bytes);
        ends.push(file.len());
    }
    (file, ends)
}

pub(crate) fn pcap_header(magic: u32, endian: Endian, network: u32) -> Vec<u8> {
    let mut file = Vec::new();
    endian.u32(magic, &mut file);
    endian.u16(2, &mut file);
    endian.u16(4, &mut file);
    for field in [0, 0, 96, network] {
        endian.u32(field, &mut file);
    }
    file
}

/// A pcapng file as it grows, and where each of its blocks ends.
pub(crate) struct Pcapng {
    pub(crate) file: Vec<u8>,
    pub(crate) ends: Vec<usize>,
    pub(crate) endian: Endian,
}

impl Pcapng {
    pub(crate) fn new(endian: Endian) -> Self {
        let mut pcapng = Self { file: Vec::new(), ends: Vec::new(), endian };
        pcapng.section(endian);
        pcapng
    }

    pub(crate) fn section(&mut self, endian: Endian) -> &mut Self {
        self.endian = endian;
        let mut body = Vec::new();
        endian.u32(0x1a2b_3c4d, &mut body);
        endian.u16(1, &mut body);
        endian.u16(0, &mut body);
        body.extend([0xff; 8]);
        self.option(4, b"a test", &mut body);
        self.block(0x0a0d_0d0a, &body)
    }

    pub(crate) fn interface(&mut self, linktype: u16, options: &[(u16, Vec<u8>)]) -> &mut Self {
        self.interface_limited(linktype, 0, options)
    }

    pub(crate) fn interface_limited(
        &mut self,
        linktype: u16,
        snap_len: u32,
        options: &[(u16, Vec<u8>)],
    ) -> &mut Self {
        let mut body = Vec::new();
        self.endian.u16(linktype, &mut body);
        self.endian.u16(0, &mut body);
        self.endian.u32(snap_len, &mut body);
        for (code, value) in options {
            self.option(*code, value, &mut body);
        }
        if !options.is_empty() {
            self.option(0, &[], &mut body);
        }
        self.block(1, &body)
    }

    /// An enhanced packet block, with a comment behind the packet.
    pub(crate) fn enhanced(&mut self, interface: u32, ticks: u64, wire_len: u32, bytes: &[u8]) -> &mut Self {
        let mut body = Vec::new();
        self.endian.u32(interface, &mut body);
        self.packet(ticks, wire_len, bytes, &mut body);
        self.option(1, b"of interest", &mut body);
        self.option(0, &[], &mut body);
        self.block(6, &body)
    }

    /// An obsolete packet block.
    pub(crate) fn obsolete(&mut self, interface: u16, ticks: u64, wire_len: u32, bytes: &[u8]) -> &mut Self {
        let mut body = Vec::new();
        self.endian.u16(interface, &mut body);
        self.endian.u16(0xeeee, &mut body);
        self.packet(ticks, wire_len, bytes, &mut body);
        self.block(2, &body)
    }

    pub(crate) fn simple(&mut self, wire_len: u32, bytes: &[u8]) -> &mut Self {
        let mut body = Vec::new();
        self.endian.u32(wire_len, &mut body);
        pad(bytes, &mut body);
        self.block(3, &body)
    }

    pub(crate) fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let len = body.len() as u32 + 12;
        self.endian.u32(kind, &mut self.file);
        self.endian.u32(len, &mut self.file);
        self.file.extend(body);
        self.endian.u32(len, &mut self.file);
        self.ends.push(self.file.len());
        self
    }

    fn packet(&self, ticks: u64, wire_len: u32, bytes: &[u8], body: &mut Vec<u8>) {
        for word in [(ticks >> 32) as u32, ticks as u32, bytes.len() as u32, wire_len] {
            self.endian.u32(word, body);
        }
        pad(bytes, body);
    }

    fn option(&self, code: u16, value: &[u8], body: &mut Vec<u8>) {
        self.endian.u16(code, body);
        self.endian.u16(value.len() as u16, body);
        pad(value, body);
    }
}

fn pad(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// How a file is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    Plain,
    Gzip,
    Zstd,
}

impl Wrap {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Gzip, Self::Zstd];

    pub(crate) fn wrap(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }
}
