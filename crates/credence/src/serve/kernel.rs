//! What is known of the kernel's part from outside.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use credence_credit::Measure;
use credence_enforce::nft::Tally;
use credence_enforce::{Count, Counts, Reason};
use credence_engine::metrics::{Did, Enforcement};
use credence_score::Verdict;

use crate::config::{CarriedBy, Mode, Standing};

/// The kernel's part, seen from outside.
pub(crate) struct Kernel {
    counted: Counted,
    mode: Mode,
    stand: Standing,
    records: AtomicU64,
    unlimited: AtomicU64,
    publications: AtomicU64,
    condition: AtomicU64,
    /// Whether the program is missing on an interface.
    off: AtomicBool,
    /// Opinions that the kernel did not take.
    pub(crate) untold: Arc<AtomicU64>,
    failures: AtomicU64,
}

/// Where it is counted what was done.
pub(crate) enum Counted {
    /// In the map of the program for XDP.
    Program(Counts),
    /// In the table of nftables, as read last.
    Table(Mutex<Tally>),
}

impl Counted {
    fn of(&self, measure: Measure, reason: Reason) -> Count {
        match self {
            // The kernel gives what it gave a moment before; if it ever does not, the next scrape tells.
            Self::Program(counts) => counts.of(measure, reason).unwrap_or_default(),
            Self::Table(tally) => tally.lock().unwrap_or_else(PoisonError::into_inner).of(measure, reason),
        }
    }

    /// The word of the configuration for what carries verdicts out.
    const fn carrier(&self) -> &'static str {
        match self {
            Self::Program(_) => CarriedBy::Xdp.name(),
            Self::Table(_) => CarriedBy::Nftables.name(),
        }
    }
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
    pub(crate) fn new(counted: Counted, mode: Mode, stand: Standing) -> Self {
        Self {
            counted,
            mode,
            stand,
            records: AtomicU64::new(0),
            unlimited: AtomicU64::new(0),
            publications: AtomicU64::new(0),
            condition: AtomicU64::new(Condition::Well as u64),
            off: AtomicBool::new(false),
            untold: Arc::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// Notes what the table of nftables has counted.
    pub(crate) fn tallied(&self, read: Tally) {
        if let Counted::Table(tally) = &self.counted {
            *tally.lock().unwrap_or_else(PoisonError::into_inner) = read;
        }
    }

    /// Notes a request that the kernel or its tools refused.
    pub(crate) fn refused(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// What was done, in a few words.
    pub(crate) fn told(&self) -> String {
        let packets = |measure: Measure| -> u64 {
            measure_reasons(measure).map(|reason| self.counted.of(measure, reason).packets).sum()
        };
        let (dropped, limited) = (packets(Measure::Drop), packets(Measure::RateLimit));
        format!(
            "{} by {}: {dropped} packets to be dropped, {limited} beyond a rate, {} marked, {} spared or heard",
            self.mode.name(),
            self.counted.carrier(),
            packets(Measure::Mark),
            [Reason::Spared, Reason::Heard]
                .map(|reason| self.counted.of(Measure::None, reason).packets)
                .iter()
                .sum::<u64>(),
        )
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

    /// Notes whether the program is missing on an interface.
    pub(crate) fn is_off(&self, off: bool) {
        self.off.store(off, Relaxed);
    }

    /// What the metrics page says of it.
    pub(crate) fn enforcement(&self) -> Enforcement {
        let condition = self.condition.load(Relaxed);
        Enforcement {
            mode: self.mode.name(),
            stand: self.stand.name(),
            carrier: self.counted.carrier(),
            conditions: Condition::ALL.map(|each| (each.name(), each as u64 == condition)).into(),
            off: self.off.load(Relaxed),
            records: self.records.load(Relaxed),
            unlimited: self.unlimited.load(Relaxed),
            publications: self.publications.load(Relaxed),
            untold: self.untold.load(Relaxed),
            failures: self.failures.load(Relaxed),
            did: self.did().collect(),
        }
    }

    /// What was done, for everything that can happen, so that the series are there from the start.
    fn did(&self) -> impl Iterator<Item = Did> {
        let each = Reason::ALL
            .into_iter()
            .flat_map(|reason| reason.measures().iter().map(move |measure| (*measure, reason)));
        each.map(|(measure, reason)| {
            let count = self.counted.of(measure, reason);
            let verdict = Verdict::of(measure).name();
            Did { verdict, reason: reason.name(), packets: count.packets, bytes: count.bytes }
        })
    }
}

/// The reasons for which packets can meet a measure.
fn measure_reasons(measure: Measure) -> impl Iterator<Item = Reason> {
    Reason::ALL.into_iter().filter(move |reason| reason.measures().contains(&measure))
}
