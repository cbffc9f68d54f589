//! A gateway: the process that follows, the one that enforces, the disk that both use, and a clock of its own.

use std::io;
use std::time::Duration;

use credence_credit::guard::{NeverBlock, Recent};
use credence_credit::{Guards, Header, Keeper, Measure, Published, Record, Snapshot};
use credence_feed::Witness;
use credence_law::party::World;
use credence_prefix::Prefix;
use credence_sync::feed::{Asked, Copy, Intake, Moment, Offer, Pinned, Round, Rounds, Timings, Told};

use crate::Sabotage;
use crate::cast::BEGIN;
use crate::dice::Dice;
use crate::disk::Drive;

/// What became of something that was offered.
#[derive(Debug)]
pub(crate) enum Looked {
    /// It is in force, and the process that follows is to be told so.
    Applied(Before),
    /// It waits for the operator.
    Held,
    /// It could not be read, or is older than what is in force.
    Passed,
}

/// What was in force before an update, for whoever checks what it did.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) enforced: Vec<(Prefix, Measure, u64)>,
    /// Whether the operator has said so, or it is what a start finds.
    pub(crate) is_asked: bool,
}

/// One gateway.
pub(crate) struct Gateway {
    pub(crate) id: usize,
    sabotage: Option<Sabotage>,
    pinned: Pinned,
    timings: Timings,
    /// The servers in the order in which they are asked: 0 is the platform.
    pub(crate) servers: Vec<usize>,
    pub(crate) drive: Drive,
    /// Which of its lives it is; what was on its way in an earlier one comes to nothing.
    pub(crate) life: u64,
    pub(crate) rounds: Option<Rounds<Drive>>,
    pub(crate) is_busy: bool,
    /// When the process that follows was started, and when the machine was.
    started_ms: u64,
    booted_ms: u64,
    /// How far its clock is off, in milliseconds.
    pub(crate) offset_ms: i64,
    /// What it never blocks besides.
    pub(crate) own: Vec<Prefix>,
    guards: Guards,
    published: Published,
    keeper: Keeper,
    intake: Intake,
    pub(crate) recent: Recent,
    /// What waits for the operator.
    pub(crate) waits: Option<Snapshot>,
    pub(crate) header: Option<Header>,
    pub(crate) records: usize,
    list: Vec<(Record, bool)>,
    /// The newest version that it ever trusted, with the length of the log and the rules: none of it goes back.
    pub(crate) floor: (u64, u64, u64, u32),
    /// Rounds since everything was calm.
    pub(crate) calm_rounds: u32,
}

impl Gateway {
    pub(crate) fn new(
        id: usize,
        (world, witness): (World, &Witness),
        dice: &mut Dice,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let quorum = usize::from(id.is_multiple_of(3));
        let pinned = Pinned {
            world,
            origin: format!("credence/{world}"),
            witnesses: vec![witness.clone()],
            witness_quorum: quorum,
            allow_example: false,
        };
        let refresh = dice.one(&[30, 120, 300, 300]);
        let own: Vec<Prefix> =
            (0..2).map(|_| crate::cast::site(1 + dice.below(10) as u16, dice.below(30), 64)).collect();
        let kept = if sabotage == Some(Sabotage::NeverBlock) { Vec::new() } else { own.clone() };
        let guards = Guards::new(NeverBlock::new(kept));
        let published = Published::default();
        let keeper = Keeper::build(&published, Vec::new(), &guards).unwrap();
        Self {
            id,
            sabotage,
            pinned,
            timings: Timings { refresh, ..Timings::default() },
            servers: dice.some(3, &[0, 1, 2]),
            drive: Drive::default(),
            life: 0,
            rounds: None,
            is_busy: false,
            started_ms: 0,
            booted_ms: 0,
            offset_ms: 0,
            own,
            guards,
            published,
            keeper,
            intake: Intake::new(world),
            recent: Recent::default(),
            waits: None,
            header: None,
            records: 0,
            list: Vec::new(),
            floor: (0, 0, 0, 0),
            calm_rounds: 0,
        }
    }

    /// What its clock says, in Unix seconds.
    pub(crate) const fn unix(&self, at_ms: u64) -> u64 {
        (BEGIN * 1_000 + at_ms).saturating_add_signed(self.offset_ms) / 1_000
    }

    const fn own_ms(&self, at_ms: u64) -> u64 {
        at_ms - self.started_ms
    }

    /// When the next round is due.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.rounds.as_ref().map(|rounds| self.started_ms + rounds.next_ms())
    }

    /// Starts the machine: what was in force is so again, from its own disk.
    pub(crate) fn start(&mut self, at_ms: u64) -> Looked {
        self.life += 1;
        self.booted_ms = at_ms;
        self.drive.start();
        self.intake = Intake::new(self.pinned.world);
        self.keeper = Keeper::build(&self.published, Vec::new(), &self.guards).unwrap();
        self.recent = Recent::default();
        (self.waits, self.header, self.records) = (None, None, 0);
        self.list.clear();
        self.follow(at_ms);
        match self.intake.read(&self.drive, Copy::Taken) {
            Ok(Some(fed)) => {
                let before = Before { enforced: Vec::new(), is_asked: true };
                self.apply(&fed.snapshot().unwrap());
                Looked::Applied(before)
            }
            _ => Looked::Passed,
        }
    }

    /// Starts the process that follows. How many things that it had kept were damaged.
    pub(crate) fn follow(&mut self, at_ms: u64) -> usize {
        let (rounds, faults) =
            Rounds::new(self.pinned.clone(), self.timings, self.servers.len(), self.drive.clone());
        (self.rounds, self.is_busy, self.started_ms) = (Some(rounds), false, at_ms);
        faults.len()
    }

    /// The machine is gone, with what is in memory.
    pub(crate) fn stop(&mut self) {
        self.life += 1;
        self.rounds = None;
    }

    /// What waits for it, offered by a process that has just started.
    pub(crate) fn offered(&self) -> Option<Offer> {
        self.rounds.as_ref()?.offered()
    }

    /// Begins a round, and the number of the server that is asked.
    pub(crate) fn begin(&self, at_ms: u64) -> Option<(Round<'_>, usize)> {
        let rounds = self.rounds.as_ref()?;
        // Whoever goes by the last head's time, and by a clock only now and then, believes what is frozen.
        let is_frozen = self.sabotage == Some(Sabotage::Frozen) && (at_ms / 1_000).is_multiple_of(2);
        let now = if is_frozen { rounds.follower().trusted().issued } else { self.unix(at_ms) };
        Some((rounds.begin(now), self.servers[rounds.mirror()]))
    }

    pub(crate) fn end(&mut self, asked: Asked, at_ms: u64, random: u64) -> Option<io::Result<Told>> {
        let at = Moment { now: self.unix(at_ms), now_ms: self.own_ms(at_ms), random };
        self.rounds.as_mut().map(|rounds| rounds.end(asked, at))
    }

    pub(crate) fn ring(&mut self, at_ms: u64, random: u64) {
        let now_ms = self.own_ms(at_ms);
        if let Some(rounds) = &mut self.rounds {
            rounds.ring(now_ms, random);
        }
    }

    /// Takes in sources of flows that pass now.
    pub(crate) fn saw(&mut self, sources: &[u128], at_ms: u64) {
        self.recent.saw(sources, Duration::from_millis(at_ms - self.booted_ms));
    }

    /// Looks at what is offered: it takes effect, or waits.
    pub(crate) fn look(&mut self, offer: Offer, at_ms: u64, forged: Option<Record>) -> Looked {
        let Ok(Some(fed)) = self.intake.read(&self.drive, Copy::Offered) else { return Looked::Passed };
        let mut snapshot = fed.snapshot().unwrap();
        if snapshot.header().serial < offer.serial {
            return Looked::Passed;
        }
        if let (Some(Sabotage::Forged), Some(record)) = (self.sabotage, forged) {
            snapshot = with(&snapshot, record);
        }
        let next = Keeper::build(&self.published, vec![snapshot.clone()], &self.guards).unwrap();
        self.waits = None;
        let holds = self.recent.holds(self.keeper.cache(), next.cache(), self.unix(at_ms));
        if offer.was_held || !holds.is_empty() && self.sabotage != Some(Sabotage::Guards) {
            self.waits = Some(snapshot);
            return Looked::Held;
        }
        let before = Before { enforced: self.enforced(self.unix(at_ms)), is_asked: false };
        self.put(next, &snapshot);
        Looked::Applied(before)
    }

    /// The operator accepts what waits.
    pub(crate) fn accept(&mut self) -> Looked {
        let Some(snapshot) = self.waits.take() else { return Looked::Passed };
        let before = Before { enforced: Vec::new(), is_asked: true };
        self.apply(&snapshot);
        Looked::Applied(before)
    }

    fn apply(&mut self, snapshot: &Snapshot) {
        let next = Keeper::build(&self.published, vec![snapshot.clone()], &self.guards).unwrap();
        self.put(next, snapshot);
    }

    /// Puts a snapshot in force, change by change where that is little.
    fn put(&mut self, next: Keeper, snapshot: &Snapshot) {
        self.intake.put(snapshot.header());
        (self.header, self.records) = (Some(snapshot.header()), snapshot.records().len());
        let made = self.keeper.changes_to(&next).map(|changes| self.keeper.apply(changes, &mut ()));
        if !matches!(made, Some(Ok(()))) {
            self.keeper = next;
            self.keeper.publish();
        }
        self.list = self.found();
    }

    /// What is done to a source.
    pub(crate) fn measure(&self, source: u128, now: u64) -> Measure {
        let now = if self.sabotage == Some(Sabotage::Expiry) { 0 } else { now };
        let cache = self.keeper.cache();
        cache.effective(source, now).ruling.map_or(Measure::None, |number| cache.entry(number).allowed())
    }

    /// All records that there were after the last update, each with whether it may be enforced.
    pub(crate) fn all(&self) -> &[(Record, bool)] {
        &self.list
    }

    /// All records that the cache has now.
    pub(crate) fn found(&self) -> Vec<(Record, bool)> {
        let cache = self.keeper.cache();
        cache.iter().map(|(number, record)| (record, cache.entry(number).is_enforceable())).collect()
    }

    /// How many records are kept from being enforced, by what the cache itself counts.
    pub(crate) fn kept(&self) -> u64 {
        let cache = self.keeper.cache();
        credence_credit::KeepReason::ALL.into_iter().map(|reason| cache.kept(reason)).sum()
    }

    /// What is enforced at `now`: prefixes with their measures and ends.
    pub(crate) fn enforced(&self, now: u64) -> Vec<(Prefix, Measure, u64)> {
        let all = self.list.iter().filter(|(record, is_enforced)| {
            *is_enforced && record.measure.constrains() && now < record.expires
        });
        all.map(|(record, _)| (record.prefix, record.measure, record.expires)).collect()
    }
}

/// The snapshot with one more record.
fn with(snapshot: &Snapshot, record: Record) -> Snapshot {
    let mut records = snapshot.records().to_vec();
    records.push(record);
    records.sort_by_key(|record| (record.prefix, record.authority, record.issuer));
    Snapshot::new(snapshot.header(), snapshot.issuers().to_vec(), records).unwrap()
}
