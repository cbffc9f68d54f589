//! What is known of the kernel's part from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use credence_enforce::{Counts, Reason};
use credence_engine::metrics::{Did, Enforcement};
use credence_score::Verdict;

use crate::config::{Mode, Standing};

/// The kernel's part, seen from outside.
pub(crate) struct Kernel {
    counts: Counts,
    mode: Mode,
    stand: Standing,
    records: AtomicU64,
    unlimited: AtomicU64,
    publications: AtomicU64,
    condition: AtomicU64,
    /// Opinions that the kernel did not take.
    pub(crate) untold: Arc<AtomicU64>,
}

/// What a look at the engine and its data comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Everything works.
    Well,
    /// A thread of the engine stands still.
    WorkerStuck,
    /// The data is older than the operator allows.
    DataStale,
    /// There is no data.
    DataAbsent,
}

impl Condition {
    /// All of them.
    const ALL: [Self; 4] = [Self::Well, Self::WorkerStuck, Self::DataStale, Self::DataAbsent];

    /// The word in metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::WorkerStuck => "worker_stuck",
            Self::DataStale => "data_stale",
            Self::DataAbsent => "data_absent",
        }
    }
}

impl Kernel {
    pub(crate) fn new(counts: Counts, mode: Mode, stand: Standing) -> Self {
        Self {
            counts,
            mode,
            stand,
            records: AtomicU64::new(0),
            unlimited: AtomicU64::new(0),
            publications: AtomicU64::new(0),
            condition: AtomicU64::new(Condition::Well as u64),
            untold: Arc::default(),
        }
    }

    /// Notes a publication: its records, and those of them that got no limiter.
    pub(crate) fn published(&self, records: usize, unlimited: usize) {
        self.records.store(records as u64, Relaxed);
        self.unlimited.store(unlimited as u64, Relaxed);
        self.publications.fetch_add(1, Relaxed);
    }

    /// Notes the state that the kernel was told.
    pub(crate) fn is_in(&self, condition: Condition) {
        self.condition.store(condition as u64, Relaxed);
    }

    /// What the metrics page says of it.
    pub(crate) fn enforcement(&self) -> Enforcement {
        let condition = self.condition.load(Relaxed);
        Enforcement {
            mode: self.mode.name(),
            stand: self.stand.name(),
            conditions: Condition::ALL.map(|each| (each.name(), each as u64 == condition)).into(),
            records: self.records.load(Relaxed),
            unlimited: self.unlimited.load(Relaxed),
            publications: self.publications.load(Relaxed),
            untold: self.untold.load(Relaxed),
            did: self.did().collect(),
        }
    }

    /// What was done, for everything that can happen, so that the series are there from the start.
    fn did(&self) -> impl Iterator<Item = Did> {
        let each = Reason::ALL
            .into_iter()
            .flat_map(|reason| reason.measures().iter().map(move |measure| (*measure, reason)));
        each.map(|(measure, reason)| {
            // The kernel gives what it gave a moment before; if it ever does not, the next scrape tells.
            let count = self.counts.of(measure, reason).unwrap_or_default();
            let verdict = Verdict::of(measure).name();
            Did { verdict, reason: reason.name(), packets: count.packets, bytes: count.bytes }
        })
    }
}
