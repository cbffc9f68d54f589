//! What a head names: its files by their hashes, and what issuers say in them by the law.

use credence_feed::{
    Delta, DeltaRef, Entry, FileRef, Head, Many, Shard, ShardRef, SnapshotList, State, pack_shard,
};
use credence_law::layout::Layout;
use credence_law::party::{Function, KeyId, Party};
use credence_law::{Act, Object, Signed};
use credence_platform::keys;
use credence_sync::feed::{Answer, Kept, Trusted};
use ed25519_dalek::SigningKey;

use crate::rounds::{OPENING, asks, fails, followed, forged, heals, with, with_head};
use crate::stage::{Gateway, Lies, Memory, Publisher, honest, member};

fn path(file: &FileRef) -> String {
    format!("feed/files/{}", file.name())
}

/// A publisher whose members 1 and 2 have stated their rows, and a gateway that follows it.
fn stated() -> (Publisher, Gateway<Memory>) {
    let mut publisher = Publisher::new();
    for (member, site) in [(1, 1), (1, 2), (2, 1)] {
        publisher.alert(member, site);
    }
    publisher.publish();
    assert_eq!(publisher.attest(0), 2);
    publisher.publish();
    let mut gateway = Gateway::new(&publisher);
    gateway.follow(&publisher);
    (publisher, gateway)
}

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
    let encoded = signed.encode();
    let held = [&(encoded.len() as u32).to_be_bytes()[..], &encoded, &list.encode()].concat();
    assert_eq!(disk["held"], held);
    for shard in &list.shards.0 {
        assert_eq!(disk[&shard.file.name()], *publisher.feed.file(&shard.file.hash).unwrap());
    }
    assert_eq!(Trusted::decode(&disk["trusted"]).as_ref(), Some(gateway.follower.trusted()));
    assert_eq!(disk.len(), 6, "and nothing else: {:?}", disk.keys());
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

/// The reasons for which a list is refused that whoever has the operator's key has made: what was asked for, and that nothing changed.
#[track_caller]
fn refused(gateway: &mut Gateway<Memory>, publisher: &Publisher, lies: &Lies, said: &str) {
    let list = lies.keys().find(|path| path.starts_with("feed/files/") && lies.len() == 2).cloned();
    let before = (gateway.standing(), gateway.disk.clone());
    let fault = gateway.lied_to(publisher, lies).unwrap_err();
    assert_eq!(fault.name(), "law", "{fault}");
    assert!(fault.to_string().contains(said), "{fault}");
    assert_eq!(gateway.asked[..2], OPENING);
    if let Some(list) = list {
        assert_eq!(gateway.asked[2], list);
    }
    let shards = gateway.asked[3..].iter().all(|path| path.starts_with("feed/files/"));
    assert!(shards, "{:?}", gateway.asked);
    assert_eq!((gateway.standing(), gateway.disk.clone()), before);
}

fn swap_manifest(publisher: &Publisher, place: usize, manifest: &Signed) -> Lies {
    publisher.relisted(|list| list.shards.0[place].manifest = manifest.clone())
}

/// A manifest counts by its issuer's keys, and in its time.
#[test]
pub(crate) fn an_issuers_manifest_counts_by_its_own_keys_in_its_time() {
    let (mut publisher, mut gateway) = stated();
    let list = publisher.list();
    let good = &list.shards.0[0].manifest;
    let unsigned = Signed::with(good.bytes().to_vec(), []);
    let rules_key = keys::read(&publisher.place.member(1, Function::Rules)).unwrap();
    let strangers: Vec<_> =
        [publisher.operator(), rules_key, keys::read(&publisher.place.member(2, Function::Alerts)).unwrap()]
            .iter()
            .map(|key| Signed::with(good.bytes().to_vec(), [key]))
            .collect();
    for wrong in strangers.iter().chain([&unsigned]) {
        refused(&mut gateway, &publisher, &swap_manifest(&publisher, 0, wrong), "does not stand");
    }
    let (_, shard) = publisher.feed.stated(member(1)).unwrap();
    let (shard, now) = (shard.clone(), publisher.now);
    let over = publisher.parties.manifest(member(1), &shard, now - 3_600).unwrap();
    refused(&mut gateway, &publisher, &swap_manifest(&publisher, 0, &over), "member 1");
    let coming = publisher.parties.manifest(member(1), &shard, now + 301).unwrap();
    refused(&mut gateway, &publisher, &swap_manifest(&publisher, 0, &coming), "member 1");
    let others = publisher.parties.manifest(member(2), &shard, now).unwrap();
    refused(&mut gateway, &publisher, &swap_manifest(&publisher, 0, &others), "member 1");
    heals_same(&mut gateway, &publisher);
}

/// That an honest round finds nothing new, and what was in force is.
#[track_caller]
fn heals_same(gateway: &mut Gateway<Memory>, publisher: &Publisher) {
    assert!(!gateway.follow(publisher));
    assert_eq!(gateway.records(), publisher.records());
}

/// An older manifest in a newer list: what an issuer took back stays taken back.
#[test]
pub(crate) fn an_issuers_manifest_never_goes_back() {
    let (mut publisher, mut gateway) = stated();
    let old = publisher.list().shards.0[0].clone();
    let old_file = publisher.feed.file(&old.file.hash).unwrap().to_vec();
    publisher.now += 30;
    publisher.alert(1, 3);
    publisher.attest(0);
    publisher.publish();
    gateway.follow(&publisher);
    let mut lies = publisher.relisted(|list| list.shards.0[0] = old.clone());
    lies.insert(path(&old.file), Answer::Bytes(old_file));
    refused(&mut gateway, &publisher, &lies, "manifest of member 1");
    heals_same(&mut gateway, &publisher);
}

/// Rows that their issuer has not stated, or cannot say: each may speak of what it holds alone, by whatever way its word comes.
#[test]
pub(crate) fn an_issuer_speaks_of_what_it_holds_and_states_itself() {
    let (mut publisher, mut gateway) = stated();
    let list = publisher.list();
    let [one, two] = [0, 1].map(|place| list.shards.0[place].clone());
    // Another's rows under one's own manifest.
    let lies = publisher.relisted(|list| list.shards.0[0].file = two.file.clone());
    let fault = Gateway::new(&publisher).lied_to(&publisher, &lies).unwrap_err();
    assert_eq!(fault.name(), "malformed", "another number of them: {fault}");
    let lies = publisher.relisted(|list| {
        (list.shards.0[0].file, list.shards.0[0].count) = (two.file.clone(), two.count);
    });
    let fault = Gateway::new(&publisher).lied_to(&publisher, &lies).unwrap_err();
    assert!(fault.to_string().contains("rows of member 1"), "{fault}");
    // Another's rows, which one has signed for.
    let rows = publisher.feed.stated(member(2)).unwrap().1.clone();
    let now = publisher.now;
    let manifest = publisher.parties.manifest(member(1), &rows, now).unwrap();
    let lies = publisher.relisted(|list| {
        list.shards.0[0] = ShardRef { manifest: manifest.clone(), ..two.clone() };
        list.shards.0[0].party = member(1);
    });
    refused(&mut gateway, &publisher, &lies, "cannot say");
    // A decision that is no seats' but a member's.
    let rows: Vec<_> = publisher
        .feed
        .stated(member(1))
        .unwrap()
        .1
        .in_order()
        .into_iter()
        .cloned()
        .map(|mut row| {
            row.authority = credence_credit::Authority::Decision;
            row
        })
        .collect();
    let shard = Shard::new(rows).unwrap();
    let (file, manifest) = (pack_shard(&shard), publisher.parties.manifest(member(1), &shard, now).unwrap());
    let mut lies = publisher.relisted(|list| {
        list.shards.0[0] = ShardRef { manifest, file: FileRef::of(&file), ..one.clone() };
    });
    lies.insert(path(&FileRef::of(&file)), Answer::Bytes(file));
    refused(&mut gateway, &publisher, &lies, "cannot say");
    // Somebody whom the registry does not know.
    let lies = publisher.relisted(|list| list.shards.0[1].party = member(99));
    refused(&mut gateway, &publisher, &lies, "does not stand");
    heals_same(&mut gateway, &publisher);
}

/// What was checked under other keys is checked again under new ones: nobody keeps a word that was taken away.
#[test]
pub(crate) fn a_manifest_is_checked_by_the_registry_in_force() {
    let (mut publisher, mut gateway) = stated();
    let list = publisher.list();
    let signed = publisher.next_registry(|registry| {
        let keys = registry.members[0].keys.iter().filter(|key| key.function == Function::Alerts);
        registry.revoked = keys.map(|key| KeyId::of(&key.public)).collect();
    });
    publisher.now += 1;
    publisher.hand_in(&signed);
    let rules = publisher.with_rules();
    let head = forged(&publisher, &[&publisher.operator()], |head| {
        (head.serial, head.previous) = (head.serial + 1, Head::hash(&publisher.head().0));
        (head.rules, head.rules_digest, head.deltas) = (rules.len(), rules.digest(), Vec::new());
        (head.issued, head.expires) = (publisher.now, publisher.now + 60);
    });
    let mut lies = with_head(&head);
    lies.insert("feed/rules/4".to_owned(), Answer::Bytes(rules.entries()[4].encode()));
    let fault = gateway.lied_to(&publisher, &lies).unwrap_err();
    assert_eq!(fault.name(), "law");
    assert!(fault.to_string().contains("manifest of member 1"), "{fault}");
    let snapshot = publisher.head().1.snapshot;
    let files = [&snapshot].into_iter().chain(list.shards.0.iter().map(|shard| &shard.file));
    let opening = ["feed/rules/4", "feed/rules/5", "feed/head"].map(str::to_owned);
    asks(&gateway, opening.into_iter().chain(files.map(path)));
    // The honest publisher leaves it out.
    publisher.publish();
    assert!(gateway.follow(&publisher));
    let issued: Vec<Party> = publisher.list().shards.0.iter().map(|shard| shard.party).collect();
    assert_eq!(issued, [member(2)]);
    assert!(gateway.follower.held().unwrap().state.shard(member(1)).is_none());
}

/// What a mirror says whose operator states this.
fn stating(publisher: &Publisher, state: &State) -> Lies {
    let (list, files) = SnapshotList::of(state, |_| None);
    let bytes = list.encode();
    let head = forged(publisher, &[&publisher.operator()], |head| {
        (head.serial, head.previous) = (head.serial + 1, Head::hash(&publisher.head().0));
        (head.snapshot, head.root, head.deltas) = (FileRef::of(&bytes), state.root(), Vec::new());
    });
    let files = files.into_iter().map(|(_, bytes)| bytes).chain([bytes]);
    let mut lies: Lies = files.map(|bytes| (path(&FileRef::of(&bytes)), Answer::Bytes(bytes))).collect();
    lies.extend(with_head(&head));
    lies
}

/// Member 1's manifest about these rows with a number and a version of the registry of its own, signed by this key.
fn numbered(
    publisher: &mut Publisher,
    shard: &Shard,
    key: &SigningKey,
    (number, registry): (u64, u32),
) -> Signed {
    let now = publisher.now;
    let good = publisher.parties.manifest(member(1), shard, now).unwrap();
    let mut object = Object::<Act>::decode(good.bytes()).unwrap();
    let Act::Manifest(manifest) = &mut object.body else { panic!("it is a manifest") };
    (manifest.preamble.number, manifest.preamble.registry) = (number, registry);
    Signed::with(object.encode(), [key])
}

/// Fast-forward by a member's key: a number as high as they go. A registry with another key for the member mends that.
#[test]
pub(crate) fn whoever_went_ahead_with_a_members_key_is_left_behind_by_a_new_one() {
    let (mut publisher, mut gateway) = stated();
    let shard = publisher.feed.stated(member(1)).unwrap().1.clone();
    let thief = keys::read(&publisher.place.member(1, Function::Alerts)).unwrap();
    let far = numbered(&mut publisher, &shard, &thief, (u64::MAX, 1));
    let with_manifest = |gateway: &Gateway<Memory>, publisher: &Publisher, manifest: Signed| {
        let mut parts = gateway.follower.held().unwrap().state.parts();
        parts.issued.insert(member(1), (manifest, shard.clone()));
        State::check(publisher.feed.rules(), parts, None, publisher.now).unwrap()
    };
    let lies = stating(&publisher, &with_manifest(&gateway, &publisher, far));
    assert!(gateway.lied_to(&publisher, &lies).unwrap(), "the thief has what it takes");
    let lower = with("feed/head", {
        let head = forged(&publisher, &[&publisher.operator()], |head| {
            head.serial += 3;
            head.deltas.clear();
        });
        head.encode()
    });
    let fault = gateway.lied_to(&publisher, &lower).unwrap_err();
    assert!(fault.to_string().contains("manifest of member 1"), "{fault}");
    // The member's key is replaced, and what the old one signed is gone.
    let new = SigningKey::from_bytes(&[71; 32]);
    let signed = publisher.next_registry(|registry| {
        let mut keys = registry.members[0].keys.iter_mut();
        let key = keys.find(|key| key.function == Function::Alerts).unwrap();
        registry.revoked = vec![KeyId::of(&key.public)];
        key.public = new.verifying_key().to_bytes();
    });
    for _ in 0..3 {
        publisher.now += 121;
        publisher.publish();
    }
    publisher.adopt(&signed);
    assert!(gateway.follow(&publisher));
    assert!(gateway.follower.held().unwrap().state.shard(member(1)).is_none());
    // And lower numbers count again.
    let low = numbered(&mut publisher, &shard, &new, (7, 2));
    let lies = stating(&publisher, &with_manifest(&gateway, &publisher, low));
    assert!(gateway.lied_to(&publisher, &lies).unwrap());
    assert_eq!(gateway.follower.held().unwrap().state.shard(member(1)).unwrap().0.preamble.number, 7);
}

/// An act that travels by itself counts by its own signatures, in its time, and for what its signer may say.
#[test]
pub(crate) fn an_act_that_travels_by_itself_stands_by_itself() {
    let mut publisher = Publisher::new();
    let (_, decision) = publisher.decide();
    publisher.alert(1, 1);
    publisher.publish();
    let mut gateway = Gateway::new(&publisher);
    gateway.follow(&publisher);
    let list = publisher.list();
    let place = |wanted: credence_credit::ActId| {
        list.loose.0.iter().position(|one| credence_law::party::act_id(one.signed.bytes()) == wanted)
    };
    let decided = place(decision).unwrap();
    let alert = list.loose.0.len() - 1;
    let said = |place: usize, signed: Signed| publisher.relisted(|list| list.loose.0[place].signed = signed);
    let bytes = |place: usize| list.loose.0[place].signed.bytes().to_vec();
    let seats = [1, 4, 5].map(|seat| keys::read(&publisher.place.member(seat, Function::Decisions)).unwrap());
    refused(
        &mut gateway,
        &publisher,
        &said(decided, Signed::with(bytes(decided), &seats[..2])),
        "does not stand",
    );
    refused(&mut gateway, &publisher, &said(decided, Signed::with(bytes(decided), [])), "does not stand");
    let mixed = [&seats[0], &seats[1], &publisher.operator()];
    refused(&mut gateway, &publisher, &said(decided, Signed::with(bytes(decided), mixed)), "does not stand");
    let stranger = keys::read(&publisher.place.member(2, Function::Alerts)).unwrap();
    refused(
        &mut gateway,
        &publisher,
        &said(alert, Signed::with(bytes(alert), [&stranger])),
        "does not stand",
    );
    let mut parties =
        credence_platform::example::Parties::new(publisher.place.clone(), publisher.world, publisher.now);
    let claim = (credence_credit::Measure::RateLimit, credence_credit::Score::new(400).unwrap());
    let foreign = parties.alert(1, "2001:db8:2001::/48".parse().unwrap(), claim, publisher.now).unwrap();
    refused(&mut gateway, &publisher, &said(alert, foreign), "does not stand");
    let over =
        parties.alert(1, "2001:db8:1001::/48".parse().unwrap(), claim, publisher.now - 8 * 86_400).unwrap();
    refused(&mut gateway, &publisher, &said(alert, over), "does not stand");
    let doubled = publisher.relisted(|list| {
        let again = list.loose.0[alert].clone();
        list.loose.0.push(again);
    });
    let before = gateway.standing();
    assert_eq!(gateway.lied_to(&publisher, &doubled).unwrap_err().name(), "malformed");
    assert_eq!(gateway.standing(), before);
    heals_same(&mut gateway, &publisher);
}

/// Two of what comes once, and what comes out of order.
#[test]
pub(crate) fn what_comes_twice_or_out_of_order_is_refused() {
    let (publisher, mut gateway) = stated();
    for change in [(|list: &mut SnapshotList| list.shards.0.swap(0, 1)) as fn(&mut _), |list| {
        list.shards = Many(vec![list.shards.0[0].clone(), list.shards.0[0].clone()])
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
