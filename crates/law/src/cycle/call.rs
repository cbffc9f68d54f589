//! A call for help in an emergency, and the answers to it.

use credence_credit::ActId;

use super::{Cycle, Due, Matter, Running, Turn};
use crate::acts::Act;
use crate::check::{Acts, Law};
use crate::procedure::hours;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has answered.
    Calling,
    /// Somebody has.
    Answered,
    /// The emergency is over, or its time is.
    Over,
}

/// What can happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its time is over.
    Lapse,
    /// A member answers.
    Answered,
    /// Whoever called needs no more help.
    Ended,
}

impl Cycle for State {
    type Event = Event;
    /// When the call ends, in Unix seconds.
    type Terms = u64;

    const LAPSE: Event = Event::Lapse;
    const TABLE: &'static [(Self, Event, Self)] = &[
        (Self::Calling, Event::Lapse, Self::Over),
        (Self::Calling, Event::Answered, Self::Answered),
        (Self::Calling, Event::Ended, Self::Over),
        (Self::Answered, Event::Lapse, Self::Over),
        (Self::Answered, Event::Ended, Self::Over),
    ];

    fn lapses(self, _since: u64, expires: &u64) -> Option<u64> {
        (self != Self::Over).then_some(*expires)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Answered => "answered",
            Self::Over => "over",
        }
    }
}

/// How far the call of this identity has come at `now`, in Unix seconds; none for one that is not known.
pub fn at(acts: &impl Acts, id: &ActId, now: u64) -> Option<Running<State>> {
    let Some(Act::Call(call)) = acts.act(id) else { return None };
    let events = acts.citing(id).into_iter().filter_map(|by| {
        let act = acts.act(&by)?;
        let event = match act {
            Act::Answer(_) => Event::Answered,
            Act::Lifting(_) | Act::Correction(_) => Event::Ended,
            _ => return None,
        };
        Some((act.preamble().issued, event))
    });
    let begun = Running { state: State::Calling, since: call.preamble.issued };
    Some(begun.through(events, &call.preamble.expires, now))
}

/// The clock of a call that nobody has answered.
pub(crate) fn due(law: &Law, acts: &impl Acts, id: ActId, now: u64) -> Option<Due> {
    let Running { state, since } = at(acts, &id, now).filter(|running| running.state == State::Calling)?;
    let time = hours(law.procedure(since).answer_hours);
    let until = since.saturating_add(time);
    Some(Due { until, act: id, matter: Matter::Call, state: state.name(), turn: Turn::Members, since })
}
