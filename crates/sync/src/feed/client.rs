//! Following over the network: the thin shell around a [`Follower`].

use std::io;
use std::time::Duration;

use credence_feed::Reject;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use super::timing::{Timing, Timings};
use super::{
    Answer, Ask, Copy, Done, Folder, Follower, Kept, Next, Pinned, does_wait, keep_rules, keep_state,
    keep_taken, keep_trusted, keep_waiting,
};
use crate::fetch::{Fetched, Fetcher, Place, PlaceError, Refused, Validators};
use crate::lists::Machine;

/// How long those who hear the doorbell wait at most, in milliseconds, so that they do not all come at once.
const SPREAD_MS: u64 = 200;
/// How often what is in force is written down at most: a start without it has it from a mirror.
const SAVED: Duration = Duration::from_secs(60);
/// How long is waited before a doorbell that fell silent is listened to again.
const DEAF: Duration = Duration::from_secs(10);

/// A publisher's address, or one that has the same files.
#[derive(Clone, Debug)]
pub struct Mirror {
    base: String,
    plain: bool,
}

impl Mirror {
    /// Reads the address of a mirror, below which the feed lies. One that is not encrypted has to be on this very host, unless
    /// `plain` ones are wanted.
    ///
    /// # Errors
    /// When nothing is fetched from there.
    pub fn parse(text: &str, plain: bool) -> Result<Self, PlaceError> {
        let base = text.trim_end_matches('/').to_owned();
        Place::parse(&format!("{base}/feed/head"), plain)?;
        Ok(Self { base, plain })
    }

    /// What lies there under a path.
    fn place(&self, path: &str) -> Result<Place, Refused> {
        Place::parse(&format!("{}/{path}", self.base), self.plain).map_err(|_| Refused::Unreachable)
    }

    /// The address without what may be secret in it.
    pub fn shown(&self) -> String {
        self.place("").map_or_else(|_| String::new(), |place| place.shown())
    }
}

/// What is to be followed, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is trusted.
    pub pinned: Pinned,
    /// Where the feed is, the best place first; at least one.
    pub mirrors: Vec<Mirror>,
    /// When to ask.
    pub timings: Timings,
}

/// What came of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// What is known is the newest; when that was seen, in Unix seconds.
    Fresh(u64),
    /// Something new has come, of this session and serial, and lies on the disk.
    New(u64, u64),
    /// A mirror was not believed, or did not answer.
    Refused(usize, Refused),
}

/// A follower with its disk and its network.
#[derive(Debug)]
pub struct Client {
    fetcher: Fetcher,
    plan: Plan,
    follower: Follower,
    disk: Folder,
    timing: Timing,
    machine: Machine,
    begun: Instant,
    /// The mirror that is asked next.
    mirror: usize,
    /// When what is in force was written down last, and whether there is something newer.
    saved: Option<Instant>,
    unsaved: Option<credence_law::Signed>,
}

impl Client {
    /// Begins with what was kept in a folder.
    pub fn new(fetcher: Fetcher, plan: Plan, disk: Folder, machine: Machine) -> Self {
        let (kept, faults) = Kept::read(&disk, plan.pinned.world);
        for fault in faults {
            warn!("{fault}; it is had again");
        }
        let fresh = kept.trusted.issued;
        let follower = Follower::new(plan.pinned.clone(), kept);
        let timing = Timing::new(plan.timings, fresh);
        let begun = Instant::now();
        Self { fetcher, plan, follower, disk, timing, machine, begun, mirror: 0, saved: None, unsaved: None }
    }

    /// When what is known was last known to be the newest, in Unix seconds; 0 for never.
    pub const fn fresh(&self) -> u64 {
        self.timing.fresh()
    }

    /// Waits until the next round is due or somebody rings, and makes it.
    ///
    /// # Errors
    /// When what has come cannot be written down. It is not used then.
    pub async fn round(&mut self, bell: &mut tokio::sync::mpsc::Receiver<()>) -> io::Result<Told> {
        loop {
            let due = self.begun + Duration::from_millis(self.timing.next_ms());
            match timeout_at(due, bell.recv()).await {
                Ok(Some(())) => self.timing.ring(self.now_ms(), SPREAD_MS, self.chance()),
                // Nobody rings any more.
                Ok(None) => sleep_until(due).await,
                Err(_) => {}
            }
            if Duration::from_millis(self.timing.next_ms()) <= self.begun.elapsed() {
                break;
            }
        }
        self.ask().await
    }

    /// Makes a round now.
    ///
    /// # Errors
    /// When what has come cannot be written down. It is not used then.
    pub async fn ask(&mut self) -> io::Result<Told> {
        let now = (self.machine.unix_s)();
        let place = self.mirror;
        let outcome = self.refresh(now).await?;
        let (random, now_ms) = (self.chance(), self.now_ms());
        match outcome {
            Ok(None) => {
                self.timing.went_well(now, now_ms, random);
                self.save(false)?;
                Ok(Told::Fresh(now))
            }
            Ok(Some(next)) => {
                let (session, serial) = next.trusted.version();
                let is_new = next.state.is_some();
                keep_trusted(&mut self.disk, &next)?;
                self.unsaved = Some(next.head.clone());
                self.follower.commit(*next);
                self.timing.went_well(now, now_ms, random);
                self.save(is_new)?;
                Ok(if is_new { Told::New(session, serial) } else { Told::Fresh(now) })
            }
            Err(why) => {
                self.mirror = (self.mirror + 1) % self.plan.mirrors.len();
                if self.mirror == 0 {
                    self.timing.went_wrong(now_ms, random);
                } else {
                    // The next one may have it.
                    self.timing.ring(now_ms, 0, 0);
                }
                Ok(Told::Refused(place, why))
            }
        }
    }

    /// Asks one mirror for everything that is new.
    async fn refresh(&mut self, now: u64) -> io::Result<Result<Option<Box<Next>>, Refused>> {
        let mirror = self.plan.mirrors[self.mirror].clone();
        let mut refresh = self.follower.refresh(now);
        let mut rules = None;
        let outcome = loop {
            let Some(ask) = refresh.ask() else { break Ok(None) };
            let answer = match had(&self.fetcher, &mirror, &ask).await {
                Ok(answer) => answer,
                Err(why) => break Err(why),
            };
            let answered = refresh.answer(answer);
            rules = refresh.take_rules().or(rules);
            match answered {
                Ok(None) => {}
                Ok(Some(Done::Same)) => break Ok(None),
                Ok(Some(Done::New(next))) => break Ok(Some(next)),
                Err(reject) => {
                    warn!("the feed at {} is not believed: {reject}", mirror.shown());
                    break Err(Refused::from(&reject));
                }
            }
        };
        if let Some(rules) = rules {
            keep_rules(&mut self.disk, &rules)?;
            info!(rules = rules.len(), "new rules have come into force");
            self.follower.adopt(rules);
        }
        Ok(outcome)
    }

    /// Writes down what is in force, if it `must` be or was not for a while.
    fn save(&mut self, must: bool) -> io::Result<()> {
        let is_due = self.saved.is_none_or(|saved| saved.elapsed() >= SAVED);
        if let (true, Some(head), Some(held)) = (must || is_due, &self.unsaved, self.follower.held()) {
            keep_state(&mut self.disk, head, held)?;
            (self.saved, self.unsaved) = (Some(Instant::now()), None);
        }
        Ok(())
    }

    /// Notes that the gateway has put this version in force.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn taken(&mut self, session: u64, serial: u64) -> io::Result<()> {
        keep_taken(&mut self.disk, session, serial)
    }

    /// Notes that what was offered waits for the operator.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn waits(&mut self) -> io::Result<()> {
        keep_waiting(&mut self.disk)
    }

    /// Whether something waits for the operator, or did when a process before ended.
    pub fn does_wait(&self) -> bool {
        // On any doubt the operator is asked.
        does_wait(&self.disk).unwrap_or(true)
    }

    /// What waits for the gateway: what is held, unless the gateway has it.
    pub fn offered(&self) -> Option<(u64, u64)> {
        let held = self.follower.held()?;
        let version = (held.session, held.serial);
        (Copy::Taken.version(&self.disk) != Some(version)).then_some(version)
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn chance(&self) -> u64 {
        (self.machine.chance)().into()
    }
}

/// Has something from a mirror.
async fn had(fetcher: &Fetcher, mirror: &Mirror, ask: &Ask) -> Result<Answer, Refused> {
    let place = mirror.place(&ask.path())?;
    match fetcher.fetch(&place, ask.bytes_max() as u64, &Validators::default()).await {
        Ok(Fetched::Body { bytes, .. }) => Ok(Answer::Bytes(bytes)),
        Ok(Fetched::Unchanged) => Err(Refused::Unasked),
        Err(failure) if failure.why == Refused::Absent => Ok(Answer::Missing),
        Err(failure) => Err(failure.why),
    }
}

/// Listens to the doorbells of mirrors, one after the other, and rings `bell`, until nobody hears it.
pub async fn listen(fetcher: Fetcher, mirrors: Vec<Mirror>, bell: tokio::sync::mpsc::Sender<()>) {
    for mirror in mirrors.iter().cycle() {
        let begun = Instant::now();
        if let Ok(place) = mirror.place("feed/events") {
            // A bell that is rung already needs no second ring.
            let ring =
                || !matches!(bell.try_send(()), Err(tokio::sync::mpsc::error::TrySendError::Closed(())));
            fetcher.listen(&place, ring).await;
        }
        if bell.is_closed() {
            return;
        }
        // Publishers hang up every few minutes; one that does at once has no doorbell.
        if begun.elapsed() < DEAF {
            sleep_until(begun + DEAF).await;
        }
    }
}

impl From<&Reject> for Refused {
    fn from(reject: &Reject) -> Self {
        match reject.name() {
            "malformed" => Self::Unreadable,
            "too_large" => Self::Crowded,
            "hash" => Self::Hash,
            "world" => Self::World,
            "signature" => Self::Signature,
            "expired" => Self::Expired,
            "future" => Self::Future,
            "rollback" => Self::Rollback,
            "equivocation" => Self::Equivocation,
            "log" => Self::Log,
            "law" => Self::Law,
            _ => Self::State,
        }
    }
}
