//! `credence detach`: takes a program off an interface that a process before left there.

use std::path::Path;

use credence_enforce::PINS;

use crate::exit::{Exit, HostCannot};
use crate::outputs::tell;

/// Arguments of `credence detach`.
#[derive(clap::Args)]
pub(crate) struct DetachArgs {
    /// The interfaces to leave alone
    #[arg(required = true, value_name = "NAME")]
    interfaces: Vec<String>,
}

/// Takes the program off each interface, and says whether there was one.
pub(crate) fn detach(args: &DetachArgs) -> anyhow::Result<Exit> {
    for interface in &args.interfaces {
        let was_there = credence_enforce::detach(interface, Path::new(PINS)).map_err(HostCannot::from)?;
        match was_there {
            true => tell(format_args!("{interface}: nothing is enforced any more")),
            false => tell(format_args!("{interface}: no program was left there")),
        }
    }
    Ok(Exit::Done)
}
