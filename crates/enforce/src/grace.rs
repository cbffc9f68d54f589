//! Waiting until the kernel's programs have left what was taken out of their reach.

use std::io;

use rustix::thread::{MembarrierCommand, membarrier};

/// Returns when every frame that was being judged when this was called has been. Takes some milliseconds.
///
/// The programs run as readers of the kernel's read-copy-update, and this command waits for a grace period of it.
///
/// # Errors
/// When the kernel offers no such command: it was started with `nohz_full`, or a filter of system calls forbids it.
pub(crate) fn wait() -> io::Result<()> {
    Ok(membarrier(MembarrierCommand::Global)?)
}
