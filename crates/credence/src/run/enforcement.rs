//! The kernel's part of a run: what is loaded, joined, told and kept alive.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use credence_capture::Source;
use credence_credit::guard::Recent;
use credence_credit::{Cache, Changes, Keeper, Measure};
use credence_enforce::{
    Attachment, Control, Events, Failure, Moment, Opinion, PINS, Place, Policy, PublishError, Records, Told,
    Xdp, boot_ns, unix_ns,
};
use credence_engine::clock::{Stopwatch, unix_s};
use credence_engine::{Dropped, Enforce as Enforcer, Opinion as Voiced};
use credence_score::Verdict;
use tracing::{error, info, warn};

use super::carrier::{Carrier, Parts};
use crate::config::{Config, Enforce, Mode, OnFailure, Standing};
use crate::exit::HostCannot;
use crate::serve::kernel::{Condition, Counted, Kernel};
use crate::serve::status::Status;

/// How often a sign of life is given: ten of them fit into the time after which the kernel takes the engine for dead.
const BEAT: Duration = Duration::from_millis(10);
/// How long a thread of the engine may stand still before the kernel is told.
const STUCK: Duration = Duration::from_secs(1);
/// By how much the wall clock may part from the other before the ends of records are written anew, in seconds: half of the
/// second in which they are given.
pub(super) const CLOCK_STEP_NS: u64 = 500_000_000;

/// The kernel's part of a run.
pub(super) struct Enforcement {
    records: Records,
    control: Arc<Control>,
    kernel: Arc<Kernel>,
    /// The sources of recent flows.
    recent: Arc<Mutex<Recent>>,
    /// What the program is told in ordinary times, and in an emergency.
    policies: [Policy; 2],
    /// Wall clock minus the clock of the kernel's programs, when records were last published, in nanoseconds.
    ahead_ns: u64,
    /// What is joined to interfaces, for as long as this lives.
    xdp: Xdp,
    attachments: Vec<Attachment>,
    enforce: Enforce,
    /// Why the program is not on all its interfaces, as it was told last; nothing when it is.
    missing: String,
}

impl Enforcement {
    /// Loads the program and puts the records of `keeper`'s cache in force; it is joined to nothing yet, so that it never judges by
    /// anything less.
    ///
    /// # Errors
    /// When this host cannot do it, with what to do.
    pub(super) fn load(config: &Config, interface: &str, keeper: &mut Keeper) -> anyhow::Result<Parts> {
        let enforce = &config.enforce;
        let (mut xdp, records) = Xdp::load(&config.enforcement())?;
        let control = Arc::clone(xdp.control());
        control.set(&enforce.policy());
        control.beat(boot_ns());
        let legs = legs(enforce, interface);
        let copies = match legs.as_slice() {
            [one, other] => {
                xdp.join([one, other])?;
                Some(Box::new(xdp.copies([one, other])?) as Box<dyn Source>)
            }
            _ => None,
        };
        let counted = Counted::Program(xdp.counts()?);
        let kernel = Arc::new(Kernel::new(counted, enforce.mode, enforce.stand));
        let told = xdp.told()?;
        let recent = Arc::<Mutex<Recent>>::default();
        let enforcer: Box<dyn Enforcer> = Box::new(Voice {
            told,
            failures: Arc::clone(&kernel.untold),
            recent: Arc::clone(&recent),
            clock: Stopwatch::start(),
            events: xdp.events()?,
            sample: enforce.policy().sample,
        });
        let mut enforcement = Self {
            records,
            control,
            kernel,
            recent,
            policies: [enforce.policy(), config.emergency.stricter(enforce.policy())],
            ahead_ns: 0,
            xdp,
            attachments: Vec::new(),
            enforce: enforce.clone(),
            missing: String::new(),
        };
        enforcement.publish(keeper).map_err(|error| HostCannot(error.to_string()))?;
        Ok(Parts { carrier: Some(Carrier::Xdp(Box::new(enforcement))), enforcer: Some(enforcer), copies })
    }

    /// Joins the program to the configured interfaces: the last step of a start, since it may outlive this process.
    ///
    /// # Errors
    /// When an interface is missing or someone else's, with what to do.
    pub(super) fn attach(&mut self, interface: &str) -> anyhow::Result<()> {
        let Self { xdp, attachments, enforce, .. } = self;
        for leg in legs(enforce, interface) {
            let attachment = xdp.attach(leg, Path::new(PINS), enforce.outlives())?;
            prepare(xdp, &attachment, enforce)?;
            attachments.push(attachment);
        }
        Ok(())
    }

    /// Takes the program off its interfaces, but where it is to outlive this process.
    pub(super) fn leave(&mut self) {
        self.attachments.retain(Attachment::outlives);
    }

    /// Joins the program again to an interface that went, and it with it, once that is back.
    pub(super) fn follow_interfaces(&mut self) {
        let missing = self.rejoin().err().map(|error| error.to_string()).unwrap_or_default();
        if missing != self.missing {
            self.kernel.is_off(!missing.is_empty());
            if !missing.is_empty() {
                error!(
                    "verdicts are not carried out until the program is on its interfaces again: {missing}"
                );
            }
            self.missing = missing;
        }
    }

    fn rejoin(&mut self) -> anyhow::Result<()> {
        let Self { xdp, attachments, enforce, .. } = self;
        let followed = xdp.follow(attachments, Path::new(PINS))?;
        followed.into_iter().try_for_each(|attachment| prepare(xdp, attachment, enforce))
    }

    /// Puts the records of `keeper`'s cache in force, whole, and stays in step with it.
    ///
    /// # Errors
    /// When the kernel has no room for them; those before stay.
    pub(super) fn publish(&mut self, keeper: &mut Keeper) -> Result<(), PublishError> {
        self.ahead_ns = ahead_ns();
        self.records.follow(keeper, Moment::now())?;
        self.told(keeper.cache());
        Ok(())
    }

    /// Makes changes to `keeper`'s cache and to what is in force, each in microseconds.
    ///
    /// # Errors
    /// When there is no room for all of them, in the cache or in the kernel.
    pub(super) fn change(&mut self, keeper: &mut Keeper, changes: Changes) -> anyhow::Result<()> {
        keeper.apply(changes, &mut self.records)?;
        ensure!(self.is_following(), "the kernel has no room for so many changes");
        self.told(keeper.cache());
        Ok(())
    }

    /// Whether what is in force is in step with the cache that was put in force last.
    pub(super) const fn is_following(&self) -> bool {
        self.records.is_following()
    }

    /// Finds out what the kernel does not read any more, so that it can be used again.
    pub(super) fn settle(&mut self) {
        if let Err(error) = self.records.settle() {
            warn!(%error, "records are put in force whole from now on");
        }
    }

    /// Says what is in force now.
    fn told(&self, cache: &Cache) {
        let refused = self.records.refused();
        self.kernel.published(cache.len(), refused);
        if refused > 0 {
            warn!(
                refused,
                "these subjects' rates are not limited, since the kernel has no more limiters; they are observed"
            );
        }
    }

    /// The sources of recent flows.
    pub(super) const fn recent(&self) -> &Arc<Mutex<Recent>> {
        &self.recent
    }

    /// Tells the program that there is an emergency, or none any more.
    pub(super) fn alarm(&self, is_emergency: bool) {
        self.control.set(&self.policies[usize::from(is_emergency)]);
    }

    /// Writes the ends of records anew when the wall clock was set since; whether that was done.
    pub(super) fn follow_clock(&mut self, keeper: &mut Keeper) -> bool {
        let now = ahead_ns();
        if now.abs_diff(self.ahead_ns) < CLOCK_STEP_NS {
            return false;
        }
        info!("the clock was set; the ends of all records are written anew");
        let done = self.publish(keeper);
        done.inspect_err(|error| warn!(%error, "the records in the kernel still end by the clock before"))
            .is_ok()
    }

    /// The records in force, for what met them.
    pub(super) const fn records(&self) -> &Records {
        &self.records
    }

    /// The records that have left since this was asked last.
    pub(super) fn take_left(&mut self) -> Vec<u32> {
        self.records.take_left()
    }

    /// What is known of it from outside.
    pub(super) fn kernel(&self) -> Arc<Kernel> {
        Arc::clone(&self.kernel)
    }

    /// By what the program is told that the engine lives.
    pub(super) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }
}

/// Looks what state the engine of `status` is in, on a thread of its own, until `stop`; and keeps the program of `control`, where
/// there is one, told that it lives.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn beat(
    control: Option<Arc<Control>>,
    kernel: Arc<Kernel>,
    config: &Config,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let heart = Heart {
        control,
        kernel,
        on_failure: config.enforce.on_failure,
        stale_after_s: config.enforce.data_stale_after_s.into(),
        has_data: config.has_credit(),
        status,
        threads: Threads::default(),
    };
    let thread = thread::Builder::new().name("credence-heart".to_owned());
    thread.spawn(move || heart.beat(&stop)).map(drop)
}

/// Wall clock minus the clock of the kernel's programs.
pub(super) fn ahead_ns() -> u64 {
    unix_ns().saturating_sub(boot_ns())
}

/// The interfaces that the program is joined to.
fn legs<'c>(enforce: &'c Enforce, interface: &'c str) -> Vec<&'c str> {
    let other = enforce.other_leg.as_deref().filter(|_| enforce.stand == Standing::Bridge);
    std::iter::once(interface).chain(other).collect()
}

/// Does to an interface that the program is on what goes with it, and says so.
///
/// # Errors
/// When the kernel does not take the program that marks.
fn prepare(xdp: &mut Xdp, attachment: &Attachment, enforce: &Enforce) -> anyhow::Result<()> {
    announce(attachment, enforce);
    if enforce.stand == Standing::Bridge {
        listen_to_all(attachment.interface());
    }
    if enforce.mark_packet != 0 && enforce.stand == Standing::Router {
        xdp.mark(attachment.interface())?;
    }
    Ok(())
}

/// Lets a bridge's leg take frames for other stations, for good: it must not stop to when this process does.
fn listen_to_all(leg: &str) {
    if let Err(error) = promiscuous(leg) {
        warn!(
            "{leg} may not take frames for other stations: {error}; `ip link set dev {leg} promisc on` makes it"
        );
    }
}

/// Sets the interface's flag.
fn promiscuous(interface: &str) -> io::Result<()> {
    let path = Path::new("/sys/class/net").join(interface).join("flags");
    let told = fs::read_to_string(&path)?;
    let flags = u32::from_str_radix(told.trim().trim_start_matches("0x"), 16).map_err(io::Error::other)?;
    fs::write(path, format!("{:#x}", flags | PROMISCUOUS))
}

/// `IFF_PROMISC`, see netdevice(7).
const PROMISCUOUS: u32 = 0x100;

/// Says what is on an interface from now on, and what will be when this process is gone.
fn announce(attachment: &Attachment, enforce: &Enforce) {
    let (interface, outlives) = (attachment.interface(), attachment.outlives());
    let place = match attachment.place() {
        Place::Driver => "in the driver",
        Place::Generic => "behind the driver, which cannot run it itself: slower",
        Place::Predecessors => "in the place of the one that a process before left",
    };
    let doing = match enforce.mode {
        Mode::Off | Mode::DryRun => "counting what would be done; nothing is held up",
        Mode::On if enforce.stand == Standing::Tap => {
            "counting what would be done; nothing is held up on a tap"
        }
        Mode::On => "enforcing",
    };
    info!("{doing} on {interface}, {place}");
    if outlives {
        let then = enforce.on_failure.engine_down.name();
        info!(
            "the program stays on {interface} when this process ends, and is {then} then; `credence detach {interface}` \
             takes it off"
        );
    }
}

/// Tells the program what the engine thinks of sources.
struct Voice {
    told: Told,
    failures: Arc<AtomicU64>,
    recent: Arc<Mutex<Recent>>,
    clock: Stopwatch,
    events: Events,
    /// One in so many packets that did not pass is told.
    sample: u32,
}

impl Enforcer for Voice {
    fn heed(&mut self, opinions: &[Voiced]) {
        for opinion in opinions {
            let opinion = Opinion { source: opinion.source, measure: measure(opinion.verdict) };
            if self.told.tell(opinion).is_err() {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn saw(&mut self, sources: &[u128]) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.saw(sources, self.clock.elapsed());
    }

    fn dropped(&mut self) -> Option<Dropped> {
        let event = self.events.take()?;
        Some(Dropped {
            ts_ns: event.boot_ns.saturating_add(ahead_ns()),
            source: event.source,
            destination: event.destination,
            protocol: event.protocol,
            bytes: event.bytes,
            verdict: Verdict::of(event.measure),
            reason: event.reason.name(),
            sample: self.sample,
        })
    }
}

/// A verdict as a measure: they are the same ladder.
pub(super) const fn measure(verdict: Verdict) -> Measure {
    match verdict {
        Verdict::Incentive => Measure::Incentive,
        Verdict::Pass => Measure::None,
        Verdict::Observe => Measure::Observe,
        Verdict::Mark => Measure::Mark,
        Verdict::RateLimit => Measure::RateLimit,
        Verdict::Drop => Measure::Drop,
    }
}

/// What was seen of the engine's threads.
#[derive(Debug, Default)]
struct Threads(Vec<(u64, Duration)>);

impl Threads {
    /// Takes in how far each thread has come at `now`, a time since the start; whether one stands still.
    fn observe(&mut self, turns: impl Iterator<Item = u64>, now: Duration) -> bool {
        for (number, turn) in turns.enumerate() {
            match self.0.get_mut(number) {
                Some(seen) if seen.0 == turn => {}
                Some(seen) => *seen = (turn, now),
                None => self.0.push((turn, now)),
            }
        }
        self.0.iter().any(|(_, moved)| now.saturating_sub(*moved) >= STUCK)
    }
}

/// Gives signs of life.
struct Heart {
    control: Option<Arc<Control>>,
    kernel: Arc<Kernel>,
    on_failure: OnFailure,
    stale_after_s: u64,
    /// Whether there should be any data.
    has_data: bool,
    status: Arc<Status>,
    threads: Threads,
}

impl Heart {
    fn beat(mut self, stop: &AtomicBool) {
        let (clock, mut before) = (Stopwatch::start(), Condition::Well);
        while !stop.load(Ordering::Relaxed) {
            let condition = self.condition(clock.elapsed());
            let failure = self.failure(condition);
            if let Some(control) = &self.control {
                control.declare(failure);
                control.beat(boot_ns());
            }
            self.kernel.is_in(condition);
            if condition != before {
                tell(condition, failure);
                before = condition;
            }
            thread::sleep(BEAT);
        }
    }

    fn condition(&mut self, now: Duration) -> Condition {
        if self.threads.observe(self.status.engine().turns(), now) {
            return Condition::WorkerStuck;
        }
        let cache = self.status.credit().current();
        let sources = cache.sources();
        // Files and lists that are empty may have been emptied by mistake. What a feed says is signed, nobody included.
        let is_fed = sources.iter().any(|source| source.session > 0);
        if self.has_data && cache.is_empty() && !is_fed {
            return Condition::DataAbsent;
        }
        // A list that is the same as ever is as fresh as its last confirmation.
        let confirmed = Some(self.status.followed().newest_s()).filter(|newest| *newest > 0);
        let made = sources.into_iter().map(|source| source.created);
        let newest = made.chain(confirmed).max().unwrap_or(u64::MAX);
        let oldest = unix_s().saturating_sub(self.stale_after_s);
        if self.stale_after_s > 0 && newest < oldest { Condition::DataStale } else { Condition::Well }
    }

    fn failure(&self, condition: Condition) -> Option<Failure> {
        match condition {
            Condition::Well => None,
            Condition::WorkerStuck => Some(self.on_failure.worker_stuck.into()),
            Condition::DataStale => Some(self.on_failure.data_stale.0.into()),
            Condition::DataAbsent => Some(self.on_failure.data_absent.into()),
        }
    }
}

fn tell(condition: Condition, failure: Option<Failure>) {
    let then = failure.map_or("verdicts are carried out", |failure| match failure {
        Failure::Open => "everything passes until then",
        Failure::Static => "what was published last is enforced until then",
        Failure::Closed => "nothing passes until then but neighbour discovery and `lists.never_block`",
    });
    match condition {
        Condition::Well => info!("all is well again; {then}"),
        Condition::WorkerStuck => warn!("a thread of the engine stands still; {then}"),
        Condition::DataStale => {
            warn!("the newest credit snapshot is older than `enforce.data_stale_after_s`; {then}");
        }
        Condition::DataAbsent => {
            warn!(
                "there is no credit record although some are configured, and no feed says that there is none; {then}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_stands_still_for_a_second_is_stuck_until_it_moves() {
        let mut threads = Threads::default();
        let ms = Duration::from_millis;
        assert!(!threads.observe([1, 1].into_iter(), ms(0)));
        assert!(!threads.observe([2, 1].into_iter(), ms(999)));
        assert!(threads.observe([3, 1].into_iter(), ms(1_000)));
        assert!(!threads.observe([4, 2].into_iter(), ms(1_010)));
        assert!(!Threads::default().observe([].into_iter(), ms(9_000)), "nobody has begun yet");
    }

    #[test]
    fn verdicts_and_measures_are_one_ladder() {
        for (verdict, measure_of) in Verdict::ALL.into_iter().zip(Measure::ALL) {
            assert_eq!(measure(verdict), measure_of);
        }
    }
}
