//! `credence control`: tells a running gateway something.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use crate::exit::Exit;
use crate::moment::parse_lifetime;
use crate::outputs::{print, tell};
use crate::run::{Request, request};

/// Where an installed gateway has its socket.
pub(crate) const SOCKET: &str = "/run/credence/control.sock";

/// Arguments of `credence control`.
#[derive(clap::Args)]
pub(crate) struct ControlArgs {
    /// The socket of the gateway, as `control.socket` names it
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// How things stand
    Status,
    /// The stricter policy of `[emergency]`, for a stated time, and then the usual one by itself
    Emergency {
        /// How long, such as 10m or 1h
        #[arg(long = "for", value_name = "TIME", value_parser = parse_lifetime)]
        lasts: Duration,
    },
    /// The usual policy again, at once
    Calm,
    /// Let the update of credit that waits take effect
    Accept,
    /// Forget the update of credit that waits
    Discard,
    /// What is in force for an address, and how often the kernel acted on it; `credence explain` says that and why
    Explain {
        /// The address
        address: Ipv6Addr,
    },
}

/// Asks, and prints the answer.
pub(crate) fn control(args: &ControlArgs) -> anyhow::Result<Exit> {
    let asked = match args.command {
        Command::Status => Request::Status,
        Command::Emergency { lasts } => Request::Emergency { seconds: lasts.as_secs() },
        Command::Calm => Request::Calm,
        Command::Accept => Request::Accept,
        Command::Discard => Request::Discard,
        Command::Explain { address } => Request::Explain { address },
    };
    let answer = request(&args.socket, asked)?;
    if answer.ok {
        print(|out| writeln!(out, "{}", answer.text))?;
    } else {
        tell(format_args!("{}", answer.text));
    }
    Ok(Exit::after(!answer.ok))
}
