//! Following a signed feed.
//!
//! A [`Refresh`] asks for one thing after the other and believes none of it before it was checked. What it ends with is a
//! [`Next`], which becomes what is believed when [`Follower::commit`] is told that it was written down; [`Rounds`] see to that, one
//! after the other. None of them waits, reads a clock or draws a number, so that a simulation drives them; [`Client`] is what
//! does.

mod bus;
mod client;
pub mod epoch;
pub mod evidence;
mod intake;
mod journal;
mod keep;
mod mirror;
mod refresh;
mod rounds;
mod timing;
mod tried;
mod trusted;

use std::sync::Arc;

use credence_credit::{Header, Snapshot};
use credence_feed::{Head, Reject, Rulebook, State, Witness};
use credence_law::party::World;
use credence_law::{Object, Signed};

pub use bus::{Bus, BusError, listen_to};
pub use client::{Client, Plan, listen};
pub use intake::{Fed, Intake};
use journal::Came;
use keep::keep_known;
pub use keep::{
    Copy, Disk, Folder, Kept, Unkept, does_wait, keep_rules, keep_state, keep_taken, keep_trusted,
    keep_waiting, kept_rules,
};
pub use mirror::Mirror;
pub use refresh::{Answer, Ask, Done, Next, Refresh};
pub use rounds::{Asked, Doubt, Moment, Offer, Round, Rounds, Told};
pub use timing::{Timing, Timings};
pub use trusted::Trusted;

/// What the operator has chosen to trust.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The world, which is the hash of its first root.
    pub world: World,
    /// The log's name, as its checkpoints state it.
    pub origin: String,
    /// Whose word on the public log is asked for.
    pub witnesses: Vec<Witness>,
    /// How many of them must have seen it.
    pub witness_quorum: usize,
    /// Whether a world that was made to try things out is followed at all.
    pub allow_example: bool,
}

/// What is believed of a feed.
#[derive(Debug)]
pub struct Follower {
    pinned: Pinned,
    trusted: Trusted,
    /// The head that is trusted, as it was signed: it may once be evidence.
    head: Option<Signed>,
    /// Whether that head's signatures were checked here, and not in the life of a process before.
    is_head_checked: bool,
    rules: Option<Arc<Rulebook>>,
    held: Option<Held>,
}

/// What is in force, and of which version that is: it may be an older one than is trusted, when the process ended between the two.
#[derive(Clone, Debug)]
pub struct Held {
    /// The run of serials.
    pub session: u64,
    /// The version.
    pub serial: u64,
    /// What is in force.
    pub state: State,
    /// The files that it was had by.
    came: Arc<Came>,
}

impl Held {
    /// The records in force, as a snapshot.
    ///
    /// # Errors
    /// When they break a rule of snapshots.
    pub fn snapshot(&self) -> Result<Snapshot, Reject> {
        self.state.snapshot(self.header())
    }

    /// Which version it is.
    pub const fn header(&self) -> Header {
        Header { session: self.session, serial: self.serial, created: self.state.at() }
    }
}

impl Follower {
    /// Begins with what was kept, or with nothing.
    pub fn new(pinned: Pinned, kept: Kept) -> Self {
        let Kept { trusted, head, rules, held } = kept;
        Self { pinned, trusted, head, is_head_checked: false, rules, held }
    }

    /// What the operator has chosen to trust.
    pub const fn pinned(&self) -> &Pinned {
        &self.pinned
    }

    /// What is never to be older again.
    pub const fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// What is in force, once there is something.
    pub const fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The time that has surely come by a clock that says `now`, in Unix seconds: a clock that was set back changes nothing.
    pub fn now(&self, now: u64) -> u64 {
        now.max(self.trusted.issued)
    }

    /// Begins to ask for what is new.
    pub fn refresh(&self, now: u64) -> Refresh<'_> {
        Refresh::new(self, self.now(now))
    }

    /// Takes rules for known that came into force. They are written down first.
    pub fn adopt(&mut self, rules: Arc<Rulebook>) {
        self.rules = Some(rules);
    }

    /// Reads a head whose signatures were checked here before, if it is that one to the last byte: it was believed by the very rules
    /// that it names. By others its signatures may count for nothing.
    fn believed(&self, signed: &Signed, rules: &Rulebook) -> Option<Head> {
        self.head.as_ref().filter(|known| self.is_head_checked && *known == signed)?;
        let head = Object::<Head>::decode(signed.bytes()).ok()?.body;
        (head.rules == rules.len() && head.rules_digest == rules.digest()).then_some(head)
    }

    /// How many rules there are at least: none that came into force is ever forgotten.
    pub(crate) fn rules_least(&self) -> u32 {
        self.trusted.rules.max(self.rules.as_ref().map_or(0, |rules| rules.len()))
    }

    /// Believes what a refresh has ended with. It is written down first.
    pub fn commit(&mut self, next: Next) {
        let Next { trusted, head, state, came } = next;
        let new = state.map(|state| (state, Arc::new(came)));
        let held = new.or_else(|| self.held.take().map(|held| (held.state, held.came)));
        let (session, serial) = trusted.version();
        self.held = held.map(|(state, came)| Held { session, serial, state, came });
        // Nobody here asks again what was changed.
        self.held.iter().for_each(|held| held.state.settle());
        (self.trusted, self.head, self.is_head_checked) = (trusted, Some(head), true);
    }

    /// The records in force, as a snapshot.
    ///
    /// # Errors
    /// When they break a rule of snapshots.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, Reject> {
        self.held.as_ref().map(Held::snapshot).transpose()
    }
}
