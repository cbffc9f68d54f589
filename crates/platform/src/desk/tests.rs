//! A journal read by many threads is the journal read by one.

use credence_credit::{EvidenceClass, Learned, Measure, Reason};
use credence_law::acts::{Block, Claim, OwnAlert, Preamble, Purpose};
use credence_law::party::{Function, MemberId, Party};
use credence_law::{Object, Rules};
use ed25519_dalek::SigningKey;

use super::*;
use crate::example::{Place, make_world};
use crate::keys;

const NOW: u64 = 1_800_000_000;
/// Entries of the journal; the new registry stands in the middle.
const LEN: usize = 40;

/// A member's alert about one of its sites.
fn alert(world: World, member: u16, number: u64, registry: u32, key: &SigningKey) -> Signed {
    let prefix = format!("2001:db8:{member}{number:03x}::/48").parse().unwrap();
    let claim = Claim {
        subject: Block { prefix, learned: Learned::Default },
        item: Reason::Scanning as u16,
        catalogue: 1,
        standard: 1,
        evidence: EvidenceClass::Confirmed,
        seen_from: NOW,
        seen_until: NOW,
        commitment: [7; 32],
        repeats: None,
    };
    let (issuer, expires, purpose) = (Party::Member(MemberId(member)), NOW + 86_400, Purpose::Warning);
    let preamble = Preamble { issuer, number, issued: NOW, expires, registry, purpose };
    let (rating, measure) = (credence_credit::Rating::Unrated, Measure::Observe);
    let act = Act::from(OwnAlert { preamble, claim, rating, measure });
    Signed::with(Object::new(world, act).encode(), [key])
}

/// An example's journal with alerts, in the midst of which a registry gives member 1 another key.
fn journal() -> (World, Vec<Entry>) {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new(directory.path());
    let (world, mut entries) = make_world(&place, NOW).unwrap();
    let read = |path: &str| keys::read(&directory.path().join(path)).unwrap();
    let mut own: Vec<_> =
        (1..=3).map(|id| keys::read(&place.member(id, Function::Alerts)).unwrap()).collect();
    let mut version = 1;
    let entry = |place: usize, signed: &Signed| {
        let (id, sent) = (act_id(signed.bytes()), Some(signed.encode()));
        Entry { place: place as u64, accepted: NOW, id, salt: None, sent }
    };
    while entries.len() < LEN {
        let (place, number) = (entries.len(), entries.len() as u64);
        let signed = if place == LEN / 2 {
            (own[0], version) = (SigningKey::from_bytes(&[42; 32]), 2);
            let first = Signed::decode(entries[1].sent.as_ref().unwrap()).unwrap();
            let Rules::Registry(mut registry) = Object::<Rules>::decode(first.bytes()).unwrap().body else {
                panic!("the second entry is the registry");
            };
            (registry.version, registry.previous) = (version, Some(entries[1].id));
            let key = registry.members[0].keys.iter_mut().find(|key| key.function == Function::Alerts);
            key.unwrap().public = own[0].verifying_key().to_bytes();
            let keepers = "parties/root";
            let roots: Vec<_> = (1..=2).map(|number| read(&format!("{keepers}/{number}.key"))).collect();
            Signed::with(Object::new(world, Rules::Registry(registry)).encode(), &roots)
        } else {
            let member = place % 3;
            alert(world, member as u16 + 1, number, version, &own[member])
        };
        entries.push(entry(place, &signed));
    }
    (world, entries)
}

/// What comes of a journal: why it is refused, and the root of what was taken before.
type Read = (Result<(), Rejection>, u64, Option<[u8; 32]>, usize);

fn read(world: World, entries: &[Entry], replay: impl FnOnce(&mut Desk) -> Result<(), Rejection>) -> Read {
    let mut desk = Desk::begin(&entries[0], world).unwrap();
    let replayed = replay(&mut desk);
    let len = desk.log().len();
    (replayed, len, desk.log().root(len), desk.book().acts().count())
}

/// One by one, and in pages of all sizes by all numbers of threads, a journal is read or refused in the same way.
#[track_caller]
fn check(world: World, entries: &[Entry]) -> Read {
    let one_by_one =
        read(world, entries, |desk| entries[1..].iter().try_for_each(|entry| desk.replay(entry)));
    for threads in 1..=3 {
        for page in [7, LEN] {
            let threads = NonZero::new(threads).unwrap();
            let mut pages = entries[1..].chunks(page);
            let together =
                read(world, entries, |desk| pages.try_for_each(|page| desk.replay_all(page, threads)));
            assert_eq!(together, one_by_one, "{threads} threads, pages of {page}");
        }
    }
    one_by_one
}

#[test]
fn many_threads_read_what_one_reads() {
    let (world, entries) = journal();
    let (good, len, _, acts) = check(world, &entries);
    assert_eq!((good, len, acts), (Ok(()), LEN as u64, LEN - 5), "four rules and one more");
    let mut refused = BTreeSet::new();
    for place in (4..LEN).step_by(7).chain([LEN / 2 - 1, LEN / 2, LEN / 2 + 1]) {
        let len = entries[place].sent.as_ref().unwrap().len();
        // In the head, in what is said, in the name of the key, in the signature.
        for at in [0, 60, len - 75, len - 1] {
            let mut forged = entries.clone();
            forged[place].sent.as_mut().unwrap()[at] ^= 1;
            let sent = forged[place].sent.as_ref().unwrap();
            // Its identity is what its bytes say; what was forged must be found by its signature.
            if let Ok(signed) = Signed::decode(sent) {
                forged[place].id = act_id(signed.bytes());
            }
            let (fault, len, ..) = check(world, &forged);
            assert_eq!(len, place as u64, "{fault:?}");
            refused.insert(fault.unwrap_err().to_string().split(": ").nth(1).unwrap_or("shape").to_owned());
        }
    }
    assert!(refused.len() >= 3, "{refused:?}");
}
