//! The gateway binary: commands, configuration, wiring. No logic lives here.

mod check;
mod config;
mod control;
mod credit;
mod demo;
mod detach;
mod doctor;
mod exit;
mod explain;
mod feed;
mod follower;
mod lookup;
mod moment;
mod outbox;
mod outputs;
mod processors;
mod progress;
mod replay;
mod run;
mod sandbox;
mod serve;
mod snapshots;
mod sources;
mod statement;
mod summary;
mod top;
mod tree;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use credence_memory::allocator::{self, MiMalloc};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Scores every IPv6 flow on a gateway by the credit of its source and by how it behaves, and can always say why.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The tour: a real capture replayed with a live table and a metrics page; no root, no network
    Demo(demo::DemoArgs),
    /// The engine on an interface
    Run(run::RunArgs),
    /// Score capture files
    Replay(replay::ReplayArgs),
    /// What the credit cache says of addresses
    Lookup(lookup::LookupArgs),
    /// Why: matched prefixes, terms, rules, issuer, evidence, expiry, where to complain
    Explain(explain::ExplainArgs),
    /// Import, export and compare credit snapshots
    #[command(subcommand)]
    Credit(credit::CreditCommand),
    /// Fetch what `[sync]` names; `credence run` starts this by itself
    Sync(follower::SyncArgs),
    /// What is kept of the feed that a gateway follows
    #[command(subcommand)]
    Feed(feed::FeedCommand),
    /// Validate a configuration and say what it would do
    Check(check::CheckArgs),
    /// Tell a running gateway something: an emergency, an update that waits
    Control(control::ControlArgs),
    /// What would be told to others: see it, change it, send it, drop it
    Outbox(outbox::OutboxArgs),
    /// Take off an interface what a process that ended left there on purpose
    Detach(detach::DetachArgs),
    /// What this host can do, and what mends the rest
    Doctor(doctor::DoctorArgs),
    /// A live view of a running gateway
    Top(top::TopArgs),
    /// What `credence run` starts where verdicts are carried out by nftables; for nobody else
    #[command(name = run::CARRY_NFTABLES, hide = true)]
    CarryNftables,
}

fn main() -> ExitCode {
    allocator::give_back_at_once();
    let outcome = match Arguments::parse().command {
        Command::Demo(args) => demo::demo(&args),
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Lookup(args) => lookup::lookup(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Credit(command) => credit::credit(&command),
        Command::Sync(args) => follower::sync(&args),
        Command::Feed(command) => feed::feed(&command),
        Command::Check(args) => check::check(&args),
        Command::Control(args) => control::control(&args),
        Command::Outbox(args) => outbox::outbox(&args),
        Command::Detach(args) => detach::detach(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Top(args) => top::top(&args),
        Command::CarryNftables => run::carry_nftables(),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            outputs::tell(format_args!("{error:#}"));
            exit::code_of(&error)
        }
    }
}
