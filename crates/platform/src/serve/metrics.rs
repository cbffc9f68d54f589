//! What is counted.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::Answer;
use crate::desk::Rejection;

#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    taken: IntCounter,
    repeated: IntCounter,
    failed: IntCounter,
    refused: IntCounterVec,
    entries: IntGauge,
    inquiries: IntCounter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("a good name");
            registry.register(Box::new(counter.clone())).expect("a name of its own");
            counter
        };
        let refused = Opts::new("credence_platform_refused_total", "Objects that were not taken, by reason");
        let refused = IntCounterVec::new(refused, &["reason"]).expect("a good name");
        registry.register(Box::new(refused.clone())).expect("a name of its own");
        let entries =
            IntGauge::new("credence_platform_log_entries", "Entries of the log").expect("a good name");
        registry.register(Box::new(entries.clone())).expect("a name of its own");
        Self {
            taken: counter("credence_platform_taken_total", "Objects that were taken"),
            repeated: counter(
                "credence_platform_repeated_total",
                "Objects handed in again that had been taken",
            ),
            failed: counter("credence_platform_failed_total", "Objects that could not be written down"),
            inquiries: counter("credence_platform_inquiries_total", "Subjects that were asked for"),
            refused,
            entries,
            registry,
        }
    }

    pub(super) fn answered(&self, answer: &Answer) {
        match answer {
            Answer::Taken { is_new: true, .. } => self.taken.inc(),
            Answer::Taken { .. } => self.repeated.inc(),
            Answer::Rejected(rejection) => self.refused.with_label_values(&[reason(rejection)]).inc(),
            Answer::Failed => self.failed.inc(),
        }
    }

    pub(super) fn asked(&self) {
        self.inquiries.inc();
    }

    /// The page for Prometheus.
    pub(super) fn page(&self, entries: u64) -> String {
        self.entries.set(entries as i64);
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("counters can be written")
    }
}

/// The word for a rejection, from a closed list.
pub(super) const fn reason(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::Refused(refusal) => refusal.name(),
        Rejection::Rules(_) => "rules_not_adopted",
        Rejection::Large(_) => "large",
        Rejection::Clock => "clock",
        Rejection::Journal(..) => "journal",
    }
}
