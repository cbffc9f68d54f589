//! `credence run`: the engine on an interface.
//!
//! The engine runs on threads of its own; this thread keeps watch: signals, the configuration read again, a
//! line in the log each minute. Verdicts are counted and raise alerts; where the configuration says so, the kernel carries
//! them out.

mod accounts;
mod carrier;
mod controls;
mod door;
mod emergency;
mod enforcement;
mod exceptions;
mod following;
mod nftables;
mod notify;
mod placement;
mod watch;

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use credence_capture::{Error, Source, live};
use credence_credit::Published;
use credence_engine::clock::Stopwatch;
use credence_engine::{AlertWriter, Engine, LineConfig, Output, Recorder, RunError};
use credence_memory::allocator;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, cores};
use crate::exit::{Exit, HostCannot};
use crate::sandbox::Sandbox;
use crate::serve;
use crate::serve::alert_log::{AlertLog, Tally};
use crate::serve::pulse::{Pulse, Watched};
use crate::serve::status::Status;
use crate::sources::Sources;
use crate::summary::{Run, Summary};
use carrier::{Carrier, Parts};
use controls::Controls;
use door::Door;
pub(crate) use door::{Request, request};
use following::Follower;
pub(crate) use nftables::{COMMAND as CARRY_NFTABLES, carry as carry_nftables};
pub(crate) use watch::stop_at_signals;
use watch::{Signals, Watch};

/// Owner writes, group reads: alerts hold full source addresses.
const MODE: u32 = 0o640;

/// The variable that says what is logged, in the form of `tracing_subscriber`'s filters. By default `info`.
const LOG_FILTER: &str = "CREDENCE_LOG";

/// Alerts that wait for the watch, which looks ten times a second: ten times as many as are written.
const TOLD_MAX: usize = 128;

/// Arguments of `credence run`.
#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// The configuration; `credence check` says what it would do
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Listen on this interface instead of the configured one
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,

    /// End after so many seconds instead of at a signal
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
}

/// Scores what an interface carries until a signal, or for as long as was asked.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    start_log();
    let config = Config::read(&args.config)?;
    let interface = args.interface.as_deref().or(config.interface.as_deref());
    let interface = interface.with_context(|| {
        let file = args.config.display();
        format!("{file} names no interface; give `interface = \"NAME\"` in it, or --interface NAME")
    })?;
    placement::stand_near(&config, interface);
    let sandbox = Sandbox::prepare(&config, &args.config)?;
    let (guards, workers) = (config.guards(), config.worker_count(cores()));
    let line = config.line(&guards, workers)?;
    let credit = Published::default();
    let mut faults = Vec::new();
    let sources = Sources::begin(&config, &mut faults);
    // A gateway does not start with half of its credit.
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    let mut keeper = sources.keeper([], &guards, &credit)?;
    keeper.publish();
    let tally = Arc::<Tally>::default();
    let (heard, told) = mpsc::sync_channel(TOLD_MAX);
    let heard = config.sync.outbox.is_on().then_some(heard);
    let alerts = alert_writer(&config, &line, Arc::clone(&tally), heard)?;
    let pulse = Arc::<Pulse>::default();
    let signals = Signals::register().context("signals cannot be handled")?;
    let mut parts = Parts::load(&config, interface, &mut keeper)?;
    let frames = open(&config, interface, parts.copies.take(), &pulse)?;
    let alarm = Arc::clone(&line.alarm);
    let engine = Arc::new(Engine::new(line, credit.clone(), workers));
    let page = serve::bind(config.metrics.listen)?;
    let door = config.control.socket.as_deref().map(door::make).transpose()?;
    let Parts { mut carrier, enforcer, .. } = parts.attach(&config, interface, keeper.cache())?;
    let kernel = carrier.as_ref().map(Carrier::kernel);
    let status = Arc::new(Status::new(engine, credit, tally, &alerts, pulse, kernel));
    announce(&config, &status, &frames, workers);
    status.followed().begin(&config.sync).map_err(anyhow::Error::msg)?;
    sources.records().for_each(|(list, records)| status.followed().holds_records(list, records));
    let mut follower = Follower::start(&config, &args.config, Arc::clone(status.followed()))?;

    // Everything is open, and there is no thread yet but this one.
    sandbox.enter()?;
    info!("metrics are on http://{}/metrics, beside /healthz and /readyz", page.address());
    page.serve(Arc::clone(&status))?;
    let until = args.seconds.map(Duration::from_secs);
    let door = door.map(Door::open).transpose()?;
    if let Some(carrier) = &mut carrier {
        let beating = carrier.beat(&config, Arc::clone(&status), signals.stop());
        beating.context("the kernel cannot be told that the engine lives")?;
    }
    if let Some(follower) = &mut follower {
        follower.listen()?;
    }
    let mut recorder = Recorder::new(Some(alerts), None).watched(Arc::clone(status.best_sources()));
    if let Some(enforcer) = enforcer {
        recorder = recorder.enforcing(enforcer);
    }
    let controls =
        Controls::new(&config, (guards, sources, keeper), Arc::clone(&status), alarm, carrier, door)
            .following(follower, told);
    let watch = Watch::new(args.config.clone(), config, status, signals, until, controls);
    // What was taken for the start is given back; what changes from now on takes little, again and again.
    allocator::keep_for_next();
    score(watch, frames, recorder, workers)
}

/// Runs the engine and keeps watch until it ends, then says what came of it.
fn score(
    mut watch: Watch,
    sources: Vec<Box<dyn Source>>,
    mut recorder: Recorder,
    workers: usize,
) -> anyhow::Result<Exit> {
    let (status, stop) = (watch.status(), watch.stop());
    let clock = Stopwatch::start();
    let (ended, end) = mpsc::channel();
    let outcome = thread::scope(|scope| -> anyhow::Result<_> {
        let live = || {
            let outcome = status.engine().live(sources, &mut recorder, &stop);
            // The watch may have seen the end by itself.
            let _ = ended.send(());
            outcome
        };
        let thread = thread::Builder::new().name("credence-engine".to_owned());
        let running = thread.spawn_scoped(scope, live).context("no thread for the engine")?;
        watch.until_end(&clock, &end);
        Ok(running.join().unwrap_or(Err(RunError::WorkerDied)))
    })?;
    let (alerts, written) = (recorder.alert_counts(), recorder.finish());
    watch.end();
    let run = Run {
        alerts,
        cache: &status.credit().current(),
        workers,
        elapsed: clock.elapsed(),
        interrupted: false,
    };
    let totals = status.engine().totals();
    // When nobody listens on standard error, there is nobody to tell.
    let _ = Summary::of(&totals, &run).write_text(&mut io::stderr());
    info!(kernel_drops = totals.kernel_drops, "ended");
    if let Err(error) = written {
        warn!(%error, "some alerts could not be written");
    }
    match outcome {
        Ok(()) => Ok(Exit::Done),
        Err(RunError::Capture(error)) => Err(host_cannot(error)),
        Err(error) => Err(anyhow::Error::from(error).context("internal error; please report this")),
    }
}

/// Logs on standard error, in colour only on a terminal.
pub(crate) fn start_log() {
    let filter = EnvFilter::try_from_env(LOG_FILTER).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).init();
}

/// Where alerts go. Without a path they are counted all the same.
fn alert_writer(
    config: &Config,
    line: &LineConfig,
    tally: Arc<Tally>,
    heard: Option<SyncSender<String>>,
) -> anyhow::Result<AlertWriter<Output>> {
    let out: Output = match &config.alerts.path {
        Some(path) => Box::new(AlertLog::new(append(path)?, tally).heard_by(heard)),
        None => Box::new(AlertLog::new(io::sink(), tally).heard_by(heard)),
    };
    let writer = AlertWriter::new(out, Arc::clone(&line.lists), None, config.alerts.lines_per_second.into());
    Ok(writer.enforcing(config.enforce.carries_out()))
}

/// Opens a file to append to, made with mode 0640 where it is not there yet.
///
/// # Errors
/// When that cannot be, or when it is no file: a pipe whose reader stops would hold up whoever writes.
fn append(path: &Path) -> anyhow::Result<File> {
    let name = path.display();
    let refused = || {
        format!(
            "alerts cannot be written to {name}; check that its directory exists and that this user may write there"
        )
    };
    // Asked before it is opened, since opening a pipe waits for a reader.
    let is_other = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    ensure!(!is_other, "alerts cannot be written to {name}, which is no regular file; name a file");
    OpenOptions::new().append(true).create(true).mode(MODE).open(path).with_context(refused)
}

/// Opens the interface, each source with a pulse.
fn open(
    config: &Config,
    interface: &str,
    copies: Option<Box<dyn Source>>,
    pulse: &Arc<Pulse>,
) -> anyhow::Result<Vec<Box<dyn Source>>> {
    let sources = match copies {
        // What a bridge hands from leg to leg passes every socket by.
        Some(copies) => vec![copies],
        None => live(&config.capture(interface)).map_err(host_cannot)?,
    };
    let watched = sources
        .into_iter()
        .map(|source| Box::new(Watched::new(source, Arc::clone(pulse))) as Box<dyn Source>);
    Ok(watched.collect())
}

/// A capture error as what it is: the configuration's fault, or something that this host lacks.
fn host_cannot(error: Error) -> anyhow::Error {
    match error {
        Error::Config { .. } => error.into(),
        error => HostCannot(error.to_string()).into(),
    }
}

/// Says what was picked and why, and what will not happen.
fn announce(config: &Config, status: &Status, sources: &[Box<dyn Source>], workers: usize) {
    if !config.enforce.is_on() {
        info!(
            "observing only: verdicts are counted and raise alerts, and no packet is held up, marked or dropped"
        );
    }
    for source in sources {
        info!("{}", source.describe());
    }
    let cache = status.credit().current();
    info!(workers, records = cache.len(), "credit from {} snapshots", cache.sources().len());
    match &config.alerts.path {
        Some(path) => info!("alerts go to {}", path.display()),
        None => info!("alerts are counted and not written; `alerts.path` names a file for them"),
    }
}
