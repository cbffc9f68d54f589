//! The disk: what is damaged on it, and a process that ends between two writes.

use credence_feed::Reject;
use credence_sync::feed::{Answer, Kept};

use crate::rounds::{followed, heals};
use crate::stage::{Gateway, Lies, Memory, Publisher, honest};

/// What is on the disk is checked as if it had just come; what is damaged is told and had again.
#[test]
pub(crate) fn no_flipped_bit_on_the_disk_is_believed() {
    let (mut publisher, mut gateway) = followed();
    publisher.attest(0);
    publisher.publish();
    gateway.follow(&publisher);
    let records = gateway.records();
    let disk = gateway.disk.clone();
    let mut state = 1_u64;
    for (name, bytes) in &disk.0 {
        for _ in 0..200 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let bit = (state >> 20) as usize % (bytes.len() * 8);
            let mut damaged = disk.clone();
            damaged.0.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let (kept, faults) = Kept::read(&damaged, publisher.world);
            let is_whole = kept.held.is_some_and(|held| {
                let header = credence_credit::Header::default();
                held.state.snapshot(header).unwrap().records() == records
            });
            assert!(!faults.is_empty() || is_whole && name != "trusted", "bit {bit} of {name}");
        }
    }
}

/// A file that has changed on the disk is written anew with what comes next, and not taken for there by its name.
#[test]
fn a_file_that_rots_does_not_stay_so() {
    let (mut publisher, mut gateway) = followed();
    publisher.attest(0);
    publisher.publish();
    gateway.follow(&publisher);
    let name = gateway.disk.0.keys().find(|name| name.len() == 64).unwrap().clone();
    gateway.disk.0.get_mut(&name).unwrap()[9] ^= 1;
    let (kept, faults) = Kept::read(&gateway.disk, publisher.world);
    assert_eq!((faults.len(), kept.held.is_none()), (1, true));
    gateway.follower = credence_sync::feed::Follower::new(gateway.pinned.clone(), kept);
    heals(&mut gateway, &publisher);
    let (kept, faults) = Kept::read(&gateway.disk, publisher.world);
    assert_eq!((faults.len(), kept.held.is_some()), (0, true));
}

/// Rules that were damaged come again one by one; until all are there, no head of fewer rules is believed, and none is forgotten.
#[test]
fn damaged_rules_are_no_way_back_to_fewer() {
    let (publisher, mut gateway) = followed();
    let known = gateway.follower.trusted().rules;
    gateway.disk.0.get_mut("rules").unwrap()[40] ^= 1;
    let (kept, faults) = Kept::read(&gateway.disk, publisher.world);
    assert_eq!((faults.len(), kept.rules.is_none()), (1, true));
    gateway.follower = credence_sync::feed::Follower::new(gateway.pinned.clone(), kept);
    let lies = Lies::from([("feed/rules/1".to_owned(), Answer::Missing)]);
    assert_eq!(gateway.lied_to(&publisher, &lies).unwrap_err().name(), "law");
    assert_eq!(gateway.follower.trusted().rules, known);
    heals(&mut gateway, &publisher);
}

/// Where what was trusted is damaged, the head that is kept says how far that went at least: no mirror leads back behind it.
#[test]
fn a_damaged_note_of_what_is_trusted_is_no_way_back() {
    let (publisher, mut gateway) = followed();
    let version = gateway.follower.trusted().version();
    heals(&mut gateway, &publisher);
    let newest = gateway.follower.trusted().clone();
    assert!(version < newest.version());
    gateway.disk.0.get_mut("trusted").unwrap()[20] ^= 1;
    let (kept, faults) = Kept::read(&gateway.disk, publisher.world);
    assert_eq!((faults.len(), &kept.trusted), (1, &newest));
}

/// After each single write that a round makes, a start finds the version before or the new one, whole.
#[test]
pub(crate) fn a_crash_between_two_writes_leaves_one_version_or_the_other() {
    let (mut publisher, gateway) = followed();
    publisher.attest(0);
    publisher.publish();
    let before = gateway.records();
    for writes in 0..12 {
        let (kept, _) = Kept::read(&gateway.disk, publisher.world);
        let mut other =
            Gateway::on(Crashing { disk: gateway.disk.clone(), left: writes }, gateway.pinned.clone());
        drop(kept);
        let after = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            other.refresh(publisher.now, |ask| honest(&publisher, ask)).unwrap();
            other.records()
        }));
        let mut again = Gateway::on(other.disk.disk, gateway.pinned.clone());
        let found = again.records();
        let whole = after.as_ref().is_ok_and(|after| *after == found);
        assert!(found == before || whole || found == publisher.records(), "after {writes} writes");
        again.follow(&publisher);
        assert_eq!(again.records(), publisher.records(), "after {writes} writes");
    }
}

/// A disk whose power goes after so many writes.
struct Crashing {
    disk: Memory,
    left: usize,
}

impl credence_sync::feed::Disk for Crashing {
    fn read(&self, name: &str, most: u64) -> std::io::Result<Option<Vec<u8>>> {
        self.disk.read(name, most)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or(std::io::ErrorKind::Other)?;
        self.disk.write(name, bytes)
    }

    fn remove(&mut self, name: &str) -> std::io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or(std::io::ErrorKind::Other)?;
        self.disk.remove(name)
    }

    fn names(&self) -> std::io::Result<Vec<String>> {
        self.disk.names()
    }
}

/// A world that was made to try things out is not followed unless the operator says so.
#[test]
pub(crate) fn an_example_is_not_followed_unawares() {
    let publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    let mut pinned = gateway.pinned.clone();
    pinned.allow_example = false;
    gateway = Gateway::on(gateway.disk, pinned);
    let fault = gateway.lied_to(&publisher, &Lies::new()).unwrap_err();
    assert_eq!(fault, Reject::World);
}
