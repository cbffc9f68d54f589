//! Whatever way leads to what is in force, it is the same.

use credence_credit::Measure;
use credence_law::party::Party;
use credence_law::standard::Standard;

use crate::stage::{BEGIN, Gateway, Publisher, member};

#[test]
fn a_gateway_is_told_what_the_platform_says_is_in_force() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    assert!(gateway.follow(&publisher));
    assert_eq!(gateway.records(), []);
    assert_eq!(gateway.asked[..5], ["0", "1", "2", "3", "4"].map(|number| format!("feed/rules/{number}")));
    assert_eq!(gateway.asked[5], "feed/head");
    assert_eq!(gateway.asked.len(), 7, "the list of nothing: {:?}", gateway.asked);
    publisher.alert(1, 1);
    publisher.alert(2, 1);
    assert!(publisher.publish());
    assert!(gateway.follow(&publisher));
    assert_eq!(gateway.asked[..3], ["feed/rules/4", "feed/head", "log/consistency/4/6"]);
    assert_eq!(gateway.asked.len(), 4, "and a delta: {:?}", gateway.asked);
    assert_eq!(gateway.records(), publisher.records());
    assert_eq!(gateway.records().len(), 2);
    assert!(!gateway.follow(&publisher), "nothing is new");
    assert_eq!(gateway.asked, ["feed/rules/4", "feed/head"]);
}

/// A decision, a complaint that makes it milder, and the outcome that takes it back, by deltas and by whole states.
#[test]
fn what_is_decided_relieved_and_corrected_reaches_every_gateway() {
    let mut publisher = Publisher::new();
    let mut near = Gateway::new(&publisher);
    near.follow(&publisher);
    let (subject, act) = publisher.decide();
    publisher.publish();
    near.follow(&publisher);
    assert_eq!(near.measure(subject), Some(Measure::Drop));
    publisher.now += 60;
    let (complaint, relief) = publisher.complain(act);
    publisher.publish();
    near.follow(&publisher);
    assert_eq!(near.measure(subject), Some(Measure::RateLimit), "relief {relief}");
    let mut late = Gateway::new(&publisher);
    late.follow(&publisher);
    assert_eq!(late.records(), near.records());
    publisher.now += 60;
    let upheld = publisher.parties.uphold(complaint, act, publisher.now).unwrap();
    publisher.hand_in(&upheld);
    publisher.publish();
    near.follow(&publisher);
    late.follow(&publisher);
    assert_eq!((near.measure(subject), late.measure(subject)), (None, None));
    assert_eq!(publisher.records(), []);
}

/// What an issuer does not state within the hour counts no more; what it states goes on.
#[test]
fn an_act_that_no_manifest_lists_counts_for_an_hour() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    publisher.alert(1, 1);
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records().len(), 1);
    publisher.now += 3_599;
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records().len(), 1);
    publisher.now += 1;
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records().len(), 0, "nobody has stated it");
    assert_eq!(publisher.attest(0), 1);
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records(), publisher.records());
    let (manifest, shard) = publisher.feed.stated(member(1)).unwrap();
    assert_eq!((manifest.count, shard.len()), (1, 1));
    publisher.now += 3_600;
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records().len(), 0, "the manifest is over, and was not made anew");
}

/// An act that was taken back does not come again with the moment at which it would have been over, for gateways whose clocks are
/// late: its issuer's manifest may list it still.
#[test]
fn what_was_taken_back_stays_so_when_its_time_is_over() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    let act = publisher.alert(1, 1);
    publisher.now += 7 * 86_400 - 600;
    publisher.attest(0);
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records().len(), 1);
    publisher.lift(1, act);
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records(), []);
    publisher.now += 600;
    publisher.publish();
    gateway.follow(&publisher);
    let (_, shard) = publisher.feed.stated(member(1)).unwrap();
    assert_eq!((shard.len(), gateway.records()), (1, Vec::new()));
}

/// Over hundreds of random steps a gateway that follows each head, one that comes now and then, and one that begins at the end
/// believe the same, and what they believe is what the platform says.
#[test]
fn all_ways_lead_to_the_same() {
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut publisher = Publisher::new();
    let (mut steady, mut lazy) = (Gateway::new(&publisher), Gateway::new(&publisher));
    let (mut snapshots, mut deltas) = (0, 0);
    let mut alerts = Vec::new();
    for step in 0..300 {
        publisher.now += random(90);
        match random(10) {
            0..5 => {
                let (of, site) = (1 + random(5) as u16, random(40) as u16);
                alerts.push((of, publisher.alert(of, site)));
            }
            5 if !alerts.is_empty() => {
                let (of, act) = alerts.swap_remove(random(alerts.len() as u64) as usize);
                publisher.lift(of, act);
            }
            6 | 7 => drop(publisher.attest(random(900))),
            8 if random(8) == 0 => publisher.restart(),
            _ => {}
        }
        publisher.publish();
        steady.follow(&publisher);
        let (theirs, ours) = (steady.records(), publisher.records());
        assert!(theirs.iter().all(|record| ours.contains(record)), "step {step}");
        if random(12) == 0 {
            lazy.follow(&publisher);
            let lists = |asked: &[String]| asked.len() > 2;
            if lists(&lazy.asked) {
                let (_, head) = publisher.head();
                let list = format!("feed/files/{}", head.snapshot.name());
                *(if lazy.asked.contains(&list) { &mut snapshots } else { &mut deltas }) += 1;
            }
            assert_eq!(lazy.records(), theirs, "step {step}");
            let mut new = Gateway::new(&publisher);
            new.follow(&publisher);
            assert_eq!(new.records(), theirs, "step {step}");
            assert_eq!(
                new.follower.held().unwrap().state.root(),
                steady.follower.held().unwrap().state.root()
            );
            lazy = lazy.restart();
            assert_eq!(lazy.records(), theirs, "from its disk, at step {step}");
        }
    }
    assert!(deltas > 3 && publisher.now > BEGIN + 3_600, "{deltas} by deltas, {snapshots} by whole states");
    publisher.attest(0);
    publisher.publish();
    steady.follow(&publisher);
    assert_eq!(steady.records(), publisher.records());
    assert!(steady.records().len() > 20);
}

/// A score that the standard gives has its status; a manifest's row says the same as the act.
#[test]
fn a_row_says_what_its_act_says() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    let (subject, act) = publisher.decide();
    publisher.alert(4, 9);
    publisher.publish();
    gateway.follow(&publisher);
    let by_acts = gateway.records();
    assert_eq!(publisher.attest(0), 2);
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records(), by_acts);
    let (_, shard) = publisher.feed.stated(Party::Body).unwrap();
    let row = shard.rows().next().unwrap();
    assert_eq!((row.prefix, row.act), (subject, act.short()));
    assert_eq!(row.rating.status(), Standard::first().rating(row.rating.score().unwrap()).status());
    assert_eq!(gateway.follower.held().unwrap().state.loose().count(), 0, "nothing travels by itself");
}

/// However much is said at once, a gateway can take it: what does not travel by itself waits for its issuer's manifest, which is due at
/// once then.
#[test]
fn more_than_a_feed_carries_by_itself_waits_for_manifests() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    for site in 0..2_100 {
        publisher.alert(1 + site % 5, site / 5);
    }
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records().len(), credence_feed::publish::UNLISTED_MAX);
    assert_eq!(publisher.attest(600), 0, "none has as many");
    for site in 420..600 {
        publisher.alert(1, site);
    }
    assert_eq!(publisher.attest(600), 1, "one has");
    publisher.publish();
    gateway.follow(&publisher);
    assert_eq!(gateway.records(), publisher.records());
}
