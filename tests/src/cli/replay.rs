//! `credence replay` on sound input.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Desk, column, replay, replay_to, sum, text};
use crate::binary::{Ran, capture, captures, credence, root, run};

/// Flows, alerts and summary of captures scored by so many workers.
fn answer(captures: &[PathBuf], workers: &str) -> (String, String, Value) {
    let desk = Desk::new();
    let (flows, alerts) = (desk.path("flows"), desk.path("alerts"));
    let options =
        ["--workers", workers, "--flows", text(&flows), "--alerts", text(&alerts), "--format", "json"];
    let mut summary = replay(captures, &options).expect(0).json();
    for differs in ["seconds", "packets_per_second", "workers"] {
        assert!(summary.as_object_mut().unwrap().remove(differs).is_some());
    }
    (desk.text("flows"), desk.text("alerts"), summary)
}

/// Requires the same bytes of 1, 2 and 8 workers, and returns the first.
fn same_however_many_workers(captures: &[PathBuf]) -> (String, String) {
    let one = answer(captures, "1");
    for workers in ["2", "8"] {
        let several = answer(captures, workers);
        assert!(one.0 == several.0, "flows of {workers} workers differ for {captures:?}");
        assert!(one.1 == several.1, "alerts of {workers} workers differ for {captures:?}");
        assert_eq!(one.2, several.2, "summary of {workers} workers for {captures:?}");
    }
    (one.0, one.1)
}

#[test]
fn every_capture_is_scored_alike_however_many_workers() {
    for capture in captures() {
        same_however_many_workers(&[capture]);
    }
}

#[test]
fn all_captures_as_one_stream_are_scored_alike_however_many_workers() {
    // In the order of time, as a stream is.
    let begins = |capture: &PathBuf| {
        let (flows, ..) = answer(std::slice::from_ref(capture), "1");
        column(&flows, "first_ns").first().map_or(0, |first| first.parse::<u64>().unwrap())
    };
    let mut captures = captures();
    captures.sort_by_cached_key(begins);
    let (flows, alerts) = same_however_many_workers(&captures);
    assert!(flows.lines().count() > 1_000 && alerts.lines().count() > 3);
}

#[test]
fn captures_out_of_order_are_told() {
    let forwards = [capture("link-raw.pcap"), capture("demo.pcap.zst")];
    assert_eq!(replay(&forwards, &[]).expect(0).stderr, "");
    let backwards = [capture("demo.pcap.zst"), capture("link-raw.pcap")];
    replay(&backwards, &[]).expect(0).told(&["link-raw.pcap begins before", "in the order of time"]);
}

#[test]
fn a_second_run_gives_the_same_answer() {
    let answer = || {
        let desk = Desk::new();
        replay_to(&desk, &["demo.pcap.zst"], &[]).expect(0);
        (desk.text("flows.tsv"), desk.text("alerts.jsonl"))
    };
    assert!(answer() == answer());
}

/// The number of frames of each capture, as the table beside them says.
fn frames_by_capture() -> Vec<(String, u64)> {
    let readme = fs::read_to_string(root().join("tests/captures/README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| ") && line.contains(".pcap"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        (cells[1].to_owned(), cells[4].parse().expect("a number of frames"))
    })
    .collect()
}

#[test]
fn every_frame_of_every_capture_is_accounted_for() {
    let expected = frames_by_capture();
    assert_eq!(expected.len(), captures().len(), "the table lists every capture");
    for (name, frames) in expected {
        let desk = Desk::new();
        let summary = replay_to(&desk, &[&name], &[]).expect(0).json();
        assert_eq!(summary["packets"], frames, "{name}");
        assert_eq!(sum(&summary["verdicts"]) + sum(&summary["drops"]), frames, "{name}");
        let flows = desk.text("flows.tsv");
        assert_eq!(summary["flows"], column(&flows, "src").len(), "{name}");
        let packets: u64 = column(&flows, "packets").iter().map(|n| n.parse::<u64>().unwrap()).sum();
        assert_eq!(packets, sum(&summary["verdicts"]), "{name}");
        assert_eq!(summary["alerts"], desk.text("alerts.jsonl").lines().count(), "{name}");
    }
}

#[test]
fn flows_have_the_columns_of_the_contract_and_are_sorted() {
    let desk = Desk::new();
    replay_to(&desk, &["tcp.pcap", "udp-fragments.pcap"], &[]).expect(0);
    let flows = desk.text("flows.tsv");
    let header = "src dst proto sport dport packets bytes first_ns last_ns fragments anomalies score verdict";
    assert_eq!(flows.lines().next().unwrap(), header.replace(' ', "\t"));
    let first: Vec<u64> = column(&flows, "first_ns").iter().map(|n| n.parse().unwrap()).collect();
    assert!(first.is_sorted());
    assert!(column(&flows, "fragments").iter().any(|n| *n != "0"));
}

#[test]
fn several_captures_are_one_stream() {
    let frames = |names: &[&str]| {
        let desk = Desk::new();
        replay_to(&desk, names, &[]).expect(0).json()["packets"].as_u64().unwrap()
    };
    let (tcp, quic) = (frames(&["tcp.pcap"]), frames(&["quic.pcapng"]));
    assert_eq!(frames(&["tcp.pcap", "quic.pcapng"]), tcp + quic);
    // The same file again continues its own flows: the same numbers of flows, twice the packets.
    let flows = |names: &[&str]| {
        let desk = Desk::new();
        replay_to(&desk, names, &[]).expect(0);
        column(&desk.text("flows.tsv"), "src").len()
    };
    assert_eq!(flows(&["link-raw.pcap", "link-raw.pcap"]), flows(&["link-raw.pcap"]));
}

#[test]
fn standard_input_is_a_capture() {
    let input = fs::read(capture("tcp.pcap")).unwrap();
    let ran = crate::binary::run_with_input(["replay", "-", "--format", "json"], &input).expect(0);
    assert_eq!(ran.json()["packets"], 77);
}

#[test]
fn the_header_inside_a_tunnel_makes_the_flow_on_request() {
    let protocols = |tunnels: &str| -> BTreeSet<String> {
        let desk = Desk::new();
        replay_to(&desk, &["vxlan-v4.pcap"], &["--tunnels", tunnels]).expect(0);
        column(&desk.text("flows.tsv"), "proto").into_iter().map(str::to_owned).collect()
    };
    assert!(protocols("inner").contains("6"), "TCP runs inside");
    let outer = |tunnels: &str| {
        let desk = Desk::new();
        replay_to(&desk, &["vxlan-v6.pcap"], &["--tunnels", tunnels]).expect(0);
        let flows = desk.text("flows.tsv");
        column(&flows, "dport").iter().filter(|port| **port == "4789").count()
    };
    assert!(outer("outer") > 0);
    assert_eq!(outer("inner"), 0, "the tunnel itself makes no flow any more");
}

/// Every word of a text that is an address.
fn addresses(text: &str) -> BTreeSet<std::net::Ipv6Addr> {
    text.split(['\t', '\n', '"', '/', ' '])
        .filter(|word| word.contains(':'))
        .filter_map(|word| word.parse().ok())
        .collect()
}

#[test]
fn anonymised_outputs_hold_no_address_of_the_capture() {
    let (plain, desk) = (Desk::new(), Desk::new());
    let snapshot = plain.snapshot("own.snap", "3fff:666::/32\n", &["--measure", "rate_limit"]);
    let options = ["--credit", text(&snapshot)];
    replay_to(&plain, &["demo.pcap.zst"], &options).expect(0);
    let seen = addresses(&plain.text("flows.tsv"));
    assert!(seen.len() > 100);
    assert!(
        plain.text("alerts.jsonl").contains("\"prefix\":\"3fff:666::/32\""),
        "the records are in the alerts"
    );
    let ran = replay_to(&desk, &["demo.pcap.zst"], &[&options[..], &["--anonymise"]].concat()).expect(0);
    for output in [desk.text("flows.tsv"), desk.text("alerts.jsonl"), ran.stdout, ran.stderr] {
        let left: Vec<_> = addresses(&output).intersection(&seen).copied().collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!output.contains("3fff:666:"), "a prefix tells as much");
    }
    assert_eq!(column(&desk.text("flows.tsv"), "score"), column(&plain.text("flows.tsv"), "score"));
}

#[test]
fn an_anonymisation_key_makes_runs_comparable() {
    let desk = Desk::new();
    let key = desk.file("key", "00112233445566778899aabbccddeeff".to_owned() + &"5".repeat(32) + "\n");
    let flows = |options: &[&str]| {
        replay_to(&desk, &["tcp.pcap"], options).expect(0);
        desk.text("flows.tsv")
    };
    let keyed = ["--anonymise-key", text(&key)];
    assert_eq!(flows(&keyed), flows(&keyed));
    assert_ne!(flows(&["--anonymise"]), flows(&["--anonymise"]), "a random key is another one every time");
    for (bad, word) in [("short", "holds no key"), (&"0".repeat(64), "halves are equal")] {
        let key = desk.file("bad", bad);
        replay_to(&desk, &["tcp.pcap"], &["--anonymise-key", text(&key)])
            .expect(1)
            .told(&[word, "openssl rand"]);
    }
}

#[test]
fn outputs_are_for_owner_and_group_alone() {
    let desk = Desk::new();
    let open = desk.file("flows.tsv", "longer than what will stand there? no, but it was readable by all");
    fs::set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
    replay_to(&desk, &["tcp.pcap"], &[]).expect(0);
    for name in ["flows.tsv", "alerts.jsonl"] {
        let mode = fs::metadata(desk.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{name}");
    }
    assert!(desk.text("flows.tsv").starts_with("src\t"));
}

#[test]
fn an_output_on_standard_output_has_it_for_itself() {
    let ran = replay(&[capture("tcp.pcap")], &["--flows", "-"]).expect(0);
    assert!(ran.stdout.starts_with("src\tdst\t"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("packets  "), "{}", ran.stdout);
    ran.told(&["packets", "verdicts", "flows"]);
    let both = replay(&[capture("tcp.pcap")], &["--flows", "-", "--alerts", "-"]);
    both.expect(2).told(&["both go to standard output"]);
}

#[test]
fn credit_is_scored_and_a_listed_source_is_dropped() {
    let desk = Desk::new();
    let source = "3fff:666:1::/48\n";
    let snapshot = desk.snapshot("deny.snap", source, &["--score", "50"]);
    let summary = replay_to(&desk, &["demo.pcap.zst"], &["--credit", text(&snapshot)]).expect(0).json();
    assert_eq!(summary["credit_records"], 1);
    let dropped = summary["verdicts"]["drop"].as_u64().unwrap();
    assert!(dropped > 0);
    let listed = ["--credit", text(&snapshot), "--never-block", "3fff:666::/32", "--own", "3fff:666::/32"];
    let spared = replay_to(&desk, &["demo.pcap.zst"], &listed).expect(0).json();
    assert_eq!(spared["verdicts"]["drop"], 0);
    assert_eq!(spared["credit_records_kept"]["never_block"], 1);
}

#[test]
fn a_policy_file_moves_the_rungs() {
    let desk = Desk::new();
    let policy = desk.file("policy.toml", "[policy]\nneutral = 700\n");
    replay_to(&desk, &["link-raw.pcap"], &["--policy", text(&policy)]).expect(0);
    let scores = |desk: &Desk| {
        column(&desk.text("flows.tsv"), "score").iter().map(|s| s.parse::<u16>().unwrap()).max()
    };
    let plain = Desk::new();
    replay_to(&plain, &["link-raw.pcap"], &[]).expect(0);
    assert_eq!(scores(&desk).unwrap() - 100, scores(&plain).unwrap());
    for (content, word) in
        [("[policy]\nneutrl = 7\n", "neutrl"), ("[policy]\nneutral = 1\n", "policy.neutral")]
    {
        let policy = desk.file("policy.toml", content);
        replay_to(&desk, &["tcp.pcap"], &["--policy", text(&policy)]).expect(1).told(&[word, "policy.toml"]);
    }
}

#[test]
fn an_interrupted_run_writes_what_it_has() {
    let desk = Desk::new();
    let (flows, demo) = (desk.path("flows.tsv"), capture("demo.pcap.zst"));
    let args = [Path::new("replay"), &demo, "--flows".as_ref(), &flows];
    let args = args.into_iter().chain(["--speed", "real", "--format", "json"].map(Path::new));
    let mut command = Command::new(credence());
    let child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "the capture lasts half a minute, and so does its replay");
    let ran = Ran::of(child.wait_with_output().unwrap()).expect(0);
    ran.told(&["ended early"]);
    let summary = ran.json();
    assert_eq!(summary["interrupted"], true);
    let packets = summary["packets"].as_u64().unwrap();
    assert!(packets > 0 && packets < 15_000, "{packets}");
    assert_eq!(sum(&summary["verdicts"]) + sum(&summary["drops"]), packets);
    assert_eq!(summary["flows"], column(&desk.text("flows.tsv"), "src").len());
}

#[test]
fn the_summary_for_people_is_short_and_aligned() {
    let ran = replay(&[capture("link-raw.pcap")], &[]).expect(0);
    assert!(ran.stdout.lines().count() < 20, "{}", ran.stdout);
    for line in ran.stdout.lines() {
        assert!(line.len() <= 100 && !line.ends_with(' '), "{line:?}");
    }
    assert!(ran.stderr.is_empty(), "no bar without a terminal: {}", ran.stderr);
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    for args in [&["replay"][..], &["replay", "x", "--workers", "0"], &["replay", "x", "--speed", "warp"]] {
        run(args).expect(2);
    }
    let flows: PathBuf = Desk::new().path("same");
    replay(&[capture("tcp.pcap")], &["--flows", text(&flows), "--alerts", text(&flows)]).expect(2);
}
