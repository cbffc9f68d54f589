//! What a worker knows of sources: closed steps, and its own share of the open one.

use credence_flow::{Aggregates, Delta, Deltas, Pending};

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

    /// This worker's share of the step that ends.
    pub(super) fn close(&mut self) -> Vec<Delta> {
        self.deltas.close(&self.aggregates).to_vec()
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.aggregates.bytes() + self.deltas.bytes()
    }
}
