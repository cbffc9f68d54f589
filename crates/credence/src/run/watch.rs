//! What the main thread does while the engine runs.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use credence_engine::Totals;
use credence_engine::clock::Stopwatch;
use credence_memory::allocator;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::{error, info, warn};

use super::controls::Controls;
use super::notify::Notify;
use crate::config::Config;
use crate::serve::pulse::Link;
use crate::serve::status::Status;
use crate::sources;

/// How often there is a look at signals and workers.
const TICK: Duration = Duration::from_millis(100);

/// How often the log has a line although nothing happened, so that silence means trouble.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// The exit code of whoever is interrupted twice, as shells have it: 128 and the number of the signal.
const KILLED: i32 = 128 + SIGINT;

/// Signals that came.
pub(super) struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// The flag that ends the run.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Handles SIGHUP, and what [`stop_at_signals`] handles.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn register() -> io::Result<Self> {
        let signals = Self { stop: stop_at_signals()?, reload: Arc::default() };
        flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        Ok(signals)
    }
}

/// A flag that SIGTERM and SIGINT set, so that a run ends in order. A second one ends the process at once.
///
/// # Errors
/// When the system refuses.
pub(crate) fn stop_at_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::<AtomicBool>::default();
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, KILLED, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Keeps watch over a running engine.
pub(super) struct Watch {
    path: PathBuf,
    /// The configuration in force.
    config: Config,
    status: Arc<Status>,
    signals: Signals,
    until: Option<Duration>,
    controls: Controls,
    notify: Notify,
    logged: Logged,
    /// What was said last of each source of frames.
    links: Vec<Link>,
    /// Whether it was said that alerts cannot be written.
    alerts_fail: bool,
    /// How often workers had failed when that was told last.
    restarts: u64,
}

/// What the last line of the log said.
#[derive(Default)]
struct Logged {
    at: Duration,
    totals: Totals,
}

impl Watch {
    /// A watch over the engine of `status`, which runs with `config` from the file at `path`; it ends the run
    /// when `until` has passed.
    pub(super) fn new(
        path: PathBuf,
        config: Config,
        status: Arc<Status>,
        signals: Signals,
        until: Option<Duration>,
        controls: Controls,
    ) -> Self {
        let (notify, logged) = (Notify::from_environment(), Logged::default());
        Self {
            path,
            config,
            status,
            signals,
            until,
            controls,
            notify,
            logged,
            links: Vec::new(),
            alerts_fail: false,
            restarts: 0,
        }
    }

    /// The engine that is watched.
    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// The flag that ends the run.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        self.signals.stop()
    }

    /// Keeps watch until `end` tells that the engine has ended.
    pub(super) fn until_end(&mut self, clock: &Stopwatch, end: &Receiver<()>) {
        while end.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let now = clock.elapsed();
            self.status.observe(now);
            self.notify.look(now, &self.status);
            self.status.credit().reclaim();
            self.controls.look(now);
            if self.until.is_some_and(|until| now >= until) {
                self.signals.stop.store(true, Ordering::Relaxed);
            }
            if self.signals.reload.swap(false, Ordering::Relaxed) {
                self.notify.reloading();
                self.reload(now);
                self.notify.reloaded();
            }
            self.tell_links();
            self.tell_alerts();
            self.tell_restarts();
            if now.saturating_sub(self.logged.at) >= LOGGED_EVERY {
                self.log(now);
            }
        }
        self.notify.stopping();
    }

    /// Tells others what they were not told yet. To be called when every alert is written.
    pub(super) fn end(mut self) {
        self.controls.end();
    }

    /// Reads the configuration and every snapshot again, whole. Unless all of it is sound, everything stays
    /// as it is.
    fn reload(&mut self, now: Duration) {
        let config = match Config::read(&self.path) {
            Ok(config) => config,
            Err(mistakes) => {
                self.controls.failed();
                return error!("the configuration was not taken over, the old one stays: {mistakes}");
            }
        };
        if config == Config::default() && self.config != config {
            // What an editor or a full disk leaves of a file would take all protection away.
            self.controls.failed();
            return error!(
                "the configuration was not taken over, the old one stays: {} is empty",
                self.path.display()
            );
        }
        let mut faults = Vec::new();
        let files = allocator::at_once(|| sources::files(&config, &mut faults));
        if !faults.is_empty() {
            self.controls.failed();
            let faults = faults.join("; ");
            return error!("the credit snapshots were not taken over, the old ones stay: {faults}");
        }
        self.controls.update(files);
        self.controls.look_at_exceptions(now, true);
        for key in config.restart_needed(&self.config) {
            warn!("`{key}` has changed; that takes effect after a restart");
        }
        self.config.credit = config.credit;
    }

    /// Says which source of frames has gone down or come back, or has found out why it does not.
    fn tell_links(&mut self) {
        let links = self.status.pulse().links();
        for (number, link) in links.iter().enumerate() {
            // How each source captures was told at the start.
            let is_news = self.links.get(number).map_or(link.is_down, |said| said != link);
            match (is_news, link) {
                (true, Link { is_down: true, description }) => warn!("no frames come: {description}"),
                (true, Link { is_down: false, description }) => info!("frames come again: {description}"),
                (false, _) => {}
            }
        }
        self.links = links;
    }

    /// Says when alerts cannot be written any more, and when they can again.
    fn tell_alerts(&mut self) {
        let (tally, fault) = (self.status.tally(), self.status.tally().fault());
        match (&fault, self.alerts_fail) {
            (Some(fault), false) => warn!(
                "alerts cannot be written: {fault}; a megabyte of them waits, then they are lost; make room on the disk of \
                 `alerts.path`, and they are written by themselves"
            ),
            (None, true) => info!(lost = tally.lost(), "alerts are written again"),
            _ => {}
        }
        self.alerts_fail = fault.is_some();
    }

    /// Says that a worker failed since it was asked last. What failed stands in the line before, which the program writes when
    /// it happens.
    fn tell_restarts(&mut self) {
        let restarts = self.status.engine().totals().restarts;
        if restarts > self.restarts {
            error!(
                "a worker failed and began anew with empty tables; a fault of this program: please report it"
            );
        }
        self.restarts = restarts;
    }

    /// The line of the minute.
    fn log(&mut self, now: Duration) {
        let totals = self.status.engine().totals();
        let since = |count: fn(&Totals) -> u64| count(&totals).saturating_sub(count(&self.logged.totals));
        let seconds = now.saturating_sub(self.logged.at).as_secs().max(1);
        let (kernel_drops, shed) = (since(|t| t.kernel_drops), since(|t| t.shed));
        info!(
            packets_per_s = since(|t| t.received) / seconds,
            flows = totals.flows_live,
            kernel_drops,
            shed,
            alerts = since(|t| t.alerts),
            "traffic"
        );
        if kernel_drops + shed > 0 {
            warn!("frames were lost unscored; more workers, or as many queues as workers, take more");
        }
        self.logged = Logged { at: now, totals };
    }
}
