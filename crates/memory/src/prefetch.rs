//! The processor's prefetch instruction.
//!
//! The look-ups of a batch are independent, but the reorder window of a core holds only about a dozen of them, so that
//! it waits for memory with most of a batch not begun. Naming each next line ahead keeps all of them in flight.

#![allow(unsafe_code)] // one call of an intrinsic, below

/// Asks for the cache line in which `items[at]` begins. Never faults: a place outside the slice is as good as no call.
///
/// The line comes into the second cache. The first can wait for two dozen lines or so, and a processor may drop what it is
/// asked for beyond: of 64 lines named in a row for the first cache, Zen 4 dropped near half.
#[inline(always)]
pub fn prefetch<T>(items: &[T], at: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let place = items.as_ptr().wrapping_add(at);
        // SAFETY: the instruction is in every x86-64 processor, reads nothing into the program, and ignores addresses
        // that cannot be read.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (items, at);
}
