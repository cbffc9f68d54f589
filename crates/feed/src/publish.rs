//! What a publisher puts into a feed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credence_credit::{ActId, ActRef, Authority};
use credence_law::book::Issuers;
use credence_law::party::Party;
use credence_law::{Act, Acts, Book, Law, Refusal};
use credence_prefix::Prefix;

use crate::reject::Reject;
use crate::row::Row;
use crate::rules::Rulebook;
use crate::shard::Shard;
use crate::state::{LOOSE_MAX, Parts, State, UNLISTED_LASTS};

/// The most acts that travel beside manifests, without what they rest on: with that they stay below what a gateway takes.
pub const UNLISTED_MAX: usize = LOOSE_MAX / 8;

/// What each issuer could state at `at`, in Unix seconds: the rows of its acts in force, in order.
pub fn rows(book: &Book, law: &Law, at: u64) -> BTreeMap<Party, Vec<Row>> {
    let issuers = Issuers::of(law.register());
    let parties = parties(law, &issuers);
    let (_, records) = book.records(law, at);
    let mut rows: BTreeMap<Party, Vec<Row>> = BTreeMap::new();
    for record in &records {
        if let (Some(party), Some(row)) = (parties.get(&record.issuer), Row::of(record)) {
            rows.entry(*party).or_default().push(row);
        }
    }
    rows
}

/// Whose name stands at which place of the table of issuers.
fn parties(law: &Law, issuers: &Issuers) -> BTreeMap<credence_credit::IssuerId, Party> {
    let members = law.register().registry().members.iter().map(|member| Party::Member(member.id));
    members.chain([Party::Body]).map(|party| (issuers.id(party), party)).collect()
}

/// The public acts that have to travel by themselves at `at`, in Unix seconds, beside the rows that issuers state: those of which the
/// rows say something else, and all that they rest on and that was said of them.
pub fn loose(book: &Book, law: &Law, stated: &BTreeMap<Party, &Shard>, at: u64) -> BTreeSet<ActId> {
    let mut wanted = BTreeSet::new();
    let said = |party: Party, row: &Row| stated.get(&party).and_then(|shard| shard.row(row.key()));
    let mut in_force: BTreeSet<(Party, Prefix, Authority)> = BTreeSet::new();
    let mut short: BTreeMap<ActRef, Vec<ActId>> = BTreeMap::new();
    let makes_records = |act: &Act| matches!(act, Act::OwnAlert(_) | Act::Decision(_) | Act::Proposal(_));
    for accepted in book.acts().filter(|accepted| makes_records(&accepted.act)) {
        short.entry(accepted.id.short()).or_default().push(accepted.id);
    }
    for (party, rows) in rows(book, law, at) {
        for row in rows {
            in_force.insert((party, row.prefix, row.authority));
            let listed = said(party, &row);
            if listed.as_ref() != Some(&row) || row.authority == Authority::Restriction {
                let both = [Some(row.act), listed.map(|row| row.act)];
                wanted.extend(both.iter().flatten().filter_map(|act| short.get(act)).flatten().copied());
            }
        }
    }
    // What a manifest still lists and is over.
    for (&party, shard) in stated {
        let over = shard
            .rows()
            .filter(|row| !in_force.contains(&(party, row.prefix, row.authority)) && at < row.expires);
        wanted.extend(over.filter_map(|row| short.get(&row.act)).flatten().copied());
    }
    // A new act of an issuer that states nothing counts for a while; after that it is of no use.
    wanted.retain(|id| is_of_use(book, stated, id, at));
    closed(book, bounded(book, stated, wanted), at)
}

/// As many of these as a feed carries: first those that contradict what a manifest lists, so that nobody is held to what is over. The
/// others wait for their issuers' manifests.
fn bounded(book: &Book, stated: &BTreeMap<Party, &Shard>, wanted: BTreeSet<ActId>) -> BTreeSet<ActId> {
    if wanted.len() <= UNLISTED_MAX {
        return wanted;
    }
    let is_listed = |id: &ActId| {
        let act = book.act(id);
        let subject = act.and_then(Act::subject).map(|subject| subject.prefix);
        let keys = subject.into_iter().flat_map(|prefix| Authority::ALL.map(|authority| (prefix, authority)));
        keys.into_iter().any(|key| stated.values().any(|shard| shard.lists(key, id.short())))
    };
    let (listed, others): (Vec<_>, Vec<_>) = wanted.into_iter().partition(is_listed);
    listed.into_iter().chain(others).take(UNLISTED_MAX).collect()
}

/// Whether a gateway would count an act that travels by itself.
fn is_of_use(book: &Book, stated: &BTreeMap<Party, &Shard>, id: &ActId, at: u64) -> bool {
    let Some(act) = book.act(id) else { return false };
    let issuer = if matches!(act, Act::Proposal(_)) { Party::Body } else { act.issuer() };
    let authority = match act {
        Act::OwnAlert(_) => Authority::OwnAlert,
        Act::Decision(_) => Authority::Decision,
        _ => Authority::Restriction,
    };
    let key = act.subject().map(|subject| (subject.prefix, authority));
    let is_listed = stated.get(&issuer).zip(key).is_some_and(|(shard, key)| shard.lists(key, id.short()));
    // Members vote for weeks; whether their last word is new is seen by whoever follows.
    is_listed
        || authority == Authority::Restriction
        || at < act.preamble().issued.saturating_add(UNLISTED_LASTS)
}

/// These acts with all that they rest on, and all that changes them, as far as everybody may read it.
fn closed(book: &Book, wanted: BTreeSet<ActId>, at: u64) -> BTreeSet<ActId> {
    let is_public = |act: &Act| !matches!(act, Act::Report(_) | Act::Complaint(_));
    let changes = |act: &Act| {
        matches!(act, Act::Correction(_) | Act::Lifting(_) | Act::Relief(_) | Act::Outcome(_) | Act::Vote(_))
    };
    let (mut open, mut closed): (Vec<_>, _) = (wanted.into_iter().collect(), BTreeSet::new());
    while let Some(id) = open.pop() {
        let Some(act) = book.act(&id).filter(|act| is_public(act) && at < act.preamble().expires) else {
            continue;
        };
        if closed.insert(id) {
            open.extend(act.cites());
            open.extend(book.citing(&id).into_iter().filter(|by| book.act(by).is_some_and(changes)));
        }
    }
    closed
}

/// What was left out of a state, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Acts by their places, with what the law has against them now: their keys were revoked, or what they rest on is gone.
    pub acts: Vec<(u64, Refusal)>,
    /// Issuers whose manifests do not stand any more.
    pub issuers: Vec<Party>,
}

/// The next state, checked as every gateway will check it. What does not stand is left out, and told.
///
/// # Errors
/// When not even the rest stands.
pub fn next(
    rules: &Arc<Rulebook>,
    before: Option<&State>,
    mut parts: Parts,
    at: u64,
) -> Result<(State, LeftOut), Reject> {
    let mut left_out = LeftOut::default();
    loop {
        match State::check(rules, parts.clone(), before, at) {
            Ok(state) => return Ok((state, left_out)),
            Err(Reject::Act(place, refusal)) if parts.loose.remove(&place).is_some() => {
                left_out.acts.push((place, refusal));
            }
            Err(Reject::Manifest(party, _) | Reject::Stated(party) | Reject::Row(party, ..))
                if parts.issued.remove(&party).is_some() =>
            {
                left_out.issuers.push(party);
            }
            Err(fault) => return Err(fault),
        }
    }
}
