//! The allocator of the gateway, told to give back what is free.
//!
//! While a state of millions of rows is built beside the one in force, much is taken for a moment: decoded columns,
//! sorted lists, the lines of a map before they are packed. By its default the allocator keeps what was let go for
//! a second, so that at the peak it holds memory that nobody uses, 270 MiB of it at ten million rows.

#![allow(unsafe_code)] // one call into the allocator's own library, below

pub use mimalloc::MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`, for which the bindings have no name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// From here on free pages go back to the system at once. For the first line of `main`: what the allocator holds
/// already is not looked at.
pub fn give_back_at_once() {
    // SAFETY: the library may be asked at any time and by any thread; it takes options that it does not know for none.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}
