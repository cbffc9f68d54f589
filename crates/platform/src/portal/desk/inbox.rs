//! What waits for somebody, and until when.

use credence_law::party::Function;
use credence_law::{Acts, Due, Matter, Turn};

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
    Some(
        due.iter()
            .filter(|due| is_theirs(due.turn, session))
            .map(|due| waiting(desk, due, session, now))
            .collect(),
    )
}

/// Whether they are waited for. A seat is asked as the body, and with another key as its member.
fn is_theirs(turn: Turn, session: &Session) -> bool {
    match turn {
        Turn::Party(party) => party == session.issuer(),
        Turn::Advisers => session.function == Function::Advice,
        Turn::Members => session.function == Function::Votes,
    }
}

fn waiting(desk: &Desk, due: &Due, session: &Session, now: u64) -> Waiting {
    let id = due.act.to_string();
    let (what, next) = match due.matter {
        Matter::Report if session.function == Function::Advice => (
            "A report waits for an opinion",
            Some((format!("/desk/new/opinion?reports={id}"), "Give an opinion")),
        ),
        Matter::Report => {
            ("A report waits for a decision", Some((format!("/desk/new/decision?reports={id}"), "Decide")))
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
    let subject = desk.book().act(&due.act).and_then(|act| act.subject());
    Waiting {
        act: id,
        what,
        subject: subject.map(|subject| subject.prefix.to_string()),
        state: words::spaced(due.state),
        until: Moment::at(due.until),
        left: words::distance(now, due.until),
        is_overdue: due.is_overdue(now),
        next,
    }
}
