//! A source that outlives its interface: when that is removed, the source waits for one of the same name and captures on it.

use std::io;
use std::thread;
use std::time::Duration;

use crate::live::Interface;
use crate::sys::device;
use crate::{Error, Frame, LiveConfig, Poll, Source};

/// How long a poll takes while there is no interface.
const IDLE: Duration = Duration::from_millis(10);
/// At every so many polls the interface is looked for, 10 times a second.
const POLLS_A_LOOK: u32 = 10;

/// A capture on an interface that can be opened again.
pub(crate) trait Open: Source + Sized {
    /// What the queues of one capture share.
    type Common: Clone + Send;

    /// Captures on the `queue`-th queue, counted from 0. The first frame is numbered behind `frames`.
    fn open(at: &Place<Self>, interface: &Interface, frames: u64) -> Result<Self, Error>;

    /// The number of the last frame.
    fn frames(&self) -> u64;
}

/// Where a source captures, for as often as it is opened.
pub(crate) struct Place<S: Open> {
    pub(crate) config: LiveConfig,
    pub(crate) common: S::Common,
    /// Which of the configuration's queues, counted from 0.
    pub(crate) queue: usize,
}

/// A source, whether or not its interface is there.
pub(crate) struct Lasting<S: Open> {
    at: Place<S>,
    state: State<S>,
    /// Frames that the kernel lost before the interface was removed last.
    lost: u64,
    /// How often the interface came back.
    reopened: u64,
}

enum State<S> {
    There(S),
    Gone {
        frames: u64,
        polls: u32,
        /// Why the interface that is back could not be captured on.
        because: Option<String>,
    },
}

impl<S: Open> Lasting<S> {
    /// Captures on an interface that is there.
    pub(crate) fn open(at: Place<S>, interface: &Interface) -> Result<Self, Error> {
        let source = S::open(&at, interface, 0)?;
        Ok(Self { at, state: State::There(source), lost: 0, reopened: 0 })
    }

    /// Closes what captured on an interface that is gone: a queue or a group that it holds is free for the next.
    fn close(&mut self) {
        if let State::There(source) = &mut self.state {
            self.lost += source.kernel_drops();
            self.state = State::Gone { frames: source.frames(), polls: 0, because: None };
        }
    }

    /// Waits for a poll's time, and now and then looks whether the interface is back.
    fn wait(&mut self) -> Result<(), Error> {
        thread::sleep(IDLE);
        let State::Gone { frames, polls, because } = &mut self.state else { return Ok(()) };
        *polls += 1;
        if !polls.is_multiple_of(POLLS_A_LOOK) || device::index(&self.at.config.interface).is_err() {
            return Ok(());
        }
        let found = Interface::find(&self.at.config.interface);
        match found.and_then(|interface| S::open(&self.at, &interface, *frames)) {
            Ok(source) => {
                self.state = State::There(source);
                self.reopened += 1;
                Ok(())
            }
            Err(error) if is_final(&error) => Err(error),
            // Such as a queue that the kernel has not freed yet.
            Err(error) => {
                *because = Some(error.to_string());
                Ok(())
            }
        }
    }
}

/// Whether waiting does not mend an error: privileges that were given up do not come back. Anything else about an interface, down
/// to its kind and its queues, can be another the next time.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Privilege { .. } => true,
        Error::Ring { source, .. } | Error::DataLink { source, .. } | Error::Xsk { source, .. } => {
            source.kind() == io::ErrorKind::PermissionDenied
        }
        _ => false,
    }
}

impl<S: Open> Source for Lasting<S> {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        let State::There(source) = &mut self.state else {
            return self.wait().map(|()| Poll::Idle);
        };
        match source.poll(sink) {
            Err(Error::DeviceGone { .. }) => {
                self.close();
                Ok(Poll::Idle)
            }
            polled => polled,
        }
    }

    fn kernel_drops(&mut self) -> u64 {
        self.lost + if let State::There(source) = &mut self.state { source.kernel_drops() } else { 0 }
    }

    fn is_up(&self) -> bool {
        matches!(&self.state, State::There(source) if source.is_up())
    }

    fn describe(&self) -> String {
        let name = &self.at.config.interface;
        match &self.state {
            State::There(source) if self.reopened == 0 => source.describe(),
            State::There(source) => format!("{}; reopened {} times", source.describe(), self.reopened),
            State::Gone { because: None, .. } => {
                format!("the interface {name} is gone; capture goes on when it is back")
            }
            State::Gone { because: Some(error), .. } => {
                format!("the interface {name} was gone, and cannot be captured on again yet: {error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_the_kernel(code: i32) -> Error {
        let source = io::Error::from_raw_os_error(code);
        Error::Ring { interface: "eth0".into(), step: "bind to the interface", source, cure: "none" }
    }

    #[test]
    fn waiting_mends_a_queue_that_is_taken_and_no_lack_of_privilege() {
        for (error, expected) in [
            (by_the_kernel(libc::EBUSY), false),
            (by_the_kernel(libc::ENETDOWN), false),
            (by_the_kernel(libc::EPERM), true),
            (Error::DeviceGone { interface: "eth0".into() }, false),
            (Error::Privilege { interface: "eth0".into(), program: "p".into() }, true),
            (Error::LinkLayer { interface: "eth0".into(), hardware: 512 }, false),
        ] {
            assert_eq!(is_final(&error), expected, "{error}");
        }
    }
}
