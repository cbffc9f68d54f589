//! From reports to a decision and its end, with the program's own commands; and what a sceptic finds.

use std::fs;
use std::path::Path;

use credence_law::party::Function;
use credence_platform::store::Address;

use super::world::{Server, Site, run, told};

/// Makes an act with the command line, and hands it in. Returns its identity.
#[track_caller]
pub(super) fn act(
    site: &Site,
    server: &Server,
    kind: &str,
    issuer: &str,
    keys: &[&Path],
    more: &[&str],
) -> String {
    let (out, world) = (site.path().join("act"), site.world.to_string());
    let mut arguments = vec!["act", kind, "--world", &world, "--as", issuer, "-o", out.to_str().unwrap()];
    for key in keys {
        arguments.extend(["--key", key.to_str().unwrap()]);
    }
    arguments.extend(more);
    let made = run(&arguments);
    assert!(made.status.success(), "{}", told(&made));
    let answer = server.ask("POST", "/acts", &fs::read(&out).unwrap()).unwrap();
    assert_eq!(answer.status, 201, "{kind}: {}", answer.text());
    let id = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert_eq!(answer.json()["id"], id);
    id
}

#[test]
fn reports_become_a_decision_and_a_sceptic_can_check_all_of_it() {
    let site = Site::new();
    let server = site.serve();
    let place = site.place();
    let evidence = site.path().join("evidence.pcap");
    fs::write(&evidence, "what was seen").unwrap();
    let evidence = evidence.to_str().unwrap();
    let said = ["--prefix", "2001:db8:4020::/48", "--item", "botnet_control", "--evidence", evidence];
    let reports = [1_u16, 2].map(|member| {
        let key = place.member(member, Function::Alerts);
        act(&site, &server, "report", &member.to_string(), &[&key], &said)
    });
    assert_eq!(server.get("/subjects/2001:db8:4020::1").json()["score"], serde_json::Value::Null);

    let advisers = [0, 1].map(|number| place.adviser(number));
    let on = ["--on", &reports[0], "--on", &reports[1]];
    let opinion = act(&site, &server, "opinion", "adviser-0", &[&advisers[0], &advisers[1]], &on);
    let seats = [1, 3, 5].map(|member| place.member(member, Function::Decisions));
    let sources = [format!("{}:1", reports[0]), format!("{}:2", reports[1])];
    let cited = ["--source", &sources[0], "--source", &sources[1], "--opinion", &opinion];
    let decided = [&said[..], &cited, &["--measure", "drop", "--score", "120"]].concat();
    let decision = act(&site, &server, "decision", "body", &[&seats[0], &seats[1], &seats[2]], &decided);
    let asked = server.get("/subjects/2001:db8:4020::1").json();
    assert_eq!((asked["score"].as_u64(), asked["acts"][0]["id"].as_str()), (Some(260), Some(&*decision)));
    assert_eq!(
        (asked["acts"][0]["state"].as_str(), asked["acts"][0]["measure"].as_str()),
        (Some("in_force"), Some("drop"))
    );

    let then = site.path().join("checkpoint");
    fs::write(&then, server.get("/log/checkpoint").body).unwrap();
    act(&site, &server, "lifting", "body", &[&seats[0], &seats[1], &seats[2]], &["--lifts", &decision]);
    let asked = server.get("/subjects/2001:db8:4020::1").json();
    // What is over is nobody's business, but that it still counts.
    assert_eq!((asked["acts"].as_array().unwrap().len(), asked["past"].as_i64()), (0, Some(260 - 650)));
    server.stop();

    let verify = |more: &[&str]| run(&[&["verify", "--dir", site.dir()], more].concat());
    let verified = verify(&["--checkpoint", then.to_str().unwrap()]);
    assert!(
        verified.status.success() && told(&verified).contains("lies on the log's way"),
        "{}",
        told(&verified)
    );

    // A journal that was changed behind everybody's back is found out.
    if let Address::File(journal) = Address::of(site.path()).unwrap() {
        let journal = fs::read(journal).unwrap();
        assert!(
            journal.windows(13).all(|bytes| bytes != b"what was seen"),
            "evidence stays with whoever has it"
        );
    }
    site.tamper(7);
    let refused = verify(&[]);
    assert!(!refused.status.success(), "{}", told(&refused));
    let started = run(&["serve", "--dir", site.dir(), "--listen", "127.0.0.1:0"]);
    assert!(!started.status.success() && told(&started).contains("journal"), "{}", told(&started));
}

#[test]
fn a_world_is_made_once_and_a_checkpoint_of_another_is_none() {
    let (site, other) = (Site::new(), Site::new());
    let again = run(&["init", "--dir", site.dir()]);
    assert!(!again.status.success() && told(&again).contains("holds a world already"), "{}", told(&again));
    let missing = run(&["serve", "--dir", "/nonexistent"]);
    assert!(
        !missing.status.success() && told(&missing).contains("credence-platform init"),
        "{}",
        told(&missing)
    );
    let open = run(&["serve", "--dir", site.dir(), "--listen", "0.0.0.0:0"]);
    assert!(!open.status.success() && told(&open).contains("TLS"), "{}", told(&open));
    let server = other.serve();
    let checkpoint = site.path().join("checkpoint");
    fs::write(&checkpoint, server.get("/log/checkpoint").body).unwrap();
    let refused = run(&["verify", "--dir", site.dir(), "--checkpoint", checkpoint.to_str().unwrap()]);
    assert!(!refused.status.success() && told(&refused).contains("has not signed"), "{}", told(&refused));
}
