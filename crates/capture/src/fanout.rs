//! How the frames of an interface are shared out among packet sockets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use aya::EbpfLoader;
use aya::programs::SocketFilter;

use crate::error::cause;
use crate::live::LINKTYPE_ETHERNET;

/// The programs, compiled. A test compiles them anew from `bpf/` and compares, where that compiler is there.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../bpf/fanout.bpf.o");

/// How frames are shared out.
#[derive(Clone, Debug)]
pub(crate) enum Fanout {
    /// There is one socket.
    Alone,
    /// By a program: an address pair stays together.
    Pairs(Arc<OwnedFd>),
    /// By the kernel's own hash of addresses and ports, and why.
    Hash(Arc<str>),
}

impl Fanout {
    /// The best that the kernel grants for so many sockets of an interface with that link type.
    pub(crate) fn new(queues: usize, linktype: u16) -> Self {
        if queues == 1 {
            return Self::Alone;
        }
        match load(queues as u32, linktype) {
            Ok(program) => Self::Pairs(Arc::new(program)),
            Err(error) => Self::Hash(error.into()),
        }
    }

    /// The program by which frames are shared out, if it is one.
    pub(crate) fn program(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Pairs(program) => Some(program.as_fd()),
            Self::Alone | Self::Hash(_) => None,
        }
    }

    /// For the operator, behind the number of the group.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Alone => String::new(),
            Self::Pairs(_) => ", by address pair".to_owned(),
            Self::Hash(because) => format!(
                ", by the kernel's hash of addresses and ports, which can part the fragments of a datagram and the flows \
                 of a pair, because {because}"
            ),
        }
    }
}

/// Loads the program, or says why not.
fn load(queues: u32, linktype: u16) -> Result<OwnedFd, String> {
    let refused = |error: &(dyn std::error::Error + 'static)| {
        format!(
            "the kernel does not take the program that keeps them together: {}; it needs the capability CAP_BPF",
            cause(error)
        )
    };
    let mut ebpf = EbpfLoader::new()
        .override_global("queues", &queues, true)
        .load(OBJECT)
        .map_err(|error| refused(&error))?;
    let name = if linktype == LINKTYPE_ETHERNET { "ethernet" } else { "bare" };
    let program = ebpf.program_mut(name).expect("the object holds the program");
    let program: &mut SocketFilter = program.try_into().map_err(|error| refused(&error))?;
    program.load().map_err(|error| refused(&error))?;
    let descriptor = program.fd().map_err(|error| refused(&error))?;
    descriptor.as_fd().try_clone_to_owned().map_err(|error| refused(&error))
}
