//! A gateway with as many records as the largest lists have: how soon it is at work again when it was killed.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use super::network::{CLIENT, Client, between, now};
use super::traffic::{Arrivals, LISTED, MANAGEMENT, SLACK, mount_bpf, send, site};
use crate::binary::run;

/// Says how many records the list has. A binary that is not optimised takes ten times as long over each.
const RECORDS: &str = "CREDENCE_RECORDS";
const RECORDS_USUALLY: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// From the death of one engine to the first moment at which the next enforces.
const BACK_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn a_killed_engine_enforces_a_million_records_again_within_two_seconds() {
    between(
        "gateway::million::a_killed_engine_enforces_a_million_records_again_within_two_seconds",
        killed,
        send,
    );
}

fn killed(client: &Client) {
    mount_bpf();
    let records: u32 = env::var(RECORDS).map_or(RECORDS_USUALLY, |count| count.parse().unwrap());
    let site = site("mode = \"on\"", "1d");
    let (list, deny) = (site.path("million.txt"), site.path("deny"));
    let mut text = format!("{LISTED}/128\n{MANAGEMENT}/128\n");
    for number in 0..records {
        writeln!(text, "2a{:02x}:{:x}:{:x}::/48", number >> 16, number >> 8 & 0xff, number & 0xff).unwrap();
    }
    fs::write(&list, text).unwrap();
    let import =
        ["credit", "import", "--from", "cidr", &list, "-o", &deny, "--score", "50", "--measure", "drop"];
    run(import).expect(0);
    let arrivals = Arrivals::noted();
    let mut running = site.start();
    let _playing = client.begin();
    arrivals.first(CLIENT, now());
    let mut took = Vec::new();
    for _ in 0..3 {
        let dead = now();
        running.signal("KILL");
        running = site.start();
        let last = arrivals.last(LISTED, dead);
        took.push(last.saturating_duration_since(dead));
        assert_eq!(arrivals.lost(CLIENT, dead), 0, "nobody else is held up");
    }
    took.sort();
    println!("{records} records, enforced again {took:?} after kill -9");
    assert!(took[0] < BACK_WITHIN * SLACK, "{took:?}");
    running.signal("TERM");
    running.end().expect(0);
}
