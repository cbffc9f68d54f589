//! A small world for tests: five members, three advisers, an executive and an operator.

use std::collections::BTreeMap;

use credence_credit::guard::NeverBlock;
use credence_credit::{ActId, EvidenceClass, Learned, Measure, Rating, Reason, Score};
use ed25519_dalek::SigningKey;

use crate::acts::{
    Act, Answer, Applied, Ballot, Block, Call, Claim, Comment, Complaint, Confirmation, Control, Correction,
    Decision, Draft, Erased, Erasure, Finding, Ground, Lifting, Manifest, Opinion, Outcome, OwnAlert,
    Preamble, Proposal, Purpose, Relief, Repair, Report, SecurityAlert, Source, Stage, Threat, Vote,
};
use crate::catalogue::Catalogue;
use crate::check::{Accepted, Acts, Law};
use crate::layout::Text;
use crate::object::Object;
use crate::party::{Function, KeyId, MemberId, Party, World, act_id};
use crate::procedure::Procedure;
use crate::refusal::Refusal;
use crate::registry::{Holding, Key, Member, Office, Register, Registry};
use crate::rules::Rules;
use crate::sign::Signed;
use crate::standard::Standard;

pub(crate) const DAY: u64 = 86_400;
/// The moment of the tests, in Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const WORLD: World = World([7; 32]);
pub(crate) const MEMBERS: u16 = 5;

/// The secret key of a party for a function; some have a second one.
pub(crate) fn key(party: Party, function: Function, number: u8) -> SigningKey {
    let mut seed = [number; 32];
    let (kind, of_kind) = match party {
        Party::Member(MemberId(id)) => (0, id),
        Party::Body => (1, 0),
        Party::Adviser(place) => (2, place),
        Party::Executive => (3, 0),
        Party::Operator => (4, 0),
    };
    seed[0] = kind;
    seed[1..3].copy_from_slice(&of_kind.to_be_bytes());
    seed[3] = function as u8;
    SigningKey::from_bytes(&seed)
}

pub(crate) fn member(id: u16) -> Party {
    Party::Member(MemberId(id))
}

fn registered(party: Party, function: Function, number: u8) -> Key {
    let public = key(party, function, number).verifying_key().to_bytes();
    Key { function, public, from: NOW - 400 * DAY, until: NOW + 400 * DAY }
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(crate) fn held(prefix: &str, delegated: Option<u8>) -> Holding {
    Holding { prefix: prefix.parse().unwrap(), delegated }
}

/// Member 1 hands out /56 and has let member 2 have a /40 of its /32; the others have a /32 each.
fn holdings(id: u16) -> Vec<Holding> {
    let own = held(&format!("2a00:{id:x}::/32"), (id == 1).then_some(56));
    let more = (id == 2).then(|| held("2a00:1:ff00::/40", None));
    [own].into_iter().chain(more).collect()
}

pub(crate) fn registry() -> Registry {
    let functions = [Function::Rules, Function::Alerts, Function::Votes, Function::Decisions];
    let members = (1..=MEMBERS).map(|id| Member {
        id: MemberId(id),
        name: text(&format!("network {id}")),
        organisation: text(&format!("organisation {id}")),
        mandate_until: NOW + 300 * DAY,
        complaints: text("https://complaints.example/"),
        keys: functions
            .into_iter()
            .flat_map(|function| [1, 2].map(|number| registered(member(id), function, number)))
            .collect(),
        holdings: holdings(id),
    });
    let office = |name: &str, party, function| Office {
        organisation: text(name),
        keys: vec![registered(party, function, 1)],
    };
    Registry {
        version: 3,
        previous: Some(ActId([2; 32])),
        members: members.collect(),
        advisers: (0..3)
            .map(|place| office(&format!("institute {place}"), Party::Adviser(place), Function::Advice))
            .collect(),
        executive: office("executive", Party::Executive, Function::Execution),
        operator: office("operator", Party::Operator, Function::Operation),
        quorum: 3,
        advice_quorum: 2,
        operation_quorum: 1,
        revoked: Vec::new(),
    }
}

pub(crate) fn law() -> Law {
    law_with(registry())
}

pub(crate) fn law_with(registry: Registry) -> Law {
    Law {
        world: WORLD,
        is_example: false,
        registers: BTreeMap::from([(registry.version, Register::new(registry).unwrap())]),
        catalogues: BTreeMap::from([(1, Catalogue::first())]),
        supplements: BTreeMap::new(),
        standards: BTreeMap::from([(1, Standard::first())]),
        procedures: BTreeMap::from([(0, Procedure::first())]),
        adopted: BTreeMap::new(),
        protected: NeverBlock::new(["2a00:3:53::/48".parse().unwrap()]),
    }
}

/// What was accepted.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) acts: BTreeMap<ActId, Act>,
    pub(crate) numbers: BTreeMap<Party, u64>,
    pub(crate) hidden: bool,
}

impl Known {
    /// Takes an act as accepted, without its number, so that tests can make acts in any order.
    pub(crate) fn with(&mut self, act: impl Into<Act>) -> ActId {
        let object = Object::new(WORLD, act.into());
        let id = object.id();
        self.acts.insert(id, object.body);
        id
    }
}

impl Acts for Known {
    fn act(&self, id: &ActId) -> Option<&Act> {
        self.acts.get(id)
    }

    fn are_reports_hidden(&self) -> bool {
        self.hidden
    }

    /// By looking at every act there is, in the order in which they were made.
    fn citing(&self, id: &ActId) -> Vec<ActId> {
        let mut citing: Vec<_> = self.acts.iter().filter(|(_, act)| act.cites().contains(id)).collect();
        citing.sort_by_key(|(_, act)| act.preamble().issued);
        citing.into_iter().map(|(id, _)| *id).collect()
    }

    /// They are not known.
    fn vote_keys(&self, _id: &ActId) -> &[KeyId] {
        &[]
    }

    fn drafts(&self, rules: &ActId) -> Vec<ActId> {
        let proposes = |act: &Act| matches!(act, Act::Draft(draft) if act_id(&draft.rules) == *rules);
        self.acts.iter().filter(|(_, act)| proposes(act)).map(|(id, _)| *id).collect()
    }

    fn is_erased(&self, _id: &ActId) -> bool {
        false
    }

    /// When it was made.
    fn accepted_at(&self, id: &ActId) -> Option<u64> {
        Some(self.acts.get(id)?.preamble().issued)
    }

    fn last_number(&self, issuer: Party) -> u64 {
        self.numbers.get(&issuer).copied().unwrap_or(0)
    }

    /// None was made.
    fn last_manifest(&self, _issuer: Party) -> u64 {
        0
    }
}

pub(crate) fn preamble(issuer: Party, purpose: Purpose) -> Preamble {
    let issued = NOW - 60;
    Preamble { issuer, number: 10, issued, expires: issued + 7 * DAY, registry: 3, purpose }
}

pub(crate) fn block(prefix: &str) -> Block {
    Block { prefix: prefix.parse().unwrap(), learned: Learned::Default }
}

pub(crate) fn claim(prefix: &str) -> Claim {
    Claim {
        subject: block(prefix),
        item: Reason::Scanning as u16,
        catalogue: 1,
        standard: 1,
        evidence: EvidenceClass::Confirmed,
        seen_from: NOW - 2 * DAY,
        seen_until: NOW - DAY,
        commitment: [9; 32],
        repeats: None,
    }
}

pub(crate) fn rated(score: u16) -> Rating {
    Rating::of(Score::new(score).unwrap())
}

/// Member 1's alert about one of its sites.
pub(crate) fn own_alert() -> OwnAlert {
    OwnAlert {
        preamble: preamble(member(1), Purpose::Warning),
        claim: claim("2a00:1:2::/48"),
        rating: rated(300),
        measure: Measure::RateLimit,
    }
}

/// A member's report about a site of member 4's.
pub(crate) fn report(reporter: u16) -> Report {
    Report { preamble: preamble(member(reporter), Purpose::Warning), claim: claim("2a00:4:2::/48") }
}

/// The advisers' opinion on these reports.
pub(crate) fn opinion(mut reports: Vec<ActId>, finding: Finding) -> Opinion {
    reports.sort_unstable();
    Opinion { preamble: preamble(Party::Adviser(0), Purpose::Governance), reports, finding, reasons: [3; 32] }
}

/// A decision on reports by these members, with what it cites among what is `known`.
pub(crate) fn decision(known: &mut Known, reporters: &[u16], rating: Rating) -> Decision {
    let mut sources: Vec<_> = reporters
        .iter()
        .map(|&reporter| Source { report: known.with(report(reporter)), author: [reporter as u8; 32] })
        .collect();
    sources.sort_unstable_by_key(|source| source.report);
    let reports = sources.iter().map(|source| source.report).collect();
    Decision {
        preamble: preamble(Party::Body, Purpose::Governance),
        claim: claim("2a00:4:2::/48"),
        rating,
        measure: Measure::Drop,
        sources,
        opinion: known.with(opinion(reports, Finding::Supports)),
    }
}

/// Member 2's proposal to restrict the subject of such a decision.
pub(crate) fn proposal(known: &mut Known) -> Proposal {
    let decision = decision(known, &[1, 2], rated(100));
    Proposal {
        preamble: preamble(member(2), Purpose::Governance),
        decision: known.with(decision),
        subject: block("2a00:4:2::/48"),
        rating: rated(100),
        measure: Measure::Drop,
        closes: NOW + 3 * DAY,
    }
}

pub(crate) fn vote(by: u16, proposal: ActId, ballot: Ballot) -> Vote {
    Vote { preamble: preamble(member(by), Purpose::Governance), proposal, ballot }
}

/// The complaint of whoever has answered from inside a decision's subject.
pub(crate) fn complaint(against: ActId) -> Complaint {
    Complaint {
        preamble: preamble(Party::Operator, Purpose::Relief),
        against,
        subject: block("2a00:4:2:1::/64"),
        ground: Ground::Error,
        control: Control::Answered,
        commitment: [4; 32],
    }
}

/// Member 4 repairs the site that a decision is about.
pub(crate) fn repair(act: ActId) -> Repair {
    Repair {
        preamble: preamble(member(4), Purpose::Relief),
        subject: block("2a00:4:2::/48"),
        act,
        remedy: text("The machine was set up anew."),
        probation_until: NOW + 30 * DAY,
    }
}

/// Member 5 lays a second catalogue open for comment.
pub(crate) fn draft() -> Draft {
    let catalogue = Catalogue { version: 2, previous: Some(ActId([1; 32])), ..Catalogue::first() };
    let preamble = preamble(member(5), Purpose::Governance);
    Draft {
        preamble: Preamble { expires: NOW + 60 * DAY, ..preamble },
        reasons: text("Items have become too many."),
        rules: Object::new(WORLD, Rules::Catalogue(catalogue)).encode(),
        closes: NOW + 30 * DAY,
    }
}

/// An account of what was done by an act.
pub(crate) fn account(because: ActId) -> Applied {
    Applied {
        preamble: preamble(member(3), Purpose::Account),
        subject: block("2a00:4:2::/48"),
        measure: Measure::Drop,
        because,
        from: NOW - DAY,
        until: NOW,
        packets: 5,
        bytes: 300,
    }
}

/// What is kept no longer: an act of two years ago.
pub(crate) fn forgotten(known: &mut Known) -> ActId {
    let mut old = own_alert();
    let issued = NOW - 730 * DAY;
    (old.preamble.issued, old.preamble.expires) = (issued, issued + 7 * DAY);
    (old.claim.seen_from, old.claim.seen_until) = (issued - DAY, issued - DAY);
    known.with(old)
}

/// One act of each kind that stands, with what it refers to.
pub(crate) fn all(known: &mut Known) -> Vec<Act> {
    let decision = decision(known, &[1, 2, 3], rated(100));
    let decided = known.with(decision.clone());
    let complained = known.with(complaint(decided));
    let own = known.with(own_alert());
    let reported = known.with(report(1));
    let proposal = proposal(known);
    let proposed = known.with(proposal.clone());
    let (repaired, drafted) = (known.with(repair(decided)), known.with(draft()));
    let call = Call {
        preamble: preamble(member(2), Purpose::Warning),
        threat: Threat::Campaign,
        need: text("Capacity to filter at the border."),
    };
    let called = known.with(call.clone());
    let gone = forgotten(known);
    let relief = |issuer| preamble(issuer, Purpose::Relief);
    vec![
        own_alert().into(),
        report(2).into(),
        opinion(vec![reported], Finding::Insufficient).into(),
        decision.into(),
        proposal.into(),
        vote(4, proposed, Ballot::No).into(),
        account(decided).into(),
        Correction { preamble: relief(Party::Body), corrects: own, ground: Ground::Error, replacement: None }
            .into(),
        Lifting { preamble: relief(member(1)), lifts: own, ground: Ground::Remedied }.into(),
        Complaint { subject: block("2a00:4:2:2::/64"), ..complaint(decided) }.into(),
        Relief { preamble: relief(Party::Executive), complaint: complained, act: decided }.into(),
        Outcome {
            preamble: relief(Party::Body),
            complaint: complained,
            act: decided,
            stage: Stage::Adjudication,
            ruling: None,
            reasons: [5; 32],
        }
        .into(),
        Repair {
            preamble: relief(member(1)),
            subject: block("2a00:1:2::/48"),
            act: own,
            remedy: text("The machine was set up anew."),
            probation_until: NOW + 30 * DAY,
        }
        .into(),
        SecurityAlert {
            preamble: preamble(member(5), Purpose::Warning),
            threat: Threat::Campaign,
            title: text("A worm"),
            details: [6; 32],
        }
        .into(),
        Manifest {
            preamble: Preamble { expires: NOW + 3_000, ..preamble(Party::Body, Purpose::Governance) },
            count: 1,
            digest: [8; 32],
        }
        .into(),
        Confirmation { preamble: relief(member(3)), repair: repaired, commitment: [11; 32] }.into(),
        draft().into(),
        Comment {
            preamble: preamble(member(1), Purpose::Governance),
            draft: drafted,
            text: text("Two of them are one."),
        }
        .into(),
        call.into(),
        Answer {
            preamble: preamble(member(3), Purpose::Warning),
            call: called,
            text: text("Two gateways from noon on."),
        }
        .into(),
        Erasure {
            preamble: preamble(Party::Operator, Purpose::Account),
            acts: vec![gone],
            ground: Erased::Retention,
        }
        .into(),
    ]
}

/// The keys that an act takes: the issuer's, or those of as many seats or advisers as must sign.
pub(crate) fn signers(act: &Act) -> Vec<SigningKey> {
    let own = |function| vec![key(act.issuer(), function, 1)];
    match act.issuer() {
        Party::Member(_) if matches!(act, Act::Proposal(_) | Act::Vote(_)) => own(Function::Votes),
        Party::Member(_) if matches!(act, Act::Draft(_) | Act::Comment(_)) => own(Function::Rules),
        Party::Member(_) => own(Function::Alerts),
        Party::Body => (1..=3).map(|id| key(member(id), Function::Decisions, 1)).collect(),
        Party::Adviser(_) => [0, 1].map(|place| key(Party::Adviser(place), Function::Advice, 1)).into(),
        Party::Executive => own(Function::Execution),
        Party::Operator => own(Function::Operation),
    }
}

/// An act as its issuer sends it.
pub(crate) fn signed(act: impl Into<Act>) -> Signed {
    let act = act.into();
    let keys = signers(&act);
    Signed::with(Object::new(WORLD, act).encode(), &keys)
}

/// What becomes of an act that is signed as it must be.
pub(crate) fn examined(law: &Law, known: &Known, act: impl Into<Act>) -> Result<Accepted, Refusal> {
    law.examine(&signed(act), known, NOW)
}
