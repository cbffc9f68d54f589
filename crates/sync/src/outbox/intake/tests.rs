use credence_credit::{Learned, Reason};
use credence_law::{Act, Law, Object, Signed};

use super::super::world::{NOW_MS, footing, key, law, scan};
use super::super::{Dispatch, Kept, Limits, Turn};
use super::*;

const OWN: &str = "2a00:1:0:1234::5";
const OTHER: &str = "2a00:2:0:1234::5";

fn outbox(rule: Rule) -> Outbox {
    Outbox::new(rule, Limits::default(), Kept::default())
}

fn see(outbox: &mut Outbox, law: &Law, sighting: &Sighting, now_ms: u64) -> Outcome {
    outbox.see(sighting, &footing(law, &key(1, 0), now_ms), [3; 32])
}

#[track_caller]
fn check(rule: Rule, source: &str, outcome: Outcome, draft: Option<(&str, &str, Learned, &str)>) {
    let mut outbox = outbox(rule);
    assert_eq!(see(&mut outbox, &law(), &scan(source, NOW_MS), NOW_MS), outcome, "{source}");
    let opened = outbox.drafts().next().map(|draft| {
        let subject = draft.subject.to_string();
        (draft.says.name(), subject, draft.learned, draft.state.name())
    });
    let opened =
        opened.as_ref().map(|(kind, subject, learned, state)| (*kind, subject.as_str(), *learned, *state));
    assert_eq!(opened, draft, "{source}");
}

#[test]
fn the_operators_rule_says_what_goes_out_by_itself() {
    let (own, other) = ("2a00:1:0:1200::/56", "2a00:2:0:1234::/64");
    let declared = |state| Some(("own_alert", own, Learned::Declared, state));
    let assumed = |state| Some(("report", other, Learned::Default, state));
    check(Rule::Off, OWN, Outcome::Off, None);
    check(Rule::Ask, OWN, Outcome::Drafted, declared("waiting"));
    check(Rule::Ask, OTHER, Outcome::Drafted, assumed("waiting"));
    check(Rule::Automatic, OWN, Outcome::Drafted, declared("ready"));
    check(Rule::Automatic, OTHER, Outcome::Drafted, assumed("waiting"));
}

#[test]
fn what_the_law_would_refuse_is_not_drafted() {
    let refused = |source, refusal| check(Rule::Ask, source, Outcome::Refused(refusal), None);
    refused("2a00:9::1", Refusal::Unheld);
    refused("fe80::1", Refusal::Unheld);
    refused("2001:db8::1", Refusal::Unheld);
    refused("2a00:3:53::1", Refusal::Protected);
    let mut sighting = scan(OWN, NOW_MS);
    sighting.seen = NOW_MS / 1_000 - 70 * DAY;
    let outcome = see(&mut outbox(Rule::Ask), &law(), &sighting, NOW_MS);
    assert_eq!(outcome, Outcome::Refused(Refusal::EvidenceAge));
}

#[test]
fn what_can_be_forged_or_is_allowed_or_is_nothing_stays_here() {
    let law = law();
    let with = |change: &dyn Fn(&mut Sighting)| {
        let mut sighting = scan(OWN, NOW_MS);
        change(&mut sighting);
        see(&mut outbox(Rule::Automatic), &law, &sighting, NOW_MS)
    };
    assert_eq!(with(&|it| it.confirmed = false), Outcome::Unconfirmed);
    assert_eq!(with(&|it| it.allowed = true), Outcome::Allowed);
    assert_eq!(with(&|it| it.reason = None), Outcome::Nothing);
    assert_eq!(with(&|it| it.reason = Some(Reason::Flooding)), Outcome::Drafted);
}

#[test]
fn many_alerts_of_one_subject_and_item_are_one_draft() {
    let (law, mut outbox) = (law(), outbox(Rule::Ask));
    let mut written = 0;
    for second in 0..600 {
        let mut sighting =
            scan(&format!("2a00:1:0:12{:02x}::{second:x}", second % 256), NOW_MS + second * 1_000);
        sighting.measure = if second == 300 { Measure::RateLimit } else { Measure::Mark };
        let outcome = see(&mut outbox, &law, &sighting, NOW_MS + second * 1_000);
        assert_eq!(outcome, if second == 0 { Outcome::Drafted } else { Outcome::Merged });
        written += outbox.changes().drafts.len();
        outbox.stored();
    }
    let seen = outbox.drafts().next().unwrap().says.seen().unwrap();
    let now = NOW_MS / 1_000;
    assert_eq!((seen.alerts, seen.from, seen.measure), (600, now, Measure::RateLimit));
    assert!((now + 540..now + 600).contains(&seen.until));
    assert!(seen.evidence.len() <= super::super::EVIDENCE_LEN_MAX && seen.evidence.lines().count() > 50);
    assert!(written < 100, "{written} times for 600 alerts");
    let mut other = scan(OWN, NOW_MS);
    other.reason = Some(Reason::Flooding);
    assert_eq!(see(&mut outbox, &law, &other, NOW_MS), Outcome::Drafted, "another item");
}

#[test]
fn a_finished_draft_is_enough_until_its_window_is_over_also_after_a_restart() {
    let (law, mut outbox) = (law(), outbox(Rule::Ask));
    see(&mut outbox, &law, &scan(OWN, NOW_MS), NOW_MS);
    outbox.drop(1).unwrap();
    let finished = outbox.changes().drafts[0].clone();
    outbox.stored();
    assert_eq!(outbox.drafts().count(), 0);
    let kept = Kept { drafts: vec![finished], last_draft: 1, ..Kept::default() };
    for mut outbox in [outbox, Outbox::new(Rule::Ask, Limits::default(), kept)] {
        let at = |after_s: u64| NOW_MS + after_s * 1_000;
        assert_eq!(see(&mut outbox, &law, &scan(OWN, at(DAY - 1)), at(DAY - 1)), Outcome::Merged);
        assert_eq!(see(&mut outbox, &law, &scan(OWN, at(DAY)), at(DAY)), Outcome::Drafted);
        assert_eq!(outbox.drafts().next().unwrap().number, 2);
    }
}

#[test]
fn there_are_so_many_drafts_a_day_and_so_many_in_all() {
    let law = law();
    let limits = Limits { drafts_max: 3, drafts_per_day: 5, ..Limits::default() };
    let mut outbox = Outbox::new(Rule::Ask, limits, Kept::default());
    let mut next = 0;
    let mut one_more = |outbox: &mut Outbox, now_ms| {
        next += 1;
        see(outbox, &law, &scan(&format!("2a00:1:{next:x}::1"), now_ms), now_ms)
    };
    for expected in [Outcome::Drafted, Outcome::Drafted, Outcome::Drafted, Outcome::Full] {
        assert_eq!(one_more(&mut outbox, NOW_MS), expected);
    }
    outbox.drop(2).unwrap();
    assert_eq!(one_more(&mut outbox, NOW_MS), Outcome::Drafted, "what is finished takes no room");
    outbox.drafts.get_mut(&1).unwrap().state = State::Refused { reason: "unheld".to_owned() };
    assert_eq!(one_more(&mut outbox, NOW_MS), Outcome::Drafted, "what was refused makes room");
    assert_eq!(outbox.drafts[&1].state, State::Dropped);
    outbox.drop(3).unwrap();
    assert_eq!(one_more(&mut outbox, NOW_MS), Outcome::Quota);
    let tomorrow = NOW_MS + DAY * 1_000;
    assert_eq!(one_more(&mut outbox, tomorrow), Outcome::Drafted);
}

#[test]
fn the_operator_changes_what_waits_within_the_law() {
    let (law, key) = (law(), key(1, 0));
    let footing = footing(&law, &key, NOW_MS);
    let mut outbox = outbox(Rule::Ask);
    let _ = see(&mut outbox, &law, &scan(OWN, NOW_MS), NOW_MS);
    let mut flood = scan(OWN, NOW_MS);
    flood.reason = Some(Reason::Flooding);
    let _ = see(&mut outbox, &law, &flood, NOW_MS);
    let item = |item: Reason| Edit { item: Some(item as u16), ..Edit::default() };
    assert_eq!(outbox.edit(1, item(Reason::Flooding), &footing), Err(Denied::Same(2)));
    assert_eq!(outbox.edit(1, item(Reason::SpamSource), &footing), Ok(()));
    let listed = outbox.edit(1, item(Reason::Listed), &footing);
    assert_eq!(listed, Err(Denied::Law(Refusal::OutsideCatalogue)));
    let harder = Edit { measure: Some(Measure::Drop), ..Edit::default() };
    assert_eq!(outbox.edit(1, harder, &footing), Err(Denied::Law(Refusal::MeasureTooHard)));
    let before = Edit { until: Some(1), ..Edit::default() };
    assert_eq!(outbox.edit(1, before, &footing), Err(Denied::Law(Refusal::EvidenceAge)));
    assert_eq!(outbox.drafts[&1].says.seen().unwrap().item, Reason::SpamSource as u16, "and nothing else");
    assert_eq!(
        see(&mut outbox, &law, &scan(OWN, NOW_MS), NOW_MS),
        Outcome::Drafted,
        "the item is free again"
    );
    assert_eq!(outbox.edit(9, Edit::default(), &footing), Err(Denied::NoDraft));
}

#[test]
fn what_may_have_been_sent_is_not_dropped_and_goes_out_as_it_is() {
    let (law, key) = (law(), key(1, 0));
    let mut outbox = outbox(Rule::Ask);
    let _ = see(&mut outbox, &law, &scan(OTHER, NOW_MS), NOW_MS);
    assert_eq!(outbox.send(1), Ok(()));
    assert_eq!(outbox.send(1), Err(Denied::State("ready")));
    outbox.stored();
    assert_eq!(outbox.turn(&footing(&law, &key, NOW_MS)), Turn::Store);
    assert_eq!(outbox.drop(1), Err(Denied::Signed));
    assert_eq!(outbox.send(1), Err(Denied::State("signed")));
    let State::Signed(Dispatch { bytes, .. }) = &outbox.drafts[&1].state else { panic!("it was signed") };
    let signed = Signed::decode(bytes).unwrap();
    let Act::Report(report) = Object::<Act>::decode(signed.bytes()).unwrap().body else { panic!("a report") };
    assert_eq!(report.claim.commitment, super::super::commitment(outbox.drafts[&1].says.seen().unwrap()));
    let at = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!at(b"scan") && !at(&[3; 32]), "neither the evidence nor its salt");
}

#[test]
fn what_nobody_decides_on_is_let_go() {
    let (law, key, mut outbox) = (law(), key(1, 0), outbox(Rule::Ask));
    let _ = see(&mut outbox, &law, &scan(OWN, NOW_MS), NOW_MS);
    outbox.stored();
    let at = |after_s: u64| NOW_MS + after_s * 1_000;
    assert_eq!(outbox.turn(&footing(&law, &key, at(PATIENCE_S))), Turn::Rest { until_ms: None });
    assert_eq!(outbox.turn(&footing(&law, &key, at(PATIENCE_S + 1))), Turn::Store);
    assert_eq!(outbox.drafts[&1].state, State::Dropped);
}
