//! The head: whose it is, of what time, and that it never goes back.

use credence_feed::{Head, Reject};
use credence_law::party::{KeyId, World};
use credence_law::{Object, Signed};
use credence_sync::feed::Answer;
use ed25519_dalek::SigningKey;

use crate::rounds::{OPENING, asks, fails, followed, forged, heals, with, with_head};
use crate::stage::{Gateway, Lies, honest};

/// Too few keys, a stranger's, one key several times; and one that is wrong beside enough good ones.
#[test]
pub(crate) fn a_head_counts_by_the_operators_keys_alone() {
    let (publisher, mut gateway) = followed();
    let (operator, stranger) = (publisher.operator(), publisher.stranger());
    let nobody = forged(&publisher, &[], |_| {});
    let strangers = forged(&publisher, &[&stranger], |_| {});
    for wrong in [nobody, strangers] {
        fails(&mut gateway, &publisher, &with_head(&wrong), "signature", OPENING);
    }
    // A signature that is the operator's and of other bytes, and one under another key's name.
    let once = publisher.head().0.encode();
    for place in [once.len() - 1, once.len() - 80] {
        let mut bytes = once.clone();
        bytes[place] ^= 1;
        fails(&mut gateway, &publisher, &with("feed/head", bytes), "signature", OPENING);
    }
    // The same key twice: the shape of what travels has no room for that, nor for anything behind it.
    let (count, signature) = (once.len() - 82, &once[once.len() - 80..]);
    let twice = [&once[..count], &2_u16.to_be_bytes(), signature, signature].concat();
    for wrong in [twice, [&once[..], b"\0"].concat(), once[..once.len() - 1].to_vec()] {
        fails(&mut gateway, &publisher, &with("feed/head", wrong), "malformed", OPENING);
    }
    let both = forged(&publisher, &[&operator, &stranger], |_| {});
    assert!(gateway.lied_to(&publisher, &with_head(&both)).unwrap(), "one more is harmless");
    assert_eq!(gateway.disk.0["head"], both.encode(), "it is kept as it came");
}

/// Where two of three keys must sign a head, neither one key nor one key and a wrong signature will do.
#[test]
pub(crate) fn a_head_takes_as_many_keys_as_the_registry_asks_for() {
    let (mut publisher, mut gateway) = followed();
    let others = [SigningKey::from_bytes(&[61; 32]), SigningKey::from_bytes(&[62; 32])];
    let signed = publisher.next_registry(|registry| {
        for key in &others {
            let mut key_of_operator = registry.operator.keys[0].clone();
            key_of_operator.public = key.verifying_key().to_bytes();
            registry.operator.keys.push(key_of_operator);
        }
        registry.operation_quorum = 2;
    });
    publisher.hand_in(&signed);
    let rules = publisher.with_rules();
    let head = |keys: &[&SigningKey]| {
        forged(&publisher, keys, |head| {
            (head.serial, head.rules) = (head.serial + 1, rules.len());
            (head.rules_digest, head.deltas) = (rules.digest(), Vec::new());
            head.previous = Head::hash(&publisher.head().0);
        })
    };
    let entry = rules.entries()[4].encode();
    let lies = |head: Vec<u8>| {
        let mut lies = with("feed/rules/4", entry.clone());
        lies.insert("feed/head".to_owned(), Answer::Bytes(head));
        lies
    };
    gateway.follow(&publisher);
    let own = publisher.operator();
    let alone = gateway.lied_to(&publisher, &lies(head(&[&own]).encode())).unwrap_err();
    assert_eq!(alone, Reject::Unsigned { found: 1, needed: 2 });
    asks(&gateway, ["feed/rules/4", "feed/rules/5", "feed/head"]);
    let mut spoilt = head(&[&own, &others[0]]).encode();
    *spoilt.last_mut().unwrap() ^= 1;
    for wrong in [spoilt, head(&[&own, &publisher.stranger()]).encode(), head(&[&others[1]]).encode()] {
        fails(&mut gateway, &publisher, &lies(wrong), "signature", ["feed/rules/5", "feed/head"]);
    }
    for right in [vec![&own, &others[0]], vec![&others[0], &others[1]], vec![&own, &others[0], &others[1]]] {
        let mut gateway = Gateway::with_faults(gateway.disk.clone(), gateway.pinned.clone());
        assert!(gateway.lied_to(&publisher, &lies(head(&right).encode())).unwrap(), "{}", right.len());
    }
    // One wrong signature does not spoil two good ones.
    let mut all = head(&[&own, &others[0], &others[1]]).encode();
    *all.last_mut().unwrap() ^= 1;
    assert!(gateway.lied_to(&publisher, &lies(all)).unwrap());
}

/// Something that is signed, and something else; of another world, and of another kind.
#[test]
pub(crate) fn what_is_signed_means_one_thing() {
    let (publisher, mut gateway) = followed();
    let operator = publisher.operator();
    let (_, head) = publisher.head();
    let elsewhere = Signed::with(head.clone().object(World([7; 32])).encode(), [&operator]);
    fails(&mut gateway, &publisher, &with_head(&elsewhere), "world", OPENING);
    let rule = &publisher.feed.rules().entries()[1].signed;
    fails(&mut gateway, &publisher, &with_head(rule), "malformed", OPENING);
    let (_, alert) = publisher.list().loose.0.into_iter().map(|one| (one.place, one.signed)).next().unwrap();
    fails(&mut gateway, &publisher, &with_head(&alert), "malformed", OPENING);
    let mut drill = Object::new(publisher.world, head);
    drill.exercise = true;
    fails(&mut gateway, &publisher, &with_head(&Signed::with(drill.encode(), [&operator])), "world", OPENING);
    heals(&mut gateway, &publisher);
}

/// What is over, what is from the future, and a mirror that shows the same for ever.
#[test]
pub(crate) fn a_head_is_believed_in_its_time() {
    let (mut publisher, mut gateway) = followed();
    let operator = publisher.operator();
    let old = publisher.head().0;
    publisher.now += 601;
    fails(&mut gateway, &publisher, &with_head(&old), "expired", OPENING);
    let now = publisher.now;
    let later = forged(&publisher, &[&operator], |head| {
        (head.issued, head.expires) = (now + 301, now + 400);
    });
    fails(&mut gateway, &publisher, &with_head(&later), "future", OPENING);
    for expires in [(|head: &Head| head.issued + 601) as fn(&Head) -> u64, |head| head.issued] {
        let long = forged(&publisher, &[&operator], |head| head.expires = expires(head));
        fails(&mut gateway, &publisher, &with_head(&long), "expired", OPENING);
    }
    publisher.publish();
    heals(&mut gateway, &publisher);
}

/// The clock decides, and is an argument: the same bytes at other times.
#[test]
pub(crate) fn time_is_what_the_clock_says_and_never_goes_back() {
    let (publisher, gateway) = followed();
    let at = |seconds: u64| {
        let mut gateway = Gateway::on(gateway.disk.clone(), gateway.pinned.clone());
        gateway.refresh(publisher.now + seconds, |ask| honest(&publisher, ask)).map_err(|fault| fault.name())
    };
    assert_eq!([0, 599].map(at), [Ok(true), Ok(true)]);
    assert_eq!([600, 86_400].map(at), [Err("expired"), Err("expired")]);
    // Time that has surely come stays, whatever a clock that was set back says.
    let mut gateway = gateway;
    gateway.follow(&publisher);
    let was = gateway.follower.trusted().issued;
    assert_eq!(gateway.follower.now(5), was);
    assert!(!gateway.refresh(5, |ask| honest(&publisher, ask)).unwrap(), "the same head is still good");
    asks(&gateway, OPENING);
}

/// What a gateway has is over since long: nothing older comes in for that, and the newest does.
#[test]
pub(crate) fn whoever_was_away_for_long_still_goes_forward_alone() {
    let (mut publisher, mut gateway) = followed();
    let first = publisher.head().0;
    publisher.now += 10;
    publisher.alert(3, 1);
    publisher.publish();
    gateway.follow(&publisher);
    publisher.now += 7 * 86_400 - 100;
    publisher.publish();
    gateway = gateway.restart();
    fails(&mut gateway, &publisher, &with_head(&first), "rollback", OPENING);
    assert!(gateway.follow(&publisher));
    assert_eq!(gateway.follower.trusted().version().1, publisher.head().1.serial);
}

/// Replays, before and after a restart, and what the operator's key makes of older times.
#[test]
pub(crate) fn nothing_goes_back() {
    let (mut publisher, mut gateway) = followed();
    let old = publisher.head().0;
    publisher.now += 1;
    publisher.alert(3, 1);
    publisher.publish();
    gateway.follow(&publisher);
    fails(&mut gateway, &publisher, &with_head(&old), "rollback", OPENING);
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
        fails(&mut gateway, &publisher, &with_head(&forged), "rollback", OPENING);
    }
    gateway = gateway.restart();
    fails(&mut gateway, &publisher, &with_head(&old), "rollback", OPENING);
}

/// An operator's key was stolen, and the thief has gone as far ahead as numbers go; a root with new keys mends that.
#[test]
pub(crate) fn whoever_went_ahead_with_a_stolen_key_is_left_behind_by_a_new_one() {
    for far in [
        (|head: &mut Head| head.serial = u64::MAX) as fn(&mut Head),
        |head| (head.session, head.serial) = (u64::MAX, u64::MAX),
        |head| (head.session, head.serial, head.issued) = (u64::MAX, 1, head.issued + 299),
    ] {
        let (mut publisher, mut gateway) = followed();
        gateway.follow(&publisher);
        let thief = publisher.operator();
        publisher.now += 1;
        let ahead = forged(&publisher, &[&thief], far);
        assert!(gateway.lied_to(&publisher, &with_head(&ahead)).unwrap(), "it is signed as it must be");
        publisher.alert(3, 1);
        publisher.publish();
        fails(&mut gateway, &publisher, &Lies::new(), "rollback", OPENING);
        publisher.replace_operator();
        publisher.now += 2;
        publisher.publish();
        let fault = gateway.lied_to(&publisher, &with_head(&ahead)).unwrap_err();
        assert_eq!(fault.name(), "signature");
        asks(&gateway, ["feed/rules/4", "feed/rules/5", "feed/head"]);
        // What is in force was signed by the old key, and is had again.
        gateway = Gateway::with_faults(gateway.disk, gateway.pinned);
        heals(&mut gateway, &publisher);
        // From there on nothing goes back again.
        let new = publisher.head().0;
        publisher.now += 1;
        publisher.alert(4, 1);
        publisher.publish();
        heals(&mut gateway, &publisher);
        fails(&mut gateway, &publisher, &with_head(&new), "rollback", ["feed/rules/5", "feed/head"]);
    }
}

/// As long as one of the operator's keys is what it was, another one beside it opens no way back.
#[test]
pub(crate) fn one_more_key_is_no_way_back() {
    let (mut publisher, mut gateway) = followed();
    let old = publisher.head().1;
    publisher.now += 1;
    publisher.alert(3, 1);
    publisher.publish();
    gateway.follow(&publisher);
    let other = SigningKey::from_bytes(&[63; 32]);
    let signed = publisher.next_registry(|registry| {
        let mut key = registry.operator.keys[0].clone();
        key.public = other.verifying_key().to_bytes();
        registry.operator.keys.push(key);
    });
    publisher.now += 1;
    publisher.adopt(&signed);
    let back = Signed::with(old.object(publisher.world).encode(), [&other]);
    let fault = gateway.lied_to(&publisher, &with_head(&back)).unwrap_err();
    assert_eq!(fault.name(), "rollback");
    heals(&mut gateway, &publisher);
}

/// Keys that were revoked, or whose time is not now, sign no head.
#[test]
pub(crate) fn a_key_counts_in_its_time_and_until_it_is_revoked() {
    let (mut publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let old = publisher.operator();
    publisher.replace_operator();
    publisher.now += 1;
    publisher.publish();
    let stale = forged(&publisher, &[&old], |_| {});
    let fault = gateway.lied_to(&publisher, &with_head(&stale)).unwrap_err();
    assert_eq!(fault, Reject::Unsigned { found: 0, needed: 1 });
    heals(&mut gateway, &publisher);
    let until = publisher.desk.law().unwrap().register().registry().operator.keys[0].until;
    let new = SigningKey::from_bytes(&[0x5a; 32]);
    let over = forged(&publisher, &[&new], |head| {
        (head.serial, head.issued, head.expires) = (head.serial + 1, until, until + 60);
    });
    let fault = gateway
        .refresh(until, |ask| match ask.path().as_str() {
            "feed/head" => Answer::Bytes(over.encode()),
            _ => honest(&publisher, ask),
        })
        .unwrap_err();
    assert_eq!(fault.name(), "signature");
    assert_ne!(KeyId::of(old.verifying_key().as_bytes()), KeyId::of(new.verifying_key().as_bytes()));
}
