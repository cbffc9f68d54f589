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
