//! `credence credit`: snapshots made, shown and compared.

mod diff;
mod export;
mod import;

use crate::exit::Exit;

/// What to do with snapshots.
#[derive(clap::Subcommand)]
pub(crate) enum CreditCommand {
    /// Make a snapshot from lists
    Import(import::ImportArgs),
    /// Write the records of a snapshot for other tools
    Export(export::ExportArgs),
    /// What changed between two snapshots
    Diff(diff::DiffArgs),
}

/// Runs one of the commands.
pub(crate) fn credit(command: &CreditCommand) -> anyhow::Result<Exit> {
    match command {
        CreditCommand::Import(args) => import::import(args),
        CreditCommand::Export(args) => export::export(args),
        CreditCommand::Diff(args) => diff::diff(args),
    }
}
