//! What is published for programs in other languages, held to what this one does.
//!
//! `vectors/acts.json` has an object of each kind with its bytes, its identity, and what travels; `vectors/scores.json` has
//! credit files with their scores, and `vectors/assess.py` comes to the same scores from the bytes of a standard and a
//! catalogue alone. With `CREDENCE_WRITE_VECTORS=1` these tests write the files anew.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use credence_credit::{ActId, EvidenceClass, Rating, Score};
use serde_json::{Value, json};

use crate::catalogue::Catalogue;
use crate::object::{Body, Object};
use crate::party::{Function, Party, act_id};
use crate::procedure::Procedure;
use crate::rules::Rules;
use crate::sign::Signed;
use crate::standard::{Entry, Standard};
use crate::world::{Known, MEMBERS, NOW, WORLD, all, key, member, registry, signed};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Holds a published file to what it should hold.
fn published(name: &str, expected: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(expected).unwrap());
    if env::var_os("CREDENCE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        fs::write(&path, &text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{name} is not what this version does; a change of the layout takes a new version of it"
    );
}

/// What an object is called: the word that its debugging form begins with.
fn name_of(body: &impl core::fmt::Debug) -> String {
    let text = format!("{body:?}");
    text.split('(').next().unwrap().to_owned()
}

fn vector(name: &str, sent: &Signed) -> Value {
    json!({
        "name": name,
        "object": hex(sent.bytes()),
        "id": act_id(sent.bytes()).to_string(),
        "signed_by": sent.claims().map(|key| key.to_string()).collect::<Vec<_>>(),
        "sent": hex(&sent.encode()),
    })
}

#[test]
fn objects_have_the_bytes_that_are_published() {
    let rule = |rule: Rules| {
        let keys = (1..=MEMBERS).map(|id| key(member(id), Function::Rules, 1)).collect::<Vec<_>>();
        vector(&name_of(&rule), &Signed::with(Object::new(WORLD, rule).encode(), &keys))
    };
    let rules = [
        Rules::Registry(registry()),
        Rules::Catalogue(Catalogue::first()),
        Rules::Standard(Standard::first()),
        Rules::Procedure(Procedure { version: 1, ..Procedure::first() }),
    ];
    let acts = all(&mut Known::default()).into_iter().map(|act| vector(&name_of(&act), &signed(act)));
    let public = registry().members[0].keys[0].public;
    let secret = key(Party::Member(registry().members[0].id), Function::Rules, 1).to_bytes();
    let expected = json!({
        "world": WORLD.to_string(),
        "a_key": { "secret": hex(&secret), "public": hex(&public) },
        "objects": rules.map(rule).into_iter().chain(acts).collect::<Vec<_>>(),
    });
    published("acts.json", &expected);
}

/// Credit files of many kinds: from nothing to dozens of entries, of all items and all ages.
fn files() -> impl Iterator<Item = Vec<Entry>> {
    let mut state = 42_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) % below
    };
    (0..60).map(move |number| {
        let entry = |place: u64| Entry {
            act: ActId(core::array::from_fn(|at| (number * 7 + place * 3 + at as u64) as u8)),
            item: random(11) as u16,
            evidence: [EvidenceClass::Confirmed, EvidenceClass::Unconfirmed, EvidenceClass::Declared]
                [random(3) as usize],
            seen: NOW + 3_600 - random(200 * 86_400),
        };
        (0..number % 17).map(entry).collect()
    })
}

fn assessed(entries: &[Entry]) -> Value {
    let assessment = Standard::first().assess(&Catalogue::first(), entries, NOW);
    let score = assessment.rating.score().map(Score::value);
    let status = match assessment.rating {
        Rating::Unrated => None,
        Rating::Rated { status, .. } => Some(status.name()),
    };
    json!({
        "entries": entries.iter().map(|entry| json!({
            "act": entry.act.to_string(),
            "item": entry.item,
            "evidence": entry.evidence as u8,
            "seen": entry.seen,
        })).collect::<Vec<_>>(),
        "score": score,
        "status": status,
        "terms": assessment.terms.iter().map(|term| json!([term.act.to_string(), term.points])).collect::<Vec<_>>(),
    })
}

#[test]
fn scores_are_those_that_are_published_and_another_program_finds_the_same() {
    let bytes = |rule: Rules| {
        let mut bytes = Vec::new();
        rule.write(&mut bytes);
        hex(&bytes)
    };
    let expected = json!({
        "catalogue": bytes(Rules::Catalogue(Catalogue::first())),
        "standard": bytes(Rules::Standard(Standard::first())),
        "now": NOW,
        "files": files().map(|entries| assessed(&entries)).collect::<Vec<_>>(),
    });
    published("scores.json", &expected);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/assess.py");
    let output = Command::new("python3").arg(script).output().expect("this test needs python3");
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("60 files agree"), "{told}");
}
