//! The cache against a stupid twin, and the cases by name.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Release;

use credence_prefix::{NO_MATCH, Prefix};
use proptest::prelude::*;

use super::*;
use crate::record::tests::{listed, signed};
use crate::snapshot::tests::{any_record, snapshot};
use crate::{Authority, Guarded, IssuerId, Measure};

pub(super) fn cache(records: Vec<Record>) -> Cache {
    Cache::build(vec![snapshot(records)], &Guards::default()).unwrap()
}

pub(super) fn addr(text: &str) -> u128 {
    text.parse::<std::net::Ipv6Addr>().unwrap().to_bits()
}

/// The prefix of a record number, for readable expectations.
fn prefix(cache: &Cache, number: Option<u32>) -> Option<String> {
    number.map(|number| cache.record(number).prefix.to_string())
}

#[test]
fn nested_prefixes_answer_with_the_longest_and_list_them_all() {
    let cache = cache(vec![
        listed("2001:db8::/32", Measure::Observe),
        listed("2001:db8:1::/48", Measure::Drop),
        listed("2001:db8:1:1::/64", Measure::Mark),
    ]);
    let found = |text| prefix(&cache, cache.longest_match(addr(text)));
    assert_eq!(found("2001:db8:1:1::5").as_deref(), Some("2001:db8:1:1::/64"));
    assert_eq!(found("2001:db8:1:2::5").as_deref(), Some("2001:db8:1::/48"));
    assert_eq!(found("2001:db8:2::5").as_deref(), Some("2001:db8::/32"));
    assert_eq!(found("2001:db9::"), None);
    let covering = cache.covering(addr("2001:db8:1:1::5"));
    let all: Vec<u8> = covering.iter().map(|(_, record)| record.prefix.len()).collect();
    assert_eq!(all, [32, 48, 64]);
}

#[test]
fn an_ended_record_does_not_hide_a_live_wider_one() {
    let narrow = Record { expires: 500, ..listed("2001:db8:1::/48", Measure::Drop) };
    let wide = Record { expires: 900, ..listed("2001:db8::/32", Measure::RateLimit) };
    let cache = cache(vec![narrow, wide]);
    let at = |now| {
        let standing = cache.effective(addr("2001:db8:1::1"), now);
        assert_eq!(standing.credit, standing.ruling);
        prefix(&cache, standing.credit)
    };
    assert_eq!(at(499).as_deref(), Some("2001:db8:1::/48"));
    assert_eq!(at(500).as_deref(), Some("2001:db8::/32"));
    assert_eq!(at(899).as_deref(), Some("2001:db8::/32"));
    assert_eq!(at(900), None);
}

#[test]
fn an_ended_record_does_not_hide_a_live_one_of_the_same_prefix() {
    let own = Record { expires: 500, ..listed("2001:db8:1::/48", Measure::None) };
    let alert = Record { expires: 900, ..signed("2001:db8:1::/48", Authority::OwnAlert, 1) };
    let cache = cache(vec![alert, own]);
    let measure = |now| {
        let standing = cache.effective(addr("2001:db8:1::1"), now);
        standing.credit.map(|number| cache.entry(number).authority())
    };
    assert_eq!(measure(499), Some(Authority::OperatorList));
    assert_eq!(measure(500), Some(Authority::OwnAlert));
}

#[test]
fn the_operators_wide_allow_entry_outranks_a_narrow_decision() {
    let allow = listed("2a00:1000::/32", Measure::None);
    let decision = signed("2a00:1000:1::/48", Authority::Decision, 2);
    let cache = cache(vec![allow, decision]);
    let standing = cache.effective(addr("2a00:1000:1::1"), 0);
    assert_eq!(prefix(&cache, standing.credit).as_deref(), Some("2a00:1000:1::/48"));
    assert_eq!(prefix(&cache, standing.ruling).as_deref(), Some("2a00:1000::/32"));
}

#[test]
fn what_the_guards_keep_back_is_known_and_never_rules() {
    let cache = cache(vec![
        signed("2a00:1000::/31", Authority::Restriction, 9),
        signed("2a00:1000:1::/48", Authority::OwnAlert, 1),
        signed("2a00:1000:8000::/33", Authority::Decision, 1),
    ]);
    let only_wide = cache.effective(addr("2a00:1001::1"), 0);
    assert_eq!(prefix(&cache, only_wide.credit).as_deref(), Some("2a00:1000::/31"));
    assert_eq!(only_wide.ruling, None);
    let both = cache.effective(addr("2a00:1000:1::1"), 0);
    assert_eq!(prefix(&cache, both.ruling).as_deref(), Some("2a00:1000:1::/48"));
    assert_eq!(cache.kept(KeepReason::TooWide), 1);
    assert_eq!(cache.kept(KeepReason::SecondSignature), 1);
    assert_eq!(cache.kept(KeepReason::NeverBlock), 0);
    assert_eq!(cache.len(), 3);
}

#[test]
fn the_order_of_snapshots_has_no_influence() {
    let record = |issuer, measure| Record {
        issuer: IssuerId(issuer),
        measure,
        ..signed("2a00:1000:1::/48", Authority::Decision, 2)
    };
    let table = |names: &[&str]| names.iter().map(|&name| Issuer::new(name).unwrap()).collect::<Vec<_>>();
    let first = Snapshot::new(Header::default(), table(&["x"]), vec![record(0, Measure::RateLimit)]).unwrap();
    let second = Snapshot::new(
        Header::default(),
        table(&["a", "y"]),
        vec![listed("2a00:1000:1::/48", Measure::Observe), record(1, Measure::Drop)],
    )
    .unwrap();
    let one = Cache::build(vec![first.clone(), second.clone()], &Guards::default()).unwrap();
    let other = Cache::build(vec![second.clone(), first, second], &Guards::default()).unwrap();
    assert!(one.iter().eq(other.iter()));
    let found: Vec<_> =
        one.iter().map(|(_, record)| (one.issuer(record.issuer).name().to_owned(), record.measure)).collect();
    let expected = [("a", Measure::Observe), ("y", Measure::Drop), ("x", Measure::RateLimit)];
    assert_eq!(found, expected.map(|(name, measure)| (name.to_owned(), measure)));
}

#[test]
fn a_batch_answers_like_single_look_ups() {
    let cache = cache((0..200).map(|n| listed(&format!("2001:db8:{n:x}::/48"), Measure::Drop)).collect());
    let addrs: Vec<u128> = (0..400u128).map(|n| addr("2001:db8::1") | n << 80).collect();
    let mut numbers = vec![0; addrs.len()];
    cache.longest_match_batch(&addrs, &mut numbers);
    for (&addr, number) in addrs.iter().zip(numbers) {
        assert_eq!(cache.longest_match(addr).unwrap_or(NO_MATCH), number);
    }
    assert!(cache.bytes() > 200 * (40 + size_of::<Entry>()));
}

#[test]
fn the_longest_chain_of_covers_is_walked_to_its_end() {
    // Each wider prefix outlives the narrower one, so that no step can be left out.
    let records = (0..=128u8).map(|len| Record {
        prefix: Prefix::containing(addr("2a00::1"), len),
        expires: 1_000 - u64::from(len),
        ..listed("::/0", Measure::Observe)
    });
    let cache = cache(records.collect());
    for len in 0..=128 {
        let standing = cache.effective(addr("2a00::1"), 999 - len);
        let credit = standing.credit.map(|number| cache.entry(number).prefix_len());
        assert_eq!(credit, Some(len as u8));
    }
    assert_eq!(cache.effective(addr("2a00::1"), 1_000), Standing::default());
}

#[test]
fn generations_count_up_and_a_reader_sees_each() {
    let published = Published::default();
    let mut reader = published.reader();
    assert_eq!((reader.current().generation(), reader.current().len()), (0, 0));
    assert_eq!(published.store(cache(vec![listed("2001:db8::/48", Measure::Drop)])), 1);
    assert_eq!((reader.current().generation(), reader.current().len()), (1, 1));
    assert_eq!(published.store(Cache::default()), 2);
    assert_eq!((published.current().generation(), reader.current().len()), (2, 0));
}

#[test]
fn a_replaced_cache_is_freed_by_the_writer_once_its_last_reader_has_moved_on() {
    let published = Published::default();
    let (mut slow, mut fast) = (published.reader(), published.reader());
    for _ in 0..3 {
        published.store(Cache::default());
        fast.current();
    }
    // The slow reader still holds the first of all; what lay between is gone.
    assert_eq!(published.reclaim(), 1);
    slow.current();
    assert_eq!(published.reclaim(), 0);
}

#[test]
fn a_reader_never_sees_a_generation_go_back_or_half_a_cache() {
    let published = Published::default();
    let (done, seen) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut reader = published.reader();
            while !done.load(Acquire) {
                let cache = reader.current();
                let now = cache.generation();
                assert!(now >= seen.load(Relaxed));
                // Generation n holds exactly n records.
                assert_eq!(cache.len(), now as usize);
                seen.store(now, Release);
            }
            reader.current();
        });
        for n in 1..=60u32 {
            let records = (0..n).map(|n| listed(&format!("2001:db8:{n:x}::/48"), Measure::Drop)).collect();
            published.store(cache(records));
            // Every tenth publication is waited for, so that the reader has seen several whatever the scheduler does.
            while n % 10 == 0 && seen.load(Acquire) < n {
                std::thread::yield_now();
            }
        }
        done.store(true, Release);
    });
    assert_eq!(published.reclaim(), 0);
}

/// What the documentation of [`Standing`] says, taken literally.
pub(super) fn stupid(cache: &Cache, addr: u128, now: u64) -> (Option<u32>, Option<u32>) {
    let covering = cache.iter().filter(|(_, record)| record.prefix.contains(addr));
    let live: Vec<u32> = covering.map(|(n, _)| n).filter(|&n| cache.entry(n).is_live(now)).collect();
    // The longest; of one prefix, the one that is heard first.
    let best = |numbers: Vec<u32>, rank: &dyn Fn(u32) -> u8| {
        numbers.into_iter().max_by(|&one, &other| {
            let of = |n| (rank(n), cache.record(n).prefix.len());
            of(one).cmp(&of(other)).then_with(|| cache.record(other).contest(&cache.record(one)))
        })
    };
    let enforceable =
        live.iter().copied().filter(|&n| cache.entry(n).guarded() == Guarded::Enforce).collect();
    (best(live, &|_| 0), best(enforceable, &|n| cache.record(n).precedence() as u8))
}

proptest! {
    #[test]
    fn standing_agrees_with_asking_every_record(
        records in proptest::collection::vec((any_record(), 0u32..16, 28u8..=36, 0u64..8), 0..30),
        asked in proptest::collection::vec(0u32..16, 8), now in 0u64..9,
    ) {
        // Four bits in a corner of unicast space, so that covers, duplicates and ended records are frequent.
        let corner = |bits: u32| addr("2a00:1000::") | u128::from(bits) << 92;
        let mut records: Vec<Record> = records.into_iter().map(|(record, bits, len, expires)| {
            Record { prefix: Prefix::containing(corner(bits), len), expires, ..record }
        }).collect();
        records.sort_by_key(Record::key);
        records.dedup_by_key(|record| record.key());
        let cache = cache(records);
        for bits in asked {
            let standing = cache.effective(corner(bits), now);
            prop_assert_eq!((standing.credit, standing.ruling), stupid(&cache, corner(bits), now));
        }
    }
}
