//! What a bridge carries: the beginnings of frames that no socket sees, since the program hands them from leg to leg.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use credence_capture::{BATCH_FRAMES, Batch, Error, Frame, Poll, Source};

use crate::{boot_ns, unix_ns};

/// Bytes of a frame that are copied.
const COPIED_MAX: usize = 256;
/// Bytes before them in the structure `copy`.
const HEAD: usize = 16;
/// Ethernet, in the `LINKTYPE_` registry.
const ETHERNET: u16 = 1;
/// How long a poll without frames takes. Nobody is woken for a frame.
const NAP: Duration = Duration::from_millis(1);
/// Naps of a poll.
const NAPS: u32 = 10;

/// The frames that cross a bridge, to the end of their headers.
pub struct Copies {
    ring: RingBuf<MapData>,
    lost: PerCpuArray<MapData, u64>,
    legs: Arc<str>,
    batch: Batch,
    frames: u64,
}

impl Copies {
    pub(crate) fn new(ring: RingBuf<MapData>, lost: PerCpuArray<MapData, u64>, legs: &[&str]) -> Self {
        let batch = Batch::with_capacity(BATCH_FRAMES, BATCH_FRAMES * COPIED_MAX);
        Self { ring, lost, legs: legs.join(" and ").into(), batch, frames: 0 }
    }

    /// Copies what waits into the batch; whether anything did.
    fn fill(&mut self) -> bool {
        self.batch.clear();
        // Frames bear the clock that the program reads; flows and records live by the other.
        let ahead_ns = unix_ns().saturating_sub(boot_ns());
        while self.batch.len() < BATCH_FRAMES {
            let Some(item) = self.ring.next() else { break };
            let Some((at_ns, wire_len, bytes)) = read(&item) else { continue };
            self.frames += 1;
            let ts_ns = at_ns.saturating_add(ahead_ns);
            self.batch.push(&Frame { number: self.frames, ts_ns, wire_len, linktype: ETHERNET, bytes });
        }
        !self.batch.is_empty()
    }
}

/// Time, length on the wire, and bytes of a copy; none where the bytes are not the program's.
fn read(copy: &[u8]) -> Option<(u64, u32, &[u8])> {
    let (at_ns, rest) = copy.split_first_chunk()?;
    let (wire_len, rest) = rest.split_first_chunk()?;
    let (len, bytes) = rest.split_first_chunk()?;
    let len = u32::from_ne_bytes(*len) as usize;
    Some((u64::from_ne_bytes(*at_ns), u32::from_ne_bytes(*wire_len), bytes.get(..len)?))
}

impl Source for Copies {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        for _ in 0..NAPS {
            if self.fill() {
                self.batch.frames(|frames| sink(frames));
                return Ok(Poll::Frames);
            }
            thread::sleep(NAP);
        }
        Ok(Poll::Idle)
    }

    fn kernel_drops(&mut self) -> u64 {
        self.lost.get(&0, 0).map_or(0, |each| each.iter().sum())
    }

    fn describe(&self) -> String {
        format!("the bridge between {}, {COPIED_MAX} bytes of each frame", self.legs)
    }
}

/// The bytes that a ring of `frames` copies takes: a power of two, of whole pages.
pub(crate) const fn ring_bytes(frames: u32) -> u32 {
    // Eight bytes before each copy are the ring's own.
    let bytes = frames as u64 * (HEAD + COPIED_MAX + 8) as u64;
    let bytes = if bytes > RING_MAX as u64 { RING_MAX as u64 } else { bytes };
    let size = (bytes as u32).next_power_of_two();
    if size < 1 << 16 { 1 << 16 } else { size }
}

/// The most bytes of a ring: half a second of the smallest frames at 1 Gbit/s.
const RING_MAX: u32 = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_as_far_as_the_frame_went() {
        let mut copy = Vec::new();
        copy.extend(5_u64.to_ne_bytes());
        copy.extend(1_500_u32.to_ne_bytes());
        copy.extend(3_u32.to_ne_bytes());
        copy.extend([1, 2, 3, 0, 0]);
        assert_eq!(read(&copy), Some((5, 1_500, &[1, 2, 3][..])));
        copy[12] = 6;
        assert_eq!(read(&copy), None, "no more than there is");
        assert_eq!(read(&copy[..15]), None);
    }

    #[test]
    fn rings_are_powers_of_two_of_at_least_a_page() {
        for frames in [0, 1, 1_000, 1 << 16, u32::MAX] {
            let bytes = ring_bytes(frames);
            assert!(bytes.is_power_of_two() && (1 << 16..=RING_MAX).contains(&bytes), "{bytes}");
        }
    }
}
