//! `cargo xtask compare`: whole programs on the same capture file, by what a packet costs.
//!
//! The captures and the list of prefixes come from the project's own generator (`benches/src/workload.rs`, which tells
//! what is in them). Each program reads the same file, in turns, and is charged the processor time that the kernel booked
//! on it, less what it books on the first four frames with the same settings: what reading a list costs at start-up is
//! not what is compared. Before both comes a run on those frames that is not counted: memory that a host took back from
//! this machine since is dear for whoever touches it first, and a start-up that pays for it would make the rest look
//! cheap. What a program does besides with the same packet, it does by its own choice.

mod contenders;
mod measured;
mod table;

use std::fs::{self, File};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::{self, Usage};
use contenders::{CONTENDERS, Contender, Ground};
use measured::{Cost, Runs};
use table::{Outcome, Outcomes, Row};

/// The names of the files that the generator writes, and of the snapshot made from one.
mod files {
    pub(super) const TRAFFIC: &str = "traffic.pcap";
    pub(super) const START: &str = "start.pcap";
    pub(super) const CREDIT: &str = "credit.csv";
    pub(super) const REPUTATION: &str = "reputation.list";
    pub(super) const SNAPSHOT: &str = "credit.snapshot";
}

/// Time limit of a build.
const BUILD: Duration = Duration::from_secs(30 * 60);
/// Time limit of making inputs.
const MAKE: Duration = Duration::from_secs(10 * 60);
/// Time limit of one run of one program.
const RUN: Duration = Duration::from_secs(5 * 60);

/// Hosts that flows come from.
const HOSTS: usize = 250_000;
/// Where the generator's random numbers start.
const SEED: usize = 1;

/// What is compared on, and how often.
#[derive(clap::Args)]
pub(crate) struct CompareArgs {
    /// Packets of each capture
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    packets: usize,
    /// Flows of a capture; may be given more than once
    #[arg(long, value_name = "N", default_values_t = [1_000_000, 10_000])]
    flows: Vec<usize>,
    /// Prefixes of the list
    #[arg(long, value_name = "N", default_value_t = 281_000)]
    prefixes: usize,
    /// Runs of each program over each capture
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// Compare this program alone with credence; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Make the inputs here and leave them [default: a directory that is removed]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Measure this credence [default: the one that is built from here]
    #[arg(long, value_name = "PROGRAM")]
    credence: Option<PathBuf>,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Build without optimisation: to see that it works, not how fast
    #[arg(long)]
    unoptimised: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Compares, and prints the outcome.
///
/// # Errors
/// When the inputs cannot be made, when credence itself fails, and when the program is interrupted. A peer that fails is
/// told in the outcome.
pub(crate) fn run(root: &Path, args: &CompareArgs) -> Result<()> {
    let counts = [args.packets, args.prefixes, args.runs];
    ensure!(!counts.iter().chain(&args.flows).any(|&count| count == 0), "give at least one of everything");
    let temporary = tempfile::tempdir()?;
    let directory = args.keep.as_deref().unwrap_or(temporary.path());
    let built = Built::new(root, args)?;
    let mut grounds = Vec::with_capacity(args.flows.len());
    for flows in &args.flows {
        grounds.push(prepare(&built, args, *flows, &directory.join(flows.to_string()))?);
    }
    let rows = compare(&grounds, args)?;
    let (packets, prefixes, runs, flows) = (args.packets, args.prefixes, args.runs, args.flows.clone());
    let outcomes = Outcomes { packets, prefixes, runs, flows, rows };
    match args.format {
        Format::Text => print!("{}", outcomes.text()),
        Format::Json => println!("{}", outcomes.json()),
    }
    Ok(())
}

/// What is built from this workspace.
struct Built {
    credence: PathBuf,
    workload: PathBuf,
}

impl Built {
    fn new(root: &Path, args: &CompareArgs) -> Result<Self> {
        let executable = |what: &[&str]| -> Result<PathBuf> {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.current_dir(root).args(["build", "--message-format", "json-render-diagnostics"]).args(what);
            // What the tests have built already is built for the whole workspace.
            cargo.arg(if args.unoptimised { "--workspace" } else { "--release" });
            executable_in(&process::read(&mut cargo, BUILD)?).context("cargo built no program")
        };
        Ok(Self {
            credence: match &args.credence {
                Some(program) => fs::canonicalize(program)
                    .with_context(|| format!("{} is not there", program.display()))?,
                None => executable(&["--bin", "credence"])?,
            },
            workload: executable(&["--example", "workload"])?,
        })
    }
}

/// The last program that cargo says it built.
fn executable_in(messages: &str) -> Option<PathBuf> {
    let executable = |line: &str| -> Option<PathBuf> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    messages.lines().filter_map(executable).next_back()
}

/// Makes the inputs of one capture.
fn prepare(built: &Built, args: &CompareArgs, flows: usize, directory: &Path) -> Result<Ground> {
    let (inputs, outputs) = (directory.join("in"), directory.join("out"));
    fs::create_dir_all(&inputs)?;
    fs::create_dir_all(&outputs)?;
    eprintln!("making a capture of {} packets in {flows} flows", args.packets);
    let mut make = Command::new(&built.workload);
    make.arg(&inputs);
    make.args([args.packets, flows, HOSTS.min(flows), args.prefixes, SEED].map(|number| number.to_string()));
    process::run(&mut make, MAKE)?;
    let mut import = Command::new(&built.credence);
    import.args(["credit", "import", "--from", "csv"]).arg(inputs.join(files::CREDIT));
    import.arg("--output").arg(inputs.join(files::SNAPSHOT));
    process::read(&mut import, MAKE)?;
    let collector = UdpSocket::bind("127.0.0.1:0")?;
    Ok(Ground { credence: built.credence.clone(), inputs, outputs, collector })
}

/// Runs every program in turns, so that what slows the machine for a while slows all.
fn compare(grounds: &[Ground], args: &CompareArgs) -> Result<Vec<Row>> {
    let wanted = |contender: &&Contender| {
        contender.name == contender.job.ours()
            || args.only.is_empty()
            || args.only.iter().any(|name| name == contender.name)
    };
    let contenders: Vec<_> = CONTENDERS.iter().filter(wanted).collect();
    let mut all: Vec<_> = contenders.iter().map(|contender| Trial::of(contender, grounds.len())).collect();
    for round in 1..=args.runs {
        for trial in &mut all {
            eprintln!("round {round} of {}: {}", args.runs, trial.contender.name);
            trial.go(grounds)?;
        }
    }
    Ok(all.into_iter().map(|trial| trial.row(args.packets)).collect())
}

/// A program's runs so far, over each capture.
struct Trial {
    contender: &'static Contender,
    runs: Vec<Runs>,
    /// Why there are no more.
    ended: Option<Outcome>,
}

impl Trial {
    fn of(contender: &'static Contender, captures: usize) -> Self {
        let ended = (!contender.is_there()).then_some(Outcome::Absent);
        Self { contender, runs: (0..captures).map(|_| Runs::default()).collect(), ended }
    }

    /// Runs the program once over each capture and its beginning.
    fn go(&mut self, grounds: &[Ground]) -> Result<()> {
        for (ground, runs) in grounds.iter().zip(&mut self.runs) {
            if self.ended.is_some() {
                return Ok(());
            }
            let run = |capture| once(self.contender, ground, capture);
            let both = run(files::START).and_then(|_| Ok((run(files::START)?, run(files::TRAFFIC)?)));
            match both {
                Ok((start, whole)) => {
                    runs.start.push(start);
                    runs.whole.push(whole);
                }
                Err(error) if self.contender.is_ours() || crate::sys::interrupted() => return Err(error),
                Err(error) => self.ended = Some(Outcome::Failed(format!("{error:#}"))),
            }
        }
        Ok(())
    }

    fn row(self, packets: usize) -> Row {
        let measured = || {
            let costs = self.runs.iter().map(|runs| Cost::of(runs, packets)).collect::<Option<Vec<_>>>();
            costs.map_or_else(|| Outcome::Failed("it was never run to its end".into()), Outcome::Measured)
        };
        Row { contender: self.contender, outcome: self.ended.unwrap_or_else(measured) }
    }
}

/// One run over one capture. What the program wrote is removed, so that no run finds the files of another.
fn once(contender: &Contender, ground: &Ground, capture: &str) -> Result<Usage> {
    fs::remove_dir_all(&ground.outputs)?;
    fs::create_dir_all(&ground.outputs)?;
    let mut command = contender.command(ground, &ground.inputs.join(capture))?;
    let said = ground.inputs.join("said");
    let log = File::create(&said)?;
    command.stdout(log.try_clone()?).stderr(log);
    process::measure(&mut command, RUN).with_context(|| {
        let text = String::from_utf8_lossy(&fs::read(&said).unwrap_or_default()).into_owned();
        text.lines().next_back().unwrap_or("it said nothing").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_last_that_cargo_names() {
        let messages = "{\"executable\":null}\n{\"executable\":\"/a\"}\nnoise\n{\"executable\":\"/b\"}\n{\"reason\":\"x\"}\n";
        assert_eq!(executable_in(messages), Some("/b".into()));
        assert_eq!(executable_in("{\"executable\":null}"), None);
    }

    #[test]
    fn a_program_that_is_absent_is_never_run() {
        let contender = CONTENDERS.iter().find(|contender| !contender.is_ours()).unwrap();
        let trial = Trial { contender, runs: Vec::new(), ended: Some(Outcome::Absent) };
        assert!(matches!(trial.row(10).outcome, Outcome::Absent));
    }
}
