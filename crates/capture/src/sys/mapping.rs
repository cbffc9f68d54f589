//! The memory that a packet socket's ring shares with the kernel.

// The kernel writes this memory while the process reads it; only raw pointers and atomics can say that.
#![allow(unsafe_code)]

use std::io;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

use super::shared::Shared;
use super::socket::{Layout, PacketSocket};

/// Where a block's status word stands: whose the block is, the kernel's or the process's.
const STATUS_AT: usize =
    offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);

/// A ring's memory, mapped into the process for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Mapping {
    memory: Shared,
    layout: Layout,
}

impl Mapping {
    /// Maps the ring that `socket` was given with the same layout.
    pub(crate) fn new(socket: &PacketSocket, layout: Layout) -> io::Result<Self> {
        Ok(Self { memory: Shared::of(socket.raw(), 0, layout.ring_bytes())?, layout })
    }

    /// The bytes of a block, if the kernel has handed it over. Until it is given back they are the process's to change.
    pub(crate) fn block(&mut self, block: u32) -> Option<&mut [u8]> {
        // Acquire: what the kernel wrote before it handed the block over is seen after this.
        if self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let len = self.layout.block_bytes as usize;
        let block = self.memory.place(self.start(block), len);
        // SAFETY: the block lies within the mapping. While it is the process's, the kernel does not write to it, and the
        // process has no other way in than this exclusive borrow, which giving the block back ends.
        Some(unsafe { std::slice::from_raw_parts_mut(block, len) })
    }

    /// Returns a block to the kernel, which may write to it at once.
    pub(crate) fn give_back(&mut self, block: u32) {
        // Release: all reads of the block are done before the kernel sees it as its own.
        self.status(block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    fn status(&self, block: u32) -> &AtomicU32 {
        self.memory.word(self.start(block) + STATUS_AT)
    }

    /// Where a block starts.
    fn start(&self, block: u32) -> usize {
        block as usize * self.layout.block_bytes as usize
    }
}
