use super::super::world::{NOW_MS, footing, key, law, scan};
use super::super::{Kept, Limits, Outcome, Receipt, Rule};
use super::*;

const REFUSED: Answer = Answer::Refused(Reason::Law(Refusal::UnknownKey));

/// An outbox with drafts of so many subjects, which are to be sent.
fn outbox(subjects: u32) -> Outbox {
    let (law, key) = (law(), key(1, 0));
    let mut outbox = Outbox::new(Rule::Automatic, Limits::default(), Kept::default());
    for subject in 0..subjects {
        let scan = scan(&format!("2a00:1:{subject:x}::1"), NOW_MS);
        assert_eq!(outbox.see(&scan, &footing(&law, &key, NOW_MS), [0; 32]), Outcome::Drafted);
    }
    outbox
}

/// The next turn that is not about the disk.
fn turn(outbox: &mut Outbox, now_ms: u64) -> Turn {
    let (law, key) = (law(), key(1, 0));
    loop {
        match outbox.turn(&footing(&law, &key, now_ms)) {
            Turn::Store => outbox.stored(),
            turn => return turn,
        }
    }
}

#[track_caller]
fn sent(outbox: &mut Outbox, now_ms: u64) -> (u64, ActId) {
    match turn(outbox, now_ms) {
        Turn::Send { draft, id, .. } => (draft, id),
        turn => panic!("{turn:?}"),
    }
}

fn state(outbox: &Outbox) -> &'static str {
    outbox.drafts().next().map_or("gone", |draft| draft.state.name())
}

/// The same after a crash.
fn restarted(outbox: &Outbox) -> Outbox {
    let kept = Kept {
        drafts: outbox.drafts().cloned().collect(),
        last_draft: outbox.last_draft,
        last_act: outbox.last_act,
        ..Kept::default()
    };
    Outbox::new(Rule::Automatic, Limits::default(), kept)
}

#[test]
fn the_same_bytes_are_sent_until_there_is_an_answer() {
    let mut outbox = outbox(1);
    let (draft, id) = sent(&mut outbox, NOW_MS);
    let mut now_ms = NOW_MS;
    for _ in 0..20 {
        outbox.answered(draft, Answer::Silence, now_ms, 0);
        let Turn::Rest { until_ms: Some(until_ms) } = turn(&mut outbox, now_ms) else { panic!("no pause") };
        assert!((now_ms + 500..=now_ms + PAUSE_MAX_MS).contains(&until_ms));
        now_ms = until_ms;
        outbox = restarted(&outbox);
        assert_eq!(sent(&mut outbox, now_ms), (draft, id));
    }
    let receipt = Receipt { id, place: 9, accepted: "then".to_owned() };
    outbox.answered(draft, Answer::Taken(receipt.clone()), now_ms, 0);
    assert_eq!(outbox.changes().drafts[0].state, State::Taken(receipt));
    assert_eq!(turn(&mut outbox, now_ms), Turn::Rest { until_ms: None });
}

#[test]
fn what_was_refused_at_once_is_signed_anew_when_that_can_help() {
    let mut outbox = outbox(1);
    let (draft, id) = sent(&mut outbox, NOW_MS);
    outbox.answered(draft, Answer::Refused(Reason::Law(Refusal::Stale)), NOW_MS, 0);
    let (_, next) = sent(&mut outbox, NOW_MS);
    assert_ne!(next, id);
    outbox.answered(draft, Answer::Refused(Reason::Law(Refusal::Protected)), NOW_MS, 0);
    assert_eq!(state(&outbox), "refused");
    assert_eq!(turn(&mut outbox, NOW_MS), Turn::Rest { until_ms: None });
    assert_eq!(outbox.tally().refusals().filter(|each| each.1 == 1).count(), 2);
}

#[track_caller]
fn check_doubt(mut outbox: Outbox, issued_ms: u64, reason: Refusal, after_s: u64, expected: &str) {
    let now_ms = issued_ms + after_s * 1_000;
    let (draft, _) = sent(&mut outbox, now_ms);
    outbox.answered(draft, Answer::Refused(Reason::Law(reason)), now_ms, 0);
    assert_eq!(state(&outbox), expected, "{reason:?} after {after_s} s");
}

/// A refusal says nothing of a try that went unanswered: that may still arrive.
#[test]
fn in_doubt_nothing_is_signed_anew_before_the_old_bytes_are_too_old() {
    let in_doubt = || {
        let mut outbox = outbox(1);
        let (draft, _) = sent(&mut outbox, NOW_MS);
        outbox.answered(draft, Answer::Silence, NOW_MS, 0);
        outbox
    };
    check_doubt(in_doubt(), NOW_MS, Refusal::UnknownKey, 10, "signed");
    check_doubt(in_doubt(), NOW_MS, Refusal::Stale, OVER_S - 1, "signed");
    check_doubt(in_doubt(), NOW_MS, Refusal::Stale, OVER_S, "ready");
    check_doubt(in_doubt(), NOW_MS, Refusal::Protected, OVER_S, "refused");
    check_doubt(in_doubt(), NOW_MS, Refusal::Replayed, 10, "ready");
}

/// Whether what was signed had been sent before the crash, nobody knows.
#[test]
fn after_a_restart_everything_signed_is_in_doubt() {
    let mut signed = outbox(1);
    sent(&mut signed, NOW_MS);
    check_doubt(restarted(&signed), NOW_MS, Refusal::UnknownKey, 10, "signed");
    check_doubt(restarted(&signed), NOW_MS, Refusal::UnknownKey, OVER_S, "ready");
}

#[test]
fn while_the_platform_is_away_hardly_anything_is_signed_and_little_is_asked() {
    let mut outbox = outbox(100);
    let (mut now_ms, mut asked) = (NOW_MS, 0);
    while now_ms < NOW_MS + 3_600_000 {
        match turn(&mut outbox, now_ms) {
            Turn::Send { draft, .. } => {
                asked += 1;
                outbox.answered(draft, Answer::Silence, now_ms, 77);
            }
            Turn::Rest { until_ms } => now_ms = until_ms.unwrap(),
            Turn::Store => unreachable!("it was stored"),
        }
    }
    let signed = outbox.drafts().filter(|draft| draft.state.name() == "signed").count();
    assert_eq!(signed, IN_FLIGHT_MAX);
    assert!((10..40).contains(&asked), "{asked}");
}

#[test]
fn one_that_never_gets_an_answer_does_not_hold_up_the_others() {
    let mut outbox = outbox(20);
    let mut now_ms = NOW_MS;
    while now_ms < NOW_MS + 600_000 {
        match turn(&mut outbox, now_ms) {
            Turn::Send { draft: 1, .. } => outbox.answered(1, Answer::Silence, now_ms, 5),
            Turn::Send { draft, id, .. } => {
                let receipt = Receipt { id, place: 0, accepted: String::new() };
                outbox.answered(draft, Answer::Taken(receipt), now_ms, 5);
            }
            Turn::Rest { until_ms } => now_ms = until_ms.unwrap(),
            Turn::Store => unreachable!("it was stored"),
        }
    }
    assert_eq!(outbox.drafts().map(|draft| draft.number).collect::<Vec<_>>(), [1]);
}

#[test]
fn the_platform_is_given_the_time_that_it_asks_for_up_to_an_hour() {
    for (asked, least) in [(7_000, 7_000), (u64::MAX, ASKED_MAX_MS)] {
        let mut outbox = outbox(1);
        let (draft, _) = sent(&mut outbox, NOW_MS);
        outbox.answered(draft, Answer::Later { wait_ms: Some(asked) }, NOW_MS, 0);
        let Turn::Rest { until_ms: Some(until_ms) } = turn(&mut outbox, NOW_MS) else { panic!("no pause") };
        assert!((least..=least + 1_500).contains(&(until_ms - NOW_MS)), "{until_ms}");
        // A clock that was set far back does not make it wait for years.
        sent(&mut outbox, NOW_MS - 365 * 86_400_000);
    }
}

#[test]
fn numbers_rise_with_the_time_and_leap_only_when_others_are_ahead_again_and_again() {
    let leaps: Vec<u64> = (0..7).map(leap_ms).collect();
    assert_eq!(leaps, [0, 0, 0, 0, 2_000, 4_000, 8_000]);
    assert!(leap_ms(u32::MAX) > 1 << 59);
    let mut outbox = outbox(3);
    for expected in 0..3 {
        let (draft, id) = sent(&mut outbox, NOW_MS);
        assert_eq!(outbox.last_act, NOW_MS + expected);
        outbox.answered(draft, Answer::Taken(Receipt { id, place: 0, accepted: String::new() }), NOW_MS, 0);
    }
}

#[test]
fn a_key_that_does_not_fit_loses_nothing() {
    let (law, wrong) = (law(), key(2, 0));
    let mut outbox = outbox(1);
    outbox.stored();
    let turn = outbox.turn(&footing(&law, &wrong, NOW_MS));
    assert!(matches!(turn, Turn::Rest { until_ms: Some(_) }), "{turn:?}");
    assert_eq!(outbox.tally().refusals().find(|each| each.1 > 0), Some(("wrong_signer", 1)));
    sent(&mut outbox, NOW_MS + 2_000);
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut outbox = outbox(1);
    outbox.stored();
    outbox.answered(1, REFUSED, NOW_MS, 0);
    outbox.answered(7, REFUSED, NOW_MS, 0);
    assert_eq!((state(&outbox), outbox.changes().drafts.len()), ("ready", 0));
}
