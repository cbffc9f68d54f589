//! Where trust comes from: the root that was pinned, and the rules that follow from it.

use credence_credit::ActId;
use credence_feed::Entry;
use credence_law::party::{World, act_id};
use credence_law::{Object, Root, Rules, Signed};
use credence_sync::feed::{Answer, Kept};
use ed25519_dalek::SigningKey;

use crate::rounds::{OPENING, asks, fails, followed, forged, heals, once_more, with, with_head};
use crate::stage::{BEGIN, Gateway, Lies, Publisher};

/// A mirror that says this of a rule, and when it came into force.
fn with_rule(number: u32, signed: &Signed, accepted: u64) -> Lies {
    with(&format!("feed/rules/{number}"), Entry { accepted, signed: signed.clone() }.encode())
}

/// An anchor that is none, or not signed as it says itself.
#[test]
pub(crate) fn a_world_begins_with_the_root_that_was_pinned_and_no_other() {
    let (publisher, other) = (Publisher::new(), Publisher::new());
    let mut gateway = Gateway::new(&publisher);
    let root = |publisher: &Publisher| publisher.feed.rules().entries()[0].clone();
    let Entry { accepted, signed } = root(&publisher);
    let unsigned = Signed::with(signed.bytes().to_vec(), []);
    let stranger = Signed::with(signed.bytes().to_vec(), [&publisher.stranger()]);
    let one = Signed::with(signed.bytes().to_vec(), [&publisher.root(1)]);
    for wrong in [&root(&other).signed, &unsigned, &stranger, &one] {
        fails(&mut gateway, &publisher, &with_rule(0, wrong, accepted), "law", ["feed/rules/0"]);
    }
    for wrong in [&b"<html>"[..], b"", &[0; 64]] {
        let lies = with("feed/rules/0", wrong.to_vec());
        fails(&mut gateway, &publisher, &lies, "malformed", ["feed/rules/0"]);
    }
    assert!(gateway.disk.0.is_empty());
    assert!(gateway.follow(&publisher));
}

/// What is pinned is a hash: a text that is none names no world, and nobody is asked.
#[test]
pub(crate) fn what_is_no_hash_pins_nothing() {
    let hash = "5f".repeat(32);
    assert!(World::parse(&hash).is_some());
    for wrong in ["", &hash[1..], &format!("{hash}0"), &hash.replace('f', "g"), &format!("+{}", &hash[1..])] {
        assert_eq!(World::parse(wrong), None, "{wrong}");
    }
}

/// Rules that are kept and were damaged are told, and had again.
#[test]
pub(crate) fn a_damaged_anchor_on_the_disk_is_told_and_had_again() {
    let (publisher, gateway) = followed();
    let mut disk = gateway.disk.clone();
    disk.0.get_mut("rules").unwrap()[40] ^= 1;
    let (kept, faults) = Kept::read(&disk, publisher.world);
    assert_eq!((kept.rules.is_none(), faults.len()), (true, 1), "{faults:?}");
    let mut again = Gateway::with_faults(disk, gateway.pinned);
    assert!(again.follow(&publisher));
    let rules = (0..=4).map(|number| format!("feed/rules/{number}"));
    assert_eq!(again.asked[..6], rules.chain(["feed/head".to_owned()]).collect::<Vec<_>>());
    assert_eq!(again.records(), publisher.records());
}

/// A rule without enough good signatures, in another one's place, or at odds with itself.
#[test]
pub(crate) fn a_rule_counts_by_its_signatures_and_in_its_place() {
    let (publisher, mut gateway) = followed();
    let now = publisher.now;
    let good = publisher.next_registry(|_| {});
    let [one, stranger] =
        [publisher.root(1), publisher.stranger()].map(|key| Signed::with(good.bytes().to_vec(), [&key]));
    let unsigned = Signed::with(good.bytes().to_vec(), []);
    let again = publisher.feed.rules().entries()[3].signed.clone();
    let skipped = publisher.next_registry(|registry| registry.version += 1);
    let orphan = publisher.next_registry(|registry| registry.previous = Some(ActId([7; 32])));
    let beyond = publisher.next_registry(|registry| registry.operation_quorum = 2);
    let twice = publisher.next_registry(|registry| {
        registry.operator.keys.push(registry.operator.keys[0].clone());
        registry.operation_quorum = 2;
    });
    let head = publisher.head().0;
    for wrong in [&one, &stranger, &unsigned, &again, &skipped, &orphan, &beyond, &twice, &head] {
        fails(&mut gateway, &publisher, &with_rule(4, wrong, now), "law", once_more(4));
    }
    let early = with_rule(4, &good, BEGIN - 1);
    fails(&mut gateway, &publisher, &early, "too_large", once_more(4));
    let late = with_rule(4, &good, now + 301);
    fails(&mut gateway, &publisher, &late, "future", once_more(4));
    heals(&mut gateway, &publisher);
}

/// A root with these keys that follows the one of a publisher, signed by these.
fn next_root(publisher: &Publisher, keys: &[u8], threshold: u16, signers: &[u8]) -> Signed {
    let entries = publisher.feed.rules().entries();
    let mut roots = entries.iter().filter_map(|entry| match Object::<Rules>::decode(entry.signed.bytes()) {
        Ok(Object { body: Rules::Root(root), .. }) => Some((act_id(entry.signed.bytes()), root)),
        _ => None,
    });
    let (id, root) = roots.next_back().unwrap();
    let public = |number: &u8| key(publisher, *number).verifying_key().to_bytes();
    let next = Root {
        version: root.version + 1,
        previous: Some(id),
        keys: keys.iter().map(public).collect(),
        threshold,
        ..root
    };
    let signers: Vec<_> = signers.iter().map(|number| key(publisher, *number)).collect();
    Signed::with(Object::new(publisher.world, Rules::Root(next)).encode(), &signers)
}

/// The example's three keys of the root, and others.
fn key(publisher: &Publisher, number: u8) -> SigningKey {
    if number <= 3 { publisher.root(number) } else { SigningKey::from_bytes(&[number; 32]) }
}

/// Keys, the threshold among them, and whose signatures there are; and whether that comes into force.
type Step = (&'static [u8], u16, &'static [u8], bool);

/// A root is followed by one that enough of the old and of the new have signed.
#[test]
pub(crate) fn a_root_is_followed_by_one_that_the_old_and_the_new_have_signed() {
    const NEW: &[u8] = &[11, 12, 13];
    let sequences: [&[Step]; 15] = [
        &[(&[1, 2, 3], 2, &[1, 2], true)],
        &[(NEW, 2, &[1, 2, 11, 12], true)],
        &[(NEW, 2, &[11, 12, 13], false)],
        &[(NEW, 2, &[1, 2, 3], false)],
        &[(NEW, 2, &[1, 11, 12], false), (NEW, 2, &[1, 3, 12, 13], true)],
        &[(NEW, 2, &[1, 2, 11], false)],
        &[
            (&[1, 2, 3], 3, &[1, 2], false),
            (&[1, 2, 3], 3, &[1, 2, 3], true),
            (&[1, 2, 3], 3, &[1, 2], false),
        ],
        &[(&[1, 2, 3], 1, &[1], false), (&[1, 2, 3], 1, &[1, 3], true), (&[1, 2, 3], 1, &[2], true)],
        &[(&[1, 2, 3], 2, &[1, 2, 77], true)],
        &[(&[1, 2, 3], 0, &[1, 2], false)],
        &[(&[1, 2, 3], 4, &[1, 2, 3], false)],
        &[(&[1, 1, 2], 2, &[1, 2], false)],
        &[(NEW, 2, &[1, 2, 11, 12], true), (&[21, 22], 2, &[11, 13, 21, 22], true)],
        &[(NEW, 2, &[1, 2, 11, 12], true), (&[1, 2, 3], 2, &[1, 2, 3], false)],
        &[(&[1, 2, 11], 2, &[1, 2], true), (&[2, 11, 12], 2, &[2, 11], true), (&[1], 1, &[1, 2], false)],
    ];
    for (number, sequence) in sequences.iter().enumerate() {
        let (mut publisher, mut gateway) = followed();
        gateway.follow(&publisher);
        for (keys, threshold, signers, follows) in *sequence {
            publisher.now += 1;
            let root = next_root(&publisher, keys, *threshold, signers);
            let next = publisher.feed.rules().len();
            if *follows {
                publisher.adopt(&root);
                assert!(gateway.follow(&publisher), "sequence {number}");
                assert_eq!(gateway.follower.trusted().rules, next + 1, "sequence {number}");
            } else {
                let lies = with_rule(next, &root, publisher.now);
                fails(&mut gateway, &publisher, &lies, "law", once_more(next));
            }
        }
        publisher.alert(3, 3);
        publisher.publish();
        heals(&mut gateway, &publisher);
    }
}

/// A root that skips one, goes back, or is of another kind of world does not follow.
#[test]
pub(crate) fn roots_come_one_by_one() {
    let (mut publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let changed = |publisher: &Publisher, change: fn(&mut Root)| {
        let root = next_root(publisher, &[1, 2, 3], 2, &[1, 2]);
        let Object { body: Rules::Root(mut root), .. } = Object::<Rules>::decode(root.bytes()).unwrap()
        else {
            panic!("it is a root")
        };
        change(&mut root);
        let bytes = Object::new(publisher.world, Rules::Root(root)).encode();
        Signed::with(bytes, &[1, 2].map(|number| publisher.root(number)))
    };
    for change in [
        (|root| root.version += 1) as fn(&mut Root),
        |root| root.version -= 1,
        |root| root.previous = None,
        |root| root.is_example = false,
    ] {
        let lies = with_rule(4, &changed(&publisher, change), publisher.now);
        fails(&mut gateway, &publisher, &lies, "law", once_more(4));
    }
    let first = publisher.feed.rules().entries()[0].signed.clone();
    fails(&mut gateway, &publisher, &with_rule(4, &first, publisher.now), "law", once_more(4));
    publisher.now += 1;
    publisher.publish();
}

/// Whoever was away while all keys of the root were exchanged a thousand times goes from each to the next.
#[test]
fn a_long_chain_of_roots_is_followed_to_its_end() {
    const ROOTS: u32 = 1_030;
    let (mut publisher, mut gateway) = followed();
    assert!(gateway.follow(&publisher));
    let begun = gateway.follower.trusted().rules;
    let first = next_root(&publisher, &[11, 12, 13], 2, &[]);
    let Object { body: Rules::Root(mut root), .. } = Object::<Rules>::decode(first.bytes()).unwrap() else {
        panic!("it is a root")
    };
    let keys = |numbers: [u8; 3]| numbers.map(|number| key(&publisher, number));
    let (mut old, mut new) = (keys([1, 2, 3]), keys([11, 12, 13]));
    for _ in 0..ROOTS {
        root.keys = new.iter().map(|key| key.verifying_key().to_bytes()).collect();
        let bytes = Object::new(publisher.world, Rules::Root(root.clone())).encode();
        publisher.hand_in(&Signed::with(bytes.clone(), [&old[0], &old[1], &new[1], &new[2]]));
        (root.version, root.previous) = (root.version + 1, Some(act_id(&bytes)));
        (old, new) = (new, old);
    }
    publisher.publish();
    assert!(gateway.follow(&publisher));
    assert_eq!(gateway.follower.trusted().rules, begun + ROOTS);
    let rules = gateway.asked.iter().filter(|path| path.starts_with("feed/rules/")).count();
    assert_eq!(rules, ROOTS as usize + 1, "each once, and that there is no more");
    assert_eq!(gateway.records(), publisher.records());
}

/// A root that is over brings no rule into force. What came before stays, and the next root may follow it.
#[test]
pub(crate) fn a_root_that_is_over_signs_nothing_but_its_successor() {
    let (mut publisher, mut gateway) = followed();
    let soon = publisher.now + 60;
    let root = next_root(&publisher, &[1, 2, 3], 2, &[]);
    let Object { body: Rules::Root(mut root), .. } = Object::<Rules>::decode(root.bytes()).unwrap() else {
        panic!("it is a root")
    };
    root.expires = soon;
    let bytes = Object::new(publisher.world, Rules::Root(root)).encode();
    let short = Signed::with(bytes, &[1, 2].map(|number| publisher.root(number)));
    publisher.adopt(&short);
    assert!(gateway.follow(&publisher), "it is stored");
    publisher.now = soon + 3_600;
    let registry = publisher.next_registry(|_| {});
    let lies = with_rule(5, &registry, publisher.now);
    fails(&mut gateway, &publisher, &lies, "law", once_more(5));
    // Offline until here, with a root that is over: from there to the next.
    let longer = {
        let root = next_root(&publisher, &[1, 2, 3], 2, &[]);
        let Object { body: Rules::Root(mut root), .. } = Object::<Rules>::decode(root.bytes()).unwrap()
        else {
            panic!("it is a root")
        };
        root.expires = soon + 86_400;
        let bytes = Object::new(publisher.world, Rules::Root(root)).encode();
        Signed::with(bytes, &[1, 2].map(|number| publisher.root(number)))
    };
    publisher.adopt(&longer);
    assert!(gateway.follow(&publisher));
    publisher.adopt(&registry);
    assert!(gateway.follow(&publisher));
    assert_eq!(gateway.follower.trusted().rules, 7);
}

/// Found by this battery: a mirror without any key could make a gateway forget rules, and with them that a key was revoked. It lied
/// about when the newest rule came into force, and then showed the first ones alone.
#[test]
pub(crate) fn no_mirror_takes_rules_back() {
    let (mut publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let thief = publisher.operator();
    publisher.replace_operator();
    publisher.publish();
    gateway.follow(&publisher);
    publisher.now += 1;
    let newest = publisher.next_registry(|_| {});
    publisher.adopt(&newest);
    // Of rule 5 it says another time, and of the rules from 1 on, when they are asked for again, that there are none.
    let (mut asked, known) = (0, gateway.follower.trusted().clone());
    let later = Entry { accepted: publisher.now + 100, signed: newest }.encode();
    let fault = gateway.refresh(publisher.now, |ask| match ask.path().as_str() {
        "feed/rules/5" => Answer::Bytes(later.clone()),
        "feed/rules/1" => Answer::Missing,
        _ => {
            asked += 1;
            crate::stage::honest(&publisher, ask)
        }
    });
    assert_eq!(fault.unwrap_err().name(), "law");
    assert_eq!(
        gateway.asked,
        ["5", "6"]
            .map(|n| format!("feed/rules/{n}"))
            .into_iter()
            .chain(["feed/head".to_owned(), "feed/rules/0".to_owned(), "feed/rules/1".to_owned()])
            .collect::<Vec<_>>()
    );
    assert_eq!((gateway.follower.trusted(), asked), (&known, 3));
    // The old key's head, which a mirror without the rules that revoked it shows.
    let old = forged(&publisher, &[&thief], |head| {
        (head.session, head.serial, head.rules) = (u64::MAX, 1, 4);
        head.rules_digest = [0; 32];
    });
    let mut lies = with_head(&old);
    lies.insert("feed/rules/6".to_owned(), Answer::Missing);
    let fault = gateway.lied_to(&publisher, &lies).unwrap_err();
    assert_eq!(fault.name(), "signature", "it is the operator's no more");
    let (kept, faults) = Kept::read(&gateway.disk, publisher.world);
    assert!(faults.is_empty() && kept.rules.unwrap().len() >= 5);
    heals(&mut gateway, &publisher);
}

/// Found by this battery: a mirror that said of a rule that it came into force later than it did could keep the next one from ever
/// following, since rules come in the order of their times.
#[test]
pub(crate) fn a_lie_about_when_a_rule_came_into_force_heals() {
    let (mut publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    publisher.now += 1;
    let newest = publisher.next_registry(|_| {});
    publisher.adopt(&newest);
    let lies = with_rule(4, &newest, publisher.now + 200);
    let before = gateway.standing();
    assert_eq!(gateway.lied_to(&publisher, &lies).unwrap_err().name(), "law");
    let rules = |numbers: &[u32]| numbers.iter().map(|n| format!("feed/rules/{n}")).collect::<Vec<_>>();
    let asked = [rules(&[4, 5]), vec!["feed/head".to_owned()], rules(&[0, 1, 2, 3, 4, 5])].concat();
    asks(&gateway, [asked, vec!["feed/head".to_owned()]].concat());
    assert_eq!(gateway.standing(), before);
    publisher.now += 1;
    let next = publisher.next_registry(|_| {});
    publisher.adopt(&next);
    assert!(gateway.follow(&publisher), "{OPENING:?}");
    asks(
        &gateway,
        [
            rules(&[5, 0, 1, 2, 3, 4, 5, 6]),
            vec!["feed/head".to_owned(), "log/consistency/6/8".to_owned()],
            gateway.asked[10..].to_vec(),
        ]
        .concat(),
    );
    assert_eq!(gateway.records(), publisher.records());
}
