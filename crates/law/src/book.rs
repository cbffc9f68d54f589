//! What follows from all acts together: who is what, and what is in force.
//!
//! Acts are entered in the order in which they were accepted, and nothing is ever taken out but by an erasure: a correction, a
//! lifting and a relief are acts as well, and change what follows from those before. What has become of an act is not kept but
//! found from those that name it, so that the same acts in the same order make the same book, and one without those that were
//! erased is the book of those that are left.

mod clocks;
mod history;
mod in_force;
mod institution;
mod records;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use credence_credit::{ActId, ActRef};
use credence_prefix::Prefix;

pub use clocks::ERASED_MAX;
pub use in_force::{Changed, InForce, Voice};
pub use institution::{Complaints, Durations, Institution, Reports};
pub use records::Issuers;

use crate::acts::Act;
use crate::check::{Accepted, Acts, Law};
use crate::cycle::repair;
use crate::cycle::standing::{self, State};
use crate::object::Body;
use crate::party::{KeyId, Party, act_id};
use crate::registry::Register;
use crate::standard::{Assessment, Entry};

/// All acts that were accepted.
#[derive(Debug, Default)]
pub struct Book {
    acts: HashMap<ActId, Accepted>,
    /// In the order in which they were entered.
    order: Vec<ActId>,
    /// Acts about a prefix, with their places in the order.
    about: BTreeMap<Prefix, Vec<(usize, ActId)>>,
    /// For each act those that name it, whether it is here or not.
    citing: HashMap<ActId, Vec<ActId>>,
    /// Acts by the number of their kind.
    kinds: BTreeMap<u8, Vec<ActId>>,
    /// Drafts by the rule that they propose.
    drafts: BTreeMap<ActId, Vec<ActId>>,
    /// When what makes records ends: alerts, decisions and proposals.
    ending: BTreeSet<(u64, ActId)>,
    numbers: BTreeMap<Party, u64>,
    /// The newest manifest of each issuer, by its number.
    manifests: BTreeMap<Party, (u64, ActId)>,
    /// The acts that each key has signed.
    signed: BTreeMap<KeyId, Vec<ActId>>,
    erased: BTreeSet<ActId>,
    are_exercises: bool,
    are_reports_hidden: bool,
}

/// Everything recorded of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditFile {
    /// Whom it is about.
    pub subject: Prefix,
    /// The acts about it and about what it is part of, in the order in which they were made.
    pub acts: Vec<(ActId, State)>,
    /// How good its credit is by the newest standard.
    pub assessment: Assessment,
}

impl Book {
    /// A book of exercises. Nothing in it reaches an ordinary one.
    pub fn of_exercises() -> Self {
        Self { are_exercises: true, ..Self::default() }
    }

    /// A book of acts that everybody may read, as a gateway has it.
    pub fn of_public_acts() -> Self {
        Self { are_reports_hidden: true, ..Self::default() }
    }

    /// Enters an act that was accepted. One that is there already, or was erased, changes nothing. An erasure takes out what it
    /// names.
    pub fn enter(&mut self, mut accepted: Accepted) {
        let id = accepted.id;
        if self.acts.contains_key(&id) || self.erased.contains(&id) {
            return;
        }
        for key in &accepted.keys {
            self.signed.entry(*key).or_default().push(id);
        }
        // They are many acts, and few votes, of which it is asked each time they are counted.
        if !matches!(accepted.act, Act::Vote(_)) {
            accepted.keys = Vec::new();
        }
        self.note(&accepted);
        let goes = match &accepted.act {
            Act::Erasure(erasure) => erasure.acts.clone(),
            _ => Vec::new(),
        };
        self.order.push(id);
        self.acts.insert(id, accepted);
        if !goes.is_empty() {
            self.erase(goes);
        }
    }

    /// Takes acts for erased, whose payload is not to be had any more.
    pub fn erase(&mut self, ids: impl IntoIterator<Item = ActId>) {
        let mut is_here = false;
        for id in ids {
            is_here |= self.acts.contains_key(&id);
            self.erased.insert(id);
        }
        if !is_here {
            return;
        }
        let before = std::mem::take(self);
        (self.erased, self.are_exercises) = (before.erased, before.are_exercises);
        (self.are_reports_hidden, self.signed) = (before.are_reports_hidden, before.signed);
        let mut acts = before.acts;
        for id in before.order {
            let Some(accepted) = acts.remove(&id).filter(|_| !self.erased.contains(&id)) else { continue };
            self.note(&accepted);
            self.order.push(id);
            self.acts.insert(id, accepted);
        }
        for signed in self.signed.values_mut() {
            signed.retain(|id| self.acts.contains_key(id));
        }
    }

    /// The acts that keys have signed which were revoked since. They count no more, whenever they were made, since somebody else may
    /// have made them.
    ///
    /// A decision that rests on a report among them stays. The coordinating body has weighed it, with an opinion, and a quorum of
    /// other keys has signed; gateways are not shown reports and could not follow; and whoever gives up a key of its own would lift
    /// what others have decided, unseen. To take it back is the body's duty, by a correction that everybody sees.
    fn disowned(&self, register: &Register) -> BTreeSet<ActId> {
        let revoked = register.registry().revoked.iter();
        revoked.filter_map(|key| self.signed.get(key)).flatten().copied().collect()
    }

    /// Puts an act where it is looked for.
    fn note(&mut self, accepted: &Accepted) {
        let Accepted { id, act, .. } = accepted;
        let preamble = act.preamble();
        if let Act::Manifest(_) = act {
            let newest = self.manifests.entry(preamble.issuer).or_insert((preamble.number, *id));
            *newest = (preamble.number, *id).max(*newest);
        } else {
            let last = self.numbers.entry(preamble.issuer).or_default();
            *last = preamble.number.max(*last);
        }
        if let Some(subject) = act.subject() {
            self.about.entry(subject.prefix).or_default().push((self.order.len(), *id));
        }
        act.cites().into_iter().for_each(|cited| note_once(self.citing.entry(cited).or_default(), *id));
        self.kinds.entry(act.kind()).or_default().push(*id);
        match act {
            Act::Draft(draft) => self.drafts.entry(act_id(&draft.rules)).or_default().push(*id),
            Act::OwnAlert(_) | Act::Decision(_) | Act::Proposal(_) => {
                self.ending.insert((preamble.expires, *id));
            }
            _ => {}
        }
    }

    /// The acts in the order in which they were entered.
    pub fn acts(&self) -> impl Iterator<Item = &Accepted> {
        self.order.iter().filter_map(|id| self.acts.get(id))
    }

    /// The act of this identity.
    pub fn accepted(&self, id: &ActId) -> Option<&Accepted> {
        self.acts.get(id)
    }

    /// How an act stands at `now`, in Unix seconds; none for one that is not here.
    pub fn state(&self, id: &ActId, now: u64) -> Option<State> {
        standing::at(self, id, now).map(|running| running.state)
    }

    /// The acts that make records, end at a moment (Unix seconds), and are named so in them.
    pub fn named(&self, expires: u64, act: ActRef) -> impl Iterator<Item = ActId> {
        let mut first = [0; 32];
        first[..8].copy_from_slice(&act.0);
        let from = self.ending.range((expires, ActId(first))..);
        from.take_while(move |(ends, id)| *ends == expires && id.short() == act).map(|(_, id)| *id)
    }

    /// The newest manifest of each issuer.
    pub fn manifests(&self) -> impl Iterator<Item = (Party, ActId)> {
        self.manifests.iter().map(|(party, (_, id))| (*party, *id))
    }

    /// The acts about all of a prefix: about itself, and about wider ones.
    pub fn about(&self, prefix: Prefix) -> impl Iterator<Item = &Accepted> {
        self.covering(prefix).filter_map(|(_, id)| self.acts.get(&id))
    }

    /// The same, with their places in the order.
    fn covering(&self, prefix: Prefix) -> impl Iterator<Item = (usize, ActId)> {
        let cover = move |len| self.about.get(&Prefix::containing(prefix.first(), len));
        (0..=prefix.len()).filter_map(cover).flatten().copied()
    }

    /// The acts about any address of a prefix, in no order.
    fn touching(&self, prefix: Prefix) -> Vec<ActId> {
        let inside = self.about.range(prefix..).take_while(|(about, _)| prefix.covers(**about));
        let wider = self
            .about(prefix)
            .map(|accepted| accepted.id)
            .filter(|id| self.act(id).and_then(Act::subject).is_some_and(|subject| subject.prefix != prefix));
        inside.flat_map(|(_, ids)| ids.iter().map(|(_, id)| *id)).chain(wider).collect()
    }

    /// The credit file of a subject at `now`, in Unix seconds.
    pub fn file(&self, law: &Law, subject: Prefix, now: u64) -> CreditFile {
        let mut found: Vec<_> = self.covering(subject).collect();
        found.sort_unstable();
        let acts: Vec<_> = found.into_iter().map(|(_, id)| id).collect();
        let entries: Vec<Entry> = acts.iter().flat_map(|id| self.entries(law, id, now)).collect();
        let (standard, catalogue) = law.newest();
        CreditFile {
            subject,
            assessment: standard.assess(catalogue, &entries, now),
            acts: acts.into_iter().filter_map(|id| Some((id, self.state(&id, now)?))).collect(),
        }
    }

    /// What an act counts for in a credit file: what a holder or the coordinating body says by itself, unless it was wrong, and
    /// what a repair has earned. What is over or was lifted still happened, and fades.
    fn entries(&self, law: &Law, id: &ActId, now: u64) -> Vec<Entry> {
        let Some(act) = self.act(id) else { return Vec::new() };
        if let Act::Repair(repaired) = act {
            return repair::entries(law, self, id, &self.touching(repaired.subject.prefix), now);
        }
        let counts = matches!(act, Act::OwnAlert(_) | Act::Decision(_))
            && self.state(id, now) != Some(State::Corrected);
        let claim = act.claim().filter(|claim| counts && claim.repeats.is_none());
        let entry = |claim: &crate::acts::Claim| Entry {
            act: *id,
            item: claim.item,
            evidence: claim.evidence,
            seen: claim.seen_until,
        };
        claim.map(entry).into_iter().collect()
    }

    /// The acts of a kind, in order.
    fn of_kind(&self, kind: u8) -> impl Iterator<Item = ActId> {
        self.kinds.get(&kind).into_iter().flatten().copied()
    }
}

/// Adds an act to those that name another, if it was not added just now: an act can name another twice.
fn note_once(citing: &mut Vec<ActId>, id: ActId) {
    if citing.last() != Some(&id) {
        citing.push(id);
    }
}

impl Acts for Book {
    fn act(&self, id: &ActId) -> Option<&Act> {
        self.acts.get(id).map(|accepted| &accepted.act)
    }

    fn are_exercises(&self) -> bool {
        self.are_exercises
    }

    fn are_reports_hidden(&self) -> bool {
        self.are_reports_hidden
    }

    fn citing(&self, id: &ActId) -> Vec<ActId> {
        self.citing.get(id).cloned().unwrap_or_default()
    }

    fn vote_keys(&self, id: &ActId) -> &[KeyId] {
        self.acts.get(id).map_or(&[], |accepted| &accepted.keys)
    }

    fn drafts(&self, rules: &ActId) -> Vec<ActId> {
        self.drafts.get(rules).cloned().unwrap_or_default()
    }

    fn is_erased(&self, id: &ActId) -> bool {
        self.erased.contains(id)
    }

    fn accepted_at(&self, id: &ActId) -> Option<u64> {
        Some(self.acts.get(id)?.at)
    }

    fn last_number(&self, issuer: Party) -> u64 {
        self.numbers.get(&issuer).copied().unwrap_or(0)
    }

    fn last_manifest(&self, issuer: Party) -> u64 {
        self.manifests.get(&issuer).map_or(0, |(number, _)| *number)
    }
}

#[cfg(test)]
mod tests;
