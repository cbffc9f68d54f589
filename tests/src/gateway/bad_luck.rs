//! Bad input and bad luck: what is wrong, what is told, and where the gateway goes on, what is counted.
//!
//! | what | told at the start (exit code) or counted | test |
//! |---|---|---|
//! | no privilege to capture | told with `setcap` (3) | `live::without_the_privilege_the_cure_is_told` |
//! | no privilege to enforce | told with the capabilities (3) | [`without_the_privilege_to_enforce_the_cure_is_told`] |
//! | unknown device | told with those there are (3) | `live::a_run_that_cannot_begin_says_why` |
//! | wrong link type | told with what to capture on instead (3) | `credence_capture`'s `an_interface_of_another_kind_…`; to enforce on, `enforce::what_cannot_be_enforced_on_…` |
//! | program refused by the verifier | its reason in a line, with the cure (3) | [`a_program_that_the_verifier_refuses_is_told_in_a_line`] |
//! | map too large | told with `enforce.records` (3) | [`records_beyond_memory_are_told_with_the_key_to_lower`] |
//! | more records than the map holds | told with `enforce.records` (3); on reload the old ones stay and `credence_reload_failures_total` rises | `enforce::what_cannot_be_enforced_on_…`, [`an_update_beyond_the_kernels_room_leaves_the_old_records_in_force`] |
//! | two instances on one device | told with how to find the other (3) | `enforce::two_gateways_on_one_interface_are_told_apart` |
//! | a dead instance's leftover | taken over without a gap; `credence detach` takes it off | `enforce::a_static_gateway_…`, `upgrade::an_upgrade_and_the_way_back_…` |
//! | disk full | `credence_output_failures_total`, `credence_alert_lines_lost_total`; heals by itself; a snapshot is told (1) | [`alerts_wait_for_room_on_a_full_disk_and_traffic_does_not`] |
//! | invalid configuration on reload | the old one stays, `credence_reload_failures_total` rises | `live::a_broken_reload_keeps_what_was_there`, and with traffic [`a_reload_that_comes_to_nothing_costs_no_packet_and_lets_no_listed_one_through`] |
//! | no descriptor left | whoever comes waits | [`without_descriptors_nobody_is_let_in_and_nobody_spins`] |

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::live::{Site, flood};
use super::network::{CLIENT, Client, between, now};
use super::running::{Running, balances, sum, wait_for};
use super::traffic::{Arrivals, LISTED, list, send, site};
use crate::binary::{Ran, credence, run};

/// A gateway that enforces, with room for so many records.
fn enforcing(records: u32) -> Site {
    Site::new(&format!("workers = 1\nflows.capacity = 1024\n[enforce]\nmode = \"on\"\nrecords = {records}"))
}

/// What comes of a run of `site` with these capabilities alone.
fn run_with(site: &Site, capabilities: &str) -> Ran {
    let mut command = Command::new("setpriv");
    command.arg("--no-new-privs").arg(format!("--bounding-set=-all,{capabilities}")).arg("--inh-caps=-all");
    command.arg(credence()).args(["run", "--config", &site.path("gateway.toml")]);
    Running::spawn(&mut command).end()
}

#[test]
fn without_the_privilege_to_enforce_the_cure_is_told() {
    between(
        "gateway::bad_luck::without_the_privilege_to_enforce_the_cure_is_told",
        |_| {
            let ran = run_with(&enforcing(1_024), "+net_raw,+net_admin").expect(3);
            ran.told(&[
                "the kernel does not take the program's maps",
                "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
            ]);
        },
        || {},
    );
}

#[test]
fn a_program_that_the_verifier_refuses_is_told_in_a_line() {
    between(
        "gateway::bad_luck::a_program_that_the_verifier_refuses_is_told_in_a_line",
        |_| {
            // Without CAP_PERFMON the verifier lets no pointer be compared with another.
            let ran = run_with(&enforcing(1_024), "+net_raw,+net_admin,+bpf").expect(3);
            ran.told(&["the kernel does not take the program: ", "The verifier says: ", "credence doctor"]);
            let last = ran.stderr.trim_end().lines().last().unwrap();
            assert!(last.starts_with("credence: the kernel does not take"), "in one line:\n{}", ran.stderr);
        },
        || {},
    );
}

#[test]
fn records_beyond_memory_are_told_with_the_key_to_lower() {
    between(
        "gateway::bad_luck::records_beyond_memory_are_told_with_the_key_to_lower",
        |_| {
            let site = enforcing(8_388_608);
            let mut command = Command::new("prlimit");
            command.args(["--as=600000000"]).arg(credence());
            command.args(["run", "--config", &site.path("gateway.toml")]);
            let ran = Running::spawn(&mut command).end().expect(3);
            ran.told(&["cannot be shared", "lower `enforce.records`", "ulimit -v"]);
        },
        || {},
    );
}

#[test]
fn an_update_beyond_the_kernels_room_leaves_the_old_records_in_force() {
    between(
        "gateway::bad_luck::an_update_beyond_the_kernels_room_leaves_the_old_records_in_force",
        |_| {
            let site = site("mode = \"on\"\nrecords = 1024", "1d");
            let mut running = site.start();
            let many: Vec<String> = (0..1_025).map(|n| format!("2001:db8:66::{n:x}")).collect();
            list(&site, &many.iter().map(String::as_str).collect::<Vec<_>>(), "1d");
            running.signal("HUP");
            running.hears("raise `enforce.records`");
            let numbers = running.metrics();
            assert_eq!(sum(&numbers, "credence_reload_failures_total"), 1);
            let records = ["credence_credit_records", "credence_enforce_records"];
            assert_eq!(records.map(|metric| sum(&numbers, metric)), [2, 2]);
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}

#[test]
fn alerts_wait_for_room_on_a_full_disk_and_traffic_does_not() {
    between("gateway::bad_luck::alerts_wait_for_room_on_a_full_disk_and_traffic_does_not", full_disk, flood);
}

fn full_disk(client: &Client) {
    let site =
        Site::new("workers = 1\ncredit.snapshots = [\"DIR/deny\"]\nalerts.path = \"DIR/small/alerts.json\"");
    site.snapshot("deny", &format!("{CLIENT}/128\n"));
    let (small, fill) = (site.path("small"), site.path("small/fill"));
    fs::create_dir(&small).unwrap();
    // Mounted in the namespace of this test alone, and gone with it.
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", &small]).status();
    assert!(mounted.unwrap().success());
    assert!(fs::write(&fill, vec![0; 128 << 10]).is_err(), "the disk is full");
    let mut running = site.start();
    client.act();
    running.hears("alerts cannot be written: No space left on device");
    let numbers = running.metrics_when(|numbers| sum(numbers, "credence_output_failures_total") > 0);
    assert!(sum(&numbers, "credence_alerts_raised_total") > 0);
    running
        .metrics_when(|numbers| balances(numbers) && sum(numbers, "credence_scored_packets_total") > 1_000);

    let snapshot = Path::new(&small).join("deny").display().to_string();
    let import = ["credit", "import", "--from", "cidr", &site.path("list.txt"), "-o", &snapshot];
    run(import).expect(1).told(&[&snapshot, "there is no room left for it", "what was there stays"]);

    fs::remove_file(&fill).unwrap();
    running.hears("alerts are written again");
    let written = fs::read_to_string(Path::new(&small).join("alerts.json")).unwrap();
    assert!(written.lines().count() > 0 && written.ends_with("}\n"), "{written}");
    for line in written.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("whole lines");
    }
    running.signal("TERM");
    running.end().expect(0);
}

#[test]
fn a_reload_that_comes_to_nothing_costs_no_packet_and_lets_no_listed_one_through() {
    between(
        "gateway::bad_luck::a_reload_that_comes_to_nothing_costs_no_packet_and_lets_no_listed_one_through",
        |client| {
            let site = site("mode = \"on\"", "1d");
            let (arrivals, _playing) = (Arrivals::noted(), client.begin());
            let mut running = site.start();
            arrivals.last(LISTED, now());
            arrivals.first(CLIENT, now());
            let began = now();
            let config = site.path("gateway.toml");
            let huge = "# a comment\n".repeat(100_000);
            for (refused, text) in (1..).zip(["workers = \"many\"", "", "\u{0}", &huge]) {
                fs::write(&config, text).unwrap();
                check_refused(&mut running, refused);
            }
            fs::remove_file(&config).unwrap();
            check_refused(&mut running, 5);
            fs::create_dir(&config).unwrap();
            check_refused(&mut running, 6);
            assert_eq!(running.stderr().matches("the old one stays").count(), 6, "{}", running.stderr());
            assert_eq!(sum(&running.metrics(), "credence_credit_records"), 2);
            assert_eq!((arrivals.lost(CLIENT, began), arrivals.since(LISTED, began).len()), (0, 0));
            running.signal("TERM");
            running.end().expect(0);
        },
        send,
    );
}

/// Lets a gateway read its configuration again, and requires that this is the `refused`-th time for nothing.
fn check_refused(running: &mut Running, refused: u64) {
    running.signal("HUP");
    running.metrics_when(|numbers| sum(numbers, "credence_reload_failures_total") == refused);
}

/// Processor time that a process has taken, in hundredths of a second.
fn processor_time(running: &Running) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn without_descriptors_nobody_is_let_in_and_nobody_spins() {
    between(
        "gateway::bad_luck::without_descriptors_nobody_is_let_in_and_nobody_spins",
        |_| {
            let site = Site::new("workers = 1\n[control]\nsocket = \"DIR/door\"");
            let mut command = Command::new("prlimit");
            command.args(["--nofile=64"]).arg(credence()).args([
                "run",
                "--config",
                &site.path("gateway.toml"),
            ]);
            let mut running = Running::spawn(&mut command);
            let address = running.address();
            running.metrics_when(|numbers| sum(numbers, "credence_ready") == 1);
            // Each holds its place on the page for as long as it may.
            let visitors: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
            // By then the last descriptor is taken.
            thread::sleep(Duration::from_millis(500));
            let knocking = UnixStream::connect(site.path("door")).unwrap();
            let before = processor_time(&running);
            thread::sleep(Duration::from_secs(2));
            let taken = processor_time(&running) - before;
            println!("{taken} hundredths of a second of two");
            assert!(taken < 40, "{taken} hundredths of a second of two");
            drop((visitors, knocking));
            let answered = wait_for(|| {
                let asked = run(["control", "--socket", &site.path("door"), "status"]);
                (asked.code == 0).then_some(())
            });
            assert!(answered.is_some(), "it goes on by itself: {}", running.stderr());
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}
