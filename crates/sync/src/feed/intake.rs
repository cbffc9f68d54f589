//! The gateway's end of a feed: what lies on the disk is checked once more before it is put in force.

use credence_credit::{Header, Snapshot};
use credence_feed::Reject;
use credence_law::party::World;
use credence_prefix::Prefix;

use super::{Copy, Disk, Held, Kept, Unkept};

/// What of a feed is in force here.
#[derive(Debug)]
pub struct Intake {
    world: World,
    /// The version in force: nothing older is ever taken.
    version: (u64, u64),
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
        Self { world, version: (0, 0), checked: None }
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
        if found < self.version {
            return Err(Reject::Rollback { known: self.version.1, found: found.1 }.into());
        }
        let fed = Fed { snapshot: held.snapshot()?, staged: held.state.rules().staged()? };
        self.checked = Some(held);
        Ok(Some(fed))
    }

    /// Notes that a snapshot with this header is in force.
    pub const fn put(&mut self, header: Header) {
        self.version = (header.session, header.serial);
    }
}
