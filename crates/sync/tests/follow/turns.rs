//! Rounds of following on a disk that fails, and what the gateway is told of them.

use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;

use credence_sync::feed::{Copy, Disk, Kept, Moment, Rounds, Timings, Told};

use crate::stage::{Gateway, Memory, Publisher, honest};

/// A disk that takes so many changes and no more, until there is room again.
#[derive(Clone)]
struct Filling {
    disk: Memory,
    left: Rc<Cell<usize>>,
}

impl Filling {
    fn change(&self) -> io::Result<()> {
        let left = self.left.get().checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        self.left.set(left);
        Ok(())
    }
}

impl Disk for Filling {
    fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(name, most)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change().and_then(|()| self.disk.write(name, bytes))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.change().and_then(|()| self.disk.remove(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }
}

fn begin(publisher: &Publisher) -> (Rounds<Filling>, Rc<Cell<usize>>) {
    let left = Rc::new(Cell::new(usize::MAX));
    let disk = Filling { disk: Memory::default(), left: Rc::clone(&left) };
    let (rounds, faults) = Rounds::new(Gateway::new(publisher).pinned, Timings::default(), 1, disk);
    assert!(faults.is_empty());
    (rounds, left)
}

fn round(rounds: &mut Rounds<Filling>, publisher: &Publisher, now_ms: u64) -> io::Result<Told> {
    let mut round = rounds.begin(publisher.now);
    let asked = loop {
        let answer = honest(publisher, round.ask());
        match round.answer(Ok(answer)) {
            ControlFlow::Continue(next) => round = next,
            ControlFlow::Break(asked) => break asked,
        }
    };
    rounds.end(asked, Moment { now: publisher.now, now_ms, random: 0 })
}

/// Whoever cannot write down what comes does not ask for it again without a pause.
#[test]
fn a_full_disk_is_no_reason_to_ask_at_once() {
    let publisher = Publisher::new();
    let (mut rounds, left) = begin(&publisher);
    left.set(0);
    for now_ms in [0, 10_000, 20_000] {
        assert!(round(&mut rounds, &publisher, now_ms).is_err());
        assert!(rounds.next_ms() > now_ms + 1_000, "{}", rounds.next_ms());
    }
}

/// What was believed and could not be kept is offered to the gateway as soon as it is, although nothing is new then.
#[test]
fn what_could_not_be_kept_is_offered_when_it_can() {
    let mut publisher = Publisher::new();
    let (mut rounds, left) = begin(&publisher);
    assert!(matches!(round(&mut rounds, &publisher, 0), Ok(Told::New(_))));
    publisher.alert(1, 1);
    publisher.publish();
    left.set(1);
    assert!(round(&mut rounds, &publisher, 30_000).is_err(), "there was room for what is trusted alone");
    left.set(usize::MAX);
    assert!(matches!(round(&mut rounds, &publisher, 60_000), Ok(Told::New(_))));
    assert!(matches!(round(&mut rounds, &publisher, 90_000), Ok(Told::Fresh(_))));
}

/// The operator may take minutes to accept: what was offered is kept as taken although newer heads have stated the same meanwhile.
#[test]
fn what_is_accepted_late_is_what_a_start_begins_with() {
    let mut publisher = Publisher::new();
    publisher.alert(1, 1);
    publisher.publish();
    let (mut rounds, _) = begin(&publisher);
    let Ok(Told::New(offer)) = round(&mut rounds, &publisher, 0) else { panic!("nothing is new") };
    rounds.waits().unwrap();
    publisher.now += 130;
    assert!(publisher.publish());
    assert!(matches!(round(&mut rounds, &publisher, 130_000), Ok(Told::Fresh(_))));
    rounds.taken(offer.serial).unwrap();
    let taken = Kept::of(rounds.disk(), publisher.world, Copy::Taken, None).unwrap();
    assert_eq!(taken.map(|held| held.state.root()), rounds.follower().held().map(|held| held.state.root()));
    let (again, _) =
        Rounds::new(Gateway::new(&publisher).pinned, Timings::default(), 1, rounds.disk().clone());
    assert_eq!(again.offered(), None);
}

/// The next gateway's follower, with what lies on the disk of the one before.
fn restarted(before: &Rounds<Filling>, publisher: &Publisher, gateway: u64) -> Rounds<Filling> {
    let pinned = Gateway::new(publisher).pinned;
    let (mut rounds, _) = Rounds::new(pinned, Timings::default(), 1, before.disk().clone());
    assert!(rounds.of_gateway(gateway).unwrap().is_none());
    rounds
}

/// Something new for a publisher to say, so many seconds later.
fn goes_on(publisher: &mut Publisher, seconds: u64, site: u16) {
    publisher.now += seconds;
    publisher.alert(1, site);
    assert!(publisher.publish());
}

/// What two gateways ended of is offered to no third one, and what comes after it only after a pause, which grows; what was in force
/// is what each begins with. Once something was put in force, all is as it was.
#[test]
fn what_gateways_end_of_is_held_back() {
    let mut publisher = Publisher::new();
    let (mut rounds, _) = begin(&publisher);
    rounds.of_gateway(1).unwrap();
    let Ok(Told::New(good)) = round(&mut rounds, &publisher, 0) else { panic!("nothing is new") };
    rounds.taken(good.serial).unwrap();
    let in_force = |rounds: &Rounds<Filling>| {
        let taken = Kept::of(rounds.disk(), rounds.follower().pinned().world, Copy::Taken, None).unwrap();
        taken.map(|held| held.serial)
    };
    goes_on(&mut publisher, 60, 1);
    let Ok(Told::New(bad)) = round(&mut rounds, &publisher, 30_000) else { panic!("nothing is new") };
    // The follower may end as often as it likes, as long as the gateway lives.
    let rounds = (0..5).fold(rounds, |rounds, _| {
        let again = restarted(&rounds, &publisher, 1);
        assert_eq!((again.offered(), again.withheld()), (Some(bad), None));
        again
    });
    let second = restarted(&rounds, &publisher, 2);
    assert_eq!(
        (second.offered(), in_force(&second)),
        (Some(bad), Some(good.serial)),
        "it is tried once more"
    );
    let mut third = restarted(&second, &publisher, 3);
    assert_eq!((third.offered(), third.withheld()), (None, Some(bad)));
    assert!(matches!(round(&mut third, &publisher, 60_000), Ok(Told::Fresh(_))));
    // What comes next may be as bad.
    goes_on(&mut publisher, 60, 2);
    assert!(matches!(round(&mut third, &publisher, 90_000), Ok(Told::Fresh(_))));
    assert_eq!((third.offered(), in_force(&third)), (None, Some(good.serial)));
    publisher.now += 539;
    publisher.publish();
    assert!(matches!(round(&mut third, &publisher, 600_000), Ok(Told::Fresh(_))), "600 s are not over");
    publisher.now += 1;
    let Ok(Told::New(worse)) = round(&mut third, &publisher, 630_000) else { panic!("it is not offered") };
    assert_eq!((third.offered(), third.withheld()), (Some(worse), None));
    // Another gateway ends, and the pause is twice as long.
    let mut fourth = restarted(&third, &publisher, 4);
    goes_on(&mut publisher, 1_199, 3);
    assert!(matches!(round(&mut fourth, &publisher, 0), Ok(Told::Fresh(_))));
    goes_on(&mut publisher, 1, 4);
    let Ok(Told::New(cured)) = round(&mut fourth, &publisher, 30_000) else { panic!("it is not offered") };
    fourth.taken(cured.serial).unwrap();
    assert_eq!(in_force(&fourth), Some(cured.serial));
    goes_on(&mut publisher, 1, 5);
    let mut fifth = restarted(&fourth, &publisher, 5);
    assert!(matches!(round(&mut fifth, &publisher, 0), Ok(Told::New(_))));
    // What waits for the operator was looked at by a gateway that lives.
    fifth.waits().unwrap();
    let many = (6..20).fold(fifth, |rounds, gateway| {
        let mut next = restarted(&rounds, &publisher, gateway);
        assert!(next.offered().is_some_and(|offer| offer.was_held));
        next.waits().unwrap();
        next
    });
    assert_eq!(many.withheld(), None);
}

/// What cannot be written down is not offered, and is offered later; what is damaged counts as nothing.
#[test]
fn without_a_disk_nothing_is_tried() {
    let mut publisher = Publisher::new();
    let (mut rounds, left) = begin(&publisher);
    assert!(matches!(round(&mut rounds, &publisher, 0), Ok(Told::New(_))));
    let (mut next, _) =
        Rounds::new(Gateway::new(&publisher).pinned, Timings::default(), 1, rounds.disk().clone());
    left.set(0);
    assert!(next.of_gateway(1).is_err());
    assert!(next.offered().is_none() && next.withheld().is_some());
    left.set(usize::MAX);
    publisher.now += 1;
    assert!(matches!(round(&mut next, &publisher, 30_000), Ok(Told::New(_))));
    let mut disk = next.disk().clone();
    disk.write("tried", b"rotten").unwrap();
    let (mut next, _) = Rounds::new(Gateway::new(&publisher).pinned, Timings::default(), 1, disk);
    assert!(next.of_gateway(2).unwrap().is_some(), "the damage is told");
    assert!(next.offered().is_some());
}
