//! What the kernel knows of an interface (netdevice(7)).

// Interfaces are asked about by ioctl and a C library function; the standard library has neither.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use super::check;

/// Whether an error means that there is no such interface, rather than that the question could not be asked,
/// as when the process has no descriptor left.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO))
}

/// The index of the interface with that name.
///
/// # Errors
///
/// `ENODEV` when there is none, also where the name could not belong to any.
pub(crate) fn index(name: &str) -> io::Result<u32> {
    let name = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: the pointer is to a string that ends in NUL and lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(io::Error::last_os_error()) } else { Ok(index) }
}

/// The `ARPHRD_` number of the interface's link layer.
///
/// # Errors
///
/// `ENODEV` when there is no interface of that name.
pub(crate) fn hardware_type(name: &str) -> io::Result<u16> {
    let mut request = named_request(name)?;
    ask(libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: the member is plain numbers, all of which were set when the request was made.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    Ok(address.sa_family)
}

/// Whether the interface with that index is administratively up, whatever its name is by now.
///
/// # Errors
///
/// `ENXIO` or `ENODEV` when there is no interface with that index.
pub(crate) fn is_up(index: u32) -> io::Result<bool> {
    let mut request = indexed_request(index)?;
    ask(libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: the member is a plain number, set when the request was made.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(libc::c_int::from(flags) & libc::IFF_UP != 0)
}

/// How many queues the interface with that index receives on, where its driver tells.
pub(crate) fn receive_queues(index: u32) -> Option<u32> {
    let mut channels = [GET_CHANNELS, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut request = indexed_request(index).ok()?;
    request.ifr_ifru.ifru_data = channels.as_mut_ptr().cast();
    ask(SIOCETHTOOL, &mut request).ok()?;
    let [_, _, _, _, _, receiving, _, _, combined] = channels;
    Some(receiving + combined).filter(|&queues| queues > 0)
}

/// The request that ethtool makes, and the question in it: `struct ethtool_channels` of linux/ethtool.h is that question's
/// number, the most queues of four kinds, and the queues of the same kinds, of which the first and the last receive.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GET_CHANNELS: u32 = 0x3c;

/// A request about the interface of that name; one that is too long for an interface is none.
fn named_request(name: &str) -> io::Result<libc::ifreq> {
    let mut bytes = [0; libc::IF_NAMESIZE];
    if name.len() >= bytes.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (slot, byte) in bytes.iter_mut().zip(name.bytes()) {
        *slot = byte as c_char;
    }
    Ok(request(bytes))
}

/// A request about the interface with that index.
fn indexed_request(index: u32) -> io::Result<libc::ifreq> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the pointer is to as many writable bytes as the function may write, IF_NAMESIZE.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return Err(io::Error::last_os_error());
    }
    Ok(request(name))
}

fn request(name: [c_char; libc::IF_NAMESIZE]) -> libc::ifreq {
    let nothing = libc::sockaddr { sa_family: 0, sa_data: [0; 14] };
    libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_hwaddr: nothing } }
}

/// Lets the kernel answer `request`. Any socket will do to ask, so a local one is used: it needs no
/// privilege and no network.
fn ask(question: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // SAFETY: the questions that are asked read and write one `ifreq`, which the reference is to, and the one about queues
    // their numbers, which the request points to and which live through the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), question, std::ptr::from_mut(request)) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_known_by_its_name() {
        let index = index("lo").unwrap();
        assert_eq!(hardware_type("lo").unwrap(), libc::ARPHRD_LOOPBACK);
        is_up(index).expect("an interface that exists is up or down");
    }

    #[test]
    fn names_that_no_interface_can_have_are_no_interface() {
        for name in ["", "no-such-device", "a-name-beyond-the-fifteen-bytes", "nul\0inside"] {
            assert!(is_absence(&index(name).unwrap_err()), "{name:?}");
            assert!(is_absence(&hardware_type(name).unwrap_err()), "{name:?}");
        }
        assert!(is_absence(&is_up(u32::MAX).unwrap_err()));
        assert!(!is_absence(&io::Error::from_raw_os_error(libc::EMFILE)));
    }
}
