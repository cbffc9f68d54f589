mod cases;
mod evidence;

use std::collections::BTreeSet;

use cases::*;
use credence_credit::{EvidenceClass, Learned, Measure};
use credence_prefix::Prefix;

use super::*;
use crate::acts::{
    Applied, Ballot, Comment, Confirmation, Erased, Erasure, Finding, Ground, Lifting, Outcome, Relief,
    Ruling, Stage,
};
use crate::book::Book;
use crate::catalogue::SUPPLEMENT_FROM;
use crate::object::Extension;
use crate::party::{Function, KeyId};
use crate::procedure::Procedure;
use crate::world::{
    Known, MEMBERS, NOW, WORLD, account, all, block, claim, complaint, decision, draft, examined, forgotten,
    key, law, law_with, member, opinion, own_alert, preamble, proposal, rated, registry, repair, report,
    signed, signers, text, vote,
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

/// What a network did stays said when the act that it names is kept no longer.
#[test]
fn an_account_outlives_the_act_that_it_names() {
    let (law, gone) = (law(), ActId([9; 32]));
    let stands = |book: &Book| law.examine(&signed(account(gone)), book, NOW).map(drop);
    let mut book = Book::default();
    assert_eq!(stands(&book), Err(Refusal::UnknownAct));
    book.erase([gone]);
    assert_eq!(stands(&book), Ok(()));
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
