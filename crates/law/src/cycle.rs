//! The lives of acts: what becomes of them by other acts, and by time.
//!
//! Each kind of life is a table of states and events in a file of its own: [`standing`] of what is in force, [`report`],
//! [`proposal`], [`draft`], [`complaint`], [`repair`], [`call`]. A state is never stored. It follows from the acts that name the
//! one in question, in their order, and from the moment that is asked for, so that the same acts give the same state wherever
//! they are read, and what is forgotten leaves no trace.

pub mod call;
pub mod complaint;
pub mod draft;
pub mod proposal;
pub mod repair;
pub mod report;
pub mod standing;

use credence_credit::ActId;

use crate::party::Party;

/// A kind of life.
pub trait Cycle: Copy + PartialEq + 'static {
    /// What can happen in it.
    type Event: Copy + PartialEq + 'static;
    /// The times that its states have.
    type Terms;

    /// From which state which event leads where. What is not in it changes nothing.
    const TABLE: &'static [(Self, Self::Event, Self)];
    /// That the time of a state has run out.
    const LAPSE: Self::Event;

    /// Until when a state that was reached at `since` lasts by itself, in Unix seconds; none for one that time does not change.
    fn lapses(self, since: u64, terms: &Self::Terms) -> Option<u64>;

    /// The word in machine-readable output, a contract.
    fn name(self) -> &'static str;

    /// Where an event leads from here; none where it changes nothing.
    fn after(self, event: Self::Event) -> Option<Self> {
        let row = Self::TABLE.iter().find(|(from, meets, _)| *from == self && *meets == event);
        row.map(|(_, _, to)| *to)
    }
}

/// A state, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running<S> {
    /// The state.
    pub state: S,
    /// Since when, in Unix seconds.
    pub since: u64,
}

impl<S: Cycle> Running<S> {
    /// What it has come to at `now` (Unix seconds) if nothing happens but time. A state of no length ends at once, and a table
    /// without a way back ends after as many steps as it has rows.
    pub fn at(mut self, terms: &S::Terms, now: u64) -> Self {
        for _ in 0..S::TABLE.len() {
            let lapsed = self.state.lapses(self.since, terms).filter(|until| *until <= now);
            let Some((until, state)) = lapsed.zip(self.state.after(S::LAPSE)) else { break };
            self = Self { state, since: until };
        }
        self
    }

    /// What it has come to when this has happened as well.
    #[must_use]
    pub fn meet(self, event: S::Event, terms: &S::Terms, at: u64) -> Self {
        let before = self.at(terms, at);
        before.state.after(event).map_or(before, |state| Self { state, since: at })
    }

    /// What all of `events` have come to at `now`, in their order. What is dated later than `now` has not happened.
    pub fn through(
        self,
        events: impl IntoIterator<Item = (u64, S::Event)>,
        terms: &S::Terms,
        now: u64,
    ) -> Self {
        let past = events.into_iter().filter(|(at, _)| *at <= now);
        past.fold(self, |running, (at, event)| running.meet(event, terms, at)).at(terms, now)
    }
}

/// Who is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    /// One party.
    Party(Party),
    /// As many advisers as an opinion takes.
    Advisers,
    /// Every member.
    Members,
}

/// What runs a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matter {
    /// A report is to be decided.
    Report,
    /// A proposal is voted on.
    Proposal,
    /// A draft is commented on, or to be adopted.
    Draft,
    /// A complaint is heard.
    Complaint,
    /// A repair is to be seen, or lasts.
    Repair,
    /// A call for help is to be answered.
    Call,
    /// An act ends soon.
    Renewal,
}

impl Matter {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Report, Self::Proposal, Self::Draft, Self::Complaint, Self::Repair, Self::Call, Self::Renewal];

    /// The word in machine-readable output, a contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Proposal => "proposal",
            Self::Draft => "draft",
            Self::Complaint => "complaint",
            Self::Repair => "repair",
            Self::Call => "call",
            Self::Renewal => "renewal",
        }
    }
}

/// A clock that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Until when, in Unix seconds.
    pub until: u64,
    /// The act that it is about.
    pub act: ActId,
    /// What it is about.
    pub matter: Matter,
    /// The word for how far it has come.
    pub state: &'static str,
    /// Who is waited for.
    pub turn: Turn,
    /// Since when, in Unix seconds.
    pub since: u64,
}

impl Due {
    /// Whether the time has passed at `now`, in Unix seconds.
    pub const fn is_overdue(&self, now: u64) -> bool {
        self.until <= now
    }
}

#[cfg(test)]
mod tests;
