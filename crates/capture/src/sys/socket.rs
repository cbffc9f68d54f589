//! A packet socket (packet(7)).

// The address that a socket of this family is bound to is out of the standard library's reach.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;
use super::descriptor::{Descriptor, Wake};

/// The smallest unit that the kernel plans a ring in. Version 3 packs frames without regard to it; it only
/// has to divide a block.
const RING_FRAME_LEN: u32 = 2048;

/// How long the kernel waits before it hands over a block that is not full, in milliseconds.
pub(crate) const BLOCK_TIMEOUT_MS: c_uint = 10;

/// How a ring is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The length of a block in bytes, a multiple of the page size.
    pub(crate) block_bytes: u32,
    /// The number of blocks.
    pub(crate) blocks: u32,
}

impl Layout {
    /// The length of the whole ring in bytes.
    pub(crate) fn ring_bytes(self) -> usize {
        self.block_bytes as usize * self.blocks as usize
    }
}

/// A socket that receives the frames of one interface.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    descriptor: Descriptor,
}

impl PacketSocket {
    /// A socket that receives nothing before it is bound.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability `CAP_NET_RAW`.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { descriptor: Descriptor::open(libc::AF_PACKET, libc::SOCK_NONBLOCK)? })
    }

    /// Makes the kernel keep received frames in a ring of `TPACKET_V3` blocks.
    pub(crate) fn make_ring(&self, layout: Layout) -> io::Result<()> {
        self.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        let request = libc::tpacket_req3 {
            tp_block_size: layout.block_bytes,
            tp_block_nr: layout.blocks,
            tp_frame_size: RING_FRAME_LEN,
            tp_frame_nr: layout.block_bytes / RING_FRAME_LEN * layout.blocks,
            tp_retire_blk_tov: BLOCK_TIMEOUT_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        self.set(libc::PACKET_RX_RING, &request)
    }

    /// Leaves out the frames that this host sends.
    pub(crate) fn ignore_outgoing(&self) -> io::Result<()> {
        self.set::<c_int>(libc::PACKET_IGNORE_OUTGOING, &1)
    }

    /// Has the interface take frames for any destination while the socket is open.
    pub(crate) fn be_promiscuous(&self, interface: u32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: interface as c_int,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Starts to receive the frames of one interface, of all protocols.
    pub(crate) fn bind(&self, interface: u32) -> io::Result<()> {
        let mut address = no_address();
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface as c_int;
        self.descriptor.bind(&address)
    }

    /// Joins the sockets among which the kernel shares out the interface's frames, by a hash of the flow or as a program says.
    pub(crate) fn join_fanout(&self, group: u16, program: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let by = if program.is_some() { libc::PACKET_FANOUT_EBPF } else { libc::PACKET_FANOUT_HASH };
        self.set(libc::PACKET_FANOUT, &(c_uint::from(group) | (by << 16)))?;
        // Until the group has its program, its first socket gets everything; each member brings the same one.
        program.map_or(Ok(()), |program| self.set(libc::PACKET_FANOUT_DATA, &program.as_raw_fd()))
    }

    /// How many frames were lost since this was asked last.
    pub(crate) fn lost_since_last(&self) -> io::Result<u32> {
        // `tp_packets` counts the lost ones too, and is of no use here.
        let mut statistics = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        self.descriptor.option(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut statistics)?;
        Ok(statistics.tp_drops)
    }

    /// The error that the socket has to tell, if any. Asking clears it.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.descriptor.take_error()
    }

    /// The interface that the socket is bound to, or none once that has been removed.
    pub(crate) fn interface(&self) -> io::Result<Option<u32>> {
        let mut address = no_address();
        let mut len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let place = std::ptr::from_mut(&mut address).cast();
        // SAFETY: the pointer is to writable memory of `len` bytes, and any bytes make a packet address.
        check(unsafe { libc::getsockname(self.descriptor.raw(), place, &raw mut len) })?;
        // The kernel writes -1 when the interface goes away.
        Ok(u32::try_from(address.sll_ifindex).ok())
    }

    /// Waits until there is something to read or to tell, for `timeout_ms` milliseconds at most. A signal
    /// ends the wait as the time would.
    pub(crate) fn wait(&self, timeout_ms: c_int) -> io::Result<Wake> {
        self.descriptor.wait(timeout_ms)
    }

    /// The descriptor, for mapping the ring.
    pub(super) fn raw(&self) -> c_int {
        self.descriptor.raw()
    }

    /// Sets an option of the packet level. `T` is the option's own type.
    fn set<T: Copy>(&self, option: c_int, value: &T) -> io::Result<()> {
        self.descriptor.set(libc::SOL_PACKET, option, value)
    }
}

/// A packet address that names nothing yet.
fn no_address() -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}
