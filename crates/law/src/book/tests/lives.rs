//! What becomes of acts in time.

use super::*;
use crate::acts::{Answer, Call, Confirmation, Control, Erased, Erasure, OwnAlert, Repair, Threat};
use crate::cycle::{Matter, Turn, complaint as hearing, repair as repairing};
use crate::object::Object;
use crate::party::{Function, MemberId};
use crate::registry::Registry;
use crate::sign::Signed;
use crate::world::{WORLD, block, key, repair, signers};

const SITE: &str = "2a00:4:2::/48";

fn turn(platform: &Platform, matter: Matter) -> Option<(Turn, u64, bool)> {
    let due = platform.book.due(&platform.law, platform.now).into_iter().find(|due| due.matter == matter)?;
    Some((due.turn, due.until - NOW, due.is_overdue(platform.now)))
}

#[test]
fn a_complaint_goes_on_by_itself_and_says_who_is_late() {
    let mut platform = Platform::new();
    let act = platform.decide(100);
    let mut mine = complaint(act);
    mine.preamble.expires = NOW + 300 * DAY;
    let complained = platform.accept(mine);
    let body = Turn::Party(Party::Body);
    let mut expected = vec![(0, (body, 7 * DAY, false)), (6, (body, 7 * DAY, false))];
    expected.extend([(7, (Turn::Advisers, 21 * DAY, false)), (20, (Turn::Advisers, 21 * DAY, false))]);
    expected.extend([
        (21, (body, 35 * DAY, false)),
        (34, (body, 35 * DAY, false)),
        (35, (body, 35 * DAY, true)),
    ]);
    for (day, due) in expected {
        platform.now = NOW + day * DAY;
        assert_eq!(turn(&platform, Matter::Complaint), Some(due), "day {day}");
    }
    let record = platform.book.institution(&platform.law, platform.now);
    assert_eq!((record.complaints.open, record.complaints.overdue), (1, 1));
    let state = |platform: &Platform| platform.book.complaint(&platform.law, &complained, platform.now);
    assert_eq!(state(&platform), Some(hearing::State::Adjudication));
    platform.accept(outcome((complained, act), Some(Ruling::Upheld)));
    assert_eq!((state(&platform), turn(&platform, Matter::Complaint)), (Some(hearing::State::Upheld), None));
    let record = platform.book.institution(&platform.law, platform.now);
    assert_eq!((record.complaints.upheld, record.complaints.open, record.overturned_share()), (1, 0, 1_000));
    assert_eq!((record.heard_in.longest, record.corrected_in.median), (35 * DAY, 35 * DAY));
}

#[test]
fn an_issuer_that_agrees_needs_no_judge() {
    let mut platform = Platform::new();
    let act = platform.accept(own_alert());
    let mut mine = complaint(act);
    (mine.subject, mine.control) = (block("2a00:1:2:100::/56"), Control::Answered);
    let complained = platform.accept(mine);
    assert_eq!(turn(&platform, Matter::Complaint).map(|due| due.0), Some(Turn::Party(member(1))));
    let agreed = Outcome {
        preamble: relief(member(1)),
        stage: Stage::Consultation,
        ..outcome((complained, act), Some(Ruling::Upheld))
    };
    platform.accept(agreed);
    assert_eq!(platform.measure("2a00:1:2:100::1"), Measure::None);
}

#[test]
fn whoever_complains_can_stop_and_is_not_relieved_any_more() {
    let mut platform = Platform::new();
    let act = platform.decide(100);
    let lifts = platform.accept(complaint(act));
    assert_eq!(platform.measure(SUBJECT), Measure::RateLimit);
    platform.accept(Lifting { preamble: relief(Party::Operator), lifts, ground: Ground::Remedied });
    assert_eq!(platform.measure(SUBJECT), Measure::Drop);
    assert_eq!(platform.book.institution(&platform.law, platform.now).complaints.withdrawn, 1);
}

/// Once a second vote, or a late one, was entered and undid what all had agreed on.
#[test]
fn a_late_or_second_vote_is_refused_and_undoes_nothing() {
    let mut platform = Platform::new();
    let mut restriction = proposal(&mut Known::default());
    restriction.decision = platform.decide(100);
    let proposed = platform.accept(restriction);
    for by in 1..=4 {
        platform.accept(vote(by, proposed, Ballot::Yes));
    }
    assert_eq!(platform.hand_in(vote(1, proposed, Ballot::No)), Err(Refusal::StrayVote));
    platform.now += 3 * DAY;
    assert_eq!(platform.hand_in(vote(5, proposed, Ballot::No)), Err(Refusal::StrayVote));
    assert_eq!(platform.book.restrictions(&platform.law, platform.now), [proposed]);
}

/// The clock of votes and the count that gateways make by themselves agree, whoever votes what and when.
#[test]
fn an_agreement_is_one_by_the_count_that_gateways_make() {
    for pattern in 0..3_u32.pow(MEMBERS.into()) {
        let mut platform = Platform::new();
        let mut restriction = proposal(&mut Known::default());
        restriction.decision = platform.decide(100);
        let proposed = platform.accept(restriction.clone());
        for by in 1..=MEMBERS {
            match pattern / 3_u32.pow(u32::from(by) - 1) % 3 {
                0 => platform.accept(vote(by, proposed, Ballot::Yes)),
                1 => platform.accept(vote(by, proposed, Ballot::No)),
                // Silence.
                _ => continue,
            };
        }
        let votes = platform.book.citing(&proposed);
        let votes: Vec<_> = votes.iter().filter_map(|id| platform.book.accepted(id)).collect();
        for at in [NOW, NOW + 3 * DAY - 1, NOW + 3 * DAY] {
            let counted = platform.law.restriction(&proposed, &restriction, votes.iter().copied(), at);
            let agreed = !platform.book.restrictions(&platform.law, at).is_empty();
            assert_eq!(agreed, counted.is_ok(), "pattern {pattern} at {at}: {counted:?}");
        }
    }
}

/// The restrictions that a gateway finds, which takes no act that the law has something against now.
fn of_gateways(platform: &Platform) -> Vec<ActId> {
    let mut book = Book::of_public_acts();
    for accepted in platform.book.acts() {
        let second = key(accepted.act.issuer(), Function::Votes, 2);
        let is_second = accepted.keys == [KeyId::of(second.verifying_key().as_bytes())];
        let keys = if is_second { vec![second] } else { signers(&accepted.act) };
        let signed = Signed::with(Object::new(WORLD, accepted.act.clone()).encode(), &keys);
        if let Ok(accepted) = platform.law.examine(&signed, &book, platform.now) {
            book.enter(accepted);
        }
    }
    book.restrictions(&platform.law, platform.now)
}

/// Once the platform counted votes that gateways refuse: by a key that was revoked since, and of a member that has left.
#[test]
fn a_vote_counts_as_long_as_its_key_and_its_member_do() {
    let mut platform = Platform::new();
    let mut restriction = proposal(&mut Known::default());
    restriction.decision = platform.decide(100);
    let proposed = platform.accept(restriction);
    for by in 1..=MEMBERS {
        // Whoever has stolen member 1's key is against it.
        platform.accept(vote(by, proposed, if by == 1 { Ballot::No } else { Ballot::Yes }));
    }
    let agreed = |platform: &Platform| {
        let found = platform.book.restrictions(&platform.law, platform.now);
        assert_eq!(of_gateways(platform), found);
        found
    };
    let replace = |platform: &mut Platform, change: &dyn Fn(&mut Registry)| {
        let mut registry = platform.law.register().registry().clone();
        registry.version += 1;
        change(&mut registry);
        registry.revoked.sort_unstable();
        platform.law.registers.insert(registry.version, Register::new(registry).unwrap());
    };
    let revoke = |platform: &mut Platform, by: u16| {
        let stolen = KeyId::of(key(member(by), Function::Votes, 1).verifying_key().as_bytes());
        replace(platform, &|registry| registry.revoked.push(stolen));
    };
    let again = |platform: &mut Platform, by: u16, ballot| {
        platform.number += 1;
        let mut vote = vote(by, proposed, ballot);
        (vote.preamble.number, vote.preamble.issued) = (platform.number, platform.now);
        let key = key(member(by), Function::Votes, 2);
        let signed = Signed::with(Object::new(WORLD, Act::from(vote)).encode(), [&key]);
        let accepted = platform.law.submit(&signed, &platform.book, platform.now)?;
        platform.book.enter(accepted);
        Ok::<_, Refusal>(())
    };
    assert_eq!(agreed(&platform), [], "one is against it");
    assert_eq!(again(&mut platform, 1, Ballot::Yes), Err(Refusal::StrayVote), "it counts still");
    revoke(&mut platform, 1);
    assert_eq!(agreed(&platform), [], "there is time, and one has not voted");
    assert_eq!(again(&mut platform, 1, Ballot::Yes), Ok(()));
    assert_eq!(agreed(&platform), [proposed]);
    assert_eq!(again(&mut platform, 1, Ballot::No), Err(Refusal::StrayVote));
    [3, 4].into_iter().for_each(|by| revoke(&mut platform, by));
    assert_eq!(agreed(&platform), []);
    platform.now += 3 * DAY;
    assert_eq!(agreed(&platform), [], "three of five are too few");
    assert_eq!(again(&mut platform, 4, Ballot::Yes), Err(Refusal::StrayVote), "it is late");
    replace(&mut platform, &|registry| registry.members.retain(|member| member.id != MemberId(5)));
    assert_eq!(agreed(&platform), [], "who has left is not one of three in four");
}

/// What a subject whose credit is bad, and that mends its ways, gets back and when.
#[test]
fn credit_is_earned_back_in_two_parts() {
    let mut platform = Platform::new();
    let act = platform.decide(100);
    let score = |platform: &Platform| {
        let file = platform.book.file(&platform.law, SITE.parse().unwrap(), platform.now);
        file.assessment.rating.score().unwrap().value()
    };
    let terms = |platform: &Platform| {
        platform.book.file(&platform.law, SITE.parse().unwrap(), platform.now).assessment.terms.len()
    };
    let before = score(&platform);
    let mended = platform.accept(Repair { probation_until: NOW + 100 * DAY, ..repair(act) });
    assert_eq!(score(&platform), before, "nobody has seen it");
    platform.now += DAY;
    platform.accept(Confirmation { preamble: relief(member(2)), repair: mended, commitment: [0; 32] });
    let seen = score(&platform);
    assert!(seen > before + 100, "{seen} after {before}");
    assert_eq!((terms(&platform), turn(&platform, Matter::Repair).map(|due| due.1)), (2, Some(100 * DAY)));
    platform.now = NOW + 100 * DAY;
    let state = platform.book.repair(&platform.law, &mended, platform.now);
    assert_eq!((state, terms(&platform)), (Some(repairing::State::Restored), 3), "a clean record besides");
}

#[test]
fn a_relapse_takes_back_what_was_earned() {
    let mut platform = Platform::new();
    let act = platform.decide(100);
    let mended = platform.accept(repair(act));
    platform.accept(Confirmation { preamble: relief(member(2)), repair: mended, commitment: [0; 32] });
    platform.now += 2 * DAY;
    let again = platform.decide(100);
    let state = |platform: &Platform| platform.book.repair(&platform.law, &mended, platform.now);
    assert_eq!(state(&platform), Some(repairing::State::Relapsed));
    // That was an error, and so was the relapse.
    let correction = Correction {
        preamble: relief(Party::Body),
        corrects: again,
        ground: Ground::Error,
        replacement: None,
    };
    platform.accept(correction);
    assert_eq!(state(&platform), Some(repairing::State::Probation));
    platform.now = NOW + 32 * DAY;
    assert_eq!(state(&platform), Some(repairing::State::Restored));
}

#[test]
fn a_repair_that_nobody_sees_comes_to_nothing() {
    let mut platform = Platform::new();
    let act = platform.decide(100);
    let mended = platform.accept(repair(act));
    platform.now += 30 * DAY;
    assert_eq!(platform.book.repair(&platform.law, &mended, platform.now), Some(repairing::State::Lapsed));
}

#[test]
fn reports_wait_for_advisers_then_for_the_body_and_then_are_too_old() {
    let mut platform = Platform::new();
    let reported = platform.accept(report(1));
    assert_eq!(turn(&platform, Matter::Report), Some((Turn::Advisers, 7 * DAY, false)));
    platform.now += 8 * DAY;
    assert_eq!(turn(&platform, Matter::Report), Some((Turn::Advisers, 7 * DAY, true)));
    platform.accept(opinion(vec![reported], crate::acts::Finding::Supports));
    assert_eq!(turn(&platform, Matter::Report), Some((Turn::Party(Party::Body), 15 * DAY, false)));
    platform.now = NOW + 60 * DAY;
    assert_eq!(turn(&platform, Matter::Report), None);
    assert_eq!(platform.book.institution(&platform.law, platform.now).reports.lapsed, 1);
}

#[test]
fn an_alert_is_renewed_before_its_end_or_let_go() {
    let mut platform = Platform::new();
    let alert = OwnAlert {
        preamble: crate::acts::Preamble { expires: NOW + 20 * DAY, ..own_alert().preamble },
        ..own_alert()
    };
    platform.accept(alert);
    assert_eq!(turn(&platform, Matter::Renewal), None);
    platform.now += 14 * DAY;
    assert_eq!(turn(&platform, Matter::Renewal), Some((Turn::Party(member(1)), 20 * DAY, false)));
    platform.now += 6 * DAY;
    assert_eq!(turn(&platform, Matter::Renewal), None);
}

#[test]
fn a_call_for_help_is_answered_in_a_day_or_everybody_sees_that_it_was_not() {
    let mut platform = Platform::new();
    let call = Call {
        preamble: preamble(member(2), Purpose::Warning),
        threat: Threat::Campaign,
        need: text("Capacity."),
    };
    let called = platform.accept(call);
    assert_eq!(turn(&platform, Matter::Call), Some((Turn::Members, DAY, false)));
    platform.now += DAY;
    assert_eq!(turn(&platform, Matter::Call), Some((Turn::Members, DAY, true)));
    assert_eq!(platform.book.institution(&platform.law, platform.now).overdue, 1);
    let answer =
        Answer { preamble: preamble(member(3), Purpose::Warning), call: called, text: text("Two gateways.") };
    platform.accept(answer);
    assert_eq!(turn(&platform, Matter::Call), None);
}

/// After the payload of an affair is gone, nothing follows from it, and the rest is as it would be without.
#[test]
fn what_is_erased_leaves_the_book_that_it_was_never_in() {
    let mut platform = Platform::new();
    let decided = platform.decide(100);
    platform.accept(complaint(decided));
    let kept = platform.accept(own_alert());
    assert!(platform.book.erasable(&platform.law, platform.now).is_empty());
    platform.now += 800 * DAY;
    let gone = platform.book.erasable(&platform.law, platform.now);
    assert_eq!(gone.len(), 7, "three reports, an opinion, a decision, a complaint, an alert");
    let acts: Vec<_> = gone.iter().copied().filter(|id| *id != kept).collect();
    let some = Erasure {
        preamble: preamble(Party::Operator, Purpose::Account),
        acts: acts[1..].to_vec(),
        ground: Erased::Retention,
    };
    let mandates = platform.law.registers.remove(&3).unwrap().registry().clone();
    platform.law = law_with(later(mandates));
    assert_eq!(platform.hand_in(some.clone()), Err(Refusal::Kept), "one of them names another");
    let erasing = platform.accept(Erasure { acts: acts.clone(), ..some });
    let mut never = Book::default();
    let accepted: Vec<_> = platform.book.acts().cloned().collect();
    assert_eq!(accepted.iter().map(|accepted| accepted.id).collect::<Vec<_>>(), [kept, erasing]);
    never.erase(acts);
    accepted.into_iter().for_each(|accepted| never.enter(accepted));
    assert_eq!(format!("{:?}", never.about), format!("{:?}", platform.book.about));
    assert_eq!(
        (&never.numbers, &never.order, &never.ending),
        (&platform.book.numbers, &platform.book.order, &platform.book.ending)
    );
    assert_eq!(
        (&never.citing, &never.kinds, &never.erased),
        (&platform.book.citing, &platform.book.kinds, &platform.book.erased)
    );
}

/// The same registry with keys and mandates that last.
fn later(mut registry: Registry) -> Registry {
    let members = registry.members.iter_mut();
    let keys = members.flat_map(|member| {
        member.mandate_until = u64::MAX;
        member.keys.iter_mut()
    });
    keys.chain(&mut registry.operator.keys).for_each(|key| key.until = u64::MAX);
    registry
}

/// An exercise is as long as the real thing, and touches it nowhere.
#[test]
fn exercises_never_reach_an_ordinary_record() {
    let mut platform = Platform::new();
    let real = platform.accept(own_alert());
    let mut drills = Book::of_exercises();
    let drill = |act: &Act| {
        let mut object = Object::new(WORLD, act.clone());
        object.exercise = true;
        Signed::with(object.encode(), &signers(act))
    };
    let act = |known: &mut Known| Act::from(decision(known, &[1, 2, 3], rated(100)));
    let mut known = Known::default();
    let decision = act(&mut known);
    let mut before: Vec<_> = known.acts.into_values().chain([decision.clone()]).collect();
    before.sort_by_key(Act::kind);
    // Identities of a drill are its own: what cites them is written anew.
    let mut names = HashMap::new();
    for act in before {
        let ordinary = Object::new(WORLD, act.clone()).id();
        let act = renamed(act, &names);
        let accepted = platform.law.examine(&drill(&act), &drills, NOW).unwrap();
        assert_eq!(platform.law.examine(&drill(&act), &platform.book, NOW), Err(Refusal::Exercise));
        assert_eq!(platform.law.examine(&signed(act), &drills, NOW), Err(Refusal::Exercise));
        names.insert(ordinary, accepted.id);
        drills.enter(accepted);
    }
    let (_, records) = drills.records(&platform.law, NOW);
    assert_eq!(records.len(), 1, "the drill has its own feed");
    let (_, records) = platform.book.records(&platform.law, NOW);
    assert_eq!(records.iter().map(|record| record.act).collect::<Vec<_>>(), [Some(real.short())]);
    // Nothing real rests on a drill.
    let drilled = names.into_values().next().unwrap();
    let lifting = Lifting { preamble: relief(Party::Body), lifts: drilled, ground: Ground::Error };
    assert_eq!(platform.hand_in(lifting), Err(Refusal::UnknownAct));
}

/// An act that cites others by the names that they have among exercises.
fn renamed(act: Act, names: &HashMap<ActId, ActId>) -> Act {
    let name = |id: &mut ActId| *id = *names.get(id).unwrap_or(id);
    match act {
        Act::Opinion(mut opinion) => {
            opinion.reports.iter_mut().for_each(name);
            opinion.reports.sort_unstable();
            opinion.into()
        }
        Act::Decision(mut decision) => {
            decision.sources.iter_mut().for_each(|source| name(&mut source.report));
            decision.sources.sort_unstable_by_key(|source| source.report);
            name(&mut decision.opinion);
            decision.into()
        }
        act => act,
    }
}

/// Gateways cannot read complaints; what was relieved and corrected they learn from acts that name it.
#[test]
fn relief_and_outcome_reach_those_who_cannot_read_the_complaint() {
    let mut platform = Platform::new();
    let act = platform.decide(100);
    let complained = platform.accept(complaint(act));
    platform.accept(Relief { preamble: relief(Party::Executive), complaint: complained, act });
    let gateway = |platform: &Platform| {
        let mut book = Book::default();
        let public = platform.book.acts().filter(|accepted| !matches!(accepted.act, Act::Complaint(_)));
        public.cloned().for_each(|accepted| book.enter(accepted));
        book.state(&act, platform.now)
    };
    assert_eq!(gateway(&platform), Some(State::Relieved));
    platform.accept(outcome((complained, act), None));
    platform.accept(outcome((complained, act), Some(Ruling::Rejected)));
    assert_eq!(gateway(&platform), Some(State::InForce));
    platform.accept(Correction {
        preamble: relief(Party::Body),
        corrects: act,
        ground: Ground::Error,
        replacement: None,
    });
    assert_eq!(gateway(&platform), Some(State::Corrected));
}

/// An act as it is made at a moment, signed by all who must.
fn made(act: impl Into<Act>, number: u64, at: u64) -> Signed {
    let mut act = act.into();
    let preamble = act.preamble_mut();
    (preamble.number, preamble.issued, preamble.expires) = (number, at, at + 10 * DAY);
    signed(act)
}

/// Three seats are seldom at work within the same five minutes.
#[test]
fn what_several_sign_has_a_day_and_comes_in_any_order() {
    use crate::check::{JOINT_LASTS, SKEW};
    let mut platform = Platform::new();
    let (one, two) = (platform.decide(100), platform.decide(300));
    let own = platform.accept(own_alert());
    let begun = platform.now + 1_000;
    let lifts = |issuer, lifts| Lifting { preamble: relief(issuer), lifts, ground: Ground::Remedied };
    let submit = |platform: &Platform, signed: &Signed, after: u64| {
        platform.law.submit(signed, &platform.book, begun + after)
    };
    let bodys = made(lifts(Party::Body, one), 70, begun);
    let members = made(lifts(member(1), own), 1_000, begun);
    let reports = platform.book.of_kind(17).collect::<Vec<_>>();
    let mut opined = opinion(reports.clone(), crate::acts::Finding::Opposes);
    opined.reports.sort_unstable();
    let advisers = made(opined, 60, begun);
    let manifest = crate::acts::Manifest {
        preamble: preamble(Party::Body, Purpose::Governance),
        count: 0,
        digest: [0; 32],
    };
    let mut manifest = Act::from(manifest);
    let preamble = manifest.preamble_mut();
    (preamble.number, preamble.issued, preamble.expires) = (90, begun, begun + 3_600);
    let manifest = signed(manifest);
    for (signed, lasts) in
        [(&bodys, JOINT_LASTS), (&advisers, JOINT_LASTS), (&members, SKEW), (&manifest, SKEW)]
    {
        assert!(submit(&platform, signed, 0).is_ok() && submit(&platform, signed, lasts).is_ok());
        assert_eq!(submit(&platform, signed, lasts + 1), Err(Refusal::Stale));
    }

    // The one that was made later comes first.
    let later = made(lifts(Party::Body, two), 71, begun + 60);
    for signed in [&later, &bodys] {
        let taken = submit(&platform, signed, 5_000).unwrap();
        platform.book.enter(taken.clone());
        assert_eq!(submit(&platform, signed, 5_001), Err(Refusal::Replayed), "and each of them once");
        platform.book.erase([taken.id]);
        assert_eq!(submit(&platform, signed, 5_001), Err(Refusal::Replayed), "erased or not");
    }
}

/// Whoever has signed cannot have known what happened since.
#[test]
fn what_comes_late_is_refused_when_something_has_happened_since() {
    use crate::check::SKEW;
    let mut platform = Platform::new();
    let act = platform.decide(100);
    platform.now += 1_000;
    let lifting = Lifting { preamble: relief(Party::Body), lifts: act, ground: Ground::Remedied };
    let begun = platform.now;
    let bodys = made(lifting.clone(), 70, begun);
    let submit = |platform: &Platform, signed, at| platform.law.submit(signed, &platform.book, at).map(drop);
    assert_eq!(submit(&platform, &bodys, begun + 3_600), Ok(()));
    platform.now += 10;
    platform.accept(complaint(act));
    assert_eq!(submit(&platform, &bodys, begun + SKEW), Ok(()), "at once it is as it was for all");
    assert_eq!(submit(&platform, &bodys, begun + 3_600), Err(Refusal::Stale));
    let anew = made(lifting, 71, platform.now + 1);
    assert_eq!(submit(&platform, &anew, begun + 3_600), Ok(()), "who makes it anew knows of that");

    // Two decisions on the same reports: whoever comes late finds that it was decided. Its own opinion is no news to it.
    let mut platform = Platform::new();
    platform.now += 1_000;
    let begun = platform.now;
    let reports: Vec<_> = [1, 2].map(|by| platform.accept(report(by))).into();
    let opined = platform.accept(opinion(reports.clone(), crate::acts::Finding::Supports));
    let mut decided = decision(&mut Known::default(), &[1, 2], rated(300));
    for (source, report) in decided.sources.iter_mut().zip(&reports) {
        source.report = *report;
    }
    decided.sources.sort_unstable_by_key(|source| source.report);
    decided.opinion = opined;
    let [first, second] = [80, 81].map(|number| made(decided.clone(), number, begun));
    assert_eq!(submit(&platform, &second, begun + 3_600), Ok(()));
    let taken = platform.law.submit(&first, &platform.book, begun + 60).unwrap();
    platform.book.enter(taken);
    assert_eq!(submit(&platform, &second, begun + 3_600), Err(Refusal::Stale));
}
