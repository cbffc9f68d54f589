use credence_credit::{Authority, EvidenceClass, Measure, Rating, Score};
use credence_flow::{Aggregates, Anomalies, Anomaly, Behaviour, Delta, Level};
use proptest::prelude::*;

use super::*;
use crate::{Ladder, PolicyError};

fn facts() -> Facts {
    Facts { standing: Standing::UNKNOWN, confirmed: false, anomalies: Anomalies::NONE, behaviour: [None; 4] }
}

fn rated(score: u16) -> Standing {
    Standing { rating: Rating::of(Score::new(score).expect("a score")), ..Standing::UNKNOWN }
}

fn ruled(authority: Authority, measure: Measure) -> Standing {
    let ruling = Ruling { measure, authority, evidence: EvidenceClass::Confirmed };
    Standing { ruling: Some(ruling), ..Standing::UNKNOWN }
}

fn odd(anomalies: &[Anomaly]) -> Anomalies {
    let mut set = Anomalies::NONE;
    for &anomaly in anomalies {
        set.insert(anomaly);
    }
    set
}

/// A source that tries 311 targets and ports and gets no answers.
fn scan() -> Behaviour {
    Behaviour {
        packets: 400,
        flows: 400,
        openings: 400,
        unanswered: 400,
        targets: 311,
        ports: 311,
        ..Behaviour::default()
    }
}

fn shown(facts: &Facts) -> String {
    let a = assess(facts, &Policy::default());
    let mut text = format!("{} {} by {}\n", a.score, a.verdict.name(), a.basis.name());
    for t in a.terms.as_slice() {
        let of = t.level.map_or(String::new(), |l| format!(" of the /{}", l.prefix_len()));
        text += &format!("{:>6} {} ({}{of})\n", t.points, t.rule.name(), t.measured);
    }
    text
}

/// Pins whole assessments: a change of any number of the arithmetic shows here, and then [`RULES`](crate::RULES) changes.
#[test]
fn golden_assessments() {
    let at = |i: usize, b: Behaviour| std::array::from_fn(|level| (level == i).then_some(b));
    let evader = odd(&[
        Anomaly::FragmentOverlap,
        Anomaly::HopByHopNotFirst,
        Anomaly::TcpNull,
        Anomaly::FragmentAtomic,
    ]);
    let cases = [
        ("unrated and quiet", facts()),
        ("good credit", Facts { standing: rated(900), ..facts() }),
        ("poor credit", Facts { standing: rated(180), ..facts() }),
        ("an evader", Facts { anomalies: evader, ..facts() }),
        ("a confirmed evader", Facts { anomalies: evader, confirmed: true, ..facts() }),
        ("every anomaly", Facts { anomalies: odd(Anomaly::ALL), ..facts() }),
        ("a scan from one address", Facts { behaviour: at(0, scan()), ..facts() }),
        ("a scan over a /64", Facts { behaviour: at(1, scan()), ..facts() }),
        ("a scan somewhere in the /48", Facts { behaviour: at(2, scan()), ..facts() }),
        ("a confirmed flow of a scanner", Facts { behaviour: at(0, scan()), confirmed: true, ..facts() }),
        ("a flood", {
            let flood = Behaviour { packets: 1_000_000, flows: 1_000_000, ..Behaviour::default() };
            Facts { behaviour: at(0, flood), ..facts() }
        }),
        ("a good source that scans", Facts { standing: rated(950), behaviour: at(0, scan()), ..facts() }),
        ("an operator's deny", Facts { standing: ruled(Authority::OperatorList, Measure::Drop), ..facts() }),
        (
            "an own alert asking for a drop",
            Facts { standing: ruled(Authority::OwnAlert, Measure::Drop), ..facts() },
        ),
    ];
    let text: String = cases.iter().map(|(name, facts)| format!("{name}\n{}\n", shown(facts))).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn an_unrated_source_without_behaviour_passes() {
    let a = assess(&facts(), &Policy::default());
    assert_eq!((a.verdict, a.basis), (Verdict::Pass, Basis::LocalScore));
}

#[test]
fn the_strongest_list_wins() {
    let policy = Policy::default();
    let worst = Facts { anomalies: odd(Anomaly::ALL), behaviour: [Some(scan()); 4], ..facts() };
    let decided = |standing| {
        let a = assess(&Facts { standing, ..worst }, &policy);
        (a.verdict, a.basis)
    };
    let deny = ruled(Authority::OperatorList, Measure::Drop);
    assert_eq!(decided(Standing { never_block: true, ..deny }), (Verdict::Pass, Basis::NeverBlock));
    assert_eq!(decided(ruled(Authority::OperatorList, Measure::None)), (Verdict::Pass, Basis::OperatorAllow));
    assert_eq!(
        decided(ruled(Authority::OperatorList, Measure::Observe)),
        (Verdict::Observe, Basis::OperatorDeny)
    );
    assert_eq!(decided(deny), (Verdict::Drop, Basis::OperatorDeny));
    assert_eq!(decided(ruled(Authority::Restriction, Measure::Drop)), (Verdict::Drop, Basis::Restriction));
    assert_eq!(decided(ruled(Authority::Decision, Measure::Drop)), (Verdict::Drop, Basis::Decision));
    assert_eq!(decided(ruled(Authority::OwnAlert, Measure::Drop)), (Verdict::RateLimit, Basis::OwnAlert));
    assert_eq!(decided(Standing::UNKNOWN), (Verdict::RateLimit, Basis::LocalScore));
}

#[test]
fn a_mild_act_does_not_shield_from_what_is_observed() {
    let standing = ruled(Authority::Decision, Measure::Observe);
    let a = assess(
        &Facts { standing, anomalies: odd(Anomaly::ALL), behaviour: [Some(scan()); 4], ..facts() },
        &Policy::default(),
    );
    assert_eq!((a.verdict, a.basis), (Verdict::RateLimit, Basis::LocalScore));
}

#[test]
fn evidence_that_can_be_forged_never_drops() {
    for authority in [Authority::OwnAlert, Authority::Decision, Authority::Restriction] {
        let mut standing = ruled(authority, Measure::Drop);
        standing.ruling = standing.ruling.map(|r| Ruling { evidence: EvidenceClass::Unconfirmed, ..r });
        let a = assess(&Facts { standing, ..facts() }, &Policy::default());
        assert_eq!(a.verdict, Verdict::RateLimit, "{authority}");
    }
}

#[test]
fn a_forger_cannot_have_a_confirmed_flow_limited() {
    let behaviour = [Some(Behaviour { odd: u32::MAX, packets: u64::MAX, flows: u32::MAX, ..scan() }); 4];
    let forged = Facts { behaviour, ..facts() };
    assert_eq!(assess(&forged, &Policy::default()).verdict, Verdict::RateLimit);
    assert_eq!(assess(&Facts { confirmed: true, ..forged }, &Policy::default()).verdict, Verdict::Mark);
}

#[test]
fn neighbours_in_a_wide_prefix_pay_little() {
    let b = Some(Behaviour { odd: 10_000, packets: 1 << 40, flows: 1 << 30, ..scan() });
    let site = assess(&Facts { behaviour: [None, None, b, None], ..facts() }, &Policy::default());
    let allocation = assess(&Facts { behaviour: [None, None, None, b], ..facts() }, &Policy::default());
    assert!(site.verdict <= Verdict::RateLimit && allocation.verdict <= Verdict::Observe);
    assert!(allocation.score > site.score);
}

#[test]
fn a_policy_that_harms_the_unrated_is_refused() {
    let policy = Policy { neutral: 400, ..Policy::default() };
    let refused = PolicyError::RungOrder { lower: "policy.ladder.observe_below", upper: "policy.neutral" };
    assert_eq!(policy.validate(), Err(refused));
    assert_eq!(Policy::default().validate(), Ok(()));
    let ladder = Ladder { incentive_from: 1001, ..Ladder::default() };
    assert!(matches!(Policy { ladder, ..Policy::default() }.validate(), Err(PolicyError::NoScore { .. })));
}

#[test]
fn numbers_of_verdicts_are_read_back() {
    for verdict in Verdict::ALL {
        assert_eq!(Verdict::from_number(verdict as u8), Some(verdict));
    }
    assert_eq!(Verdict::from_number(6), None);
}

#[test]
fn every_anomaly_weighs_something() {
    for &anomaly in Anomaly::ALL {
        let a = assess(&Facts { anomalies: odd(&[anomaly]), ..facts() }, &Policy::default());
        assert!(a.score.value() < Policy::default().neutral, "{}", anomaly.name());
    }
}

fn any_behaviour() -> impl Strategy<Value = Option<Behaviour>> {
    let numbers =
        (any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), 0..400_u32, 0..400_u32);
    proptest::option::of(numbers.prop_map(|(packets, flows, odd, openings, unanswered, targets, ports)| {
        Behaviour { packets, wire_bytes: packets, flows, odd, openings, unanswered, targets, ports }
    }))
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let anomalies = proptest::collection::vec(0..Anomaly::ALL.len(), 0..20)
        .prop_map(|which| odd(&which.iter().map(|&i| Anomaly::ALL[i]).collect::<Vec<_>>()));
    let ruling = proptest::option::of((0..6_usize, 0..4_usize, 0..3_usize).prop_map(|(m, a, e)| Ruling {
        measure: Measure::ALL[m],
        authority: [
            Authority::OperatorList,
            Authority::OwnAlert,
            Authority::Decision,
            Authority::Restriction,
        ][a],
        evidence: [EvidenceClass::Confirmed, EvidenceClass::Unconfirmed, EvidenceClass::Declared][e],
    }));
    let score = proptest::option::of(0..=1000_u16);
    let behaviour = [any_behaviour(), any_behaviour(), any_behaviour(), any_behaviour()];
    (any::<bool>(), any::<bool>(), score, ruling, anomalies, behaviour).prop_map(
        |(never_block, confirmed, score, ruling, anomalies, behaviour)| {
            let rating = score.map_or(Rating::Unrated, |s| Rating::of(Score::new(s).expect("a score")));
            Facts { standing: Standing { never_block, rating, ruling }, confirmed, anomalies, behaviour }
        },
    )
}

/// Behaviour whose numbers lie about the thresholds of some level.
fn borderline() -> impl Strategy<Value = Behaviour> {
    let about = |threshold: u64| (0..4_u32, 0..4_u64).prop_map(move |(l, n)| (threshold << (2 * l)) + n - 2);
    let few = |threshold: u64| prop_oneof![Just(0), 0..threshold, about(threshold)];
    let numbers = (few(20_000), few(200), few(4), few(20), few(20), few(20), 0..8_u64);
    numbers.prop_map(|(packets, flows, odd, openings, targets, ports, more)| Behaviour {
        packets,
        wire_bytes: packets,
        flows: flows as u32,
        odd: odd as u32,
        openings: openings as u32,
        unanswered: (openings / 2 + more).saturating_sub(3) as u32,
        targets: targets as u32,
        ports: ports as u32,
    })
}

/// Whether more than half of the openings are in vain, but by so little that it costs no whole point.
fn costs_less_than_a_point(b: &Behaviour) -> bool {
    let (vain, all) = (u64::from(b.unanswered), u64::from(b.openings));
    2 * vain > all && 250 * (2 * vain - all) < all
}

/// What four addresses of one link do in a step.
fn any_step() -> impl Strategy<Value = Vec<Delta>> {
    let numbers =
        (0..300_000_u32, 0..3_000_u32, 0..40_u32, 0..300_u32, 0..300_u32, any::<u64>(), any::<u64>());
    let list = proptest::collection::vec(numbers, 0..5);
    list.prop_map(|list| {
        (0..)
            .zip(list)
            .map(|(prefix, (packets, flows, odd, openings, unanswered, targets, ports))| Delta {
                prefix,
                level: Level::Host,
                packets,
                wire_bytes: packets.into(),
                flows,
                odd,
                openings,
                unanswered: unanswered.min(openings),
                targets: targets & ports << 1,
                ports: ports & targets << 1,
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn quiet_behaviour_and_no_other_leaves_an_assessment_alone(
        mut facts in any_facts(), level in 0..4_usize, behaviour in borderline(),
    ) {
        let policy = Policy::default();
        facts.behaviour = [None; 4];
        let without = assess(&facts, &policy);
        facts.behaviour[level] = Some(behaviour);
        let quiet = policy.thresholds.is_quiet(Level::ALL[level], &behaviour);
        prop_assert!(quiet == (assess(&facts, &policy) == without) || costs_less_than_a_point(&behaviour));
        prop_assert!(!quiet || assess(&facts, &policy) == without);
    }

    #[test]
    fn a_source_that_is_quiet_is_assessed_as_if_nothing_were_known_of_it(
        mut facts in any_facts(), steps in proptest::collection::vec(any_step(), 1..20), silence in 0..40_u32,
    ) {
        let policy = Policy::default();
        let quiet = |level, did: &Behaviour| policy.thresholds.is_quiet(level, did);
        let mut aggregates = Aggregates::new(64, 1);
        let silent = core::iter::repeat_n(Vec::new(), silence as usize);
        for (step, deltas) in (1..).zip(steps.into_iter().chain(silent)) {
            aggregates.close_step(step, &deltas, &quiet);
            for src in 0..5 {
                facts.behaviour = Level::ALL.map(|level| aggregates.behaviour(level, src));
                let known = assess(&facts, &policy);
                let unknown = assess(&Facts { behaviour: [None; 4], ..facts }, &policy);
                prop_assert!(known == unknown || !aggregates.is_quiet(src), "step {}", step);
            }
        }
    }

    #[test]
    fn what_is_quiet_stays_quiet_while_it_decays(openings in 0..100_000_u32, vain in 0..100_000_u32) {
        let (quiet, mut aggregates) = (Policy::default().thresholds, Aggregates::new(8, 1));
        let none = Behaviour::default();
        let delta = Delta {
            prefix: 0, level: Level::Subnet, packets: 0, wire_bytes: 0, flows: 0, odd: 0,
            openings, unanswered: vain.min(openings), targets: 0, ports: 0,
        };
        aggregates.close_step(1, &[delta], &|_, _| true);
        let mut was_quiet = false;
        for step in 2..60 {
            let did = aggregates.behaviour(Level::Subnet, 0).unwrap_or(none);
            let is_quiet = quiet.is_quiet(Level::Subnet, &did);
            prop_assert!(is_quiet || !was_quiet, "{:?}", did);
            was_quiet = is_quiet;
            aggregates.close_step(step, &[], &|_, _| true);
        }
    }

    #[test]
    fn terms_add_up_exactly(facts in any_facts()) {
        let a = assess(&facts, &Policy::default());
        prop_assert_eq!(a.terms.sum(), i32::from(a.score.value()));
    }

    #[test]
    fn a_judgement_is_an_assessment_without_its_terms(facts in any_facts(), neutral in 0..=1000_u16) {
        let policy = Policy { neutral, ..Policy::default() };
        let Assessment { score, verdict, basis, .. } = assess(&facts, &policy);
        prop_assert_eq!(judge(&facts, &policy), Judgement { score, verdict, basis });
    }

    #[test]
    fn never_block_always_passes(mut facts in any_facts()) {
        facts.standing.never_block = true;
        prop_assert_eq!(assess(&facts, &Policy::default()).verdict, Verdict::Pass);
    }

    #[test]
    fn only_lists_and_acts_drop(mut facts in any_facts()) {
        facts.standing.ruling = None;
        prop_assert!(assess(&facts, &Policy::default()).verdict <= Verdict::RateLimit);
    }

    #[test]
    fn more_anomalies_never_raise_a_score(facts in any_facts(), more in 0..Anomaly::ALL.len()) {
        let mut worse = facts;
        worse.anomalies.insert(Anomaly::ALL[more]);
        let policy = Policy::default();
        prop_assert!(assess(&worse, &policy).score <= assess(&facts, &policy).score);
    }

    #[test]
    fn being_unrated_is_never_worse_than_what_the_same_behaviour_earns_at_neutral(facts in any_facts()) {
        let policy = Policy::default();
        let (mut unrated, mut neutral) = (facts, facts);
        unrated.standing.rating = Rating::Unrated;
        neutral.standing.rating = Rating::of(Score::new(policy.neutral).expect("a score"));
        prop_assert_eq!(assess(&unrated, &policy).verdict, assess(&neutral, &policy).verdict);
    }
}
