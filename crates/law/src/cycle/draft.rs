//! A rule on its way: comment, then adoption.

use credence_credit::ActId;

use super::{Cycle, Due, Matter, Running, Turn};
use crate::acts::{Act, Draft};
use crate::check::{Acts, Law};
use crate::party::act_id;

/// How far a draft has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Members comment.
    Comment,
    /// They may adopt it.
    Ready,
    /// It is in force, or was.
    Adopted,
    /// Nobody has adopted it in time.
    Lapsed,
}

/// What can happen to a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A time is over.
    Lapse,
    /// Enough members have signed it.
    Adopted,
    /// Whoever proposed it does so no more.
    Withdrawn,
}

/// The times of a draft, in Unix seconds.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When comment ends.
    pub closes: u64,
    /// Until when it can be adopted.
    pub expires: u64,
}

impl Cycle for State {
    type Event = Event;
    type Terms = Terms;

    const LAPSE: Event = Event::Lapse;
    const TABLE: &'static [(Self, Event, Self)] = &[
        (Self::Comment, Event::Lapse, Self::Ready),
        (Self::Comment, Event::Withdrawn, Self::Lapsed),
        (Self::Ready, Event::Lapse, Self::Lapsed),
        (Self::Ready, Event::Adopted, Self::Adopted),
        (Self::Ready, Event::Withdrawn, Self::Lapsed),
    ];

    fn lapses(self, _since: u64, terms: &Terms) -> Option<u64> {
        match self {
            Self::Comment => Some(terms.closes),
            Self::Ready => Some(terms.expires),
            Self::Adopted | Self::Lapsed => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Ready => "ready",
            Self::Adopted => "adopted",
            Self::Lapsed => "lapsed",
        }
    }
}

/// How far the draft of this identity has come at `now`, in Unix seconds; none for one that is not known.
pub fn at(law: &Law, acts: &impl Acts, id: &ActId, now: u64) -> Option<Running<State>> {
    let Some(Act::Draft(draft)) = acts.act(id) else { return None };
    let withdrawn = acts.citing(id).into_iter().filter_map(|by| match acts.act(&by)? {
        Act::Lifting(lifting) => Some((lifting.preamble.issued, Event::Withdrawn)),
        _ => None,
    });
    let adopted = law.adopted.get(&act_id(&draft.rules)).map(|at| (*at, Event::Adopted));
    let mut events: Vec<_> = withdrawn.chain(adopted).collect();
    events.sort_by_key(|(at, _)| *at);
    let begun = Running { state: State::Comment, since: draft.preamble.issued };
    Some(begun.through(events, &terms(draft), now))
}

const fn terms(draft: &Draft) -> Terms {
    Terms { closes: draft.closes, expires: draft.preamble.expires }
}

/// The clock of a draft that is not in force.
pub(crate) fn due(law: &Law, acts: &impl Acts, id: ActId, now: u64) -> Option<Due> {
    let Running { state, since } = at(law, acts, &id, now)?;
    let Some(Act::Draft(draft)) = acts.act(&id) else { return None };
    let until = state.lapses(since, &terms(draft))?;
    Some(Due { until, act: id, matter: Matter::Draft, state: state.name(), turn: Turn::Members, since })
}
