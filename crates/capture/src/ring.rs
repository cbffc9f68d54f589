//! Frames straight from an `AF_PACKET` ring (`TPACKET_V3`), without a copy and without a system call a frame.
//!
//! The kernel packs frames into blocks and hands a block over when it is full or 10 ms old. A batch is a
//! stretch of a block; the block goes back once its last batch has been seen. When every block is the
//! process's, the kernel drops what arrives and counts it.
//!
//! The outermost VLAN tag of a frame is missing where the kernel carries it beside the frame
//! (`TP_STATUS_VLAN_VALID`). It is not put back: that would take a copy, and flows are keyed by network
//! addresses.

use std::io;
use std::mem::offset_of;
use std::thread;
use std::time::Duration;

use credence_memory::prefetch;

use crate::fanout::Fanout;
use crate::frame::{FRAME_MAX, Frames};
use crate::lasting::{Open, Place};
use crate::live::Interface;
use crate::sys::descriptor::Wake;
use crate::sys::device;
use crate::sys::mapping::Mapping;
use crate::sys::socket::{BLOCK_TIMEOUT_MS, Layout, PacketSocket};
use crate::{Error, Frame, Poll, Source};

/// How long a poll waits for frames, in milliseconds.
const IDLE_MS: i32 = 10;

/// How far ahead of a frame memory is asked for, and how many lines of it. Another core wrote them, and each header tells only
/// where the next one is. Of the smallest frames, at 144 bytes each with their headers, reading one took 30 ns without this
/// and 21 ns with it; at 2 KiB ahead it took 26 ns. What lies ahead of larger frames is met less well, and they are fewer.
const BYTES_AHEAD: usize = 8192;
const LINES_AHEAD: usize = 3;
const LINE_LEN: usize = 64;

/// Where the fields of a block's header stand, of which the first is the block's version.
const BLOCK_COUNT_AT: usize = block_field(offset_of!(libc::tpacket_hdr_v1, num_pkts));
const BLOCK_FIRST_AT: usize = block_field(offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt));

const fn block_field(offset: usize) -> usize {
    offset_of!(libc::tpacket_block_desc, hdr) + offset
}

/// An interface's ring, or one member of a fan-out group of them.
pub(crate) struct Ring {
    // In front of the socket, so that the memory is unmapped before the socket that it belongs to closes.
    mapping: Mapping,
    socket: PacketSocket,
    layout: Layout,
    interface: Interface,
    /// Which member of which fan-out group this is, for the operator.
    place: String,
    block: u32,
    cursor: Option<Cursor>,
    frames: u64,
    lost: u64,
    is_up: bool,
}

impl Open for Ring {
    type Common = Fanout;

    fn open(at: &Place<Self>, interface: &Interface, frames: u64) -> Result<Self, Error> {
        let Place { config, common: fanout, queue } = at;
        let layout = config.layout()?;
        let failed = |step, cure| {
            let interface = interface.name.clone();
            move |source| Error::Ring { interface, step, source, cure }
        };
        let socket = PacketSocket::open().map_err(|source| interface.not_opened(source))?;
        socket.make_ring(layout).map_err(failed("set up its blocks", CURE_MEMORY))?;
        let mapping = Mapping::new(&socket, layout).map_err(failed("map its blocks", CURE_MEMORY))?;
        if config.ignore_outgoing {
            socket.ignore_outgoing().map_err(failed(
                "leave out outgoing frames",
                "kernels before 4.20 cannot: capture outgoing frames too",
            ))?;
        }
        if config.promiscuous {
            socket.be_promiscuous(interface.index).map_err(failed(
                "enter promiscuous mode",
                "check that the interface still exists, or capture without promiscuous mode",
            ))?;
        }
        socket
            .bind(interface.index)
            .map_err(failed("bind to the interface", "check that it still exists"))?;
        let place = if config.queues > 1 {
            socket.join_fanout(config.fanout_group, fanout.program()).map_err(failed(
                "join its fan-out group",
                "bring the interface up first, or choose a group number that no other program uses",
            ))?;
            let (queues, group) = (config.queues, config.fanout_group);
            format!("queue {} of {queues}, fan-out group {group}{}; ", queue + 1, fanout.told())
        } else {
            String::new()
        };
        Ok(Self {
            mapping,
            socket,
            layout,
            interface: interface.clone(),
            place,
            block: 0,
            cursor: None,
            frames,
            lost: 0,
            is_up: true,
        })
    }

    fn frames(&self) -> u64 {
        self.frames
    }
}

impl Ring {
    /// Hands over the next batch, if the kernel has handed over the block it is in.
    fn drain(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> bool {
        let Some(bytes) = self.mapping.block(self.block) else {
            return false;
        };
        let mut frames = Frames::numbered_from(self.frames + 1);
        let cursor = self.cursor.unwrap_or_else(|| Cursor::at_start(bytes));
        self.cursor = cursor.walk(bytes, self.interface.linktype, &mut frames);
        let found = frames.as_slice().len();
        if found > 0 {
            sink(frames.as_slice());
        }
        self.frames += found as u64;
        if !self.is_up {
            // Frames may be left over from before it went down. If it is gone, the next wait tells.
            self.is_up = device::is_up(self.interface.index).unwrap_or(false);
        }
        if self.cursor.is_none() {
            self.mapping.give_back(self.block);
            self.block = (self.block + 1) % self.layout.blocks;
        }
        found > 0
    }

    /// Waits for frames, and keeps an eye on the interface while there are none.
    fn wait(&mut self) -> Result<(), Error> {
        match self.socket.wait(IDLE_MS).map_err(|source| self.failed("wait for frames", source))? {
            Wake::Readable => Ok(()),
            Wake::Failed => self.hear_out(),
            Wake::TimedOut => self.look_after(),
        }
    }

    /// Reads the socket's error, which would end every further wait at once.
    fn hear_out(&mut self) -> Result<(), Error> {
        let error = self.socket.take_error().map_err(|source| self.failed("read its own error", source))?;
        match error {
            // The socket stays bound, and frames come again when the interface does.
            Some(error) if error.raw_os_error() == Some(libc::ENETDOWN) => self.look_after(),
            Some(error) => Err(self.failed("receive", error)),
            None => Ok(()),
        }
    }

    /// Finds out whether the interface is still there and up.
    fn look_after(&mut self) -> Result<(), Error> {
        let gone = || Error::DeviceGone { interface: self.interface.name.clone() };
        let bound = self.socket.interface().map_err(|source| self.failed("name its interface", source))?;
        let index = bound.ok_or_else(gone)?;
        // The socket knows best whether the interface is gone. What else the question may meet, such as a
        // lack of descriptors, says nothing of the interface.
        self.is_up = device::is_up(index).unwrap_or(self.is_up);
        Ok(())
    }

    fn failed(&self, step: &'static str, source: io::Error) -> Error {
        let cure = "start the capture anew";
        Error::Ring { interface: self.interface.name.clone(), step, source, cure }
    }
}

const CURE_MEMORY: &str = "give it fewer or smaller blocks, or capture with the backend pnet";

impl Source for Ring {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        if self.drain(sink) {
            return Ok(Poll::Frames);
        }
        let gone = match self.wait() {
            Ok(()) => None,
            Err(gone @ Error::DeviceGone { .. }) => {
                // What came last stands in a block that is not full, and is handed over when that is old enough.
                thread::sleep(Duration::from_millis(2 * u64::from(BLOCK_TIMEOUT_MS)));
                Some(gone)
            }
            Err(error) => return Err(error),
        };
        if self.drain(sink) { Ok(Poll::Frames) } else { gone.map_or(Ok(Poll::Idle), Err) }
    }

    fn kernel_drops(&mut self) -> u64 {
        // The kernel's count starts anew each time it is read. If it cannot be read now, it is read later.
        self.lost += u64::from(self.socket.lost_since_last().unwrap_or(0));
        self.lost
    }

    fn is_up(&self) -> bool {
        self.is_up
    }

    fn describe(&self) -> String {
        let Layout { block_bytes, blocks } = self.layout;
        let down = if self.is_up { "" } else { "; the interface is down" };
        format!(
            "AF_PACKET ring on {} ({}{blocks} blocks of {} KiB, link type {}{down})",
            self.interface.name,
            self.place,
            block_bytes / 1024,
            self.interface.linktype
        )
    }
}

/// A place in a block: where the next frame's header stands, and how many frames are left from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    at: usize,
    left: u32,
}

impl Cursor {
    fn at_start(block: &[u8]) -> Self {
        Self {
            at: u32_at(block, BLOCK_FIRST_AT).unwrap_or(0) as usize,
            left: u32_at(block, BLOCK_COUNT_AT).unwrap_or(0),
        }
    }

    /// Takes frames from the block until `frames` is full, and returns where to go on, or nothing at the
    /// block's end. A header that points outside the block, which no kernel writes, ends the block as well.
    fn walk<'a>(mut self, block: &'a [u8], linktype: u16, frames: &mut Frames<'a>) -> Option<Self> {
        while self.left > 0 {
            if frames.is_full() {
                return Some(self);
            }
            for line in 0..LINES_AHEAD {
                prefetch(block, self.at.wrapping_add(BYTES_AHEAD + line * LINE_LEN));
            }
            let header = FrameHeader::read(block.get(self.at..)?)?;
            let start = self.at.checked_add(header.mac)?;
            let bytes = block.get(start..start.checked_add(header.captured)?)?;
            let bytes = bytes.get(..FRAME_MAX).unwrap_or(bytes);
            frames.push(header.ts_ns, header.wire_len, linktype, bytes);
            self.left -= 1;
            self.at = self.at.checked_add(header.next)?;
        }
        None
    }
}

/// The fields of `struct tpacket3_hdr` that are needed.
struct FrameHeader {
    /// How far the next header is from this one, in bytes.
    next: usize,
    ts_ns: u64,
    /// How many bytes of the frame are in the block.
    captured: usize,
    wire_len: u32,
    /// How far the frame's first byte is from the header, in bytes.
    mac: usize,
}

impl FrameHeader {
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..size_of::<libc::tpacket3_hdr>())?;
        let seconds = u64::from(u32_at(bytes, offset_of!(libc::tpacket3_hdr, tp_sec))?);
        let nanoseconds = u64::from(u32_at(bytes, offset_of!(libc::tpacket3_hdr, tp_nsec))?);
        let mac = bytes.get(offset_of!(libc::tpacket3_hdr, tp_mac)..)?.first_chunk()?;
        Some(Self {
            next: u32_at(bytes, offset_of!(libc::tpacket3_hdr, tp_next_offset))? as usize,
            ts_ns: seconds * 1_000_000_000 + nanoseconds,
            captured: u32_at(bytes, offset_of!(libc::tpacket3_hdr, tp_snaplen))? as usize,
            wire_len: u32_at(bytes, offset_of!(libc::tpacket3_hdr, tp_len))?,
            mac: usize::from(u16::from_ne_bytes(*mac)),
        })
    }
}

/// The number that stands at `offset` in the machine's byte order.
fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A block as the kernel lays it out, with the given frames.
    fn block(frames: &[Vec<u8>]) -> Vec<u8> {
        const FIRST: usize = 48;
        const MAC: usize = 82;
        let mut block = vec![0; FIRST];
        put(&mut block, BLOCK_COUNT_AT, frames.len() as u32);
        put(&mut block, BLOCK_FIRST_AT, FIRST as u32);
        for (second, bytes) in (1..).zip(frames) {
            let start = block.len();
            let len = (MAC + bytes.len()).next_multiple_of(8);
            block.resize(start + len, 0);
            put(&mut block, start + offset_of!(libc::tpacket3_hdr, tp_next_offset), len as u32);
            put(&mut block, start + offset_of!(libc::tpacket3_hdr, tp_sec), second);
            put(&mut block, start + offset_of!(libc::tpacket3_hdr, tp_nsec), 7);
            put(&mut block, start + offset_of!(libc::tpacket3_hdr, tp_snaplen), bytes.len() as u32);
            put(&mut block, start + offset_of!(libc::tpacket3_hdr, tp_len), bytes.len() as u32 + 100);
            put(&mut block, start + offset_of!(libc::tpacket3_hdr, tp_mac), MAC as u32);
            block[start + MAC..start + MAC + bytes.len()].copy_from_slice(bytes);
        }
        block
    }

    fn put(bytes: &mut [u8], at: usize, value: u32) {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// A frame's number, time, length on the wire and bytes.
    type Seen = (u64, u64, u32, Vec<u8>);

    /// All frames of a block, with the sizes of the batches they came in.
    fn read(block: &[u8]) -> (Vec<Seen>, Vec<usize>) {
        let (mut read, mut batches) = (Vec::new(), Vec::new());
        let mut cursor = Some(Cursor::at_start(block));
        while let Some(at) = cursor {
            let mut frames = Frames::numbered_from(read.len() as u64 + 1);
            cursor = at.walk(block, 1, &mut frames);
            batches.push(frames.as_slice().len());
            read.extend(frames.as_slice().iter().map(|f| (f.number, f.ts_ns, f.wire_len, f.bytes.to_vec())));
        }
        (read, batches)
    }

    #[test]
    fn a_block_of_many_frames_comes_in_several_batches() {
        let sent: Vec<Vec<u8>> = (0..600_usize).map(|n| vec![n as u8; n % 90]).collect();
        let (frames, batches) = read(&block(&sent));
        assert_eq!(batches, [256, 256, 88]);
        assert_eq!(frames.len(), sent.len());
        for (number, (frame, bytes)) in (1..).zip(frames.iter().zip(sent)) {
            assert_eq!(*frame, (number, number * 1_000_000_000 + 7, bytes.len() as u32 + 100, bytes));
        }
    }

    #[test]
    fn a_block_that_ends_with_a_full_batch_gives_no_empty_one() {
        assert_eq!(read(&block(&vec![vec![1; 60]; 256])).1, [256]);
    }

    #[test]
    fn a_frame_longer_than_the_limit_is_cut_and_keeps_its_length() {
        let (frames, _) = read(&block(&[vec![3; FRAME_MAX + 1], vec![4; 10]]));
        assert_eq!((frames[0].2, frames[0].3.len()), (FRAME_MAX as u32 + 101, FRAME_MAX));
        assert_eq!(frames[1].3, [4; 10]);
    }

    #[test]
    fn a_header_that_points_outside_the_block_ends_it_after_the_frames_before() {
        let sent = [vec![1; 60], vec![2; 60], vec![3; 60]];
        let whole = block(&sent);
        let second = 48 + (82_usize + 60).next_multiple_of(8);
        for field in
            [offset_of!(libc::tpacket3_hdr, tp_snaplen), offset_of!(libc::tpacket3_hdr, tp_next_offset)]
        {
            let mut block = whole.clone();
            put(&mut block, second + field, u32::MAX);
            let frames = read(&block).0;
            assert!((1..=2).contains(&frames.len()), "field at {field}: {} frames", frames.len());
            assert_eq!(frames[0].3, sent[0]);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_never_yield_more_frames_than_they_claim(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            count in 0u32..2000,
            first in 0u32..64,
        ) {
            let mut bytes = bytes;
            if bytes.len() >= 48 {
                put(&mut bytes, BLOCK_COUNT_AT, count);
                put(&mut bytes, BLOCK_FIRST_AT, first);
            }
            let claimed = Cursor::at_start(&bytes).left as usize;
            prop_assert!(read(&bytes).0.len() <= claimed);
        }
    }
}
