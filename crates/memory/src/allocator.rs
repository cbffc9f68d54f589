//! The allocator of the gateway, told when to give back what is free.
//!
//! While a state of millions of rows is built beside the one in force, much is taken for a moment: decoded columns,
//! sorted lists, the lines of a map before they are packed. By its default the allocator keeps what was let go for
//! a second, so that at the peak it holds memory that nobody uses, 270 MiB of it at ten million rows. What changes of a
//! state takes little, and takes it again with each change: to have it of the system each time, and to give it back, was a
//! quarter of the time of a change of ten thousand rows.

#![allow(unsafe_code)] // calls into the allocator's own library, below

pub use mimalloc::MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`, for which the bindings have no name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// How long what is free stays for whoever takes it again, in milliseconds: changes come each second, or with each poll.
const KEPT_MS: core::ffi::c_long = 60_000;

/// From here on free pages go back to the system at once. For the first line of `main`: what the allocator holds
/// already is not looked at.
pub fn give_back_at_once() {
    give_back_in(0);
}

/// From here on free pages stay for a minute.
pub fn keep_for_next() {
    give_back_in(KEPT_MS);
}

/// Does something that takes much memory for a moment: free pages go back at once meanwhile, and those that were kept before it.
pub fn at_once<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: any thread may do so at any time; nothing that is in use is touched.
    unsafe { libmimalloc_sys::mi_collect(true) };
    // SAFETY: as below.
    let before = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
    give_back_in(0);
    let result = work();
    give_back_in(before);
    result
}

fn give_back_in(ms: core::ffi::c_long) {
    // SAFETY: the library may be asked at any time and by any thread; it takes options that it does not know for none.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, ms) }
}
