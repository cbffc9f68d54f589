//! Whoever was away catches up by few files, and nobody is led back.

use credence_platform::feed::Feed;

use crate::stage::{Gateway, Memory, Publisher};

/// Goes on by one version, and is now and then started anew.
fn next(publisher: &mut Publisher, number: u16) {
    publisher.now += 1;
    publisher.alert(1 + number % 3, number);
    publisher.publish();
    if number.is_multiple_of(13) {
        publisher.restart();
    }
}

/// From each of 300 versions a gateway comes to the newest one, without the whole state, and by few files however long it was away.
#[test]
fn whoever_was_away_catches_up_by_few_files_from_any_version() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    let mut left: Vec<(u64, Memory)> = Vec::new();
    for number in 0..300 {
        next(&mut publisher, number);
        gateway.follow(&publisher);
        left.push((publisher.head().1.serial, gateway.disk.clone()));
    }
    let (_, head) = publisher.head();
    assert!(head.deltas.len() <= 64, "a head names {} deltas", head.deltas.len());
    let expected = publisher.records();
    for (serial, disk) in left.into_iter().step_by(7) {
        let mut away = Gateway::on(disk, gateway.pinned.clone());
        let behind = head.serial - serial;
        if !away.follow(&publisher) {
            assert_eq!(behind, 0);
            continue;
        }
        let files: Vec<_> = away.asked.iter().filter(|path| path.starts_with("feed/files/")).collect();
        let whole = format!("feed/files/{}", head.snapshot.name());
        assert!(!files.contains(&&whole), "{behind} versions behind the whole state is asked for");
        // Seven of a kind at most on the way, of three kinds.
        assert!(files.len() <= 21.min(behind as usize), "{} files for {behind} versions", files.len());
        assert_eq!(away.records(), expected, "{behind} versions behind");
        assert_eq!(away.restart().records(), expected, "as it lies on the disk");
    }
}

/// Rules are known by their numbers. A platform whose journal has lost one, say a draft whose payload somebody took away, publishes
/// nothing, where it would be believed by nobody any more.
#[test]
fn a_platform_with_fewer_rules_than_it_published_publishes_nothing() {
    let mut publisher = Publisher::new();
    let registry = publisher.next_registry(|_| {});
    publisher.adopt(&registry);
    let (rules, open) = (publisher.rules(), |rules| publisher.reopened(rules).map(drop));
    assert_eq!(rules.len() as u32, publisher.head().1.rules);
    open(rules.clone()).unwrap();
    let fault = open(rules[..rules.len() - 1].to_vec()).unwrap_err();
    assert!(fault.contains("5 rules were published, and the journal has 4"), "{fault}");
    let mut other = rules.clone();
    other[4].accepted += 1;
    let fault = open(other).unwrap_err();
    assert!(fault.contains("of which some are others"), "{fault}");
    // One more than was published is what a start after an adoption finds.
    publisher.now += 1;
    let registry = publisher.next_registry(|_| {});
    publisher.hand_in(&registry);
    let more = publisher.rules();
    assert_eq!(more.len(), rules.len() + 1);
    let reopened: Feed = publisher.reopened(more).unwrap();
    assert!(
        reopened.head().is_some() && reopened.offered().is_none(),
        "nothing is shown until a head goes by it"
    );
}
