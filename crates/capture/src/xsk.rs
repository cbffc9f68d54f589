//! Frames through an `AF_XDP` socket: the driver, or the kernel right behind it, puts them into memory of the process, and they
//! do not reach the host's own network stack.
//!
//! A batch is what waits in the socket's ring; its chunks go back once it has been seen. Frames arrive whole, VLAN tags
//! included, without a time, so that theirs is when their batch was read.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::now_ns;
use crate::frame::{BATCH_FRAMES, FRAME_MAX, Frames};
use crate::lasting::{Open, Place};
use crate::live::{Interface, LINKTYPE_ETHERNET};
use crate::redirect::{Attached, Redirect};
use crate::sys::descriptor::Wake;
use crate::sys::device;
use crate::sys::xsk::{CHUNK, XskMemory, XskSocket};
use crate::{Error, Frame, LiveConfig, Poll, Source};

/// How long a poll waits for frames, in milliseconds.
const IDLE_MS: i32 = 10;
/// The fewest chunks of a socket: what some drivers take in advance.
const CHUNKS_MIN: usize = 2048;
/// How often binding to a queue is tried, and how long apart. A queue stays taken for a moment after its socket was closed.
const BINDS: u32 = 10;
const BIND_AGAIN: Duration = Duration::from_millis(50);

const _: () = assert!(CHUNK <= FRAME_MAX, "a chunk's frame is one that the sink may get");

/// The socket of one queue of an interface.
pub(crate) struct Xsk {
    // In front of the socket, so that the memory is unmapped before the socket that it belongs to closes.
    memory: XskMemory,
    socket: XskSocket,
    /// Keeps the program on the interface.
    attached: Arc<Attached>,
    interface: Interface,
    /// Which queue this is and how frames come, for the operator.
    way: String,
    frames: u64,
    lost: u64,
    is_up: bool,
}

impl Open for Xsk {
    type Common = Redirect;

    fn open(at: &Place<Self>, interface: &Interface, frames: u64) -> Result<Self, Error> {
        let Place { config, common, queue } = at;
        suits(config, interface)?;
        let failed = |step, cure| {
            let interface = interface.name.clone();
            move |source| Error::Xsk { interface, step, source, cure }
        };
        let socket = XskSocket::open().map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => interface.not_opened(source),
            _ => failed("open", "check that the kernel has such sockets (CONFIG_XDP_SOCKETS)")(source),
        })?;
        let count = chunks(config);
        let memory = XskMemory::new(&socket, count).map_err(failed("share its memory", CURE_MEMORY))?;
        let polling = match socket.poll_busily() {
            Ok(()) => "busily polled",
            Err(_) => "not busily polled, which needs CAP_NET_ADMIN and Linux 5.11",
        };
        let attached = common.on(interface)?;
        bind(&socket, interface.index, *queue as u32).map_err(failed("bind to its queue", CURE_BIND))?;
        let copying = match socket.is_zero_copy() {
            Ok(true) => "zero-copy",
            _ => "copying, since the driver does not do without",
        };
        let hand = "have frames handed to it";
        attached
            .hand(*queue as u32, &socket)
            .map_err(failed(hand, "check that the interface still exists"))?;
        let way = format!("queue {} of {}, {copying}, {polling}, {count} chunks", queue + 1, config.queues);
        let interface = interface.clone();
        Ok(Self { memory, socket, attached, interface, way, frames, lost: 0, is_up: true })
    }

    fn frames(&self) -> u64 {
        self.frames
    }
}

/// The chunks of one socket: as much memory as a ring would have, in a power of two.
fn chunks(config: &LiveConfig) -> u32 {
    let wanted = (config.block_bytes * config.blocks / CHUNK).max(CHUNKS_MIN);
    1 << wanted.ilog2()
}

/// Whether the interface has frames that a program can tell apart, and as many queues as there are sockets.
fn suits(config: &LiveConfig, interface: &Interface) -> Result<(), Error> {
    let name = &interface.name;
    let what = if interface.linktype == LINKTYPE_ETHERNET {
        match device::receive_queues(interface.index) {
            Some(there) if there as usize != config.queues => format!(
                "the interface receives on {there} queues and `queues` is {}; they must be as many: set `queues = {there}`, \
                 or the device by `ethtool -L {name} combined {}`",
                config.queues, config.queues
            ),
            _ => return Ok(()),
        }
    } else {
        "AF_XDP takes frames of Ethernet interfaces; capture on this one with the backend af_packet"
            .to_owned()
    };
    Err(Error::Config { interface: name.clone(), what })
}

/// Binds to a queue, which may need a moment after another socket left it.
fn bind(socket: &XskSocket, interface: u32, queue: u32) -> io::Result<()> {
    for _ in 1..BINDS {
        match socket.bind(interface, queue) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => thread::sleep(BIND_AGAIN),
            bound => return bound,
        }
    }
    socket.bind(interface, queue)
}

impl Xsk {
    /// Hands over the next batch, if any frame waits.
    fn drain(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> bool {
        let count = self.memory.waiting().min(BATCH_FRAMES as u32);
        if count == 0 {
            return false;
        }
        let mut frames = Frames::numbered_from(self.frames + 1);
        let ts_ns = now_ns();
        for bytes in (0..count).filter_map(|nth| self.memory.frame(nth)) {
            frames.push(ts_ns, bytes.len() as u32, LINKTYPE_ETHERNET, bytes);
        }
        let found = frames.as_slice().len();
        if found > 0 {
            sink(frames.as_slice());
        }
        self.frames += found as u64;
        self.memory.give_back(count);
        if self.memory.needs_wake() {
            self.socket.wake();
        }
        if !self.is_up {
            // Frames may be left over from before it went down. If it is gone, the next wait tells.
            self.is_up = device::is_up(self.interface.index).unwrap_or(false);
        }
        found > 0
    }

    /// Waits for frames, and keeps an eye on the interface while there are none.
    fn wait(&mut self) -> Result<(), Error> {
        match self.socket.wait(IDLE_MS).map_err(|source| self.failed("wait for frames", source))? {
            Wake::Readable => Ok(()),
            Wake::TimedOut => self.look_after(),
            Wake::Failed => {
                // Asking clears the error, which would end every further wait at once.
                let error =
                    self.socket.take_error().map_err(|source| self.failed("read its error", source))?;
                self.look_after()?;
                match error {
                    Some(error) if error.raw_os_error() != Some(libc::ENETDOWN) => {
                        Err(self.failed("receive", error))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Finds out whether the interface is still there and up.
    fn look_after(&mut self) -> Result<(), Error> {
        match device::is_up(self.interface.index) {
            Ok(is_up) => self.is_up = is_up,
            Err(absent) if device::is_absence(&absent) => {
                return Err(Error::DeviceGone { interface: self.interface.name.clone() });
            }
            // Such as a lack of descriptors, which says nothing of the interface.
            Err(_) => {}
        }
        Ok(())
    }

    fn failed(&self, step: &'static str, source: io::Error) -> Error {
        let interface = self.interface.name.clone();
        Error::Xsk { interface, step, source, cure: "start the capture anew" }
    }
}

const CURE_MEMORY: &str =
    "give it fewer or smaller blocks, or let it lock memory (`ulimit -l`, LimitMEMLOCK=)";
const CURE_BIND: &str = "another program may have the queue (`ss -f xdp` shows which); and the interface must have that many \
                         queues (`ethtool -l`)";

impl Source for Xsk {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        if self.drain(sink) {
            return Ok(Poll::Frames);
        }
        self.wait()?;
        Ok(if self.drain(sink) { Poll::Frames } else { Poll::Idle })
    }

    fn kernel_drops(&mut self) -> u64 {
        // If the count cannot be read now, it is read later.
        self.lost = self.socket.lost().unwrap_or(self.lost);
        self.lost
    }

    fn is_up(&self) -> bool {
        self.is_up
    }

    fn describe(&self) -> String {
        let down = if self.is_up { "" } else { "; the interface is down" };
        format!(
            "AF_XDP socket on {} ({}; its program {}; IPv6 frames do not reach this host{down})",
            self.interface.name, self.way, self.attached.mode
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_as_much_memory_as_a_ring_in_a_power_of_two() {
        for (block_bytes, blocks, expected) in
            [(1 << 20, 64, 1 << 14), (4096, 2, 1 << 11), (1 << 20, 100, 1 << 14), (1 << 20, 2048, 1 << 19)]
        {
            let config = LiveConfig { block_bytes, blocks, ..LiveConfig::new("lo") };
            assert_eq!(chunks(&config), expected, "{blocks} blocks of {block_bytes}");
        }
    }

    #[test]
    fn an_interface_without_a_link_layer_is_refused_with_the_backend_that_takes_it() {
        let interface = Interface { name: "tun0".into(), index: 1, linktype: 101 };
        let error = suits(&LiveConfig::new("tun0"), &interface).unwrap_err().to_string();
        assert!(error.contains("tun0") && error.contains("af_packet"), "{error}");
    }
}
