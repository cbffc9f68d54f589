//! `credence explain`.

use crate::exit::Exit;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct ExplainArgs {}

pub(crate) fn explain(_args: &ExplainArgs) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
