//! The project's own chores, run as `cargo xtask CHORE`. None of this is part of the product.
//!
//! * [`check`]: `cargo xtask test`, everything that must hold before a change is accepted; `cargo xtask unsafe`, the list of
//!   files that may hold `unsafe` code; and `cargo xtask instructions`, what operations cost on record;
//! * [`captures`]: `cargo xtask captures`, which makes the capture files under `tests/captures` with the kernel's own
//!   network stack, and builds what no kernel sends;
//! * [`bench`]: `cargo xtask bench`, every bench, and a table and charts of what came of it;
//! * [`compare`]: `cargo xtask compare`, credence and its peers on the same capture file;
//! * [`process`] and [`sys`]: programs that end for certain, and the few system calls that this needs.
//!
//! Exit codes: 0 done, 1 something failed, 2 usage, 3 this host lacks a program or a privilege (the message names it and
//! the command that brings it).

mod bench;
mod captures;
mod check;
mod compare;
mod process;
mod sys;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every check: tools, format, lints, unsafe list, licences, tests, benches, instruction counts, fuzz targets, demo
    Test {
        /// Run this step alone; may be given more than once
        #[arg(long, value_name = "STEP", value_parser = check::step_names())]
        only: Vec<String>,
        /// Run the later steps although an earlier one failed
        #[arg(long)]
        keep_going: bool,
        /// Run the tests that can go on for longer at their full length as well, which takes an hour more
        #[arg(long)]
        full: bool,
    },
    /// Check that unsafe code stands in the listed files only, each with its reason
    Unsafe,
    /// Run the tests of unsafe code under Miri (needs a nightly toolchain)
    Miri,
    /// Run every bench and tell what came of it in a table, and in charts that the README shows
    Bench(bench::BenchArgs),
    /// Count the instructions of what every packet goes through, and compare them with the record
    Instructions {
        /// Replace the record by what is counted now
        #[arg(long)]
        record: bool,
    },
    /// Measure credence and whichever of its peers are installed on one capture file, by processor time a packet
    Compare(compare::CompareArgs),
    /// Make the capture files of the tests and of the demo (needs root, iproute2 and tcpdump)
    Captures {
        /// Directory to write to
        #[arg(long, default_value = "tests/captures")]
        out: PathBuf,
        /// Make this file alone; may be given more than once
        #[arg(long, value_name = "FILE")]
        only: Vec<String>,
    },
}

/// What this host lacks, and how to bring it.
#[derive(Debug)]
struct HostLacks(String);

impl std::fmt::Display for HostLacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HostLacks {}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    sys::watch_signals();
    let done = workspace_root().and_then(|root| match arguments.chore {
        Chore::Test { only, keep_going, full } => check::run(&root, &only, keep_going, full),
        Chore::Unsafe => check::unsafe_list::check(&root),
        Chore::Miri => check::concurrency::miri(&root),
        Chore::Bench(args) => bench::run(&root, &args),
        Chore::Instructions { record } => check::instructions::run(&root, record),
        Chore::Compare(args) => compare::run(&root, &args),
        Chore::Captures { out, only } => captures::run(&root.join(out), &only),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(if error.is::<HostLacks>() { 3 } else { 1 })
        }
    }
}

/// The root of the workspace, two levels above this package.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().nth(2).context("the package lies two levels below the root")?;
    Ok(root.to_path_buf())
}
