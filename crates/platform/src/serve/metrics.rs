//! What is counted.

use credence_law::Institution;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::intake::Answer;
use crate::bucket::Conditions;
use crate::desk::Rejection;
use crate::gate::Turned;

#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    taken: IntCounter,
    repeated: IntCounter,
    commits: IntCounter,
    signatures: IntCounter,
    refused: IntCounterVec,
    unfed: IntCounter,
    unrung: IntCounter,
    lacks_feed: IntGauge,
    entries: IntGauge,
    leads: IntGauge,
    inquiries: IntCounter,
    /// Of the copy in a bucket.
    pub(super) bucket: Copies,
    /// How the institution does, in the order of [`FIGURES`].
    figures: Vec<IntGauge>,
}

/// A figure of the institution's own record: what it is called, what it is, and how it is read.
type Figure = (&'static str, &'static str, fn(&Institution) -> u64);

/// What of the institution's own record is worth an alert.
const FIGURES: [Figure; 8] = [
    ("reports_open", "Reports that nobody has decided on", |record| record.reports.open as u64),
    ("complaints_open", "Complaints that are heard", |record| record.complaints.open as u64),
    ("complaints_overdue", "Complaints that should have been ruled on", |record| {
        record.complaints.overdue as u64
    }),
    ("clocks_overdue", "Clocks of any kind whose time has passed", |record| record.overdue as u64),
    ("decided_seconds_median", "From a first report to a decision, half of the time", |record| {
        record.decided_in.median
    }),
    ("heard_seconds_median", "From a complaint to its ruling, half of the time", |record| {
        record.heard_in.median
    }),
    ("corrected_seconds_median", "From a wrong act to its correction, half of the time", |record| {
        record.corrected_in.median
    }),
    ("overturned_permille", "Alerts and decisions that were wrong, of a thousand", |record| {
        record.overturned_share().into()
    }),
];

impl Metrics {
    /// Counts a time that the feed could not be put together.
    pub(super) fn unfed(&self) {
        self.unfed.inc();
    }

    /// Notes whether there is no feed because it could not be begun.
    pub(super) fn lacks_feed(&self, is_missing: bool) {
        self.lacks_feed.set(is_missing.into());
    }

    /// Counts a time that the bus could not be told.
    pub(super) fn unrung(&self) {
        self.unrung.inc();
    }

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
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help).expect("a good name");
            registry.register(Box::new(gauge.clone())).expect("a name of its own");
            gauge
        };
        let leads = gauge(
            "credence_platform_leads",
            "Whether this process takes acts in: 1, or 0 while another one does",
        );
        let lacks_feed = gauge(
            "credence_platform_feed_missing",
            "Whether nothing is published, since the feed cannot go on from what was: 1, or 0",
        );
        let entries = gauge("credence_platform_log_entries", "Entries of the log");
        let figures = FIGURES.map(|(name, help, _)| gauge(&format!("credence_platform_{name}"), help));
        Self {
            figures: figures.into(),
            taken: counter("credence_platform_taken_total", "Objects that were taken"),
            repeated: counter(
                "credence_platform_repeated_total",
                "Objects handed in again that had been taken",
            ),
            commits: counter(
                "credence_platform_commits_total",
                "Transactions with which objects were written down",
            ),
            unfed: counter(
                "credence_platform_feed_failures_total",
                "Times that the feed could not be put together; what was published before stays",
            ),
            unrung: counter(
                "credence_platform_bus_failures_total",
                "Times that the bus could not be told of a head; it is told of the newest as soon as it can be",
            ),
            signatures: counter(
                "credence_platform_signatures_looked_at_total",
                "Signatures of objects whose signatures were looked at",
            ),
            inquiries: counter("credence_platform_inquiries_total", "Subjects that were asked for"),
            bucket: Copies::new(&registry),
            refused,
            entries,
            leads,
            lacks_feed,
            registry,
        }
    }

    pub(super) fn answered(&self, answer: &Answer) {
        match answer {
            Answer::Taken { is_new: true, .. } => self.taken.inc(),
            Answer::Taken { .. } => self.repeated.inc(),
            _ => self.refused.with_label_values(&[reason(answer)]).inc(),
        }
    }

    pub(super) fn committed(&self) {
        self.commits.inc();
    }

    pub(super) fn looked_at(&self, signatures: usize) {
        self.signatures.inc_by(signatures as u64);
    }

    pub(super) fn asked(&self) {
        self.inquiries.inc();
    }

    /// The page for Prometheus, while the log has so many entries and this process leads or not, and the institution's own record where
    /// there are rules.
    pub(super) fn page(&self, (entries, leads): (u64, bool), record: Option<&Institution>) -> String {
        self.entries.set(entries as i64);
        self.leads.set(leads.into());
        for ((_, _, read), gauge) in FIGURES.iter().zip(&self.figures) {
            gauge.set(record.map_or(0, read) as i64);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("counters can be written")
    }
}

/// How the copy in a bucket goes on.
#[derive(Debug)]
pub(super) struct Copies {
    written: IntCounter,
    failures: IntCounter,
    success: IntGauge,
    conditions: IntGaugeVec,
}

impl Copies {
    fn new(registry: &Registry) -> Self {
        let written = IntCounter::new(
            "credence_platform_bucket_objects_written_total",
            "Objects that were written to the bucket",
        );
        let failures = IntCounter::new(
            "credence_platform_bucket_failures_total",
            "Times that the bucket could not be brought up to date; what is there stays whole",
        );
        let success = IntGauge::new(
            "credence_platform_bucket_last_success_timestamp_seconds",
            "When the bucket last held all that was published; 0 for never",
        );
        let conditions = Opts::new(
            "credence_platform_bucket_conditions",
            "What the bucket makes of a write on the condition that nothing is there: 1 for the word that was found",
        );
        let copies = Self {
            written: written.expect("a good name"),
            failures: failures.expect("a good name"),
            success: success.expect("a good name"),
            conditions: IntGaugeVec::new(conditions, &["answer"]).expect("a good name"),
        };
        registry.register(Box::new(copies.written.clone())).expect("a name of its own");
        registry.register(Box::new(copies.failures.clone())).expect("a name of its own");
        registry.register(Box::new(copies.success.clone())).expect("a name of its own");
        registry.register(Box::new(copies.conditions.clone())).expect("a name of its own");
        copies
    }

    /// The bucket holds everything at `at`, in Unix seconds, after so many objects were written.
    pub(super) fn written(&self, objects: u64, at: u64) {
        self.written.inc_by(objects);
        self.success.set(at as i64);
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn conditions(&self, found: Conditions) {
        self.conditions.reset();
        self.conditions.with_label_values(&[found.name()]).set(1);
    }
}

/// The word for why something was not taken, from a closed list.
pub(super) const fn reason(answer: &Answer) -> &'static str {
    match answer {
        Answer::Taken { .. } => "taken",
        Answer::Rejected(Rejection::Refused(refusal)) | Answer::Turned(Turned::Refused(refusal)) => {
            refusal.name()
        }
        Answer::Rejected(Rejection::Rules(_)) => "rules_not_adopted",
        Answer::Rejected(Rejection::Large(_)) => "large",
        Answer::Rejected(Rejection::Clock) => "clock",
        Answer::Rejected(Rejection::Journal(..)) => "journal",
        Answer::Turned(Turned::Quota { .. }) => "quota",
        Answer::Turned(Turned::Strangers { .. }) => "strangers",
        Answer::Busy => "busy",
        Answer::Failed => "failed",
    }
}
