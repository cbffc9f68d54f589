//! What a publisher puts into a feed.

use std::collections::BTreeSet;
use std::sync::Arc;

use credence_credit::{ActId, Authority};
use credence_law::party::Party;
use credence_law::{Act, Acts, Book, Refusal};

use crate::reject::Reject;
use crate::rows::Stated;
use crate::rules::Rulebook;
use crate::state::{LOOSE_MAX, Parts, State};

/// The most acts that travel beside manifests, without what they rest on: with that they stay below what a gateway takes.
pub const UNLISTED_MAX: usize = LOOSE_MAX / 8;

/// As many of these as a feed carries: first those that contradict what a manifest lists, so that nobody is held to what is over. The
/// others wait for their issuers' manifests.
pub(crate) fn bounded(book: &Book, stated: &Stated<'_>, wanted: BTreeSet<ActId>) -> BTreeSet<ActId> {
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

/// These acts with all that they rest on, and all that changes them, as far as everybody may read it.
pub(crate) fn closed(book: &Book, wanted: BTreeSet<ActId>, at: u64) -> BTreeSet<ActId> {
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
