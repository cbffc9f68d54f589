//! For each refusal acts that meet it, and are otherwise good.

use super::*;

/// A change to something good, and the reason for which it is refused then.
pub(super) struct Case(pub(super) Refusal, pub(super) Box<dyn Fn(&mut Known) -> Signed>);

/// An act that is signed as it must be.
pub(super) fn case<A: Into<Act>>(refusal: Refusal, act: impl Fn(&mut Known) -> A + 'static) -> Case {
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

pub(super) fn cases_of_form() -> Vec<Case> {
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

pub(super) fn cases_of_time() -> Vec<Case> {
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

pub(super) fn cases_of_subjects() -> Vec<Case> {
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

pub(super) fn cases_of_claims() -> Vec<Case> {
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

pub(super) fn cases_of_decisions() -> Vec<Case> {
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

pub(super) fn cases_of_restrictions_and_relief() -> Vec<Case> {
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

pub(super) fn cases_of_hearings() -> Vec<Case> {
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

pub(super) fn cases_of_repairs_and_rules() -> Vec<Case> {
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
    // Member 3's keys are of later here.
    let accounted = |because, about: &str| Applied {
        preamble: preamble(member(2), Purpose::Account),
        subject: block(about),
        ..account(because)
    };
    vec![
        case(Refusal::OtherSubject, move |known| {
            let decision = decision(known, &[1, 2], rated(100));
            accounted(known.with(decision), "2a00:4:3::/48")
        }),
        // Not even for a part of what the act is about, which is no record's subject.
        case(Refusal::OtherSubject, move |known| {
            let decision = decision(known, &[1, 2], rated(100));
            accounted(known.with(decision), "2a00:4:2:1::/64")
        }),
        case(Refusal::UnknownAct, move |_| accounted(ActId([9; 32]), "2a00:4:2::/48")),
        // Nothing is done to anybody by a report.
        case(Refusal::UnknownAct, move |known| {
            let reported = known.with(report(1));
            accounted(reported, "2a00:4:2::/48")
        }),
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
