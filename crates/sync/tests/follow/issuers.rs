//! What issuers say in a feed's files, whoever has signed the head: by their own keys, in its time, and of what they hold.

use credence_feed::{FileRef, Head, Shard, ShardRef, SnapshotList, State, pack_shard};
use credence_law::party::{Function, KeyId, Party};
use credence_law::{Act, Object, Signed};
use credence_platform::keys;
use credence_sync::feed::Answer;
use ed25519_dalek::SigningKey;

use crate::rounds::{OPENING, asks, forged, path, stated, with, with_head};
use crate::stage::{Gateway, Lies, Memory, Publisher, member};

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
        .map(|mut row| {
            row.authority = credence_credit::Authority::Decision;
            row
        })
        .collect();
    let shard = Shard::new(&rows).unwrap();
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
