//! A region of cache lines that are written while they are read.

#![allow(unsafe_code)] // one mapping and its release, below

use core::ops::Deref;
use core::sync::atomic::AtomicU64;

/// One cache line of eight words.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Line(pub [AtomicU64; 8]);

/// Lines of a slice at most: its bytes are counted in an `isize`.
const LEN_MAX: usize = isize::MAX as usize / size_of::<Line>();

/// Lines that begin as zeros. A line costs memory from its first use on, not before, so that a region may be laid out
/// with room to grow. Huge pages back it where the host gives them.
#[derive(Debug)]
pub struct Lines {
    #[cfg(all(target_os = "linux", not(miri)))]
    mapped: mapped::Mapping,
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
}

impl Deref for Lines {
    type Target = [Line];

    #[inline(always)]
    fn deref(&self) -> &[Line] {
        #[cfg(all(target_os = "linux", not(miri)))]
        return self.mapped.lines();
        #[cfg(not(all(target_os = "linux", not(miri))))]
        &self.boxed
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod mapped {
    use core::ptr::NonNull;

    use super::Line;

    /// Anonymous memory of its own.
    #[derive(Debug)]
    pub(super) struct Mapping {
        start: NonNull<Line>,
        len: usize,
    }

    // SAFETY: the memory belongs to this value alone, and what lies in it are atomics.
    unsafe impl Send for Mapping {}
    // SAFETY: as above; shared access is by atomics.
    unsafe impl Sync for Mapping {}

    impl Mapping {
        pub(super) fn new(len: usize) -> Self {
            let bytes = len.max(1) * size_of::<Line>();
            let (access, kind) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            );
            // SAFETY: a new mapping at a place of the kernel's choice touches no other memory.
            let start = unsafe { libc::mmap(core::ptr::null_mut(), bytes, access, kind, -1, 0) };
            assert!(start != libc::MAP_FAILED, "no address space for {bytes} bytes of a table");
            // SAFETY: the advice is about the mapping just made and changes no byte. A refusal means plain pages.
            let _ = unsafe { libc::madvise(start, bytes, libc::MADV_HUGEPAGE) };
            Self { start: NonNull::new(start.cast()).expect("the kernel maps nothing at zero"), len }
        }

        #[inline(always)]
        pub(super) fn lines(&self) -> &[Line] {
            // SAFETY: the mapping holds `len` lines, is aligned to pages, and zeros are valid atomics.
            unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            let bytes = self.len.max(1) * size_of::<Line>();
            // SAFETY: the mapping was made with this start and size, and no reference outlives its owner.
            let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
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

    #[test]
    #[should_panic(expected = "more than an address space")]
    fn a_size_that_wraps_is_refused() {
        let wraps_to_one_line = usize::MAX / size_of::<Line>() + 2;
        Lines::zeroed(wraps_to_one_line);
    }
}
