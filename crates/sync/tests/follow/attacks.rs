//! What mirrors, publishers and thieves of keys can try: the attacks of The Update Framework's conformance suite, as far as they have
//! a counterpart here, and those of this format.
//!
//! Each test says whether a round fails and with which word, what is on the disk after it, and what was asked for.

use credence_feed::{Entry, FileRef, Head, Reject};
use credence_law::layout::Layout;
use credence_law::party::World;
use credence_law::{Object, Signed};
use credence_sync::feed::{Answer, Ask, Kept};
use ed25519_dalek::SigningKey;

use crate::stage::{Gateway, Lies, Memory, Publisher, honest};

/// A gateway that follows a publisher with something in force, and another version that it has not seen.
fn followed() -> (Publisher, Gateway<Memory>) {
    let mut publisher = Publisher::new();
    publisher.alert(1, 1);
    publisher.publish();
    let mut gateway = Gateway::new(&publisher);
    gateway.follow(&publisher);
    publisher.now += 30;
    publisher.alert(2, 1);
    publisher.publish();
    (publisher, gateway)
}

/// A mirror that says this of the head.
fn with_head(signed: &Signed) -> Lies {
    Lies::from([("feed/head".to_owned(), Answer::Bytes(signed.encode()))])
}

/// The publisher's head with a change, signed by these keys.
fn forged(publisher: &Publisher, keys: &[&SigningKey], change: impl FnOnce(&mut Head)) -> Signed {
    let (_, mut head) = publisher.head();
    change(&mut head);
    Signed::with(head.object(publisher.world).encode(), keys.iter().copied())
}

/// That a round fails with this word, and that nothing else has changed: neither what is believed, nor a byte of the disk.
#[track_caller]
fn fails(gateway: &mut Gateway<Memory>, publisher: &Publisher, lies: &Lies, word: &str) {
    let (before, disk) = (gateway.standing(), gateway.disk.clone());
    let fault = gateway.lied_to(publisher, lies).unwrap_err();
    assert_eq!(fault.name(), word, "{fault}");
    assert_eq!(gateway.standing(), before);
    assert_eq!(gateway.disk, disk, "nothing was written");
}

/// That an honest round brings what was held back.
#[track_caller]
fn heals(gateway: &mut Gateway<Memory>, publisher: &Publisher) {
    assert!(gateway.follow(publisher));
    assert_eq!(gateway.records(), publisher.records());
}

/// Cases 4 and 5: an anchor that is none, or not signed as it says itself.
#[test]
fn a_world_begins_with_the_root_that_was_pinned_and_no_other() {
    let (publisher, other) = (Publisher::new(), Publisher::new());
    let mut gateway = Gateway::new(&publisher);
    let root = |publisher: &Publisher| publisher.feed.rules().entries()[0].clone();
    let lies = |entry: Vec<u8>| Lies::from([("feed/rules/0".to_owned(), Answer::Bytes(entry))]);
    fails(&mut gateway, &publisher, &lies(root(&other).encode()), "law");
    assert_eq!(gateway.asked, ["feed/rules/0"], "nothing else was asked for");
    let Entry { accepted, signed } = root(&publisher);
    let unsigned = Entry { accepted, signed: Signed::with(signed.bytes().to_vec(), []) };
    fails(&mut gateway, &publisher, &lies(unsigned.encode()), "law");
    let stranger = Signed::with(signed.bytes().to_vec(), [&publisher.stranger()]);
    fails(&mut gateway, &publisher, &lies(Entry { accepted, signed: stranger }.encode()), "law");
    fails(&mut gateway, &publisher, &lies(b"<html>".to_vec()), "malformed");
    assert!(gateway.follow(&publisher));
}

/// Cases 6, 33 to 38: too few keys, a stranger's, one key several times; and one that is wrong beside enough good ones.
#[test]
fn a_head_counts_by_the_operators_keys_alone() {
    let (publisher, mut gateway) = followed();
    let (operator, stranger) = (publisher.operator(), publisher.stranger());
    let nobody = forged(&publisher, &[], |_| {});
    fails(&mut gateway, &publisher, &with_head(&nobody), "signature");
    assert_eq!(gateway.asked, ["feed/rules/4", "feed/head"]);
    let strangers = forged(&publisher, &[&stranger], |_| {});
    fails(&mut gateway, &publisher, &with_head(&strangers), "signature");
    // A signature that is the operator's and of other bytes.
    let mut bytes = forged(&publisher, &[&operator], |_| {}).encode();
    *bytes.last_mut().unwrap() ^= 1;
    let lies = Lies::from([("feed/head".to_owned(), Answer::Bytes(bytes))]);
    fails(&mut gateway, &publisher, &lies, "signature");
    // The same key twice: the shape of what travels has no room for that.
    let once = publisher.head().0.encode();
    let signature = once[once.len() - 80..].to_vec();
    let count = once.len() - 82;
    let twice = [&once[..count], &2_u16.to_be_bytes(), &signature, &signature].concat();
    let lies = Lies::from([("feed/head".to_owned(), Answer::Bytes(twice))]);
    fails(&mut gateway, &publisher, &lies, "malformed");
    let both = forged(&publisher, &[&operator, &stranger], |_| {});
    assert!(gateway.lied_to(&publisher, &with_head(&both)).unwrap(), "one more is harmless");
}

/// Cases 7 and 18: something that is signed, and something else; of another world, and of another kind.
#[test]
fn what_is_signed_means_one_thing() {
    let (publisher, mut gateway) = followed();
    let operator = publisher.operator();
    let (_, head) = publisher.head();
    let elsewhere = Signed::with(head.clone().object(World([7; 32])).encode(), [&operator]);
    fails(&mut gateway, &publisher, &with_head(&elsewhere), "world");
    let rule = &publisher.feed.rules().entries()[1].signed;
    fails(&mut gateway, &publisher, &with_head(rule), "malformed");
    let mut drill = Object::new(publisher.world, head);
    drill.exercise = true;
    fails(&mut gateway, &publisher, &with_head(&Signed::with(drill.encode(), [&operator])), "world");
    heals(&mut gateway, &publisher);
}

/// Case 8, and a publisher that shows different people different things.
#[test]
fn two_heads_of_one_serial_are_seen() {
    let (mut publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let operator = publisher.operator();
    let other = forged(&publisher, &[&operator], |head| head.expires -= 1);
    fails(&mut gateway, &publisher, &with_head(&other), "equivocation");
    publisher.now += 1;
    publisher.alert(3, 1);
    publisher.publish();
    let forked = forged(&publisher, &[&operator], |head| head.previous = [3; 32]);
    fails(&mut gateway, &publisher, &with_head(&forked), "equivocation");
    heals(&mut gateway, &publisher);
}

/// Cases 10, 11, 28 and 29: a file that is another one than the head names.
#[test]
fn a_file_is_the_one_that_was_named_or_is_not_used() {
    let (publisher, mut gateway) = followed();
    let (_, head) = publisher.head();
    let delta = format!("feed/files/{}", head.way_from(head.serial - 1).unwrap()[0].name());
    let list = format!("feed/files/{}", head.snapshot.name());
    for wrong in [Answer::Missing, Answer::Bytes(Vec::new()), Answer::Bytes(b"other".to_vec())] {
        let lies = Lies::from([(delta.clone(), wrong.clone()), (list.clone(), wrong)]);
        fails(&mut gateway, &publisher, &lies, "hash");
        assert_eq!(gateway.asked[3..], [delta.clone(), list.clone()], "the whole state was asked for then");
    }
    // With a delta that is spoilt the whole state is had.
    let lies = Lies::from([(delta, Answer::Bytes(b"other".to_vec()))]);
    assert!(gateway.lied_to(&publisher, &lies).unwrap());
    assert_eq!(gateway.records(), publisher.records());
}

/// Cases 15 to 17: something is not there. What was believed stays.
#[test]
fn a_mirror_that_has_nothing_changes_nothing() {
    let (publisher, mut gateway) = followed();
    let (before, disk) = (gateway.standing(), gateway.disk.clone());
    assert_eq!(gateway.refresh(publisher.now, |_| Answer::Missing).unwrap_err().name(), "hash");
    assert_eq!(gateway.asked, ["feed/rules/4", "feed/head"]);
    let mut empty = Gateway::new(&publisher);
    assert_eq!(empty.refresh(publisher.now, |_| Answer::Missing).unwrap_err().name(), "law");
    assert_eq!((gateway.standing(), &gateway.disk), (before, &disk));
    for html in [&b"<html>parked</html>"[..], b"", b"null"] {
        let parked = |_: &Ask| Answer::Bytes(html.to_vec());
        assert_eq!(gateway.refresh(publisher.now, parked).unwrap_err().name(), "malformed");
    }
    assert_eq!(gateway.disk, disk);
    heals(&mut gateway, &publisher);
}

/// Cases 20 to 25: what is over, what is from the future, and a mirror that shows the same for ever.
#[test]
fn a_head_is_believed_in_its_time() {
    let (mut publisher, mut gateway) = followed();
    let operator = publisher.operator();
    let old = publisher.head().0;
    publisher.now += 601;
    fails(&mut gateway, &publisher, &with_head(&old), "expired");
    let later = forged(&publisher, &[&operator], |head| {
        (head.issued, head.expires) = (publisher.now + 301, publisher.now + 400);
    });
    fails(&mut gateway, &publisher, &with_head(&later), "future");
    let long = forged(&publisher, &[&operator], |head| head.expires = head.issued + 601);
    fails(&mut gateway, &publisher, &with_head(&long), "expired");
    publisher.publish();
    heals(&mut gateway, &publisher);
    // The clock was set back: time that has surely come stays.
    let was = gateway.follower.trusted().issued;
    assert_eq!(gateway.follower.now(5), was);
    let back = gateway.refresh(5, |ask| honest(&publisher, ask));
    assert!(!back.unwrap(), "the same head is still good");
}

/// Cases 40 to 42, 46, and replays after a restart: nothing goes back.
#[test]
fn nothing_goes_back() {
    let (mut publisher, mut gateway) = followed();
    let old = publisher.head().0;
    publisher.now += 1;
    publisher.alert(3, 1);
    publisher.publish();
    gateway.follow(&publisher);
    fails(&mut gateway, &publisher, &with_head(&old), "rollback");
    let operator = publisher.operator();
    for change in [
        (|head: &mut Head| head.session -= 1) as fn(&mut Head),
        |head| {
            head.serial += 5;
            head.issued -= 20;
            head.expires -= 20;
        },
        |head| {
            head.serial += 5;
            head.rules -= 1;
        },
    ] {
        let forged = forged(&publisher, &[&operator], change);
        fails(&mut gateway, &publisher, &with_head(&forged), "rollback");
    }
    gateway = gateway.restart();
    fails(&mut gateway, &publisher, &with_head(&old), "rollback");
    // And a log that becomes shorter, or another one.
    for change in [
        (|head: &mut Head| head.log_size -= 1) as fn(&mut Head),
        |head| head.log_root = [1; 32],
        |head| head.log_size += 1,
    ] {
        let forged = forged(&publisher, &[&operator], |head| {
            head.serial += 5;
            change(head);
        });
        fails(&mut gateway, &publisher, &with_head(&forged), "log");
    }
}

/// Parts of different versions do not go together, whoever has signed them.
#[test]
fn mix_and_match_is_seen() {
    let (mut publisher, mut gateway) = followed();
    let before = publisher.head().1;
    publisher.now += 1;
    publisher.alert(3, 1);
    publisher.publish();
    let operator = publisher.operator();
    let mixed = forged(&publisher, &[&operator], |head| {
        head.snapshot = before.snapshot;
        head.deltas.clear();
    });
    fails(&mut gateway, &publisher, &with_head(&mixed), "state");
    let rootless = forged(&publisher, &[&operator], |head| head.root = [0; 32]);
    fails(&mut gateway, &publisher, &with_head(&rootless), "state");
    let others = forged(&publisher, &[&operator], |head| head.rules_digest = [0; 32]);
    fails(&mut gateway, &publisher, &with_head(&others), "law");
    heals(&mut gateway, &publisher);
}

/// Cases 43 to 45: an operator's key was stolen, and the thief has gone far ahead; a root with new keys mends that by a new session.
#[test]
fn whoever_went_ahead_with_a_stolen_key_is_left_behind_by_a_new_session() {
    let (mut publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let thief = publisher.operator();
    publisher.now += 1;
    let ahead = forged(&publisher, &[&thief], |head| head.serial = u64::MAX);
    assert!(gateway.lied_to(&publisher, &with_head(&ahead)).unwrap(), "it is signed as it must be");
    publisher.alert(3, 1);
    publisher.publish();
    assert_eq!(gateway.lied_to(&publisher, &Lies::new()).unwrap_err().name(), "rollback");
    publisher.replace_operator();
    publisher.now += 2;
    publisher.publish();
    assert_eq!(gateway.lied_to(&publisher, &with_head(&ahead)).unwrap_err().name(), "signature");
    heals(&mut gateway, &publisher);
}

/// Cases 39 and 21 of another battery: no name from elsewhere reaches the disk.
#[test]
fn names_are_hashes() {
    let (publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    assert!(gateway.disk.0.keys().all(|name| {
        ["trusted", "rules", "held"].contains(&name.as_str())
            || name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    }));
    let file = FileRef { hash: [0x2f; 32], len: 1 };
    assert_eq!(file.name(), "2f".repeat(32));
}

/// Every bit of a head, flipped: none is believed.
#[test]
fn no_flipped_bit_of_a_head_is_believed() {
    let (publisher, mut gateway) = followed();
    let good = publisher.head().0.encode();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let lies = Lies::from([("feed/head".to_owned(), Answer::Bytes(bytes))]);
        assert!(gateway.lied_to(&publisher, &lies).is_err(), "bit {bit}");
    }
    heals(&mut gateway, &publisher);
}

/// What is on the disk is checked as if it had just come; what is damaged is told and had again.
#[test]
fn no_flipped_bit_on_the_disk_is_believed() {
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
fn a_crash_between_two_writes_leaves_one_version_or_the_other() {
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
fn an_example_is_not_followed_unawares() {
    let publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    let mut pinned = gateway.pinned.clone();
    pinned.allow_example = false;
    gateway = Gateway::on(gateway.disk, pinned);
    let fault = gateway.lied_to(&publisher, &Lies::new()).unwrap_err();
    assert_eq!(fault, Reject::World);
}

/// What a gateway keeps of what it trusts has one form.
#[test]
fn what_is_trusted_is_read_as_it_was_written() {
    let (publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let trusted = gateway.follower.trusted();
    let bytes = trusted.encode();
    assert_eq!(credence_sync::feed::Trusted::decode(&bytes).as_ref(), Some(trusted));
    assert_eq!(bytes.len(), 8 + trusted.to_bytes().len() + 32);
    for len in 0..bytes.len() {
        assert_eq!(credence_sync::feed::Trusted::decode(&bytes[..len]), None);
    }
}
