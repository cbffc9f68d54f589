//! What is known of a running engine from outside: the source of the metrics page and of readiness.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use credence_credit::Published;
use credence_engine::clock::unix_s;
use credence_engine::metrics::{Scrape, render};
use credence_engine::{AlertCounts, AlertTally, AlertWriter, BestSources, Engine, Offenders, Output};

use super::alert_log::Tally;
use super::followed::Followed;
use super::kernel::Kernel;
use super::process::process;
use super::pulse::Pulse;
use super::readiness::Readiness;

/// What whoever keeps watch over an engine has to tell.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// When the emergency ends, Unix seconds; 0 when there is none.
    pub(crate) emergency_ends_s: AtomicU64,
    /// Whether an update of credit waits for the operator.
    pub(crate) update_held: AtomicBool,
    /// Whether the file of exceptions has a mistake, so that what it said before is in force.
    pub(crate) exceptions_faulty: AtomicBool,
    /// Reloads of which nothing was taken over.
    pub(crate) reload_failures: AtomicU64,
}

/// A running engine, seen from outside.
pub(crate) struct Status {
    engine: Arc<Engine>,
    credit: Published,
    tally: Arc<Tally>,
    alerts: Arc<AlertTally>,
    offenders: Offenders,
    best: BestSources,
    pulse: Arc<Pulse>,
    kernel: Option<Arc<Kernel>>,
    state: Arc<State>,
    followed: Arc<Followed>,
    readiness: Mutex<Readiness>,
    started_s: u64,
}

impl Status {
    /// The status of `engine`, which starts now.
    pub(crate) fn new(
        engine: Arc<Engine>,
        credit: Published,
        tally: Arc<Tally>,
        alerts: &AlertWriter<Output>,
        pulse: Arc<Pulse>,
        kernel: Option<Arc<Kernel>>,
    ) -> Self {
        let (alerts, offenders) = (alerts.tally(), alerts.offenders());
        Self {
            engine,
            credit,
            tally,
            alerts,
            offenders,
            best: BestSources::default(),
            pulse,
            kernel,
            state: Arc::default(),
            followed: Arc::default(),
            readiness: Mutex::default(),
            started_s: unix_s(),
        }
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where credit caches are published.
    pub(crate) fn credit(&self) -> &Published {
        &self.credit
    }

    /// The sources that raised alerts.
    pub(crate) fn offenders(&self) -> &Offenders {
        &self.offenders
    }

    /// The sources that fare best.
    pub(crate) fn best_sources(&self) -> &BestSources {
        &self.best
    }

    /// What became of alert lines.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What is known of the sources of frames.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Looks how far everybody is at `now`, a time since the start; to be called several times in
    /// [`Self::is_ready`]'s five seconds.
    pub(crate) fn observe(&self, now: Duration) {
        let idle = self.engine.totals().received == 0;
        let steps = self.workers().map(|own| own.steps.value());
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner).observe(
            now,
            self.pulse.polls(),
            steps,
            idle,
        );
    }

    /// Whether every source is looked at and every worker gets on.
    pub(crate) fn is_ready(&self) -> bool {
        self.pulse.has_begun() && self.readiness.lock().unwrap_or_else(PoisonError::into_inner).is_ready()
    }

    /// What became of alerts so far; as written count the lines that reached the file.
    pub(crate) fn alert_counts(&self) -> AlertCounts {
        AlertCounts { written: self.tally.lines(), ..self.alerts.counts() }
    }

    /// What whoever keeps watch has to tell.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// What is known of the process that fetches.
    pub(crate) const fn followed(&self) -> &Arc<Followed> {
        &self.followed
    }

    /// The metrics page.
    ///
    /// # Errors
    /// When two metrics have the same name, which is a mistake of this program.
    pub(crate) fn page(&self) -> Result<String, String> {
        let scrape = Scrape {
            totals: &self.engine.totals(),
            cache: &self.credit.current(),
            alerts: self.alert_counts(),
            output_failures: self.tally.failures(),
            lines_lost: self.tally.lost(),
            workers: self.workers().count(),
            flow_capacity: self.engine.flow_capacity(),
            ready: self.is_ready(),
            links: self.pulse.links().iter().map(|link| !link.is_down).collect(),
            emergency_ends_s: self.state.emergency_ends_s.load(Ordering::Relaxed),
            update_held: self.state.update_held.load(Ordering::Relaxed),
            exceptions_faulty: self.state.exceptions_faulty.load(Ordering::Relaxed),
            reload_failures: self.state.reload_failures.load(Ordering::Relaxed),
            enforcement: self.kernel.as_ref().map(|kernel| kernel.enforcement()),
            following: self.followed.told(),
            outbox: self.followed.outbox(self.tally.unheard()),
            process: process(),
            started_s: self.started_s,
            version: env!("CARGO_PKG_VERSION"),
        };
        render(&scrape).map_err(|error| error.to_string())
    }

    /// The counters of workers, without those of the reader, which come last.
    fn workers(&self) -> impl Iterator<Item = &Arc<credence_engine::Own>> {
        let count = self.engine.counters().count().saturating_sub(1);
        self.engine.counters().take(count)
    }
}
