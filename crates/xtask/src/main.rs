//! The project's own chores, run as `cargo xtask CHORE`. None of this is part of the product.
//!
//! * [`check`]: `cargo xtask test`, everything that must hold before a change is accepted, and `cargo xtask unsafe`, the
//!   list of files that may hold `unsafe` code;
//! * [`captures`]: `cargo xtask captures`, which makes the capture files under `tests/captures` with the kernel's own
//!   network stack, and builds what no kernel sends;
//! * [`process`] and [`sys`]: programs that end for certain, and the few system calls that this needs.
//!
//! Exit codes: 0 done, 1 something failed, 2 usage, 3 this host lacks a program or a privilege (the message names it and
//! the command that brings it).

mod captures;
mod check;
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
    /// Run every check: tools, format, lints, unsafe list, licences, tests, benches, fuzz targets, demo
    Test {
        /// Run this step alone; may be given more than once
        #[arg(long, value_name = "STEP", value_parser = check::step_names())]
        only: Vec<String>,
        /// Run the later steps although an earlier one failed
        #[arg(long)]
        keep_going: bool,
    },
    /// Check that unsafe code stands in the listed files only, each with its reason
    Unsafe,
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
        Chore::Test { only, keep_going } => check::run(&root, &only, keep_going),
        Chore::Unsafe => check::unsafe_list::check(&root),
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
