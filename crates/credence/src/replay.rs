//! `credence replay`: scores capture files.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow};
use credence_capture::{Error, FileSource, Source};
use credence_credit::{Anonymiser, Published};
use credence_engine::clock::Stopwatch;
use credence_engine::{
    AlertWriter, Chain, Engine, FlowWriter, Keyed, LineConfig, Output, Pace, Recorder, RunError,
};
use credence_score::Policy;
use credence_wire::Link;
use indicatif::ProgressBar;
use serde::Deserialize;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::{Exit, Usage};
use crate::outputs::{Format, anonymiser_key, create, is_standard, json, print, tell};
use crate::progress;
use crate::snapshots::{ListArgs, load};
use crate::summary::{Run, Summary};

/// Alert lines in a second of packet time at most, as on a live interface.
const ALERTS_PER_S_MAX: u64 = 100;

/// The exit code of whoever is interrupted twice, as shells have it: 128 and the number of the signal.
const KILLED: i32 = 128 + SIGINT;

/// Arguments of `credence replay`.
#[derive(clap::Args)]
pub(crate) struct ReplayArgs {
    /// Capture files, scored one after the other as one stream: pcap or pcapng, plain or compressed with gzip or zstd; - is
    /// standard input
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,

    /// Write a line a flow to FILE, tab-separated, sorted by first packet; - is standard output, and the summary then goes
    /// to standard error
    #[arg(long, value_name = "FILE")]
    flows: Option<PathBuf>,

    /// Write alerts to FILE as JSON lines; - as for --flows
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,

    /// Score with the records of this credit snapshot; may be given several times
    #[arg(long, value_name = "SNAPSHOT")]
    credit: Vec<PathBuf>,

    /// Worker threads; the answer is the same however many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=128))]
    workers: u16,

    /// As fast as the machine can, or as fast as it was captured
    #[arg(long, value_enum, default_value_t)]
    speed: Speed,

    /// Which header of a tunnel makes the flow
    #[arg(long, value_enum, default_value_t)]
    tunnels: Tunnels,

    /// The form of the summary
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Take rungs and thresholds from the section [policy] of this TOML file
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    lists: ListArgs,

    /// Flows held at most, all workers together
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..=1 << 27))]
    flows_capacity: u32,

    /// Replace addresses in flows and alerts, prefix by prefix, with a random key that is forgotten
    #[arg(long)]
    anonymise: bool,

    /// Replace addresses with the key in FILE, 32 bytes or 64 hexadecimal digits, so that runs can be compared
    #[arg(long, value_name = "FILE")]
    anonymise_key: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Speed {
    /// As fast as the machine can
    #[default]
    Max,
    /// As fast as it was captured
    Real,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Tunnels {
    /// The outermost, as on a gateway
    #[default]
    Outer,
    /// The innermost; anyone can forge it
    Inner,
}

/// What a policy file holds: the section of that name of a gateway's configuration, alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    policy: Policy,
}

/// Scores captures, writes what was asked for, and prints a summary.
pub(crate) fn replay(args: &ReplayArgs) -> anyhow::Result<Exit> {
    args.check()?;
    let guards = args.lists.guards();
    let line = args.line(&guards)?;
    let mut recorder = args.recorder(&line)?;
    let (cache, credit_exit) = load(&args.credit, &guards)?;
    let credit = Published::default();
    credit.store(cache);
    let engine = Engine::new(line, credit.clone(), args.workers.into());

    let stop = interrupted_by_signals()?;
    let bar = progress::over(&args.captures, &engine);
    let mut chain = Chain::new(args.captures.clone(), |path| open(path, &bar));
    let watch = Stopwatch::start();
    let outcome = engine.replay(&mut chain, args.pace(), &mut recorder, &stop);
    let elapsed = watch.elapsed();
    bar.finish_and_clear();

    let written = recorder.finish();
    let alerts = recorder.alert_counts();
    let (interrupted, workers) = (stop.load(Ordering::Relaxed), args.workers.into());
    let run = Run { alerts, cache: &credit.current(), workers, elapsed, interrupted };
    let totals = engine.totals();
    args.print(&Summary::of(&totals, &run))?;

    if interrupted {
        tell("ended early by a signal; what was read so far is scored and written");
    }
    out_of_order(chain.backward());
    unread_links(chain.linktypes());
    chain.failures().iter().for_each(tell);
    outcome.map_err(internal)?;
    if !totals.balances() {
        return Err(anyhow!(
            "internal error: frames are unaccounted for; please report this with the capture"
        ));
    }
    written?;
    Ok(if chain.failures().is_empty() { credit_exit } else { Exit::BadInput })
}

impl ReplayArgs {
    /// What the argument parser cannot see.
    fn check(&self) -> Result<(), Usage> {
        let (Some(flows), Some(alerts)) = (&self.flows, &self.alerts) else { return Ok(()) };
        if flows != alerts {
            return Ok(());
        }
        let name =
            if is_standard(flows) { "standard output".to_owned() } else { flows.display().to_string() };
        Err(Usage(format!("--flows and --alerts both go to {name}; name different files")))
    }

    fn pace(&self) -> Pace {
        match self.speed {
            Speed::Max => Pace::Max,
            Speed::Real => Pace::Real,
        }
    }

    fn line(&self, guards: &credence_credit::Guards) -> anyhow::Result<LineConfig> {
        Ok(LineConfig {
            keyed: match self.tunnels {
                Tunnels::Outer => Keyed::Outer,
                Tunnels::Inner => Keyed::Inner,
            },
            flows: self.flows_capacity.div_ceil(self.workers.into()),
            policy: self.policy.as_deref().map(policy).transpose()?.unwrap_or_default(),
            lists: Arc::new(self.lists.lists(guards)?),
            seed: RandomState::new().hash_one(0),
            flow_records: self.flows.is_some(),
            ..LineConfig::default()
        })
    }

    /// Where flows and alerts go. Alerts are always counted, also where nobody wants their lines.
    fn recorder(&self, line: &LineConfig) -> anyhow::Result<Recorder> {
        let key = self.anonymise_key.as_deref();
        let key = (self.anonymise || key.is_some()).then(|| anonymiser_key(key)).transpose()?;
        let anonymiser = || key.as_ref().map(Anonymiser::new);
        let open = |path: &Path| create(path, &self.inputs());
        let flows = self.flows.as_deref().map(open).transpose()?;
        let alerts = self.alerts.as_deref().map_or_else(|| Ok(Box::new(io::sink()) as Output), open)?;
        let alerts = AlertWriter::new(alerts, Arc::clone(&line.lists), anonymiser(), ALERTS_PER_S_MAX);
        Ok(Recorder::new(Some(alerts), flows.map(|out| FlowWriter::new(out, anonymiser()))))
    }

    /// Everything that is read, and that no output may overwrite.
    fn inputs(&self) -> Vec<&Path> {
        let files = self.captures.iter().chain(&self.credit).chain(&self.policy).chain(&self.anonymise_key);
        files.map(PathBuf::as_path).collect()
    }

    /// Prints the summary where it does not run into an output.
    fn print(&self, summary: &Summary) -> anyhow::Result<()> {
        let write = |out: &mut dyn Write| match self.format {
            Format::Text => summary.write_text(out),
            Format::Json => json(out, summary),
        };
        if self.flows.iter().chain(&self.alerts).any(|path| is_standard(path)) {
            // When nobody listens on standard error, there is nobody to tell.
            let _ = write(&mut io::stderr());
            return Ok(());
        }
        print(write)
    }
}

/// Opens a capture, whose bytes move the bar.
fn open(path: &Path, bar: &ProgressBar) -> Result<Box<dyn Source>, Error> {
    let source = match File::open(path) {
        Ok(file) if !is_standard(path) => {
            FileSource::from_reader(path.display().to_string(), bar.wrap_read(file))
        }
        // Standard input, or an error that the library words.
        _ => credence_capture::open(path),
    };
    Ok(Box::new(source?))
}

fn policy(path: &Path) -> anyhow::Result<Policy> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("{name} cannot be read; check that the path is right and that this user may read it")
    })?;
    let PolicyFile { policy } = toml::from_str(&text).with_context(|| format!("{name} is no policy"))?;
    policy.validate().with_context(|| format!("{name} is no policy"))?;
    Ok(policy)
}

/// A flag that the first Ctrl-C or SIGTERM sets, so that the run ends early and in order. The second ends the process.
fn interrupted_by_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, KILLED, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("signals cannot be handled")?;
    }
    Ok(stop)
}

/// Says that time went back between captures, which may end a flow that is in both.
fn out_of_order(backward: &[PathBuf]) {
    let Some(first) = backward.first() else { return };
    let more =
        if backward.len() > 1 { format!(", and {} more as well", backward.len() - 1) } else { String::new() };
    tell(format_args!(
        "{} begins before the capture in front of it ended{more}; give captures in the order of time",
        first.display()
    ));
}

/// Says which link types nobody could read, once each.
fn unread_links(linktypes: impl Iterator<Item = u16>) {
    for linktype in linktypes.filter(|&linktype| Link::from_linktype(linktype).is_none()) {
        tell(format_args!("link type {linktype} is not read; its frames count as unknown_link"));
    }
}

fn internal(error: RunError) -> anyhow::Error {
    anyhow::Error::from(error).context("internal error; please report this with the capture")
}
