use credence_credit::guard::NeverBlock;
use credence_credit::{
    Authority, EvidenceClass, Guards, Header, Issuer, IssuerId, Rating, Reason, Record, Score, Snapshot,
};
use proptest::prelude::*;

use super::*;

const NOW_S: u64 = 1_000_000;
const GOOD_FROM: u16 = 800;

fn record(prefix: &str, measure: Measure, lasts_s: u64) -> Record {
    Record {
        prefix: prefix.parse().unwrap(),
        rating: Rating::Unrated,
        measure,
        reasons: Reason::Listed.into(),
        issuer: IssuerId(0),
        evidence: EvidenceClass::Confirmed,
        authority: Authority::OperatorList,
        signatures: 2,
        expires: NOW_S + lasts_s,
        act: None,
    }
}

fn cache(mut records: Vec<Record>) -> Cache {
    let key = |record: &Record| (record.prefix, record.authority);
    records.sort_by_key(key);
    records.dedup_by_key(|record| key(record));
    let snapshot = Snapshot::new(Header::default(), vec![Issuer::new("a").unwrap()], records).unwrap();
    Cache::build(vec![snapshot], &Guards::new(NeverBlock::new([]))).unwrap()
}

/// The ranges as text, with what is left of their time.
#[track_caller]
fn check(records: Vec<Record>, expected: &[&str], changes_in: Option<u64>) {
    let flat = flatten(&cache(records), NOW_S, GOOD_FROM);
    let text = |address: u128| std::net::Ipv6Addr::from_bits(address);
    let told = |piece: &Piece| {
        let left = u64::from(piece.word.expires) - NOW_S;
        format!("{}-{} {} {left}", text(piece.first), text(piece.last), piece.word.class.chain())
    };
    assert_eq!(flat.pieces.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(flat.changes_at, changes_in.map(|after| NOW_S + after));
}

#[test]
fn a_hole_in_a_prefix_parts_it() {
    check(
        vec![record("2001:db8::/32", Measure::Drop, 9), record("2001:db8:1::/48", Measure::None, 9)],
        &[
            "2001:db8::-2001:db8:0:ffff:ffff:ffff:ffff:ffff listed_drop 9",
            "2001:db8:1::-2001:db8:1:ffff:ffff:ffff:ffff:ffff listed_none_operators 9",
            "2001:db8:2::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff listed_drop 9",
        ],
        None,
    );
}

#[test]
fn neighbours_that_say_the_same_are_one_range() {
    check(
        vec![record("2001:db8::/33", Measure::Drop, 9), record("2001:db8:8000::/33", Measure::Drop, 9)],
        &["2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff listed_drop 9"],
        None,
    );
}

#[test]
fn two_subjects_whose_rate_is_limited_stay_two() {
    check(
        vec![
            record("2001:db8::/33", Measure::RateLimit, 9),
            record("2001:db8:8000::/33", Measure::RateLimit, 9),
        ],
        &[
            "2001:db8::-2001:db8:7fff:ffff:ffff:ffff:ffff:ffff listed_rate_limit 9",
            "2001:db8:8000::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff listed_rate_limit 9",
        ],
        None,
    );
}

#[test]
fn what_a_wider_record_says_after_a_narrower_one_is_told_to_come() {
    check(
        vec![record("2001:db8::/32", Measure::Drop, 9), record("2001:db8::/33", Measure::Observe, 4)],
        &[
            "2001:db8::-2001:db8:7fff:ffff:ffff:ffff:ffff:ffff listed_observe_operators 4",
            "2001:db8:8000::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff listed_drop 9",
        ],
        Some(4),
    );
}

#[test]
fn the_pass_ends_with_the_last_address_of_all() {
    // Multicast, so that nothing of it is enforced.
    check(
        vec![
            record("2001:db8::/32", Measure::Drop, 9),
            record("ffff:fff8::/29", Measure::Drop, 9),
            record("ffff:ffff::/32", Measure::Drop, 9),
        ],
        &["2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff listed_drop 9"],
        None,
    );
}

#[test]
fn classes_have_numbers_and_chains_of_their_own() {
    for (number, class) in Class::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(class.number()), number);
        assert_eq!(Class::of(class.measure, class.is_operators, class.is_good), Some(class));
        assert!(Class::ALL.iter().all(|other| *other == class || other.chain() != class.chain()));
    }
}

/// The stupid twin: what the cache says of one address at one moment, asked of the cache alone.
fn effective(cache: &Cache, address: u128, at: u64) -> Option<Class> {
    let standing = cache.effective(address, at);
    let credit = cache.entry(standing.credit?);
    let score = credit.rating().score().filter(|_| credit.is_enforceable());
    let is_good = score.is_some_and(|score| score.value() >= GOOD_FROM);
    let Some(ruling) = standing.ruling else { return Class::of(Measure::None, false, is_good) };
    let is_operators = cache.record(ruling).authority == Authority::OperatorList;
    Class::of(cache.entry(ruling).allowed(), is_operators, is_good)
}

/// What the ranges say of an address at a moment, as the kernel would: an element is there until its time is over.
fn in_kernel(flat: &Flat, address: u128, at: u64) -> Option<Class> {
    let place = flat.pieces.partition_point(|piece| piece.last < address);
    let piece = flat.pieces.get(place).filter(|piece| piece.first <= address)?;
    (at < piece.word.expires.into()).then_some(piece.word.class)
}

fn any_record() -> impl Strategy<Value = Record> {
    let lens = [29_u8, 32, 40, 48, 56, 64, 64, 96, 127, 128, 128];
    let authorities =
        [Authority::OperatorList, Authority::OwnAlert, Authority::Decision, Authority::Restriction];
    let place = (0..3_u128, 0..4_u128, 0..4_u128, 0..4_u128);
    let law = (prop::sample::select(&Measure::ALL[..]), prop::sample::select(authorities.to_vec()), 0..4_u16);
    let rest = (prop::sample::select(lens.to_vec()), 0..20_u64, prop::option::of(0..=1_000_u16));
    (place, law, rest).prop_map(
        |((high, site, net, host), (measure, authority, signatures), (len, ends, score))| {
            // Up to the very end of the address space.
            let high = [0x2a00_u128, 0x2a01, 0xffff][high as usize] << 112;
            let fill = if high >> 112 == 0xffff { u128::MAX >> 16 } else { 0 };
            let address = high | (fill ^ (site << 80 | net << 64 | host));
            let rating = score.map_or(Rating::Unrated, |score| Rating::of(Score::new(score).unwrap()));
            Record {
                prefix: Prefix::containing(address, len),
                authority,
                signatures,
                rating,
                expires: NOW_S - 2 + ends,
                ..record("::/0", measure, 0)
            }
        },
    )
}

/// Every edge of every record, and beside it.
fn edges(cache: &Cache) -> impl Iterator<Item = u128> + '_ {
    cache.iter().flat_map(|(_, record)| {
        let (first, last) = (record.prefix.first(), record.prefix.last());
        [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
    })
}

proptest! {
    #[test]
    fn ranges_say_what_the_cache_says_until_it_changes(records in prop::collection::vec(any_record(), 0..60)) {
        let cache = cache(records);
        let flat = flatten(&cache, NOW_S, GOOD_FROM);
        prop_assert!(flat.pieces.len() <= 2 * cache.len() + 1);
        for piece in &flat.pieces {
            prop_assert!(piece.first <= piece.last);
        }
        for pair in flat.pieces.windows(2) {
            prop_assert!(pair[0].last < pair[1].first, "ranges overlap");
        }
        for address in edges(&cache) {
            for at in NOW_S..flat.changes_at.unwrap_or(NOW_S + 20) {
                let (found, expected) = (in_kernel(&flat, address, at), effective(&cache, address, at));
                prop_assert_eq!(found, expected, "{:#034x} after {} s", address, at - NOW_S);
            }
        }
    }

    #[test]
    fn who_is_limited_is_the_subject_of_the_ruling_record(records in prop::collection::vec(any_record(), 0..60)) {
        let cache = cache(records);
        for piece in flatten(&cache, NOW_S, GOOD_FROM).pieces {
            let ruling = cache.effective(piece.first, NOW_S).ruling;
            let limited = ruling.filter(|_| piece.word.class.measure == Measure::RateLimit);
            prop_assert_eq!(piece.word.limited, limited.map(|number| cache.record(number).prefix));
        }
    }
}
