//! What is erased is gone from the disk, and is not missed.

use std::fs;
use std::thread;
use std::time::Duration;

use credence_law::Act;
use credence_law::acts::{Erased, Erasure, Purpose, SecurityAlert, Threat};
use credence_law::layout::Text;
use credence_law::party::{Function, MemberId, Party};

use super::world::{Site, id, preamble, run, told};

const CANARY: &str = "a canary that sings in the mine at night";

/// Where the database keeps its tables: beside the world, or in the cluster of the test.
fn tables(site: &Site) -> std::path::PathBuf {
    let cluster = std::env::var_os("CREDENCE_TEST_PG_SOCKET");
    cluster.map_or_else(|| site.path().to_owned(), |socket| std::path::Path::new(&socket).join("data/base"))
}

/// How many files of a directory, with those below, hold these bytes.
fn holding(directory: &std::path::Path, bytes: &[u8]) -> usize {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.map(|path| match path.is_dir() {
        true => holding(&path, bytes),
        // A server's files come and go.
        false => {
            usize::from(fs::read(&path).unwrap_or_default().windows(bytes.len()).any(|found| found == bytes))
        }
    });
    found.sum()
}

#[test]
fn what_is_erased_is_found_nowhere_and_the_state_is_what_it_was_without() {
    let site = Site::new();
    let server = site.serve();
    assert_eq!(server.hand_in(&site.alert(1, 0x20)).status, 201);
    let warning = SecurityAlert {
        preamble: preamble(Party::Member(MemberId(2)), 1, Purpose::Warning),
        threat: Threat::Indicator,
        title: Text::new(CANARY).unwrap(),
        details: [0xca; 32],
    };
    let warning = site.signed(Act::from(warning), Function::Alerts, &[2]);
    assert_eq!(server.hand_in(&warning).status, 201);
    let tables = tables(&site);
    // A server writes its tables when it sees fit.
    let is_file = tables == site.path();
    assert!(!is_file || holding(&tables, CANARY.as_bytes()) > 0, "or nothing would be shown");
    let erasure = Erasure {
        preamble: preamble(Party::Body, 1, Purpose::Account),
        acts: vec![id(&warning)],
        ground: Erased::Claim,
    };
    let erasure = site.signed(Act::from(erasure), Function::Decisions, &[1, 2, 3]);
    // Somebody reads what there was, and a server keeps that for them.
    let answer = thread::scope(|scope| {
        if !is_file {
            scope.spawn(|| site.linger(Duration::from_millis(1_500)));
            thread::sleep(Duration::from_millis(300));
        }
        server.hand_in(&erasure)
    });
    assert_eq!(answer.status, 201, "{}", answer.text());
    let name = format!("/acts/{}", id(&warning));
    let is_there = || holding(&tables, CANARY.as_bytes()) > 0 || server.get(&name).status != 410;
    let is_gone = (0..300).any(|_| {
        thread::sleep(Duration::from_millis(100));
        !is_there()
    });
    assert!(is_gone, "it is still on the disk after half a minute");
    assert_eq!(holding(&tables, &[0xca; 32]), 0);
    let before = server.get("/subjects/2001:db8:1020::/48").text();
    server.stop();
    let verified = run(&["verify", "--dir", site.dir()]);
    assert!(verified.status.success() && told(&verified).contains("1 erased"), "{}", told(&verified));
    assert_eq!(site.serve().get("/subjects/2001:db8:1020::/48").text(), before);
}
