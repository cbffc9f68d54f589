//! `credence run`.

use crate::exit::Exit;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct RunArgs {}

pub(crate) fn run(_args: &RunArgs) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
