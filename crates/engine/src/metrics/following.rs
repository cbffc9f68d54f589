//! What is known of the process that fetches credit from others.

use super::Page;

/// What is known of the process that fetches credit from others.
#[derive(Clone, Debug, Default)]
pub struct Following {
    /// How often it was started.
    pub starts: u64,
    /// Lines of its that were no word.
    pub garbage: u64,
    /// Orders that it did not take.
    pub untold: u64,
}

impl Page {
    pub(super) fn following(&self, f: &Following) -> prometheus::Result<()> {
        let help = "Starts of the process that fetches from others; one is usual, each more is a death.";
        self.counter("credence_sync_starts_total", help, f.starts)?;
        let help = "Lines from the process that fetches that were none of its words.";
        self.counter("credence_sync_garbage_lines_total", help, f.garbage)?;
        let help = "Orders that the process that fetches did not take.";
        self.counter("credence_sync_untold_orders_total", help, f.untold)
    }
}
