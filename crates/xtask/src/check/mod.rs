//! `cargo xtask test`: everything that must hold, one step after another, each under a time limit.

pub(crate) mod concurrency;
pub(crate) mod instructions;
mod steps;
mod tools;
pub(crate) mod unsafe_list;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::now;
use crate::{HostLacks, sys};
use steps::{LENGTH, STEPS, Step};
use tools::Tools;

/// The names that `--only` takes.
pub(crate) fn step_names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// How a step ended.
enum End {
    /// It passed; what it left undone, if anything, is said in words.
    Passed(Option<String>),
    Failed(anyhow::Error),
}

/// A row of the table at the end.
struct Row {
    step: &'static Step,
    time: Duration,
    end: End,
}

/// Runs the steps named in `only`, or all, and prints a table of them. Where none is named, the tests at
/// their full length run only if `full` is asked for.
///
/// # Errors
/// When a step fails, and at once when the host lacks a program that the steps need.
pub(crate) fn run(root: &Path, only: &[String], keep_going: bool, full: bool) -> Result<()> {
    let tools = Tools::new(root);
    let mut rows = Vec::new();
    let is_wanted = |step: &&Step| match only {
        [] => full || step.name != LENGTH,
        only => only.iter().any(|name| name == step.name),
    };
    for step in STEPS.iter().filter(is_wanted) {
        let row = run_step(step, &tools);
        let failed = matches!(row.end, End::Failed(_));
        rows.push(row);
        if failed && (!keep_going || sys::interrupted()) {
            break;
        }
    }
    print_table(&rows);
    conclude(rows)
}

fn run_step(step: &'static Step, tools: &Tools) -> Row {
    eprintln!("\n== {}: {}", step.name, step.about);
    let started = now();
    let end = match (step.run)(tools, step.limit) {
        Ok(note) => End::Passed(note),
        Err(error) => {
            eprintln!("{}: {error:#}", step.name);
            End::Failed(error)
        }
    };
    let time = started.elapsed();
    eprintln!("== {}: {:.1} s", step.name, time.as_secs_f64());
    Row { step, time, end }
}

fn print_table(rows: &[Row]) {
    eprintln!("\n{:<12} {:>8}  result", "step", "seconds");
    for row in rows {
        let result = match &row.end {
            End::Passed(None) => "passed".to_owned(),
            End::Passed(Some(note)) => format!("passed; {note}"),
            End::Failed(error) => format!("FAILED: {error:#}"),
        };
        eprintln!("{:<12} {:>8.1}  {}", row.step.name, row.time.as_secs_f64(), result);
    }
    let total: Duration = rows.iter().map(|row| row.time).sum();
    eprintln!("{:<12} {:>8.1}", "all", total.as_secs_f64());
}

/// The error that the program ends with: a lack of the host before any other, since it explains the others.
fn conclude(rows: Vec<Row>) -> Result<()> {
    let mut failures: Vec<_> = rows
        .into_iter()
        .filter_map(|row| match row.end {
            End::Failed(error) => Some((row.step.name, error)),
            End::Passed(_) => None,
        })
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    if let Some(at) = failures.iter().position(|(_, error)| error.is::<HostLacks>()) {
        return Err(failures.swap_remove(at).1);
    }
    let names: Vec<_> = failures.iter().map(|(name, _)| *name).collect();
    bail!("failed: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn row(end: End) -> Row {
        Row { step: &STEPS[0], time: Duration::ZERO, end }
    }

    #[test]
    fn a_lack_of_the_host_is_told_before_other_failures() {
        let lack = || End::Failed(HostLacks("no compiler".into()).into());
        let ended = conclude(vec![row(End::Passed(None)), row(End::Failed(anyhow!("broken"))), row(lack())]);
        assert!(ended.unwrap_err().is::<HostLacks>());
        let ended =
            conclude(vec![row(End::Failed(anyhow!("broken"))), row(End::Passed(Some("a note".into())))]);
        assert_eq!(ended.unwrap_err().to_string(), format!("failed: {}", STEPS[0].name));
        assert!(conclude(vec![row(End::Passed(None))]).is_ok());
    }

    #[test]
    fn step_names_are_distinct_and_the_limits_stay_within_two_hours() {
        let mut names = step_names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
        let usual = STEPS.iter().filter(|step| step.name != LENGTH);
        assert!(usual.map(|step| step.limit).sum::<Duration>() <= Duration::from_secs(2 * 3_600));
        assert!(STEPS.iter().any(|step| step.name == LENGTH));
    }
}
