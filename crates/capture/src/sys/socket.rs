//! A packet socket (packet(7)).

// Sockets of this family, their options and their readiness are out of the standard library's reach.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::check;

/// The smallest unit that the kernel plans a ring in. Version 3 packs frames without regard to it; it only
/// has to divide a block.
const RING_FRAME_LEN: u32 = 2048;

/// How long the kernel waits before it hands over a block that is not full, in milliseconds.
const BLOCK_TIMEOUT_MS: c_uint = 10;

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

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There are frames to read.
    Readable,
    /// The socket has an error to tell.
    Failed,
    /// Neither, within the time.
    TimedOut,
}

/// A socket that receives the frames of one interface.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    descriptor: OwnedFd,
}

impl PacketSocket {
    /// A socket that receives nothing before it is bound.
    ///
    /// # Errors
    ///
    /// `EPERM` without the capability `CAP_NET_RAW`.
    pub(crate) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes plain numbers.
        let descriptor = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: the descriptor is open and nobody else's, since it was made just now.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { descriptor })
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
        let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let address = std::ptr::from_ref(&address).cast();
        // SAFETY: the pointer is to a packet address, of which `len` is the length.
        check(unsafe { libc::bind(self.descriptor.as_raw_fd(), address, len) })?;
        Ok(())
    }

    /// Joins the sockets among which the kernel shares out the interface's frames by a hash of the flow.
    pub(crate) fn join_fanout(&self, group: u16) -> io::Result<()> {
        self.set(libc::PACKET_FANOUT, &(c_uint::from(group) | (libc::PACKET_FANOUT_HASH << 16)))
    }

    /// How many frames were lost since this was asked last.
    pub(crate) fn lost_since_last(&self) -> io::Result<u32> {
        // `tp_packets` counts the lost ones too, and is of no use here.
        let mut statistics = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        self.option(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut statistics)?;
        Ok(statistics.tp_drops)
    }

    /// The error that the socket has to tell, if any. Asking clears it.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let mut errno: c_int = 0;
        self.option(libc::SOL_SOCKET, libc::SO_ERROR, &mut errno)?;
        Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
    }

    /// The interface that the socket is bound to, or none once that has been removed.
    pub(crate) fn interface(&self) -> io::Result<Option<u32>> {
        let mut address = no_address();
        let mut len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let place = std::ptr::from_mut(&mut address).cast();
        // SAFETY: the pointer is to writable memory of `len` bytes, and any bytes make a packet address.
        check(unsafe { libc::getsockname(self.descriptor.as_raw_fd(), place, &raw mut len) })?;
        // The kernel writes -1 when the interface goes away.
        Ok(u32::try_from(address.sll_ifindex).ok())
    }

    /// Waits until there is something to read or to tell, for `timeout_ms` milliseconds at most. A signal
    /// ends the wait as the time would.
    pub(crate) fn wait(&self, timeout_ms: c_int) -> io::Result<Wake> {
        let mut waiting = libc::pollfd { fd: self.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one `pollfd`, and the count says one.
        let result = check(unsafe { libc::poll(&raw mut waiting, 1, timeout_ms) });
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Wake::TimedOut),
            Err(error) => Err(error),
            Ok(0) => Ok(Wake::TimedOut),
            Ok(_) if waiting.revents & libc::POLLERR != 0 => Ok(Wake::Failed),
            Ok(_) => Ok(Wake::Readable),
        }
    }

    /// The descriptor, for mapping the ring.
    pub(super) fn raw(&self) -> c_int {
        self.descriptor.as_raw_fd()
    }

    /// Sets an option of the packet level. `T` is the option's own type.
    fn set<T: Copy>(&self, option: c_int, value: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        let value = std::ptr::from_ref(value).cast();
        // SAFETY: the pointer is to `len` bytes that live through the call, and the kernel only reads them.
        check(unsafe {
            libc::setsockopt(self.descriptor.as_raw_fd(), libc::SOL_PACKET, option, value, len)
        })?;
        Ok(())
    }

    /// Reads an option into `value`. `T` is the option's own type, made of plain numbers.
    fn option<T: Copy>(&self, level: c_int, option: c_int, value: &mut T) -> io::Result<()> {
        let mut len = size_of::<T>() as libc::socklen_t;
        let place = std::ptr::from_mut(value).cast();
        // SAFETY: the pointer is to writable memory of `len` bytes, and any bytes make such a value.
        check(unsafe { libc::getsockopt(self.descriptor.as_raw_fd(), level, option, place, &raw mut len) })?;
        Ok(())
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
