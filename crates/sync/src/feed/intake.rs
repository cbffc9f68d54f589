//! The gateway's end of a feed: what lies on the disk is checked once more before it is put in force.

use std::sync::Arc;

use credence_credit::{Header, Snapshot};
use credence_feed::{Reject, Rulebook, is_operator_replaced};
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
    /// What was checked last: what stays the same is not checked again.
    checked: Option<Held>,
}

/// What a feed says.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Its records.
    pub snapshot: Snapshot,
    /// What members of an example world hold: addresses for examples, which its records may name.
    pub staged: Vec<Prefix>,
}

impl Intake {
    /// Nothing is in force yet of this world.
    pub const fn new(world: World) -> Self {
        Self { world, version: (0, 0), rules: None, checked: None }
    }

    /// What lies on the disk of what was put in force, or is offered. Whoever put it there has met strangers, and every signature is
    /// checked once more. None where there is nothing.
    ///
    /// # Errors
    /// When it cannot be read, does not stand, or is older than what is in force.
    pub fn read(&mut self, disk: &impl Disk, which: Copy) -> Result<Option<Fed>, Unkept> {
        let read = |before: Option<&Held>| Kept::of(disk, self.world, which, before);
        // Whoever keeps it may have put another in its place in between, or have begun anew.
        let Some(held) = read(self.checked.as_ref()).or_else(|_| read(None))? else { return Ok(None) };
        let found = (held.session, held.serial);
        if found < self.version && !self.is_operator_replaced(held.state.rules()) {
            return Err(Reject::Rollback { known: self.version.1, found: found.1 }.into());
        }
        let fed = Fed { snapshot: held.snapshot()?, staged: held.state.rules().staged()? };
        self.checked = Some(held);
        Ok(Some(fed))
    }

    /// Whether none of the keys is the operator's any more that signed what is in force.
    fn is_operator_replaced(&self, now: &Rulebook) -> bool {
        let laws = self.rules.as_deref().map(|before| (before.law(), now.law()));
        matches!(laws, Some((Ok(before), Ok(now))) if is_operator_replaced(before, now))
    }

    /// Notes that a snapshot with this header is in force.
    pub fn put(&mut self, header: Header) {
        self.version = (header.session, header.serial);
        let checked = self.checked.as_ref().filter(|held| (held.session, held.serial) == self.version);
        self.rules = checked.map(|held| Arc::clone(held.state.rules())).or_else(|| self.rules.take());
    }
}
