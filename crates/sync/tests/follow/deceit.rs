//! Publishers that show different things to different people, and what is kept of that.

use std::collections::BTreeSet;

use credence_feed::{Head, Reject};
use credence_law::Signed;
use credence_platform::log::{Leaf, Log};
use credence_sync::feed::evidence::{
    Deceit, EVIDENCE_MAX, Noted, keep_evidence, kept_evidence, read_evidence,
};
use credence_sync::feed::{Answer, Ask};

use crate::rounds::{OPENING, asks, fails, followed, forged, heals, with_head};
use crate::stage::{Gateway, Lies, Memory, Publisher, honest};

/// That what was noticed lies on the disk, once, with both heads as they were signed, and outlives a restart.
#[track_caller]
fn is_kept(gateway: &Gateway<Memory>, deceit: Deceit, known: &Signed, found: &Signed) {
    let evidence = gateway.evidence.as_ref().unwrap();
    assert_eq!(evidence.deceit, deceit);
    let again = Gateway::on(gateway.disk.clone(), gateway.pinned.clone());
    let exhibit = read_evidence(&again.disk, &evidence.name()).unwrap().unwrap();
    let signed: Vec<_> = exhibit.signed().collect();
    assert_eq!(signed[..2], [("known head", Some(known.encode())), ("head", Some(found.encode()))]);
    assert_eq!((exhibit.deceit, exhibit.world), (deceit, gateway.pinned.world.to_string()));
}

/// Two heads of one version, and a head that follows another one than was there.
#[test]
pub(crate) fn two_heads_of_one_serial_are_seen_and_kept() {
    let (mut publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let (operator, known) = (publisher.operator(), publisher.head().0);
    let other = forged(&publisher, &[&operator], |head| head.expires -= 1);
    for _ in 0..2 {
        fails(&mut gateway, &publisher, &with_head(&other), "equivocation", OPENING);
        is_kept(&gateway, Deceit::Heads, &known, &other);
    }
    assert_eq!(kept_evidence(&gateway.disk).unwrap().len(), 1, "the same is kept once");
    // Neither does it matter that one of them is over.
    publisher.now += 601;
    fails(&mut gateway, &publisher, &with_head(&other), "equivocation", OPENING);
    publisher.now -= 600;
    publisher.alert(3, 1);
    publisher.publish();
    let forked = forged(&publisher, &[&operator], |head| head.previous = [3; 32]);
    fails(&mut gateway, &publisher, &with_head(&forked), "equivocation", OPENING);
    is_kept(&gateway, Deceit::Past, &known, &forked);
    gateway = gateway.restart();
    fails(&mut gateway, &publisher, &with_head(&other), "equivocation", OPENING);
    is_kept(&gateway, Deceit::Heads, &known, &other);
    assert_eq!(kept_evidence(&gateway.disk).unwrap().len(), 2);
    heals(&mut gateway, &publisher);
    assert_eq!(kept_evidence(&gateway.disk).unwrap().len(), 2, "what is kept stays");
}

/// A log of as many entries as a publisher's, of which the one at `place` is another.
fn other_log(publisher: &Publisher, size: u64, place: u64) -> Log {
    let own = publisher.desk.log();
    let mut log = Log::default();
    for number in 0..size {
        let leaf = own.leaf(number).copied().unwrap_or(Leaf { accepted: number, digest: [4; 32] });
        log.append(if number == place { Leaf { accepted: number, digest: [5; 32] } } else { leaf });
    }
    log
}

/// A log with another root at the same size, one that became shorter, and one that goes on from another beginning.
#[test]
pub(crate) fn a_log_that_is_another_one_is_seen_and_kept() {
    let (publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let (operator, known) = (publisher.operator(), publisher.head().0);
    let stated = |size: u64, root: [u8; 32]| {
        forged(&publisher, &[&operator], |head| {
            (head.serial, head.log_size, head.log_root) = (head.serial + 5, size, root);
        })
    };
    let size = publisher.desk.log().len();
    let roots = stated(size, [1; 32]);
    fails(&mut gateway, &publisher, &with_head(&roots), "log", OPENING);
    is_kept(&gateway, Deceit::Roots, &known, &roots);
    let shorter = stated(size - 1, publisher.desk.log().root(size - 1).unwrap());
    fails(&mut gateway, &publisher, &with_head(&shorter), "log", OPENING);
    is_kept(&gateway, Deceit::Shorter, &known, &shorter);
    // One that has grown by three entries, of which one of those before is another: no proof of it can be made, and by its tiles it
    // is a fork.
    let fork = other_log(&publisher, size + 3, 2);
    let forked = stated(size + 3, fork.root(size + 3).unwrap());
    let proof = format!("log/consistency/{size}/{}", size + 3);
    let tile = format!("log/tile/0/000.p/{}", size + 3);
    for lie in [Answer::Missing, Answer::Bytes(b"{\"path\":[]}".to_vec())] {
        let mut lies = with_head(&forked);
        lies.insert(proof.clone(), lie);
        lies.insert(tile.clone(), Answer::Bytes(fork.tile(&tile[4..]).unwrap()));
        fails(&mut gateway, &publisher, &lies, "log", [OPENING[0], OPENING[1], &proof, &tile]);
        is_kept(&gateway, Deceit::Forked, &known, &forked);
        let tiles = &gateway.evidence.as_ref().unwrap().objects[2];
        assert_eq!(*tiles, (tile[4..].to_owned(), fork.tile(&tile[4..]).unwrap()));
    }
    assert_eq!(kept_evidence(&gateway.disk).unwrap().len(), 3);
}

/// What a mirror can make up by itself is refused and is no evidence.
#[test]
pub(crate) fn what_a_mirror_makes_up_is_no_evidence() {
    let (publisher, mut gateway) = followed();
    let [proof, tile] = ["log/consistency/5/6", "log/tile/0/000.p/6"];
    let good = publisher.desk.log().tile(&tile[4..]).unwrap();
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    let other = other_log(&publisher, 6, 1).tile(&tile[4..]).unwrap();
    for wrong in
        [Answer::Missing, Answer::Bytes(flipped), Answer::Bytes(good[32..].to_vec()), Answer::Bytes(other)]
    {
        let lies = Lies::from([
            (proof.to_owned(), Answer::Bytes(b"{\"path\":[]}".to_vec())),
            (tile.to_owned(), wrong),
        ]);
        fails(&mut gateway, &publisher, &lies, "log", [OPENING[0], OPENING[1], proof, tile]);
        assert_eq!(gateway.evidence, None);
    }
    heals(&mut gateway, &publisher);
}

/// A mirror of plain files has no proof for every size: the log's tiles will do, of a log of one tile and of several.
#[test]
pub(crate) fn a_log_is_followed_by_its_tiles_alone() {
    let (mut publisher, mut gateway) = followed();
    let mut tiles = BTreeSet::new();
    for entries in [1_u16, 30, 260, 700] {
        let from = publisher.desk.log().len();
        for entry in 0..entries {
            publisher.alert(1 + entry % 5, entry / 5 + 50);
        }
        publisher.now += 1;
        publisher.publish();
        let size = publisher.desk.log().len();
        let came = gateway.refresh(publisher.now, |ask| match ask {
            Ask::Consistency(..) => Answer::Missing,
            _ => honest(&publisher, ask),
        });
        assert!(came.unwrap());
        assert!(
            gateway
                .asked
                .contains(&format!("log/consistency/{}/{size}", from.min(size - u64::from(entries)).max(5)))
                || from > 5
        );
        tiles.extend(gateway.asked.iter().filter(|path| path.starts_with("log/tile/")).cloned());
        let all: BTreeSet<_> = credence_feed::tiles::tiles_since(0, size)
            .into_iter()
            .map(|tile| format!("log/{tile}"))
            .collect();
        let asked = gateway.asked.iter().filter(|path| path.starts_with("log/tile/"));
        assert!(
            asked.clone().count() > 0 && asked.clone().all(|path| all.contains(path)),
            "{:?}",
            gateway.asked
        );
    }
    assert!(
        tiles.contains("log/tile/0/000") && tiles.iter().any(|tile| tile.starts_with("log/tile/1/000.p/")),
        "{tiles:?}"
    );
}

/// Whoever has the operator's key can make any number of lies: so many are kept, the first ones, and all are refused.
#[test]
fn so_much_evidence_is_kept_and_never_less() {
    let (publisher, mut gateway) = followed();
    gateway.follow(&publisher);
    let operator = publisher.operator();
    let mut first = Vec::new();
    for number in 0..EVIDENCE_MAX as u64 + 5 {
        let other = forged(&publisher, &[&operator], |head| head.expires -= number + 1);
        let fault = gateway.lied_to(&publisher, &with_head(&other)).unwrap_err();
        assert!(matches!(fault, Reject::Equivocation(_)));
        let kept = kept_evidence(&gateway.disk).unwrap();
        assert_eq!(kept.len(), EVIDENCE_MAX.min(number as usize + 1));
        if kept.len() < EVIDENCE_MAX {
            first = kept;
        }
    }
    let kept = kept_evidence(&gateway.disk).unwrap();
    assert!(first.iter().all(|name| kept.contains(name)));
    let evidence = gateway.evidence.clone().unwrap();
    let noted =
        keep_evidence(&mut gateway.disk, &evidence, (gateway.pinned.world, 1, String::new())).unwrap();
    assert_eq!(noted, Noted::Full);
    // A new version takes none of it away.
    let mut publisher = publisher;
    publisher.now += 1;
    publisher.alert(4, 4);
    publisher.attest(0);
    publisher.publish();
    heals(&mut gateway, &publisher);
    assert_eq!(kept_evidence(&gateway.disk).unwrap(), kept);
    asks(&gateway, gateway.asked.clone());
    assert_eq!(Head::hash(&publisher.head().0), gateway.follower.trusted().head);
}
