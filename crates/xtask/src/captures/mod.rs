//! The captures of the project's own: scenes of the kernel's stack, and packets built where it has none to offer.
//!
//! [`catalogue`] lists every file and [`run`] makes them; [`lab`] is the small internet in which [`kernel`] and [`demo`]
//! play, with [`actors`] on stage; [`forge`] builds what [`built`] needs; [`frames`] reads and writes the files. What runs
//! twice is not the same to the byte: the committed files are what the tests read.

mod actors;
mod built;
mod catalogue;
mod demo;
mod forge;
mod frames;
mod kernel;
mod lab;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{HostLacks, process, sys};
use catalogue::{CATALOGUE, Recipe};

/// Most that all committed captures may take together, in bytes: a checkout stays quick.
const TOTAL_MAX: u64 = 3_000_000;

/// The table beside the captures.
const TABLE: &str = "README.md";

/// Makes the captures (those named in `only`, or all) in `directory`, and the table of all that are there.
///
/// # Errors
/// When the host lacks root, `ip` or `tcpdump`; when a scene fails; when the files grow too large.
pub(crate) fn run(directory: &Path, only: &[String]) -> Result<()> {
    for name in only {
        ensure!(CATALOGUE.iter().any(|recipe| recipe.file == name), "there is no capture {name}");
    }
    let wanted = |recipe: &&Recipe| only.is_empty() || only.iter().any(|name| name == recipe.file);
    let recipes: Vec<_> = CATALOGUE.iter().filter(wanted).collect();
    if recipes.iter().any(|recipe| recipe.made.needs_kernel()) {
        require_host()?;
        lab::sweep()?;
    }
    fs::create_dir_all(directory)?;
    for recipe in recipes {
        eprintln!("{}", recipe.file);
        ensure!(!sys::interrupted(), "interrupted");
        let recording = (recipe.record)().with_context(|| format!("cannot make {}", recipe.file))?;
        frames::write_recording(&directory.join(recipe.file), recipe.form, &recording)?;
    }
    let table = catalogue::table(directory)?;
    fs::write(directory.join(TABLE), table)?;
    let total = catalogue::total_len(directory)?;
    ensure!(total <= TOTAL_MAX, "the captures take {total} bytes, more than {TOTAL_MAX}");
    eprintln!("{} captures, {total} bytes", CATALOGUE.len());
    Ok(())
}

/// Says what is missing for namespaces and recording, and how to bring it.
fn require_host() -> Result<()> {
    if !sys::is_root() {
        return Err(
            HostLacks("captures need network namespaces: run `sudo -E cargo xtask captures`".into()).into()
        );
    }
    for (program, argument, package) in [("ip", "-V", "iproute2"), ("tcpdump", "--version", "tcpdump")] {
        if !process::succeeds(Command::new(program).arg(argument), Duration::from_secs(10)) {
            let cure = format!("`{program}` is missing: run `apt-get install {package}`");
            return Err(HostLacks(cure).into());
        }
    }
    Ok(())
}
