//! A proposal to restrict: votes until the published deadline, and what they come to.

use credence_credit::ActId;

use super::{Cycle, Due, Matter, Running, Turn};
use crate::acts::{Act, Ballot, Proposal};
use crate::check::{Acts, Law, MEMBERS_YES};

/// How far a proposal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Members vote.
    Voting,
    /// Nobody is against it, and enough are for it.
    Agreed,
    /// It has come to nothing.
    Failed,
}

/// What can happen to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time for votes is over, and too few are for it.
    Lapse,
    /// A member is against it.
    Against,
    /// All have voted, or the time is over, and enough are for it.
    Enough,
    /// All have voted, and too few are for it.
    TooFew,
}

impl Cycle for State {
    type Event = Event;
    /// When voting ends, in Unix seconds.
    type Terms = u64;

    const LAPSE: Event = Event::Lapse;
    const TABLE: &'static [(Self, Event, Self)] = &[
        (Self::Voting, Event::Lapse, Self::Failed),
        (Self::Voting, Event::Against, Self::Failed),
        (Self::Voting, Event::Enough, Self::Agreed),
        (Self::Voting, Event::TooFew, Self::Failed),
    ];

    fn lapses(self, _since: u64, closes: &u64) -> Option<u64> {
        // What is decided at the very end is decided before time says that it is not.
        matches!(self, Self::Voting).then(|| closes.saturating_add(1))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Voting => "voting",
            Self::Agreed => "agreed",
            Self::Failed => "failed",
        }
    }
}

/// How far the proposal of this identity has come at `now`, in Unix seconds; none for one that is not known.
///
/// Who votes is who is a member under the registry in force, with a key that it does not revoke. A vote after the deadline, or a
/// member's second, never entered: it was refused.
pub fn at(law: &Law, acts: &impl Acts, id: &ActId, now: u64) -> Option<Running<State>> {
    let Some(Act::Proposal(proposal)) = acts.act(id) else { return None };
    let begun = Running { state: State::Voting, since: proposal.preamble.issued };
    Some(begun.through(events(law, acts, id, proposal), &proposal.closes, now))
}

fn events(law: &Law, acts: &impl Acts, id: &ActId, proposal: &Proposal) -> Vec<(u64, Event)> {
    let members = law.register().registry().members.len();
    let citing = acts.citing(id);
    let votes: Vec<_> = citing
        .iter()
        .filter_map(|by| law.counted(by, acts))
        .map(|vote| (vote.preamble.issued, vote.ballot))
        .collect();
    let against: Vec<_> = votes.iter().filter(|(_, ballot)| *ballot == Ballot::No).collect();
    if !against.is_empty() {
        // However the others are dated: whoever votes last could say that it was before the one who is against it.
        return against.into_iter().map(|(at, _)| (*at, Event::Against)).collect();
    }
    let yes = votes.iter().filter(|(_, ballot)| *ballot == Ballot::Yes).count();
    let mut events = Vec::new();
    if let Some((at, _)) = members.checked_sub(1).and_then(|last| votes.get(last)) {
        events.push((*at, if is_enough(yes, members) { Event::Enough } else { Event::TooFew }));
    }
    if is_enough(yes, members) {
        events.push((proposal.closes, Event::Enough));
    }
    events
}

const fn is_enough(yes: usize, members: usize) -> bool {
    yes * MEMBERS_YES.1 >= members * MEMBERS_YES.0
}

/// The clock of a proposal that is voted on.
pub(crate) fn due(law: &Law, acts: &impl Acts, id: ActId, now: u64) -> Option<Due> {
    let Running { state, since } =
        at(law, acts, &id, now).filter(|running| running.state == State::Voting)?;
    let Some(Act::Proposal(proposal)) = acts.act(&id) else { return None };
    let until = proposal.closes;
    Some(Due { until, act: id, matter: Matter::Proposal, state: state.name(), turn: Turn::Members, since })
}
