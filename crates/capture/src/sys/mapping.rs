//! The memory that a packet socket's ring shares with the kernel.

// The kernel writes this memory while the process reads it; only raw pointers and atomics can say that.
#![allow(unsafe_code)]

use std::io;
use std::mem::offset_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use super::socket::{Layout, PacketSocket};

/// Where a block's status word stands: whose the block is, the kernel's or the process's.
const STATUS_AT: usize =
    offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);

/// A ring's memory, mapped into the process for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory belongs to the process, not to a thread, and this value is its only way in.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the ring that `socket` was given with the same layout.
    pub(crate) fn new(socket: &PacketSocket, layout: Layout) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: without a wished-for address the kernel maps where nothing else is.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), layout.ring_bytes(), protection, flags, socket.raw(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, layout })
    }

    /// The bytes of a block, if the kernel has handed it over.
    pub(crate) fn block(&self, block: u32) -> Option<&[u8]> {
        // Acquire: what the kernel wrote before it handed the block over is seen after this.
        if self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let len = self.layout.block_bytes as usize;
        // SAFETY: the block lies within the mapping. While it is the process's, the kernel leaves it alone,
        // and giving it back takes `&mut self`, which ends this borrow first.
        Some(unsafe { std::slice::from_raw_parts(self.place(block), len) })
    }

    /// Returns a block to the kernel, which may write to it at once.
    pub(crate) fn give_back(&mut self, block: u32) {
        // Release: all reads of the block are done before the kernel sees it as its own.
        self.status(block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    fn status(&self, block: u32) -> &AtomicU32 {
        // SAFETY: a block is longer than its header, in which the word stands.
        let status = unsafe { self.place(block).add(STATUS_AT) };
        // SAFETY: blocks start on a page and the word on a multiple of 4, so it is aligned; it lives as long
        // as the mapping; kernel and process both change it in single accesses only.
        unsafe { AtomicU32::from_ptr(status.cast()) }
    }

    /// Where a block starts.
    fn place(&self, block: u32) -> *mut u8 {
        assert!(block < self.layout.blocks, "a ring's blocks are counted from 0");
        let offset = block as usize * self.layout.block_bytes as usize;
        // SAFETY: the offset is less than the mapping's length, by the assertion above.
        unsafe { self.base.as_ptr().add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made in `new`, and nothing borrowed from it is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.layout.ring_bytes()) };
    }
}
