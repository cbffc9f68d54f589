//! Tun and tap devices: interfaces whose frames a test writes itself, bare IP packets or whole Ethernet frames.

// Attaching to the device takes an ioctl, which the standard library does not have.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

/// Makes a tun device that exists for as long as the file is open. What is written to the file arrives on
/// the interface.
pub(crate) fn create(name: &str) -> File {
    device(name, libc::IFF_TUN)
}

/// Makes a tap device in the same way.
pub(crate) fn create_tap(name: &str) -> File {
    device(name, libc::IFF_TAP)
}

/// Makes a tun device whose frames are of the kind with that number in the `ARPHRD_` registry.
pub(crate) fn create_of_hardware(name: &str, hardware: libc::c_int) -> File {
    let file = create(name);
    // SAFETY: the request takes a number and touches no memory.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETLINK, hardware) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    file
}

/// The request that changes a tun device's kind of frames (linux/if_tun.h).
const TUNSETLINK: libc::Ioctl = 0x4004_54cd;

fn device(name: &str, kind: libc::c_int) -> File {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap();
    let flags = (kind | libc::IFF_NO_PI) as i16;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IF_NAMESIZE],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags },
    };
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte as c_char;
    }
    // SAFETY: the request reads and writes one `ifreq`, which the pointer is to.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    file
}
