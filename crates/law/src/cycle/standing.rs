//! How an act stands: in force, milder, over, or taken back.

use credence_credit::{ActId, Measure};

use super::{Cycle, Running};
use crate::acts::{Act, Ruling};
use crate::check::Acts;

/// How an act stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// In force as it was made.
    InForce,
    /// In force, and milder.
    Relieved,
    /// Over before its time.
    Lifted,
    /// Taken back.
    Corrected,
    /// Over.
    Expired,
}

/// What can happen to an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its time is over.
    Lapse,
    /// A complaint about it is heard, or was settled: it cuts nobody off.
    Relieve,
    /// The complaint was rejected, or withdrawn.
    Restore,
    /// It ends.
    Lift,
    /// It was wrong, and counts no more, now or for the past.
    Correct,
}

impl Cycle for State {
    type Event = Event;
    /// When the act ends, in Unix seconds.
    type Terms = u64;

    const LAPSE: Event = Event::Lapse;
    const TABLE: &'static [(Self, Event, Self)] = &[
        (Self::InForce, Event::Lapse, Self::Expired),
        (Self::InForce, Event::Relieve, Self::Relieved),
        (Self::InForce, Event::Lift, Self::Lifted),
        (Self::InForce, Event::Correct, Self::Corrected),
        (Self::Relieved, Event::Lapse, Self::Expired),
        (Self::Relieved, Event::Restore, Self::InForce),
        (Self::Relieved, Event::Lift, Self::Lifted),
        (Self::Relieved, Event::Correct, Self::Corrected),
        (Self::Lifted, Event::Correct, Self::Corrected),
        (Self::Expired, Event::Correct, Self::Corrected),
    ];

    fn lapses(self, _since: u64, expires: &u64) -> Option<u64> {
        matches!(self, Self::InForce | Self::Relieved).then_some(*expires)
    }

    fn name(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Relieved => "relieved",
            Self::Lifted => "lifted",
            Self::Corrected => "corrected",
            Self::Expired => "expired",
        }
    }
}

impl State {
    /// Whether anything follows from the act.
    pub const fn is_in_force(self) -> bool {
        matches!(self, Self::InForce | Self::Relieved)
    }
}

/// How the act of this identity stands at `now`, in Unix seconds; none for one that is not known.
pub fn at(acts: &impl Acts, id: &ActId, now: u64) -> Option<Running<State>> {
    let preamble = acts.act(id)?.preamble();
    let begun = Running { state: State::InForce, since: preamble.issued };
    let citing = acts.citing(id);
    let relieving = relieving(acts, id, &citing);
    let events = citing.iter().filter_map(|citing| {
        let act = acts.act(citing)?;
        Some((act.preamble().issued, event(acts, id, act, citing, relieving.as_ref())?))
    });
    Some(begun.through(events, &preamble.expires, now))
}

/// The complaint that makes an act milder while it is heard, by the standing rule: the first about an act that cuts somebody
/// off. Later ones are heard without that. Where complaints cannot be read, the relief that was published names it.
pub(crate) fn relieving(acts: &impl Acts, id: &ActId, citing: &[ActId]) -> Option<ActId> {
    let cuts_off = acts.act(id)?.measure() == Some(Measure::Drop);
    let first = |citing: &ActId| match acts.act(citing)? {
        Act::Complaint(_) => Some(*citing),
        Act::Relief(relief) if relief.act == *id => Some(relief.complaint),
        _ => None,
    };
    citing.iter().filter(|_| cuts_off).find_map(first)
}

/// What an act that names this one does to it.
fn event(acts: &impl Acts, id: &ActId, act: &Act, at: &ActId, relieving: Option<&ActId>) -> Option<Event> {
    match act {
        Act::Correction(correction) if correction.corrects == *id => Some(Event::Correct),
        Act::Lifting(_) => Some(Event::Lift),
        Act::Complaint(_) => (relieving == Some(at) && !is_withdrawn(acts, at)).then_some(Event::Relieve),
        Act::Relief(relief) => {
            (relief.act == *id && relieving == Some(&relief.complaint)).then_some(Event::Relieve)
        }
        Act::Outcome(outcome) if outcome.act == *id => match outcome.ruling? {
            Ruling::Upheld => Some(Event::Correct),
            Ruling::Settled => Some(Event::Relieve),
            Ruling::Rejected => (relieving == Some(&outcome.complaint)).then_some(Event::Restore),
        },
        _ => None,
    }
}

fn is_withdrawn(acts: &impl Acts, complaint: &ActId) -> bool {
    acts.citing(complaint).iter().any(|id| matches!(acts.act(id), Some(Act::Lifting(_))))
}
