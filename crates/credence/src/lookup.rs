//! `credence lookup`.

use crate::exit::Exit;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct LookupArgs {}

pub(crate) fn lookup(_args: &LookupArgs) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
