//! `credence replay`.

use crate::exit::Exit;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct ReplayArgs {}

pub(crate) fn replay(_args: &ReplayArgs) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
