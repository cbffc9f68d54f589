//! A publisher that has lost entries of its log for good, and goes on under another name.

use credence_feed::Reject;
use credence_feed::log::origin;
use credence_sync::feed::epoch::{EpochError, turn_to};
use credence_sync::feed::evidence::{Deceit, kept_evidence};

use crate::rounds::with_head;
use crate::stage::{Gateway, Lies, Publisher};

/// To whoever follows it is a log that became shorter, or another one, until the operator says that it is another epoch.
#[test]
fn another_epoch_is_followed_by_the_operators_word_alone() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    for site in 0..4 {
        publisher.alert(1, site);
    }
    publisher.publish();
    gateway.follow(&publisher);
    let known = gateway.records();
    assert_eq!(known.len(), 4);
    // A head of the old session that this gateway has not seen.
    publisher.now += 1;
    publisher.alert(1, 4);
    publisher.publish();
    let old = with_head(&publisher.head().0);

    publisher.lose(3);
    publisher.now += 10;
    publisher.publish();
    let refused = gateway.lied_to(&publisher, &Lies::new());
    assert_eq!(refused.unwrap_err(), Reject::Log);
    assert_eq!(gateway.evidence.as_ref().unwrap().deceit, Deceit::Shorter);
    // With more entries than were known it is a fork.
    for site in 10..14 {
        publisher.now += 1;
        publisher.alert(2, site);
    }
    publisher.publish();
    assert_eq!(gateway.lied_to(&publisher, &Lies::new()).unwrap_err(), Reject::Log);
    assert_eq!(gateway.evidence.as_ref().unwrap().deceit, Deceit::Forked);
    assert_eq!(gateway.records(), known, "what is in force stays");

    let evidence = kept_evidence(&gateway.disk).unwrap();
    assert!(turn_to(&mut gateway.disk, 2).unwrap());
    assert!(!turn_to(&mut gateway.disk, 2).unwrap());
    gateway.pinned.origin = origin(publisher.world, 2);
    let mut gateway = gateway.restart();
    assert_eq!(gateway.records(), known, "what is in force stays");
    // What belongs to the epoch before is not believed any more, although nobody had shown it.
    let refused = gateway.lied_to(&publisher, &old).unwrap_err();
    assert!(matches!(refused, Reject::Rollback { .. }), "{refused}");
    assert!(gateway.follow(&publisher));
    assert_eq!(gateway.records(), publisher.records());
    assert_eq!(kept_evidence(&gateway.disk).unwrap(), evidence, "what was signed before stays on record");

    // From here on it is a log like any other, and there is no way back.
    let mut gateway = gateway.restart();
    publisher.lose(2);
    publisher.now += 10;
    publisher.publish();
    assert_eq!(gateway.lied_to(&publisher, &Lies::new()).unwrap_err(), Reject::Log);
    let refused = turn_to(&mut gateway.disk, 1);
    assert!(matches!(refused, Err(EpochError::Back { known: 2 })), "{refused:?}");
}

/// Whoever has followed nothing yet has nothing to forget.
#[test]
fn a_first_start_may_be_in_any_epoch() {
    let publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    assert!(turn_to(&mut gateway.disk, 3).unwrap());
    assert!(gateway.restart().follow(&publisher));
}

/// A number that was damaged is told, and nothing is forgotten for it.
#[test]
fn an_epoch_that_cannot_be_read_is_told() {
    let publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    gateway.follow(&publisher);
    for damaged in [&b"two"[..], b"0", b"", b"-1", b"\xff", b"4294967296"] {
        gateway.disk.0.insert("epoch".to_owned(), damaged.to_vec());
        let (refused, before) = (turn_to(&mut gateway.disk, 5), gateway.disk.clone());
        assert!(matches!(refused, Err(EpochError::Unkept(_))), "{refused:?}");
        assert_eq!(gateway.disk, before);
    }
}
