//! The tour, as a newcomer takes it and as a program does.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Ran, credence, run};
use crate::gateway::running::{Running, fetch};

/// The verdicts, mildest first.
const VERDICTS: [&str; 6] = ["incentive", "pass", "observe", "mark", "rate_limit", "drop"];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn one_json_object_sums_up_what_happened() {
    let ran = run(["demo", "--seconds", "3", "--format", "json"]).expect(0);
    let shown = ran.json();
    for member in ["packets", "flows", "alerts"] {
        assert!(number(&shown[member]) > 0, "{member} in {shown}");
    }
    for verdict in VERDICTS {
        assert!(
            number(&shown["verdicts"][verdict]) > 0,
            "every verdict is seen in the first seconds: {shown}"
        );
    }
    let kept = &shown["conservation"];
    let parts: u64 = ["scored", "not_ipv6", "malformed", "shed"].iter().map(|part| number(&kept[part])).sum();
    assert_eq!(number(&kept["received"]), parts);
    assert_eq!(
        (kept["balances"].as_bool(), number(&kept["received"])),
        (Some(true), number(&shown["packets"]))
    );
    assert_eq!(shown["credit_records_kept"], serde_json::json!({ "too_wide": 1, "documentation": 1 }));
    let why = &shown["explained"]["credence"];
    let points: i64 =
        why["terms"].as_array().unwrap().iter().map(|term| term["points"].as_i64().unwrap()).sum();
    assert_eq!(why["score"], points, "the terms add up: {why}");
    let seconds = shown["seconds"].as_f64().unwrap();
    assert!((3.0..5.0).contains(&seconds), "{seconds}");
}

#[test]
fn people_are_told_what_they_see_and_why() {
    let ran = run(["demo", "--seconds", "2"]).expect(0);
    ran.told(&[
        "bundled capture",
        "made-up feed of 4007 records",
        "nothing is enforced",
        "http://127.0.0.1:",
        "packets/s",
    ]);
    for part in ["verdicts", "every packet is accounted for", "got the verdict", "the score, their sum"] {
        assert!(ran.stdout.contains(part), "{part:?} is missing from:\n{}", ran.stdout);
    }
}

#[test]
fn an_act_becomes_a_verdict_and_is_taken_back_by_a_complaint() {
    let ran = run(["demo", "--seconds", "16", "--format", "json"]).expect(0);
    let shown = ran.json();
    let circle = shown["circle"].as_array().unwrap();
    let steps: Vec<_> = circle.iter().map(|reached| reached["step"].as_str().unwrap()).collect();
    assert_eq!(
        steps,
        ["reported", "decided", "published", "enforced", "complained", "relieved", "corrected", "lifted"]
    );
    let times: Vec<_> = circle.iter().map(|reached| number(&reached["at_ms"])).collect();
    assert!(times.is_sorted() && times[7] < 16_000, "{times:?}");
    assert!(times[0] > 0 && times[3] < times[5] && times[5] < times[7], "packets were waited for: {times:?}");
    // What the line said of the same source: as its holder asks, by the decision, and while the complaint was heard.
    assert_eq!(shown["subject"]["prefix"], "3fff:200:1::/48");
    let alerts = &shown["subject"]["alerts"];
    for verdict in ["observe", "drop", "rate_limit"] {
        assert!(number(&alerts[verdict]) > 0, "{verdict} in {alerts}");
    }
    // Only what the example world's members hold is exempt from the guards.
    assert_eq!(shown["credit_records_kept"], serde_json::json!({ "too_wide": 1, "documentation": 1 }));
    ran.told(&["three of five seats", "Records of example worlds count nowhere but in this tour"]);
}

#[test]
fn a_tour_that_ends_early_shows_how_far_the_circle_came() {
    let shown = run(["demo", "--seconds", "1", "--format", "json"]).expect(0).json();
    let circle = shown["circle"].as_array().unwrap();
    assert!(circle.len() < 8 && circle[0]["step"] == "reported", "{circle:?}");
}

#[test]
fn the_portal_can_be_opened_until_the_tour_is_over() {
    let mut running = Running::start(["demo", "--seconds", "600"]);
    running.hears("lifted: ");
    let said = running.stderr();
    let (_, portal) = said.split_once("the portal is on http://").expect("it is said where");
    let address = portal.split_once('/').expect("an address").0.parse().expect("with a port");
    let (status, page) = fetch(address, "/?address=3fff:200:1:1::1");
    assert_eq!(status, 200, "{page}");
    for part in ["Example world", "3fff:200:1::/48", "Lake Campus"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[test]
fn a_host_without_room_for_a_world_is_shown_the_rest() {
    let mut command = Command::new(credence());
    command.args(["demo", "--seconds", "1", "--format", "json"]).env("TMPDIR", "/nowhere");
    let ran = Ran::of(command.output().unwrap()).expect(0);
    ran.told(&["the alert platform is left out"]);
    let shown = ran.json();
    assert!(shown.get("circle").is_none() && number(&shown["packets"]) > 0, "{shown}");
}

#[test]
fn neither_home_nor_input_nor_a_directory_to_write_to_is_needed() {
    let empty = TempDir::new().unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg("exec \"$0\" demo --seconds 1 --format json <&-").arg(credence());
    command.env_clear().current_dir(empty.path()).env("TMPDIR", empty.path());
    let ran = Ran::of(command.output().unwrap()).expect(0);
    assert!(number(&ran.json()["packets"]) > 0);
    let left: Vec<_> = std::fs::read_dir(empty.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_address_of_the_page_can_be_chosen() {
    let shown = run(["demo", "--seconds", "1", "--format", "json", "--listen", "[::1]:0"]).expect(0).json();
    let page = shown["metrics"].as_str().unwrap();
    assert!(
        page.starts_with("http://[::1]:") && page.ends_with("/metrics") && !page.contains(":0/"),
        "{page}"
    );
    run(["demo", "--seconds", "0"]).expect(2);
    run(["demo", "--listen", "nowhere"]).expect(2);
}
