//! What is known of a running engine from outside: the source of the metrics page and of readiness.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use credence_credit::Published;
use credence_engine::clock::unix_s;
use credence_engine::metrics::{Scrape, render};
use credence_engine::{AlertCounts, Engine, Offenders};

use super::alert_log::Tally;
use super::pulse::Pulse;
use super::readiness::Readiness;

/// A running engine, seen from outside.
pub(crate) struct Status {
    engine: Arc<Engine>,
    credit: Published,
    tally: Arc<Tally>,
    offenders: Offenders,
    pulse: Arc<Pulse>,
    readiness: Mutex<Readiness>,
    /// Alerts that were left out, as far as seen: it never falls, although sources are forgotten in time.
    left_out: AtomicU64,
    started_s: u64,
}

impl Status {
    /// The status of `engine`, which starts now.
    pub(crate) fn new(
        engine: Arc<Engine>,
        credit: Published,
        tally: Arc<Tally>,
        offenders: Offenders,
        pulse: Arc<Pulse>,
    ) -> Self {
        let (readiness, left_out) = (Mutex::default(), AtomicU64::new(0));
        Self { engine, credit, tally, offenders, pulse, readiness, left_out, started_s: unix_s() }
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

    /// Whether the source is looked at and every worker gets on.
    pub(crate) fn is_ready(&self) -> bool {
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner).is_ready()
    }

    /// What became of alerts so far. While the engine runs, those left out are known by their sources alone,
    /// so that both reasons are counted as one; the writer's own counts at the end tell them apart.
    pub(crate) fn alert_counts(&self) -> AlertCounts {
        let written = self.tally.lines();
        let raised: u64 = self.offenders.iter().map(|offender| offender.alerts).sum();
        let left_out = raised.saturating_sub(written + self.tally.lost());
        let suppressed = self.left_out.fetch_max(left_out, Ordering::Relaxed).max(left_out);
        AlertCounts { written, suppressed, over_rate: 0 }
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
            workers: self.workers().count(),
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
