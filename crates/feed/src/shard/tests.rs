use credence_credit::{Authority, EvidenceClass, Measure, Rating, Reasons, Score};
use credence_prefix::Prefix;
use proptest::prelude::*;

use super::*;
use crate::pack::{pack_shard, unpack_shard};

prop_compose! {
    /// Rows of few prefixes, so that they meet.
    pub(crate) fn any_row()(
        number in 0_u128..400, len in 120_u8..=128, score in proptest::option::of(0_u16..=1000), act: [u8; 8],
        authority in proptest::sample::select(&Authority::ALL), measure in proptest::sample::select(&Measure::ALL),
        reasons in 0_u16..1024, signatures: u16, expires: u64,
    ) -> Row {
        Row {
            prefix: Prefix::containing(0x2a00_0001 << 96 | number, len),
            authority,
            rating: score.map_or(Rating::Unrated, |score| Rating::of(Score::new(score).unwrap())),
            measure,
            reasons: Reasons::try_from(reasons).unwrap(),
            evidence: EvidenceClass::Confirmed,
            signatures,
            expires,
            act: ActRef(act),
        }
    }
}

prop_compose! {
    pub(crate) fn any_rows(most: usize)(rows in proptest::collection::vec(any_row(), 0..most)) -> Vec<Row> {
        let mut rows = rows;
        rows.sort_by_key(Row::key);
        rows.dedup_by_key(|row| row.key());
        rows
    }
}

fn sorted(shard: &Shard) -> Vec<Row> {
    shard.in_order()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever way leads to some rows, and whatever goes that is not there, the shard is the same as one that is made of them.
    #[test]
    fn a_shard_that_was_changed_is_the_one_of_its_rows(
        old in any_rows(300), new in any_rows(300), strange in any_rows(20), more: bool,
    ) {
        let before = Shard::new(&old).unwrap();
        let after = before.followed_by(&new).unwrap();
        prop_assert_eq!(sorted(&after), new.clone());
        let mut changes = before.changes_to(&after);
        let is_new = |key: &Key| new.binary_search_by_key(key, Row::key).is_ok();
        changes.gone.extend(strange.iter().map(Row::key).filter(|key| !is_new(key)));
        changes.gone.sort_unstable();
        changes.gone.dedup();
        let again = before.changed(changes.clone(), after.bits()).unwrap();
        prop_assert_eq!(again.digest(), after.digest());
        prop_assert_eq!(again.digest(), Shard::in_pages(&new, after.bits()).unwrap().digest());
        // As a list would do it.
        let mut list: Vec<Row> = old.into_iter().filter(|row| !changes.gone.contains(&row.key())).collect();
        list.retain(|row| changes.put.iter().all(|put| put.key() != row.key()));
        list.extend(changes.put.clone());
        list.sort_by_key(Row::key);
        prop_assert_eq!(&list, &new);
        // In other pages.
        let bits = if more && new.len() > 1 { 1 } else { 0 };
        let paged = before.changed(changes, bits).unwrap();
        prop_assert_eq!((sorted(&paged), paged.digest()), (new.clone(), Shard::in_pages(&new, bits).unwrap().digest()));
    }

    /// Even where a row goes and comes at once, and where one comes that was there.
    #[test]
    fn what_was_noted_of_changes_is_what_a_look_at_all_rows_finds(
        old in any_rows(300), put in any_rows(40), gone in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        prop_assume!(!old.is_empty());
        let before = Shard::new(&old).unwrap();
        let mut gone: Vec<Key> = gone.iter().map(|at| old[at.index(old.len())].key()).collect();
        gone.sort_unstable();
        gone.dedup();
        let mut put = put;
        put.extend(gone.iter().step_by(3).filter_map(|key| before.row(*key)));
        put.sort_by_key(Row::key);
        put.dedup_by_key(|row| row.key());
        let after = before.changed(Changes { put, gone }, before.bits());
        prop_assume!(after.is_ok());
        let after = after.unwrap();
        let sorted = |found: &[Differing]| {
            let mut found = found.to_vec();
            found.sort_by_key(|(was, is)| was.as_ref().or(is.as_ref()).map(Row::key));
            found
        };
        prop_assert!(after.since().is_some());
        let noted = sorted(&before.differing(&after));
        prop_assert_eq!(&noted, &sorted(&before.compared(&after)));
        let mut all = Vec::new();
        differences(before.in_order().into_iter(), after.in_order().into_iter(), &mut all);
        prop_assert_eq!(&noted, &all);
        // Of another shard with the same rows, nothing is noted.
        let other = Shard::in_pages(&old, before.bits()).unwrap();
        prop_assert_eq!(&sorted(&other.differing(&after)), &all);
        after.settle();
        prop_assert!(after.since().is_none());
        prop_assert_eq!(&sorted(&before.differing(&after)), &all);
    }

    #[test]
    fn a_file_holds_a_shard_and_nothing_else(rows in any_rows(200), at: prop::sample::Index, byte: u8) {
        let shard = Shard::new(&rows).unwrap();
        let file = pack_shard(&shard);
        let read = unpack_shard(&file, shard.len()).unwrap();
        prop_assert_eq!((sorted(&read), read.digest()), (sorted(&shard), shard.digest()));
        prop_assert!(unpack_shard(&file, shard.len() + 1).is_err());
        prop_assert!(unpack_shard(&file[..file.len() - 1], shard.len()).is_err());
        // A changed file is refused, or is of other rows, or packed in another way.
        let mut changed = file.clone();
        let at = at.index(changed.len());
        changed[at] ^= byte;
        if let Ok(read) = unpack_shard(&changed, shard.len()) {
            prop_assert!(read.digest() == shard.digest() || sorted(&read) != sorted(&shard) || read.bits() != shard.bits());
        }
    }

    /// No two shards have one digest.
    #[test]
    fn a_digest_is_of_its_rows_alone(rows in any_rows(60), change in any_row(), at: prop::sample::Index) {
        prop_assume!(!rows.is_empty());
        let digest = Shard::new(&rows).unwrap().digest();
        let mut other = rows.clone();
        other.remove(at.index(rows.len()));
        prop_assert_ne!(Shard::new(&other).unwrap().digest(), digest);
        let mut other = rows.clone();
        let place = at.index(rows.len());
        other[place] = Row { prefix: rows[place].prefix, authority: rows[place].authority, ..change };
        prop_assert_eq!(Shard::new(&other).unwrap().digest() == digest, other == rows);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let rows: Vec<Row> = (0..64_u128)
        .map(|number| Row {
            prefix: Prefix::containing(number << 64, 64),
            authority: Authority::OwnAlert,
            rating: Rating::Unrated,
            measure: Measure::Observe,
            reasons: Reasons::NONE,
            evidence: EvidenceClass::Confirmed,
            signatures: 1,
            expires: 9,
            act: ActRef([1; 8]),
        })
        .collect();
    let shard = Shard::new(&rows).unwrap();
    assert_eq!((shard.len(), shard.bits()), (64, 2));
    let refused =
        |put: Vec<Row>, gone: Vec<Key>, bits| shard.changed(Changes { put, gone }, bits).unwrap_err();
    assert_eq!(refused(vec![rows[1].clone(), rows[0].clone()], Vec::new(), 2), Reject::Order);
    assert_eq!(refused(Vec::new(), vec![rows[1].key(), rows[1].key()], 2), Reject::Order);
    assert_eq!(refused(Vec::new(), Vec::new(), 7), Reject::TooLarge, "more pages than rows");
    assert_eq!(refused(Vec::new(), Vec::new(), 64), Reject::TooLarge);
    let twice = Shard::new(&[rows[0].clone(), rows[0].clone()]);
    assert_eq!(twice.unwrap_err(), Reject::Order);
}

/// A million prefixes one behind the other lie in pages of about the same size.
#[test]
fn pages_are_of_a_size_whatever_the_prefixes_have_in_common() {
    for shift in [0, 16, 48, 64, 76, 96] {
        let mut pages = vec![0_u32; 1 << 12];
        for number in 0..65_536_u128 {
            pages[page(Prefix::containing(0x2a00 << 112 | number << shift, 128 - shift as u8), 12)] += 1;
        }
        let most = pages.iter().max().copied().unwrap();
        assert!(most < 64, "{most} in a page where 16 are due, at a shift of {shift}");
    }
}
