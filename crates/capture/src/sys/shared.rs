//! Memory that the kernel and the process both change.

// Only raw pointers and atomics can say that somebody else writes too.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

/// Pages of the process for as long as this value lives.
#[derive(Debug)]
pub(super) struct Shared {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to the process, not to a thread, and this value is its only way in.
unsafe impl Send for Shared {}

impl Shared {
    /// Maps `len` bytes of what the kernel shares by a descriptor, from `offset` on.
    pub(super) fn of(descriptor: c_int, offset: libc::off_t, len: usize) -> io::Result<Self> {
        Self::map(libc::MAP_SHARED | libc::MAP_POPULATE, descriptor, offset, len)
    }

    /// Takes `len` bytes of the process's own, zeroed, to be shared later.
    pub(super) fn own(len: usize) -> io::Result<Self> {
        Self::map(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE, -1, 0, len)
    }

    fn map(flags: c_int, descriptor: c_int, offset: libc::off_t, len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: without a wished-for address the kernel maps where nothing else is.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, descriptor, offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// The number of bytes.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Where the `len` bytes from `offset` on stand. All of them must lie within.
    pub(super) fn place(&self, offset: usize, len: usize) -> *mut u8 {
        let end = offset.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.len), "nothing is looked for behind the end");
        // SAFETY: the offset is at most the mapping's length, by the assertion above.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// The number at `offset`, a multiple of 4, that the kernel and the process change in single accesses only.
    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(align_of::<AtomicU32>()), "the kernel aligns its numbers");
        let word = self.place(offset, size_of::<AtomicU32>());
        // SAFETY: the mapping starts on a page, so that the number is aligned; it lies within and lives as long.
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made in `map`, and nothing borrowed from it is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn memory_of_ones_own_begins_as_zeros_and_keeps_what_is_written() {
        let memory = Shared::own(8192).unwrap();
        assert_eq!((memory.len(), memory.word(8188).load(Ordering::Relaxed)), (8192, 0));
        memory.word(4).store(7, Ordering::Relaxed);
        assert_eq!((memory.word(0).load(Ordering::Relaxed), memory.word(4).load(Ordering::Relaxed)), (0, 7));
    }

    #[test]
    #[should_panic(expected = "behind the end")]
    fn nothing_is_handed_out_behind_the_end() {
        Shared::own(4096).unwrap().place(4090, 7);
    }

    #[test]
    #[should_panic(expected = "aligns its numbers")]
    fn numbers_are_aligned() {
        Shared::own(4096).unwrap().word(2);
    }
}
