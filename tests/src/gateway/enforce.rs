//! Verdicts carried out in the kernel, with traffic running: what arrives, what does not, and what happens when the engine
//! goes away.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::live::Site;
use super::network::{CLIENT, Client, GATEWAY, WAN, between, ip, now};
use super::running::{sum, wait_for};
use super::traffic::{
    Arrivals, LISTED, MANAGEMENT, PROMISED, did, list, list_for, mount_bpf, send, site, within_promise,
};
use crate::binary::{root, run};

#[test]
fn listed_sources_are_dropped_and_nobody_else() {
    between("gateway::enforce::listed_sources_are_dropped_and_nobody_else", lists_act, send);
}

fn lists_act(client: &Client) {
    let site = site("mode = \"on\"\nsample = 10\n[alerts]\npath = \"DIR/alerts.json\"", "1d");
    let arrivals = Arrivals::noted();
    let _playing = client.begin();
    arrivals.first(LISTED, now());
    let mut running = site.start();
    arrivals.last(LISTED, now());
    let began = now();
    arrivals.first(CLIENT, began);
    arrivals.first(MANAGEMENT, began);
    assert!(did(&mut running, "drop", "listed") > 100);
    let spared = did(&mut running, "pass", "spared");
    assert_eq!(spared, 0, "a record over a spared source is not even published as one to enforce");
    // A list without the source, read again with traffic running.
    list(&site, &["2001:db8:99::1"], "1d");
    let reloaded = now();
    running.signal("HUP");
    running.hears("changed in place");
    arrivals.first(LISTED, reloaded);
    assert_eq!(arrivals.lost(CLIENT, began), 0, "a reload loses no packet of others");
    running.signal("TERM");
    running.end().expect(0).told(&["enforcing on wan, in the driver"]);
    check_drops(&site.path("alerts.json"));
}

/// Holds the sampled lines of packets that did not pass to their schema, and to the truth.
fn check_drops(path: &str) {
    let schema = std::fs::read_to_string(root().join("deploy/drop.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let lines = std::fs::read_to_string(path).unwrap();
    let events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let drops: Vec<_> = events.filter(|event| event["event_type"] == "drop").collect();
    assert!(!drops.is_empty(), "{lines}");
    for drop in &drops {
        assert!(validator.is_valid(drop), "{drop}");
        assert_eq!((drop["src_ip"].as_str(), drop["dest_ip"].as_str()), (Some(LISTED), Some(GATEWAY)));
        assert_eq!(
            (drop["drop"]["reason"].as_str(), drop["credence"]["sample"].as_u64()),
            (Some("listed"), Some(10))
        );
    }
}

#[test]
fn a_dry_run_counts_and_drops_nothing() {
    between(
        "gateway::enforce::a_dry_run_counts_and_drops_nothing",
        |client| {
            let site = site("mode = \"dry_run\"", "1d");
            let arrivals = Arrivals::noted();
            let mut running = site.start();
            let _playing = client.begin();
            let began = now();
            arrivals.first(LISTED, began);
            let counted = wait_for(|| (did(&mut running, "drop", "listed") > 100).then_some(()));
            assert!(counted.is_some());
            assert!(arrivals.since(LISTED, began).len() > 100);
            running.signal("TERM");
            running.end().expect(0).told(&["nothing is held up"]);
        },
        send,
    );
}

#[test]
fn routing_tells_marked_packets_from_others() {
    between(
        "gateway::enforce::routing_tells_marked_packets_from_others",
        |client| {
            let site = site("mode = \"on\"\nmark_packet = 7", "1d");
            list_for("mark", &site, &[LISTED], "1d");
            // What carries the mark goes nowhere. The table of this host's own addresses is asked after that rule.
            for rule in ["add pref 100 lookup local", "del pref 0", "add pref 50 fwmark 7 blackhole"] {
                ip(&format!("-6 rule {rule}"));
            }
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            arrivals.first(LISTED, now());
            let mut running = site.start();
            arrivals.last(LISTED, now());
            arrivals.first(CLIENT, now());
            assert!(did(&mut running, "mark", "listed") > 100);
            running.signal("TERM");
            running.end().expect(0);
            arrivals.first(LISTED, now());
        },
        send,
    );
}

#[test]
fn an_engine_that_is_gone_or_hangs_lets_everything_pass_when_open() {
    between(
        "gateway::enforce::an_engine_that_is_gone_or_hangs_lets_everything_pass_when_open",
        |client| {
            let site = site("mode = \"on\"", "1d");
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            for signal in ["STOP", "KILL"] {
                let running = site.start();
                arrivals.last(LISTED, now());
                let gone = now();
                running.signal(signal);
                within_promise(&format!("open after SIG{signal}"), gone, arrivals.first(LISTED, gone));
                if signal == "STOP" {
                    running.signal("CONT");
                    arrivals.last(LISTED, now());
                    running.signal("TERM");
                    running.end().expect(0);
                }
            }
        },
        send,
    );
}

#[test]
fn an_engine_that_is_gone_or_hangs_lets_nothing_pass_when_closed() {
    between(
        "gateway::enforce::an_engine_that_is_gone_or_hangs_lets_nothing_pass_when_closed",
        |client| {
            mount_bpf();
            let site = site("mode = \"on\"\non_failure.engine_down = \"closed\"", "1d");
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            for signal in ["STOP", "KILL"] {
                let running = site.start();
                arrivals.first(CLIENT, now());
                let gone = now();
                running.signal(signal);
                within_promise(&format!("closed after SIG{signal}"), gone, arrivals.last(CLIENT, gone));
                arrivals.first(MANAGEMENT, now());
                if signal == "STOP" {
                    running.signal("CONT");
                    arrivals.first(CLIENT, now());
                    running.signal("TERM");
                    running.end().expect(0).told(&["stays on wan", "credence detach wan"]);
                }
            }
            run(["detach", "wan"]).expect(0).told(&["nothing is enforced any more"]);
            arrivals.first(CLIENT, now());
            arrivals.first(LISTED, now());
            run(["detach", "wan"]).expect(0).told(&["no program was left"]);
        },
        send,
    );
}

#[test]
fn a_static_gateway_goes_on_to_the_end_of_each_record_and_is_taken_over_without_a_gap() {
    between(
        "gateway::enforce::a_static_gateway_goes_on_to_the_end_of_each_record_and_is_taken_over_without_a_gap",
        |client| {
            mount_bpf();
            let site = site("mode = \"on\"\non_failure.engine_down = \"static\"", "1d");
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            let running = site.start();
            arrivals.last(LISTED, now());
            let began = now();
            running.signal("KILL");
            drop(running);
            thread::sleep(PROMISED * 4);
            assert_eq!(arrivals.since(LISTED, began).len(), 0, "nobody is let through by a dead engine");
            // The next engine takes the place of the last, with records that end soon.
            list(&site, &[LISTED], "6s");
            let ends = now() + Duration::from_secs(6);
            let mut running = site.start();
            running.hears("in the place of the one that a process before left");
            assert_eq!(arrivals.since(LISTED, began).len(), 0, "nobody slips through between the two");
            assert_eq!(arrivals.lost(CLIENT, began), 0, "and nobody is held up");
            running.signal("KILL");
            drop(running);
            let first = arrivals.first(LISTED, began);
            let off = first.max(ends) - first.min(ends);
            println!("a record ended {off:?} off its time, with the engine dead");
            assert!(off < Duration::from_secs(3), "{off:?} off the second at which the record ends");
            assert!(Path::new("/sys/fs/bpf/credence/wan").exists());
            run(["detach", "wan"]).expect(0);
        },
        send,
    );
}

#[test]
fn two_gateways_on_one_interface_are_told_apart() {
    between(
        "gateway::enforce::two_gateways_on_one_interface_are_told_apart",
        |_| {
            let site = site("mode = \"on\"", "1d");
            let running = site.start();
            let second = run(["run", "--config", &site.path("gateway.toml"), "--seconds", "1"]);
            second.expect(3).told(&["another credence holds wan"]);
            run(["detach", "wan"]).expect(3).told(&["another credence holds wan"]);
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}

#[test]
fn what_cannot_be_enforced_on_is_told_with_its_cure() {
    between(
        "gateway::enforce::what_cannot_be_enforced_on_is_told_with_its_cure",
        |_| {
            let site = site("mode = \"on\"", "1d");
            let config = site.path("gateway.toml");
            let on = |interface: &str| run(["run", "--config", &config, "--interface", interface]);
            on("no-such").expect(3).told(&["there is no interface no-such"]);
            ip("tuntap add dev layer3 mode tun");
            on("layer3").expect(3).told(&["not Ethernet", "layer3"]);
            // Somebody else's program.
            let object = root().join("crates/enforce/bpf/compare.bpf.o").display().to_string();
            ip(&format!("link set dev {WAN} xdp obj {object} sec xdp"));
            on(WAN).expect(3).told(&["another XDP program is on wan", "xdp off"]);
            ip(&format!("link set dev {WAN} xdp off"));
            let small =
                "workers = 1\ncredit.snapshots = [\"DIR/deny\"]\n[enforce]\nmode = \"on\"\nrecords = 1024";
            let sources: Vec<String> = (0..1_025).map(|i| format!("2001:db8:66::{i:x}")).collect();
            list(&site, &sources.iter().map(String::as_str).collect::<Vec<_>>(), "1d");
            site.configure(small);
            on(WAN).expect(3).told(&["1025", "1024", "enforce.records"]);
        },
        || {},
    );
}

#[test]
fn the_state_of_enforcement_is_on_the_page() {
    between(
        "gateway::enforce::the_state_of_enforcement_is_on_the_page",
        |_| {
            let site = site("mode = \"dry_run\"", "1d");
            let mut running = site.start();
            let numbers = running.metrics();
            assert_eq!(
                numbers["credence_enforce_info{carrier=\"xdp\",mode=\"dry_run\",stand=\"router\"}"],
                1
            );
            assert_eq!(numbers["credence_enforce_condition{condition=\"well\"}"], 1);
            assert_eq!(sum(&numbers, "credence_enforce_condition"), 1);
            assert_eq!(sum(&numbers, "credence_enforce_records"), 2);
            assert_eq!(sum(&numbers, "credence_enforce_publications_total"), 1);
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}

/// The client: connections to port after port that nobody answers.
pub(super) fn scan() {
    for round in 0..60_u16 {
        for port in 0..200 {
            let socket = UdpSocket::bind(format!("[{CLIENT}]:0")).unwrap();
            let to: SocketAddr = format!("[{GATEWAY}]:{}", 10_000 + round * 200 + port).parse().unwrap();
            // Refusals are what a scan gets.
            let _ = socket.send_to(b"anyone?", to);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_source_that_misbehaves_is_limited_by_the_kernel() {
    between(
        "gateway::enforce::a_source_that_misbehaves_is_limited_by_the_kernel",
        |client| {
            // Rungs so high that a scan reaches them in any case.
            let ladder = "observe_below = 590\nmark_below = 580\nrate_limit_below = 570";
            let keys = "mode = \"on\"\nbehaviour_kbit_per_s = 1";
            let site = Site::new(&format!("workers = 1\n[policy.ladder]\n{ladder}\n[enforce]\n{keys}\n"));
            let mut running = site.start();
            let _playing = client.begin();
            let limited = "credence_enforce_packets_total{reason=\"behaviour\",verdict=\"rate_limit\"}";
            let numbers = running.metrics_when(|numbers| numbers[limited] > 0);
            assert!(sum(&numbers, "credence_opinions_total") > 0);
            assert_eq!(sum(&numbers, "credence_enforce_untold_opinions_total"), 0);
            running.signal("TERM");
            running.end().expect(0);
        },
        scan,
    );
}

#[test]
fn an_update_that_hits_too_much_waits_for_the_operator() {
    between(
        "gateway::enforce::an_update_that_hits_too_much_waits_for_the_operator",
        |client| {
            let site = site("mode = \"on\"\n[control]\nsocket = \"DIR/door\"", "1d");
            let door = site.path("door");
            let control = |arguments: &[&str]| {
                run(["control", "--socket", &door].into_iter().chain(arguments.iter().copied()))
            };
            let arrivals = Arrivals::noted();
            let mut running = site.start();
            let _playing = client.begin();
            let began = now();
            arrivals.first(CLIENT, began);
            // The step in which the client's flow began must have ended.
            thread::sleep(Duration::from_millis(2_500));
            control(&["accept"]).expect(1).told(&["no update waits"]);
            list(&site, &[LISTED, CLIENT], "1d");
            running.signal("HUP");
            running.hears("wait for `credence control accept`");
            assert_eq!(sum(&running.metrics(), "credence_credit_update_held"), 1);
            let held = now();
            arrivals.first(CLIENT, held);
            let told = control(&["status"]).expect(0).stdout;
            assert!(told.contains("an update of credit waits"), "{told}");
            let told = control(&["explain", LISTED]).expect(0).stdout;
            assert!(
                told.contains("drop by the record of 2001:db8:77::66/128") && !told.contains(" 0 packets"),
                "{told}"
            );
            // The whole explanation has it too, from the snapshots and the socket that the configuration names.
            let explained = run(["explain", LISTED, "--config", &site.path("gateway.toml")]).expect(0).stdout;
            assert!(explained.contains("  <- rates and rules"), "{explained}");
            let (_, said) = explained.split_once("\ngateway    ").expect("what the gateway does");
            assert!(said.starts_with(told.split_once(" until").unwrap().0), "{explained}");
            assert!(said.contains("the kernel acted on ") && !said.contains(" 0 packets"), "{explained}");
            control(&["accept"]).expect(0);
            arrivals.last(CLIENT, now());
            assert_eq!(sum(&running.metrics(), "credence_credit_update_held"), 0);
            running.signal("TERM");
            running.end().expect(0);
        },
        send,
    );
}

#[test]
fn an_emergency_is_stricter_for_its_time_and_ends_by_itself() {
    between(
        "gateway::enforce::an_emergency_is_stricter_for_its_time_and_ends_by_itself",
        |_| {
            let site = site("mode = \"on\"\n[control]\nsocket = \"DIR/door\"", "1d");
            let door = site.path("door");
            let control = |arguments: &[&str]| {
                run(["control", "--socket", &door].into_iter().chain(arguments.iter().copied()))
            };
            let mut running = site.start();
            let is_on = |numbers: &BTreeMap<String, u64>| sum(numbers, "credence_emergency");
            control(&["calm"]).expect(1).told(&["there is no emergency"]);
            control(&["emergency", "--for", "2d"]).expect(1).told(&["emergency.longest_s"]);
            control(&["emergency", "--for", "3s"]).expect(0);
            let numbers = running.metrics();
            assert_eq!(is_on(&numbers), 1);
            assert!(sum(&numbers, "credence_emergency_ends_timestamp_seconds") > 0);
            running.metrics_when(|numbers| is_on(numbers) == 0);
            running.hears("the emergency is over");
            control(&["emergency", "--for", "1h"]).expect(0);
            control(&["calm"]).expect(0);
            assert_eq!(is_on(&running.metrics()), 0);
            running.signal("TERM");
            running.end().expect(0);
            control(&["status"]).expect(3).told(&["no gateway answers"]);
        },
        || {},
    );
}
