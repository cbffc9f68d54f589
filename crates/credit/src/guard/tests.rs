//! Each guard on both sides of its boundary, and properties over random sets.

use credence_prefix::Prefix;
use proptest::prelude::*;

use super::change::{ADDED_MAX, ALWAYS_FREE, ANNOUNCED_48S, NEWLY_HIT_MAX, REMOVED_MAX, SPACE_MAX};
use super::*;
use crate::record::tests::{listed, signed};
use crate::snapshot::tests::{any_record, snapshot};
use crate::{Cache, Measure, Record};

fn at(first: &str, len: u8) -> Prefix {
    Prefix::containing(first.parse::<std::net::Ipv6Addr>().unwrap().to_bits(), len)
}

/// The verdict on a record of that width in ordinary unicast space.
fn check_width(record: &Record, len: u8, expected: Guarded) {
    let record = Record { prefix: at("2a00:1000::", len), ..record.clone() };
    assert_eq!(Guards::default().judge(&record), expected, "/{len} {:?}", record.authority);
}

const TOO_WIDE: Guarded = Guarded::Keep(KeepReason::TooWide);
const SECOND: Guarded = Guarded::Keep(KeepReason::SecondSignature);

#[test]
fn a_feed_reaches_32_with_two_signatures_and_48_with_one() {
    for authority in [Authority::OwnAlert, Authority::Decision, Authority::Restriction] {
        let by = |signatures| signed("::/0", authority, signatures);
        for len in 0..=31 {
            check_width(&by(u16::MAX), len, TOO_WIDE);
        }
        for len in 32..=47 {
            check_width(&by(0), len, SECOND);
            check_width(&by(1), len, SECOND);
            check_width(&by(2), len, Guarded::Enforce);
        }
        for len in 48..=128 {
            check_width(&by(1), len, Guarded::Enforce);
        }
    }
}

#[test]
fn an_incentive_from_a_feed_has_the_same_width_limits() {
    let reward = Record { measure: Measure::Incentive, ..signed("::/0", Authority::OwnAlert, 1) };
    check_width(&reward, 31, TOO_WIDE);
    check_width(&reward, 47, SECOND);
    check_width(&reward, 48, Guarded::Enforce);
}

#[test]
fn an_operators_list_constrains_from_29_and_allows_any_width() {
    for measure in [Measure::Mark, Measure::RateLimit, Measure::Drop] {
        for len in 0..=28 {
            check_width(&listed("::/0", measure), len, TOO_WIDE);
        }
        for len in 29..=128 {
            check_width(&listed("::/0", measure), len, Guarded::Enforce);
        }
    }
    for measure in [Measure::Incentive, Measure::None, Measure::Observe] {
        check_width(&listed("::/0", measure), 0, Guarded::Enforce);
    }
}

#[test]
fn never_block_binds_the_operators_own_list_too() {
    let guards = Guards::new(NeverBlock::new([at("2a00:1000:53::", 48)]));
    let check = |record: Record, expected| assert_eq!(guards.judge(&record), expected, "{}", record.prefix);
    let never = Guarded::Keep(KeepReason::NeverBlock);
    check(listed("2a00:1000:53::/48", Measure::Drop), never);
    check(listed("2a00:1000:53::1", Measure::Mark), never);
    check(listed("2a00:1000::/32", Measure::Drop), never);
    check(listed("2a00:1000:54::/48", Measure::Drop), Guarded::Enforce);
    check(listed("2a00:1000:53::/48", Measure::Observe), Guarded::Enforce);
    check(listed("64:ff9b::102:304", Measure::Drop), never);
    check(signed("2a00:1000::/32", Authority::Restriction, 9), never);
}

#[test]
fn documentation_space_is_guarded_in_feeds_only() {
    let guards = Guards::default();
    for text in ["2001:db8::/32", "2001:db8:1::/48", "3fff:0:1::/48"] {
        let feed = signed(text, Authority::Decision, 2);
        assert_eq!(guards.judge(&feed), Guarded::Keep(KeepReason::Documentation), "{text}");
        assert_eq!(guards.judge(&listed(text, Measure::Drop)), Guarded::Enforce, "{text}");
    }
}

#[test]
fn staged_guards_let_feeds_name_what_an_example_world_holds_and_no_more() {
    let guards = Guards::default().staged(vec![at("3fff:200::", 47)]);
    let decided = |text| guards.judge(&signed(text, Authority::Decision, 3));
    for held in ["3fff:200::/47", "3fff:200:1::/48", "3fff:200:1:2::/64"] {
        assert_eq!(decided(held), Guarded::Enforce, "{held}");
    }
    for other in ["3fff:200::/46", "3fff:200:2::/48", "2001:db8:1::/48"] {
        assert_eq!(decided(other), Guarded::Keep(KeepReason::Documentation), "{other}");
    }
    assert_eq!(decided("3ffe::/16"), TOO_WIDE);
    assert_eq!(decided("64:ff9b::/96"), Guarded::Keep(KeepReason::NeverBlock));
}

/// The first `count` /48s of one /32, each on this many signatures.
fn adjacent_48s(count: u32, signatures: u16) -> Vec<Record> {
    let base = at("2a00:1000::", 32).first();
    let record = signed("::/0", Authority::Decision, signatures);
    (0..count)
        .map(|n| Record { prefix: Prefix::containing(base | u128::from(n) << 80, 48), ..record.clone() })
        .collect()
}

fn enforced(records: &[Record]) -> usize {
    let verdicts = Guards::default().judge_all(records);
    assert_eq!(verdicts.len(), records.len());
    verdicts.iter().filter(|&&verdict| verdict == Guarded::Enforce).count()
}

#[test]
fn adjacent_48s_on_one_signature_do_not_add_up_to_a_32() {
    let most = SINGLE_48S_PER_32_MAX;
    assert_eq!(enforced(&adjacent_48s(most, 1)), most as usize);
    assert_eq!(enforced(&adjacent_48s(most + 1, 1)), 0);
    assert_eq!(enforced(&adjacent_48s(65_536, 1)), 0);
    assert_eq!(enforced(&adjacent_48s(65_536, 2)), 65_536);
}

#[test]
fn a_crowd_in_one_32_leaves_its_neighbours_and_the_twice_signed_alone() {
    let mut records = adjacent_48s(SINGLE_48S_PER_32_MAX + 1, 1);
    records.push(signed("2a00:1000::/32", Authority::Restriction, 5));
    records.push(signed("2a00:1001:1::/48", Authority::Decision, 1));
    records.push(listed("2a00:1000:9::/48", Measure::Drop));
    records.sort_by_key(|record| record.prefix);
    assert_eq!(enforced(&records), 3);
}

const ADDED: u64 = ADDED_MAX as u64;
const REMOVED: u64 = REMOVED_MAX as u64;

fn change(before: u64, added: u64, removed: u64) -> Change {
    Change { before, added, removed, space_64s: 0 }
}

#[test]
fn exactly_the_share_passes_and_one_more_is_held() {
    let limits = Limits::default();
    assert_eq!(limits.holds(&change(10_000, ADDED, REMOVED)), []);
    let over = change(10_000, ADDED + 1, REMOVED + 1);
    let expected = [
        Hold::Added { added: ADDED + 1, before: 10_000 },
        Hold::Removed { removed: REMOVED + 1, before: 10_000 },
    ];
    assert_eq!(limits.holds(&over), expected);
}

#[test]
fn small_feeds_move_freely_and_the_first_snapshot_is_all_new() {
    let limits = Limits::default();
    assert_eq!(limits.holds(&change(10, ALWAYS_FREE, 10)), []);
    assert_eq!(limits.holds(&change(10, ALWAYS_FREE + 1, 0)).len(), 1);
    assert_eq!(limits.holds(&change(ALWAYS_FREE, 0, ALWAYS_FREE)), []);
    assert_eq!(limits.holds(&change(ALWAYS_FREE + 1, 0, ALWAYS_FREE + 1)).len(), 1);
    assert_eq!(limits.holds(&change(0, 1_000_000, 0)), []);
}

#[test]
fn space_is_held_beyond_a_thousandth_of_what_is_announced() {
    let limits = Limits::default();
    let most_48s = ANNOUNCED_48S * u64::from(SPACE_MAX) / 10_000;
    assert_eq!(most_48s, 150 << 16, "a thousandth of 150,000 /32s");
    let space = |space_64s| Change { space_64s, ..Change::default() };
    let most = u128::from(most_48s) * SLASH_64S_IN_48;
    assert_eq!(limits.holds(&space(most)), []);
    assert_eq!(limits.holds(&space(most + 1)), [Hold::Space { slash_48s: most_48s + 1 }]);
    assert_eq!(limits.holds(&space(1 << 64)).len(), 1);
}

#[test]
fn newly_hit_flows_are_held_beyond_a_half_percent() {
    let limits = Limits::default();
    let most = 100_000 * u64::from(NEWLY_HIT_MAX) / 10_000;
    assert_eq!(most, 500);
    assert_eq!(limits.newly_hit(most, 100_000), None);
    assert_eq!(limits.newly_hit(most + 1, 100_000), Some(Hold::NewlyHit { hit: 501, recent: 100_000 }));
    assert_eq!(limits.newly_hit(0, 0), None);
}

#[test]
fn a_change_counts_what_comes_into_force_and_what_leaves_it() {
    let record = |n: u8, measure, expires| Record {
        measure,
        expires,
        ..signed(&format!("2a00:1000:{n}::/48"), Authority::Decision, 1)
    };
    let cache = |records| Cache::build(vec![snapshot(records)], &Guards::default()).unwrap();
    let old = cache(vec![
        record(1, Measure::Drop, 100),
        record(2, Measure::RateLimit, 100),
        record(3, Measure::Drop, 100),
        record(4, Measure::Drop, 9),
        record(5, Measure::Observe, 100),
        listed("2a00:1000:99::/48", Measure::Drop),
    ]);
    let new = cache(vec![
        record(1, Measure::RateLimit, 100),
        record(2, Measure::Drop, 100),
        record(5, Measure::Mark, 100),
        record(6, Measure::Observe, 100),
        signed("2a00:2000::/20", Authority::Decision, 2),
    ]);
    let change = Change::between(&old, &new, 10);
    // 2 is hardened and 5 now constrains; 3 is taken back, while 4 has simply ended and 1 is only softened.
    assert_eq!(change, Change { before: 3, added: 2, removed: 1, space_64s: 3 << 16 });
    let none = Change::between(&new, &new, 10);
    assert_eq!((none.added, none.removed), (0, 0));
    let first = Change::between(&Cache::default(), &new, 10);
    assert_eq!((first.before, first.added), (0, 3));
}

/// Asserts what holds of every set: a constraining record that overlaps a protected prefix or is shorter than /29 has no
/// effect, nor has any record of a feed that is shorter than /32.
fn check_set(own: &[Prefix], records: &[Record]) {
    let guards = Guards::new(NeverBlock::new(own.iter().copied()));
    for (record, verdict) in records.iter().zip(guards.judge_all(records)) {
        let prefix = record.prefix;
        let around = |own: &Prefix| own.covers(prefix) || prefix.covers(*own);
        let hits = own.iter().chain(&NEVER_BLOCK).any(around);
        if record.measure.constrains() && (hits || prefix.len() <= 28) {
            assert_ne!(verdict, Guarded::Enforce, "{record:?}");
        }
        if record.authority.is_signed() && prefix.len() <= 31 {
            assert_eq!(verdict, TOO_WIDE, "{record:?}");
        }
    }
}

/// A million sets from a fixed seed: a protected prefix each, and records around it, inside it and elsewhere.
#[test]
fn no_set_of_a_million_gets_past_the_guards() {
    let mut state = 0x5eed_u64;
    // SplitMix64, since a property test's machinery would cost a hundred times the check.
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let mut enforced = 0;
    for _ in 0..1_000_000 {
        let address = u128::from(random()) << 64 | u128::from(random());
        let own = Prefix::containing(address, (random() % 129) as u8);
        let mut records: Vec<Record> = (0..4)
            .map(|n| {
                let pick = random();
                let base = if n == 0 { address.rotate_left(64) } else { address };
                let authority = [Authority::OperatorList, Authority::Decision][(pick >> 8) as usize % 2];
                Record {
                    prefix: Prefix::containing(base, (pick % 129) as u8),
                    measure: Measure::ALL[(pick >> 16) as usize % 6],
                    ..signed("::/0", authority, (pick >> 24) as u16 % 3)
                }
            })
            .collect();
        records.sort_by_key(|record| record.prefix);
        check_set(&[own], &records);
        enforced += usize::from(Guards::default().judge(&records[0]) == Guarded::Enforce);
    }
    assert!(enforced > 100_000, "the sets also hold records that may be enforced: {enforced}");
}

proptest! {
    #[test]
    fn no_random_set_gets_past_the_guards(
        own in proptest::collection::vec((any::<u128>(), 0u8..=128), 0..4),
        records in proptest::collection::vec((any_record(), 0usize..8, 0u8..=128), 50),
    ) {
        let own: Vec<_> = own.into_iter().map(|(address, len)| Prefix::containing(address, len)).collect();
        // Some of the records are moved onto a protected prefix or around it.
        let mut records: Vec<Record> = records.into_iter().map(|(record, onto, len)| {
            let first = own.get(onto).map_or(record.prefix.first(), |own| own.first());
            Record { prefix: Prefix::containing(first, len), ..record }
        }).collect();
        records.sort_by_key(|record| record.prefix);
        check_set(&own, &records);
    }
}

#[test]
fn each_reason_has_its_word_and_its_sentence() {
    let said: Vec<(&str, String)> =
        KeepReason::ALL.iter().map(|reason| (reason.name(), reason.to_string())).collect();
    let expected = [
        ("too_wide", "the prefix is too wide (signed feeds reach /32, own lists /29)"),
        ("second_signature", "a prefix shorter than /48 needs 2 signatures"),
        ("never_block", "the prefix overlaps the never-block list"),
        ("documentation", "the prefix overlaps addresses reserved for examples"),
        ("crowded", "records on one signature cover more than 4096 /48s of this /32"),
    ];
    assert_eq!(said, expected.map(|(word, sentence)| (word, sentence.to_owned())));
}
