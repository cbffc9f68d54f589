//! Frames straight from an `AF_PACKET` ring (`TPACKET_V3`), without a copy and without a system call a frame.
//!
//! The kernel packs frames into blocks and hands a block over when it is full or 10 ms old. A batch is a
//! stretch of a block; the block goes back once its last batch has been seen. When every block is the
//! process's, the kernel drops what arrives and counts it.
//!
//! The outermost VLAN tag of a frame, which the kernel carries beside it, is put back in its place: see [`vlan`].

mod block;
mod vlan;

use std::io;
use std::thread;
use std::time::Duration;

use self::block::Cursor;
use crate::fanout::Fanout;
use crate::frame::Frames;
use crate::lasting::{Open, Place};
use crate::live::Interface;
use crate::sys::descriptor::Wake;
use crate::sys::device;
use crate::sys::mapping::Mapping;
use crate::sys::socket::{BLOCK_TIMEOUT_MS, Layout, PacketSocket};
use crate::{Error, Frame, Poll, Source};

/// How long a poll waits for frames, in milliseconds.
const IDLE_MS: i32 = 10;

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
        if cursor.is_before_tag(bytes, self.interface.linktype) {
            cursor.put_tags_back(bytes);
        }
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
