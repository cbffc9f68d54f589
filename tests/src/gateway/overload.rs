//! Traffic that comes faster than the engine takes it: what is given up is given up by policy, and counted to the frame.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::frozen::Frozen;
use super::live::{Site, carried, flood, quiet};
use super::network::{Client, between, now};
use super::running::{balances, sum};

/// How long workers stand still, and work, in turn. In the former more comes than any ring has room for.
const STANDS_STILL: Duration = Duration::from_secs(3);
const WORKS: Duration = Duration::from_millis(5);
/// How often there is a look whether the flood is over.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Slows two workers down while the client floods, and requires that the metric `lost` tells of it and that every frame is
/// accounted for: sent are those received and those that the kernel lost, received are those scored, told apart, or shed.
fn check(client: &Client, keys: &str, lost: &str) {
    let site = Site::new(keys);
    let mut running = site.start();
    let (before, carried_before) = quiet(&mut running);
    thread::scope(|scope| {
        let flooding = scope.spawn(|| client.act());
        while !flooding.is_finished() {
            let frozen = ["credence-w0", "credence-w1"].map(|name| Frozen::thread(&running, name));
            let since = now();
            while !flooding.is_finished() && since.elapsed() < STANDS_STILL {
                thread::sleep(LOOK_AGAIN);
            }
            drop(frozen);
            thread::sleep(WORKS);
        }
    });
    let since = |numbers: &BTreeMap<String, u64>, metric| sum(numbers, metric) - sum(&before, metric);
    let after = running.metrics_when(|numbers| {
        let received = since(numbers, "credence_received_packets_total");
        balances(numbers)
            && received + since(numbers, "credence_kernel_drops_total") == carried() - carried_before
    });
    let (given_up, sent) = (since(&after, lost), carried() - carried_before);
    println!("{given_up} of {sent} frames were given up, as {lost} tells");
    assert!(given_up > 0, "the workers were slow");
    assert!(since(&after, "credence_scored_packets_total") > 0, "and took what they could");
    running.signal("TERM");
    running.end().expect(0);
}

#[test]
fn a_reader_gives_up_what_slow_workers_have_no_room_for_and_counts_each_frame() {
    between(
        "gateway::overload::a_reader_gives_up_what_slow_workers_have_no_room_for_and_counts_each_frame",
        |client| {
            check(client, "workers = 2", "credence_shed_packets_total");
        },
        flood,
    );
}

#[test]
fn the_kernel_gives_up_what_slow_workers_do_not_read_and_each_frame_is_counted() {
    between(
        "gateway::overload::the_kernel_gives_up_what_slow_workers_do_not_read_and_each_frame_is_counted",
        |client| {
            check(client, "workers = 2\nqueues = 2", "credence_kernel_drops_total");
        },
        flood,
    );
}
