//! A report on another member's subject: an opinion, a decision, or nothing.

use credence_credit::ActId;

use super::{Cycle, Due, Matter, Running, Turn};
use crate::acts::Act;
use crate::check::{Acts, EVIDENCE_DAYS_MAX, Law};
use crate::party::Party;
use crate::procedure::days;

/// How far a report has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Advisers have not spoken.
    Reported,
    /// They have.
    Opined,
    /// A decision rests on it.
    Decided,
    /// It is too old for one.
    Lapsed,
}

/// What can happen to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has become too old.
    Lapse,
    /// Advisers speak.
    Opinion,
    /// The coordinating body decides.
    Decision,
    /// It was wrong, or is taken back.
    Withdrawn,
}

impl Cycle for State {
    type Event = Event;
    /// When it becomes too old, in Unix seconds.
    type Terms = u64;

    const LAPSE: Event = Event::Lapse;
    const TABLE: &'static [(Self, Event, Self)] = &[
        (Self::Reported, Event::Lapse, Self::Lapsed),
        (Self::Reported, Event::Opinion, Self::Opined),
        (Self::Reported, Event::Withdrawn, Self::Lapsed),
        (Self::Opined, Event::Lapse, Self::Lapsed),
        (Self::Opined, Event::Decision, Self::Decided),
        (Self::Opined, Event::Withdrawn, Self::Lapsed),
    ];

    fn lapses(self, _since: u64, too_old: &u64) -> Option<u64> {
        matches!(self, Self::Reported | Self::Opined).then_some(*too_old)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Opined => "opined",
            Self::Decided => "decided",
            Self::Lapsed => "lapsed",
        }
    }
}

/// How far the report of this identity has come at `now`, in Unix seconds; none for one that is not known.
pub fn at(acts: &impl Acts, id: &ActId, now: u64) -> Option<Running<State>> {
    let Some(Act::Report(report)) = acts.act(id) else { return None };
    let issued = report.preamble.issued;
    let events = acts.citing(id).into_iter().filter_map(|by| {
        let act = acts.act(&by)?;
        let event = match act {
            Act::Opinion(_) => Event::Opinion,
            Act::Decision(_) => Event::Decision,
            Act::Correction(_) | Act::Lifting(_) => Event::Withdrawn,
            _ => return None,
        };
        Some((act.preamble().issued, event))
    });
    let begun = Running { state: State::Reported, since: issued };
    Some(begun.through(events, &too_old(issued), now))
}

/// From when on no decision can rest on a report.
const fn too_old(issued: u64) -> u64 {
    issued.saturating_add(EVIDENCE_DAYS_MAX * 86_400)
}

/// The clock of a report that nobody has decided on.
pub(crate) fn due(law: &Law, acts: &impl Acts, id: ActId, now: u64) -> Option<Due> {
    let Running { state, since } = at(acts, &id, now)?;
    let procedure = law.procedure(acts.act(&id)?.preamble().issued);
    let (turn, time) = match state {
        State::Reported => (Turn::Advisers, procedure.opinion),
        State::Opined => (Turn::Party(Party::Body), procedure.decision),
        State::Decided | State::Lapsed => return None,
    };
    let until = since.saturating_add(days(time));
    Some(Due { until, act: id, matter: Matter::Report, state: state.name(), turn, since })
}
