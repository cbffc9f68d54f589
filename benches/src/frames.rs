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

/// A stream of equal-sized frames over a number of flows, in random order.
pub struct Stream {
    bytes: Vec<u8>,
    frame_len: usize,
}

impl Stream {
    /// `packets` TCP segments of `flows` flows between random hosts of `sources` and one server a flow. Each flow is
    /// established: what is measured is not the handshake.
    pub fn new(packets: usize, flows: usize, sources: &[u128]) -> Self {
        let mut random = Random::new(7);
        let mut bytes = Vec::new();
        let mut frame_len = 0;
        for packet in 0..packets {
            // Each flow once, then at random: so every flow is there however few packets there are.
            let flow = if packet < flows { packet } else { random.below(flows as u64) as usize };
            let src = sources[flow % sources.len()];
            let dst = 0x2001_0db8_ffff_u128 << 80 | flow as u128;
            let segment = tcp(40_000 + (flow / sources.len() % 20_000) as u16, 443, 1, 1, 0x10);
            let frame = ethernet(src, dst, 6, &[], &segment);
            frame_len = frame.len();
            bytes.extend(frame);
        }
        Self { bytes, frame_len }
    }

    /// The frames, a microsecond apart.
    pub fn frames(&self) -> Vec<Frame<'_>> {
        (0..)
            .zip(self.bytes.chunks(self.frame_len))
            .map(|(i, bytes)| Frame {
                number: i + 1,
                ts_ns: START_NS + i * 1_000,
                wire_len: self.frame_len as u32,
                linktype: LINKTYPE_ETHERNET,
                bytes,
            })
            .collect()
    }
}
