//! The one look at the clock: for frames whose time the kernel does not tell.

use std::time::{SystemTime, UNIX_EPOCH};

/// The Unix time in nanoseconds.
#[allow(
    clippy::disallowed_methods,
    reason = "a frame's time is part of the input, and some kernel interfaces leave it out"
)]
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
