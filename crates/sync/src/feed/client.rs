//! Following over the network: the thin shell around [`Rounds`].

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use credence_feed::{Reject, State};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{error, info, warn};

use super::evidence::{Evidence, Noted, kept_evidence};
use super::mirror::Mirror;
use super::rounds::{Asked, Doubt, Moment, Offer, Rounds, Told};
use super::timing::Timings;
use super::{Folder, Held, Pinned};
use crate::fetch::{Fetcher, Refused};
use crate::lists::Machine;

/// How long is waited before a doorbell that fell silent is listened to again.
const DEAF: Duration = Duration::from_secs(10);

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

/// A follower with its network.
#[derive(Debug)]
pub struct Client {
    fetcher: Fetcher,
    mirrors: Vec<Mirror>,
    rounds: Rounds<Folder>,
    machine: Machine,
    begun: Instant,
}

impl Client {
    /// Begins with what was kept in a folder.
    pub fn new(fetcher: Fetcher, plan: Plan, disk: Folder, machine: Machine) -> Self {
        let Plan { pinned, mirrors, timings } = plan;
        let (rounds, faults) = Rounds::new(pinned, timings, mirrors.len(), disk);
        for fault in faults {
            warn!("{fault}; it is had again");
        }
        Self { fetcher, mirrors, rounds, machine, begun: Instant::now() }
    }

    /// The same for the gateway of this number; see [`Rounds::of_gateway`].
    #[must_use]
    pub fn of_gateway(mut self, gateway: u64) -> Self {
        match self.rounds.of_gateway(gateway) {
            Ok(None) => {}
            Ok(Some(fault)) => warn!("what gateways ended of is not known: {fault}"),
            Err(error) => warn!("what is offered cannot be written down: {error}; it is offered later"),
        }
        self
    }

    /// What is not offered to the gateway, since others may have ended of it.
    pub const fn withheld(&self) -> Option<Offer> {
        self.rounds.withheld()
    }

    /// When what is known was last known to be the newest, in Unix seconds; 0 for never.
    pub const fn fresh(&self) -> u64 {
        self.rounds.fresh()
    }

    /// What is in force by what has come last, once there is something.
    pub const fn held(&self) -> Option<&Held> {
        self.rounds.follower().held()
    }

    /// How many files of evidence are kept.
    ///
    /// # Errors
    /// When the disk does not say.
    pub fn evidence(&self) -> io::Result<usize> {
        Ok(kept_evidence(self.rounds.disk())?.len())
    }

    /// What waits for the gateway: what is held, unless the gateway has it.
    pub const fn offered(&self) -> Option<Offer> {
        self.rounds.offered()
    }

    /// Waits until the next round is due or somebody rings, and makes it.
    ///
    /// # Errors
    /// When what has come cannot be written down. It is not used then.
    pub async fn round(&mut self, bell: &mut tokio::sync::mpsc::Receiver<()>) -> io::Result<Told> {
        loop {
            let due = self.begun + Duration::from_millis(self.rounds.next_ms());
            match timeout_at(due, bell.recv()).await {
                Ok(Some(())) => self.rounds.ring(self.now_ms(), self.chance()),
                // Nobody rings any more.
                Ok(None) => sleep_until(due).await,
                Err(_) => {}
            }
            if Duration::from_millis(self.rounds.next_ms()) <= self.begun.elapsed() {
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
        let mirror = &self.mirrors[self.rounds.mirror()];
        let asked = refresh(&self.fetcher, mirror, &self.rounds, now).await;
        if let Some(Doubt::Reject(reject)) = asked.doubt() {
            warn!("the feed at {} is not believed: {reject}", mirror.shown());
        }
        if let Some(evidence) = asked.evidence() {
            let shown = mirror.shown();
            tell(evidence, &self.rounds.note(evidence, now, shown)?);
        }
        if let Some(rules) = asked.rules() {
            info!(rules = rules.len(), "new rules have come into force");
        }
        let at = Moment { now, now_ms: self.now_ms(), random: self.chance() };
        self.rounds.end(asked, at)
    }

    /// Notes that the gateway has put in force what was offered under this number.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn taken(&mut self, serial: u64) -> io::Result<()> {
        self.rounds.taken(serial)
    }

    /// Notes that what was offered waits for the operator.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn waits(&mut self) -> io::Result<()> {
        self.rounds.waits()
    }

    /// What is in force, once there is something.
    pub fn in_force(&self) -> Option<&State> {
        self.rounds.follower().held().map(|held| &held.state)
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn chance(&self) -> u64 {
        (self.machine.chance)().into()
    }
}

/// Tells the operator what cannot be true together, and where it lies.
fn tell(evidence: &Evidence, noted: &Noted) {
    let deceit = evidence.deceit.name();
    match noted {
        Noted::Kept(file) | Noted::Known(file) => error!(
            deceit,
            file,
            "what the feed's operator has signed cannot all be true; `credence feed evidence` shows it: tell the members"
        ),
        Noted::Full => error!(
            deceit,
            "what the feed's operator has signed cannot all be true; as much evidence is kept as there is room for"
        ),
    }
}

/// Asks one mirror for everything that is new.
async fn refresh(fetcher: &Fetcher, mirror: &Mirror, rounds: &Rounds<Folder>, now: u64) -> Asked {
    let mut round = rounds.begin(now);
    loop {
        let answered = mirror.had(fetcher, round.ask()).await;
        match round.answer(answered) {
            ControlFlow::Continue(next) => round = next,
            ControlFlow::Break(asked) => return asked,
        }
    }
}

/// Listens to the doorbells of mirrors, one after the other, and rings `bell`, until nobody hears it. `chance` gives any number, each
/// time another.
pub async fn listen(
    fetcher: Fetcher,
    mirrors: Vec<Mirror>,
    bell: tokio::sync::mpsc::Sender<()>,
    chance: fn() -> u32,
) {
    for mirror in mirrors.iter().cycle() {
        let begun = Instant::now();
        if let Some(place) = mirror.bell() {
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
            sleep_until(begun + deaf(chance())).await;
        }
    }
}

/// How long nobody listens to a doorbell at which nothing was to be heard, about [`DEAF`]: all who listened to one publisher lose it at one
/// moment, and are not to come back at one. `random` is any number.
fn deaf(random: u32) -> Duration {
    DEAF / 2 + Duration::from_millis(u64::from(random) % (DEAF.as_millis() as u64 + 1))
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

#[cfg(test)]
mod tests {
    use super::super::timing::Timing;
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    /// Numbers that look random: splitmix64.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// All lose the publisher and its doorbell at one moment, for an hour. A doorbell that is heard again rings at once.
    #[test]
    fn ten_thousand_gateways_after_an_outage_of_an_hour_do_not_come_together() {
        let mut random = 7;
        let mut served = [0_u32; 300];
        for _ in 0..10_000 {
            let mut timing = Timing::new(Timings::default(), 0);
            timing.went_well(0, 0, next(&mut random));
            while timing.next_ms() < HOUR_MS {
                timing.went_wrong(timing.next_ms(), next(&mut random));
            }
            let mut heard_ms = 0;
            while heard_ms < HOUR_MS {
                heard_ms += deaf(next(&mut random) as u32).as_millis() as u64;
            }
            timing.ring(heard_ms, 200, next(&mut random));
            while let Some(second) = served.get_mut(((timing.next_ms() - HOUR_MS) / 1_000) as usize) {
                *second += 1;
                timing.went_well(0, timing.next_ms(), next(&mut random));
            }
        }
        let mean = served.iter().sum::<u32>() / served.len() as u32;
        let most = served.into_iter().max().unwrap();
        let soon: u32 = served[..20].iter().sum();
        assert!(mean > 300 && most <= 3 * mean, "{most} in a second, {mean} on average");
        assert!(soon >= 10_000, "all are there again as soon as they hear the doorbell, and not {soon}");
    }
}
