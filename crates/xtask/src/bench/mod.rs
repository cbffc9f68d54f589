//! `cargo xtask bench`: every bench, then a table and charts of what came of it.
//!
//! The benches print what they measure and leave estimates behind; this reads the medians ([`estimates`]), puts each
//! beside the others of the same run ([`chart`], [`section`]), and with `--write` replaces `benches/results` and the part
//! of the project's README between two markers. What is written follows from the estimates alone, and those are kept in
//! `benches/results` too: a test makes everything anew from them and compares.

mod chart;
mod estimates;
mod section;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process;
use estimates::Estimates;

/// Where results are kept, from the root.
const RESULTS: &str = "benches/results";
/// The estimates among them.
const ESTIMATES: &str = "estimates.json";
/// Time limit of all benches together.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// What is run and what becomes of it.
#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// Replace benches/results and the figures in README.md; otherwise the table is only printed
    #[arg(long)]
    write: bool,
    /// Run nothing: read what criterion left in a directory such as target/criterion, or benches/results/estimates.json
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
}

/// Runs the benches, prints the table, and writes it with its charts when asked to.
///
/// # Errors
/// When a bench fails, when there are no estimates, and when files cannot be read or written.
pub(crate) fn run(root: &Path, args: &BenchArgs) -> Result<()> {
    let estimates = match &args.from {
        Some(file) if file.is_file() => Estimates::parse(&fs::read_to_string(file)?)?,
        Some(directory) => Estimates::read(directory)?,
        None => measure(root)?,
    };
    ensure!(!estimates.is_empty(), "there are no estimates");
    println!("{}", section::table(&estimates));
    if args.write {
        write(root, &estimates)?;
    }
    Ok(())
}

/// Runs every bench, in a directory of its own so that no estimate is of another run.
fn measure(root: &Path) -> Result<Estimates> {
    let directory = tempfile::tempdir()?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).arg("bench").env("CRITERION_HOME", directory.path());
    process::run(&mut cargo, LIMIT)?;
    Estimates::read(directory.path())
}

fn write(root: &Path, estimates: &Estimates) -> Result<()> {
    let results = root.join(RESULTS);
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    fs::create_dir_all(&results)?;
    fs::write(results.join(ESTIMATES), estimates.text())?;
    for (name, svg) in chart::all(estimates) {
        fs::write(results.join(name), svg)?;
    }
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme).context("README.md")?;
    Ok(fs::write(readme, section::replaced(&text, estimates)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown is what was recorded: nobody edits a figure by hand, and a chart that changes is made anew.
    #[test]
    fn everything_that_is_shown_follows_from_the_recorded_estimates() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let results = root.join(RESULTS);
        let estimates = Estimates::parse(&fs::read_to_string(results.join(ESTIMATES)).unwrap()).unwrap();
        let charts = chart::all(&estimates);
        for (name, svg) in &charts {
            assert_eq!(&fs::read_to_string(results.join(name)).unwrap(), svg, "{name}");
        }
        assert_eq!(fs::read_dir(&results).unwrap().count(), charts.len() + 1);
        let readme = fs::read_to_string(root.join("README.md")).unwrap();
        assert_eq!(section::replaced(&readme, &estimates).unwrap(), readme);
    }
}
