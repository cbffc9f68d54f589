//! `credence detach`: takes the program or the rules off an interface that a process before left there.

use std::path::Path;

use credence_enforce::{PINS, nft};

use crate::exit::{Exit, HostCannot};
use crate::outputs::tell;

/// Arguments of `credence detach`.
#[derive(clap::Args)]
pub(crate) struct DetachArgs {
    /// The interfaces to leave alone
    #[arg(required = true, value_name = "NAME")]
    interfaces: Vec<String>,
}

/// Takes the program and the rules off each interface, and says whether there were any.
pub(crate) fn detach(args: &DetachArgs) -> anyhow::Result<Exit> {
    for interface in &args.interfaces {
        let was_program = credence_enforce::detach(interface, Path::new(PINS)).map_err(HostCannot::from)?;
        let were_rules = nft::remove_tables(interface).map_err(HostCannot::from)?;
        match was_program || were_rules {
            true => tell(format_args!("{interface}: nothing is enforced any more")),
            false => tell(format_args!("{interface}: no program was left there, and no rules of nftables")),
        }
    }
    Ok(Exit::Done)
}
