//! An interface that goes takes the kernel's program with it. One that comes back under its name is ruled again.

use std::time::Duration;

use super::network::{CLIENT, Client, GATEWAY, WAN, between, ip, now};
use super::running::{Running, sum};
use super::traffic::{Arrivals, LISTED, MANAGEMENT, SLACK, list_for, mount_bpf, send, site};
use crate::binary::run;

/// From the moment in which an interface is there to that in which it is ruled.
const RULED_WITHIN: Duration = Duration::from_secs(1);

#[test]
fn an_interface_that_goes_away_and_comes_back_is_ruled_again() {
    between("gateway::returned::an_interface_that_goes_away_and_comes_back_is_ruled_again", returned, send);
}

fn returned(client: &Client) {
    mount_bpf();
    // What carries the mark goes nowhere. The table of this host's own addresses is asked after that rule.
    for rule in ["add pref 100 lookup local", "del pref 0", "add pref 50 fwmark 7 blackhole"] {
        ip(&format!("-6 rule {rule}"));
    }
    let arrivals = Arrivals::noted();
    let ways = [
        ("on_failure.engine_down = \"open\"", "drop"),
        ("on_failure.engine_down = \"static\"", "drop"),
        ("mark_packet = 7", "mark"),
    ];
    for (keys, measure) in ways {
        let site = site(&format!("mode = \"on\"\n{keys}"), "1d");
        list_for(measure, &site, &[LISTED], "1d");
        let mut running = site.start();
        let _playing = client.begin();
        arrivals.first(CLIENT, now());
        for _ in 0..2 {
            check_return(client, &mut running, &arrivals);
        }
        running.signal("KILL");
        drop(running);
        if keys.contains("static") {
            assert!(arrivals.last(LISTED, now()).elapsed() > Duration::ZERO, "the program has outlived it");
            run(["detach", WAN]).expect(0);
        }
        arrivals.first(LISTED, now());
    }
}

/// Takes the interface away and brings it back, and requires that listed sources are silent soon after, and others are not.
fn check_return(client: &Client, running: &mut Running, arrivals: &Arrivals) {
    let off = |running: &mut Running, off: u64| {
        running.metrics_when(|numbers| sum(numbers, "credence_enforce_off") == off);
    };
    off(running, 0);
    ip(&format!("link del {WAN}"));
    off(running, 1);
    let there = client.namespace();
    ip(&format!("link add {WAN} type veth peer name lan netns {there}"));
    ip(&format!("addr add {GATEWAY}/64 dev {WAN} nodad"));
    for source in [CLIENT, LISTED, MANAGEMENT] {
        ip(&format!("-n {there} addr add {source}/64 dev lan nodad"));
    }
    let back = now();
    ip(&format!("link set {WAN} up"));
    ip(&format!("-n {there} link set lan up"));
    off(running, 0);
    arrivals.first(CLIENT, back);
    let slipped = arrivals.last(LISTED, back).duration_since(back);
    println!("ruled again after {} ms", slipped.as_millis());
    assert!(slipped < RULED_WITHIN * SLACK, "listed datagrams arrive for {slipped:?}");
    arrivals.first(MANAGEMENT, now());
}
