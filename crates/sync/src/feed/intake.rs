//! The gateway's end of a feed: what lies on the disk is checked once more before it is put in force.

use std::cell::RefCell;
use std::sync::Arc;

use credence_credit::{Amendment, Header, Issuer, Snapshot};
use credence_feed::{Reject, Rulebook, Turn, is_operator_replaced};
use credence_law::book::Issuers;
use credence_law::party::World;
use credence_prefix::Prefix;

use super::{Copy, Disk, Held, Kept, Unkept};

/// What of a feed is in force here.
#[derive(Debug)]
pub struct Intake {
    world: World,
    /// The version in force, and by which rules: nothing older is ever taken while the operator has one of its keys.
    version: (u64, u64),
    rules: Option<Arc<Rulebook>>,
    /// What was checked last, with the number of its records: what stays the same is not checked again.
    checked: Option<(Arc<Held>, usize)>,
    /// The same of what is in force, where that is known.
    in_force: Option<(Arc<Held>, usize)>,
}

/// What a feed says.
#[derive(Debug)]
pub struct Fed {
    held: Arc<Held>,
    /// What members of an example world hold: addresses for examples, which its records may name.
    pub staged: Vec<Prefix>,
    records: usize,
    from: From,
}

/// How what a feed says was found.
#[derive(Debug)]
enum From {
    /// By what is another in it than in what was in force, and what of that somebody has made milder or harder.
    Before(Vec<Amendment>, Vec<Turn>),
    /// All of it, until somebody has asked for it: it takes much memory.
    Nothing(RefCell<Option<Snapshot>>),
    /// It is in force, and that is over.
    Settled,
}

impl Fed {
    /// Which version it is.
    pub fn header(&self) -> Header {
        self.held.header()
    }

    /// How many records there are.
    pub const fn records(&self) -> usize {
        self.records
    }

    /// All records. They are made anew each time but the first.
    ///
    /// # Errors
    /// When they break a rule of snapshots.
    pub fn snapshot(&self) -> Result<Snapshot, Reject> {
        let made = match &self.from {
            From::Nothing(snapshot) => snapshot.take(),
            From::Before(..) | From::Settled => None,
        };
        made.map_or_else(|| self.held.snapshot(), Ok)
    }

    /// What is another in it than in what was in force when it was read, and the issuers of both; none where anything may be.
    pub fn amendments(&self) -> Option<(Vec<Issuer>, &[Amendment])> {
        let From::Before(amendments, _) = &self.from else { return None };
        let issuers = Issuers::of(self.held.state.rules().law().ok()?.register());
        Some((issuers.names().to_vec(), amendments))
    }

    /// The records that somebody has made milder or harder since what was in force when it was read, by the same rules; none where
    /// nothing was, or the rules are others.
    pub fn turns(&self) -> &[Turn] {
        match &self.from {
            From::Before(_, turns) => turns,
            From::Nothing(_) | From::Settled => &[],
        }
    }

    /// The same without the changes that led here, which take memory.
    #[must_use]
    pub fn settled(self) -> Self {
        self.held.state.settle();
        let from = match self.from {
            From::Before(..) => From::Settled,
            from => from,
        };
        Self { from, ..self }
    }
}

impl Intake {
    /// Nothing is in force yet of this world.
    pub const fn new(world: World) -> Self {
        Self { world, version: (0, 0), rules: None, checked: None, in_force: None }
    }

    /// Whether [reading](Self::read) it takes no more time and memory than has changed since it was last read.
    pub fn is_near(&self, disk: &impl Disk, which: Copy) -> bool {
        self.checked.as_ref().is_some_and(|(held, _)| Kept::is_near(disk, which, held))
    }

    /// What lies on the disk of what was put in force, or is offered. Whoever put it there has met strangers, and every signature is
    /// checked once more. None where there is nothing. It takes as long as there is new in it, where the rules are the same.
    ///
    /// # Errors
    /// When it cannot be read, does not stand, or is older than what is in force.
    pub fn read(&mut self, disk: &impl Disk, which: Copy) -> Result<Option<Fed>, Unkept> {
        let read = |before: Option<&Held>| Kept::of(disk, self.world, which, before);
        let checked = self.checked.as_ref().map(|(held, _)| &**held);
        // Whoever keeps it may have put another in its place in between, or have begun anew.
        let Some(held) = read(checked).or_else(|_| read(None))? else { return Ok(None) };
        let found = (held.session, held.serial);
        if found < self.version && !self.is_operator_replaced(held.state.rules()) {
            return Err(Reject::Rollback { known: self.version.1, found: found.1 }.into());
        }
        let fed = self.after(Arc::new(held))?;
        self.checked = Some((Arc::clone(&fed.held), fed.records));
        Ok(Some(fed))
    }

    /// Whether none of the keys is the operator's any more that signed what is in force.
    fn is_operator_replaced(&self, now: &Rulebook) -> bool {
        let laws = self.rules.as_deref().map(|before| (before.law(), now.law()));
        matches!(laws, Some((Ok(before), Ok(now))) if is_operator_replaced(before, now))
    }

    /// What is held, after what is in force.
    fn after(&self, held: Arc<Held>) -> Result<Fed, Reject> {
        let staged = held.state.rules().staged()?;
        if let Some((before, records)) = &self.in_force
            && let Some(amendments) = before.state.amendments(&held.state)?
        {
            let comes = amendments.iter().filter(|it| it.after.is_some()).count();
            let goes = amendments.iter().filter(|it| it.before.is_some()).count();
            let records = records + comes - goes;
            let turns = before.state.turns(&held.state, &amendments)?;
            return Ok(Fed { held, staged, records, from: From::Before(amendments, turns) });
        }
        let snapshot = held.snapshot()?;
        let records = snapshot.records().len();
        Ok(Fed { held, staged, records, from: From::Nothing(RefCell::new(Some(snapshot))) })
    }

    /// Notes that what has this header is in force.
    pub fn put(&mut self, header: Header) {
        self.version = (header.session, header.serial);
        let checked = self.checked.as_ref().filter(|(held, _)| held.header() == header);
        self.rules = checked.map(|(held, _)| Arc::clone(held.state.rules())).or_else(|| self.rules.take());
        self.in_force = self.checked.clone().filter(|(held, _)| held.header() == header);
    }
}
