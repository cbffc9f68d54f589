//! `credence top`: what it shows of a gateway at work, and how it leaves a terminal.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::running::{Running, fetch, sum, wait_for};
use crate::binary::{credence, run};

/// What a terminal is told to show its cursor and the screen that was there before.
const GIVEN_BACK: &str = "\x1b[?25h\x1b[?1049l";

/// A gateway that has raised alerts.
fn gateway() -> Running {
    let mut running = Running::start(["demo", "--seconds", "600"]);
    running.metrics_when(|numbers| sum(numbers, "credence_alerts_written_total") > 0);
    running
}

#[test]
fn one_picture_shows_every_subject() {
    let mut running = gateway();
    let url = format!("http://{}", running.address());
    let ran = run(["top", "--url", &url, "--once"]).expect(0);
    assert_eq!(ran.stderr, "");
    for part in [
        &url,
        "packets/s",
        "rate_limit",
        "incentive",
        "shed, ring_full",
        " records, ",
        "worst sources",
        "best sources",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} is missing from:\n{}", ran.stdout);
    }
    assert!(["4,008", "4,009"].iter().any(|records| ran.stdout.contains(records)), "{}", ran.stdout);
    let (_, traffic) = ran.stdout.split_once("traffic").unwrap();
    let figures: Vec<&str> = traffic.lines().nth(1).unwrap().split_whitespace().collect();
    assert_ne!(figures[0], "0", "packets of the second between two looks:\n{}", ran.stdout);
    assert!(!ran.stdout.contains('\x1b'), "where no terminal is, none is told anything");
    // Without being asked for one picture it prints one as well, since this is no terminal.
    assert!(run(["top", "--url", &url]).expect(0).stdout.contains("worst sources"));
}

#[test]
fn sources_are_told_by_their_network_alone() {
    let mut running = gateway();
    let address = running.address();
    let told = wait_for(|| {
        let (status, page) = fetch(address, "/subjects");
        assert_eq!(status, 200);
        let page: Value = serde_json::from_str(&page).unwrap();
        let worst = page["worst"].as_array().unwrap().clone();
        let best = page["best"].as_array().unwrap().clone();
        (!worst.is_empty() && !best.is_empty()).then_some((page, worst, best))
    });
    let (page, worst, best) = told.expect("sources raise alerts, and rated ones fare well");
    assert!(worst.len() <= 10 && best.len() <= 10 && page["window_s"] == 600, "{page}");
    for subject in &best {
        let prefix = subject["prefix"].as_str().unwrap();
        assert!(prefix.ends_with("::/64") && subject["score"].as_u64() > Some(600), "{subject}");
        assert!(worst.iter().all(|bad| bad["prefix"] != prefix), "{prefix} is among the worst too");
    }
    for subject in worst {
        let prefix = subject["prefix"].as_str().unwrap();
        assert!(prefix.ends_with("::/64"), "{prefix}");
        assert!(subject["alerts"].as_u64() > Some(0) && subject["score"].as_u64() <= Some(1000), "{subject}");
        assert!(["observe", "mark", "rate_limit", "drop"].contains(&subject["verdict"].as_str().unwrap()));
    }
}

#[test]
fn a_gateway_that_is_not_there_is_told_with_its_address_and_a_cure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    run(["top", "--url", &url]).expect(1).told(&[
        &url,
        "does not answer",
        "systemctl status credence",
        "--url",
    ]);
    run(["top", "--url", "https://gateway"]).expect(1).told(&["https://gateway", "http://127.0.0.1:9469"]);
    run(["top", "--interval", "0"]).expect(2);
}

/// What a terminal is sent while `credence top` has it, until `key` ends that.
fn shown_until(key: &[u8]) -> String {
    let mut running = gateway();
    let view = format!("exec {} top --url http://{}", credence().display(), running.address());
    // The program script gives it a terminal.
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &view, "/dev/null"]);
    let mut child =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of util-linux, runs");
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&shown).contains("worst sources") {
        let len = screen.read(&mut piece).unwrap();
        assert!(len > 0, "it ended by itself: {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&piece[..len]);
    }
    keys.write_all(key).unwrap();
    screen.read_to_end(&mut shown).unwrap();
    assert!(child.wait().unwrap().success());
    String::from_utf8(shown).unwrap()
}

#[test]
fn a_terminal_is_given_back_as_it_was() {
    for key in [&b"q"[..], b"\x03"] {
        let shown = shown_until(key);
        let (before, drawn) = shown.split_once("\x1b[?1049h").expect("another screen is taken");
        assert_eq!(before, "");
        assert!(drawn.contains("verdicts") && drawn.trim_end().ends_with(GIVEN_BACK), "{shown:?}");
    }
}
