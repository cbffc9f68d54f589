//! Following from round to round: which mirror is asked and when, what is on the disk before it is used, what is offered to the
//! gateway and what of that it has taken.
//!
//! Nothing here waits, reads a clock or draws a number, so that a simulation drives it as the network's shell does.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use credence_feed::{Reject, Rulebook};
use credence_law::Signed;

use super::evidence::{Evidence, Noted, keep_evidence};
use super::timing::{Timing, Timings};
use super::tried::Tries;
use super::{
    Answer, Ask, Copy, Disk, Done, Follower, Kept, Next, Pinned, Refresh, Unkept, does_wait, keep_known,
    keep_rules, keep_state, keep_taken, keep_trusted, keep_waiting,
};
use crate::fetch::Refused;

/// How long those who hear the doorbell wait at most, in milliseconds, so that they do not all come at once.
const SPREAD_MS: u64 = 200;
/// How often what is in force is written down at most, in milliseconds: a start without it has it from a mirror.
const SAVED_MS: u64 = 60_000;

/// What came of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// What is known is the newest; when that was seen, in Unix seconds.
    Fresh(u64),
    /// Something new has come and lies on the disk.
    New(Offer),
    /// A mirror was not believed, or did not answer.
    Refused(usize, Refused),
}

/// What lies on the disk for the gateway to put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The version.
    pub serial: u64,
    /// Whether it waits for the operator since before this start: nobody knows any more which flows it would hit.
    pub was_held: bool,
    /// Which state it is; heads of later versions may state the same.
    root: [u8; 32],
}

/// A moment by both clocks, with a number that nobody can foresee.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix seconds.
    pub now: u64,
    /// Milliseconds by a clock that nobody sets.
    pub now_ms: u64,
    /// Any number, each time another.
    pub random: u64,
}

/// Why a round came to nothing.
#[derive(Debug)]
pub enum Doubt {
    /// What was answered is not believed.
    Reject(Reject),
    /// There was no answer.
    Silence(Refused),
}

impl Doubt {
    /// In a word.
    pub fn word(&self) -> Refused {
        match self {
            Self::Reject(reject) => Refused::from(reject),
            Self::Silence(why) => *why,
        }
    }
}

/// What asking a mirror has come to.
#[derive(Debug)]
pub struct Asked {
    /// Rules that have come into force, whatever came of the rest.
    rules: Option<Arc<Rulebook>>,
    evidence: Option<Evidence>,
    outcome: Result<Option<Box<Next>>, Doubt>,
}

impl Asked {
    /// Why it came to nothing, if it did.
    pub fn doubt(&self) -> Option<&Doubt> {
        self.outcome.as_ref().err()
    }

    /// The rules that have come into force, if some have.
    pub fn rules(&self) -> Option<&Rulebook> {
        self.rules.as_deref()
    }

    /// What was signed and cannot be true together, if the doubt rests on that.
    pub const fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }
}

/// One mirror being asked for one thing after the other.
#[derive(Debug)]
pub struct Round<'a> {
    refresh: Refresh<'a>,
    rules: Option<Arc<Rulebook>>,
    ask: Ask,
}

impl Round<'_> {
    /// What the mirror is asked for now.
    pub const fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Goes on with what came of that, or ends.
    pub fn answer(mut self, answered: Result<Answer, Refused>) -> ControlFlow<Asked, Self> {
        let outcome = match answered {
            Err(why) => Err(Doubt::Silence(why)),
            Ok(answer) => {
                let answered = self.refresh.answer(answer);
                self.rules = self.refresh.take_rules().or(self.rules);
                match answered {
                    Ok(None) => match self.refresh.ask() {
                        Some(ask) => return ControlFlow::Continue(Self { ask, ..self }),
                        None => Ok(None),
                    },
                    Ok(Some(Done::Same)) => Ok(None),
                    Ok(Some(Done::New(next))) => Ok(Some(next)),
                    Err(reject) => Err(Doubt::Reject(reject)),
                }
            }
        };
        ControlFlow::Break(Asked { rules: self.rules, evidence: self.refresh.take_evidence(), outcome })
    }
}

/// A follower with its disk.
#[derive(Debug)]
pub struct Rounds<D> {
    follower: Follower,
    disk: D,
    timing: Timing,
    /// How many mirrors there are, and which is asked next.
    mirrors: usize,
    mirror: usize,
    /// When what is in force was written down last, in milliseconds.
    saved_ms: Option<u64>,
    /// The head of what is in force, if that is not written down.
    unsaved: Option<Signed>,
    /// Whether the gateway has not been told of what is in force.
    is_new: bool,
    offered: Option<Offer>,
    was_held: bool,
    /// What gateways ended of, where it is known for which one this is.
    tries: Option<Tries>,
    /// What is not offered, since gateways may have ended of it.
    withheld: Option<Offer>,
}

impl<D: Disk> Rounds<D> {
    /// Begins with what was kept on a disk, to ask so many `mirrors`, at least one. What of it is damaged is told, and had again.
    pub fn new(pinned: Pinned, timings: Timings, mirrors: usize, mut disk: D) -> (Self, Vec<Unkept>) {
        let world = pinned.world;
        let (kept, mut faults) = Kept::read(&disk, world);
        if !faults.is_empty() && kept.trusted.serial > 0 {
            // What is left of what was trusted is on the disk twice again, before something else is damaged.
            faults.extend(keep_known(&mut disk, &kept.trusted).err().map(Unkept::from));
        }
        let fresh = kept.trusted.issued;
        let follower = Follower::new(pinned, kept);
        // On any doubt the operator is asked.
        let was_held = does_wait(&disk).unwrap_or(true);
        let timing = Timing::new(timings, fresh);
        let (saved_ms, unsaved, is_new) = (None, None, false);
        let mut this = Self {
            follower,
            disk,
            timing,
            mirrors,
            mirror: 0,
            saved_ms,
            unsaved,
            is_new,
            offered: None,
            was_held,
            tries: None,
            withheld: None,
        };
        let taken = Kept::of(&this.disk, world, Copy::Taken, this.follower.held()).ok().flatten();
        this.offered = this.offer().filter(|offer| {
            // What the gateway has need not be offered.
            taken.is_none_or(|taken| taken.state.root() != offer.root)
        });
        (this, faults)
    }

    /// The same for the gateway of this number, which no other has: what two others have ended of is not offered to it. Tells what of
    /// the disk is damaged.
    ///
    /// # Errors
    /// When it cannot be written down what is offered. It is offered later then.
    pub fn of_gateway(&mut self, gateway: u64) -> io::Result<Option<Unkept>> {
        let (tries, fault) = Tries::read(&self.disk, gateway);
        self.tries = Some(tries);
        if let Some(offer) = self.offered.take() {
            self.withheld = Some(offer);
            self.propose(offer, self.follower.trusted().issued)?;
        }
        Ok(fault)
    }

    /// What is not offered, since two gateways may have ended of it or of what came before it: it was offered, and they said no word.
    pub const fn withheld(&self) -> Option<Offer> {
        self.withheld
    }

    /// What is believed.
    pub const fn follower(&self) -> &Follower {
        &self.follower
    }

    /// The disk.
    pub const fn disk(&self) -> &D {
        &self.disk
    }

    /// When what is known was last known to be the newest, in Unix seconds; 0 for never.
    pub const fn fresh(&self) -> u64 {
        self.timing.fresh()
    }

    /// When the next round is due, in milliseconds by a clock that nobody sets.
    pub const fn next_ms(&self) -> u64 {
        self.timing.next_ms()
    }

    /// Somebody rang at `now_ms`; `random` is any number.
    pub const fn ring(&mut self, now_ms: u64, random: u64) {
        self.timing.ring(now_ms, SPREAD_MS, random);
    }

    /// Which mirror is asked in the next round.
    pub const fn mirror(&self) -> usize {
        self.mirror
    }

    /// What waits for the gateway: what is held, unless the gateway has it.
    pub const fn offered(&self) -> Option<Offer> {
        self.offered
    }

    fn offer(&self) -> Option<Offer> {
        let held = self.follower.held()?;
        Some(Offer { serial: held.serial, was_held: self.was_held, root: held.state.root() })
    }

    /// Begins to ask the mirror whose turn it is, at `now`, in Unix seconds.
    pub fn begin(&self, now: u64) -> Round<'_> {
        let refresh = self.follower.refresh(now);
        // Rules come first, and one is always asked for.
        let ask = refresh.ask().unwrap_or(Ask::Head);
        Round { refresh, rules: None, ask }
    }

    /// Keeps what cannot be true together, noticed at `now` (Unix seconds) at a mirror of this address.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn note(&mut self, evidence: &Evidence, now: u64, mirror: String) -> io::Result<Noted> {
        keep_evidence(&mut self.disk, evidence, (self.follower.pinned().world, now, mirror))
    }

    /// Ends a round: writes down what came, and uses it then.
    ///
    /// # Errors
    /// When it cannot be written down. It is not used then, and is asked for again after a pause.
    pub fn end(&mut self, asked: Asked, at: Moment) -> io::Result<Told> {
        let told = self.keep(asked, at);
        if told.is_err() {
            self.timing.went_wrong(at.now_ms, at.random);
        }
        told
    }

    fn keep(&mut self, Asked { rules, outcome, .. }: Asked, at: Moment) -> io::Result<Told> {
        if let Some(rules) = rules {
            keep_rules(&mut self.disk, &rules)?;
            self.follower.adopt(rules);
        }
        match outcome {
            Err(doubt) => return Ok(self.doubted(&doubt, at)),
            Ok(None) => {}
            Ok(Some(next)) => {
                keep_trusted(&mut self.disk, &next)?;
                self.unsaved = Some(next.head.clone());
                self.is_new |= next.state.is_some();
                self.follower.commit(*next);
            }
        }
        let is_told = self.save(at)?;
        self.timing.went_well(at.now, at.now_ms, at.random);
        Ok(is_told.map_or(Told::Fresh(at.now), Told::New))
    }

    /// Turns to the next mirror; when all were asked, after a pause.
    fn doubted(&mut self, doubt: &Doubt, at: Moment) -> Told {
        let place = self.mirror;
        self.mirror = (place + 1) % self.mirrors;
        if self.mirror == 0 {
            self.timing.went_wrong(at.now_ms, at.random);
        } else {
            // The next one may have it.
            self.timing.ring(at.now_ms, 0, 0);
        }
        Told::Refused(place, doubt.word())
    }

    /// Writes down what is in force, if the gateway is to be told of it or that was not done for a while; what it is told.
    fn save(&mut self, Moment { now, now_ms, .. }: Moment) -> io::Result<Option<Offer>> {
        let is_due = self.saved_ms.is_none_or(|saved| saved + SAVED_MS <= now_ms);
        if let (true, Some(head), Some(held)) = (self.is_new || is_due, &self.unsaved, self.follower.held()) {
            keep_state(&mut self.disk, head, held)?;
            (self.saved_ms, self.unsaved) = (Some(now_ms), None);
        }
        let offer = self.offer().filter(|_| self.is_new || self.withheld.is_some());
        let is_proposed = match offer {
            Some(offer) => self.propose(offer, now)?,
            None => false,
        };
        self.is_new = false;
        Ok(offer.filter(|_| is_proposed))
    }

    /// Offers something to the gateway at `now`, in Unix seconds, unless others may have ended of it; whether it does.
    fn propose(&mut self, offer: Offer, now: u64) -> io::Result<bool> {
        let is_borne = match &mut self.tries {
            Some(tries) if tries.bears(&offer.root, now) => {
                tries.begin(&mut self.disk, offer.root, now)?;
                true
            }
            tries => tries.is_none(),
        };
        (self.offered, self.withheld) = if is_borne { (Some(offer), None) } else { (None, Some(offer)) };
        Ok(is_borne)
    }

    /// Notes that the gateway has answered what was offered.
    fn answered(&mut self) -> io::Result<()> {
        self.tries.as_mut().map_or(Ok(()), |tries| tries.end(&mut self.disk))
    }

    /// Notes that the gateway has put in force what was offered under this number, or under a later one that states the same.
    /// One of another session is passed over.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn taken(&mut self, serial: u64) -> io::Result<()> {
        let newest = self.follower.held().map_or(0, |held| held.serial);
        match self.offered {
            Some(offer) if (offer.serial..=newest).contains(&serial) => {
                self.was_held = false;
                keep_taken(&mut self.disk, &offer.root)?;
                self.answered()
            }
            _ => Ok(()),
        }
    }

    /// Notes that what was offered waits for the operator.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn waits(&mut self) -> io::Result<()> {
        keep_waiting(&mut self.disk)?;
        self.answered()
    }
}
