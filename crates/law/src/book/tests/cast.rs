//! The same story with other members in its parts.

use proptest::prelude::*;

use super::*;
use crate::acts::{Answer, Call, Confirmation, Report, Threat};
use crate::world::{block, repair};

/// What is to be seen of a story: what was refused, and how things stand in the end.
#[derive(Debug, PartialEq)]
struct Seen {
    refused: Vec<Option<Refusal>>,
    measures: Vec<Measure>,
    ratings: Vec<Rating>,
    clocks: Vec<(u64, &'static str)>,
    institution: Institution,
}

/// A story in which everybody has a part: alerts, reports, a decision, a restriction, a complaint, a repair, a call.
fn told(cast: Vec<u16>) -> Seen {
    let mut platform = Platform::with_cast(cast);
    let decided = platform.decide(100);
    let mut restriction = proposal(&mut Known::default());
    restriction.decision = decided;
    let proposed = platform.accept(restriction);
    let repaired = platform.accept(repair(decided));
    let call = Call {
        preamble: preamble(member(2), Purpose::Warning),
        threat: Threat::Malware,
        need: text("Hands."),
    };
    let called = platform.accept(call);
    let elsewhere =
        |by, prefix| Report { claim: Claim { subject: block(prefix), ..report(by).claim }, ..report(by) };
    let confirmed = |by| Confirmation { preamble: relief(member(by)), repair: repaired, commitment: [0; 32] };
    let answered =
        |by| Answer { preamble: preamble(member(by), Purpose::Warning), call: called, text: text("Here.") };
    let steps: Vec<Act> = vec![
        own_alert().into(),
        report(4).into(),
        report(5).into(),
        elsewhere(1, "2a00:2:1::/48").into(),
        elsewhere(2, "2a00:1:ff01::/48").into(),
        elsewhere(3, "2a00:1:fe00::/39").into(),
        vote(1, proposed, Ballot::Yes).into(),
        vote(4, proposed, Ballot::Abstain).into(),
        vote(2, proposed, Ballot::Yes).into(),
        vote(2, proposed, Ballot::No).into(),
        vote(3, proposed, Ballot::Yes).into(),
        vote(5, proposed, Ballot::Yes).into(),
        confirmed(4).into(),
        confirmed(2).into(),
        answered(2).into(),
        answered(5).into(),
        complaint(decided).into(),
        complaint(decided).into(),
    ];
    let refused = steps.into_iter().map(|act| platform.hand_in(act).err()).collect();
    platform.now += 2 * DAY;
    let subjects = ["2a00:1:2::/48", "2a00:4:2::/48", "2a00:2:1::/48"];
    let rating = |subject: &str| {
        platform.book.file(&platform.law, subject.parse().unwrap(), platform.now).assessment.rating
    };
    let due = platform.book.due(&platform.law, platform.now);
    let mut clocks: Vec<_> = due.iter().map(|due| (due.until, due.state)).collect();
    clocks.sort_unstable();
    Seen {
        refused,
        measures: ["2a00:1:2::1", SUBJECT, "2a00:2:1::1"].map(|addr| platform.measure(addr)).into(),
        ratings: subjects.map(rating).into(),
        clocks,
        institution: platform.book.institution(&platform.law, platform.now),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// No rule looks at a number, a name or a place in the registry: only at what a member holds, and says.
    #[test]
    fn whoever_plays_a_part_the_story_is_the_same(cast in Just((1..=MEMBERS).collect::<Vec<_>>()).prop_shuffle()) {
        prop_assert_eq!(told(cast), told((1..=MEMBERS).collect()));
    }
}

#[test]
fn the_story_has_refusals_and_effects_of_many_kinds() {
    let seen = told((1..=MEMBERS).collect());
    let expected = [
        None,
        Some(Refusal::OwnSubject),
        None,
        None,
        Some(Refusal::OwnSubject),
        Some(Refusal::SharedSpace),
        None,
        None,
        None,
        Some(Refusal::StrayVote),
        None,
        None,
        Some(Refusal::OwnMatter),
        None,
        Some(Refusal::OwnMatter),
        None,
        None,
        Some(Refusal::Heard),
    ];
    assert_eq!(seen.refused, expected);
    let measures = [Measure::RateLimit, Measure::Drop, Measure::None];
    assert_eq!(seen.measures, measures, "what all agreed on was not complained about");
    assert!(seen.clocks.len() > 5 && seen.ratings[0] != seen.ratings[1], "{seen:?}");
}
