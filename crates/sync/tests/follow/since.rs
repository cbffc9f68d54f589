//! Since when it could be known that a record became milder or harder.

use credence_feed::{State, Turn, UNLISTED_LASTS};

use crate::stage::{Gateway, Memory, Publisher};

/// A gateway that goes from one version to the next.
struct Follows {
    gateway: Gateway<Memory>,
    before: State,
}

impl Follows {
    fn new(publisher: &Publisher) -> Self {
        let mut gateway = Gateway::new(publisher);
        gateway.follow(publisher);
        let before = gateway.state().clone();
        Self { gateway, before }
    }

    /// What has turned since the last time, with what is published now.
    #[track_caller]
    fn turns(&mut self, publisher: &mut Publisher) -> Vec<Turn> {
        publisher.publish();
        self.gateway.follow(publisher);
        let next = self.gateway.state().clone();
        let amendments = self.before.amendments(&next).unwrap().expect("the rules are the same");
        let turns = self.before.turns(&next, &amendments).unwrap();
        self.before = next;
        turns
    }
}

fn harder(since: u64) -> Vec<Turn> {
    vec![Turn { is_milder: false, since }]
}

fn milder(since: u64) -> Vec<Turn> {
    vec![Turn { is_milder: true, since }]
}

#[test]
fn a_record_turns_when_an_act_is_taken_in_and_not_when_it_is_stated() {
    let mut publisher = Publisher::new();
    let mut follows = Follows::new(&publisher);
    let alerted = publisher.now;
    let alert = publisher.alert(1, 3);
    publisher.now += 7;
    assert_eq!(follows.turns(&mut publisher), harder(alerted));
    publisher.now += 60;
    assert_eq!(publisher.attest(0), 1);
    assert_eq!(follows.turns(&mut publisher), []);
    publisher.now += 60;
    let lifted = publisher.now;
    publisher.lift(1, alert);
    publisher.now += 9;
    assert_eq!(follows.turns(&mut publisher), milder(lifted));
    publisher.now += 60;
    assert_eq!(publisher.attest(0), 1);
    assert_eq!(follows.turns(&mut publisher), []);
}

#[test]
fn a_relief_makes_milder_and_an_outcome_takes_back() {
    let mut publisher = Publisher::new();
    let mut follows = Follows::new(&publisher);
    let decided = publisher.now;
    let (_, act) = publisher.decide();
    assert_eq!(follows.turns(&mut publisher), harder(decided));
    publisher.now += 100;
    let complained = publisher.now;
    let (complaint, _) = publisher.complain(act);
    publisher.now += 1;
    assert_eq!(follows.turns(&mut publisher), milder(complained));
    publisher.now += 100;
    let outcome = publisher.parties.uphold(complaint, act, publisher.now).unwrap();
    publisher.hand_in(&outcome);
    publisher.now += 2;
    // Nobody had stated it, so that it goes together with what takes it back.
    let headed = publisher.now;
    assert_eq!(follows.turns(&mut publisher), milder(headed));
}

/// What nobody states in time ceases to count by itself, and nobody has taken it back.
#[test]
fn what_was_never_stated_ends_without_a_correction() {
    let mut publisher = Publisher::new();
    let mut follows = Follows::new(&publisher);
    publisher.alert(1, 3);
    assert_eq!(follows.turns(&mut publisher).len(), 1);
    publisher.now += UNLISTED_LASTS;
    assert_eq!(follows.turns(&mut publisher), []);
    assert_eq!(follows.gateway.records(), []);
}

/// Whoever was away while the act travelled has its issuer's manifest alone, and counts from when it was there last.
#[test]
fn what_was_taken_back_while_nobody_looked_is_as_old_as_the_last_look() {
    let mut publisher = Publisher::new();
    let mut follows = Follows::new(&publisher);
    let alert = publisher.alert(2, 5);
    publisher.attest(0);
    let seen = publisher.now;
    follows.turns(&mut publisher);
    publisher.now += 500;
    publisher.lift(2, alert);
    publisher.publish();
    publisher.now += 700;
    assert_eq!(publisher.attest(0), 1);
    publisher.publish();
    publisher.now += 10;
    assert_eq!(follows.turns(&mut publisher), milder(seen));
}

#[test]
fn an_end_is_nobodys_correction() {
    let mut publisher = Publisher::new();
    let mut follows = Follows::new(&publisher);
    publisher.alert(1, 3);
    publisher.attest(0);
    follows.turns(&mut publisher);
    let ends = publisher.records()[0].expires;
    publisher.now = ends;
    publisher.attest(0);
    assert_eq!(follows.turns(&mut publisher), []);
    assert_eq!(follows.gateway.records(), []);
}
