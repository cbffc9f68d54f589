//! `credence sync`: the process that talks to other hosts, so that the one that parses their packets need not.
//!
//! `credence run` starts it when the configuration has something to fetch, twice over: a *supervisor*, which the gateway starts
//! while it still may start a program, and the follower itself, which the supervisor starts again whenever it dies. Both are
//! ended by the kernel when the one that started them is gone, and what they keep on disk bears that at any moment.

mod attest;
mod once;
mod outbox;
mod supervisor;

use std::fs::{DirBuilder, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, ensure};
use credence_engine::clock::unix_s;
use credence_feed::State;
use credence_sync::feed::epoch::turn_to;
use credence_sync::feed::{Client, Folder, Offer, Plan, Told, listen, listen_to};
use credence_sync::fetch::{Fetcher, Patience, Refused};
use credence_sync::lists::shelf::Shelf;
use credence_sync::lists::{Event, Lists, Machine};
use credence_sync::pipe::{self, Heard, LINE_LEN_MAX, Order, Report, Words};
use rustix::process::{Signal, set_parent_process_death_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tracing::{info, warn};

use self::outbox::News;
use crate::config::{Config, FEED};
use crate::exit::{Exit, HostCannot};
use crate::outputs::Format;
use crate::{run, sandbox};
pub(crate) use outbox::{Desk, by_turns, follow_kept, member, socket};
pub(crate) use supervisor::COMMAND;

/// Owner writes, group reads: whom a list names is nobody else's business.
const MODE: u32 = 0o750;

/// Orders and reports that wait; there is one for each list that changes.
const EVENTS_MAX: usize = 64;

/// Alerts and counts that wait for the outbox.
const ALERTS_MAX: usize = 256;

/// Names where hosts are asked for. Whoever replaces it, as clients of DHCP do, takes it from a follower, to which the file was
/// left that had the name before; the next one is left the new file.
const RESOLVER: &str = "/etc/resolv.conf";

/// Arguments of `credence sync`.
#[derive(clap::Args)]
pub(crate) struct SyncArgs {
    /// The configuration; its section `[sync]` says what is fetched
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Ask for the feed and each list once, say what came, and end
    #[arg(long)]
    once: bool,

    /// The form of the answer to --once
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// How it was started, which only `credence run` says
    #[arg(long, value_enum, hide = true)]
    part: Option<Part>,

    /// The number of the gateway that started it, which its supervisor draws
    #[arg(long, hide = true)]
    gateway: Option<u64>,
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
    let file = args.config.display();
    ensure!(
        config.sync.is_on(),
        "{file} names nothing to fetch; give a list under `[sync.lists.NAME]` in it, or a platform with `sync.url`"
    );
    if args.part.is_some() {
        sandbox::become_nobody_special(&config.sandbox)?;
        // Who ends a whole group of processes ends the gateway with it, and that says when there is nothing more to store.
        let heard = Arc::default();
        for signal in [SIGTERM, SIGINT] {
            flag::register(signal, Arc::clone(&heard)).context("signals cannot be handled")?;
        }
        // Asked for after the user has changed, which takes it back.
        set_parent_process_death_signal(Some(Signal::KILL))
            .context("this process could outlive its gateway")?;
    }
    match args.part {
        Some(Part::Supervisor) => supervisor::supervise(&args.config),
        _ => follow(&config, args),
    }
}

/// Makes the directories that copies are kept in.
///
/// # Errors
/// When that cannot be, with what to do.
pub(crate) fn make_state(state: &Path) -> anyhow::Result<()> {
    let name = state.display();
    let made = [lists(state), feed(state)];
    let make = |path: &PathBuf| DirBuilder::new().recursive(true).mode(MODE).create(path);
    made.iter().try_for_each(make).map_err(|error| {
        let cure = "let this user write there, or name another directory in `sync.state`";
        HostCannot(format!("the directory {name} cannot be made: {error}; {cure}")).into()
    })
}

/// Where copies of lists are kept.
pub(crate) fn lists(state: &Path) -> PathBuf {
    state.join("lists")
}

/// Where what is in force by a feed is kept.
pub(crate) fn feed(state: &Path) -> PathBuf {
    state.join("feed")
}

/// Where it is kept what was signed last in a party's name.
pub(crate) fn stated(state: &Path) -> PathBuf {
    state.join("stated")
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

fn follow(config: &Config, args: &SyncArgs) -> anyhow::Result<Exit> {
    let (part, format) = (args.part, args.once.then_some(args.format));
    make_state(&config.sync.state)?;
    let _lock = lock(&config.sync.state)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("no runtime for the network")?;
    // Here, since it reads the authorities that the host trusts, which lie outside.
    let fetcher = Fetcher::new(Patience::default())?;
    // Its socket is made and its key is read while that can be.
    let desk = if format.is_none() { outbox::open(config) } else { None };
    let agents =
        if format.is_none() { attest::open(config, desk.as_ref().map(|(desk, _)| desk)) } else { Vec::new() };
    let followed = config.sync.feed();
    let mirrors = followed.iter().flat_map(|plan| &plan.mirrors);
    let directories = mirrors.filter_map(|mirror| mirror.path().map(Path::to_owned));
    let read: Vec<_> = directories.chain(config.sync.bus_ca.clone()).collect();
    sandbox::confine_follower(&config.sandbox, &config.sync.state, &read);
    let (machine, shelf) = (Machine { unix_s, chance }, Shelf::new(lists(&config.sync.state)));
    let plans = config.sync.plans();
    let client = |plan: Plan, fetcher: &Fetcher| {
        let mut folder = Folder::new(&feed(&config.sync.state)).context("the feed cannot be kept")?;
        if turn_to(&mut folder, config.sync.epoch)? {
            info!(epoch = config.sync.epoch, "another epoch of the public log is followed from now on");
        }
        Ok::<_, anyhow::Error>(Client::new(fetcher.clone(), plan, folder, machine))
    };
    if let Some(format) = format {
        let places = followed.as_ref().map_or(0, |plan| plan.mirrors.len());
        let client = followed.map(|plan| client(plan, &fetcher)).transpose()?;
        let lists = Lists::new(fetcher, shelf, machine);
        return runtime.block_on(async {
            once::round(client.map(|client| (client, places)), &lists, &plans, format).await
        });
    }
    let (send, events) = channel(EVENTS_MAX);
    if part.is_some() {
        hear(send.clone())?;
    }
    let ended = runtime.block_on(async {
        let to_others = fetcher.clone();
        let lists = Lists::new(fetcher.clone(), shelf, machine);
        let lists = match args.gateway {
            Some(gateway) => lists.of_gateway(gateway),
            None => lists,
        };
        lists.found(&plans).iter().try_for_each(report)?;
        let (orders, ordered) = channel(EVENTS_MAX);
        let (in_force, seen) = watch::channel(None);
        let rules = config.sync.brings_rules().map(|_| seen.clone());
        for agent in agents {
            tokio::spawn(agent.keep(fetcher.clone(), seen.clone()));
        }
        if desk.is_some() && followed.is_none() {
            warn!("what this member says ends after an hour: name the platform in `sync.url`, so that it is stated anew");
        }
        if let Some(plan) = followed {
            let (bell, rings) = channel(1);
            let mirrors = plan.mirrors.clone();
            match config.sync.bus() {
                Some(bus) => tokio::spawn(listen_to(bus, fetcher.clone(), mirrors, bell, chance)),
                None => tokio::spawn(listen(fetcher.clone(), mirrors, bell, chance)),
            };
            let client = client(plan, &fetcher)?;
            let client = match args.gateway {
                Some(gateway) => client.of_gateway(gateway),
                None => client,
            };
            tokio::spawn(keep(client, (rings, ordered), send.clone(), in_force));
        }
        for plan in plans {
            tokio::spawn(lists.clone().keep(Arc::new(plan), send.clone()));
        }
        let (news, heard) = channel(ALERTS_MAX);
        let Some((desk, door)) = desk else {
            drop(heard);
            return heed(&lists, (&orders, news), events).await;
        };
        let mut attended = pin!(desk.attend(to_others, door, heard, rules));
        let ended = tokio::select! {
            ended = heed(&lists, (&orders, news), events) => ended,
            attended = &mut attended => return attended.map(|()| Exit::Done),
        };
        // What was heard last is to be on disk.
        attended.await?;
        ended
    });
    // Somebody may be asked for a name still, who does not answer.
    runtime.shutdown_background();
    ended
}

/// Does what there is to do until nobody gives orders or listens any more.
async fn heed(
    lists: &Lists,
    (feed, news): (&Sender<Order>, Sender<News>),
    mut events: Receiver<Event>,
) -> anyhow::Result<Exit> {
    while let Some(event) = events.recv().await {
        match event {
            // Where nobody tells others anything, nobody listens.
            Event::Order(Order::Alert { line }) => drop(news.send(News::Alert(line)).await),
            Event::Order(Order::Applied(count)) => drop(news.send(News::Applied(count)).await),
            // What is forgotten comes again with whatever comes next.
            Event::Order(Order::Leave { source, .. }) if source == FEED => {}
            Event::Order(order @ (Order::Take { .. } | Order::Hold { .. }))
                if order.source() == Some(FEED) =>
            {
                // One that is full is told again with the next.
                let _ = feed.try_send(order);
            }
            Event::Order(order) => lists.heed(&order),
            Event::Report(told) => {
                report(&told)?;
                let is_lost = matches!(told, Report::Refused { why: Refused::Unreachable, .. });
                ensure!(
                    !is_lost || !sandbox::is_shut_out(RESOLVER.as_ref()),
                    "{RESOLVER} was replaced by another file"
                );
            }
            Event::End => break,
        }
    }
    Ok(Exit::Done)
}

/// Follows the feed, and tells `events` what came of each round, until nobody listens.
async fn keep(
    mut client: Client,
    (mut rings, mut orders): (Receiver<()>, Receiver<Order>),
    events: Sender<Event>,
    in_force: watch::Sender<Option<State>>,
) {
    in_force.send_replace(client.in_force().cloned());
    let source = || FEED.to_owned();
    let mut reports = vec![Report::Known { source: source(), checked_s: client.fresh() }];
    let (mut evidence, mut withheld) = (None, None);
    let offer = |Offer { serial, was_held, .. }| Report::Offered { source: source(), serial, was_held };
    reports.extend(client.offered().map(offer));
    loop {
        match client.evidence() {
            Ok(files) if evidence != Some(files) => {
                evidence = Some(files);
                reports.push(Report::Evidence { source: source(), files: files as u64 });
            }
            Ok(_) => {}
            Err(error) => warn!("whether there is evidence cannot be seen: {error}"),
        }
        if withheld != client.withheld() {
            withheld = client.withheld();
            if let Some(Offer { serial, .. }) = withheld {
                let why = Refused::Quarantined;
                warn!(
                    serial,
                    "what is new of the feed is not offered to the gateway: {why}; what was in force stays"
                );
                reports.push(Report::Refused { source: source(), place: 0, why });
            }
        }
        for report in reports.drain(..) {
            if events.send(Event::Report(report)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            Some(order) = orders.recv() => {
                let kept = match order {
                    Order::Take { serial, .. } => client.taken(serial),
                    Order::Hold { .. } => client.waits(),
                    _ => Ok(()),
                };
                if let Err(error) = kept {
                    warn!("what is in force, or waits, cannot be kept: {error}");
                }
            }
            told = client.round(&mut rings) => match told {
                Ok(Told::Fresh(at_s)) => reports.push(Report::Checked { source: source(), at_s, is_new: false }),
                Ok(Told::New(new)) => {
                    in_force.send_replace(client.in_force().cloned());
                    reports.push(Report::Checked { source: source(), at_s: unix_s(), is_new: true });
                    reports.push(offer(new));
                }
                Ok(Told::Refused(place, why)) => reports.push(Report::Refused { source: source(), place, why }),
                Err(error) => {
                    warn!("what the feed says cannot be kept: {error}");
                    reports.push(Report::Refused { source: source(), place: 0, why: Refused::Unkept });
                }
            },
        }
    }
}

/// Any number, for spreading questions over time.
fn chance() -> u32 {
    RandomState::new().hash_one(0) as u32
}

/// Hears the orders of the gateway, which end when it does.
///
/// # Errors
/// When no thread can be started to read them.
fn hear(send: Sender<Event>) -> anyhow::Result<()> {
    let read = move || {
        let mut words = Words::new(io::BufReader::with_capacity(LINE_LEN_MAX, io::stdin().lock()));
        while let Ok(Some(heard)) = words.hear() {
            match heard {
                Heard::Word(order) => {
                    if send.blocking_send(Event::Order(order)).is_err() {
                        return;
                    }
                }
                Heard::Garbage => warn!("the gateway says what no gateway says"),
            }
        }
        // Whoever would hear it may be gone as well.
        let _ = send.blocking_send(Event::End);
    };
    thread::Builder::new().name("credence-orders".to_owned()).spawn(read).context("no thread for orders")?;
    Ok(())
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
