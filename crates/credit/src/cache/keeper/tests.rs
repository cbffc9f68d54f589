//! Caches that are changed, against ones that are built anew and against asking every record.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;

use credence_memory::Lines;
use proptest::prelude::*;

use super::*;
use crate::cache::tests::{addr, stupid};
use crate::record::tests::{listed, signed};
use crate::snapshot::tests::{any_record, snapshot};
use crate::{Amended, Amendment, Authority, Header, Issuer, IssuerId, Measure};

fn keeper(published: &Published, records: Vec<Record>) -> Keeper {
    Keeper::build(published, vec![snapshot(records)], &Guards::default()).unwrap()
}

/// What a follower was told: what it holds by number.
#[derive(Default)]
struct Told {
    entries: HashMap<u32, Entry>,
    left: Vec<u32>,
    is_lost: bool,
    rests: u32,
    is_blind: bool,
    room: Option<usize>,
}

impl Follower for Told {
    fn wrote(&mut self, number: u32, _: &Record, entry: Entry) -> bool {
        self.entries.insert(number, entry);
        (number as usize) < self.room.unwrap_or(usize::MAX)
    }

    fn changed(&mut self, number: u32, entry: Entry) {
        self.entries.insert(number, entry);
    }

    fn left(&mut self, number: u32, _: Prefix) {
        self.left.push(number);
    }

    fn lost(&mut self) {
        self.is_lost = true;
    }

    fn rest(&mut self) -> bool {
        self.rests += 1;
        !self.is_blind
    }
}

impl Keeper {
    /// Asserts that every record has the parent that it would have if all were linked anew, and that a follower knows.
    fn assert_linked(&self, told: &Told) {
        for (number, record) in self.cache.iter() {
            let covering = self.publisher.trie().covering_prefix(record.prefix);
            let mut outer: Vec<u32> = covering
                .flat_map(|(_, &first)| {
                    let mut same: Vec<u32> = self.behind(first).collect();
                    same.reverse();
                    same
                })
                .collect();
            let own = outer.iter().position(|&other| other == number).unwrap();
            outer.truncate(own);
            let entry = self.cache.entry(number);
            let mut found = NO_MATCH;
            let mut skipped: Vec<u32> = Vec::new();
            // From the nearest out: the first that neither this one nor one that it skips dominates.
            for other in outer.into_iter().rev() {
                let over = |&by: &u32| self.cache.entry(by).dominates(self.cache.entry(other));
                if entry.dominates(self.cache.entry(other)) || skipped.iter().any(over) {
                    skipped.push(other);
                    continue;
                }
                found = other;
                break;
            }
            assert_eq!(entry.parent(), found, "{record:?}");
            if let Some(known) = told.entries.get(&number) {
                assert_eq!(*known, entry, "{record:?}");
            }
        }
    }
}

/// Four bits in a corner of unicast space, so that covers, duplicates and ended records are frequent.
fn corner(bits: u32) -> u128 {
    addr("2a00:1000::") | u128::from(bits) << 94
}

prop_compose! {
    fn some_records()(
        records in proptest::collection::vec((any_record(), 0u32..16, 30u8..=35, 0u64..8), 0..20),
    ) -> Vec<Record> {
        let mut records: Vec<Record> = records.into_iter().map(|(record, bits, len, expires)| {
            Record { prefix: Prefix::containing(corner(bits), len), expires, ..record }
        }).collect();
        records.sort_by_key(Record::key);
        records.dedup_by_key(|record| record.key());
        records
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_cache_says_what_one_built_anew_does(
        sets in proptest::collection::vec(some_records(), 2..6), kept in any::<u64>(), now in 0u64..9,
    ) {
        let published = Published::default();
        let mut live = keeper(&published, sets[0].clone());
        let mut told = Told::default();
        let mut generation = live.publish();
        for set in &sets[1..] {
            // Some of those before stay as they are, and some only last longer.
            let mut records = set.clone();
            records.extend(live.cache.iter().filter(|(n, _)| kept >> (n % 64) & 1 == 1).map(|(n, record)| {
                Record { expires: record.expires + u64::from(n % 3), ..record }
            }));
            records.sort_by_key(Record::key);
            records.dedup_by_key(|record| record.key());
            let next = keeper(&published, records);
            let changes = live.changes_to(&next).expect("few");
            generation += u32::from(!changes.is_empty());
            live.apply(changes, &mut told).unwrap();
            prop_assert_eq!(live.cache.generation(), generation);
            prop_assert!(live.changes_to(&next).unwrap().is_empty());
            prop_assert_eq!(live.cache.len(), next.cache.len());
            for reason in crate::KeepReason::ALL {
                prop_assert_eq!(live.cache.kept(reason), next.cache.kept(reason));
            }
            live.assert_linked(&told);
            for bits in 0..16 {
                let standing = live.cache.effective(corner(bits), now);
                let expected = next.cache.effective(corner(bits), now);
                let says = |cache: &Cache, number: Option<u32>| number.map(|number| cache.record(number));
                prop_assert_eq!(says(&live.cache, standing.credit), says(&next.cache, expected.credit));
                prop_assert_eq!(says(&live.cache, standing.ruling), says(&next.cache, expected.ruling));
                prop_assert_eq!((standing.credit, standing.ruling), stupid(&live.cache, corner(bits), now));
            }
        }
        prop_assert_eq!(published.current().generation(), live.cache.generation());
    }
}

/// So many sites on one list, of which each holds `measure`.
fn sites(count: u32, measure: Measure) -> Vec<Record> {
    (0..count).map(|n| Record { prefix: site(n), ..listed("::/0", measure) }).collect()
}

fn site(n: u32) -> Prefix {
    Prefix::containing(addr("2a00::") | u128::from(n) << 80, 48)
}

#[test]
fn what_would_change_nearly_all_is_not_changed_one_by_one() {
    let published = Published::default();
    let live = keeper(&published, sites(20_000, Measure::Drop));
    assert!(live.changes_to(&keeper(&published, sites(20_000, Measure::Mark))).is_none());
    assert_eq!(live.changes_to(&keeper(&published, sites(22_000, Measure::Drop))).unwrap().len(), 2_000);
    let small = keeper(&published, sites(1_000, Measure::Drop));
    assert_eq!(small.changes_to(&keeper(&published, Vec::new())).unwrap().len(), 1_000);
}

#[test]
fn a_number_is_given_out_again_only_when_those_who_read_by_it_have_left() {
    let published = Published::default();
    let mut live = keeper(&published, sites(3, Measure::Drop));
    live.publish();
    let mut reader = published.reader();
    reader.enter();
    let cache = Shared::clone(reader.current());
    let number = cache.longest_match(site(1).first()).unwrap();
    for round in 0..4 {
        let measure = [Measure::Mark, Measure::Drop][round % 2];
        let changes = live.changes_to(&keeper(&published, sites(3, measure))).unwrap();
        live.apply(changes, &mut ()).unwrap();
        assert_eq!(cache.record(number), sites(3, Measure::Drop)[1], "it was read by its number before");
    }
    assert_eq!(live.reclaim(), 12);
    assert_eq!(cache.numbers(), 15);
    reader.leave();
    assert_eq!(live.reclaim(), 0);
    let generation = cache.generation();
    for round in 1..3 {
        let changes = live.changes_to(&keeper(&published, sites(3, Measure::Observe))).unwrap();
        assert_eq!(changes.len(), [3, 0][round - 1]);
        live.apply(changes, &mut ()).unwrap();
        assert_eq!(cache.generation(), generation + 1, "what changes nothing is no update");
    }
    assert_eq!(cache.numbers(), 15, "the next records take the numbers of those that are gone");
}

#[test]
fn a_record_that_only_lasts_longer_keeps_its_number() {
    let published = Published::default();
    let mut live = keeper(&published, sites(3, Measure::Drop));
    let longer = |by: u64| {
        sites(3, Measure::Drop).into_iter().map(move |record| Record { expires: 1_000 + by, ..record })
    };
    let mut told = Told::default();
    let changes = live.changes_to(&keeper(&published, longer(5).collect())).unwrap();
    live.apply(changes, &mut told).unwrap();
    assert_eq!((live.cache.numbers(), told.left.len()), (3, 0));
    assert!(told.entries.values().all(|entry| entry.expires() == 1_005));
    let changes = live.changes_to(&keeper(&published, longer(2).collect())).unwrap();
    live.apply(changes, &mut told).unwrap();
    assert_eq!((live.cache.numbers(), told.left.len()), (6, 3), "one that ends sooner is another");
}

#[test]
fn issuers_keep_their_numbers_and_new_ones_get_the_next() {
    let of = |names: &[&str]| {
        let issuers = names.iter().map(|&name| Issuer::new(name).unwrap()).collect();
        let record = |number: usize| Record {
            issuer: IssuerId(number as u16),
            ..sites(9, Measure::Drop)[number].clone()
        };
        Snapshot::new(Header::default(), issuers, (0..names.len()).map(record).collect()).unwrap()
    };
    let published = Published::default();
    let mut live = Keeper::build(&published, vec![of(&["b", "d"])], &Guards::default()).unwrap();
    let next = Keeper::build(&published, vec![of(&["a", "b", "c", "d"])], &Guards::default()).unwrap();
    let before = live.cache.issuer(IssuerId(1));
    let changes = live.changes_to(&next).unwrap();
    live.apply(changes, &mut ()).unwrap();
    assert_eq!(live.cache.issuer(IssuerId(1)), before);
    let mut names: Vec<String> =
        live.cache.iter().map(|(_, record)| live.cache.issuer(record.issuer).name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[test]
fn a_table_that_outgrows_its_room_is_swapped_with_all_records_in_place() {
    let published = Published::default();
    let mut live = keeper(&published, Vec::new());
    live.publish();
    let mut reader = published.reader();
    let hosts = |count: u32| -> Vec<Record> {
        // Two prefixes in the two halves of a /64 need a tree of their own, six lines each.
        let halves = (0..count).flat_map(|n| [0, 1 << 63].map(|half| (n, half)));
        halves
            .map(|(n, half)| Record {
                prefix: Prefix::containing(addr("2a00::") | u128::from(n) << 64 | half, 65),
                ..listed("::/0", Measure::Drop)
            })
            .collect()
    };
    let (mut tables, mut last) = (0, Shared::clone(reader.current()));
    for count in (0..13_000).step_by(500) {
        let next = keeper(&published, hosts(count));
        let Some(changes) = live.changes_to(&next) else { panic!("a thousand changes each") };
        live.apply(changes, &mut ()).unwrap();
        let now = Shared::clone(reader.current());
        tables += u32::from(!Shared::ptr_eq(&last, &now));
        last = now;
        for record in hosts(count) {
            let found = last.longest_match(record.prefix.first()).unwrap();
            assert_eq!(last.record(found), record);
        }
    }
    assert!(tables > 0, "no table was outgrown");
    assert!(published.reclaim() <= 1);
}

#[test]
fn a_follower_of_a_mirror_that_is_outgrown_is_told() {
    let published = Published::default();
    let mut live = keeper(&published, sites(10, Measure::Drop));
    assert!(live.reflect(Mirror { lines: Arc::new(Lines::zeroed(64)), from: 0, room: 64 }));
    let mut told = Told::default();
    let changes = live.changes_to(&keeper(&published, sites(1_000, Measure::Drop))).unwrap();
    live.apply(changes, &mut told).unwrap();
    assert!(told.is_lost && !live.is_mirrored());
}

#[test]
fn a_follower_without_room_ends_the_mirror_before_the_record_is_found() {
    let published = Published::default();
    let mut live = keeper(&published, sites(10, Measure::Drop));
    assert!(live.reflect(Mirror { lines: Arc::new(Lines::zeroed(640)), from: 0, room: 640 }));
    let mut told = Told { room: Some(12), ..Told::default() };
    let changes = live.changes_to(&keeper(&published, sites(12, Measure::Drop))).unwrap();
    live.apply(changes, &mut told).unwrap();
    assert!(!told.is_lost && live.is_mirrored());
    let changes = live.changes_to(&keeper(&published, sites(13, Measure::Drop))).unwrap();
    live.apply(changes, &mut told).unwrap();
    assert!(told.is_lost && !live.is_mirrored());
}

#[test]
fn a_follower_is_asked_to_move_on_when_much_waits() {
    let published = Published::default();
    let mut live = keeper(&published, sites(100_000, Measure::Drop));
    live.publish();
    let reader = published.reader();
    reader.enter();
    assert!(live.reflect(Mirror { lines: Arc::new(Lines::zeroed(60_000)), from: 0, room: 60_000 }));
    let mut told = Told::default();
    let fewer = || {
        (0..100_000)
            .filter(|n| n % 10 != 0)
            .map(|n| Record { prefix: site(n), ..listed("::/0", Measure::Drop) })
    };
    for next in [fewer().collect(), sites(100_000, Measure::Drop)] {
        let changes = live.changes_to(&keeper(&published, next)).unwrap();
        live.apply(changes, &mut told).unwrap();
    }
    assert!(told.rests > 0 && live.is_mirrored() && !told.is_lost);
    // Where that cannot be found out, what waits may be used again while it is read there: the mirror ends first.
    told.is_blind = true;
    for next in [fewer().collect(), sites(100_000, Measure::Drop)] {
        let changes = live.changes_to(&keeper(&published, next)).unwrap();
        live.apply(changes, &mut told).unwrap();
    }
    assert!(told.is_lost && !live.is_mirrored());
}

/// While a decision about a site is exchanged for another and back, whoever reads finds one of them, and always the wide record
/// behind it.
#[test]
fn a_reader_finds_what_was_before_or_what_is_after() {
    let published = Published::default();
    let wide = || listed("2a00::/32", Measure::None);
    let narrow =
        |measure| Record { measure, expires: 500, ..signed("2a00:0:1::/48", Authority::Decision, 2) };
    let set = |measure| vec![wide(), narrow(measure)];
    let mut live = keeper(&published, set(Measure::Drop));
    live.publish();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut reader = published.reader();
            let mut seen = 0_u64;
            while !done.load(Relaxed) {
                reader.enter();
                let cache = Shared::clone(reader.current());
                let standing = cache.effective(addr("2a00:0:1::1"), 100);
                let credit = cache.entry(standing.credit.unwrap());
                assert_eq!((credit.authority(), credit.prefix_len()), (Authority::Decision, 48));
                assert_eq!(cache.entry(standing.ruling.unwrap()).measure(), Measure::None);
                assert_eq!(cache.effective(addr("2a00:0:1::1"), 600).credit, standing.ruling);
                reader.leave();
                seen += 1;
            }
            assert!(seen > 0);
        });
        for round in 0..2_000 {
            let next = keeper(&published, set([Measure::Mark, Measure::Drop][round % 2]));
            let changes = live.changes_to(&next).unwrap();
            live.apply(changes, &mut ()).unwrap();
        }
        done.store(true, Relaxed);
    });
    assert!(live.cache.numbers() < 4_000);
}

impl Record {
    fn about(self, prefix: Prefix) -> Self {
        Self { prefix, ..self }
    }
}

/// How one set of records becomes another.
fn amendments(before: &[Record], after: &[Record]) -> Vec<Amendment> {
    let by_key = |records: &[Record]| -> BTreeMap<_, Record> {
        records.iter().map(|record| (record.key(), record.clone())).collect()
    };
    let (before, after) = (by_key(before), by_key(after));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let both = keys
        .into_iter()
        .map(|key| Amendment { before: before.get(key).cloned(), after: after.get(key).cloned() });
    both.filter(|amendment| amendment.before != amendment.after).collect()
}

/// All records of a cache with their issuers' names and what the guards say of them, in an order.
fn told(cache: &Cache) -> Vec<(Record, Issuer, Guarded)> {
    let mut told: Vec<_> = cache
        .iter()
        .map(|(number, record)| (record.clone(), cache.issuer(record.issuer), cache.entry(number).guarded()))
        .collect();
    let key =
        |(record, issuer, _): &(Record, Issuer, Guarded)| (record.prefix, record.authority, issuer.clone());
    told.sort_by(|one, other| key(one).cmp(&key(other)).then_with(|| one.0.contest(&other.0)));
    told
}

/// Amends `live`, which is of `before` beside `lists`, and compares it with what is built anew; with what was foretold of it as well.
fn check_amended(live: &mut Keeper, sets: [&[Record]; 2], lists: &Snapshot, now: u64) {
    let [before, after] = sets;
    let (guards, next) = (Guards::default(), snapshot(after.to_vec()));
    let sources = [lists.header(), next.header()];
    let anew = Keeper::build(&Published::default(), vec![lists.clone(), next.clone()], &guards).unwrap();
    let amendments = amendments(before, after);
    let update = Amended { issuers: next.issuers(), amendments: &amendments, sources: &sources };
    let is_elsewhere = |record: &Record, issuer: &Issuer| {
        lists.records().iter().any(|own| own == record && lists.issuer(own.issuer) == issuer)
    };
    let changes = live.amend(update, &guards, is_elsewhere);
    let expected = live.changes_to(&anew).map(|changes| changes.len());
    assert_eq!(changes.as_ref().map(Changes::len), expected, "what has changed and nothing else");
    let Some(changes) = changes else { return *live = anew };
    let exact = crate::guard::Change::between(&live.cache, &anew.cache, now);
    let bound = live.bound(&changes, now);
    assert_eq!((bound.added, bound.removed), (exact.added, exact.removed));
    assert!(bound.before <= exact.before && bound.space_64s >= exact.space_64s, "{bound:?} {exact:?}");
    let asked: Vec<u128> = (0..256).map(|bits| addr("2a00:1000::") | bits << 88).collect();
    let ruling = |cache: &Cache, addr: u128| {
        let ruling = cache.effective(addr, now).ruling;
        ruling.map_or(Measure::None, |number| cache.entry(number).allowed())
    };
    let was: Vec<Measure> = asked.iter().map(|&addr| ruling(&live.cache, addr)).collect();
    let foreseen = live.foresee(&changes, &asked, now).unwrap();
    live.apply(changes, &mut ()).unwrap();
    let is: Vec<Measure> = asked.iter().map(|&addr| ruling(&live.cache, addr)).collect();
    let differ = |both: &(Measure, Measure)| both.0 != both.1;
    let changed: Vec<_> = was.into_iter().zip(is).filter(differ).collect();
    assert_eq!(foreseen.into_iter().filter(differ).collect::<Vec<_>>(), changed);
    assert_eq!(told(&live.cache), told(&anew.cache));
    assert!(live.changes_to(&anew).unwrap().is_empty());
    assert_eq!(live.cache.sources(), anew.cache.sources());
    for reason in crate::KeepReason::ALL {
        assert_eq!(live.cache.kept(reason), anew.cache.kept(reason), "{reason:?}");
    }
    assert_eq!(
        (live.tally.least(now), live.tally.space_64s()),
        (anew.tally.least(now), anew.tally.space_64s())
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever one snapshot of several becomes, the cache becomes what one is that is built anew.
    #[test]
    fn an_amended_cache_is_what_one_built_anew_is(
        sets in proptest::collection::vec(some_records(), 2..6), lists in some_records(), shared in any::<u64>(), now in 0u64..9,
    ) {
        // Some of what the lists say the feed says in the same words.
        let mut said: Vec<Vec<Record>> = sets;
        for set in &mut said {
            set.extend(lists.iter().zip(0..).filter(|(_, at)| shared >> at & 1 == 1).map(|(record, _)| record.clone()));
            set.sort_by_key(Record::key);
            set.dedup_by_key(|record| record.key());
        }
        let lists = snapshot(lists);
        let first = vec![lists.clone(), snapshot(said[0].clone())];
        let mut live = Keeper::build(&Published::default(), first, &Guards::default()).unwrap();
        for pair in said.windows(2) {
            check_amended(&mut live, [&pair[0], &pair[1]], &lists, now);
        }
    }
}

/// So many neighbouring sites of a /32 on one signature each, beside so many elsewhere that nothing is built anew for them.
fn neighbours(sites: u128, len: u8) -> Vec<Record> {
    let alert = |prefix| Record { expires: 30_000, ..signed("::/0", Authority::OwnAlert, 1) }.about(prefix);
    let near = (0..sites).map(|site| Prefix::containing(addr("2a00:1000::") | site << 80, len));
    let elsewhere = (0..40_000).map(|site| Prefix::containing(addr("2a01::") | site << 96, 64));
    near.chain(elsewhere).map(alert).collect()
}

/// One site more and all of a /32 are kept back; one less, or some narrower, and they are in force again.
#[test]
fn what_is_kept_back_together_is_judged_together() {
    let mut narrower = neighbours(4_097, 48);
    for record in &mut narrower[7..9] {
        record.prefix = Prefix::containing(record.prefix.first(), 64);
    }
    let steps = [
        neighbours(4_096, 48),
        neighbours(4_097, 48),
        neighbours(4_095, 48),
        neighbours(4_097, 48),
        narrower,
    ];
    let (lists, guards) = (snapshot(Vec::new()), Guards::default());
    let first = vec![lists.clone(), snapshot(steps[0].clone())];
    let mut live = Keeper::build(&Published::default(), first, &guards).unwrap();
    let mut kept = Vec::new();
    for pair in steps.windows(2) {
        check_amended(&mut live, [&pair[0], &pair[1]], &lists, 9);
        kept.push(live.cache.kept(crate::KeepReason::Crowded));
    }
    assert_eq!(kept, [4_097, 0, 4_097, 0]);
}

/// So much that two cores find what it comes to: they come to what one built anew is, in the same order.
#[test]
fn many_amendments_come_to_what_one_built_anew_is() {
    let before = neighbours(400, 48);
    let mut after = before.clone();
    for (place, record) in after.iter_mut().enumerate().filter(|(place, _)| place % 30 == 0) {
        match place % 90 {
            0 => record.expires += 1,
            30 => record.measure = Measure::Observe,
            _ => record.prefix = Prefix::containing(record.prefix.first(), record.prefix.len() - 1),
        }
    }
    after.sort_by_key(Record::key);
    let lists = snapshot(Vec::new());
    let first = vec![lists.clone(), snapshot(before.clone())];
    let mut live = Keeper::build(&Published::default(), first, &Guards::default()).unwrap();
    check_amended(&mut live, [&before, &after], &lists, 9);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_prefix_has_a_share_in_both_halves(records in some_records()) {
        let all = amendments(&records, &[]);
        let (front, back) = amend::halves(&all);
        prop_assert_eq!(&[front, back].concat(), &all);
        let prefixes =
            |half: &[Amendment]| -> BTreeSet<Prefix> { half.iter().map(|one| one.key().unwrap().0).collect() };
        prop_assert!(prefixes(front).is_disjoint(&prefixes(back)));
    }
}

/// Changes that were found before others were made would lead to what nobody said.
#[test]
fn changes_to_what_a_cache_no_more_says_are_refused() {
    let published = Published::default();
    let mut live = keeper(&published, sites(9, Measure::Drop));
    let [one, other] = [Measure::Mark, Measure::Observe].map(|measure| keeper(&published, sites(9, measure)));
    let [first, second] = [&one, &other].map(|next| live.changes_to(next).unwrap());
    let elsewhere = one.changes_to(&other).unwrap();
    assert_eq!(live.apply(elsewhere, &mut ()), Err(NotChanged::Outdated));
    assert_eq!(live.apply(first, &mut ()), Ok(()));
    assert_eq!(live.apply(second, &mut ()), Err(NotChanged::Outdated));
    assert_eq!(told(&live.cache), told(&one.cache));
}

/// What is not what the cache was built of is not made up for: it is built anew.
#[test]
fn an_amendment_of_something_else_is_not_made() {
    let live = keeper(&Published::default(), sites(9, Measure::Drop));
    let [old, new] = [Measure::Mark, Measure::Observe].map(|measure| sites(1, measure).remove(0));
    let amendments = [Amendment { before: Some(old), after: Some(new) }];
    let names = snapshot(Vec::new());
    let update = Amended { issuers: names.issuers(), amendments: &amendments, sources: &[] };
    assert!(live.amend(update, &Guards::default(), |_, _| false).is_none());
}
