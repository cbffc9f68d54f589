//! What is known of the process that fetches, counted where it is heard.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use credence_engine::metrics::Following;

/// What was heard of the follower.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// How often it was started; 0 where nothing is fetched.
    pub(crate) starts: AtomicU64,
    /// Lines that were no word.
    pub(crate) garbage: AtomicU64,
    /// Orders that it did not take.
    pub(crate) untold: AtomicU64,
}

impl Followed {
    /// What the metrics page says of it; nothing before it was started.
    pub(super) fn told(&self) -> Option<Following> {
        let [starts, garbage, untold] = [&self.starts, &self.garbage, &self.untold].map(|n| n.load(Relaxed));
        (starts > 0).then_some(Following { starts, garbage, untold })
    }
}
