//! `credence run` on a real interface, with a client on the other end of the link.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::network::{CLIENT, GATEWAY, WAN, between, ip};
use super::running::{Running, balances, fetch, sum, wait_for};
use crate::binary::{credence, run};

/// Where the gateway's side answers over TCP.
const SERVICE_PORT: u16 = 7;
/// Where nobody answers datagrams.
const SILENT_PORT: u16 = 9;
/// Datagrams of the client: enough to run over a ring of 64 MiB that nobody reads.
const DATAGRAMS: u64 = 60_000;
/// Bytes of each.
const DATAGRAM_LEN: usize = 1_400;
/// TCP connections of the client.
const CONNECTIONS: u64 = 50;

/// A directory with a configuration file in it.
pub(super) struct Site(TempDir);

impl Site {
    /// A configuration for the interface of the tests with these keys besides.
    pub(super) fn new(keys: &str) -> Self {
        let site = Self(TempDir::new().unwrap());
        site.configure(keys);
        site
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    pub(super) fn configure(&self, keys: &str) {
        let keys = keys.replace("DIR", &self.0.path().display().to_string());
        let text = format!("interface = \"{WAN}\"\n{keys}\n[metrics]\nlisten = \"127.0.0.1:0\"\n");
        fs::write(self.path("gateway.toml"), text).unwrap();
    }

    /// Makes the snapshot `name` of a list of prefixes that are to be dropped.
    pub(super) fn snapshot(&self, name: &str, prefixes: &str) {
        let list = self.path("list.txt");
        fs::write(&list, prefixes).unwrap();
        let to = self.path(name);
        run(["credit", "import", "--from", "cidr", &list, "-o", &to, "--score", "50", "--measure", "drop"])
            .expect(0);
    }

    /// The gateway at work: its page answers, and it is ready.
    pub(super) fn start(&self) -> Running {
        let mut running = Running::start(["run", "--config", &self.path("gateway.toml")]);
        let address = running.address();
        let ready = wait_for(|| (fetch(address, "/readyz").0 == 200).then_some(()));
        assert!(ready.is_some(), "never ready:\n{}", running.stderr());
        running
    }
}

/// Answers a byte on each connection with the same byte.
fn serve_echo() {
    let listener = TcpListener::bind(format!("[{GATEWAY}]:{SERVICE_PORT}")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut byte = [0];
            // A client that leaves early is its own affair.
            let _ = stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte));
        }
    });
}

/// The client: connections that exchange a byte, and many datagrams that nobody answers.
fn talk() {
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(format!("[{GATEWAY}]:{SERVICE_PORT}")).unwrap();
        let mut byte = [number as u8];
        stream.write_all(&byte).unwrap();
        stream.read_exact(&mut byte).expect("nothing is enforced, so that everybody is answered");
    }
    flood();
}

/// Datagrams, faster than the gateway answers that it wants none.
pub(super) fn flood() {
    let sockets: Vec<_> = (0..20).map(|_| UdpSocket::bind(format!("[{CLIENT}]:0")).unwrap()).collect();
    let to: SocketAddr = format!("[{GATEWAY}]:{SILENT_PORT}").parse().unwrap();
    for (number, socket) in (0..DATAGRAMS).zip(sockets.iter().cycle()) {
        // The refusals of the gateway come back as errors of later sends, which then did not happen.
        if socket.send_to(&[number as u8; DATAGRAM_LEN], to).is_err() {
            socket.send_to(&[number as u8; DATAGRAM_LEN], to).ok();
        }
    }
}

/// Frames that the interface has carried in both directions, or was given and could not hand on: the other end of a pair that
/// is too busy costs those, behind the place where a capture sees them.
pub(super) fn carried() -> u64 {
    arrived() + statistic("tx_packets") + statistic("tx_dropped")
}

/// Frames that came in by the interface, all that an `AF_XDP` socket can hear of.
fn arrived() -> u64 {
    statistic("rx_packets")
}

fn statistic(name: &str) -> u64 {
    let path = format!("/sys/class/net/{WAN}/statistics/{name}");
    // `ip netns exec` mounts the namespace's own /sys.
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// The numbers of the page and of the interface at a moment in which neither changes: hosts on a new link
/// greet it.
pub(super) fn quiet(running: &mut Running) -> (BTreeMap<String, u64>, u64) {
    quiet_by(running, carried)
}

/// The same, with frames counted so.
fn quiet_by(running: &mut Running, count: fn() -> u64) -> (BTreeMap<String, u64>, u64) {
    let received = |numbers: &BTreeMap<String, u64>| sum(numbers, "credence_received_packets_total");
    let found = wait_for(|| {
        let (numbers, frames) = (running.metrics(), count());
        thread::sleep(Duration::from_millis(300));
        (received(&running.metrics()) == received(&numbers) && count() == frames).then_some((numbers, frames))
    });
    found.expect("a link without traffic falls silent")
}

/// Traffic with so many workers and queues, told without loss.
fn check_traffic(client: &super::network::Client, workers: u32, queues: u32) {
    let site =
        Site::new(&format!("workers = {workers}\nqueues = {queues}\n[alerts]\npath = \"DIR/alerts.json\""));
    let mut running = site.start();
    let (before, carried_before) = quiet(&mut running);
    client.act();
    let of = |numbers: &_, metric| sum(numbers, metric) - sum(&before, metric);
    let after = running.metrics_when(|numbers| {
        let seen =
            of(numbers, "credence_received_packets_total") + of(numbers, "credence_kernel_drops_total");
        balances(numbers) && seen == carried() - carried_before && seen > DATAGRAMS / 2
    });
    assert_eq!(sum(&after, "credence_workers"), u64::from(workers));
    assert!(sum(&after, "credence_flows_confirmed_total") >= CONNECTIONS, "connections prove their source");
    assert_eq!(sum(&after, "credence_verdict_packets_total"), sum(&after, "credence_scored_packets_total"));
    running.signal("TERM");
    let ran = running.end().expect(0);
    ran.told(&["observing only", WAN, "packets", "kernel_drops="]);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!told.contains("2001:db8:77"), "no address belongs into the log:\n{told}");
}

#[test]
fn every_frame_is_accounted_for_with_one_worker() {
    between(
        "gateway::live::every_frame_is_accounted_for_with_one_worker",
        |client| {
            serve_echo();
            check_traffic(client, 1, 1);
        },
        talk,
    );
}

#[test]
fn every_frame_is_accounted_for_with_a_reader_and_workers() {
    between(
        "gateway::live::every_frame_is_accounted_for_with_a_reader_and_workers",
        |client| {
            serve_echo();
            check_traffic(client, 2, 1);
        },
        talk,
    );
}

#[test]
fn every_frame_is_accounted_for_with_a_queue_a_worker() {
    between(
        "gateway::live::every_frame_is_accounted_for_with_a_queue_a_worker",
        |client| {
            serve_echo();
            check_traffic(client, 2, 2);
        },
        talk,
    );
}

#[test]
fn what_the_kernel_drops_is_told() {
    between(
        "gateway::live::what_the_kernel_drops_is_told",
        |client| {
            let site = Site::new("workers = 1");
            let mut running = site.start();
            running.metrics_when(|numbers| sum(numbers, "credence_kernel_drops_total") == 0);
            running.signal("STOP");
            client.act();
            running.signal("CONT");
            let numbers = running.metrics_when(|numbers| sum(numbers, "credence_kernel_drops_total") > 0);
            assert!(sum(&numbers, "credence_received_packets_total") > 0);
            running.signal("INT");
            let ran = running.end().expect(0);
            assert!(!ran.stderr.contains("kernel_drops=0"), "{}", ran.stderr);
        },
        flood,
    );
}

#[test]
fn a_listed_source_raises_alerts_and_is_let_through() {
    between(
        "gateway::live::a_listed_source_raises_alerts_and_is_let_through",
        |client| {
            serve_echo();
            let site = Site::new(
                "workers = 1\ncredit.snapshots = [\"DIR/deny\"]\nalerts.path = \"DIR/alerts.json\"",
            );
            site.snapshot("deny", &format!("{CLIENT}/128\n"));
            let mut running = site.start();
            client.act();
            let numbers = running.metrics_when(|numbers| sum(numbers, "credence_alerts_written_total") > 0);
            assert!(numbers["credence_verdict_packets_total{verdict=\"drop\"}"] > CONNECTIONS);
            running.signal("TERM");
            running.end().expect(0);
            let path = site.path("alerts.json");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
            let lines = fs::read_to_string(path).unwrap();
            let alert: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
            assert_eq!(
                (alert["src_ip"].as_str(), alert["credence"]["verdict"].as_str()),
                (Some(CLIENT), Some("drop"))
            );
            assert_eq!(alert["credence"]["enforced"], false);
        },
        talk,
    );
}

#[test]
fn a_broken_reload_keeps_what_was_there() {
    between(
        "gateway::live::a_broken_reload_keeps_what_was_there",
        |_| {
            let keys = "workers = 1\n[credit]\nsnapshots = [\"DIR/credit\"]";
            let site = Site::new(keys);
            site.snapshot("credit", "2001:db8:1::/48\n2001:db8:2::/48\n2001:db8:3::/48\n");
            let mut running = site.start();
            let records = |running: &mut Running| sum(&running.metrics(), "credence_credit_records");
            let refused = |running: &mut Running| sum(&running.metrics(), "credence_reload_failures_total");
            assert_eq!((records(&mut running), refused(&mut running)), (3, 0));

            break_byte(Path::new(&site.path("credit")));
            running.signal("HUP");
            running.hears("the old ones stay");
            assert_eq!(records(&mut running), 3);

            site.snapshot("credit", "2001:db8:1::/48\n");
            site.configure(&keys.replace("snapshots", "snapshot"));
            running.signal("HUP");
            running.hears("did you mean `credit.snapshots`?");
            assert_eq!((records(&mut running), refused(&mut running)), (3, 2));

            site.configure(&keys.replace("workers = 1", "workers = 2"));
            running.signal("HUP");
            running.hears("`workers` has changed; that takes effect after a restart");
            running.metrics_when(|numbers| sum(numbers, "credence_credit_records") == 1);
            assert_eq!(sum(&running.metrics(), "credence_workers"), 1);
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}

/// Turns a bit in the middle of a file.
fn break_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_interface_that_goes_away_and_comes_back_is_captured_on_again() {
    between(
        "gateway::live::an_interface_that_goes_away_and_comes_back_is_captured_on_again",
        |_| {
            for keys in
                ["workers = 1", "workers = 2", "workers = 2\nqueues = 2", "workers = 1\nbackend = \"pnet\""]
            {
                check_return(keys);
            }
        },
        || {},
    );
}

/// Takes the interface away and brings it back, and requires that its frames are received again, and no run ends.
fn check_return(keys: &str) {
    let create = || {
        ip("link add gone type veth peer name other");
        ip("link set gone up");
        // Hosts on a new link greet it.
        ip("link set other up");
    };
    let received = |numbers: &BTreeMap<String, u64>| sum(numbers, "credence_received_packets_total");
    let ups = |numbers: &BTreeMap<String, u64>| -> Vec<u64> {
        let links = numbers.iter().filter(|(name, _)| name.starts_with("credence_link_up{"));
        links.map(|(_, up)| *up).collect()
    };
    let site = Site::new(keys);
    create();
    let config = site.path("gateway.toml");
    let mut running = Running::start(["run", "--config", &config, "--interface", "gone"]);
    running.metrics_when(|numbers| received(numbers) > 0);
    for is_long in [true, false] {
        assert!(ups(&running.metrics()).iter().all(|up| *up == 1), "{keys}");
        ip("link del gone");
        if is_long {
            // One that is back at once may have been seen as down alone.
            running.hears("no frames come: the interface gone is gone; capture goes on when it is back");
        }
        let numbers = running.metrics_when(|numbers| ups(numbers).iter().all(|up| *up == 0));
        let before = received(&numbers);
        create();
        running.metrics_when(|numbers| {
            received(numbers) > before && balances(numbers) && ups(numbers).iter().all(|up| *up == 1)
        });
    }
    running.hears("reopened 2 times");
    ip("link del gone");
    running.signal("TERM");
    running.end().expect(0).told(&["packets", "kernel_drops="]);
}

#[test]
fn an_af_xdp_socket_hears_what_arrives_and_the_host_does_not() {
    between(
        "gateway::live::an_af_xdp_socket_hears_what_arrives_and_the_host_does_not",
        |client| {
            let site = Site::new("workers = 1\nbackend = \"af_xdp\"");
            let mut running = site.start();
            running.hears("AF_XDP socket on wan (queue 1 of 1, copying");
            // What the host itself sends, greeting the link, passes the socket by.
            let (before, arrived_before) = quiet_by(&mut running, arrived);
            client.act();
            let since = |numbers: &_, metric| sum(numbers, metric) - sum(&before, metric);
            let numbers = running.metrics_when(|numbers| {
                let seen = since(numbers, "credence_received_packets_total")
                    + since(numbers, "credence_kernel_drops_total");
                balances(numbers) && seen == arrived() - arrived_before && seen > 0
            });
            assert!(sum(&numbers, "credence_scored_packets_total") > 0);
            running.signal("TERM");
            running.end().expect(0);
        },
        knock,
    );
}

/// Datagrams that nobody can answer, since nobody hears them.
fn knock() {
    let gateway = fs::read_to_string("/sys/class/net/lan/address").unwrap();
    // Any neighbour will do: the socket is told of frames to other stations too.
    ip(&format!("neigh replace {GATEWAY} lladdr {} dev lan nud permanent", gateway.trim()));
    let socket = UdpSocket::bind(format!("[{CLIENT}]:0")).unwrap();
    for number in 0..5_000_u32 {
        socket.send_to(&number.to_be_bytes(), format!("[{GATEWAY}]:{SILENT_PORT}")).unwrap();
        if number % 64 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_run_of_seconds_ends_by_itself() {
    between(
        "gateway::live::a_run_of_seconds_ends_by_itself",
        |_| {
            let site = Site::new("workers = 1");
            let ran = run(["run", "--config", &site.path("gateway.toml"), "--seconds", "1"]).expect(0);
            ran.told(&["AF_PACKET ring on wan", "packets", "verdicts"]);
            assert_eq!(ran.stdout, "");
        },
        || {},
    );
}

#[test]
fn without_the_privilege_the_cure_is_told() {
    between(
        "gateway::live::without_the_privilege_the_cure_is_told",
        |_| {
            let site = Site::new("");
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]).arg(credence());
            command.args(["run", "--config", &site.path("gateway.toml")]);
            Running::spawn(&mut command).end().expect(3).told(&["CAP_NET_RAW", "setcap"]);
        },
        || {},
    );
}

#[test]
fn a_run_that_cannot_begin_says_why() {
    let site = Site::new("[credit]\nsnapshots = [\"DIR/none\"]");
    let config = site.path("gateway.toml");
    let ran = run(["run", "--config", &config]).expect(1);
    ran.told(&["/none", "check that the path is right"]);
    assert_eq!(ran.stderr.matches("No such file").count(), 1, "said once:\n{}", ran.stderr);
    site.configure("");
    run(["run", "--config", &config, "--interface", "no-such"])
        .expect(3)
        .told(&["there is no interface no-such", "lo"]);
    fs::write(&config, "").unwrap();
    run(["run", "--config", &config]).expect(1).told(&["names no interface", "--interface NAME"]);
    fs::write(&config, "interfce = 'a'").unwrap();
    run(["run", "--config", &config]).expect(1).told(&["`interfce` at line 1: did you mean `interface`?"]);
    run(["run", "--config", &config, "--seconds", "0"]).expect(2);
}

#[test]
fn alerts_go_to_files_only() {
    let site = Site::new("[alerts]\npath = \"DIR\"");
    let ran = run(["run", "--config", &site.path("gateway.toml"), "--interface", "lo"]).expect(1);
    ran.told(&["no regular file"]);
}
