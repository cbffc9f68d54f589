use credence_credit::{EvidenceClass, Reason};
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_800_000_000;

fn entry(number: u8, reason: Reason, evidence: EvidenceClass, days_ago: u64) -> Entry {
    Entry { act: ActId([number; 32]), item: reason as u16, evidence, seen: NOW - days_ago * DAY }
}

fn assess(entries: &[Entry]) -> Assessment {
    Standard::first().assess(&Catalogue::first(), entries, NOW)
}

fn score(entries: &[Entry]) -> u16 {
    assess(entries).rating.score().unwrap().value()
}

const CONFIRMED: EvidenceClass = EvidenceClass::Confirmed;

#[test]
fn the_first_standard_has_a_rule_for_each_item_of_the_first_catalogue() {
    let (standard, catalogue) = (Standard::first(), Catalogue::first());
    assert!(standard.is_valid(&catalogue));
    let broken: [fn(&mut Standard); 8] = [
        |standard| standard.catalogue = 2,
        |standard| standard.rules.swap(0, 1),
        |standard| standard.rules.truncate(8),
        |standard| standard.rules[0].weight = 1_001,
        |standard| standard.rules[0].half_life_days = 0,
        |standard| standard.trust[1] = 1_001,
        |standard| standard.bounds.poor = standard.bounds.watch,
        |standard| standard.base = 1_001,
    ];
    for (number, breaks) in broken.iter().enumerate() {
        let mut standard = standard.clone();
        breaks(&mut standard);
        assert!(!standard.is_valid(&catalogue), "change {number}");
    }
}

#[test]
fn a_subject_of_whom_nothing_counts_is_unrated() {
    let nothing = [
        vec![],
        vec![entry(1, Reason::Flooding, EvidenceClass::Unconfirmed, 1)],
        vec![entry(1, Reason::Listed, CONFIRMED, 1)],
        vec![entry(1, Reason::Scanning, CONFIRMED, 180)],
        vec![Entry { seen: NOW + 1, ..entry(1, Reason::Scanning, CONFIRMED, 0) }],
    ];
    for entries in nothing {
        let assessment = assess(&entries);
        assert_eq!((assessment.rating, assessment.terms.len()), (Rating::Unrated, 0), "{entries:?}");
    }
}

/// By hand, from the standard's text.
#[test]
fn scores_are_what_the_text_says() {
    let scan = |number, days| entry(number, Reason::Scanning, CONFIRMED, days);
    assert_eq!(score(&[scan(1, 0)]), 520, "650 · 0.8");
    assert_eq!(score(&[scan(1, 14)]), 585, "650 · (1 − 0.2/2)");
    assert_eq!(score(&[scan(1, 0), scan(2, 0), scan(3, 0)]), 332, "650 · 0.512, rounded down");
    let many: Vec<_> = (1..=9).map(|number| scan(number, 0)).collect();
    assert_eq!(score(&many), 260, "650 · (1 − 0.6): more does not count");
    let control = entry(10, Reason::BotnetControl, CONFIRMED, 0);
    assert_eq!(score(&[control]), 260, "650 · 0.4");
    assert_eq!(score(&[&many[..], &[control]].concat()), 104, "650 · 0.4 · 0.4");
    let spoofed = entry(1, Reason::SpoofedOrigin, EvidenceClass::Declared, 0);
    assert_eq!(score(&[spoofed]), 533, "650 · (1 − 0.3 · 0.6)");
    let clean = |number| entry(number, Reason::CleanRecord, CONFIRMED, 0);
    assert_eq!(score(&[clean(1)]), 750);
    assert_eq!(score(&[clean(1), clean(2), clean(3)]), 850, "no more than 200 for one item");
    let mended = |number| entry(number, Reason::RemediationConfirmed, CONFIRMED, 0);
    assert_eq!(score(&[clean(1), clean(2), mended(3), mended(4)]), 900, "nor than 250 in all");
    assert_eq!(score(&[scan(1, 0), clean(2)]), 620);
}

#[test]
fn an_act_counts_once_and_credit_comes_back_with_time() {
    let scan = entry(1, Reason::Scanning, CONFIRMED, 0);
    assert_eq!(score(&[scan, scan]), 520);
    let after = |days: u64| {
        let assessed = Standard::first().assess(&Catalogue::first(), &[scan], NOW + days * DAY);
        assessed.rating.score().map(Score::value)
    };
    assert_eq!([0, 14, 28, 56, 179].map(after), [520, 585, 617, 641, 649].map(Some));
    assert_eq!(after(180), None, "nothing is kept for longer");
}

#[test]
fn each_term_is_by_how_much_the_score_moved() {
    let entries = [
        entry(3, Reason::CleanRecord, CONFIRMED, 5),
        entry(2, Reason::Scanning, CONFIRMED, 3),
        entry(1, Reason::Scanning, CONFIRMED, 1),
    ];
    let assessment = assess(&entries);
    let told: Vec<_> = assessment.terms.iter().map(|term| (term.act.0[0], term.points)).collect();
    assert_eq!(told, [(2, -113), (1, -102), (3, 98)], "what is against it first, older before younger");
    assert_eq!(assessment.rating.score().unwrap().value(), 533);
}

fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let evidence =
        prop_oneof![Just(CONFIRMED), Just(EvidenceClass::Unconfirmed), Just(EvidenceClass::Declared)];
    let entry = (any::<[u8; 32]>(), 0..10_u16, evidence, 0..200 * DAY);
    let entry = entry.prop_map(|(act, item, evidence, age)| Entry {
        act: ActId(act),
        item,
        evidence,
        seen: NOW - age,
    });
    proptest::collection::vec(entry, 0..24)
}

proptest! {
    #[test]
    fn base_and_terms_add_up_whatever_order_entries_come_in(
        (entries, shuffled) in any_entries().prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
    ) {
        let assessment = assess(&entries);
        prop_assert_eq!(&assessment, &assess(&shuffled));
        if let Some(score) = assessment.rating.score() {
            let sum: i32 = assessment.terms.iter().map(|term| term.points).sum();
            prop_assert_eq!(i32::from(assessment.base) + sum, i32::from(score.value()));
        }
    }

    /// Another thing against a subject never makes it better, and one for it never worse.
    #[test]
    fn each_entry_moves_the_score_its_own_way(mut entries in any_entries(), more in any_entries()) {
        for extra in more {
            let before = assess(&entries).rating.score().map_or(Standard::first().base, Score::value);
            entries.push(extra);
            let after = assess(&entries).rating.score().map_or(Standard::first().base, Score::value);
            match Catalogue::first().item(extra.item).map(|item| item.direction) {
                Some(Direction::Against) => prop_assert!(after <= before),
                Some(Direction::For) => prop_assert!(after >= before),
                None => prop_assert_eq!(after, before),
            }
        }
    }
}
