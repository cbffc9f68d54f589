//! What is erased is gone from the disk, and is not missed.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use credence_law::Act;
use credence_law::acts::{Erased, Erasure, Purpose, SecurityAlert, Threat};
use credence_law::layout::Text;
use credence_law::party::{Function, MemberId, Party};

use super::world::{Site, id, preamble, run, told};

const CANARY: &str = "a canary that sings in the mine at night";

/// How many files of a directory, with those below, hold these bytes.
fn holding(directory: &std::path::Path, bytes: &[u8]) -> usize {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.map(|path| match path.is_dir() {
        true => holding(&path, bytes),
        false => usize::from(fs::read(&path).unwrap().windows(bytes.len()).any(|found| found == bytes)),
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
    assert!(holding(site.path(), CANARY.as_bytes()) > 0, "or nothing would be shown");
    let erasure = Erasure {
        preamble: preamble(Party::Body, 1, Purpose::Account),
        acts: vec![id(&warning)],
        ground: Erased::Claim,
    };
    let erasure = site.signed(Act::from(erasure), Function::Decisions, &[1, 2, 3]);
    let answer = server.hand_in(&erasure);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let began = Instant::now();
    while holding(site.path(), CANARY.as_bytes()) > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "it is still on the disk");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(holding(site.path(), &[0xca; 32]), 0);
    assert_eq!(server.get(&format!("/acts/{}", id(&warning))).status, 410);
    let before = server.get("/subjects/2001:db8:1020::/48").text();
    server.stop();
    let verified = run(&["verify", "--dir", site.dir()]);
    assert!(verified.status.success() && told(&verified).contains("1 erased"), "{}", told(&verified));
    assert_eq!(site.serve().get("/subjects/2001:db8:1020::/48").text(), before);
}
