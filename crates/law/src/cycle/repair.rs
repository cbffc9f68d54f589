//! Repair: what was wrong is mended, somebody else sees it, and it lasts.
//!
//! Credit comes back in two parts. Once the remedy was seen, the subject's file holds that; once probation has passed without a
//! relapse, and was long enough, it holds a clean record as well. A relapse takes both away.

use credence_credit::{ActId, EvidenceClass, Reason};

use super::{Cycle, Due, Matter, Running, Turn};
use crate::acts::{Act, Claim, Repair};
use crate::catalogue::Direction;
use crate::check::{Acts, Law};
use crate::procedure::days;
use crate::standard::Entry;

/// How far a repair has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The holder says so.
    Announced,
    /// Somebody else has seen it, and it is to last.
    Probation,
    /// It has lasted.
    Restored,
    /// The subject did wrong again.
    Relapsed,
    /// Nobody has seen it in time, or it was taken back.
    Lapsed,
}

/// What can happen to a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A time is over.
    Lapse,
    /// Somebody else has seen it.
    Confirmed,
    /// The subject did wrong again.
    Relapse,
    /// It is taken back.
    Withdrawn,
}

/// The times of a repair, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long it may wait until somebody has seen it.
    pub confirmation: u64,
    /// How long probation lasts at least from then on.
    pub probation: u64,
    /// When the holder says that it ends, in Unix seconds.
    pub until: u64,
}

impl Cycle for State {
    type Event = Event;
    type Terms = Terms;

    const LAPSE: Event = Event::Lapse;
    const TABLE: &'static [(Self, Event, Self)] = &[
        (Self::Announced, Event::Lapse, Self::Lapsed),
        (Self::Announced, Event::Confirmed, Self::Probation),
        (Self::Announced, Event::Relapse, Self::Relapsed),
        (Self::Announced, Event::Withdrawn, Self::Lapsed),
        (Self::Probation, Event::Lapse, Self::Restored),
        (Self::Probation, Event::Relapse, Self::Relapsed),
        (Self::Probation, Event::Withdrawn, Self::Lapsed),
    ];

    fn lapses(self, since: u64, terms: &Terms) -> Option<u64> {
        match self {
            Self::Announced => Some(since.saturating_add(terms.confirmation)),
            // Whoever is seen late is watched as long as anybody.
            Self::Probation => Some(terms.until.max(since.saturating_add(terms.probation))),
            Self::Restored | Self::Relapsed | Self::Lapsed => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Probation => "probation",
            Self::Restored => "restored",
            Self::Relapsed => "relapsed",
            Self::Lapsed => "lapsed",
        }
    }
}

/// How far the repair of this identity has come at `now`, in Unix seconds; none for one that is not known.
///
/// `later` are the acts about addresses of its subject, in their order.
pub fn at(law: &Law, acts: &impl Acts, id: &ActId, later: &[ActId], now: u64) -> Option<Running<State>> {
    let Some(Act::Repair(repair)) = acts.act(id) else { return None };
    let named = acts.citing(id).into_iter().filter_map(|by| {
        let act = acts.act(&by)?;
        let event = match act {
            Act::Confirmation(_) => Event::Confirmed,
            Act::Lifting(_) | Act::Correction(_) => Event::Withdrawn,
            _ => return None,
        };
        Some((act.preamble().issued, event))
    });
    let relapses = later.iter().filter_map(|by| relapse(law, acts, repair, by, now));
    let mut events: Vec<_> = named.chain(relapses.map(|at| (at, Event::Relapse))).collect();
    events.sort_by_key(|(at, _)| *at);
    let begun = Running { state: State::Announced, since: repair.preamble.issued };
    Some(begun.through(events, &terms(law, repair), now))
}

fn terms(law: &Law, repair: &Repair) -> Terms {
    let procedure = law.procedure(repair.preamble.issued);
    Terms {
        confirmation: days(procedure.confirmation),
        probation: days(procedure.probation),
        until: repair.probation_until,
    }
}

/// When an act has told of new wrong by the subject of a repair, if it does: something seen after the repair was announced, and
/// not taken back since.
fn relapse(law: &Law, acts: &impl Acts, repair: &Repair, by: &ActId, now: u64) -> Option<u64> {
    let act = acts.act(by).filter(|act| matches!(act, Act::OwnAlert(_) | Act::Decision(_)))?;
    let claim = act.claim().filter(|claim| tells_against(law, claim))?;
    let stands = super::standing::at(acts, by, now)?.state != super::standing::State::Corrected;
    (stands && claim.repeats.is_none() && claim.seen_until > repair.preamble.issued)
        .then_some(act.preamble().issued)
}

fn tells_against(law: &Law, claim: &Claim) -> bool {
    let item = law.catalogues.get(&claim.catalogue).and_then(|catalogue| catalogue.item(claim.item));
    item.is_some_and(|item| item.direction == Direction::Against)
}

/// What a repair puts into its subject's credit file.
pub(crate) fn entries(law: &Law, acts: &impl Acts, id: &ActId, later: &[ActId], now: u64) -> Vec<Entry> {
    let (Some(running), Some(Act::Repair(repair))) = (at(law, acts, id, later, now), acts.act(id)) else {
        return Vec::new();
    };
    let entry =
        |act, item: Reason, seen| Entry { act, item: item as u16, evidence: EvidenceClass::Confirmed, seen };
    let seen = acts.citing(id).into_iter().find_map(|by| match acts.act(&by)? {
        Act::Confirmation(confirmation) => Some((by, confirmation.preamble.issued)),
        _ => None,
    });
    let confirmed = seen.map(|(by, at)| entry(by, Reason::RemediationConfirmed, at));
    let clean = days(law.procedure(repair.preamble.issued).clean);
    let is_clean = running.since.saturating_sub(repair.preamble.issued) >= clean;
    match running.state {
        State::Probation => confirmed.into_iter().collect(),
        State::Restored => {
            let clean = is_clean.then(|| entry(*id, Reason::CleanRecord, running.since));
            confirmed.into_iter().chain(clean).collect()
        }
        State::Announced | State::Relapsed | State::Lapsed => Vec::new(),
    }
}

/// The clock of a repair that is not over.
pub(crate) fn due(law: &Law, acts: &impl Acts, id: ActId, later: &[ActId], now: u64) -> Option<Due> {
    let Running { state, since } = at(law, acts, &id, later, now)?;
    let Some(Act::Repair(repair)) = acts.act(&id) else { return None };
    let until = state.lapses(since, &terms(law, repair))?;
    let turn = match state {
        State::Announced => Turn::Members,
        _ => Turn::Party(repair.preamble.issuer),
    };
    Some(Due { until, act: id, matter: Matter::Repair, state: state.name(), turn, since })
}
