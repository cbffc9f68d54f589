//! `credence demo`.

use crate::exit::Exit;

/// Arguments.
#[derive(clap::Args)]
pub(crate) struct DemoArgs {}

pub(crate) fn demo(_args: &DemoArgs) -> anyhow::Result<Exit> {
    Ok(Exit::Done)
}
