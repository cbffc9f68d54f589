//! An `AF_XDP` socket (Documentation/networking/af_xdp.rst of the kernel) and the memory that it receives into.

// The kernel writes this memory while the process reads it; only raw pointers and atomics can say that.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::Ordering;

use super::descriptor::{Descriptor, Wake};
use super::shared::Shared;

/// The bytes of a chunk, of which each receives one frame. A page is the most that the kernel takes; it keeps 256 of them.
pub(crate) const CHUNK: usize = 4096;

/// Places of the ring for sent frames, of which there are none; the kernel wants it all the same.
const COMPLETIONS: u32 = 64;

/// How long one wait may busily look at the device's queue, in microseconds, and how many frames it may take there.
const BUSY_POLL_US: c_int = 20;
const BUSY_POLL_BUDGET: c_int = 64;

/// A socket that receives the frames of one queue of an interface.
#[derive(Debug)]
pub(crate) struct XskSocket {
    descriptor: Descriptor,
}

impl XskSocket {
    /// A socket that receives nothing before it has memory and is bound.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability `CAP_NET_RAW`, `EAFNOSUPPORT` where the kernel has no such sockets.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { descriptor: Descriptor::open(libc::AF_XDP, 0)? })
    }

    /// Has waits look at the device's queue themselves for some microseconds, rather than for an interrupt.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability `CAP_NET_ADMIN`, `ENOPROTOOPT` before Linux 5.11.
    pub(crate) fn poll_busily(&self) -> io::Result<()> {
        self.descriptor.set::<c_int>(libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, &1)?;
        self.descriptor.set(libc::SOL_SOCKET, libc::SO_BUSY_POLL, &BUSY_POLL_US)?;
        self.descriptor.set(libc::SOL_SOCKET, libc::SO_BUSY_POLL_BUDGET, &BUSY_POLL_BUDGET)
    }

    /// Starts to receive what arrives on a queue of an interface and is handed to this socket: without a copy where the driver
    /// can, and by a copy otherwise.
    ///
    /// # Errors
    ///
    /// `EBUSY` while another socket has the queue, and for a moment after; `EINVAL` where there is no such queue.
    pub(crate) fn bind(&self, interface: u32, queue: u32) -> io::Result<()> {
        self.descriptor.bind(&libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        })
    }

    /// Whether frames arrive without a copy.
    pub(crate) fn is_zero_copy(&self) -> io::Result<bool> {
        let mut options = libc::xdp_options { flags: 0 };
        self.descriptor.option(libc::SOL_XDP, libc::XDP_OPTIONS, &mut options)?;
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// How many frames were lost since the socket was opened, because there was no chunk or no place for them.
    pub(crate) fn lost(&self) -> io::Result<u64> {
        // SAFETY: the structure is plain numbers, for which zeros are fine.
        let mut statistics: libc::xdp_statistics = unsafe { zeroed() };
        self.descriptor.option(libc::SOL_XDP, libc::XDP_STATISTICS, &mut statistics)?;
        Ok(statistics.rx_dropped + statistics.rx_ring_full)
    }

    /// The error that the socket has to tell, if any. Asking clears it.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.descriptor.take_error()
    }

    /// Waits until there is something to read or to tell, for `timeout_ms` milliseconds at most. It wakes a driver that waits for
    /// chunks.
    pub(crate) fn wait(&self, timeout_ms: c_int) -> io::Result<Wake> {
        self.descriptor.wait(timeout_ms)
    }

    /// Tells a driver that waits for chunks that there are some.
    pub(crate) fn wake(&self) {
        let (nothing, flags) = (ptr::null_mut::<c_void>(), libc::MSG_DONTWAIT);
        // SAFETY: no byte is to be written, and no address.
        unsafe { libc::recvfrom(self.raw(), nothing, 0, flags, ptr::null_mut(), ptr::null_mut()) };
    }

    fn raw(&self) -> c_int {
        self.descriptor.raw()
    }

    /// Gives the socket a ring of so many places, and returns its memory.
    fn ring(&self, kind: &Kind, places: u32) -> io::Result<Ring> {
        self.descriptor.set(libc::SOL_XDP, kind.option, &places)?;
        // SAFETY: the structure is plain numbers, for which zeros are fine.
        let mut offsets: libc::xdp_mmap_offsets = unsafe { zeroed() };
        let known = self.descriptor.option(libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
        if known != size_of::<libc::xdp_mmap_offsets>() {
            // Kernels before 5.4 do not say when a driver must be woken.
            return Err(io::ErrorKind::Unsupported.into());
        }
        let offsets = (kind.offsets)(&offsets);
        let len = offsets.desc as usize + places as usize * kind.place_len;
        let memory = Shared::of(self.raw(), kind.page_offset, len)?;
        Ok(Ring { memory, offsets, mask: places - 1, own: 0 })
    }
}

impl AsRawFd for XskSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.raw()
    }
}

/// What there is to know of a kind of ring.
struct Kind {
    option: c_int,
    page_offset: libc::off_t,
    place_len: usize,
    offsets: fn(&libc::xdp_mmap_offsets) -> libc::xdp_ring_offset,
}

/// Received frames: the kernel puts them in, the process takes them out.
const RECEIVED: Kind = Kind {
    option: libc::XDP_RX_RING,
    page_offset: libc::XDP_PGOFF_RX_RING,
    place_len: size_of::<libc::xdp_desc>(),
    offsets: |all| all.rx,
};

/// Chunks to receive into: the process puts them in, the kernel takes them out.
const FILL: Kind = Kind {
    option: libc::XDP_UMEM_FILL_RING,
    page_offset: libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t,
    place_len: size_of::<u64>(),
    offsets: |all| all.fr,
};

/// A ring that the process shares with the kernel, of which each changes one end.
#[derive(Debug)]
struct Ring {
    memory: Shared,
    offsets: libc::xdp_ring_offset,
    mask: u32,
    /// The end that the process changes.
    own: u32,
}

impl Ring {
    /// Where the `nth` place stands behind the process's end.
    fn place(&self, nth: u32, len: usize) -> *mut u8 {
        let place = (self.own.wrapping_add(nth) & self.mask) as usize;
        self.memory.place(self.offsets.desc as usize + place * len, len)
    }

    /// How many places the kernel has filled that the process has not emptied.
    fn waiting(&self) -> u32 {
        // Acquire: what the kernel wrote before it moved its end is seen after this.
        self.memory.word(self.offsets.producer as usize).load(Ordering::Acquire).wrapping_sub(self.own)
    }

    /// The frame in the `nth` place that waits.
    fn descriptor(&self, nth: u32) -> libc::xdp_desc {
        let place = self.place(nth, size_of::<libc::xdp_desc>());
        // SAFETY: the place lies within the ring and is the process's until it moves its end; it is aligned, since the kernel
        // aligns the first to more than its length, a power of two.
        unsafe { place.cast::<libc::xdp_desc>().read() }
    }

    /// Writes a chunk's address into the `nth` place.
    fn put(&mut self, nth: u32, address: u64) {
        let place = self.place(nth, size_of::<u64>());
        // SAFETY: the place lies within the ring and is the process's, since there are no more chunks than places; it is aligned
        // as all of its kind.
        unsafe { place.cast::<u64>().write(address) };
    }

    /// Moves the process's end, which stands at `at`, by `count` places.
    fn advance(&mut self, at: u64, count: u32) {
        self.own = self.own.wrapping_add(count);
        // Release: what was read from or written to the places is done before the kernel sees them as its own.
        self.memory.word(at as usize).store(self.own, Ordering::Release);
    }
}

/// The chunks of a socket, and the two rings by which they go to the kernel and come back as frames.
#[derive(Debug)]
pub(crate) struct XskMemory {
    chunks: Shared,
    received: Ring,
    fill: Ring,
}

impl XskMemory {
    /// Gives a socket that is not bound yet so many chunks, a power of two. The socket must outlive them.
    pub(crate) fn new(socket: &XskSocket, count: u32) -> io::Result<Self> {
        let chunks = Shared::own(count as usize * CHUNK)?;
        let request = libc::xdp_umem_reg {
            addr: chunks.place(0, 0) as u64,
            len: chunks.len() as u64,
            chunk_size: CHUNK as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        socket.descriptor.set(libc::SOL_XDP, libc::XDP_UMEM_REG, &request)?;
        socket.descriptor.set(libc::SOL_XDP, libc::XDP_UMEM_COMPLETION_RING, &COMPLETIONS)?;
        let mut fill = socket.ring(&FILL, count)?;
        for chunk in 0..count {
            fill.put(chunk, u64::from(chunk) * CHUNK as u64);
        }
        fill.advance(fill.offsets.producer, count);
        Ok(Self { chunks, received: socket.ring(&RECEIVED, count)?, fill })
    }

    /// How many frames wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.received.waiting()
    }

    /// The `nth` of the frames that wait.
    pub(crate) fn frame(&self, nth: u32) -> Option<&[u8]> {
        if nth >= self.waiting() {
            return None;
        }
        let libc::xdp_desc { addr, len, .. } = self.received.descriptor(nth);
        let (start, len) = (usize::try_from(addr).ok()?, len as usize);
        if start.checked_add(len)? > self.chunks.len() {
            return None;
        }
        let frame = self.chunks.place(start, len);
        // SAFETY: the frame lies within the chunks. The kernel leaves its chunk alone until it is given back, which takes
        // `&mut self` and so ends this borrow first.
        Some(unsafe { std::slice::from_raw_parts(frame, len) })
    }

    /// Gives the chunks of the first `count` frames that wait back to the kernel, which may write to them at once.
    pub(crate) fn give_back(&mut self, count: u32) {
        let count = count.min(self.waiting());
        for nth in 0..count {
            let address = self.received.descriptor(nth).addr;
            self.fill.put(nth, address & !(CHUNK as u64 - 1));
        }
        self.received.advance(self.received.offsets.consumer, count);
        self.fill.advance(self.fill.offsets.producer, count);
    }

    /// Whether the driver has stopped for lack of chunks and waits to be told of new ones.
    pub(crate) fn needs_wake(&self) -> bool {
        let flags = self.fill.memory.word(self.fill.offsets.flags as usize).load(Ordering::Relaxed);
        flags & libc::XDP_RING_NEED_WAKEUP != 0
    }
}
