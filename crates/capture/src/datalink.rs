//! Frames through the portable data link of the crate `pnet`, one by one.
//!
//! The fallback where a kernel has packet sockets but no rings. It costs two system calls a frame, cannot
//! tell what was lost or which VLAN tag the kernel took out, sees outgoing frames whether or not they are wanted,
//! and knows no capture time, so that a frame's time is when it was read.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pnet::datalink::{self, Channel, Config, DataLinkReceiver, FanoutOption, FanoutType};

use crate::clock::now_ns;
use crate::frame::{FRAME_MAX, Frames};
use crate::lasting::{Open, Place};
use crate::live::Interface;
use crate::sys::device;
use crate::{Error, Frame, LiveConfig, Poll, Source};

/// How long a poll waits for a frame.
const IDLE: Duration = Duration::from_millis(10);

/// An interface's data link, or one member of a fan-out group of them.
pub(crate) struct DataLink {
    receiver: Box<dyn DataLinkReceiver>,
    interface: Interface,
    description: String,
    frames: u64,
    is_up: bool,
}

impl Open for DataLink {
    /// Why the data link is used, for the operator.
    type Common = Arc<str>;

    fn open(at: &Place<Self>, interface: &Interface, frames: u64) -> Result<Self, Error> {
        let Place { config, common: because, .. } = at;
        let found = datalink::interfaces().into_iter().find(|found| found.index == interface.index);
        let gone = || Error::DeviceGone { interface: interface.name.clone() };
        let channel = datalink::channel(&found.ok_or_else(gone)?, channel_config(config));
        let receiver = match channel {
            Ok(Channel::Ethernet(_, receiver)) => receiver,
            Ok(_) => return Err(failed(interface, "open", io::ErrorKind::Unsupported.into())),
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                return Err(interface.not_opened(source));
            }
            Err(source) => return Err(failed(interface, "open", source)),
        };
        let outgoing = if config.ignore_outgoing { "; outgoing frames are seen all the same" } else { "" };
        let parting = if config.queues > 1 {
            "; the kernel's hash of addresses and ports can part the fragments of a datagram and the flows of a pair"
        } else {
            ""
        };
        let description = format!(
            "pnet data link on {} (because {because}; link type {}; lost frames are not counted, times are \
             those of reading{outgoing}{parting})",
            interface.name, interface.linktype
        );
        Ok(Self { receiver, interface: interface.clone(), description, frames, is_up: true })
    }

    fn frames(&self) -> u64 {
        self.frames
    }
}

impl DataLink {
    /// Finds out, after a read that brought nothing but `error`, whether the interface is still there and
    /// up, and whether the error is one to end with.
    fn look_after(&mut self, error: io::Error) -> Result<(), Error> {
        match device::is_up(self.interface.index) {
            Ok(is_up) => self.is_up = is_up,
            Err(absent) if device::is_absence(&absent) => {
                return Err(Error::DeviceGone { interface: self.interface.name.clone() });
            }
            // Such as a lack of descriptors, which says nothing of the interface.
            Err(_) => {}
        }
        // Waits may end early; and the data link calls it an error of another kind, or that the network is
        // down, when the interface was down a moment ago.
        let harmless = matches!(
            error.kind(),
            io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::NetworkDown
                | io::ErrorKind::Other
        );
        if harmless || !self.is_up { Ok(()) } else { Err(failed(&self.interface, "receive", error)) }
    }
}

fn channel_config(config: &LiveConfig) -> Config {
    let fanout = FanoutOption {
        group_id: config.fanout_group,
        fanout_type: FanoutType::HASH,
        defrag: false,
        rollover: false,
    };
    Config {
        read_buffer_size: FRAME_MAX,
        read_timeout: Some(IDLE),
        linux_fanout: (config.queues > 1).then_some(fanout),
        promiscuous: config.promiscuous,
        ..Config::default()
    }
}

impl Source for DataLink {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        match self.receiver.next() {
            Ok(bytes) => {
                let mut frames = Frames::numbered_from(self.frames + 1);
                frames.push(now_ns(), bytes.len() as u32, self.interface.linktype, bytes);
                self.frames += 1;
                if !self.is_up {
                    // The frame may be left over from before the interface went down.
                    self.is_up = device::is_up(self.interface.index).unwrap_or(false);
                }
                sink(frames.as_slice());
                Ok(Poll::Frames)
            }
            Err(error) => {
                let timed_out = error.kind() == io::ErrorKind::TimedOut;
                self.look_after(error)?;
                if !timed_out {
                    // The data link does not clear the socket's error, so that it fails at once while the
                    // interface is down.
                    thread::sleep(IDLE);
                }
                Ok(Poll::Idle)
            }
        }
    }

    fn kernel_drops(&mut self) -> u64 {
        0
    }

    fn is_up(&self) -> bool {
        self.is_up
    }

    fn describe(&self) -> String {
        let down = if self.is_up { "" } else { "; the interface is down" };
        format!("{}{down}", self.description)
    }
}

fn failed(interface: &Interface, step: &'static str, source: io::Error) -> Error {
    Error::DataLink { interface: interface.name.clone(), step, source }
}
