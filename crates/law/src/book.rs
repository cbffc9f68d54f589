//! What follows from all acts together: who is what, and what is in force.
//!
//! Acts are entered in the order in which they were accepted, and nothing is ever taken out: a correction, a lifting and a relief are
//! acts as well, and change what follows from those before. The same acts in the same order make the same book.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use credence_credit::{
    ActId, Authority, EvidenceClass, Issuer, IssuerId, Measure, Rating, Reason, Reasons, Record,
};
use credence_prefix::Prefix;

use crate::acts::{Act, Claim, Manifest, Proposal, Ruling};
use crate::check::{Accepted, Acts, Law, RESTRICTIONS_MAX};
use crate::party::{Party, sha256};
use crate::registry::Register;
use crate::standard::{Assessment, Entry};

/// All acts that were accepted, with what they have done to each other.
#[derive(Debug, Default)]
pub struct Book {
    acts: HashMap<ActId, Accepted>,
    /// In the order in which they were entered.
    order: Vec<ActId>,
    /// Acts about a prefix.
    about: BTreeMap<Prefix, Vec<ActId>>,
    /// The votes on a proposal.
    votes: HashMap<ActId, Vec<ActId>>,
    /// What has become of acts; those that are not here stand as they were made.
    changed: HashMap<ActId, Change>,
    /// Proposals in their order.
    proposals: Vec<ActId>,
    numbers: BTreeMap<Party, u64>,
    /// Complaints that are heard, with the acts that they are about.
    open: BTreeMap<ActId, ActId>,
    /// Acts that a complaint has made milder, for good or for a while.
    relieved: BTreeSet<ActId>,
}

/// What others have done to an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A complaint about it is heard, and it cuts nobody off until then.
    Relieved,
    /// It is over.
    Lifted,
    /// It was wrong, and counts no more, now or for the past.
    Corrected,
}

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
    /// Enters an act that was accepted. One that is there already changes nothing.
    pub fn enter(&mut self, accepted: Accepted) {
        let id = accepted.id;
        if self.acts.contains_key(&id) {
            return;
        }
        let preamble = accepted.act.preamble();
        let last = self.numbers.entry(preamble.issuer).or_default();
        *last = preamble.number.max(*last);
        if let Some(subject) = accepted.act.subject() {
            self.about.entry(subject.prefix).or_default().push(id);
        }
        self.follow(id, &accepted.act);
        self.order.push(id);
        self.acts.insert(id, accepted);
    }

    /// What an act does to others.
    fn follow(&mut self, id: ActId, act: &Act) {
        match act {
            Act::Vote(vote) => self.votes.entry(vote.proposal).or_default().push(id),
            Act::Proposal(_) => self.proposals.push(id),
            Act::Correction(correction) => self.change(correction.corrects, Change::Corrected),
            Act::Lifting(lifting) => self.change(lifting.lifts, Change::Lifted),
            Act::Complaint(complaint) => drop(self.open.insert(id, complaint.against)),
            Act::Relief(relief) => {
                self.relieved.insert(relief.act);
                self.change(relief.act, Change::Relieved);
            }
            Act::Outcome(outcome) => {
                if let Some(ruling) = outcome.ruling {
                    self.close(&outcome.complaint, ruling);
                }
            }
            _ => {}
        }
    }

    /// Changes an act, if that goes further than what was done to it before.
    fn change(&mut self, id: ActId, change: Change) {
        let further = |now: Change| now as u8 >= change as u8;
        if !self.changed.get(&id).copied().is_some_and(further) {
            self.changed.insert(id, change);
        }
    }

    /// Ends a complaint: an act whose subject was right is taken back, and one whose subject was not is again what it was.
    fn close(&mut self, complaint: &ActId, ruling: Ruling) {
        let Some(about) = self.open.remove(complaint) else { return };
        match ruling {
            Ruling::Upheld => self.change(about, Change::Corrected),
            Ruling::Settled => self.change(about, Change::Relieved),
            Ruling::Rejected if self.changed.get(&about) == Some(&Change::Relieved) => {
                self.changed.remove(&about);
            }
            Ruling::Rejected => {}
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
        let expires = self.acts.get(id)?.act.preamble().expires;
        Some(match self.changed.get(id) {
            Some(Change::Corrected) => State::Corrected,
            Some(Change::Lifted) => State::Lifted,
            _ if expires <= now => State::Expired,
            Some(Change::Relieved) => State::Relieved,
            None => State::InForce,
        })
    }

    /// Complaints that are heard, with the acts that they are about.
    pub fn complaints(&self) -> impl Iterator<Item = (ActId, ActId)> {
        self.open.iter().map(|(complaint, about)| (*complaint, *about))
    }

    /// The acts about all of a prefix: about itself, and about wider ones.
    pub fn about(&self, prefix: Prefix) -> impl Iterator<Item = &Accepted> {
        (0..=prefix.len())
            .filter_map(move |len| self.about.get(&Prefix::containing(prefix.first(), len)))
            .flatten()
            .filter_map(|id| self.acts.get(id))
    }

    /// The credit file of a subject at `now`, in Unix seconds.
    pub fn file(&self, law: &Law, subject: Prefix, now: u64) -> CreditFile {
        let found: BTreeSet<ActId> = self.about(subject).map(|accepted| accepted.id).collect();
        let acts: Vec<_> = self.order.iter().filter(|id| found.contains(id)).copied().collect();
        let entries: Vec<Entry> = acts.iter().filter_map(|id| self.entry(id)).collect();
        let (standard, catalogue) = law.newest();
        CreditFile {
            subject,
            assessment: standard.assess(catalogue, &entries, now),
            acts: acts.into_iter().filter_map(|id| Some((id, self.state(&id, now)?))).collect(),
        }
    }

    /// What an act counts for in a credit file: what a holder or the coordinating body says by itself, unless it was wrong. What
    /// is over or was lifted still happened, and fades.
    fn entry(&self, id: &ActId) -> Option<Entry> {
        let accepted = self.acts.get(id)?;
        let counts = matches!(accepted.act, Act::OwnAlert(_) | Act::Decision(_))
            && self.changed.get(id) != Some(&Change::Corrected);
        let claim = accepted.act.claim().filter(|claim| counts && claim.repeats.is_none())?;
        Some(Entry { act: *id, item: claim.item, evidence: claim.evidence, seen: claim.seen_until })
    }

    /// What gateways are told at `now`, in Unix seconds: a record for each act in force that speaks of credit, and for each
    /// restriction, and who issued them. In no order.
    pub fn records(&self, law: &Law, now: u64) -> (Vec<Issuer>, Vec<Record>) {
        let issuers = Issuers::of(law.register());
        let restrictions = self.restrictions(law, now);
        let in_force = self.acts().filter_map(|accepted| self.record(accepted, &issuers, now));
        let records =
            in_force.chain(restrictions.into_iter().filter_map(|id| self.restricting(&id, &issuers, now)));
        let records = records.collect();
        (issuers.names, records)
    }

    /// The proposals that have become restrictions, the first 1,000 of those in force.
    pub fn restrictions(&self, law: &Law, now: u64) -> Vec<ActId> {
        let agreed = self.proposals.iter().filter(|id| self.is_agreed(law, id, now));
        agreed.take(RESTRICTIONS_MAX).copied().collect()
    }

    fn is_agreed(&self, law: &Law, id: &ActId, now: u64) -> bool {
        let stands = matches!(self.state(id, now), Some(State::InForce | State::Relieved));
        let Some(Act::Proposal(proposal)) = self.act(id) else { return false };
        // What was decided about the subject must stand as well.
        let decided = matches!(self.state(&proposal.decision, now), Some(State::InForce | State::Relieved));
        let votes = self.votes.get(id).into_iter().flatten().filter_map(|vote| self.acts.get(vote));
        stands && decided && law.restriction(id, proposal, votes, now).is_ok()
    }

    /// What an alert or a decision comes to.
    fn record(&self, accepted: &Accepted, issuers: &Issuers, now: u64) -> Option<Record> {
        let (authority, claim, rating) = match &accepted.act {
            Act::OwnAlert(alert) => (Authority::OwnAlert, &alert.claim, alert.rating),
            Act::Decision(decision) => (Authority::Decision, &decision.claim, decision.rating),
            _ => return None,
        };
        self.stated(accepted, (authority, claim.subject.prefix, claim.evidence, rating), claim, issuers, now)
    }

    fn restricting(&self, id: &ActId, issuers: &Issuers, now: u64) -> Option<Record> {
        let accepted = self.acts.get(id)?;
        let Act::Proposal(Proposal { decision, subject, rating, .. }) = &accepted.act else { return None };
        let claim = self.act(decision)?.claim()?;
        self.stated(
            accepted,
            (Authority::Restriction, subject.prefix, claim.evidence, *rating),
            claim,
            issuers,
            now,
        )
    }

    fn stated(
        &self,
        accepted: &Accepted,
        (authority, prefix, evidence, rating): (Authority, Prefix, EvidenceClass, Rating),
        claim: &Claim,
        issuers: &Issuers,
        now: u64,
    ) -> Option<Record> {
        let most = match self.state(&accepted.id, now)? {
            State::InForce => Measure::Drop,
            State::Relieved => Measure::RateLimit,
            State::Lifted | State::Corrected | State::Expired => return None,
        };
        let signatures = match authority {
            // All members stand behind it.
            Authority::Restriction => u16::MAX,
            _ => accepted.signatures,
        };
        Some(Record {
            prefix,
            rating,
            measure: accepted.act.measure()?.min(most),
            reasons: reason(claim.item).map_or(Reasons::NONE, Reasons::from),
            issuer: issuers.id(accepted.act.issuer()),
            evidence,
            authority,
            signatures,
            expires: accepted.act.preamble().expires,
            act: Some(accepted.id),
        })
    }
}

impl Acts for Book {
    fn act(&self, id: &ActId) -> Option<&Act> {
        self.acts.get(id).map(|accepted| &accepted.act)
    }

    fn is_relieved(&self, id: &ActId) -> bool {
        self.relieved.contains(id)
    }

    fn last_number(&self, issuer: Party) -> u64 {
        self.numbers.get(&issuer).copied().unwrap_or(0)
    }
}

impl Manifest {
    /// What a manifest says of these acts, in their order.
    pub fn of(ids: &[ActId]) -> (u32, [u8; 32]) {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
        (ids.len() as u32, sha256(&bytes))
    }

    /// Whether it lists exactly these acts, in this order.
    pub fn lists(&self, ids: &[ActId]) -> bool {
        (self.count, self.digest) == Self::of(ids)
    }
}

/// The item of the first catalogue as gateways show it; those of later ones have no word there.
fn reason(item: u16) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| *reason as u16 == item)
}

/// Issuers by name, as a snapshot lists them.
#[derive(Debug)]
struct Issuers {
    names: Vec<Issuer>,
    places: BTreeMap<Party, IssuerId>,
}

impl Issuers {
    /// The members and the coordinating body, with where their subjects complain.
    fn of(register: &Register) -> Self {
        let members = register.registry().members.iter().map(|member| {
            let party = Party::Member(member.id);
            (party, named(&format!("{party}: {}", member.name), member.complaints.as_str()))
        });
        let mut parties: Vec<_> =
            members.chain([(Party::Body, named(&Party::Body.to_string(), ""))]).collect();
        parties.sort_by(|left, right| left.1.cmp(&right.1));
        let places = parties.iter().enumerate().map(|(place, (party, _))| (*party, IssuerId(place as u16)));
        Self { places: places.collect(), names: parties.into_iter().map(|(_, issuer)| issuer).collect() }
    }

    /// A restriction is everybody's, and stands under the coordinating body's name.
    fn id(&self, party: Party) -> IssuerId {
        self.places.get(&party).or_else(|| self.places.get(&Party::Body)).copied().expect("the body is there")
    }
}

/// An issuer of this name, cut to the length that names have.
fn named(name: &str, complaints: &str) -> Issuer {
    let cut = |text: &str| {
        let end = (0..=text.len().min(Issuer::TEXT_LEN_MAX)).rev().find(|&end| text.is_char_boundary(end));
        text[..end.unwrap_or(0)].to_owned()
    };
    let issuer = Issuer::new(cut(name)).expect("a party's number and plain text");
    issuer.clone().with_complaints(cut(complaints)).unwrap_or(issuer)
}

#[cfg(test)]
mod tests;
