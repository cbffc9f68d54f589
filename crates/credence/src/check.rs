//! `credence check`: whether a configuration is sound, and what it would do on this host.

mod effect;
mod followed;
mod outbox;
mod plan;
mod seat;

use std::io::{self, Write};
use std::path::PathBuf;

use indicatif::{DecimalBytes, HumanCount};
use serde::Serialize;

use crate::config::Config;
use crate::exit::Exit;
use crate::outputs::{Format, json, print, tell};
use effect::Effect;
use plan::Plan;

/// Arguments of `credence check`.
#[derive(clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Also say which share of this capture's packets the lists and snapshots would hit
    #[arg(long, value_name = "CAPTURE")]
    capture: Option<PathBuf>,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    file: String,
    /// Whether `credence run` would take this configuration.
    sound: bool,
    /// What is wrong with it, a sentence each.
    problems: Vec<String>,
    /// What is right and still worth a second thought.
    warnings: Vec<String>,
    /// What would be done; none where the file itself is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Plan>,
    /// What would happen to the packets of the capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
}

/// Prints what a configuration would do, and everything that is wrong with it.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let report = Report::of(args)?;
    if args.format == Format::Text {
        let (file, warnings) = (&report.file, report.warnings.iter());
        report.problems.iter().for_each(|problem| tell(format_args!("{file}: {problem}")));
        warnings.for_each(|warning| tell(format_args!("{file}: note: {warning}")));
    }
    print(|out| match args.format {
        Format::Text => report.write_text(out),
        Format::Json => json(out, &report),
    })?;
    Ok(Exit::after(!report.sound))
}

impl Report {
    fn of(args: &CheckArgs) -> anyhow::Result<Self> {
        let file = args.config.display().to_string();
        let empty =
            Self { file, sound: false, problems: Vec::new(), warnings: Vec::new(), plan: None, effect: None };
        let config = match Config::read(&args.config) {
            Ok(config) => config,
            Err(mistakes) => return Ok(Self { problems: mistakes.texts().to_vec(), ..empty }),
        };
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let (plan, credit) = Plan::of(&config, &mut problems, &mut warnings)?;
        let effect = match &args.capture {
            Some(capture) => Effect::on(capture, &config, &credit, &mut problems)?,
            None => None,
        };
        Ok(Self { sound: problems.is_empty(), problems, warnings, plan: Some(plan), effect, ..empty })
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verdict = if self.sound { "is sound" } else { "cannot be used" };
        writeln!(out, "{} {verdict}", self.file)?;
        if let Some(plan) = &self.plan {
            writeln!(out)?;
            plan.write_text(out)?;
        }
        self.effect.as_ref().map_or(Ok(()), |effect| effect.write_text(out))
    }
}

/// Bytes for people.
fn bytes(count: u64) -> String {
    DecimalBytes(count).to_string()
}

/// A number for people.
fn count(number: u64) -> String {
    HumanCount(number).to_string()
}
