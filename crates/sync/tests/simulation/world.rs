//! Everything together: a queue of events in simulated time, from a seed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;

use credence_credit::ActId;
use credence_feed::Witness;
use credence_sync::feed::{Answer, Ask, Offer};
use credence_sync::fetch::Refused;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use crate::Sabotage;
use crate::cast::{Cast, HOSTILE_MAX, MEMBERS};
use crate::checks::{self, Checked, Failure, Seen};
use crate::dice::Dice;
use crate::gateway::Gateway;
use crate::mirror::{Mood, flipped};
use crate::model::Model;
use crate::platform::{Platform, Put, unix};
use crate::story::{Case, Parcel};

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
/// How long things go wrong.
const DAY: u64 = 24 * HOUR;
/// How many lines of the trace are told when something does not hold.
const LAST: usize = 40;
pub(crate) const GATEWAYS: usize = 10;
pub(crate) const MIRRORS: usize = 2;
/// How many rounds a gateway has until it must be at the newest when all is calm.
pub(crate) const CALM_ROUNDS: u32 = 3;

/// What happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody honest does something, or a case goes on.
    Deed,
    Case(usize),
    /// All members vote.
    Vote(ActId),
    /// Somebody hostile does something.
    Plot,
    /// Something that was handed in arrives.
    Arrive(Parcel),
    /// The platform looks what is to be published.
    Publish,
    PlatformFault,
    PlatformStart,
    Witness,
    Mood(usize),
    /// A gateway's round begins, and is over.
    Poll(usize, u64),
    Over(usize, u64, u64),
    Ring(usize, u64),
    Look(usize, u64, Offer),
    /// The operator decides about what waits.
    Operator(usize, u64),
    Flows(usize),
    Fault(usize),
    Start(usize),
    Emptied(usize),
    Joined(usize, usize),
    Clock(usize, i64),
    Calm,
}

/// A whole world.
pub(crate) struct Simulation {
    pub(crate) cast: Cast,
    pub(crate) dice: Dice,
    pub(crate) now_ms: u64,
    pub(crate) queue: BTreeMap<(u64, u64), Event>,
    pub(crate) number: u64,
    pub(crate) platform: Platform,
    pub(crate) model: Model,
    pub(crate) moods: Vec<Mood>,
    pub(crate) witness: (Witness, SigningKey),
    pub(crate) seen_log: Option<(u64, [u8; 32])>,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) seen: Vec<Seen>,
    /// Which gateways reach which servers not.
    pub(crate) parted: Vec<[bool; MIRRORS + 1]>,
    pub(crate) hostile: Vec<u16>,
    pub(crate) offsets: Vec<i64>,
    pub(crate) cases: Vec<Case>,
    pub(crate) sent: Vec<Vec<u8>>,
    publish_ms: u64,
    pub(crate) attest_ms: u64,
    pub(crate) stops_at: Stops,
    pub(crate) is_calm: bool,
    pub(crate) versions: HashMap<(u64, u64), usize>,
    pub(crate) images: Vec<Option<BTreeMap<String, Vec<u8>>>>,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) trace: Sha256,
    pub(crate) last: VecDeque<String>,
    pub(crate) met: BTreeMap<String, u64>,
}

/// Where the platform's machine is to stop next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stops {
    pub(crate) handing_in: bool,
    pub(crate) publishing: bool,
}

/// What has come of a world.
#[derive(Debug)]
pub(crate) struct Told24 {
    pub(crate) trace: [u8; 32],
    pub(crate) met: BTreeMap<String, u64>,
}

impl Simulation {
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut dice = Dice::new(seed);
        let cast = Cast::new();
        let key = SigningKey::from_bytes(&[0x77; 32]);
        let witness = Witness::new("witness.example/1", key.verifying_key());
        let platform = Platform::new(&cast, vec![witness.clone()], sabotage);
        let gateways: Vec<_> =
            (0..GATEWAYS).map(|id| Gateway::new(id, (cast.world, &witness), &mut dice, sabotage)).collect();
        let members: Vec<u16> = (1..=MEMBERS).collect();
        let count = dice.below(HOSTILE_MAX + 1) as usize;
        let hostile = dice.some(count, &members);
        let offsets = members.iter().map(|_| dice.below(200) as i64 - 100).collect();
        let mut this = Self {
            cast,
            dice,
            now_ms: 0,
            queue: BTreeMap::new(),
            number: 0,
            platform,
            model: Model::default(),
            moods: vec![Mood::Behind(1_000); MIRRORS],
            witness: (witness, key),
            seen_log: None,
            seen: gateways.iter().map(|_| Seen::default()).collect(),
            parted: vec![[false; MIRRORS + 1]; GATEWAYS],
            images: vec![None; GATEWAYS],
            gateways,
            hostile,
            offsets,
            cases: Vec::new(),
            sent: Vec::new(),
            publish_ms: u64::MAX,
            attest_ms: 0,
            stops_at: Stops::default(),
            is_calm: false,
            versions: HashMap::new(),
            sabotage,
            trace: Sha256::new(),
            last: VecDeque::new(),
            met: BTreeMap::new(),
        };
        this.begin();
        this
    }

    fn begin(&mut self) {
        self.at(0, Event::Publish);
        self.at(SECOND, Event::Witness);
        for event in [Event::Deed, Event::Plot, Event::PlatformFault] {
            let wait = self.dice.wait(20 * MINUTE);
            self.at(wait, event);
        }
        (0..MIRRORS).for_each(|mirror| self.after(20 * MINUTE, Event::Mood(mirror)));
        for id in 0..GATEWAYS {
            let wait = 2 * SECOND + self.dice.below(MINUTE);
            self.at(wait, Event::Start(id));
            self.at(wait, Event::Flows(id));
            self.after(2 * HOUR, Event::Fault(id));
            let offset = self.dice.below(240_000) as i64 - 120_000;
            self.gateways[id].offset_ms = offset;
        }
        self.at(DAY, Event::Calm);
    }

    /// Lets something happen at a moment.
    pub(crate) fn at(&mut self, at_ms: u64, event: Event) {
        self.number += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.number), event);
    }

    /// Lets something happen after a while that is so long on average.
    pub(crate) fn after(&mut self, mean_ms: u64, event: Event) {
        let wait = self.dice.wait(mean_ms);
        self.at(self.now_ms + wait, event);
    }

    /// Notes what happened: part of the trace, and counted by its first word.
    pub(crate) fn note(&mut self, what: &str, more: std::fmt::Arguments<'_>) {
        *self.met.entry(what.to_owned()).or_default() += 1;
        let mut line = String::with_capacity(64);
        let _ = write!(line, "{} {what} {more}", self.now_ms);
        self.trace.update(line.as_bytes());
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Runs until everything was calm for long enough.
    pub(crate) fn run(&mut self) -> Result<Told24, Failure> {
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            self.now_ms = at_ms;
            self.step(event)?;
            if self.is_calm && self.gateways.iter().all(|gateway| gateway.calm_rounds > CALM_ROUNDS) {
                break;
            }
        }
        Ok(Told24 { trace: self.trace.clone().finalize().into(), met: std::mem::take(&mut self.met) })
    }

    fn step(&mut self, event: Event) -> Checked {
        match event {
            Event::Deed => self.deed(),
            Event::Case(number) => self.case(number),
            Event::Vote(proposal) => self.vote(proposal),
            Event::Plot => self.plot(),
            Event::Arrive(parcel) => self.arrive(parcel),
            Event::Publish => return self.publish(),
            Event::PlatformFault => self.platform_fault(),
            Event::PlatformStart => return self.platform_start(),
            Event::Witness => self.cosign(),
            Event::Mood(mirror) => self.mood(mirror),
            Event::Poll(id, life) => self.poll(id, life),
            Event::Over(id, life, began_ms) => return self.over(id, life, began_ms),
            Event::Ring(id, life) => self.ring(id, life),
            Event::Look(id, life, offer) => return self.look(id, life, offer),
            Event::Operator(id, life) => return self.operator(id, life),
            Event::Flows(id) => self.flows(id),
            Event::Fault(id) => self.gateway_fault(id),
            Event::Start(id) => return self.start(id),
            Event::Emptied(id) => self.gateways[id].drive.fill(false),
            Event::Joined(id, server) => self.parted[id][server] = false,
            Event::Clock(id, offset_ms) => self.gateways[id].offset_ms = offset_ms,
            Event::Calm => return self.calm(),
        }
        Ok(())
    }

    /// The platform is asked to look what is to be published, soon.
    pub(crate) fn publish_soon(&mut self) {
        let soon = self.now_ms + self.dice.within(20, 10_000);
        if soon < self.publish_ms {
            self.publish_ms = soon;
            self.at(soon, Event::Publish);
        }
    }

    fn publish(&mut self) -> Checked {
        if self.publish_ms <= self.now_ms {
            self.publish_ms = u64::MAX;
        }
        if self.publish_ms == u64::MAX {
            self.publish_ms = self.now_ms + 2 * MINUTE;
            self.at(self.publish_ms, Event::Publish);
        }
        if !self.platform.is_running() {
            return Ok(());
        }
        // Whoever makes an issuer's manifests looks every few minutes what there is to state.
        if self.attest_ms <= self.now_ms {
            self.attest_ms = self.now_ms + 5 * MINUTE;
            self.attest();
        }
        self.relieve();
        let stops = std::mem::take(&mut self.stops_at.publishing).then(|| self.dice.below(30) as u32);
        match self.platform.publish((unix(self.now_ms), self.now_ms), stops) {
            Put::Out => self.published(),
            Put::Lost => {
                self.lose_power();
                let down = self.dice.within(2 * SECOND, 20 * MINUTE);
                self.at(self.now_ms + down, Event::PlatformStart);
                Ok(())
            }
            Put::Nothing => Ok(()),
        }
    }

    /// A head was put out, and those are rung for who hear it.
    pub(crate) fn published(&mut self) -> Checked {
        let place = self.platform.history.len() - 1;
        let newest = self.platform.newest().unwrap();
        let (version, root) = ((newest.session, newest.serial), newest.root);
        let before = self.versions.insert(version, place);
        checks::serial(version, before.map(|before| &self.platform.history[before].head), &newest.head)?;
        self.note("published", format_args!("{version:?} {root:02x?}"));
        for id in 0..GATEWAYS {
            // Some hear the doorbell, and not always.
            if id % 2 == 0 && self.dice.happens(700) {
                let (life, soon) = (self.gateways[id].life, self.dice.within(10, 2_000));
                self.at(self.now_ms + soon, Event::Ring(id, life));
            }
        }
        Ok(())
    }

    pub(crate) fn cosign(&mut self) {
        self.after(10 * MINUTE, Event::Witness);
        // Now and then it is away for an hour or so.
        if !self.is_calm && self.dice.happens(30) {
            let away = self.dice.wait(HOUR);
            self.note("witness_away", format_args!("{away}"));
            self.queue.retain(|_, event| !matches!(event, Event::Witness));
            self.at(self.now_ms + away, Event::Witness);
            return;
        }
        let (witness, key) = &self.witness;
        if let Some(seen) = self.platform.cosign((witness, key), self.seen_log, self.now_ms) {
            self.seen_log = Some(seen);
            self.note("cosigned", format_args!("{}", seen.0));
        }
    }
}

/// What lies between a gateway and a server.
pub(crate) struct Way {
    pub(crate) is_parted: bool,
    pub(crate) is_calm: bool,
    pub(crate) at_ms: u64,
}

impl Way {
    /// What comes back of a question to the platform itself, or to a mirror in that mood.
    pub(crate) fn answer(
        &self,
        platform: &Platform,
        mood: Option<Mood>,
        ask: &Ask,
        dice: &mut Dice,
    ) -> Result<Answer, Refused> {
        if self.is_parted {
            return Err(Refused::Unreachable);
        }
        if !self.is_calm && dice.happens(10) {
            return Err(dice.one(&[Refused::Idle, Refused::Cut, Refused::Late]));
        }
        let answer = match mood {
            None => platform.answer(ask).ok_or(Refused::Unreachable)?,
            Some(mood) => mood.answer(platform, ask, self.at_ms, dice)?,
        };
        let answer = if !self.is_calm && dice.happens(3) { flipped(answer, dice) } else { answer };
        match &answer {
            Answer::Bytes(bytes) if bytes.len() > ask.bytes_max() => Err(Refused::TooLong),
            _ => Ok(answer),
        }
    }
}
