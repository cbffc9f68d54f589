mod evidence;

use std::collections::BTreeSet;

use credence_credit::{EvidenceClass, Learned, Measure};
use credence_prefix::Prefix;

use super::*;
use crate::acts::{
    Ballot, Comment, Confirmation, Erased, Erasure, Finding, Ground, Lifting, Outcome, Relief, Ruling, Stage,
};
use crate::catalogue::SUPPLEMENT_FROM;
use crate::object::Extension;
use crate::party::{Function, KeyId};
use crate::procedure::Procedure;
use crate::world::{
    Known, MEMBERS, NOW, WORLD, all, block, claim, complaint, decision, draft, examined, forgotten, key, law,
    law_with, member, opinion, own_alert, preamble, proposal, rated, registry, repair, report, signed,
    signers, text, vote,
};

#[test]
fn one_act_of_each_kind_stands() {
    let (law, mut known) = (law(), Known::default());
    let acts = all(&mut known);
    let kinds: BTreeSet<_> = acts.iter().map(crate::object::Body::kind).collect();
    assert_eq!((acts.len(), kinds.len()), (21, 21));
    for act in acts {
        let accepted = examined(&law, &known, act.clone());
        assert_eq!(accepted.map(|accepted| accepted.act), Ok(act));
    }
}

/// A change to something good, and the reason for which it is refused then.
struct Case(Refusal, Box<dyn Fn(&mut Known) -> Signed>);

/// An act that is signed as it must be.
fn case<A: Into<Act>>(refusal: Refusal, act: impl Fn(&mut Known) -> A + 'static) -> Case {
    Case(refusal, Box::new(move |known| signed(act(known))))
}

fn alert(refusal: Refusal, change: impl Fn(&mut crate::acts::OwnAlert) + 'static) -> Case {
    case(refusal, move |_| {
        let mut alert = own_alert();
        change(&mut alert);
        alert
    })
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn cases_of_form() -> Vec<Case> {
    let changed = |change: fn(&mut Object)| {
        let mut object = Object::new(WORLD, own_alert().into());
        change(&mut object);
        Signed::with(object.encode(), &signers(&object.body))
    };
    let by = |keys: Vec<ed25519_dalek::SigningKey>| {
        Signed::with(Object::new(WORLD, Act::from(own_alert())).encode(), &keys)
    };
    let of_form = |refusal, make: Box<dyn Fn(&mut Known) -> Signed>| Case(refusal, make);
    let alerts = |id| key(member(id), Function::Alerts, 1);
    vec![
        of_form(Refusal::Malformed, Box::new(move |_| Signed::with(b"CRED\x02".to_vec(), &[alerts(1)]))),
        of_form(
            Refusal::Critical,
            Box::new(move |_| {
                changed(|object| object.extensions = vec![Extension { number: 1 << 15, value: vec![] }])
            }),
        ),
        of_form(Refusal::World, Box::new(move |_| changed(|object| object.world = World([8; 32])))),
        of_form(Refusal::Exercise, Box::new(move |_| changed(|object| object.exercise = true))),
        of_form(
            Refusal::UnknownIssuer,
            Box::new(move |_| {
                let mut alert = own_alert();
                alert.preamble.issuer = member(77);
                Signed::with(Object::new(WORLD, Act::from(alert)).encode(), &[alerts(1)])
            }),
        ),
        of_form(Refusal::Unsigned, Box::new(move |_| by(vec![]))),
        of_form(Refusal::UnknownKey, Box::new(move |_| by(vec![key(member(9), Function::Alerts, 1)]))),
        of_form(
            Refusal::RevokedKey,
            Box::new(move |_| by(vec![alerts(1), key(member(1), Function::Alerts, 2)])),
        ),
        of_form(Refusal::WrongSigner, Box::new(move |_| by(vec![alerts(2)]))),
        of_form(Refusal::WrongSigner, Box::new(move |_| by(vec![alerts(1), alerts(2)]))),
        of_form(Refusal::WrongSigner, Box::new(move |_| by(vec![key(member(1), Function::Votes, 1)]))),
        of_form(
            Refusal::BadSignature,
            Box::new(move |_| {
                let mut bytes = by(vec![alerts(1)]).encode();
                *bytes.last_mut().unwrap() ^= 1;
                Signed::decode(&bytes).unwrap()
            }),
        ),
        of_form(
            Refusal::TooFewSignatures,
            Box::new(|known| {
                let decision = decision(known, &[1, 2], rated(300));
                let keys = [1, 2].map(|id| key(member(id), Function::Decisions, 1));
                Signed::with(Object::new(WORLD, Act::from(decision)).encode(), &keys)
            }),
        ),
        of_form(
            Refusal::TooFewSignatures,
            Box::new(|known| {
                let decision = decision(known, &[1, 2], rated(300));
                let keys =
                    [(1, 1), (1, 2), (2, 1)].map(|(id, number)| key(member(id), Function::Decisions, number));
                Signed::with(Object::new(WORLD, Act::from(decision)).encode(), &keys)
            }),
        ),
        of_form(
            Refusal::TooFewSignatures,
            Box::new(|known| {
                let opinion = opinion(vec![known.with(report(1))], Finding::Supports);
                let keys = [key(Party::Adviser(0), Function::Advice, 1)];
                Signed::with(Object::new(WORLD, Act::from(opinion)).encode(), &keys)
            }),
        ),
        // A member cannot speak for the body, whose keys it has in part.
        case(Refusal::WrongSigner, |_| Lifting {
            preamble: preamble(Party::Executive, Purpose::Relief),
            lifts: ActId([0; 32]),
            ground: Ground::Error,
        }),
    ]
}

fn cases_of_time() -> Vec<Case> {
    vec![
        case(Refusal::KeyTime, |_| report(3)),
        alert(Refusal::Registry, |alert| alert.preamble.registry = 2),
        alert(Refusal::Future, |alert| {
            alert.preamble.issued = NOW + SKEW + 1;
        }),
        alert(Refusal::Expired, |alert| alert.preamble.expires = NOW),
        alert(Refusal::Lifetime, |alert| alert.preamble.expires = alert.preamble.issued),
        alert(Refusal::Lifetime, |alert| alert.preamble.expires = alert.preamble.issued + 90 * DAY + 1),
        alert(Refusal::Lifetime, |alert| alert.preamble.expires = u64::MAX),
        alert(Refusal::Replayed, |alert| alert.preamble.number = 0),
        alert(Refusal::Stale, |alert| alert.preamble.issued = NOW - SKEW - 1),
        alert(Refusal::Purpose, |alert| alert.preamble.purpose = Purpose::Account),
        case(Refusal::Lifetime, |_| crate::acts::Manifest {
            preamble: Preamble { expires: NOW + HOUR, ..preamble(Party::Body, Purpose::Governance) },
            count: 0,
            digest: [0; 32],
        }),
    ]
}

fn cases_of_subjects() -> Vec<Case> {
    let about =
        |refusal, prefix: &'static str| alert(refusal, move |alert| alert.claim.subject = block(prefix));
    let mut cases = vec![
        about(Refusal::Reserved, "fd00::/48"),
        about(Refusal::Reserved, "2001:db8:1::/48"),
        about(Refusal::Reserved, "::/48"),
        about(Refusal::TooNarrow, "2a00:1:2::/57"),
        about(Refusal::TooNarrow, "2a00:1:2::1/128"),
        about(Refusal::Unheld, "2a00:77::/48"),
        about(Refusal::OutsideHoldings, "2a00:2:2::/48"),
        about(Refusal::OutsideHoldings, "2a00:1:ff01::/48"),
        about(Refusal::SharedSpace, "2a00:1:fe00::/39"),
        about(Refusal::TooFewSignatures, "2a00:1:4000::/47"),
        alert(Refusal::Delegation, |alert| alert.claim.subject.learned = Learned::Declared),
        case(Refusal::Protected, |_| {
            let mut report = report(1);
            report.claim.subject = block("2a00:3:53::/48");
            report
        }),
        case(Refusal::OwnSubject, |_| report(4)),
    ];
    // From the whole Internet to the widest that is too wide.
    cases.extend((0..32).map(|len| {
        alert(Refusal::TooWide, move |alert| {
            alert.claim.subject.prefix = Prefix::containing(prefix("2a00:1::/32").first(), len);
        })
    }));
    cases
}

fn cases_of_claims() -> Vec<Case> {
    vec![
        alert(Refusal::Rules, |alert| alert.claim.catalogue = 2),
        alert(Refusal::Rules, |alert| alert.claim.standard = 2),
        alert(Refusal::OutsideCatalogue, |alert| alert.claim.item = 9),
        alert(Refusal::OutsideCatalogue, |alert| alert.claim.item = SUPPLEMENT_FROM + 5),
        alert(Refusal::NotAbuse, |alert| {
            alert.claim.item = SUPPLEMENT_FROM;
            alert.measure = Measure::Observe;
        }),
        alert(Refusal::MeasureTooHard, |alert| alert.claim.item = SUPPLEMENT_FROM + 1),
        alert(Refusal::EvidenceClass, |alert| alert.claim.evidence = EvidenceClass::Declared),
        alert(Refusal::Forgeable, |alert| {
            alert.claim.item = credence_credit::Reason::Flooding as u16;
            alert.claim.evidence = EvidenceClass::Unconfirmed;
        }),
        case(Refusal::Forgeable, |_| {
            let mut report = report(1);
            report.claim.item = credence_credit::Reason::Flooding as u16;
            report.claim.evidence = EvidenceClass::Unconfirmed;
            report
        }),
        alert(Refusal::EvidenceAge, |alert| {
            alert.claim.seen_from = 0;
            alert.claim.seen_until = alert.preamble.issued - 60 * DAY - 1;
        }),
        alert(Refusal::EvidenceAge, |alert| alert.claim.seen_until = alert.preamble.issued + SKEW + 1),
        alert(Refusal::EvidenceAge, |alert| alert.claim.seen_from = alert.claim.seen_until + 1),
        alert(Refusal::Circular, |alert| alert.claim.repeats = Some(ActId([1; 32]))),
        case(Refusal::Circular, |_| {
            let mut report = report(1);
            report.claim.repeats = Some(ActId([1; 32]));
            report
        }),
        alert(Refusal::Rating, |alert| {
            alert.rating = credence_credit::Rating::Rated {
                score: credence_credit::Score::WORST,
                status: credence_credit::Status::Good,
            };
        }),
        alert(Refusal::MeasureTooHard, |alert| alert.measure = Measure::Drop),
    ]
}

fn cases_of_decisions() -> Vec<Case> {
    let deciding = |refusal, change: fn(&mut Known, &mut crate::acts::Decision)| {
        case(refusal, move |known| {
            let mut decision = decision(known, &[1, 2], rated(300));
            change(known, &mut decision);
            decision
        })
    };
    vec![
        deciding(Refusal::OnlySource, |_, decision| {
            decision.sources.truncate(1);
        }),
        deciding(Refusal::OnlySource, |_, decision| decision.sources[0].author = decision.sources[1].author),
        deciding(Refusal::OnlySource, |_, decision| decision.sources.clear()),
        // Two reports of one member, which claims to be two.
        case(Refusal::OnlySource, |known| {
            let mut decision = decision(known, &[1, 2], rated(300));
            let mut second = report(1);
            second.preamble.number += 1;
            let first = known.with(report(1));
            let place = decision.sources.iter().position(|source| source.report != first).unwrap();
            decision.sources[place].report = known.with(second);
            decision.sources.sort_unstable_by_key(|source| source.report);
            let reports = decision.sources.iter().map(|source| source.report).collect();
            decision.opinion = known.with(opinion(reports, Finding::Supports));
            decision
        }),
        deciding(Refusal::UnknownAct, |known, decision| {
            known.acts.remove(&decision.sources[0].report);
        }),
        deciding(Refusal::EvidenceAge, |known, decision| {
            let Some(Act::Report(report)) = known.acts.get_mut(&decision.sources[0].report) else {
                unreachable!()
            };
            report.preamble.issued = decision.preamble.issued - 60 * DAY - 1;
        }),
        deciding(Refusal::OtherSubject, |_, decision| decision.claim.subject = block("2a00:4:3::/48")),
        deciding(Refusal::NoOpinion, |_, decision| decision.opinion = ActId([0; 32])),
        deciding(Refusal::NoOpinion, |known, decision| decision.opinion = known.with(own_alert())),
        deciding(Refusal::NoOpinion, |known, decision| {
            decision.opinion = known.with(opinion(vec![decision.sources[0].report], Finding::Supports));
        }),
        deciding(Refusal::OpinionAgainst, |known, decision| {
            let reports = decision.sources.iter().map(|source| source.report).collect();
            decision.opinion = known.with(opinion(reports, Finding::Insufficient));
        }),
        deciding(Refusal::Circular, |_, decision| decision.claim.repeats = Some(ActId([1; 32]))),
        case(Refusal::UnknownAct, |_| opinion(vec![ActId([0; 32])], Finding::Supports)),
        case(Refusal::UnknownAct, |known| opinion(vec![known.with(own_alert())], Finding::Supports)),
        case(Refusal::UnknownAct, |_| opinion(vec![], Finding::Supports)),
    ]
}

fn cases_of_restrictions_and_relief() -> Vec<Case> {
    let proposing = |refusal, change: fn(&mut Known, &mut crate::acts::Proposal)| {
        case(refusal, move |known| {
            let mut proposal = proposal(known);
            change(known, &mut proposal);
            proposal
        })
    };
    vec![
        proposing(Refusal::NotWorst, |_, proposal| proposal.rating = rated(99)),
        proposing(Refusal::NotWorst, |known, proposal| {
            let decision = decision(known, &[1, 2], rated(150));
            (proposal.decision, proposal.rating) = (known.with(decision), rated(150));
        }),
        proposing(Refusal::UnknownAct, |_, proposal| proposal.decision = ActId([0; 32])),
        proposing(Refusal::OtherSubject, |_, proposal| proposal.subject = block("2a00:4:3::/48")),
        proposing(Refusal::TooWide, |_, proposal| proposal.subject = block("2a00:4:2::/47")),
        proposing(Refusal::Voting, |_, proposal| proposal.closes = proposal.preamble.issued + 3 * DAY - 1),
        proposing(Refusal::Voting, |_, proposal| proposal.closes = proposal.preamble.expires),
        case(Refusal::UnknownAct, |known| vote(1, known.with(own_alert()), Ballot::Yes)),
        case(Refusal::NotTheirs, |known| Lifting {
            preamble: preamble(member(2), Purpose::Relief),
            lifts: known.with(own_alert()),
            ground: Ground::Error,
        }),
        case(Refusal::OtherSubject, |known| {
            let mut complaint = complaint(known.with(own_alert()));
            complaint.subject = block("2a00:1:3::/64");
            complaint
        }),
        case(Refusal::NoRelief, |known| {
            let act = known.with(own_alert());
            let mut complaint = complaint(act);
            complaint.subject = block("2a00:1:2::/64");
            let complaint = known.with(complaint);
            Relief { preamble: preamble(Party::Executive, Purpose::Relief), complaint, act }
        }),
        case(Refusal::NoRelief, |known| {
            let decision = decision(known, &[1, 2], rated(100));
            let act = known.with(decision);
            let complaint = known.with(complaint(act));
            let relief = Relief { preamble: preamble(Party::Executive, Purpose::Relief), complaint, act };
            known.with(relief.clone());
            relief
        }),
    ]
}

/// The body's word on a complaint about a decision.
fn outcome(known: &mut Known, stage: Stage, ruling: Option<Ruling>) -> Outcome {
    let decision = decision(known, &[1, 2], rated(100));
    let act = known.with(decision);
    let complaint = known.with(complaint(act));
    Outcome {
        preamble: preamble(Party::Body, Purpose::Relief),
        complaint,
        act,
        stage,
        ruling,
        reasons: [5; 32],
    }
}

fn cases_of_hearings() -> Vec<Case> {
    let stage = |stage, ruling| case(Refusal::Stage, move |known| outcome(known, stage, ruling));
    vec![
        stage(Stage::Consultation, None),
        stage(Stage::Adjudication, Some(Ruling::Rejected)),
        stage(Stage::Consultation, Some(Ruling::Rejected)),
        case(Refusal::Stage, |known| {
            let ended = outcome(known, Stage::Consultation, Some(Ruling::Settled));
            known.with(ended.clone());
            outcome(known, Stage::Adjudication, None)
        }),
        case(Refusal::OtherSubject, |known| Outcome {
            act: known.with(own_alert()),
            ..outcome(known, Stage::Mediation, None)
        }),
        // The member whose alert it is can settle, and not judge; and another member has no word in it.
        case(Refusal::NotTheirs, |known| settled_by(known, 1, None)),
        case(Refusal::NotTheirs, |known| settled_by(known, 1, Some(Ruling::Rejected))),
        case(Refusal::NotTheirs, |known| settled_by(known, 2, Some(Ruling::Upheld))),
        case(Refusal::Heard, |known| {
            let heard = outcome(known, Stage::Mediation, None);
            let mut again = complaint(heard.act);
            again.preamble.number += 1;
            again
        }),
        case(Refusal::Heard, |known| {
            let heard = outcome(known, Stage::Mediation, None);
            for number in 0..COMPLAINTS_MAX as u128 {
                let mut complaint = complaint(heard.act);
                let first = complaint.subject.prefix.first() + (number << 64);
                complaint.subject.prefix = Prefix::containing(first, 64);
                known.with(complaint);
            }
            let mut late = complaint(heard.act);
            late.subject = block("2a00:4:2:ff00::/64");
            late
        }),
        case(Refusal::NotTheirs, |known| {
            let lifts = outcome(known, Stage::Mediation, None).complaint;
            Lifting { preamble: preamble(Party::Body, Purpose::Relief), lifts, ground: Ground::Error }
        }),
    ]
}

/// A member's word on a complaint about member 1's alert.
fn settled_by(known: &mut Known, by: u16, ruling: Option<Ruling>) -> Outcome {
    let act = known.with(own_alert());
    let mut complaint = complaint(act);
    complaint.subject = block("2a00:1:2::/56");
    let complaint = known.with(complaint);
    let preamble = preamble(member(by), Purpose::Relief);
    Outcome { preamble, complaint, act, stage: Stage::Consultation, ruling, reasons: [5; 32] }
}

fn cases_of_repairs_and_rules() -> Vec<Case> {
    let repaired = |known: &mut Known| {
        let decision = decision(known, &[1, 2], rated(100));
        repair(known.with(decision))
    };
    let drafting = |refusal, change: fn(&mut crate::acts::Draft)| {
        case(refusal, move |_| {
            let mut draft = draft();
            (draft.preamble.issuer, draft.preamble.registry) = (member(1), 3);
            change(&mut draft);
            draft
        })
    };
    let erasing =
        |acts: Vec<ActId>, by, ground| Erasure { preamble: preamble(by, Purpose::Account), acts, ground };
    vec![
        case(Refusal::Probation, move |known| {
            let mut repair = repaired(known);
            repair.probation_until = repair.preamble.issued + 30 * DAY - 1;
            repair
        }),
        case(Refusal::OwnMatter, move |known| {
            let repair = repaired(known);
            let repair = known.with(repair);
            Confirmation { preamble: preamble(member(4), Purpose::Relief), repair, commitment: [0; 32] }
        }),
        drafting(Refusal::CommentTime, |draft| draft.closes = draft.preamble.issued + 30 * DAY - 1),
        drafting(Refusal::CommentTime, |draft| draft.closes = draft.preamble.expires),
        drafting(Refusal::Rules, |draft| {
            draft.rules = Object::new(WORLD, crate::Rules::Registry(registry())).encode();
        }),
        drafting(Refusal::World, |draft| {
            draft.rules = Object::new(World([8; 32]), crate::Rules::Procedure(Procedure::first())).encode();
        }),
        drafting(Refusal::Malformed, |draft| draft.rules.truncate(40)),
        case(Refusal::CommentTime, |known| {
            let mut draft = draft();
            draft.closes = NOW - 60;
            let draft = known.with(draft);
            let preamble = preamble(member(1), Purpose::Governance);
            Comment { preamble, draft, text: text("I am late.") }
        }),
        case(Refusal::Kept, move |known| {
            erasing(vec![known.with(own_alert())], Party::Operator, Erased::Retention)
        }),
        case(Refusal::Kept, move |_| erasing(vec![], Party::Operator, Erased::Retention)),
        case(Refusal::Kept, move |known| erasing(vec![forgotten(known)], Party::Operator, Erased::Claim)),
        case(Refusal::Kept, move |known| erasing(vec![known.with(draft())], Party::Body, Erased::Claim)),
        // Others rest on it.
        case(Refusal::Kept, move |known| {
            let heard = outcome(known, Stage::Mediation, None);
            erasing(vec![heard.act], Party::Body, Erased::Claim)
        }),
        case(Refusal::StrayVote, |known| {
            let proposal = proposal(known);
            let proposal = known.with(proposal);
            known.with(vote(1, proposal, Ballot::Yes));
            let mut second = vote(1, proposal, Ballot::No);
            second.preamble.number += 1;
            second
        }),
    ]
}

/// A law in which member 1 has items of its own and a key that was revoked, member 3's keys for alerts are valid from now on, and member 5's mandate has ended.
fn law_of_cases() -> Law {
    let mut registry = registry();
    registry.members[4].mandate_until = NOW - DAY;
    registry.revoked = vec![KeyId::of(key(member(1), Function::Alerts, 2).verifying_key().as_bytes())];
    let alerts = registry.members[2].keys.iter_mut().filter(|key| key.function == Function::Alerts);
    alerts.for_each(|key| key.from = NOW);
    let mut law = law_with(registry);
    let mut items = vec![law.catalogues[&1].items[0].clone(), law.catalogues[&1].items[0].clone()];
    (items[0].number, items[0].is_technical, items[1].number) = (SUPPLEMENT_FROM, false, SUPPLEMENT_FROM + 1);
    let supplement = Supplement { member: MemberId(1), version: 1, items };
    law.supplements.insert(MemberId(1), supplement);
    law
}

#[test]
fn each_refusal_is_met_by_an_act_that_is_otherwise_good() {
    let law = law_of_cases();
    let mandate = case(Refusal::Mandate, |_| {
        let mut alert = own_alert();
        (alert.preamble.issuer, alert.claim.subject) = (member(5), block("2a00:5:2::/48"));
        alert
    });
    let cases = [
        cases_of_form(),
        cases_of_time(),
        cases_of_subjects(),
        cases_of_claims(),
        cases_of_decisions(),
        cases_of_restrictions_and_relief(),
        cases_of_hearings(),
        cases_of_repairs_and_rules(),
        vec![mandate],
    ];
    let mut met = BTreeSet::new();
    for (number, Case(expected, make)) in cases.into_iter().flatten().enumerate() {
        let mut known = Known::default();
        let signed = make(&mut known);
        let refused = law.submit(&signed, &known, NOW).err();
        assert_eq!(refused, Some(expected), "case {number}");
        met.insert(expected);
    }
    // Those that no single act can meet.
    let elsewhere = [Refusal::VoteAgainst, Refusal::TooFewYes];
    let missing: Vec<_> = Refusal::ALL
        .iter()
        .filter(|refusal| !met.contains(refusal) && !elsewhere.contains(refusal))
        .collect();
    assert!(missing.is_empty(), "no case meets {missing:?}");
}

/// What becomes of a proposal with these votes at a time.
fn restricted(votes: &[(u16, Ballot)], at: u64) -> Result<(usize, usize), Refusal> {
    let (law, mut known) = (law(), Known::default());
    let proposal = proposal(&mut known);
    let id = known.with(proposal.clone());
    let votes: Vec<_> =
        votes.iter().map(|&(by, ballot)| examined(&law, &known, vote(by, id, ballot)).unwrap()).collect();
    let tally = law.restriction(&id, &proposal, &votes, at)?;
    Ok((tally.yes, tally.abstained))
}

#[test]
fn a_restriction_takes_two_thirds_and_nobody_against() {
    use Ballot::{Abstain, No, Yes};
    let (open, closed) = (NOW, NOW + 3 * DAY);
    let yes = |count: u16| (1..=count).map(|by| (by, Yes)).collect::<Vec<_>>();
    assert_eq!(restricted(&yes(4), closed), Ok((4, 1)), "silence is abstention once the time has passed");
    assert_eq!(restricted(&yes(4), open), Err(Refusal::Voting), "and not before");
    assert_eq!(restricted(&yes(MEMBERS), open), Ok((5, 0)), "nobody needs to wait when all have voted");
    assert_eq!(restricted(&yes(3), closed), Err(Refusal::TooFewYes));
    assert_eq!(restricted(&[], closed), Err(Refusal::TooFewYes));
    let mut against = yes(4);
    against.push((5, No));
    assert_eq!(restricted(&against, open), Err(Refusal::VoteAgainst));
    against[4].1 = Abstain;
    assert_eq!(restricted(&against, open), Ok((4, 1)));
    assert_eq!(restricted(&[(1, Yes), (1, No)], closed), Err(Refusal::StrayVote));
}

#[test]
fn votes_about_something_else_or_too_late_do_not_count() {
    let (law, mut known) = (law(), Known::default());
    let proposal = proposal(&mut known);
    let id = known.with(proposal.clone());
    let accept = |known: &Known, act: Act| examined(&law, known, act).unwrap();
    let good = accept(&known, vote(1, id, Ballot::Yes).into());
    let mut other = proposal.clone();
    other.preamble.number += 1;
    let other = known.with(other);
    let stray = accept(&known, vote(1, other, Ballot::Yes).into());
    let mut late = vote(1, id, Ballot::Yes);
    late.preamble.issued = proposal.closes;
    late.preamble.expires = proposal.closes + DAY;
    let refused = law.examine(&signed(late.clone()), &known, proposal.closes);
    assert_eq!(refused, Err(Refusal::StrayVote), "nobody enters what could undo an agreement");
    let late = Accepted { act: late.into(), ..good.clone() };
    let none = accept(&known, own_alert().into());
    for vote in [stray, late, none] {
        let result = law.restriction(&id, &proposal, [&good, &vote], proposal.closes);
        assert_eq!(result, Err(Refusal::StrayVote));
    }
}

/// Gateways are not told who reported whom; they believe what the coordinating body has signed.
#[test]
fn a_decision_stands_where_its_reports_are_hidden() {
    let (law, mut known) = (law(), Known::default());
    let decision = decision(&mut known, &[1, 2], rated(300));
    let Some(Act::Opinion(opinion)) = known.acts.get(&decision.opinion).cloned() else { unreachable!() };
    known.acts.retain(|_, act| !matches!(act, Act::Report(_)));
    assert_eq!(examined(&law, &known, decision.clone()), Err(Refusal::UnknownAct));
    known.hidden = true;
    assert!(examined(&law, &known, opinion).is_ok() && examined(&law, &known, decision.clone()).is_ok());
    let mut alone = decision;
    alone.sources[0].author = alone.sources[1].author;
    assert_eq!(examined(&law, &known, alone), Err(Refusal::OnlySource));
}

/// Whatever fewer seats than the quorum sign, nothing is decided; and one organisation with many seats is one.
#[test]
fn below_the_quorum_nobody_decides_anything() {
    let mut registry = registry();
    let name = registry.members[0].organisation.clone();
    registry.members[1].organisation = name;
    let law = law_with(registry);
    let mut known = Known::default();
    let decision = decision(&mut known, &[1, 2], rated(100));
    let bytes = Object::new(WORLD, Act::from(decision)).encode();
    for seats in 1_u8..32 {
        let ids: Vec<u16> = (0..5).filter(|bit| seats & 1 << bit != 0).map(|bit| bit + 1).collect();
        let keys: Vec<_> = ids.iter().map(|&id| key(member(id), Function::Decisions, 1)).collect();
        let organisations = ids.len() - usize::from(ids.starts_with(&[1, 2]));
        let decided = law.examine(&Signed::with(bytes.clone(), &keys), &known, NOW);
        assert_eq!(decided.is_ok(), organisations >= 3, "{ids:?}: {decided:?}");
    }
}

#[test]
fn an_act_is_handed_in_once() {
    let (law, mut known) = (law(), Known::default());
    let submitted = |known: &Known| law.submit(&signed(own_alert()), known, NOW).map(drop);
    known.numbers.insert(member(1), 9);
    assert_eq!(submitted(&known), Ok(()));
    known.numbers.insert(member(1), 10);
    assert_eq!(submitted(&known), Err(Refusal::Replayed));
    assert!(examined(&law, &known, own_alert()).is_ok(), "a feed brings acts again and again");
}

#[test]
fn addresses_for_examples_are_real_in_example_worlds_alone() {
    let mut registry = registry();
    registry.members[0].holdings.insert(0, crate::world::held("2001:db8::/32", None));
    let mut law = law_with(registry);
    let mut alert = own_alert();
    alert.claim = claim("2001:db8:1::/48");
    assert_eq!(examined(&law, &Known::default(), alert.clone()), Err(Refusal::Reserved));
    law.is_example = true;
    assert!(examined(&law, &Known::default(), alert).is_ok());
}
