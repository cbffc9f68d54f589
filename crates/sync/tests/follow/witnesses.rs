//! Others who have seen the log: without their word a gateway that asks for it believes nothing new.

use credence_feed::Witness;
use credence_platform::log::{Leaf, Log, Signer};
use credence_sync::feed::Answer;
use ed25519_dalek::SigningKey;

use crate::stage::{Gateway, Lies, Memory, Publisher};

const SEEN: &str = "log/checkpoint/witnessed";

pub(crate) fn witness(seed: u8) -> (Witness, SigningKey) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    (Witness::new(&format!("witness.example/{seed}"), key.verifying_key()), key)
}

/// A gateway that asks for the word of two of three witnesses.
fn gateway(publisher: &Publisher) -> Gateway<Memory> {
    let mut pinned = Gateway::new(publisher).pinned;
    pinned.witnesses = [1, 2, 3].map(|seed| witness(seed).0).into();
    pinned.witness_quorum = 2;
    Gateway::on(Memory::default(), pinned)
}

/// What a mirror says that these have seen of a log at a size, at `time`.
fn seen(publisher: &Publisher, log: &Log, size: u64, seeds: &[u8], time: u64) -> Lies {
    let origin = format!("credence/{}", publisher.world);
    let signer = Signer::new(&origin, &publisher.operator());
    let mut note = signer.checkpoint_of(log, size).unwrap();
    for seed in seeds {
        let (witness, key) = witness(*seed);
        let line = witness.cosign(&key, &note, time).unwrap();
        note.extend(line);
    }
    Lies::from([(SEEN.to_owned(), Answer::Bytes(note))])
}

#[test]
fn nothing_new_is_believed_that_too_few_have_seen() {
    let mut publisher = Publisher::new();
    publisher.alert(1, 1);
    publisher.publish();
    let mut gateway = gateway(&publisher);
    let (size, now) = (publisher.desk.log().len(), publisher.now);
    let refused = |gateway: &mut Gateway<Memory>, lies: &Lies| {
        let fault = gateway.lied_to(&publisher, lies).unwrap_err();
        assert_eq!(gateway.records(), []);
        assert_eq!(fault.name(), "log", "{fault}");
    };
    let log = publisher.desk.log();
    refused(&mut gateway, &Lies::new());
    refused(&mut gateway, &seen(&publisher, log, size, &[1], now));
    refused(&mut gateway, &seen(&publisher, log, size, &[1, 1, 7], now));
    refused(&mut gateway, &seen(&publisher, log, size, &[1, 2], now - 86_401));
    let mut other = Log::default();
    (0..size).for_each(|place| other.append(Leaf { accepted: place, digest: [8; 32] }));
    refused(&mut gateway, &seen(&publisher, &other, size, &[1, 2], now));
    refused(&mut gateway, &seen(&publisher, &other, size - 1, &[1, 2], now));
    assert!(gateway.lied_to(&publisher, &seen(&publisher, log, size, &[1, 3], now)).unwrap());
    assert_eq!(gateway.records(), publisher.records());
}

/// Witnesses are behind a head, or the log has grown since it was made.
#[test]
fn witnesses_need_not_have_seen_just_the_length_of_the_head() {
    let mut publisher = Publisher::new();
    let mut gateway = gateway(&publisher);
    for (site, ahead) in [(1, false), (2, true), (3, false)] {
        publisher.now += 10;
        publisher.alert(1, site);
        publisher.publish();
        let size = publisher.desk.log().len();
        if ahead {
            publisher.alert(2, site);
        }
        let log = publisher.desk.log();
        let seen_at = if ahead { log.len() } else { size - 1 };
        let lies = seen(&publisher, log, seen_at, &[2, 3], publisher.now);
        if site == 3 {
            // They never go back.
            let back = seen(&publisher, log, 5, &[2, 3], publisher.now);
            assert_eq!(gateway.lied_to(&publisher, &back).unwrap_err().name(), "log");
        }
        assert!(gateway.lied_to(&publisher, &lies).unwrap());
        assert_eq!(gateway.follower.trusted().witnessed, seen_at);
    }
}
