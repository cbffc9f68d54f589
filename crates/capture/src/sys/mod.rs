//! The kernel's door: every system call of this crate that the standard library does not offer, each as a
//! safe function, and nothing else. Policy stands elsewhere.
//!
//! `device` asks about interfaces, `socket` is a packet socket, `mapping` is the memory of its ring.

pub(crate) mod device;
pub(crate) mod mapping;
pub(crate) mod socket;

use std::io;

/// The outcome of a call that returns -1 and sets `errno` when it fails.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
