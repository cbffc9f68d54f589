//! Rounds with mirrors that lie: what each attack begins with, and what is looked at after it.

use credence_feed::{FileRef, Head};
use credence_law::Signed;
use credence_sync::feed::Answer;
use ed25519_dalek::SigningKey;

use crate::stage::{Gateway, Lies, Memory, Publisher};

/// What every round asks for first, of a gateway that knows the four rules of the example.
pub(crate) const OPENING: [&str; 2] = ["feed/rules/4", "feed/head"];

/// A gateway that follows a publisher with something in force, and another version that it has not seen.
pub(crate) fn followed() -> (Publisher, Gateway<Memory>) {
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

/// A mirror that says this in one place.
pub(crate) fn with(path: &str, bytes: Vec<u8>) -> Lies {
    Lies::from([(path.to_owned(), Answer::Bytes(bytes))])
}

/// A mirror that says this of the head.
pub(crate) fn with_head(signed: &Signed) -> Lies {
    with("feed/head", signed.encode())
}

/// The publisher's head with a change, signed by these keys.
pub(crate) fn forged(publisher: &Publisher, keys: &[&SigningKey], change: impl FnOnce(&mut Head)) -> Signed {
    let (_, mut head) = publisher.head();
    change(&mut head);
    Signed::with(head.object(publisher.world).encode(), keys.iter().copied())
}

/// That a round fails with this word after just these questions, and that nothing else has changed: neither what is believed, nor a
/// byte of the disk, but for what is kept as evidence.
#[track_caller]
pub(crate) fn fails<P: AsRef<str>>(
    gateway: &mut Gateway<Memory>,
    publisher: &Publisher,
    lies: &Lies,
    word: &str,
    asked: impl IntoIterator<Item = P>,
) {
    let (before, mut disk) = (gateway.standing(), gateway.disk.clone());
    let fault = gateway.lied_to(publisher, lies).unwrap_err();
    assert_eq!(fault.name(), word, "{fault}");
    asks(gateway, asked);
    assert_eq!(gateway.standing(), before);
    if let Some(evidence) = &gateway.evidence {
        let name = evidence.name();
        disk.0.insert(name.clone(), gateway.disk.0[&name].clone());
    }
    assert_eq!(gateway.disk, disk, "nothing else was written");
}

/// That the last round asked for just these things, in this order.
#[track_caller]
pub(crate) fn asks<P: AsRef<str>>(gateway: &Gateway<Memory>, asked: impl IntoIterator<Item = P>) {
    let asked: Vec<String> = asked.into_iter().map(|path| path.as_ref().to_owned()).collect();
    assert_eq!(gateway.asked, asked);
}

/// That an honest round brings what was held back.
#[track_caller]
pub(crate) fn heals(gateway: &mut Gateway<Memory>, publisher: &Publisher) {
    assert!(gateway.follow(publisher));
    assert_eq!(gateway.records(), publisher.records());
    assert_eq!(gateway.evidence, None);
}

/// The questions of a round in which a rule does not follow: all rules once more.
pub(crate) fn once_more(last: u32) -> Vec<String> {
    [last].into_iter().chain(0..=last).map(|number| format!("feed/rules/{number}")).collect()
}

/// Where a file is.
pub(crate) fn path(file: &FileRef) -> String {
    format!("feed/files/{}", file.name())
}

/// A publisher whose members 1 and 2 have stated their rows, and a gateway that follows it.
pub(crate) fn stated() -> (Publisher, Gateway<Memory>) {
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
