//! Where events leave: alerts in order, flows to be sorted at the end.

use std::io::{self, Write};
use std::sync::Arc;

use credence_credit::Cache;
use credence_flow::FlowTable;
use crossbeam::channel::Receiver;

use crate::alert::{AlertCounts, AlertWriter};
use crate::best::{BestSources, remember};
use crate::event::{Collected, Enforce, Event};
use crate::flows::FlowWriter;

/// Whoever hears of each alert as it comes from the line, whether or not it is written. Must not wait.
pub type Listener = Box<dyn FnMut(&Event) + Send>;

/// Any place that takes bytes from another thread.
pub type Output = Box<dyn Write + Send>;

/// Takes what workers collected and writes it. After a failure to write it goes on and counts what is lost: outputs must
/// never stop the line.
#[derive(Default)]
pub struct Recorder {
    alerts: Option<AlertWriter<Output>>,
    flows: Option<FlowWriter<Output>>,
    /// Flows that were left when their lines ended.
    left: Vec<FlowTable>,
    enforcer: Option<Box<dyn Enforce>>,
    best: BestSources,
    listener: Option<Listener>,
    waiting: Vec<(Event, Arc<Cache>)>,
    failure: Option<io::Error>,
    failures: u64,
}

impl Recorder {
    /// A recorder for these outputs; none of either kind is wanted where it is absent.
    pub fn new(alerts: Option<AlertWriter<Output>>, flows: Option<FlowWriter<Output>>) -> Self {
        Self { alerts, flows, ..Self::default() }
    }

    /// The same, with someone who enforces opinions of sources.
    pub fn enforcing(self, enforcer: Box<dyn Enforce>) -> Self {
        Self { enforcer: Some(enforcer), ..self }
    }

    /// The same, with a place where others see which sources fare best.
    pub fn watched(self, best: BestSources) -> Self {
        Self { best, ..self }
    }

    /// The same, with someone who hears of each alert.
    pub fn heard_by(self, listener: Listener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Takes what one worker collected, and leaves it empty with its memory. Alerts wait until the step ends.
    pub fn take(&mut self, collected: &mut Collected) {
        let Collected { alerts, flows, opinions, sample, best, caches } = collected;
        remember(&self.best, best);
        if let Some(enforcer) = &mut self.enforcer {
            enforcer.heed(opinions);
            enforcer.saw(sample);
        }
        if let Some(listener) = &mut self.listener {
            alerts.iter().for_each(listener);
        }
        if self.alerts.is_some() {
            self.waiting.extend(alerts.drain(..).filter_map(|event| {
                let cache = caches.get(event.cache as usize)?;
                Some((event, Arc::clone(cache)))
            }));
        }
        if let Some(writer) = &mut self.flows {
            let outcome = writer.take(flows);
            self.note(outcome);
        }
        collected.clear();
    }

    /// Writes the alerts of a step, ordered by packet time, then by frame.
    pub fn end_step(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let Some(mut writer) = self.alerts.take() else { return };
        waiting.sort_unstable_by_key(|(event, _)| (event.ts_ns, event.frame, event.key));
        for (event, cache) in waiting.drain(..) {
            let outcome = writer.write(&event, &cache);
            self.note(outcome);
        }
        while let Some(dropped) = self.enforcer.as_mut().and_then(|enforcer| enforcer.dropped()) {
            let outcome = writer.write_drop(&dropped);
            self.note(outcome);
        }
        let outcome = writer.flush();
        self.note(outcome);
        (self.waiting, self.alerts) = (waiting, Some(writer));
    }

    /// Takes the flows that are left when a line ends. They stay where they lie until they are written, as the last of all: a
    /// copy of a million is 100 MB of memory that was never touched before.
    pub fn inherit(&mut self, table: FlowTable) {
        if self.flows.is_some() {
            self.left.push(table);
        }
    }

    /// Writes everything that waits.
    ///
    /// # Errors
    /// The first failure to write since the beginning.
    pub fn finish(&mut self) -> io::Result<()> {
        self.end_step();
        if let Some(writer) = self.flows.take() {
            let outcome = writer.finish(std::mem::take(&mut self.left));
            self.note(outcome);
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// What became of alerts so far.
    pub fn alert_counts(&self) -> AlertCounts {
        self.alerts.as_ref().map(|writer| writer.tally().counts()).unwrap_or_default()
    }

    /// Failures to write so far.
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.failures += 1;
            self.failure.get_or_insert(error);
        }
    }
}

/// Collections waiting for the recorder.
pub(crate) const OUTBOX: usize = 256;

/// What workers send to the recorder.
pub(crate) enum Report {
    Some(Collected),
    StepEnded(Collected),
    Left(Box<FlowTable>),
}

/// Takes reports until all workers are gone; a step has ended when `workers` have said so, and when they are gone.
pub(crate) fn record(recorder: &mut Recorder, reports: &Receiver<Report>, workers: usize) {
    let mut ended = 0;
    for report in reports {
        match report {
            Report::Some(mut collected) => recorder.take(&mut collected),
            Report::Left(table) => recorder.inherit(*table),
            Report::StepEnded(mut collected) => {
                recorder.take(&mut collected);
                ended += 1;
                if ended == workers {
                    recorder.end_step();
                    ended = 0;
                }
            }
        }
    }
    // What was open when the workers left ends with them.
    recorder.end_step();
}
