//! The XDP program that hands an interface's frames to `AF_XDP` sockets.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aya::maps::XskMap;
use aya::programs::Xdp;
use aya::programs::xdp::XdpMode;
use aya::{Ebpf, EbpfLoader};

use crate::Error;
use crate::error::cause;
use crate::live::Interface;
use crate::sys::xsk::XskSocket;

/// The program, compiled. A test compiles it anew from `bpf/` and compares, where that compiler is there.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../bpf/redirect.bpf.o");

/// The program of one capture, which the first of its queues brings to the interface and the last takes away.
#[derive(Clone, Default)]
pub(crate) struct Redirect(Arc<Mutex<Weak<Attached>>>);

/// The program on an interface, for as long as this value lives.
pub(crate) struct Attached {
    /// The interface, which has another index when it comes back.
    interface: u32,
    program: Mutex<Ebpf>,
    /// Where it runs, for the operator.
    pub(crate) mode: &'static str,
}

impl Redirect {
    /// The program on that interface, which is joined to it unless it is already.
    pub(crate) fn on(&self, interface: &Interface) -> Result<Arc<Attached>, Error> {
        let mut attached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = attached.upgrade().filter(|there| there.interface == interface.index) {
            return Ok(there);
        }
        let fresh = Arc::new(Attached::new(interface)?);
        *attached = Arc::downgrade(&fresh);
        Ok(fresh)
    }
}

impl Attached {
    fn new(interface: &Interface) -> Result<Self, Error> {
        let failed = |step, error: &(dyn std::error::Error + 'static)| {
            let source = cause(error);
            let cure = if matches!(source.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) {
                "another XDP program is on the interface: `ip link` names it, and `ip link set dev NAME xdp off` takes off one \
                 that no process holds"
            } else {
                CURE_PROGRAM
            };
            Error::Xsk { interface: interface.name.clone(), step, source, cure }
        };
        let load = "load its program";
        let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(|error| failed(load, &error))?;
        let program = ebpf.program_mut("redirect").expect("the object holds the program");
        let program: &mut Xdp = program.try_into().map_err(|error| failed(load, &error))?;
        program.load().map_err(|error| failed(load, &error))?;
        let mode = match program.attach_to_if_index(interface.index, XdpMode::Driver) {
            Ok(_) => "in the driver",
            Err(_) => {
                let join = "join its program to the interface";
                program
                    .attach_to_if_index(interface.index, XdpMode::Skb)
                    .map_err(|error| failed(join, &error))?;
                "behind the driver, which cannot run it itself"
            }
        };
        Ok(Self { interface: interface.index, program: Mutex::new(ebpf), mode })
    }

    /// Has frames of a queue handed to a socket that is bound to it.
    pub(crate) fn hand(&self, queue: u32, to: &XskSocket) -> io::Result<()> {
        let mut ebpf = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        let sockets = ebpf.map_mut("sockets").expect("the object holds the map");
        let mut sockets = XskMap::try_from(sockets).map_err(|error| cause(&error))?;
        sockets.set(queue, to.as_raw_fd(), 0).map_err(|error| cause(&error))
    }
}

const CURE_PROGRAM: &str = "it needs the capabilities CAP_BPF and CAP_NET_ADMIN, and for longer frames than 3,500 bytes there is \
                            the backend af_packet";
