//! Everything together: a queue of events in simulated time, from a seed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::ops::ControlFlow;

use credence_credit::Header;
use credence_feed::Witness;
use credence_sync::feed::{Answer, Ask, Offer, Told};
use credence_sync::fetch::Refused;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use crate::Sabotage;
use crate::cast::{Cast, HOSTILE_MAX, MEMBERS};
use crate::checks::{self, Checked, Failure, Seen};
use crate::dice::Dice;
use crate::gateway::{Gateway, Looked};
use crate::mirror::{Mood, flipped};
use crate::model::{Known, Model};
use crate::platform::{Platform, unix};
use crate::story::{Case, Parcel};

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
/// How long things go wrong.
const DAY: u64 = 24 * HOUR;
/// How many lines of the trace are told when something does not hold.
const LAST: usize = 40;
const GATEWAYS: usize = 10;
const MIRRORS: usize = 2;
/// How many rounds a gateway has until it must be at the newest when all is calm.
const CALM_ROUNDS: u32 = 3;

/// What happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody honest does something, or a case goes on.
    Deed,
    Case(usize),
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
    queue: BTreeMap<(u64, u64), Event>,
    number: u64,
    pub(crate) platform: Platform,
    pub(crate) model: Model,
    moods: Vec<Mood>,
    witness: (Witness, SigningKey),
    seen_log: Option<(u64, [u8; 32])>,
    pub(crate) gateways: Vec<Gateway>,
    seen: Vec<Seen>,
    /// Which gateways reach which servers not.
    parted: Vec<[bool; MIRRORS + 1]>,
    pub(crate) hostile: Vec<u16>,
    pub(crate) offsets: Vec<i64>,
    pub(crate) cases: Vec<Case>,
    pub(crate) sent: Vec<Vec<u8>>,
    publish_ms: u64,
    attest_ms: u64,
    pub(crate) stops_at: Stops,
    pub(crate) is_calm: bool,
    versions: HashMap<(u64, u64), usize>,
    images: Vec<Option<BTreeMap<String, Vec<u8>>>>,
    pub(crate) sabotage: Option<Sabotage>,
    trace: Sha256,
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
        let platform = Platform::new(&cast, vec![witness.clone()]);
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
            Event::Plot => self.plot(),
            Event::Arrive(parcel) => self.arrive(parcel),
            Event::Publish => self.publish(),
            Event::PlatformFault => self.platform_fault(),
            Event::PlatformStart => self.platform_start(),
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
            Event::Calm => self.calm(),
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

    fn publish(&mut self) {
        if self.publish_ms <= self.now_ms {
            self.publish_ms = u64::MAX;
        }
        if self.publish_ms == u64::MAX {
            self.publish_ms = self.now_ms + 2 * MINUTE;
            self.at(self.publish_ms, Event::Publish);
        }
        if !self.platform.is_running() {
            return;
        }
        // Whoever makes an issuer's manifests looks every few minutes what there is to state.
        if self.attest_ms <= self.now_ms {
            self.attest_ms = self.now_ms + 5 * MINUTE;
            self.attest();
        }
        self.relieve();
        let stops = std::mem::take(&mut self.stops_at.publishing);
        if self.platform.publish((unix(self.now_ms), self.now_ms), stops) {
            self.published();
        }
    }

    /// A head was put out, and those are rung for who hear it.
    pub(crate) fn published(&mut self) {
        let newest = self.platform.newest().unwrap();
        let (version, root) = ((newest.session, newest.serial), newest.root);
        self.versions.insert(version, self.platform.history.len() - 1);
        self.note("published", format_args!("{version:?} {root:02x?}"));
        for id in 0..GATEWAYS {
            // Some hear the doorbell, and not always.
            if id % 2 == 0 && self.dice.happens(700) {
                let (life, soon) = (self.gateways[id].life, self.dice.within(10, 2_000));
                self.at(self.now_ms + soon, Event::Ring(id, life));
            }
        }
    }

    fn platform_fault(&mut self) {
        self.after(3 * HOUR, Event::PlatformFault);
        let (kind, down_ms) = (self.dice.below(5), self.dice.within(2 * SECOND, 20 * MINUTE));
        match kind {
            0 => self.stops_at.handing_in = true,
            1 => self.stops_at.publishing = true,
            2 => {
                let file = self.dice.below(1_000) as usize;
                self.platform.rot(file);
                self.platform.stop();
                self.note("platform_rot", format_args!(""));
            }
            _ => {
                self.platform.stop();
                self.note("platform_killed", format_args!(""));
            }
        }
        self.at(self.now_ms + down_ms, Event::PlatformStart);
    }

    fn platform_start(&mut self) {
        if !self.platform.is_running() {
            self.platform.start();
            self.note("platform_started", format_args!(""));
            self.publish_soon();
        }
    }

    fn cosign(&mut self) {
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

    fn mood(&mut self, mirror: usize) {
        self.after(40 * MINUTE, Event::Mood(mirror));
        if !self.is_calm {
            self.moods[mirror] = Mood::draw(&mut self.dice, self.now_ms);
            let mood = self.moods[mirror];
            self.note(mood.name(), format_args!("{mirror}"));
        }
    }

    /// The next round of a gateway is due when its own timers say so.
    fn awaits(&mut self, id: usize) {
        let gateway = &self.gateways[id];
        if let Some(due_ms) = gateway.due_ms() {
            self.at(due_ms, Event::Poll(id, gateway.life));
        }
    }

    fn ring(&mut self, id: usize, life: u64) {
        let random = self.dice.next();
        if self.gateways[id].life == life {
            self.gateways[id].ring(self.now_ms, random);
            self.awaits(id);
        }
    }

    fn poll(&mut self, id: usize, life: u64) {
        let gateway = &mut self.gateways[id];
        let is_due = gateway.due_ms().is_some_and(|due_ms| due_ms <= self.now_ms);
        if gateway.life != life || gateway.is_busy || !is_due {
            return;
        }
        gateway.is_busy = true;
        let slow = !self.is_calm && self.dice.happens(50);
        let takes = if slow { self.dice.within(SECOND, 30 * SECOND) } else { self.dice.within(20, 500) };
        self.at(self.now_ms + takes, Event::Over(id, life, self.now_ms));
    }

    /// A round is over that began then: what was asked for in it was answered in between.
    fn over(&mut self, id: usize, life: u64, began_ms: u64) -> Checked {
        if self.gateways[id].life != life {
            return Ok(());
        }
        self.gateways[id].is_busy = false;
        let Some((mut round, server)) = self.gateways[id].begin(began_ms) else { return Ok(()) };
        let (mut asks, takes) = (0, self.now_ms - began_ms);
        let asked = loop {
            asks += 1;
            let at_ms = began_ms + takes * asks / (asks + 4);
            let way = Way { is_parted: self.parted[id][server], is_calm: self.is_calm, at_ms };
            let mood = server.checked_sub(1).map(|mirror| self.moods[mirror]);
            let answered = way.answer(&self.platform, mood, round.ask(), &mut self.dice);
            match round.answer(answered) {
                ControlFlow::Continue(next) => round = next,
                ControlFlow::Break(asked) => break asked,
            }
        };
        let why = asked.doubt().map(|doubt| format!("{doubt:?}"));
        let random = self.dice.next();
        let Some(told) = self.gateways[id].end(asked, self.now_ms, random) else { return Ok(()) };
        let newest = self.gateways[id].rounds.as_ref().map(|rounds| rounds.follower().trusted().version());
        match &told {
            Ok(Told::Fresh(_)) => self.note("fresh", format_args!("{id} {newest:?}")),
            Ok(Told::New(offer)) => self.note("new", format_args!("{id} {newest:?} {}", offer.serial)),
            Ok(Told::Refused(place, refused)) => {
                let word = format!("refused_{refused:?}");
                self.note(&word, format_args!("{id} {place} {why:?}"));
            }
            Err(error) => self.note("unkept", format_args!("{id} {error}")),
        }
        if let (Ok(Told::Fresh(_) | Told::New(_)), Some(newest)) = (&told, newest)
            && let Some(place) = self.versions.get(&newest)
        {
            checks::fresh(&self.gateways[id], self.platform.history[*place].at_ms, began_ms)?;
        }
        checks::monotone(&mut self.gateways[id])?;
        if self.gateways[id].drive.has_stopped() {
            self.stop(id, "stopped_writing");
            return Ok(());
        }
        if let Ok(Told::New(offer)) = told {
            let soon = self.dice.within(1, 400);
            self.at(self.now_ms + soon, Event::Look(id, life, offer));
        }
        self.awaits(id);
        let from = self.dice.below(1_000) as usize;
        checks::moment(&self.gateways[id], self.now_ms, (from, 4))?;
        self.calm_round(id, began_ms)
    }

    fn look(&mut self, id: usize, life: u64, offer: Offer) -> Checked {
        if self.gateways[id].life != life {
            return Ok(());
        }
        let forged = self.forged();
        let looked = self.gateways[id].look(offer, self.now_ms, forged);
        self.looked(id, looked)
    }

    /// What follows from a look at what was offered.
    fn looked(&mut self, id: usize, looked: Looked) -> Checked {
        let life = self.gateways[id].life;
        match looked {
            Looked::Applied(before) => {
                let gateway = &mut self.gateways[id];
                let header = gateway.header.unwrap();
                if let Some(rounds) = &mut gateway.rounds
                    && rounds.taken(header.serial).is_err()
                {
                    *self.met.entry("untaken".to_owned()).or_default() += 1;
                }
                let known = self.known(header);
                self.note("applied", format_args!("{id} {} {}", header.session, header.serial));
                let (gateway, seen) = (&self.gateways[id], &self.seen[id]);
                checks::update(gateway, (&self.model, known), (&before, seen), self.now_ms)?;
                checks::moment(gateway, self.now_ms, (0, usize::MAX))?;
            }
            Looked::Held => {
                self.note("held", format_args!("{id}"));
                if let Some(rounds) = &mut self.gateways[id].rounds {
                    // Where that cannot be written down, the operator is asked once more after the next start, or not.
                    let _ = rounds.waits();
                }
                let thinks = if self.is_calm { 1 } else { self.dice.wait(30 * MINUTE) };
                self.at(self.now_ms + thinks, Event::Operator(id, life));
            }
            Looked::Passed => self.note("passed", format_args!("{id}")),
        }
        if self.gateways[id].drive.has_stopped() {
            self.stop(id, "stopped_writing");
        }
        Ok(())
    }

    /// What was known when a version was put out; nothing where it never was.
    fn known(&self, header: Header) -> Known {
        let place = self.versions.get(&(header.session, header.serial));
        place.map_or((0, 0), |place| {
            let one = &self.platform.history[*place];
            (one.log_size, unix(one.at_ms))
        })
    }

    fn operator(&mut self, id: usize, life: u64) -> Checked {
        if self.gateways[id].life != life || self.gateways[id].waits.is_none() {
            return Ok(());
        }
        if !self.is_calm && self.dice.happens(250) {
            self.gateways[id].waits = None;
            self.note("discarded", format_args!("{id}"));
            return Ok(());
        }
        self.note("accepted", format_args!("{id}"));
        let looked = self.gateways[id].accept();
        self.looked(id, looked)
    }

    /// Flows pass, from sites of all members.
    fn flows(&mut self, id: usize) {
        self.at(self.now_ms + 2 * MINUTE, Event::Flows(id));
        let source = |dice: &mut Dice| {
            let prefix = crate::cast::site(1 + dice.below(10) as u16, dice.below(40), 64);
            prefix.first() | u128::from(dice.below(1 << 40))
        };
        let sources: Vec<u128> = (0..50).map(|_| source(&mut self.dice)).collect();
        if self.gateways[id].rounds.is_some() {
            self.gateways[id].saw(&sources, self.now_ms);
            self.seen[id].saw(&sources, self.now_ms);
        }
    }

    /// When all is calm a gateway is at the newest after three rounds, and says what everybody has said.
    fn calm_round(&mut self, id: usize, began_ms: u64) -> Checked {
        if !self.is_calm {
            return Ok(());
        }
        let gateway = &mut self.gateways[id];
        gateway.calm_rounds += 1;
        let newest = self.platform.history.iter().rfind(|one| one.at_ms + 2 * SECOND < began_ms);
        let root = newest.map_or([0; 32], |newest| newest.root);
        let later = self.platform.history.iter().filter(|one| one.at_ms + 2 * SECOND >= began_ms);
        let is_later = gateway
            .rounds
            .as_ref()
            .and_then(|rounds| rounds.follower().held())
            .is_some_and(|held| later.into_iter().any(|one| one.root == held.state.root()));
        if gateway.calm_rounds == CALM_ROUNDS && !is_later {
            checks::alive(gateway, root, CALM_ROUNDS)?;
        }
        if gateway.calm_rounds > CALM_ROUNDS && gateway.waits.is_none() {
            let header = gateway.header.unwrap_or_default();
            checks::equal(&self.gateways[id], (&self.model, self.known(header)), self.now_ms)?;
        }
        Ok(())
    }

    /// A gateway's machine stops, and starts after a while.
    fn stop(&mut self, id: usize, why: &str) {
        self.gateways[id].stop();
        self.note(why, format_args!("{id}"));
        let down = if self.is_calm { 1 } else { self.dice.within(SECOND, 2 * MINUTE) };
        self.at(self.now_ms + down, Event::Start(id));
    }

    fn start(&mut self, id: usize) -> Checked {
        if self.gateways[id].rounds.is_some() {
            return Ok(());
        }
        if let (Some(Sabotage::Rollback), Some(image)) = (self.sabotage, self.images[id].take()) {
            self.gateways[id].drive.set_back(image);
        }
        self.images[id] = Some(self.gateways[id].drive.image());
        let looked = self.gateways[id].start(self.now_ms);
        self.seen[id].forget();
        self.note("started", format_args!("{id}"));
        checks::monotone(&mut self.gateways[id])?;
        self.looked(id, looked)?;
        if let Some(offer) = self.gateways[id].offered() {
            let life = self.gateways[id].life;
            self.at(self.now_ms + 10, Event::Look(id, life, offer));
        }
        self.awaits(id);
        Ok(())
    }

    fn gateway_fault(&mut self, id: usize) {
        if self.is_calm {
            return;
        }
        self.after(2 * HOUR, Event::Fault(id));
        if self.gateways[id].rounds.is_none() {
            return;
        }
        let lasts = self.dice.within(MINUTE, HOUR);
        match self.dice.below(8) {
            0 => self.stop(id, "killed"),
            1 => {
                let faults = self.gateways[id].follow(self.now_ms);
                self.note("follower_killed", format_args!("{id} {faults}"));
                self.gateways[id].life += 1;
                if let Some(offer) = self.gateways[id].offered() {
                    let life = self.gateways[id].life;
                    self.at(self.now_ms + 10, Event::Look(id, life, offer));
                }
                self.awaits(id);
            }
            2 => {
                let changes = self.dice.within(1, 8) as u32;
                self.gateways[id].drive.stop_after(changes);
            }
            3 => {
                self.gateways[id].drive.fill(true);
                self.note("disk_full", format_args!("{id}"));
                self.at(self.now_ms + lasts, Event::Emptied(id));
            }
            4 => {
                if let Some(name) = self.gateways[id].drive.rot(&mut self.dice) {
                    self.note("rot", format_args!("{id} {name}"));
                    if name == "trusted" {
                        // What stands in the head that is kept is all that is left of it.
                        self.gateways[id].floor = (0, 0, 0, 0);
                    }
                    self.stop(id, "killed");
                }
            }
            5 => {
                let server = self.dice.below(MIRRORS as u64 + 1) as usize;
                self.parted[id][server] = true;
                self.note("parted", format_args!("{id} {server}"));
                self.at(self.now_ms + lasts, Event::Joined(id, server));
            }
            6 => {
                self.gateways[id].offset_ms = self.dice.below(1_200_000) as i64 - 600_000;
                self.note("clock_off", format_args!("{id}"));
            }
            _ => {
                let back = self.gateways[id].offset_ms;
                let wild = self.dice.one(&[365, 1, -1, -365]) * 24 * HOUR as i64;
                self.gateways[id].offset_ms = wild;
                self.note("clock_wild", format_args!("{id} {wild}"));
                self.at(self.now_ms + lasts / 4, Event::Clock(id, back));
            }
        }
    }

    /// From now on nothing goes wrong any more.
    fn calm(&mut self) {
        (self.is_calm, self.stops_at) = (true, Stops::default());
        self.queue.retain(|_, event| {
            !matches!(
                event,
                Event::Deed
                    | Event::Plot
                    | Event::Case(_)
                    | Event::Arrive(_)
                    | Event::PlatformFault
                    | Event::Fault(_)
                    | Event::Clock(..)
                    | Event::Operator(..)
            )
        });
        self.moods = vec![Mood::Behind(0); MIRRORS];
        self.parted = vec![[false; MIRRORS + 1]; GATEWAYS];
        self.platform_start();
        self.settle();
        self.cosign();
        for id in 0..GATEWAYS {
            self.gateways[id].drive.fill(false);
            self.gateways[id].drive.start();
            self.gateways[id].offset_ms = self.dice.below(2_000) as i64 - 1_000;
            let life = self.gateways[id].life;
            self.at(self.now_ms, Event::Operator(id, life));
        }
        self.note("calm", format_args!(""));
    }
}

/// What lies between a gateway and a server.
struct Way {
    is_parted: bool,
    is_calm: bool,
    at_ms: u64,
}

impl Way {
    /// What comes back of a question to the platform itself, or to a mirror in that mood.
    fn answer(
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
