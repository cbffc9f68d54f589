//! What waits for somebody, and until when.

use std::collections::HashMap;

use credence_credit::ActId;
use credence_law::party::Function;
use credence_law::{Act, Acts, Due, Matter, Turn};
use credence_prefix::Prefix;

use super::form::LIST_MAX;
use crate::desk::Desk;
use crate::portal::session::Session;
use crate::words::{self, Moment};

/// Something that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) act: String,
    pub(super) what: &'static str,
    pub(super) subject: Option<String>,
    /// How far it has come.
    pub(super) state: String,
    pub(super) until: Moment,
    pub(super) left: String,
    pub(super) is_overdue: bool,
    /// Where to go on, and what that is called.
    pub(super) next: Option<(String, &'static str)>,
}

/// What waits for whoever is signed in, what is due first standing first. None while the world has no rules.
pub(super) fn inbox(desk: &Desk, session: &Session, now: u64) -> Option<Vec<Waiting>> {
    let due = desk.book().due(desk.law().ok()?, now);
    let due: Vec<_> = due.iter().filter(|due| is_theirs(due.turn, session)).collect();
    let reports = by_subject(desk, &due);
    Some(due.into_iter().map(|due| waiting(desk, due, session, &reports, now)).collect())
}

/// Whether they are waited for. A seat is asked as the body, and with another key as its member.
fn is_theirs(turn: Turn, session: &Session) -> bool {
    match turn {
        Turn::Party(party) => party == session.issuer(),
        Turn::Advisers => session.function == Function::Advice,
        Turn::Members => session.function == Function::Votes,
    }
}

/// Reports that wait for the same, by their subjects: the first of each, as many as fit into a form.
fn by_subject(desk: &Desk, due: &[&Due]) -> HashMap<Prefix, Vec<ActId>> {
    let mut reports = HashMap::<_, Vec<_>>::new();
    for due in due.iter().filter(|due| due.matter == Matter::Report) {
        if let Some(subject) = desk.book().act(&due.act).and_then(Act::subject) {
            let others = reports.entry(subject.prefix).or_default();
            if others.len() < LIST_MAX {
                others.push(due.act);
            }
        }
    }
    reports
}

/// What stands in the fields of a form about a report: those of the others on its subject that an opinion on it speaks of as well,
/// and that opinion; or all, where there is none yet.
fn fields(desk: &Desk, id: ActId, others: &[ActId]) -> String {
    let opinions = desk.book().citing(&id).into_iter().rev();
    let opinion = opinions.into_iter().find_map(|id| match desk.book().act(&id)? {
        Act::Opinion(opinion) => Some((id, &opinion.reports)),
        _ => None,
    });
    let is_meant = |other: &&ActId| opinion.is_none_or(|(_, reports)| reports.binary_search(other).is_ok());
    let mut reports: Vec<_> = others.iter().filter(is_meant).copied().collect();
    if !reports.contains(&id) {
        reports = vec![id];
    }
    let reports: Vec<_> = reports.iter().map(ToString::to_string).collect();
    let cited = opinion.map_or_else(String::new, |(id, _)| format!("&opinion={id}"));
    format!("reports={}{cited}", reports.join("%0A"))
}

fn waiting(
    desk: &Desk,
    due: &Due,
    session: &Session,
    reports: &HashMap<Prefix, Vec<ActId>>,
    now: u64,
) -> Waiting {
    let id = due.act.to_string();
    let subject = desk.book().act(&due.act).and_then(Act::subject).map(|subject| subject.prefix);
    let others = subject.and_then(|subject| reports.get(&subject)).map_or(&[][..], Vec::as_slice);
    let reports = || fields(desk, due.act, others);
    let (what, next) = match due.matter {
        Matter::Report if session.function == Function::Advice => (
            "A report waits for an opinion",
            Some((format!("/desk/new/opinion?{}", reports()), "Give an opinion")),
        ),
        Matter::Report => {
            ("A report waits for a decision", Some((format!("/desk/new/decision?{}", reports()), "Decide")))
        }
        Matter::Proposal => {
            ("A restriction is voted on", Some((format!("/desk/new/vote?proposal={id}"), "Vote")))
        }
        Matter::Complaint if session.function == Function::Decisions => {
            ("A complaint is heard", Some((format!("/desk/new/outcome?complaint={id}"), "Go on with it")))
        }
        Matter::Complaint => ("A complaint is heard", None),
        Matter::Draft => ("A rule is laid open", None),
        Matter::Repair => ("A repair waits to be seen", None),
        Matter::Call => ("A member calls for help", None),
        Matter::Renewal => ("An act ends soon", None),
    };
    Waiting {
        act: id,
        what,
        subject: subject.map(|subject| subject.to_string()),
        state: words::spaced(due.state),
        until: Moment::at(due.until),
        left: words::distance(now, due.until),
        is_overdue: due.is_overdue(now),
        next,
    }
}
