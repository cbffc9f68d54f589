//! What a line has to say: alerts and ended flows, as plain values. Text is made of them elsewhere, later.

use std::sync::Arc;

use credence_credit::{Cache, Record};
use credence_flow::{Anomalies, FlowKey, FlowRecord};
use credence_score::{Assessment, Verdict};

use crate::best::Regarded;

/// A flow got a verdict that is worth an alert.
#[derive(Clone, Debug)]
pub struct Event {
    /// Time of the packet that led to it, Unix nanoseconds.
    pub ts_ns: u64,
    /// Number of that packet's frame in its source.
    pub frame: u64,
    /// The flow.
    pub key: FlowKey,
    /// Score, terms, verdict, and whose word decided.
    pub assessment: Assessment,
    /// Every anomaly the flow had shown.
    pub anomalies: Anomalies,
    /// The source had proved that it receives.
    pub confirmed: bool,
    /// The credit record that the verdict rests on, as it was when the alert was raised.
    pub credit: Option<Record>,
    /// Which of the caches collected beside the event names its issuer.
    pub cache: u32,
}

/// What a line thinks of a source by its score alone: no record asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The source's address.
    pub source: u128,
    /// What should happen to its traffic.
    pub verdict: Verdict,
}

/// A packet that whoever enforces did not let pass: one of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When, Unix nanoseconds.
    pub ts_ns: u64,
    /// The source's address.
    pub source: u128,
    /// The destination's address.
    pub destination: u128,
    /// The upper-layer protocol.
    pub protocol: u8,
    /// Bytes of the frame.
    pub bytes: u32,
    /// What happened to it.
    pub verdict: Verdict,
    /// Why, in a word.
    pub reason: &'static str,
    /// Of how many such packets this one stands for all.
    pub sample: u32,
}

/// Whoever carries verdicts out where the line itself cannot: in the kernel.
pub trait Enforce: Send {
    /// Takes opinions of sources, each to hold until it is told again or lapses. Must not wait.
    fn heed(&mut self, opinions: &[Opinion]);

    /// Takes an even sample of the sources of recent flows. Must not wait.
    fn saw(&mut self, sources: &[u128]);

    /// The next packet of the sample that did not pass, if there is one. Must not wait.
    fn dropped(&mut self) -> Option<Dropped>;
}

/// Events of one worker since they were last collected.
#[derive(Default)]
pub struct Collected {
    /// Alerts, in the order of frames.
    pub alerts: Vec<Event>,
    /// Flows that ended.
    pub flows: Vec<FlowRecord>,
    /// What to enforce.
    pub opinions: Vec<Opinion>,
    /// A sample of the sources of new flows.
    pub sample: Vec<u128>,
    /// The sources that fared best in a step, by /64.
    pub best: Vec<(u128, Regarded)>,
    /// The credit caches that the alerts rest on.
    pub caches: Vec<Arc<Cache>>,
}

impl Collected {
    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything but the caches.
    pub fn len(&self) -> usize {
        self.alerts.len() + self.flows.len() + self.opinions.len() + self.sample.len() + self.best.len()
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.alerts.clear();
        self.flows.clear();
        self.opinions.clear();
        self.sample.clear();
        self.best.clear();
        self.caches.clear();
    }

    /// The number of `cache` among those collected here.
    pub(crate) fn number_of(&mut self, cache: &Arc<Cache>) -> u32 {
        if !self.caches.last().is_some_and(|last| Arc::ptr_eq(last, cache)) {
            self.caches.push(Arc::clone(cache));
        }
        u32::try_from(self.caches.len() - 1).unwrap_or(u32::MAX)
    }
}
