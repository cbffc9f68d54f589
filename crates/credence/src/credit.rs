//! `credence credit`.

use crate::exit::Exit;

#[derive(clap::Subcommand)]
pub(crate) enum CreditCommand {
    /// Import
    Import,
}

pub(crate) fn credit(_command: &CreditCommand) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
