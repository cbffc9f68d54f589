//! One binary takes another's place, and the older one its place again, with traffic running.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::live::Site;
use super::network::{CLIENT, Client, between, now};
use super::running::{Running, fetch, wait_for};
use super::traffic::{Arrivals, EVERY, LISTED, MANAGEMENT, PROMISED, mount_bpf, send, site};
use crate::binary::{credence, run};

/// How long nothing may arrive of what is sent. Nothing on this way queues packets, so that a gap shows in the numbers that are
/// missing; that they come late tells more of the machine.
const GAP_MAX: Duration = Duration::from_millis(10);

/// Starts a binary on the interface of `site`, from which another has gone, and waits until it is at work.
fn start(binary: &Path, site: &Site) -> Running {
    let mut running =
        Running::spawn(Command::new(binary).args(["run", "--config", &site.path("gateway.toml")]));
    running.hears("enforcing on wan, in the place of the one that a process before left");
    let address = running.address();
    assert!(wait_for(|| (fetch(address, "/readyz").0 == 200).then_some(())).is_some());
    running
}

#[test]
fn an_upgrade_and_the_way_back_lose_no_packet_and_let_no_listed_one_through() {
    between(
        "gateway::upgrade::an_upgrade_and_the_way_back_lose_no_packet_and_let_no_listed_one_through",
        upgrade,
        send,
    );
}

fn upgrade(client: &Client) {
    mount_bpf();
    let site = site("mode = \"on\"\non_failure.engine_down = \"static\"", "1d");
    let next = site.path("credence-next");
    fs::copy(credence(), &next).unwrap();
    let arrivals = Arrivals::noted();
    let _playing = client.begin();
    let mut running = site.start();
    arrivals.last(LISTED, now());
    arrivals.first(CLIENT, now());
    let began = now();
    for binary in [Path::new(&next), credence()] {
        running.signal("TERM");
        running.end().expect(0).told(&["stays on wan"]);
        running = start(binary, &site);
        thread::sleep(PROMISED);
    }
    assert_eq!(arrivals.since(LISTED, began).len(), 0, "nobody slips through");
    for source in [CLIENT, MANAGEMENT] {
        let heard = arrivals.since(source, began);
        let missing = heard.windows(2).map(|pair| pair[1].1 - pair[0].1 - 1).max();
        let gap = EVERY * u32::try_from(missing.expect("traffic")).unwrap();
        let pause = heard.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
        println!(
            "{source}: {} datagrams, a gap of {gap:?}, heard again after {pause:?} at most",
            heard.len()
        );
        assert!(gap <= GAP_MAX, "nothing of {source} arrives for {gap:?}");
        assert_eq!(arrivals.lost(source, began), 0, "{source}");
    }
    running.signal("TERM");
    running.end().expect(0);
    run(["detach", "wan"]).expect(0);
}
