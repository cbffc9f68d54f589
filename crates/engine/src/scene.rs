//! Traffic for tests: frames made in memory, and a source that hands them out in odd portions.

use credence_capture::{BATCH_FRAMES, Error, Frame, Poll, Source};

/// A frame that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) ts_ns: u64,
    pub(crate) bytes: Vec<u8>,
}

/// One second.
pub(crate) const S: u64 = 1_000_000_000;
/// One millisecond.
pub(crate) const MS: u64 = 1_000_000;
/// When scenes begin, Unix nanoseconds: the start of a second.
pub(crate) const START: u64 = 1_780_000_000 * S;

const SYN: u8 = 2;
const ACK: u8 = 16;
const SYN_ACK: u8 = 18;
const RST_ACK: u8 = 20;

/// Frames in the order of their times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene(pub(crate) Vec<Shot>);

impl Scene {
    /// A bare IPv6 packet at `at_ns` after the start.
    pub(crate) fn packet(&mut self, at_ns: u64, src: u128, dst: u128, next: u8, payload: &[u8]) {
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
        bytes.extend([next, 64]);
        bytes.extend(src.to_be_bytes());
        bytes.extend(dst.to_be_bytes());
        bytes.extend(payload);
        self.0.push(Shot { ts_ns: START + at_ns, bytes });
    }

    /// Anything at all.
    pub(crate) fn raw(&mut self, at_ns: u64, bytes: &[u8]) {
        self.0.push(Shot { ts_ns: START + at_ns, bytes: bytes.to_vec() });
    }

    pub(crate) fn tcp(
        &mut self,
        at_ns: u64,
        from: (u128, u16),
        to: (u128, u16),
        numbers: (u32, u32),
        flags: u8,
    ) {
        let mut segment = vec![0; 20];
        segment[..2].copy_from_slice(&from.1.to_be_bytes());
        segment[2..4].copy_from_slice(&to.1.to_be_bytes());
        segment[4..8].copy_from_slice(&numbers.0.to_be_bytes());
        segment[8..12].copy_from_slice(&numbers.1.to_be_bytes());
        (segment[12], segment[13]) = (5 << 4, flags);
        self.packet(at_ns, from.0, to.0, 6, &segment);
    }

    pub(crate) fn udp(&mut self, at_ns: u64, from: (u128, u16), to: (u128, u16)) {
        let mut datagram = Vec::new();
        datagram.extend(from.1.to_be_bytes());
        datagram.extend(to.1.to_be_bytes());
        datagram.extend([0, 12, 0x12, 0x34, 1, 2, 3, 4]);
        self.packet(at_ns, from.0, to.0, 17, &datagram);
    }

    /// A client that opens a connection, sends `segments`, and is answered: ten milliseconds apart.
    pub(crate) fn visit(&mut self, at_ns: u64, client: (u128, u16), server: (u128, u16), segments: u64) {
        let (c, s) = (1_000 + u32::from(client.1), 9_000_000 + u32::from(server.1));
        self.tcp(at_ns, client, server, (c, 0), SYN);
        self.tcp(at_ns + 10 * MS, server, client, (s, c + 1), SYN_ACK);
        self.tcp(at_ns + 20 * MS, client, server, (c + 1, s + 1), ACK);
        for i in 0..segments {
            self.tcp(at_ns + (30 + 10 * i) * MS, client, server, (c + 1, s + 1), ACK);
        }
    }

    /// A connection that is asked for and not answered.
    pub(crate) fn knock(&mut self, at_ns: u64, client: (u128, u16), server: (u128, u16)) {
        self.tcp(at_ns, client, server, (7, 0), SYN);
    }

    /// A connection that is asked for and refused.
    pub(crate) fn refused(&mut self, at_ns: u64, client: (u128, u16), server: (u128, u16)) {
        self.knock(at_ns, client, server);
        self.tcp(at_ns + MS, server, client, (0, 8), RST_ACK);
    }

    /// A piece of a UDP datagram, `offset` and `len` in bytes.
    pub(crate) fn fragment(&mut self, at_ns: u64, src: u128, dst: u128, id: u32, piece: (u16, u16, bool)) {
        let (offset, len, more) = piece;
        let mut payload = vec![17, 0];
        payload.extend((offset | u16::from(more)).to_be_bytes());
        payload.extend(id.to_be_bytes());
        let mut data = vec![0xab; usize::from(len)];
        if offset == 0 {
            data[..8].copy_from_slice(&[0x9c, 0x40, 0, 53, 5, 0, 0x12, 0x34]);
        }
        payload.extend(data);
        self.packet(at_ns, src, dst, 44, &payload);
    }

    /// Sorted by time, as a capture is.
    pub(crate) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|shot| shot.ts_ns);
        self
    }

    /// A source that hands the frames out in portions of these sizes, in turn.
    pub(crate) fn source<'s>(&'s self, portions: &'s [usize]) -> Memory<'s> {
        Memory { shots: &self.0, at: 0, portions, turn: 0 }
    }
}

/// A source of frames in memory.
pub(crate) struct Memory<'s> {
    shots: &'s [Shot],
    at: usize,
    portions: &'s [usize],
    turn: usize,
}

impl Source for Memory<'_> {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        let portion = self.portions[self.turn % self.portions.len()].clamp(1, BATCH_FRAMES);
        self.turn += 1;
        let end = (self.at + portion).min(self.shots.len());
        if self.at == end {
            return Ok(Poll::End);
        }
        let frames: Vec<_> = (self.at..end)
            .map(|i| Frame {
                number: i as u64 + 1,
                ts_ns: self.shots[i].ts_ns,
                wire_len: self.shots[i].bytes.len() as u32,
                linktype: 101,
                bytes: &self.shots[i].bytes,
            })
            .collect();
        sink(&frames);
        self.at = end;
        Ok(Poll::Frames)
    }

    fn kernel_drops(&mut self) -> u64 {
        0
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
