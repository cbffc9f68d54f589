//! What the packet path asks of memory and safe Rust cannot say.
//!
//! Tables of millions of entries are read at random, so that nearly every read misses the caches. Two hints to the
//! machine decide what that costs: naming lines before they are needed keeps many misses in flight at once
//! ([`prefetch`]), and large pages keep the translation of addresses out of the way ([`filled`], [`room`]). Both are hints: without
//! them everything works, slower. [`Lines`] is memory of cache lines that one thread writes while others read, and
//! [`equal_bytes`] compares the tags of a line at once.

#[cfg(feature = "allocator")]
pub mod allocator;
mod bytes;
mod huge;
mod lines;
mod prefetch;

pub use bytes::equal_bytes;
pub use huge::{filled, room};
#[cfg(all(target_os = "linux", not(miri)))]
pub use lines::Words;
pub use lines::{Line, Lines};
pub use prefetch::prefetch;
