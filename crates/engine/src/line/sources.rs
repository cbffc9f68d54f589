//! What a worker knows of sources: closed steps, and its own share of the open one.

use credence_flow::{Aggregates, Behaviour, Delta, Deltas, Level, Pending};

use crate::config::LineConfig;

/// Aggregates of closed steps, and the deltas of the open one.
pub(super) struct Sources {
    pub(super) aggregates: Aggregates,
    pub(super) deltas: Deltas,
}

impl Sources {
    pub(super) fn new(config: &LineConfig) -> Self {
        Self {
            aggregates: Aggregates::new(config.sources, config.seed),
            deltas: Deltas::new(config.sources.saturating_mul(2), config.sketch),
        }
    }

    /// Counts what a flow did towards its source.
    #[inline]
    pub(super) fn add(&mut self, pending: &Pending) {
        self.deltas.add(pending, &self.aggregates);
    }

    /// Makes `share` this worker's share of the step that ends: a copy, since it goes to other threads.
    pub(super) fn close(&mut self, share: &mut Vec<Delta>) {
        share.clear();
        share.extend_from_slice(self.deltas.close(&self.aggregates));
    }

    /// Ends step number `step` when this worker's share is all there is; see [`Aggregates::close_step`] for `quiet`.
    pub(super) fn close_alone(&mut self, step: u32, quiet: &impl Fn(Level, &Behaviour) -> bool) {
        let Self { aggregates, deltas } = self;
        let closed = deltas.close(aggregates);
        aggregates.close_step(step, closed, quiet);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.aggregates.clear();
        self.deltas.clear();
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.aggregates.bytes() + self.deltas.bytes()
    }
}
