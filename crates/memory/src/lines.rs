//! Regions of memory that are written while they are read, by other threads or by the kernel.

#![allow(unsafe_code)] // mappings and their release, and lines as words

use core::ops::Deref;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
#[cfg(target_os = "linux")]
use std::{io, os::fd::BorrowedFd};

/// One cache line of eight words.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Line(pub [AtomicU64; 8]);

impl Line {
    /// The words of all these lines, in order.
    #[inline(always)]
    pub const fn words(lines: &[Self]) -> &[AtomicU64] {
        // SAFETY: a line is eight words and nothing else.
        unsafe { core::slice::from_raw_parts(lines.as_ptr().cast(), 8 * lines.len()) }
    }
}

/// Lines of a slice at most: its bytes are counted in an `isize`.
const LEN_MAX: usize = isize::MAX as usize / size_of::<Line>();

/// Lines that begin as zeros. A line costs memory from its first use on, not before, so that a region may be laid out
/// with room to grow. Huge pages back it where the host gives them.
#[derive(Debug)]
pub struct Lines {
    #[cfg(all(target_os = "linux", not(miri)))]
    mapped: mapped::Mapping<Line>,
    #[cfg(not(all(target_os = "linux", not(miri))))]
    boxed: Box<[Line]>,
}

impl Lines {
    /// A region of `len` lines.
    ///
    /// # Panics
    /// When the host has no address space left for it.
    pub fn zeroed(len: usize) -> Self {
        // A size in bytes that wraps would map less than `len` lines.
        assert!(len <= LEN_MAX, "{len} lines are more than an address space");
        Self {
            #[cfg(all(target_os = "linux", not(miri)))]
            mapped: mapped::Mapping::new(len),
            #[cfg(not(all(target_os = "linux", not(miri))))]
            boxed: (0..len).map(|_| Line::default()).collect(),
        }
    }

    /// The `len` lines from line `from` on of what `shared` stands for: a file, or a map that the kernel's programs read.
    /// Whoever else maps or reads it sees what is stored here.
    ///
    /// # Errors
    /// The kernel's, when it does not let it be mapped, or there is less; [`io::ErrorKind::InvalidInput`] when `from` is no
    /// multiple of a page.
    #[cfg(all(target_os = "linux", not(miri)))]
    pub fn shared(shared: BorrowedFd<'_>, from: usize, len: usize) -> io::Result<Self> {
        Ok(Self { mapped: mapped::Mapping::shared(shared, from, len)? })
    }
}

impl Lines {
    /// Writes `lines` over those from `at` on, as far as there are any. Word by word: whoever reads meanwhile may see some of
    /// them.
    pub fn overwrite(&self, at: usize, lines: &[Line]) {
        for (to, from) in self[at..].iter().zip(lines) {
            for (to, from) in to.0.iter().zip(&from.0) {
                to.store(from.load(Relaxed), Relaxed);
            }
        }
    }
}

/// Words of 64 bits that are shared with the kernel's programs.
#[cfg(all(target_os = "linux", not(miri)))]
#[derive(Debug)]
pub struct Words(mapped::Mapping<AtomicU64>);

#[cfg(all(target_os = "linux", not(miri)))]
impl Words {
    /// The first `len` words of what `shared` stands for; see [`Lines::shared`].
    ///
    /// # Errors
    /// The kernel's, when it does not let it be mapped, or there is less.
    pub fn shared(shared: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Ok(Self(mapped::Mapping::shared(shared, 0, len)?))
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
impl Deref for Words {
    type Target = [AtomicU64];

    #[inline(always)]
    fn deref(&self) -> &[AtomicU64] {
        self.0.items()
    }
}

impl Deref for Lines {
    type Target = [Line];

    #[inline(always)]
    fn deref(&self) -> &[Line] {
        #[cfg(all(target_os = "linux", not(miri)))]
        return self.mapped.items();
        #[cfg(not(all(target_os = "linux", not(miri))))]
        &self.boxed
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod mapped {
    use core::ptr::{self, NonNull};
    use core::sync::atomic::AtomicU64;
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd};

    use super::Line;

    /// What may lie in memory that others write: atomics, of which any bytes are valid ones.
    pub(super) trait Shareable {}
    impl Shareable for Line {}
    impl Shareable for AtomicU64 {}

    /// A mapping of its own.
    #[derive(Debug)]
    pub(super) struct Mapping<T: Shareable> {
        start: NonNull<T>,
        len: usize,
    }

    // SAFETY: the mapping belongs to this value alone, and what lies in it are atomics.
    unsafe impl<T: Shareable> Send for Mapping<T> {}
    // SAFETY: as above; shared access is by atomics.
    unsafe impl<T: Shareable> Sync for Mapping<T> {}

    const ACCESS: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

    impl<T: Shareable> Mapping<T> {
        /// Anonymous memory, of zeros.
        pub(super) fn new(len: usize) -> Self {
            let bytes = bytes::<T>(len);
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: a new mapping at a place of the kernel's choice touches no other memory.
            let start = unsafe { libc::mmap(ptr::null_mut(), bytes, ACCESS, kind, -1, 0) };
            assert!(start != libc::MAP_FAILED, "no address space for {bytes} bytes of a table");
            // SAFETY: the advice is about the mapping just made and changes no byte. A refusal means plain pages.
            let _ = unsafe { libc::madvise(start, bytes, libc::MADV_HUGEPAGE) };
            Self { start: NonNull::new(start.cast()).expect("the kernel maps nothing at zero"), len }
        }

        /// Part of what others map as well.
        pub(super) fn shared(shared: BorrowedFd<'_>, from: usize, len: usize) -> io::Result<Self> {
            let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
            let from = from.checked_mul(size_of::<T>()).and_then(|from| libc::off_t::try_from(from).ok());
            let (from, len_max) = (from.ok_or_else(too_long)?, isize::MAX as usize / size_of::<T>());
            let bytes = if len <= len_max { bytes::<T>(len) } else { return Err(too_long()) };
            let kind = libc::MAP_SHARED | libc::MAP_POPULATE;
            // SAFETY: as in `new`.
            let start = unsafe { libc::mmap(ptr::null_mut(), bytes, ACCESS, kind, shared.as_raw_fd(), from) };
            match NonNull::new(start.cast()) {
                Some(place) if start != libc::MAP_FAILED => Ok(Self { start: place, len }),
                _ => Err(io::Error::last_os_error()),
            }
        }

        #[inline(always)]
        pub(super) fn items(&self) -> &[T] {
            // SAFETY: the mapping holds `len` of them, is aligned to pages, and any bytes are valid ones.
            unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }
    }

    /// The size of a mapping of so many; an empty one would be none.
    const fn bytes<T>(len: usize) -> usize {
        if len == 0 { size_of::<T>() } else { len * size_of::<T>() }
    }

    impl<T: Shareable> Drop for Mapping<T> {
        fn drop(&mut self) {
            // SAFETY: the mapping was made with this start and size, and no reference outlives its owner.
            let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), bytes::<T>(self.len)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn lines_begin_as_zeros_and_keep_what_is_stored() {
        let len = if cfg!(miri) { 1_000 } else { 100_000 }; // an interpreter takes a minute for more
        let lines = Lines::zeroed(len);
        assert_eq!(lines.len(), len);
        assert_eq!(lines.as_ptr().addr() % 64, 0);
        assert!(lines.iter().all(|line| line.0.iter().all(|word| word.load(Relaxed) == 0)));
        lines[len - 1].0[7].store(7, Relaxed);
        assert_eq!(lines[len - 1].0[7].load(Relaxed), 7);
        assert!(Lines::zeroed(0).is_empty());
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn what_is_stored_in_shared_lines_is_seen_through_every_mapping() {
        use std::fs::OpenOptions;
        use std::os::fd::AsFd;

        let path = std::env::temp_dir().join(format!("credence-memory-{}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.set_len(128 * 64).unwrap();
        let all = Lines::shared(file.as_fd(), 0, 128).unwrap();
        let behind = Lines::shared(file.as_fd(), 64, 64).unwrap();
        let words = Words::shared(file.as_fd(), 1_024).unwrap();
        behind[1].0[2].store(7, Relaxed);
        assert_eq!((all[65].0[2].load(Relaxed), words[65 * 8 + 2].load(Relaxed)), (7, 7));
        assert!(Lines::shared(file.as_fd(), 1, 1).is_err(), "a page has more than one line");
        assert!(Lines::shared(file.as_fd(), usize::MAX, 1).is_err());
        assert!(Words::shared(file.as_fd(), usize::MAX).is_err());
    }

    #[test]
    #[should_panic(expected = "more than an address space")]
    fn a_size_that_wraps_is_refused() {
        let wraps_to_one_line = usize::MAX / size_of::<Line>() + 2;
        Lines::zeroed(wraps_to_one_line);
    }
}
