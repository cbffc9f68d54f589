//! A small world for the tests: this gateway's member, a neighbour, and one more so that there are enough.

use std::collections::BTreeMap;

use credence_credit::guard::NeverBlock;
use credence_credit::{Measure, Reason};
use credence_law::Law;
use credence_law::catalogue::Catalogue;
use credence_law::layout::Text;
use credence_law::party::{Function, MemberId, World};
use credence_law::procedure::Procedure;
use credence_law::registry::{Holding, Key, Member, Office, Register, Registry};
use credence_law::standard::Standard;
use ed25519_dalek::SigningKey;

use super::{Footing, Sighting};

/// The moment at which tests begin, in Unix milliseconds.
pub(super) const NOW_MS: u64 = 1_800_000_000_000;
/// This gateway's member, who hands out /56 of 2a00:1::/32.
pub(super) const OWN: MemberId = MemberId(1);
/// Seconds of a day.
pub(super) const DAY: u64 = 86_400;

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// The key of a member (1 to 3) for alerts; another key for each number.
pub(super) fn key(member: u16, number: u8) -> SigningKey {
    let mut seed = [number; 32];
    seed[..2].copy_from_slice(&member.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

fn office(number: u8, function: Function) -> Office {
    let key = registered(&key(100 + u16::from(number), number), function);
    Office { organisation: text(&format!("office {number}")), keys: vec![key] }
}

fn registered(key: &SigningKey, function: Function) -> Key {
    let now = NOW_MS / 1_000;
    Key { function, public: key.verifying_key().to_bytes(), from: now - 400 * DAY, until: now + 4_000 * DAY }
}

fn member(id: u16) -> Member {
    let prefix = format!("2a00:{id}::/32").parse().unwrap();
    Member {
        id: MemberId(id),
        name: text(&format!("network {id}")),
        organisation: text(&format!("organisation {id}")),
        mandate_until: NOW_MS / 1_000 + 4_000 * DAY,
        complaints: text("https://complaints.example/"),
        keys: vec![registered(&key(id, 0), Function::Alerts)],
        holdings: vec![Holding { prefix, delegated: (id == 1).then_some(56) }],
    }
}

/// The rules of the world: 2a00:3:53::/48 is never blocked.
pub(super) fn law() -> Law {
    let registry = Registry {
        version: 1,
        previous: None,
        members: (1..=3).map(member).collect(),
        advisers: vec![office(1, Function::Advice)],
        executive: office(2, Function::Execution),
        operator: office(3, Function::Operation),
        quorum: 3,
        advice_quorum: 1,
        operation_quorum: 1,
        revoked: Vec::new(),
    };
    Law {
        world: World([7; 32]),
        is_example: false,
        registers: BTreeMap::from([(1, Register::new(registry).unwrap())]),
        catalogues: BTreeMap::from([(1, Catalogue::first())]),
        supplements: BTreeMap::new(),
        standards: BTreeMap::from([(1, Standard::first())]),
        procedures: BTreeMap::from([(0, Procedure::first())]),
        adopted: BTreeMap::new(),
        protected: NeverBlock::new(["2a00:3:53::/48".parse().unwrap()]),
    }
}

/// What drafts are judged by at a moment.
pub(super) fn footing<'a>(law: &'a Law, key: &'a SigningKey, now_ms: u64) -> Footing<'a> {
    Footing { law, protected: &law.protected, key, member: OWN, lasts_s: 7 * DAY, now_ms }
}

/// A confirmed scan by this address at a moment.
pub(super) fn scan(source: &str, now_ms: u64) -> Sighting {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    Sighting {
        seen: now_ms / 1_000,
        source: source.into(),
        confirmed: true,
        reason: Some(Reason::Scanning),
        measure: Measure::Mark,
        allowed: false,
        line: format!("{{\"scan\":\"{source}\",\"at\":{now_ms}}}"),
    }
}
