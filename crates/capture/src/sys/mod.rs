//! The kernel's door: every system call of this crate that the standard library does not offer, each as a
//! safe function, and nothing else. Policy stands elsewhere.
//!
//! `device` asks about interfaces. `socket` is a packet socket, and `mapping` the memory of its ring; `xsk` is an `AF_XDP`
//! socket with its memory. `descriptor` and `shared` are what both kinds have in common.

pub(crate) mod descriptor;
pub(crate) mod device;
pub(crate) mod mapping;
mod shared;
pub(crate) mod socket;
pub(crate) mod xsk;

use std::io;

/// The outcome of a call that returns -1 and sets `errno` when it fails.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
