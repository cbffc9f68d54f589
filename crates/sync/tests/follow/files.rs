//! What a head names: its files by their hashes, and what issuers say in them by the law.

use credence_feed::{Delta, DeltaRef, Entry, FileRef, Many, SnapshotList};
use credence_law::layout::Layout;
use credence_sync::feed::{Answer, Kept, Trusted};

use crate::rounds::{OPENING, asks, fails, followed, forged, heals, path, stated, with, with_head};
use crate::stage::{Gateway, Lies, honest};

/// The first round of a gateway: each thing once, in its order; and what is kept are the bytes that came.
#[test]
pub(crate) fn a_first_round_asks_for_each_thing_once_and_keeps_what_came() {
    let (publisher, _) = stated();
    let mut gateway = Gateway::new(&publisher);
    assert!(gateway.follow(&publisher));
    let (signed, head) = publisher.head();
    let list = publisher.list();
    let rules = (0..=4).map(|number| format!("feed/rules/{number}"));
    let files = [&head.snapshot].into_iter().chain(list.shards.0.iter().map(|shard| &shard.file)).map(path);
    asks(&gateway, rules.chain(["feed/head".to_owned()]).chain(files));
    assert_eq!(list.shards.0.len(), 2);
    let disk = &gateway.disk.0;
    assert_eq!(disk["head"], signed.encode());
    let entries = publisher.feed.rules().entries().iter().map(Entry::encode);
    let rules: Vec<u8> =
        entries.flat_map(|entry| [(entry.len() as u32).to_be_bytes().to_vec(), entry].concat()).collect();
    assert_eq!(disk["rules"], rules);
    assert!(disk["held"].starts_with(&signed.encode()));
    for file in [&head.snapshot].into_iter().chain(list.shards.0.iter().map(|shard| &shard.file)) {
        assert_eq!(disk[&file.name()], *publisher.feed.file(&file.hash).unwrap());
    }
    assert_eq!(Trusted::decode(&disk["trusted"]).as_ref(), Some(gateway.follower.trusted()));
    assert_eq!(disk.len(), 7, "and nothing else: {:?}", disk.keys());
    assert_eq!(gateway.records(), publisher.records());
}

/// What is known is not asked for again: neither when nothing has changed, nor when a head was made anew.
#[test]
pub(crate) fn what_is_known_is_not_asked_for_again() {
    let (mut publisher, mut gateway) = stated();
    assert!(!gateway.follow(&publisher));
    asks(&gateway, OPENING);
    publisher.now += 121;
    publisher.publish();
    assert!(gateway.follow(&publisher), "the head is a new one");
    asks(&gateway, OPENING);
    gateway = gateway.restart();
    assert!(!gateway.follow(&publisher));
    asks(&gateway, OPENING);
    assert_eq!(gateway.records(), publisher.records());
}

/// A file that is another one than the head names, cut, or not there.
#[test]
pub(crate) fn a_file_is_the_one_that_was_named_or_is_not_used() {
    let (publisher, mut gateway) = followed();
    let (_, head) = publisher.head();
    let delta = path(head.way_from(head.serial - 1).unwrap()[0]);
    let list = path(&head.snapshot);
    let good = |path: &str| {
        let hash = if path == list { head.snapshot.hash } else { head.deltas.last().unwrap().file.hash };
        publisher.feed.file(&hash).unwrap().to_vec()
    };
    let flipped = |path: &str| {
        let mut bytes = good(path);
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let asked = [OPENING[0], OPENING[1], "log/consistency/5/6", &delta, &list];
    for wrong in [
        (|_| Answer::Missing) as fn(Vec<u8>) -> Answer,
        |_| Answer::Bytes(Vec::new()),
        Answer::Bytes,
        |bytes| Answer::Bytes(bytes[..bytes.len() - 1].to_vec()),
    ] {
        let lies = [&delta, &list].map(|path| (path.clone(), wrong(flipped(path))));
        fails(&mut gateway, &publisher, &Lies::from(lies), "hash", asked);
    }
    // With a delta that is spoilt the whole state is had.
    let lies = with(&delta, flipped(&delta));
    assert!(gateway.lied_to(&publisher, &lies).unwrap());
    asks(&gateway, asked);
    assert_eq!(gateway.records(), publisher.records());
}

/// The same for an issuer's rows.
#[test]
pub(crate) fn rows_are_those_that_were_named_or_are_not_used() {
    let (mut publisher, _) = stated();
    publisher.now += 1;
    let mut gateway = Gateway::new(&publisher);
    let list = publisher.list();
    let [one, two] = [0, 1].map(|place| &list.shards.0[place].file);
    let rules = (0..=4).map(|number| format!("feed/rules/{number}"));
    let opening: Vec<_> = rules.chain(["feed/head".to_owned(), path(&publisher.head().1.snapshot)]).collect();
    let mut flipped = publisher.feed.file(&two.hash).unwrap().to_vec();
    flipped[9] ^= 1;
    for wrong in [Answer::Missing, Answer::Bytes(Vec::new()), Answer::Bytes(flipped)] {
        let mut other = Gateway::new(&publisher);
        let fault = other.lied_to(&publisher, &Lies::from([(path(two), wrong)])).unwrap_err();
        assert_eq!(fault.name(), "hash");
        asks(&other, [opening.clone(), vec![path(one), path(two)]].concat());
        assert_eq!(other.disk.0.keys().collect::<Vec<_>>(), ["rules"], "the rules stay, and nothing else");
    }
    heals(&mut gateway, &publisher);
}

/// Something is not there. What was believed stays.
#[test]
pub(crate) fn a_mirror_that_has_nothing_changes_nothing() {
    let (publisher, mut gateway) = followed();
    let (before, disk) = (gateway.standing(), gateway.disk.clone());
    assert_eq!(gateway.refresh(publisher.now, |_| Answer::Missing).unwrap_err().name(), "hash");
    asks(&gateway, OPENING);
    let mut empty = Gateway::new(&publisher);
    assert_eq!(empty.refresh(publisher.now, |_| Answer::Missing).unwrap_err().name(), "law");
    asks(&empty, ["feed/rules/0"]);
    assert_eq!((gateway.standing(), &gateway.disk), (before, &disk));
    for html in [&b"<html>parked</html>"[..], b"", b"null"] {
        let parked = |_: &_| Answer::Bytes(html.to_vec());
        assert_eq!(gateway.refresh(publisher.now, parked).unwrap_err().name(), "malformed");
        asks(&gateway, ["feed/rules/4", "feed/rules/0"]);
    }
    assert_eq!(gateway.disk, disk);
    heals(&mut gateway, &publisher);
}

/// Parts of different versions do not go together, whoever has signed them.
#[test]
pub(crate) fn mix_and_match_is_seen() {
    let (mut publisher, mut gateway) = followed();
    let before = publisher.head().1;
    publisher.now += 1;
    publisher.alert(3, 1);
    publisher.publish();
    let operator = publisher.operator();
    let opening = [OPENING[0], OPENING[1], "log/consistency/5/7"].map(str::to_owned);
    let with_files = |files: &[&FileRef]| {
        opening.iter().cloned().chain(files.iter().map(|file| path(file))).collect::<Vec<_>>()
    };
    let mixed = forged(&publisher, &[&operator], |head| {
        head.snapshot = before.snapshot.clone();
        head.deltas.clear();
    });
    let delta =
        publisher.head().1.way_from(before.serial - 1).unwrap().into_iter().cloned().collect::<Vec<_>>();
    fails(&mut gateway, &publisher, &with_head(&mixed), "state", with_files(&[&before.snapshot]));
    let snapshot = publisher.head().1.snapshot;
    let rootless = forged(&publisher, &[&operator], |head| head.root = [0; 32]);
    let asked = with_files(&delta.iter().chain([&snapshot]).collect::<Vec<_>>());
    fails(&mut gateway, &publisher, &with_head(&rootless), "state", asked);
    let others = forged(&publisher, &[&operator], |head| head.rules_digest = [0; 32]);
    let rules = (0..=4).map(|number| format!("feed/rules/{number}"));
    let asked = OPENING.map(str::to_owned).into_iter().chain(rules).chain([OPENING[1].to_owned()]);
    fails(&mut gateway, &publisher, &with_head(&others), "law", asked);
    heals(&mut gateway, &publisher);
}

/// A delta says inside from where to where it leads, whatever it is called outside.
#[test]
pub(crate) fn a_delta_leads_where_it_says_inside() {
    let (mut publisher, mut gateway) = followed();
    publisher.now += 1;
    publisher.alert(3, 1);
    publisher.publish();
    let (_, head) = publisher.head();
    let way: Vec<_> = head.way_from(head.serial - 2).unwrap().into_iter().cloned().collect();
    assert_eq!(way.len(), 2);
    let renamed = forged(&publisher, &[&publisher.operator()], |head| {
        let to = head.serial;
        head.deltas = vec![DeltaRef { from: to - 2, to, file: way[1].clone() }];
    });
    assert!(gateway.lied_to(&publisher, &with_head(&renamed)).unwrap(), "the whole state is had instead");
    let [opening, head_] = OPENING;
    asks(&gateway, [opening, head_, "log/consistency/5/7", &path(&way[1]), &path(&head.snapshot)]);
    assert_eq!(gateway.records(), publisher.records());
    assert_ne!(Delta::decode(&publisher.feed.file(&way[1].hash).unwrap()).unwrap().from, head.serial - 2);
}

/// A file of a mirror's own behind a file's name, again and again while the publisher goes on, some versions of which are never seen.
#[test]
pub(crate) fn changes_that_are_meant_and_others_take_turns() {
    let (mut publisher, mut gateway) = followed();
    let mut refused = 0;
    for turn in 0_u16..40 {
        publisher.now += 20;
        publisher.alert(1 + turn % 5, 100 + turn);
        publisher.publish();
        if turn % 3 == 0 {
            continue;
        }
        if turn % 3 == 1 {
            let before = gateway.standing();
            let disk = gateway.disk.clone();
            let fault = gateway.refresh(publisher.now, |ask| match ask.path() {
                path if path.starts_with("feed/files/") => Answer::Bytes(vec![turn as u8; ask.bytes_max()]),
                _ => honest(&publisher, ask),
            });
            assert_eq!(fault.unwrap_err().name(), "hash");
            assert_eq!((gateway.standing(), &gateway.disk), (before, &disk));
            refused += 1;
        }
        heals(&mut gateway, &publisher);
    }
    assert_eq!(refused, 13);
}

/// Each name of a file is a hash, so that no name from elsewhere ever reaches the disk or a path.
#[test]
pub(crate) fn names_are_hashes() {
    let (_, gateway) = stated();
    let own = ["trusted", "head", "rules", "held"];
    assert!(gateway.disk.0.keys().all(|name| {
        own.contains(&name.as_str()) || name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    }));
    for byte in [b'/', b'.', b'?', b'#', 0] {
        let name = FileRef { hash: [byte; 32], len: 1 }.name();
        assert_eq!(name, format!("{byte:02x}").repeat(32));
    }
}

/// Two of what comes once, and what comes out of order.
#[test]
pub(crate) fn what_comes_twice_or_out_of_order_is_refused() {
    let (publisher, mut gateway) = stated();
    for change in [(|list: &mut SnapshotList| list.shards.0.swap(0, 1)) as fn(&mut _), |list| {
        list.shards = Many(vec![list.shards.0[0].clone(), list.shards.0[0].clone()]);
    }] {
        let lies = publisher.relisted(change);
        let list = lies.keys().find(|path| path.starts_with("feed/files/")).unwrap().clone();
        fails(&mut gateway, &publisher, &lies, "malformed", [OPENING[0], OPENING[1], &list]);
    }
}

/// What a gateway keeps of what it trusts has one form.
#[test]
pub(crate) fn what_is_trusted_is_read_as_it_was_written() {
    let (publisher, gateway) = stated();
    let trusted = gateway.follower.trusted();
    let bytes = trusted.encode();
    assert_eq!(Trusted::decode(&bytes).as_ref(), Some(trusted));
    assert_eq!(bytes.len(), 8 + trusted.to_bytes().len() + 32);
    for len in 0..bytes.len() {
        assert_eq!(Trusted::decode(&bytes[..len]), None);
    }
    let (kept, faults) = Kept::read(&gateway.disk, publisher.world);
    assert_eq!((kept.trusted, faults.len()), (trusted.clone(), 0));
}
