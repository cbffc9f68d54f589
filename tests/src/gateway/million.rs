//! A gateway with as many records as the largest lists have: how soon it is at work again when it was killed, and what it misses
//! while they are put in force.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use super::live::{Site, quiet};
use super::network::{CLIENT, Client, between, now};
use super::running::sum;
use super::traffic::{Arrivals, LISTED, MANAGEMENT, SLACK, load_for, mount_bpf, send, sink, site};

/// Says how many records the list has. A binary that is not optimised takes ten times as long over each.
const RECORDS: &str = "CREDENCE_RECORDS";
const RECORDS_USUALLY: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// Says how many datagrams a millisecond the gateway sees meanwhile.
const LOAD: &str = "CREDENCE_LOAD";
const LOAD_USUALLY: u32 = if cfg!(debug_assertions) { 5 } else { 100 };
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

/// The number that a variable of the environment says.
fn wanted(variable: &str, usually: u32) -> u32 {
    env::var(variable).map_or(usually, |count| count.parse().unwrap())
}

/// So many of them, a line each.
fn prefixes(count: u32) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "2a{:02x}:{:x}:{:x}::/48", number >> 16, number >> 8 & 0xff, number & 0xff).unwrap();
        text
    })
}

fn killed(client: &Client) {
    mount_bpf();
    let records = wanted(RECORDS, RECORDS_USUALLY);
    let site = site("mode = \"on\"", "1d");
    site.snapshot("deny", &format!("{LISTED}/128\n{MANAGEMENT}/128\n{}", prefixes(records)));
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

#[test]
fn no_frame_is_lost_while_a_million_records_take_the_place_of_a_few() {
    between(
        "gateway::million::no_frame_is_lost_while_a_million_records_take_the_place_of_a_few",
        exchanged,
        || load_for(wanted(LOAD, LOAD_USUALLY) as usize, Duration::from_secs(600)),
    );
}

/// There and back again, under load: the flows look their sources up anew each time.
fn exchanged(client: &Client) {
    let records = wanted(RECORDS, RECORDS_USUALLY);
    let site = Site::new("workers = 1\ncredit.snapshots = [\"DIR/deny\"]");
    site.snapshot("few", &prefixes(10));
    site.snapshot("many", &prefixes(records));
    let put = |name: &str| fs::copy(site.path(name), site.path("deny")).unwrap();
    put("few");
    let mut running = site.start();
    let _sink = sink();
    let (before, carried_before) = quiet(&mut running);
    let received = "credence_received_packets_total";
    let began = sum(&before, received);
    let playing = client.begin();
    running.metrics_when(|numbers| sum(numbers, received) > began + 1_000);
    let mut took = Vec::new();
    for (name, count) in [("many", records), ("few", 10), ("many", records)] {
        put(name);
        let since = now();
        running.signal("HUP");
        let seen =
            running.metrics_when(|numbers| sum(numbers, "credence_credit_records") == u64::from(count));
        took.push(since.elapsed());
        running.metrics_when(|numbers| sum(numbers, received) > sum(&seen, received) + 1_000);
    }
    drop(playing);
    let (after, carried) = quiet(&mut running);
    let since = |metric| sum(&after, metric) - sum(&before, metric);
    let lost = ["credence_kernel_drops_total", "credence_shed_packets_total"].map(since);
    println!(
        "{records} records and back in {took:?}, under {} frames, of which {lost:?} were lost",
        since(received)
    );
    assert_eq!(lost, [0, 0]);
    assert_eq!(since(received), carried - carried_before, "and each was seen");
    running.signal("TERM");
    running.end().expect(0);
}
