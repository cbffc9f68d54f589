//! `credence doctor`: what it finds on the host at hand, and that its cures mend.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::network::{WAN, between, ip};
use crate::binary::{Ran, credence, run};

/// The answer for programs, whatever the exit code.
fn asked(more: &[&str]) -> (i32, Value) {
    let ran = run(["doctor", "--format", "json"].iter().chain(more));
    (ran.code, ran.json())
}

/// The finding of that name, about that interface or the host.
fn finding<'a>(answer: &'a Value, name: &str, interface: Option<&str>) -> &'a Value {
    let findings = answer["findings"].as_array().unwrap();
    let found = findings.iter().find(|f| f["name"] == name && f["interface"].as_str() == interface);
    found.unwrap_or_else(|| panic!("no finding {name} of {interface:?} in {answer:#}"))
}

fn state(answer: &Value, name: &str, interface: Option<&str>) -> String {
    finding(answer, name, interface)["state"].as_str().unwrap().to_owned()
}

/// Runs the cures of a finding.
fn mend(finding: &Value) {
    let cures = finding["cures"].as_array().unwrap();
    assert!(!cures.is_empty(), "{finding}");
    for cure in cures {
        let status = Command::new("sh").args(["-c", cure.as_str().unwrap()]).status().unwrap();
        assert!(status.success(), "{cure}");
    }
}

#[test]
fn every_finding_has_its_place_and_every_shortcoming_its_cure() {
    let (code, answer) = asked(&[]);
    let findings = answer["findings"].as_array().unwrap();
    assert!(findings.len() >= 16, "{answer:#}");
    for finding in findings {
        let cures = finding["cures"].as_array().unwrap().len();
        match finding["state"].as_str().unwrap() {
            "good" => assert_eq!(cures, 0, "{finding}"),
            "could_be_better" | "missing" => assert!(cures > 0, "{finding}"),
            "unknown" => assert_ne!(finding["found"], "", "{finding}"),
            state => panic!("{state}"),
        }
        assert!(
            finding["needed"].is_boolean() && !finding["found"].as_str().unwrap().contains('\n'),
            "{finding}"
        );
    }
    let count = |state: &str| findings.iter().filter(|finding| finding["state"] == state).count() as u64;
    for state in ["missing", "could_be_better", "unknown"] {
        assert_eq!(answer[state], count(state), "{state} in {answer:#}");
    }
    let fatal = findings.iter().any(|f| f["state"] == "missing" && f["needed"] == true);
    assert_eq!((answer["works"].as_bool(), code), (Some(!fatal), if fatal { 3 } else { 0 }));
    let told = run(["doctor"]);
    assert_eq!(told.code, code);
    for finding in findings {
        assert!(told.stdout.contains(finding["name"].as_str().unwrap()), "{}", told.stdout);
    }
}

#[test]
fn an_interface_that_is_not_there_is_missing_and_a_bad_configuration_is_told() {
    let (code, answer) = asked(&["--interface", "no-such"]);
    assert_eq!((code, answer["works"].as_bool()), (3, Some(false)));
    assert_eq!(state(&answer, "link", Some("no-such")), "missing");
    run(["doctor", "--interface", "no-such"]).expect(3).told(&["missing and needed: ", "link of no-such"]);
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("gateway.toml");
    fs::write(&file, "interfce = \"eth0\"\n").unwrap();
    run(["doctor", "--config", file.to_str().unwrap()]).expect(1).told(&["did you mean `interface`?"]);
    fs::write(&file, "interface = \"configured\"\nworkers = 7\n").unwrap();
    let (code, answer) = asked(&["--config", file.to_str().unwrap()]);
    assert_eq!((code, state(&answer, "link", Some("configured")).as_str()), (3, "missing"));
    let cores = finding(&answer, "cores", None)["found"].as_str().unwrap();
    assert!(cores.contains("for 7 workers"), "{cores}");
}

#[test]
fn its_cures_mend_what_they_are_for() {
    between(
        "gateway::doctor::its_cures_mend_what_they_are_for",
        |_| {
            ip("link add left type veth peer name right");
            ip("link set dev left mtu 1400 up");
            let legs = ["--interface", "left", "--interface", "right"];
            let (code, answer) = asked(&legs);
            assert_eq!((code, answer["works"].as_bool()), (3, Some(false)), "a leg is down: {answer:#}");
            let down = finding(&answer, "link", Some("right"));
            assert_eq!(down["state"], "missing");
            mend(down);
            let uneven = finding(&answer, "MTU of both legs", None);
            assert!(uneven["found"].as_str().unwrap().contains("left 1400, right 1500"), "{uneven}");
            mend(uneven);
            let (code, answer) = asked(&legs);
            assert_eq!((code, answer["works"].as_bool()), (0, Some(true)), "{answer:#}");
            assert_eq!(state(&answer, "MTU of both legs", None), "good");
            assert_eq!(state(&answer, "link", Some("right")), "good");
            assert_eq!(finding(&answer, "driver", Some("left"))["found"], "veth, virtual");
            let gro = finding(&answer, "GRO of the peer", Some("left"));
            assert_eq!(gro["cures"][0], "ethtool -K right gro on", "{gro}");
            assert_eq!(state(&answer, "GRO of the peer", Some("right")), "could_be_better");
            let (_, answer) = asked(&["--interface", WAN]);
            let gro = finding(&answer, "GRO of the peer", Some(WAN));
            assert_eq!(
                (&gro["state"], &gro["found"]),
                (&"unknown".into(), &"it lies in another network namespace".into())
            );
        },
        || {},
    );
}

#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    between(
        "gateway::doctor::an_ordinary_user_is_told_what_is_missing",
        |_| {
            // Where the binary lies, an ordinary user may have no business.
            let directory = TempDir::new().unwrap();
            let copy = directory.path().join("credence");
            fs::copy(credence(), &copy).unwrap();
            for path in [directory.path(), &copy] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            let mut ordinary = Command::new("setpriv");
            ordinary.args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
                "--bounding-set=-all",
            ]);
            ordinary.arg(&copy).args(["doctor", "--format", "json"]);
            let ran = Ran::of(ordinary.output().unwrap()).expect(3);
            ran.told(&["missing and needed: capture privilege"]);
            let answer = ran.json();
            let capture = finding(&answer, "capture privilege", None);
            assert_eq!(capture["cures"][0], format!("setcap cap_net_raw=ep {}", copy.display()));
            assert_eq!(state(&answer, "enforcement privileges", None), "missing");
            for tried in ["AF_PACKET ring", "packet fan-out", "AF_XDP socket", "XDP program"] {
                assert_eq!(state(&answer, tried, None), "unknown", "{tried}");
            }
            assert_eq!(
                state(&answer, "link", Some(WAN)),
                "good",
                "what needs no privilege is told all the same"
            );
        },
        || {},
    );
}
