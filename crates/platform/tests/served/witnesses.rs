//! Others who have seen the log.

use std::fs;

use credence_feed::Witness;
use credence_platform::keys::unhex;
use credence_platform::log::is_consistent;
use credence_platform::serve::now;
use ed25519_dalek::SigningKey;

use super::world::{Server, Site, run, told};

/// A witness that a world has listed.
pub(crate) struct List {
    witness: Witness,
    key: SigningKey,
}

impl List {
    pub(crate) fn new(site: &Site) -> Self {
        let key = SigningKey::from_bytes(&[5; 32]);
        let witness = Witness::new("witness.example/w", key.verifying_key());
        fs::write(site.path().join("witnesses"), witness.verifier_key()).unwrap();
        Self { witness, key }
    }

    /// A checkpoint with the witness's line.
    pub(crate) fn cosigned(&self, checkpoint: &[u8]) -> Vec<u8> {
        [checkpoint, &self.witness.cosign(&self.key, checkpoint, now()).unwrap()].concat()
    }
}

fn hand(server: &Server, note: &[u8]) -> u16 {
    server.ask("POST", "/log/cosignatures", note).unwrap().status
}

#[test]
fn what_a_witness_has_seen_is_shown_kept_and_checked() {
    let site = Site::new();
    let witness = List::new(&site);
    let server = site.serve();
    assert_eq!(server.hand_in(&site.alert(1, 1)).status, 201);
    let first = server.get("/log/checkpoint").body;
    let seen = witness.cosigned(&first);
    assert_eq!(hand(&server, &seen), 200);
    assert_eq!(server.get("/log/checkpoint").body, seen, "with the witness's line");

    assert_eq!(server.hand_in(&site.alert(2, 2)).status, 201);
    let second = server.get("/log/checkpoint").body;
    assert!(!String::from_utf8_lossy(&second).contains("witness.example"), "nobody has seen this one yet");
    assert_eq!(server.get("/log/checkpoint/witnessed").body, seen);
    let proof = server.get("/log/consistency/5/6").json();
    let hash = |value: &serde_json::Value| unhex(value.as_str().unwrap()).unwrap();
    let path: Vec<_> = proof["path"].as_array().unwrap().iter().map(hash).collect();
    let (root, before) = (hash(&proof["root"]), hash(&proof["before_root"]));
    assert!(is_consistent(&path, 6, &root, (5, &before)) && !is_consistent(&path, 6, &root, (5, &root)));

    let later = witness.cosigned(&second);
    assert_eq!((hand(&server, &later), hand(&server, &seen)), (200, 409), "a witness goes forward only");
    server.stop();
    let server = site.serve();
    assert_eq!(server.get("/log/checkpoint").body, later, "it was kept");
    server.stop();

    let saved = site.path().join("checkpoint");
    fs::write(&saved, &seen).unwrap();
    let verified = run(&["verify", "--dir", site.dir(), "--checkpoint", saved.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", told(&verified));
    let said = told(&verified);
    assert!(said.contains("has seen the first 6 entries") && said.contains("has seen it"), "{said}");
}

#[test]
fn nobody_speaks_for_a_witness_and_a_witness_for_no_other_log() {
    let (site, other) = (Site::new(), Site::new());
    let witness = List::new(&site);
    let server = site.serve();
    let checkpoint = server.get("/log/checkpoint").body;
    assert_eq!(hand(&server, &checkpoint), 401, "the log's own word");
    let strange = SigningKey::from_bytes(&[6; 32]);
    let forged = Witness::new("witness.example/w", strange.verifying_key());
    let line = forged.cosign(&strange, &checkpoint, now()).unwrap();
    assert_eq!(hand(&server, &[&checkpoint[..], &line].concat()), 401, "another key under its name");
    let elsewhere = witness.cosigned(&other.serve().get("/log/checkpoint").body);
    assert_eq!(hand(&server, &elsewhere), 409, "of another log");
    assert_eq!(hand(&server, b"nonsense"), 401);
    assert_eq!(hand(&server, &vec![b'a'; 1 << 17]), 413);

    fs::write(site.path().join("witnesses"), "nobody\n").unwrap();
    let started = run(&["serve", "--dir", site.dir(), "--listen", "127.0.0.1:0"]);
    assert!(!started.status.success() && told(&started).contains("witnesses:1"), "{}", told(&started));
}
