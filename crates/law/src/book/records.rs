//! What gateways are told.

use std::collections::{BTreeMap, BTreeSet};

use credence_credit::{ActId, Authority, Issuer, IssuerId, Measure, Reason, Reasons, Record};

use super::Book;
use crate::acts::{Act, Proposal};
use crate::check::{Accepted, Acts, Law, RESTRICTIONS_MAX};
use crate::cycle::proposal;
use crate::cycle::standing::State;
use crate::party::Party;
use crate::registry::Register;

/// Which of several acts speaks by which one issuer says something of one prefix on the same authority: the hardest, of equals the
/// one that lasts longest, and of those one that is the same for everybody.
pub(super) type Strength = (Measure, u64, ActId);

impl Book {
    /// What gateways are told at `now`, in Unix seconds: a record for each act in force that speaks of credit, and for each
    /// restriction, and who issued them. In the order of a snapshot; of several acts by which one issuer says something of one
    /// prefix on the same authority, the hardest speaks, and of equals the one that lasts longest. Whoever is no member any more
    /// says nothing, since no gateway would believe it, and what was signed with a key that is revoked now is not said.
    pub fn records(&self, law: &Law, now: u64) -> (Vec<Issuer>, Vec<Record>) {
        let issuers = Issuers::of(law.register());
        let restrictions = self.restrictions(law, now);
        let disowned = self.disowned(law.register());
        let in_force = self
            .acts()
            .filter(|accepted| !matches!(accepted.act, Act::Proposal(_)) && !disowned.contains(&accepted.id));
        let all = in_force.chain(restrictions.iter().filter_map(|id| self.accepted(id)));
        let mut records: BTreeMap<_, (Strength, Record)> = BTreeMap::new();
        for accepted in all {
            let Some(record) = self.record(accepted, &issuers, now) else { continue };
            let key = (record.prefix, record.authority, record.issuer);
            let strength = (record.measure, record.expires, accepted.id);
            if records.get(&key).is_none_or(|(other, _)| *other < strength) {
                records.insert(key, (strength, record));
            }
        }
        (issuers.names, records.into_values().map(|(_, record)| record).collect())
    }

    /// The proposals that have become restrictions, the first 1,000 of those in force.
    pub fn restrictions(&self, law: &Law, now: u64) -> Vec<ActId> {
        let disowned = self.disowned(law.register());
        let agreed =
            self.proposals().filter(|id| self.is_agreed(law, id, now) && self.is_owned(id, &disowned));
        agreed.take(RESTRICTIONS_MAX).collect()
    }

    /// Whether an act is none of these, nor a proposal that rests on one.
    pub(super) fn is_owned(&self, id: &ActId, disowned: &BTreeSet<ActId>) -> bool {
        let rests = match self.act(id) {
            Some(Act::Proposal(proposal)) => disowned.contains(&proposal.decision),
            _ => false,
        };
        !rests && !disowned.contains(id)
    }

    pub(super) fn is_agreed(&self, law: &Law, id: &ActId, now: u64) -> bool {
        let is_in_force = |id: &ActId| self.state(id, now).is_some_and(State::is_in_force);
        let Some(Act::Proposal(proposal)) = self.act(id) else { return false };
        let agreed = proposal::at(law, self, id, now);
        // What was decided about the subject must stand as well.
        is_in_force(id)
            && is_in_force(&proposal.decision)
            && agreed.is_some_and(|running| running.state == proposal::State::Agreed)
    }

    /// What an act comes to.
    fn record(&self, accepted: &Accepted, issuers: &Issuers, now: u64) -> Option<Record> {
        let most = most(self.state(&accepted.id, now)?)?;
        self.told(accepted, accepted.act.measure()?.min(most), issuers)
    }

    /// What gateways are told of an act that asks for this measure now.
    pub(super) fn told(&self, accepted: &Accepted, measure: Measure, issuers: &Issuers) -> Option<Record> {
        let (authority, claim, rating) = match &accepted.act {
            Act::OwnAlert(alert) => (Authority::OwnAlert, &alert.claim, alert.rating),
            Act::Decision(decision) => (Authority::Decision, &decision.claim, decision.rating),
            Act::Proposal(Proposal { decision, rating, .. }) => {
                (Authority::Restriction, self.act(decision)?.claim()?, *rating)
            }
            _ => return None,
        };
        let (speaker, signatures) = match authority {
            // All members stand behind it, whoever proposed it.
            Authority::Restriction => (Party::Body, u16::MAX),
            _ => (accepted.act.issuer(), accepted.signatures),
        };
        Some(Record {
            prefix: accepted.act.subject()?.prefix,
            rating,
            measure,
            reasons: reason(claim.item).map_or(Reasons::NONE, Reasons::from),
            issuer: *issuers.places.get(&speaker)?,
            evidence: claim.evidence,
            authority,
            signatures,
            expires: accepted.act.preamble().expires,
            act: Some(accepted.id.short()),
        })
    }
}

/// The hardest that an act can ask for that stands so; none where nothing follows from it.
pub(super) const fn most(state: State) -> Option<Measure> {
    match state {
        State::InForce => Some(Measure::Drop),
        State::Relieved => Some(Measure::RateLimit),
        State::Lifted | State::Corrected | State::Expired => None,
    }
}

/// The item of the first catalogue as gateways show it; those of later ones have no word there.
fn reason(item: u16) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| *reason as u16 == item)
}

/// Issuers by name, as a snapshot lists them.
#[derive(Clone, Debug)]
pub struct Issuers {
    names: Vec<Issuer>,
    places: BTreeMap<Party, IssuerId>,
}

impl Issuers {
    /// The members and the coordinating body, with where their subjects complain.
    pub fn of(register: &Register) -> Self {
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

    /// Whether acts of this party make records: it is a member, or the coordinating body.
    pub(super) fn is_one(register: &Register, party: Party) -> bool {
        party == Party::Body || party.member().is_some_and(|member| register.member(member).is_some())
    }

    /// The names, in their order.
    pub fn names(&self) -> &[Issuer] {
        &self.names
    }

    /// The place of a party's name, or of the coordinating body's for one that has none.
    ///
    /// # Panics
    /// Never: the body is always there.
    pub fn id(&self, party: Party) -> IssuerId {
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
