//! Frames made in memory, as a gateway sees them.

use credence_capture::Frame;

use crate::random::Random;

/// Ethernet II header with the EtherType of IPv6.
const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd];
/// Link-layer type of Ethernet in the registry of capture files.
const LINKTYPE_ETHERNET: u16 = 1;
/// Unix time of the first frame, in nanoseconds: the start of a second.
const START_NS: u64 = 1_780_000_000_000_000_000;

/// An IPv6 packet in an Ethernet frame: `chain` holds the extension headers, `next` the first header's number.
pub fn ethernet(src: u128, dst: u128, next: u8, chain: &[u8], upper: &[u8]) -> Vec<u8> {
    let payload = u16::try_from(chain.len() + upper.len()).expect("a short packet");
    let mut frame = ETHERNET.to_vec();
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(payload.to_be_bytes());
    frame.extend([next, 64]);
    frame.extend(src.to_be_bytes());
    frame.extend(dst.to_be_bytes());
    frame.extend(chain);
    frame.extend(upper);
    frame
}

/// A TCP header without options.
pub fn tcp(sport: u16, dport: u16, seq: u32, ack: u32, flags: u8) -> [u8; 20] {
    let mut header = [0; 20];
    header[..2].copy_from_slice(&sport.to_be_bytes());
    header[2..4].copy_from_slice(&dport.to_be_bytes());
    header[4..8].copy_from_slice(&seq.to_be_bytes());
    header[8..12].copy_from_slice(&ack.to_be_bytes());
    (header[12], header[13]) = (5 << 4, flags);
    header
}

/// `len` Destination Options headers of eight bytes each, filled with one PadN; the last is followed by `next`.
pub fn destination_options(len: usize, next: u8) -> Vec<u8> {
    let follow = |i| if i + 1 == len { next } else { 60 };
    (0..len).flat_map(|i| [follow(i), 0, 1, 4, 0, 0, 0, 0]).collect()
}

/// Established flows of which a stream is made: TCP segments without options or data, so that each frame is as short as
/// TCP over IPv6 gets.
///
/// Each source has as many flows as any other, each to a server of its own. What is measured is not the handshake: every
/// segment is an acknowledgement.
pub struct Flows<'s> {
    sources: &'s [u128],
    count: usize,
}

/// Bytes of a frame of [`Flows`], without the check sequence.
const FRAME_LEN: usize = ETHERNET.len() + 40 + 20;
/// Frames that are handed over at once when each flow comes once.
const ROUND: usize = 1 << 14;

impl<'s> Flows<'s> {
    /// `count` flows between `sources` and one server each.
    pub const fn new(count: usize, sources: &'s [u128]) -> Self {
        Self { sources, count }
    }

    /// How many flows there are.
    pub const fn count(&self) -> usize {
        self.count
    }

    fn frame(&self, flow: usize) -> Vec<u8> {
        let src = self.sources[flow % self.sources.len()];
        let dst = 0x2a00_0db8_ffff_u128 << 80 | flow as u128;
        let sport = 40_000 + (flow / self.sources.len() % 20_000) as u16;
        ethernet(src, dst, 6, &[], &tcp(sport, 443, 1, 1, 0x10))
    }

    /// Hands over one frame of each flow, `gap_ns` apart, without holding all in memory.
    pub fn each_once(&self, gap_ns: u64, mut sink: impl FnMut(&[Frame<'_>])) {
        for first in (0..self.count).step_by(ROUND) {
            let flows: Vec<_> = (first..self.count.min(first + ROUND)).collect();
            let stream = self.stream_of(&flows);
            let mut frames = stream.frames(gap_ns);
            for frame in &mut frames {
                frame.number += first as u64;
                frame.ts_ns += first as u64 * gap_ns;
            }
            sink(&frames);
        }
    }

    /// A stream of `packets` frames, each of a flow drawn at random.
    pub fn at_random(&self, packets: usize) -> Stream {
        let mut random = Random::new(7);
        let drawn: Vec<_> = (0..packets).map(|_| random.below(self.count as u64) as usize).collect();
        self.stream_of(&drawn)
    }

    /// A stream of one frame of each flow, in random order.
    pub fn shuffled(&self) -> Stream {
        let mut random = Random::new(9);
        let mut order: Vec<_> = (0..self.count).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at as u64 + 1) as usize);
        }
        self.stream_of(&order)
    }

    fn stream_of(&self, flows: &[usize]) -> Stream {
        Stream { bytes: flows.iter().flat_map(|&flow| self.frame(flow)).collect() }
    }
}

/// Frames of equal length in memory.
pub struct Stream {
    bytes: Vec<u8>,
}

impl Stream {
    /// The frames, `gap_ns` apart.
    pub fn frames(&self, gap_ns: u64) -> Vec<Frame<'_>> {
        (0..)
            .zip(self.bytes.chunks(FRAME_LEN))
            .map(|(i, bytes)| Frame {
                number: i + 1,
                ts_ns: START_NS + i * gap_ns,
                wire_len: FRAME_LEN as u32,
                linktype: LINKTYPE_ETHERNET,
                bytes,
            })
            .collect()
    }
}
