//! What sockets of all kinds have in common: options, an error to tell, and readiness.

// Options of these families and readiness are out of the standard library's reach.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::check;

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There are frames to read.
    Readable,
    /// The socket has an error to tell.
    Failed,
    /// Neither, within the time.
    TimedOut,
}

/// A socket of any family, which closes with this value.
#[derive(Debug)]
pub(super) struct Descriptor(OwnedFd);

impl Descriptor {
    /// A socket of a family whose frames come as they are.
    pub(super) fn open(family: c_int, flags: c_int) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | flags;
        // SAFETY: the call takes plain numbers.
        let descriptor = check(unsafe { libc::socket(family, kind, 0) })?;
        // SAFETY: the descriptor is open and nobody else's, since it was made just now.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// The number by which the kernel knows the socket.
    pub(super) fn raw(&self) -> c_int {
        self.0.as_raw_fd()
    }

    /// Sets an option. `T` is the option's own type.
    pub(super) fn set<T: Copy>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        let value = std::ptr::from_ref(value).cast();
        // SAFETY: the pointer is to `len` bytes that live through the call, and the kernel only reads them.
        check(unsafe { libc::setsockopt(self.raw(), level, option, value, len) })?;
        Ok(())
    }

    /// Reads an option into `value`, and says how many bytes of it the kernel knows. `T` is the option's own type, made of
    /// plain numbers.
    pub(super) fn option<T: Copy>(&self, level: c_int, option: c_int, value: &mut T) -> io::Result<usize> {
        let mut len = size_of::<T>() as libc::socklen_t;
        let place = std::ptr::from_mut(value).cast();
        // SAFETY: the pointer is to writable memory of `len` bytes, and any bytes make such a value.
        check(unsafe { libc::getsockopt(self.raw(), level, option, place, &raw mut len) })?;
        Ok(len as usize)
    }

    /// Binds to an address of the socket's family.
    pub(super) fn bind<T: Copy>(&self, address: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        let address = std::ptr::from_ref(address).cast();
        // SAFETY: the pointer is to an address of `len` bytes that lives through the call, and the kernel only reads it.
        check(unsafe { libc::bind(self.raw(), address, len) })?;
        Ok(())
    }

    /// The error that the socket has to tell, if any. Asking clears it.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let mut errno: c_int = 0;
        self.option(libc::SOL_SOCKET, libc::SO_ERROR, &mut errno)?;
        Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
    }

    /// Waits until there is something to read or to tell, for `timeout_ms` milliseconds at most. A signal
    /// ends the wait as the time would.
    pub(super) fn wait(&self, timeout_ms: c_int) -> io::Result<Wake> {
        let mut waiting = libc::pollfd { fd: self.raw(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one `pollfd`, and the count says one.
        let result = check(unsafe { libc::poll(&raw mut waiting, 1, timeout_ms) });
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Wake::TimedOut),
            Err(error) => Err(error),
            Ok(0) => Ok(Wake::TimedOut),
            Ok(_) if waiting.revents & libc::POLLERR != 0 => Ok(Wake::Failed),
            Ok(_) => Ok(Wake::Readable),
        }
    }
}
