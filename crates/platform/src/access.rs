//! Who may ask for what: one table, which the server enforces and from which the tests make every case.
//!
//! What is not in the table is asked for by nobody. Hidden acts are the one thing that is not decided here but where they are
//! looked up: whoever may not read one is not told that it exists.

use credence_law::Act;
use credence_law::party::{Function, MemberId, Party};
use credence_law::registry::Speaker;
use credence_prefix::Prefix;

use crate::desk::{Desk, is_public};

/// What somebody is to what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Anybody.
    Anyone,
    /// The member that it belongs to.
    Owner,
    /// Every member.
    Members,
    /// Whoever decides, advises, or carries out.
    Officers,
}

/// Whose something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody's in particular.
    Nobody,
    /// The member's whose number stands in the path.
    Member,
    /// The member's who holds the subject in the path.
    Holder,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// The method, in capital letters.
    pub method: &'static str,
    /// The path with names for what varies.
    pub path: &'static str,
    /// Whose it is.
    pub owner: Owner,
    /// Who may ask.
    pub grants: &'static [Grant],
}

const fn open(method: &'static str, path: &'static str) -> Endpoint {
    Endpoint { method, path, owner: Owner::Nobody, grants: &[Grant::Anyone] }
}

/// The table.
pub const ENDPOINTS: &[Endpoint] = &[
    open("POST", "/acts"),
    open("GET", "/acts/{id}"),
    open("GET", "/subjects/{*subject}"),
    open("GET", "/exercises"),
    open("GET", "/exercises/{*subject}"),
    Endpoint {
        method: "GET",
        path: "/files/{*subject}",
        owner: Owner::Holder,
        grants: &[Grant::Owner, Grant::Members, Grant::Officers],
    },
    Endpoint { method: "GET", path: "/members/{member}/acts", owner: Owner::Member, grants: &[Grant::Owner] },
    Endpoint {
        method: "GET",
        path: "/members/{member}/concerns",
        owner: Owner::Member,
        grants: &[Grant::Owner, Grant::Officers],
    },
    open("GET", "/log/checkpoint"),
    open("GET", "/log/checkpoint/witnessed"),
    open("POST", "/log/cosignatures"),
    open("GET", "/log/proof/{id}"),
    open("GET", "/log/consistency/{before}/{size}"),
    open("GET", "/log/{*tile}"),
    open("GET", "/feed/head"),
    open("GET", "/feed/rules/{number}"),
    open("GET", "/feed/files/{name}"),
    open("GET", "/feed/events"),
    open("GET", "/feed/proposals/{party}"),
    open("POST", "/feed/proposals/{party}"),
    open("GET", "/healthz"),
    open("GET", "/readyz"),
    open("GET", "/metrics"),
    open("GET", "/openapi.json"),
];

/// Whoever has signed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// For whom it speaks.
    pub party: Party,
    /// With a key for what.
    pub function: Function,
}

impl From<Speaker> for Caller {
    fn from(speaker: Speaker) -> Self {
        Self { party: speaker.party, function: speaker.function }
    }
}

impl Caller {
    /// A member with a key that makes no officer of it.
    pub const fn reading_for(member: MemberId) -> Self {
        Self { party: Party::Member(member), function: Function::Alerts }
    }

    /// Whether it decides, advises, or carries out: a seat by its key for decisions alone, and not by the same member's others.
    pub const fn is_officer(self) -> bool {
        matches!(self.function, Function::Decisions | Function::Advice | Function::Execution)
    }

    /// Whether it has what it takes, where `owner` is the member that this belongs to.
    fn has(self, grant: Grant, owner: Option<MemberId>) -> bool {
        match grant {
            Grant::Anyone => true,
            Grant::Owner => owner.is_some() && self.party.member() == owner,
            Grant::Members => self.party.member().is_some(),
            Grant::Officers => self.is_officer(),
        }
    }
}

impl Endpoint {
    /// The row for a request; none for what nobody may ask for.
    pub fn of(method: &str, path: &str) -> Option<&'static Self> {
        ENDPOINTS.iter().find(|endpoint| endpoint.method == method && endpoint.path == path)
    }

    /// Whether anybody may ask.
    pub fn is_open(&self) -> bool {
        self.grants.contains(&Grant::Anyone)
    }

    /// Whether a caller may ask, where `owner` is the member that this belongs to.
    pub fn admits(&self, caller: Caller, owner: Option<MemberId>) -> bool {
        self.grants.iter().any(|grant| caller.has(*grant, owner))
    }
}

/// Whether a caller may read an act. What is not public is read by who made it, by the member that holds the subject, by officers,
/// and a complaint by whom it is about.
pub fn may_read(desk: &Desk, caller: Option<Caller>, act: &Act) -> bool {
    if is_public(act) {
        return true;
    }
    let Some(caller) = caller else { return false };
    let against = match act {
        Act::Complaint(complaint) => desk.accepted(&complaint.against).map(|about| about.act.issuer()),
        _ => None,
    };
    let holder = act.subject().and_then(|subject| holder(desk, subject.prefix)).map(Party::Member);
    caller.is_officer() || [Some(act.issuer()), holder, against].contains(&Some(caller.party))
}

/// The member that holds all of a prefix.
pub fn holder(desk: &Desk, prefix: Prefix) -> Option<MemberId> {
    Some(desk.law().ok()?.register().holder(prefix)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_key_is_an_officers_by_its_function_alone() {
        let one = Party::Member(MemberId(1));
        let caller = |function| Caller { party: one, function };
        assert!(caller(Function::Decisions).is_officer());
        assert!(!caller(Function::Alerts).is_officer() && !caller(Function::Votes).is_officer());
        let operator = Caller { party: Party::Operator, function: Function::Operation };
        let refused = ENDPOINTS.iter().filter(|endpoint| !endpoint.is_open());
        assert!(refused.clone().count() > 0);
        for endpoint in refused {
            assert!(
                !endpoint.admits(operator, Some(MemberId(1))),
                "{}: whoever runs it reads nothing",
                endpoint.path
            );
        }
    }

    #[test]
    fn what_is_not_listed_is_asked_for_by_nobody() {
        assert!(Endpoint::of("GET", "/nothing").is_none() && Endpoint::of("DELETE", "/acts/{id}").is_none());
        assert!(Endpoint::of("GET", "/acts/{id}").is_some_and(Endpoint::is_open));
    }
}
