//! The checks of the law: pure functions of an act, the rules in force, what is known of other acts, and the time.
//!
//! Who makes an act, the platform that takes it, and the gateway that acts on it call the same function. None of the checks
//! looks at what a member is called, or at anything of it but what it holds, which keys are its own, and whether two are the
//! same organisation.

mod claim;
mod complaint;
mod restriction;
mod rule;
mod signers;
mod stated;
mod subject;

use std::collections::BTreeMap;

use credence_credit::ActId;
use credence_credit::guard::NeverBlock;
use ed25519_dalek::VerifyingKey;

pub use claim::{EVIDENCE_DAYS_MAX, SOURCES_MIN};
pub use complaint::COMPLAINTS_MAX;
use complaint::relieves;
pub use restriction::{MEMBERS_YES, RESTRICTION_LEN_MIN, RESTRICTIONS_MAX, VOTING_DAYS_MIN};
use rule::commented_in_time;
pub(crate) use rule::{closed, is_erasable};

use crate::acts::{Act, Block, Preamble, Purpose};
use crate::catalogue::{Catalogue, Supplement};
use crate::object::Object;
use crate::party::{KeyId, MemberId, Party, World, act_id};
use crate::procedure::Procedure;
use crate::refusal::Refusal;
use crate::registry::{Register, Speaker};
use crate::sign::Signed;
use crate::standard::Standard;

/// By how much clocks may differ, in seconds, and how long an act of one party can be handed in.
pub const SKEW: u64 = 300;
/// How long an act that several organisations sign can be handed in, in seconds: a file that goes from hand to hand meets each of
/// them at work once within it.
pub const JOINT_LASTS: u64 = DAY;
/// Seconds of a day.
const DAY: u64 = 86_400;
/// How long an alert, a decision, and what they rest on last at most, in seconds.
const RECORD_LASTS: u64 = 90 * DAY;
/// Seconds of an hour.
const HOUR: u64 = 3_600;

/// What is known of acts that others refer to.
pub trait Acts {
    /// The act of this identity, if it was accepted here.
    fn act(&self, id: &ActId) -> Option<&Act>;

    /// Whether reports are kept from whoever asks, as they are from gateways. What rests on them is then believed on its
    /// signatures.
    fn are_reports_hidden(&self) -> bool {
        false
    }

    /// Whether these are the acts of exercises. A drill rests on nothing real, and nothing real on a drill.
    fn are_exercises(&self) -> bool {
        false
    }

    /// The acts that name this one, in the order in which they were accepted.
    fn citing(&self, id: &ActId) -> Vec<ActId>;

    /// The keys that have signed the vote of this identity; none for an act of another kind, or one that is not known.
    fn vote_keys(&self, id: &ActId) -> &[KeyId];

    /// The drafts of rules of this identity, in the order in which they were accepted.
    fn drafts(&self, rules: &ActId) -> Vec<ActId>;

    /// Whether the payload of this act was erased here.
    fn is_erased(&self, id: &ActId) -> bool;

    /// When the act of this identity was accepted, in Unix seconds; none for one that is not known.
    fn accepted_at(&self, id: &ActId) -> Option<u64>;

    /// The highest number that an accepted act of this issuer has; 0 for none.
    fn last_number(&self, issuer: Party) -> u64;

    /// The highest number that an accepted manifest of this issuer has, which are counted apart: a machine makes them; 0 for none.
    fn last_manifest(&self, issuer: Party) -> u64;
}

/// The rules in force. What they cite of older versions is kept, so that an act is judged by those that it was made under.
#[derive(Debug)]
pub struct Law {
    /// Which world.
    pub world: World,
    /// Whether addresses for examples stand for real ones in it.
    pub is_example: bool,
    /// Who the members are: registries by version, of which the last is in force. Keys of older ones still speak for what they
    /// signed in their time.
    pub registers: BTreeMap<u32, Register>,
    /// Catalogues by version.
    pub catalogues: BTreeMap<u32, Catalogue>,
    /// What members record besides.
    pub supplements: BTreeMap<MemberId, Supplement>,
    /// Standards by version.
    pub standards: BTreeMap<u32, Standard>,
    /// Procedures by the moment at which they came into force, in Unix seconds. The first is there from the beginning.
    pub procedures: BTreeMap<u64, Procedure>,
    /// Rules that came into force, and when, in Unix seconds.
    pub adopted: BTreeMap<ActId, u64>,
    /// What is never blocked, whatever anybody signs.
    pub protected: NeverBlock,
}

/// An act that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its identity.
    pub id: ActId,
    /// What it says.
    pub act: Act,
    /// How many distinct keys signed it.
    pub signatures: u16,
    /// Which keys those are; once it stands in a book, which knows them apart, those of a vote alone.
    pub keys: Vec<KeyId>,
    /// When it was checked, in Unix seconds.
    pub at: u64,
}

impl Law {
    /// The registry in force.
    ///
    /// # Panics
    /// When the law has none.
    pub fn register(&self) -> &Register {
        let (_, newest) = self.registers.last_key_value().expect("a law has a registry");
        newest
    }

    /// Whose key that is, by the newest registry that has it: older ones still speak for what was signed in their time.
    pub fn speaker(&self, key: KeyId) -> Option<(VerifyingKey, Speaker)> {
        self.registers.values().rev().find_map(|register| register.speaker(key))
    }

    /// The newest standard, and the catalogue that it is for.
    ///
    /// # Panics
    /// When the law has none.
    pub fn newest(&self) -> (&Standard, &Catalogue) {
        let (_, standard) = self.standards.last_key_value().expect("a law has a standard");
        (
            standard,
            self.catalogues.get(&standard.catalogue).expect("a standard is adopted with its catalogue"),
        )
    }

    /// The procedure in force at a moment, in Unix seconds: whatever has begun goes on by the rules that it began under.
    ///
    /// # Panics
    /// When the law has none.
    pub fn procedure(&self, at: u64) -> &Procedure {
        let (_, newest) = self.procedures.range(..=at).next_back().expect("a law begins with a procedure");
        newest
    }

    /// Checks an act that arrives at `now`, in Unix seconds.
    ///
    /// Votes and proposals pass by themselves, each on its own; whether a proposal has become a restriction is what
    /// [`Law::restriction`] says.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn examine(&self, signed: &Signed, acts: &impl Acts, now: u64) -> Result<Accepted, Refusal> {
        let speakers = self.verify(signed)?;
        let object = Object::<Act>::decode(signed.bytes())?;
        if object.world != self.world {
            return Err(Refusal::World);
        }
        if object.exercise != acts.are_exercises() {
            return Err(Refusal::Exercise);
        }
        let act = object.body;
        self.preamble(&act, now)?;
        self.signers(&act, &speakers)?;
        self.substance(&act, acts)?;
        self.enough(&act, &speakers)?;
        let (id, signatures) = (act_id(signed.bytes()), speakers.len() as u16);
        Ok(Accepted { id, act, signatures, keys: signed.claims().collect(), at: now })
    }

    /// Checks an act that its issuer hands in at `now`, in Unix seconds: it must have been made just now, so that a key that was
    /// stolen after its time cannot make acts of the past, and none comes twice.
    ///
    /// What several organisations sign has a day, since one stolen key makes nothing of it. Several such acts may be on their way
    /// at once and come in any order; but one that comes late is refused when something has happened since to what it names,
    /// which those who signed it cannot have known.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn submit(&self, signed: &Signed, acts: &impl Acts, now: u64) -> Result<Accepted, Refusal> {
        let accepted = self.examine(signed, acts, now)?;
        let (act, preamble) = (&accepted.act, accepted.act.preamble());
        let age = now.saturating_sub(preamble.issued);
        if age > handed_in_within(act) {
            return Err(Refusal::Stale);
        }
        let is_new = match act {
            Act::Manifest(_) => preamble.number > acts.last_manifest(preamble.issuer),
            _ if is_joint(act) => acts.act(&accepted.id).is_none() && !acts.is_erased(&accepted.id),
            _ => preamble.number > acts.last_number(preamble.issuer),
        };
        if !is_new {
            return Err(Refusal::Replayed);
        }
        if age > SKEW && is_overtaken(act, acts) { Err(Refusal::Stale) } else { Ok(accepted) }
    }

    /// Whose signatures an object has: all of them must match, and their keys must be in the registry, which is looked at
    /// first.
    ///
    /// # Errors
    /// When one does not match, or is by a key that is not known or was revoked.
    pub fn verify(&self, signed: &Signed) -> Result<Vec<Speaker>, Refusal> {
        if signed.claims().any(|key| self.register().is_revoked(key)) {
            return Err(Refusal::RevokedKey);
        }
        signed.verify(|key| self.speaker(key))
    }

    /// What holds for all acts alike.
    fn preamble(&self, act: &Act, now: u64) -> Result<(), Refusal> {
        let Preamble { issuer, issued, expires, registry, purpose, .. } = *act.preamble();
        self.mandate(issuer, issued)?;
        if !self.registers.contains_key(&registry) {
            return Err(Refusal::Registry);
        }
        if issued > now.saturating_add(SKEW) {
            return Err(Refusal::Future);
        }
        if expires <= issued || expires - issued > lifetime_max(act) {
            return Err(Refusal::Lifetime);
        }
        if expires <= now {
            return Err(Refusal::Expired);
        }
        if purpose == purpose_of(act) { Ok(()) } else { Err(Refusal::Purpose) }
    }

    /// That whoever issues something is a member, if it is issued as one, and had a mandate when it was issued.
    fn mandate(&self, issuer: Party, issued: u64) -> Result<(), Refusal> {
        let Party::Member(id) = issuer else { return Ok(()) };
        let member = self.register().member(id).ok_or(Refusal::UnknownIssuer)?;
        if member.mandate_until <= issued { Err(Refusal::Mandate) } else { Ok(()) }
    }

    /// What holds for an act of this kind.
    fn substance(&self, act: &Act, acts: &impl Acts) -> Result<(), Refusal> {
        match act {
            Act::OwnAlert(alert) => self.own_alert(alert),
            Act::Report(report) => self.report(report),
            Act::Opinion(opinion) => self.opinion(opinion, acts),
            Act::Decision(decision) => self.decision(decision, acts),
            Act::Proposal(proposal) => self.proposal(proposal, acts),
            Act::Vote(vote) => self.vote(vote, acts),
            Act::Applied(applied) => self.applied(applied, acts),
            Act::Correction(correction) => {
                may_change(act, acts, &correction.corrects)?;
                let replaced = correction.replacement.map(|id| expect(acts, &id, |_| true));
                replaced.transpose().map(drop)
            }
            Act::Lifting(lifting) => may_change(act, acts, &lifting.lifts),
            Act::Complaint(complaint) => self.complaint(complaint, acts),
            Act::Relief(relief) => relieves(relief, acts),
            Act::Outcome(outcome) => self.outcome(outcome, acts),
            Act::Repair(repair) => self.repair(repair, acts),
            Act::Confirmation(confirmation) => self.confirmation(confirmation, acts),
            Act::Draft(draft) => self.draft(draft),
            Act::Comment(comment) => commented_in_time(comment, acts),
            Act::Answer(answer) => {
                let call = expect(acts, &answer.call, |act| matches!(act, Act::Call(_)))?;
                if call.issuer() == act.issuer() { Err(Refusal::OwnMatter) } else { Ok(()) }
            }
            Act::Erasure(erasure) => self.erasure(erasure, acts),
            Act::SecurityAlert(_) | Act::Manifest(_) | Act::Call(_) => Ok(()),
        }
    }
}

/// Whether several organisations sign an act, who carry it from one to the other. Manifests are made by machines that are all
/// there, and say what is so now.
pub const fn is_joint(act: &Act) -> bool {
    matches!(act.issuer(), Party::Body | Party::Adviser(_)) && !matches!(act, Act::Manifest(_))
}

/// How long after it was made an act can be handed in, in seconds.
pub const fn handed_in_within(act: &Act) -> u64 {
    if is_joint(act) { JOINT_LASTS } else { SKEW }
}

/// Whether something was accepted since an act was made that names what it names itself, and that it does not know of.
fn is_overtaken(act: &Act, acts: &impl Acts) -> bool {
    let (cites, issued) = (act.cites(), act.preamble().issued);
    let since = |by: &ActId| !cites.contains(by) && acts.accepted_at(by).is_some_and(|at| at >= issued);
    cites.iter().any(|cited| acts.citing(cited).iter().any(since))
}

/// The act of this identity, if it is one of those asked for.
fn expect<'a>(acts: &'a impl Acts, id: &ActId, is: impl FnOnce(&Act) -> bool) -> Result<&'a Act, Refusal> {
    acts.act(id).filter(|act| is(act)).ok_or(Refusal::UnknownAct)
}

/// That an act speaks of these addresses.
fn same_subject(subject: &Block, act: &Act) -> Result<(), Refusal> {
    let is_same = act.subject().is_some_and(|other| other.prefix == subject.prefix);
    if is_same { Ok(()) } else { Err(Refusal::OtherSubject) }
}

/// That the act of this identity is the issuer's own, unless it is the coordinating body who mends it. A complaint, and what a
/// member says of rules, only its issuer takes back.
fn may_change(act: &Act, acts: &impl Acts, id: &ActId) -> Result<(), Refusal> {
    let other = expect(acts, id, |_| true)?;
    let is_mendable = !matches!(other, Act::Complaint(_) | Act::Vote(_) | Act::Draft(_) | Act::Comment(_));
    let may = act.issuer() == Party::Body && is_mendable || act.issuer() == other.issuer();
    if may { Ok(()) } else { Err(Refusal::NotTheirs) }
}

/// How long an act of this kind may last at most, in seconds.
const fn lifetime_max(act: &Act) -> u64 {
    match act {
        // So that nobody can withhold what was lifted for longer.
        Act::Manifest(_) => HOUR,
        Act::Call(_) | Act::Answer(_) => 30 * DAY,
        Act::Proposal(_) | Act::Vote(_) => 60 * DAY,
        Act::OwnAlert(_) | Act::Decision(_) | Act::SecurityAlert(_) | Act::Report(_) => RECORD_LASTS,
        Act::Relief(_)
        | Act::Complaint(_)
        | Act::Repair(_)
        | Act::Confirmation(_)
        | Act::Draft(_)
        | Act::Comment(_) => 365 * DAY,
        // What says that something was, or is no more, outlives what it speaks of.
        Act::Opinion(_)
        | Act::Applied(_)
        | Act::Correction(_)
        | Act::Lifting(_)
        | Act::Outcome(_)
        | Act::Erasure(_) => 730 * DAY,
    }
}

/// What an act of this kind is kept for.
const fn purpose_of(act: &Act) -> Purpose {
    match act {
        Act::OwnAlert(_) | Act::Report(_) | Act::SecurityAlert(_) | Act::Call(_) | Act::Answer(_) => {
            Purpose::Warning
        }
        Act::Opinion(_)
        | Act::Decision(_)
        | Act::Proposal(_)
        | Act::Vote(_)
        | Act::Draft(_)
        | Act::Comment(_)
        | Act::Manifest(_) => Purpose::Governance,
        Act::Correction(_)
        | Act::Lifting(_)
        | Act::Complaint(_)
        | Act::Relief(_)
        | Act::Outcome(_)
        | Act::Repair(_)
        | Act::Confirmation(_) => Purpose::Relief,
        Act::Applied(_) | Act::Erasure(_) => Purpose::Account,
    }
}

#[cfg(test)]
mod tests;
