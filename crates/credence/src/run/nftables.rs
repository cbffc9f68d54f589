//! nftables in the place of XDP: a process that may change rules, and a thread that tells it what is due.
//!
//! The process is this program once more, started before the gateway gives up its privileges, since the gateway may start none
//! later. It ends when the gateway does, and the rules stay: each record to its own end.

use std::collections::HashMap;
use std::env;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use credence_credit::guard::Recent;
use credence_credit::{Cache, Measure};
use credence_enforce::nft::{self, Listing, Listings, NftError, OPINIONS_MAX};
use credence_enforce::{Opinion, PINS, PublishError};
use credence_engine::clock::{Stopwatch, unix_s};
use credence_engine::{Dropped, Enforce as Enforcer, Opinion as Voiced};
use rustix::thread::CapabilitySet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::{error, info, warn};

use super::carrier::{Carrier, Parts};
use super::enforcement::{CLOCK_STEP_NS, ahead_ns, measure};
use crate::config::{Config, Mode, Standing};
use crate::exit::{Exit, HostCannot};
use crate::sandbox::privileges;
use crate::serve::kernel::{Counted, Kernel};

/// The hidden command that this program is started with once more.
pub(crate) const COMMAND: &str = "carry-nftables";

/// Changes the kernel's rules as the gateway asks, which started this, until that is gone.
///
/// # Errors
/// When the gateway says what no gateway says.
pub(crate) fn carry() -> anyhow::Result<Exit> {
    privileges::keep_for_programs(CapabilitySet::NET_ADMIN)?;
    // A service manager tells all processes at once to end; this one does when the gateway has.
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        flag::register(signal, Arc::default()).context("signals cannot be handled")?;
    }
    nft::carry(io::stdin().lock(), io::stdout().lock()).context("the gateway cannot be understood")?;
    Ok(Exit::Done)
}

/// How often opinions are told and counters read.
const EVERY: Duration = Duration::from_secs(1);
/// How long an exchange of records may take before it counts as failed: less than the 30 s after which a service manager takes
/// this process for dead, and half as much again as a million records took on busy cores.
const PATIENCE: Duration = Duration::from_secs(25);
/// How often records are published anew at most because others ended, whatever a feed says.
const REVEALED_EVERY: Duration = Duration::from_secs(60);

/// nftables, carrying verdicts out.
pub(super) struct Nftables {
    listings: Listings,
    kernel: Arc<Kernel>,
    recent: Arc<Mutex<Recent>>,
    pending: Arc<Mutex<Pending>>,
    /// The way to the process, until there is a thread that goes it.
    table: Option<nft::Nftables>,
    orders: Sender<Order>,
    ordered: Option<Receiver<Order>>,
    clock: Stopwatch,
    published: Duration,
    /// The second from which records may say something that is not in force.
    changes_at: Option<u64>,
    /// Wall clock minus the other, when records were last published, in nanoseconds.
    ahead_ns: u64,
    /// Records that there is room for.
    records: u32,
    /// How long opinions last.
    lasts: Duration,
}

/// What the thread is to do next.
enum Order {
    /// Put this in force, and say what came of it.
    Put(Listing, SyncSender<Result<(), NftError>>),
    /// An emergency, or none any more.
    Alarm(bool),
}

/// Opinions that wait to be told, the last of each source.
type Pending = HashMap<u128, Measure>;

impl Nftables {
    /// Starts the process and puts the records of `cache` in force on an interface, in the place of what a process before left
    /// there.
    ///
    /// # Errors
    /// When this host cannot do it, with what to do.
    pub(super) fn start(config: &Config, interface: &str, cache: &Cache) -> anyhow::Result<Parts> {
        let (enforce, setup) = (&config.enforce, config.enforcement());
        check_room(cache, setup.records).map_err(|error| HostCannot(error.to_string()))?;
        let policies = [enforce.policy(), config.emergency.stricter(enforce.policy())];
        let mut command = Command::new(env::current_exe().context("this program has no file")?);
        command.arg(COMMAND);
        let mut table =
            nft::Nftables::start(&mut command, interface, &setup, &policies).map_err(HostCannot::from)?;
        let mut listings = Listings::new(setup.good_from);
        let listing = listings.of(cache, unix_s());
        let kernel = Arc::new(Kernel::new(Counted::Table(Mutex::default()), enforce.mode, enforce.stand));
        let (ranges, unlimited, changes_at) = (listing.len(), listing.unlimited, listing.changes_at);
        let clock = Stopwatch::start();
        table.put(listing).and_then(|()| table.join()).map_err(HostCannot::from)?;
        kernel.published(cache.len(), unlimited);
        let took_ms = clock.elapsed().as_millis() as u64;
        info!(ranges, took_ms, "{} on {interface} by nftables", doing(config));
        info!(
            "the rules stay on {interface} when this process ends; `credence detach {interface}` takes them off"
        );
        // Whose place this takes may have been a program for XDP.
        if credence_enforce::unpin(interface, PINS.as_ref()) {
            info!("the program for XDP that a process before left on {interface} was taken off");
        }
        let (orders, ordered) = mpsc::channel();
        let this = Self {
            listings,
            kernel: Arc::clone(&kernel),
            recent: Arc::default(),
            pending: Arc::default(),
            table: Some(table),
            orders,
            ordered: Some(ordered),
            published: Duration::ZERO,
            clock,
            changes_at,
            ahead_ns: ahead_ns(),
            records: setup.records,
            lasts: setup.opinions_last,
        };
        let voice = Voice {
            pending: Arc::clone(&this.pending),
            recent: Arc::clone(&this.recent),
            untold: Arc::clone(&kernel.untold),
            clock: Stopwatch::start(),
        };
        let carrier = Some(Carrier::Nftables(Box::new(this)));
        Ok(Parts { carrier, enforcer: Some(Box::new(voice)), copies: None })
    }

    /// Starts the thread that goes to the process from now on.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let (Some(table), Some(orders)) = (self.table.take(), self.ordered.take()) else { return Ok(()) };
        let courier = Courier {
            table,
            orders,
            pending: Arc::clone(&self.pending),
            kernel: Arc::clone(&self.kernel),
            told: HashMap::new(),
            lasts: self.lasts,
            is_failing: false,
        };
        let thread = thread::Builder::new().name("credence-nft".to_owned());
        thread.spawn(move || courier.run()).map(drop)
    }

    /// Puts the records of `cache` in force, and waits until they are.
    ///
    /// # Errors
    /// When they cannot be; those before stay.
    pub(super) fn publish(&mut self, cache: &Cache) -> anyhow::Result<()> {
        check_room(cache, self.records)?;
        let listing = self.listings.of(cache, unix_s());
        let (unlimited, changes_at) = (listing.unlimited, listing.changes_at);
        // Whatever comes of it, it is not tried again at once.
        (self.ahead_ns, self.changes_at, self.published) = (ahead_ns(), changes_at, self.clock.elapsed());
        let (answer, answered) = mpsc::sync_channel(1);
        let gone = || anyhow!("the thread that tells nftables is gone; restart credence");
        self.orders.send(Order::Put(listing, answer)).map_err(|_| gone())?;
        match answered.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome?,
            Err(RecvTimeoutError::Timeout) => {
                let patience = PATIENCE.as_secs();
                return Err(anyhow!(
                    "nftables has not exchanged the records within {patience} s, and may still do so"
                ));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(gone()),
        }
        self.kernel.published(cache.len(), unlimited);
        if unlimited > 0 {
            warn!(
                unlimited,
                "these subjects' rates are not limited, since all limiters are taken; they are observed"
            );
        }
        Ok(())
    }

    /// Says that there is an emergency, or none any more.
    pub(super) fn alarm(&self, is_emergency: bool) {
        // Without a thread, what went wrong was told.
        let _ = self.orders.send(Order::Alarm(is_emergency));
    }

    /// Publishes anew when the wall clock was set since, or when a record ended beside which another has something to say.
    pub(super) fn follow_clock(&mut self, cache: &Cache) {
        let was_set = ahead_ns().abs_diff(self.ahead_ns) >= CLOCK_STEP_NS;
        let since = self.clock.elapsed().saturating_sub(self.published);
        let is_due = since >= REVEALED_EVERY && self.changes_at.is_some_and(|at| unix_s() >= at);
        if !was_set && !is_due {
            return;
        }
        if was_set {
            info!("the clock was set; the ends of all records are written anew");
        }
        if let Err(error) = self.publish(cache) {
            warn!("the records in nftables are those of before: {error:#}");
        }
    }

    /// What is known of it from outside.
    pub(super) fn kernel(&self) -> Arc<Kernel> {
        Arc::clone(&self.kernel)
    }

    /// The sources of recent flows.
    pub(super) const fn recent(&self) -> &Arc<Mutex<Recent>> {
        &self.recent
    }
}

/// Refuses more records than were provided for: the kernel would take them, and be busy for minutes.
fn check_room(cache: &Cache, room: u32) -> Result<(), PublishError> {
    let (needed, room) = (cache.len(), room as usize);
    if needed > room { Err(PublishError::Records { needed, room }) } else { Ok(()) }
}

fn doing(config: &Config) -> &'static str {
    match config.enforce.mode {
        Mode::On if config.enforce.stand != Standing::Tap => "enforcing",
        _ => "counting what would be done, nothing is held up,",
    }
}

/// Collects what the engine thinks of sources.
struct Voice {
    pending: Arc<Mutex<Pending>>,
    recent: Arc<Mutex<Recent>>,
    untold: Arc<AtomicU64>,
    clock: Stopwatch,
}

impl Enforcer for Voice {
    fn heed(&mut self, opinions: &[Voiced]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for opinion in opinions {
            if pending.len() < OPINIONS_MAX || pending.contains_key(&opinion.source) {
                pending.insert(opinion.source, measure(opinion.verdict));
            } else {
                self.untold.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn saw(&mut self, sources: &[u128]) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.saw(sources, self.clock.elapsed());
    }

    /// Rules take no sample.
    fn dropped(&mut self) -> Option<Dropped> {
        None
    }
}

/// Goes to the process with whatever is due.
struct Courier {
    table: nft::Nftables,
    orders: Receiver<Order>,
    pending: Arc<Mutex<Pending>>,
    kernel: Arc<Kernel>,
    /// Sources that the kernel holds an opinion of, and until when, a time since the start.
    told: HashMap<u128, Duration>,
    lasts: Duration,
    is_failing: bool,
}

impl Courier {
    /// Goes until nobody gives orders any more.
    fn run(mut self) {
        let clock = Stopwatch::start();
        let mut due = EVERY;
        loop {
            match self.orders.recv_timeout(due.saturating_sub(clock.elapsed())) {
                Ok(Order::Put(listing, answer)) => {
                    let outcome = self.table.put(listing);
                    if outcome.is_err() {
                        self.kernel.refused();
                    }
                    // Whoever asked may have lost patience.
                    if let Err(late) = answer.send(outcome)
                        && let Err(fault) = late.0
                    {
                        error!("records were not exchanged: {fault}");
                    }
                }
                Ok(Order::Alarm(is_emergency)) => {
                    let outcome = self.table.alarm(is_emergency);
                    self.heed(outcome);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.tell(clock.elapsed());
                    let tally = self.table.tally().map(|tally| self.kernel.tallied(tally));
                    self.heed(tally);
                    due = clock.elapsed() + EVERY;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Tells what waits, as far as there is room, at `now`.
    fn tell(&mut self, now: Duration) {
        let waiting = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return;
        }
        self.told.retain(|_, until| *until > now);
        let mut opinions = Vec::with_capacity(waiting.len());
        for (source, measure) in waiting {
            if self.told.len() < OPINIONS_MAX || self.told.contains_key(&source) {
                self.told.insert(source, now + self.lasts);
                opinions.push(Opinion { source, measure });
            } else {
                self.kernel.untold.fetch_add(1, Ordering::Relaxed);
            }
        }
        let outcome = self.table.tell(&opinions);
        if outcome.is_err() {
            self.kernel.untold.fetch_add(opinions.len() as u64, Ordering::Relaxed);
        }
        self.heed(outcome);
    }

    /// Counts what went wrong, and tells the first of several in a row.
    fn heed(&mut self, outcome: Result<(), NftError>) {
        match outcome {
            Ok(()) => self.is_failing = false,
            Err(fault) => {
                self.kernel.refused();
                if !std::mem::replace(&mut self.is_failing, true) {
                    error!("{fault}");
                }
            }
        }
    }
}
