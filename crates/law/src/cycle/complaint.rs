//! A complaint: consultation, mediation, adjudication, and its end.
//!
//! Nobody can let a complaint lie. When the time for talking has passed it goes on by itself, and when the coordinating body
//! is late, that is shown and counted while its subject stays relieved.

use credence_credit::ActId;

use super::{Cycle, Due, Matter, Running, Turn};
use crate::acts::{Act, Outcome, Ruling, Stage};
use crate::check::{Acts, Law};
use crate::party::Party;
use crate::procedure::{Procedure, days};

/// How far a complaint has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Issuer and subject talk.
    Consultation,
    /// Advisers help them.
    Mediation,
    /// The coordinating body is to rule.
    Adjudication,
    /// The subject was right.
    Upheld,
    /// It was right in part.
    Settled,
    /// It was not.
    Rejected,
    /// Whoever complained does so no more.
    Withdrawn,
}

/// What can happen to a complaint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time of a stage is over.
    Lapse,
    /// It goes on to a stage.
    To(Stage),
    /// It ends so.
    Ends(Ruling),
    /// It is taken back.
    Withdrawn,
}

impl Cycle for State {
    type Event = Event;
    type Terms = Procedure;

    const LAPSE: Event = Event::Lapse;
    /// Only who hears both sides can reject a complaint.
    const TABLE: &'static [(Self, Event, Self)] = &[
        (Self::Consultation, Event::Lapse, Self::Mediation),
        (Self::Consultation, Event::To(Stage::Mediation), Self::Mediation),
        (Self::Consultation, Event::To(Stage::Adjudication), Self::Adjudication),
        (Self::Consultation, Event::Ends(Ruling::Upheld), Self::Upheld),
        (Self::Consultation, Event::Ends(Ruling::Settled), Self::Settled),
        (Self::Consultation, Event::Withdrawn, Self::Withdrawn),
        (Self::Mediation, Event::Lapse, Self::Adjudication),
        (Self::Mediation, Event::To(Stage::Adjudication), Self::Adjudication),
        (Self::Mediation, Event::Ends(Ruling::Upheld), Self::Upheld),
        (Self::Mediation, Event::Ends(Ruling::Settled), Self::Settled),
        (Self::Mediation, Event::Withdrawn, Self::Withdrawn),
        (Self::Adjudication, Event::Ends(Ruling::Upheld), Self::Upheld),
        (Self::Adjudication, Event::Ends(Ruling::Settled), Self::Settled),
        (Self::Adjudication, Event::Ends(Ruling::Rejected), Self::Rejected),
        (Self::Adjudication, Event::Withdrawn, Self::Withdrawn),
    ];

    fn lapses(self, since: u64, procedure: &Procedure) -> Option<u64> {
        let stage = match self {
            Self::Consultation => procedure.consultation,
            Self::Mediation => procedure.mediation,
            _ => return None,
        };
        Some(since.saturating_add(days(stage)))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Consultation => "consultation",
            Self::Mediation => "mediation",
            Self::Adjudication => "adjudication",
            Self::Upheld => "upheld",
            Self::Settled => "settled",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl State {
    /// Whether somebody is to do something about it.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Consultation | Self::Mediation | Self::Adjudication)
    }
}

/// How far the complaint of this identity has come at `now`, in Unix seconds; none for one that is not known.
pub fn at(law: &Law, acts: &impl Acts, id: &ActId, now: u64) -> Option<Running<State>> {
    let Some(Act::Complaint(complaint)) = acts.act(id) else { return None };
    let filed = complaint.preamble.issued;
    let begun = Running { state: State::Consultation, since: filed };
    // What its issuer or the body takes back is settled, whoever is still to speak.
    let corrected = acts.citing(&complaint.against).into_iter().filter_map(|by| match acts.act(&by)? {
        Act::Correction(act) if act.corrects == complaint.against && act.preamble.issued >= filed => {
            Some((act.preamble.issued, Event::Ends(Ruling::Upheld)))
        }
        _ => None,
    });
    let mut events: Vec<_> =
        acts.citing(id).iter().filter_map(|by| happened(acts.act(by)?)).flatten().collect();
    events.extend(corrected);
    events.sort_by_key(|(at, _)| *at);
    Some(begun.through(events, law.procedure(filed), now))
}

/// What an act that names a complaint does to it.
fn happened(act: &Act) -> Option<Vec<(u64, Event)>> {
    let at = act.preamble().issued;
    match act {
        Act::Outcome(outcome) => Some(events(outcome).into_iter().map(|event| (at, event)).collect()),
        Act::Lifting(_) => Some(vec![(at, Event::Withdrawn)]),
        _ => None,
    }
}

/// What an outcome says: that the complaint has come to a stage, and perhaps how it ended there.
fn events(outcome: &Outcome) -> Vec<Event> {
    let ends = outcome.ruling.map(Event::Ends);
    [Event::To(outcome.stage)].into_iter().chain(ends).collect()
}

/// Whether an outcome can follow where a complaint stands: it goes on or ends there, and never back.
pub(crate) fn can_follow(state: State, outcome: &Outcome) -> bool {
    let stage = match state {
        State::Consultation => Stage::Consultation,
        State::Mediation => Stage::Mediation,
        State::Adjudication => Stage::Adjudication,
        _ => return false,
    };
    match outcome.ruling {
        None => outcome.stage > stage,
        // Nobody is turned away before it was said that this is being decided.
        Some(Ruling::Rejected) => stage == Stage::Adjudication && outcome.stage == stage,
        Some(_) => outcome.stage >= stage,
    }
}

/// The clock of a complaint that is heard.
pub(crate) fn due(law: &Law, acts: &impl Acts, id: ActId, now: u64) -> Option<Due> {
    let Running { state, since } = at(law, acts, &id, now).filter(|running| running.state.is_open())?;
    let Some(Act::Complaint(complaint)) = acts.act(&id) else { return None };
    let procedure = law.procedure(complaint.preamble.issued);
    let (turn, time) = match state {
        State::Consultation => (Turn::Party(acts.act(&complaint.against)?.issuer()), procedure.consultation),
        State::Mediation => (Turn::Advisers, procedure.mediation),
        _ => (Turn::Party(Party::Body), procedure.adjudication),
    };
    let until = since.saturating_add(days(time));
    Some(Due { until, act: id, matter: Matter::Complaint, state: state.name(), turn, since })
}
