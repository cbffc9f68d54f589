//! What may be said on which evidence, rule by rule.

use super::*;
use crate::acts::{Report, Source};

fn reported(change: impl FnOnce(&mut Report)) -> Result<(), Refusal> {
    let mut report = report(1);
    change(&mut report);
    examined(&law(), &Known::default(), report).map(drop)
}

#[test]
fn no_report_rests_on_evidence_older_than_sixty_days() {
    let seen = |days: u64, seconds: u64| {
        reported(|report| {
            report.claim.seen_from = 0;
            report.claim.seen_until = report.preamble.issued - days * DAY - seconds;
        })
    };
    assert_eq!((seen(60, 0), seen(60, 1)), (Ok(()), Err(Refusal::EvidenceAge)));
}

/// Whoever can forge a source address could otherwise have others' addresses blocked.
#[test]
fn what_can_be_forged_has_no_effect_beyond_the_network_that_saw_it() {
    let unconfirmed = |claim: &mut crate::acts::Claim| {
        (claim.item, claim.evidence) = (credence_credit::Reason::Flooding as u16, EvidenceClass::Unconfirmed);
    };
    assert_eq!(reported(|report| unconfirmed(&mut report.claim)), Err(Refusal::Forgeable));
    for measure in Measure::ALL {
        let mut alert = own_alert();
        unconfirmed(&mut alert.claim);
        alert.measure = measure;
        let taken = examined(&law(), &Known::default(), alert);
        assert_eq!(taken.is_err(), measure.constrains(), "{measure:?}");
        let mut known = Known::default();
        let mut decision = decision(&mut known, &[1, 2], rated(300));
        unconfirmed(&mut decision.claim);
        decision.measure = measure;
        assert_eq!(examined(&law(), &known, decision).is_err(), measure.constrains(), "{measure:?}");
    }
}

/// A claim that only repeats another is none; and a file is computed from items seen, never from ratings given.
#[test]
fn a_score_is_never_evidence_for_a_score() {
    let repeats = Some(ActId([1; 32]));
    assert_eq!(reported(|report| report.claim.repeats = repeats), Err(Refusal::Circular));
    let mut known = Known::default();
    let mut decision = decision(&mut known, &[1, 2], rated(300));
    decision.claim.repeats = repeats;
    assert_eq!(examined(&law(), &known, decision), Err(Refusal::Circular));
    let file = |score| {
        let mut alert = own_alert();
        alert.rating = rated(score);
        let accepted = examined(&law(), &Known::default(), alert.clone()).unwrap();
        let mut book = Book::default();
        book.enter(accepted);
        let assessment = book.file(&law(), alert.claim.subject.prefix, NOW).assessment;
        (assessment.rating, assessment.terms.len())
    };
    assert_eq!(file(10), file(900));
    assert_eq!(file(10).1, 1);
}

#[test]
fn no_decision_rests_on_one_reporter_alone() {
    let law = law();
    for reporters in [&[1_u16][..], &[1, 2], &[1, 2, 3]] {
        let mut known = Known::default();
        let decision = decision(&mut known, reporters, rated(300));
        let decided = examined(&law, &known, decision);
        assert_eq!(decided.is_ok(), reporters.len() >= SOURCES_MIN, "{reporters:?}: {decided:?}");
    }
    // Two reports of one member stay one source, whatever their commitments say.
    let mut known = Known::default();
    let mut decision = decision(&mut known, &[1, 2], rated(300));
    let mut again = report(1);
    again.preamble.number += 1;
    decision.sources =
        [known.with(report(1)), known.with(again)].map(|report| Source { report, author: report.0 }).into();
    decision.sources.sort_unstable_by_key(|source| source.report);
    let reports = decision.sources.iter().map(|source| source.report).collect();
    decision.opinion = known.with(opinion(reports, Finding::Supports));
    assert_eq!(examined(&law, &known, decision), Err(Refusal::OnlySource));
}

/// Where complaints cannot be read, what is published about them is believed on its signatures.
#[test]
fn a_relief_and_an_outcome_stand_where_their_complaint_is_hidden() {
    let mut known = Known::default();
    let decision = decision(&mut known, &[1, 2], rated(100));
    let act = known.with(decision);
    let complaint = ActId([9; 32]);
    let relief = Relief { preamble: preamble(Party::Executive, Purpose::Relief), complaint, act };
    let outcome = Outcome {
        preamble: preamble(Party::Body, Purpose::Relief),
        complaint,
        act,
        stage: Stage::Mediation,
        ruling: None,
        reasons: [0; 32],
    };
    let taken = |known: &Known| {
        let relieved = examined(&law(), known, relief.clone()).map(drop);
        (relieved, examined(&law(), known, outcome.clone()).map(drop))
    };
    assert_eq!(taken(&known), (Err(Refusal::UnknownAct), Err(Refusal::UnknownAct)));
    known.hidden = true;
    assert_eq!(taken(&known), (Ok(()), Ok(())));
}
