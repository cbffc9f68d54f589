//! A gateway that has given up what it needs no more, and does all its work.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use super::live::Site;
use super::network::{CLIENT, GATEWAY, WAN, between, ip};
use super::running::{Running, fetch, sum, wait_for};
use super::supervised::Manager;
use crate::binary::run;

/// `CAP_NET_RAW` and `CAP_BPF`, as the kernel writes sets of capabilities (capabilities(7)).
const RAW: &str = "0000000000002000";
const RAW_AND_BPF: &str = "0000008000002000";
/// No capability.
const NONE: &str = "0000000000000000";
/// The user `nobody`, whom every host has.
const NOBODY: &str = "65534";
/// Datagrams of the client.
const DATAGRAMS: u64 = 200;

/// What the kernel says of each thread of a gateway, by the thread's name.
fn threads(running: &Running) -> Vec<(String, BTreeMap<String, String>)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap();
    // A thread may end while it is looked at.
    let status = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok());
    let threads = status.map(|status| {
        let fields = status.lines().filter_map(|line| line.split_once(':'));
        let mut fields: BTreeMap<_, _> =
            fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        (fields.remove("Name").unwrap_or_default(), fields)
    });
    threads.collect()
}

/// Requires that these fields are the same in all threads, of which there are those that a run has.
#[track_caller]
fn check_threads(running: &Running, expected: &[(&str, &str)]) {
    let threads = threads(running);
    for name in ["credence-metric", "credence-door", "credence-heart"] {
        assert!(threads.iter().any(|(thread, _)| thread == name), "there is no {name} in {threads:?}");
    }
    for (thread, fields) in &threads {
        for (field, value) in expected {
            assert_eq!(&fields[*field], value, "{field} of {thread}");
        }
    }
}

/// A gateway that uses all there is, with these keys in `[sandbox]`.
fn site(keys: &str) -> Site {
    let site = Site::new(&format!(
        "workers = 2\ncredit.snapshots = [\"DIR/deny\"]\nalerts.path = \"DIR/alerts.json\"\n\
         control.socket = \"DIR/door\"\nenforce.mode = \"on\"\nenforce.mark_packet = 7\n[sandbox]\n{keys}"
    ));
    site.snapshot("deny", &format!("{CLIENT}/128\n"));
    site
}

/// The client: datagrams from a listed source.
fn send() {
    let socket = UdpSocket::bind(format!("[{CLIENT}]:0")).unwrap();
    for number in 0..DATAGRAMS {
        // A refusal that came back for an earlier datagram is none of this one's.
        let _ = socket.send_to(&number.to_be_bytes(), format!("[{GATEWAY}]:9"));
        thread::sleep(Duration::from_millis(1));
    }
}

/// Packets that the kernel dropped.
fn dropped(running: &mut Running) -> u64 {
    let is_drop =
        |name: &str| name.starts_with("credence_enforce_packets_total") && name.contains("verdict=\"drop\"");
    running.metrics().iter().filter(|(name, _)| is_drop(name)).map(|(_, value)| value).sum()
}

/// Lets a gateway do everything that one does while it runs.
fn exercise(site: &Site, running: &mut Running, client: &super::network::Client) {
    let before = dropped(running);
    client.act();
    let found = wait_for(|| (dropped(running) >= before + DATAGRAMS / 2).then_some(()));
    assert!(found.is_some(), "{:?}", running.metrics());

    let door = site.path("door");
    let control = |arguments: &[&str]| {
        run(["control", "--socket", &door].into_iter().chain(arguments.iter().copied())).expect(0)
    };
    control(&["status"]);
    control(&["emergency", "--for", "1h"]);
    control(&["calm"]);

    // As an import does it: a new file takes the place and the name of the old one.
    site.snapshot("new", &format!("{CLIENT}/128\n2001:db8:1::/48\n"));
    fs::set_permissions(site.path("new"), Permissions::from_mode(0o644)).unwrap();
    fs::rename(site.path("new"), site.path("deny")).unwrap();
    running.signal("HUP");
    running.metrics_when(|numbers| sum(numbers, "credence_credit_records") == 2);

    ip(&format!("link set {WAN} down"));
    running.hears("the interface is down");
    ip(&format!("link set {WAN} up"));
    running.hears("frames come again: AF_PACKET ring on wan");
    ip(&format!("addr replace {GATEWAY}/64 dev {WAN} nodad"));
    let before = dropped(running);
    client.act();
    let found = wait_for(|| (dropped(running) > before).then_some(()));
    assert!(found.is_some(), "it captures and drops again: {:?}", running.metrics());
    assert_eq!(fetch(running.address(), "/subjects").0, 200);
    let numbers = running.metrics();
    assert!(
        sum(&numbers, "process_open_fds") > 3 && sum(&numbers, "process_resident_memory_bytes") > 1 << 20
    );
}

#[test]
fn everything_is_done_inside_the_sandbox() {
    between(
        "gateway::sandbox::everything_is_done_inside_the_sandbox",
        |client| {
            let site = site("");
            let manager = Manager::at(&site);
            let mut running = manager.start(&site);
            manager.hears("READY=1");
            running.hears("sandbox: capabilities left: CAP_NET_RAW, CAP_BPF; landlock");
            check_threads(
                &running,
                &[
                    ("CapEff", RAW_AND_BPF),
                    ("CapPrm", RAW_AND_BPF),
                    ("CapBnd", RAW_AND_BPF),
                    ("CapInh", NONE),
                    ("CapAmb", NONE),
                    ("NoNewPrivs", "1"),
                    ("Seccomp", "2"),
                ],
            );
            exercise(&site, &mut running, client);
            manager.hears("RELOADING=1");
            running.signal("TERM");
            manager.hears("STOPPING=1");
            let ran = running.end().expect(0);
            assert!(!ran.stderr.contains("cannot") && !ran.stderr.contains("EPERM"), "{}", ran.stderr);
        },
        send,
    );
}

#[test]
fn everything_is_done_by_a_user_without_privileges() {
    between(
        "gateway::sandbox::everything_is_done_by_a_user_without_privileges",
        |client| {
            let site = site("user = \"nobody\"");
            for (name, mode) in [("", 0o755), ("gateway.toml", 0o644), ("deny", 0o644)] {
                fs::set_permissions(site.path(name), Permissions::from_mode(mode)).unwrap();
            }
            let mut running = site.start();
            running.hears("sandbox: the user is nobody; ");
            let ids = [NOBODY; 4].join("\t");
            check_threads(&running, &[("Uid", &ids), ("CapEff", RAW_AND_BPF), ("Seccomp", "2")]);
            exercise(&site, &mut running, client);
            running.signal("TERM");
            let ran = running.end().expect(0);
            assert!(!ran.stderr.contains("cannot be read again"), "{}", ran.stderr);
        },
        send,
    );
}

#[test]
fn a_capture_that_brings_a_program_comes_back_with_its_interface() {
    between(
        "gateway::sandbox::a_capture_that_brings_a_program_comes_back_with_its_interface",
        |_| {
            let create = || {
                ip("link add gone type veth peer name other");
                ip("link set gone up");
                // Hosts on a new link greet it.
                ip("link set other up");
            };
            let received = |numbers: &BTreeMap<String, u64>| sum(numbers, "credence_received_packets_total");
            let site = Site::new("workers = 1\nbackend = \"af_xdp\"");
            create();
            let config = site.path("gateway.toml");
            let mut running = Running::start(["run", "--config", &config, "--interface", "gone"]);
            running.hears(
                "capabilities left: CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_PERFMON, CAP_BPF; landlock",
            );
            running.metrics_when(|numbers| received(numbers) > 0);
            ip("link del gone");
            running.hears("the interface gone is gone");
            let before = received(&running.metrics());
            create();
            running.metrics_when(|numbers| received(numbers) > before);
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}

#[test]
fn a_file_that_a_reload_cannot_read_is_told_at_the_start() {
    between(
        "gateway::sandbox::a_file_that_a_reload_cannot_read_is_told_at_the_start",
        |_| {
            let site = Site::new("workers = 1\nsandbox.user = \"nobody\"");
            fs::set_permissions(site.path("gateway.toml"), Permissions::from_mode(0o600)).unwrap();
            let mut running = site.start();
            running.hears("gateway.toml cannot be read again by nobody");
            let status = threads(&running);
            assert!(status.iter().all(|(_, fields)| fields["CapEff"] == RAW), "{status:?}");
            running.signal("HUP");
            running.hears("the configuration was not taken over, the old one stays");
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}

#[test]
fn each_part_of_the_sandbox_can_be_switched_off() {
    between(
        "gateway::sandbox::each_part_of_the_sandbox_can_be_switched_off",
        |_| {
            let all = ["drop_capabilities", "landlock", "seccomp"];
            let told = ["capabilities left", "landlock leaves", "seccomp leaves"];
            for off in 0..=all.len() {
                let keys: String = (0..all.len())
                    .map(|key| {
                        let on = key != off && off < all.len();
                        format!("{} = {on}\n", all[key])
                    })
                    .collect();
                let running = Site::new(&format!("workers = 1\n[sandbox]\n{keys}")).start();
                let said = running.stderr();
                for (key, words) in told.iter().enumerate() {
                    assert_eq!(said.contains(words), key != off && off < all.len(), "{keys}{said}");
                }
                let seccomp = if off < 2 { "2" } else { "0" };
                assert!(threads(&running).iter().all(|(_, fields)| fields["Seccomp"] == seccomp));
                running.signal("TERM");
                running.end().expect(0);
            }
        },
        || {},
    );
}

#[test]
fn a_user_that_cannot_be_become_is_told_before_anything_is_opened() {
    let site = Site::new("sandbox.user = \"no-such-user\"");
    let ran = run(["run", "--config", &site.path("gateway.toml"), "--interface", "lo"]).expect(3);
    ran.told(&["lists no user no-such-user", "useradd --system no-such-user"]);
    let ran = run(["check", "--config", &site.path("gateway.toml")]).expect(0);
    ran.told(&["note: /etc/passwd lists no user no-such-user"]);
    assert!(
        ran.stdout.contains("sandbox     becomes the user no-such-user, drops capabilities"),
        "{}",
        ran.stdout
    );
}
