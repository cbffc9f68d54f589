//! `credence sync`: the process that talks to other hosts, so that the one that parses their packets need not.
//!
//! `credence run` starts it when the configuration has something to fetch, twice over: a *supervisor*, which the gateway starts
//! while it still may start a program, and the follower itself, which the supervisor starts again whenever it dies. Both are
//! ended by the kernel when the one that started them is gone, and what they keep on disk bears that at any moment.

mod outbox;
mod supervisor;

use std::fs::{DirBuilder, File, TryLockError};
use std::future::pending;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use credence_sync::pipe::{self, Heard, LINE_LEN_MAX, Order, Report, Words};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::config::Config;
use crate::exit::{Exit, HostCannot};
use crate::{run, sandbox};
pub(crate) use outbox::{Desk, by_turns, socket};
pub(crate) use supervisor::COMMAND;

/// Owner writes, group reads: whom a list names is nobody else's business.
const MODE: u32 = 0o750;

/// Orders that wait for the follower; a gateway gives one for each list that changes.
const ORDERS_MAX: usize = 64;

/// Alerts that wait for the outbox.
const ALERTS_MAX: usize = 256;

/// Arguments of `credence sync`.
#[derive(clap::Args)]
pub(crate) struct SyncArgs {
    /// The configuration; its section `[sync]` says what is fetched
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// How it was started, which only `credence run` says
    #[arg(long, value_enum, hide = true)]
    part: Option<Part>,
}

/// Which of the processes this is that a gateway starts.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The one that starts the other.
    Supervisor,
    /// The one that talks to other hosts.
    Follower,
}

/// Fetches what the configuration names until a signal, or until the gateway that started it is gone.
pub(crate) fn sync(args: &SyncArgs) -> anyhow::Result<Exit> {
    run::start_log();
    let config = Config::read(&args.config)?;
    if args.part.is_some() {
        sandbox::become_nobody_special(&config.sandbox)?;
        // Asked for after the user has changed, which takes it back.
        set_parent_process_death_signal(Some(Signal::KILL))
            .context("this process could outlive its gateway")?;
    }
    match args.part {
        Some(Part::Supervisor) => supervisor::supervise(&args.config),
        part => follow(&config, part.is_some()),
    }
}

/// Makes the directories below the configured one, and takes what nobody else may use at the same time.
///
/// # Errors
/// When that cannot be, with what to do.
pub(crate) fn make_state(state: &Path) -> anyhow::Result<()> {
    let name = state.display();
    DirBuilder::new().recursive(true).mode(MODE).create(lists(state)).map_err(|error| {
        let cure = "let this user write there, or name another directory in `sync.state`";
        HostCannot(format!("the directory {name} cannot be made: {error}; {cure}")).into()
    })
}

/// Where copies of lists are kept.
pub(crate) fn lists(state: &Path) -> PathBuf {
    state.join("lists")
}

/// Keeps others from following into the same directory for as long as the file is open.
///
/// # Errors
/// When somebody does already.
fn lock(state: &Path) -> anyhow::Result<File> {
    let (path, name) = (state.join("lock"), state.display());
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let cure = "end that one, or name another directory in `sync.state`";
            Err(HostCannot(format!("another process fetches into {name}; {cure}")).into())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{name} cannot be locked")),
    }
}

fn follow(config: &Config, is_ordered: bool) -> anyhow::Result<Exit> {
    make_state(&config.sync.state)?;
    let _lock = lock(&config.sync.state)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("no runtime for the network")?;
    // Its socket is made and its key is read while that can be.
    let desk = outbox::open(config);
    sandbox::confine_follower(&config.sandbox, &config.sync.state);
    // Kept, where nobody gives orders, so that they never end.
    let (_unordered, orders) = if is_ordered { (None, orders()?) } else { silence() };
    runtime.block_on(async {
        let (alerts, heard) = channel(ALERTS_MAX);
        tokio::select! {
            () = until_the_end(orders, alerts) => Ok(()),
            attended = attend(desk, heard) => attended,
        }
    })?;
    Ok(Exit::Done)
}

async fn until_the_end(mut orders: Receiver<Order>, alerts: Sender<String>) {
    while let Some(order) = orders.recv().await {
        match order {
            // Where nobody tells others anything, nobody listens.
            Order::Alert { line } => drop(alerts.send(line).await),
            order => tracing::debug!(?order, "nothing waits"),
        }
    }
}

/// Tells others, where there is anybody who does.
async fn attend(desk: Option<(Desk, UnixListener)>, alerts: Receiver<String>) -> anyhow::Result<()> {
    match desk {
        Some((desk, door)) => desk.attend(door, alerts).await,
        None => {
            drop(alerts);
            pending().await
        }
    }
}

/// Nobody's orders.
fn silence() -> (Option<Sender<Order>>, Receiver<Order>) {
    let (keep, orders) = channel(1);
    (Some(keep), orders)
}

/// The orders of the gateway, which end when it does.
///
/// # Errors
/// When no thread can be started to read them.
fn orders() -> anyhow::Result<Receiver<Order>> {
    let (send, orders) = channel(ORDERS_MAX);
    let read = move || {
        let mut words = Words::new(io::BufReader::with_capacity(LINE_LEN_MAX, io::stdin().lock()));
        while let Ok(Some(heard)) = words.hear() {
            match heard {
                Heard::Word(order) => {
                    if send.blocking_send(order).is_err() {
                        return;
                    }
                }
                Heard::Garbage => tracing::warn!("the gateway says what no gateway says"),
            }
        }
    };
    thread::Builder::new().name("credence-orders".to_owned()).spawn(read).context("no thread for orders")?;
    Ok(orders)
}

/// Tells the gateway, or whoever reads standard output.
///
/// # Errors
/// When nobody does.
fn report(report: &Report) -> io::Result<()> {
    let line = pipe::line(report)?;
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
