//! Credit snapshots and the operator's lists, from the command line to what the engine reads.

use std::path::PathBuf;

use anyhow::ensure;
use credence_credit::guard::NeverBlock;
use credence_credit::{Cache, Guards, file};
use credence_engine::Lists;
use credence_prefix::Prefix;

use crate::config::{ListedPrefix, PrefixLists};
use crate::exit::Exit;
use crate::outputs::tell;

/// The operator's lists of prefixes.
#[derive(Clone, clap::Args)]
pub(crate) struct ListArgs {
    /// A prefix of the operator or of a customer; may be given several times
    #[arg(long = "own", value_name = "PREFIX")]
    own: Vec<Prefix>,

    /// A prefix whose traffic is never blocked, besides those that never are; may be given several times
    #[arg(long = "never-block", value_name = "PREFIX")]
    never_block: Vec<Prefix>,
}

impl ListArgs {
    /// These lists and those of a configuration.
    pub(crate) fn beside(&self, lists: &PrefixLists) -> Self {
        let and = |own: &[Prefix], listed: &[ListedPrefix]| {
            own.iter().copied().chain(listed.iter().map(ListedPrefix::prefix)).collect()
        };
        Self { own: and(&self.own, &lists.own), never_block: and(&self.never_block, &lists.never_block) }
    }

    /// The guards that judge records, with the operator's never-block list.
    pub(crate) fn guards(&self) -> Guards {
        Guards::new(NeverBlock::new(self.never_block.iter().copied()))
    }

    /// The lists that the line asks, with the never-block list of `guards`.
    ///
    /// # Errors
    /// When a list is longer than the prefix map can number.
    pub(crate) fn lists(&self, guards: &Guards) -> anyhow::Result<Lists> {
        Ok(Lists::new(guards.never_block().prefixes(), &self.own)?)
    }
}

/// What is wrong where there is no snapshot at all.
pub(crate) const NOTHING: &str = "without a credit snapshot there is nothing to look up in";

/// Reads snapshots into one cache. One that cannot be read is told and left out, and the command ends as after bad input.
///
/// # Errors
/// When together they are too large.
pub(crate) fn load(paths: &[PathBuf], guards: &Guards) -> anyhow::Result<(Cache, Exit)> {
    let mut snapshots = Vec::with_capacity(paths.len());
    for path in paths {
        match file::read(path) {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) => tell(error),
        }
    }
    let exit = Exit::after(snapshots.len() < paths.len());
    Ok((Cache::build(snapshots, guards)?, exit))
}

/// As [`load`], for commands that have nothing to say without a snapshot.
///
/// # Errors
/// When none can be read, or together they are too large.
pub(crate) fn load_some(paths: &[PathBuf], guards: &Guards) -> anyhow::Result<(Cache, Exit)> {
    let (cache, exit) = load(paths, guards)?;
    ensure!(!cache.sources().is_empty(), NOTHING);
    Ok((cache, exit))
}
