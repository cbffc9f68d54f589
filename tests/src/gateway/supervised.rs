//! `credence run` under a service manager: what it tells it, and with what the unit leaves it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::live::Site;
use super::network::{CLIENT, between, now};
use super::running::{Running, fetch, wait_for};
use crate::binary::{Ran, credence};
use crate::deploy::unit::value_of;

/// After so long without a word the manager takes the process for dead.
const BITES_AFTER: Duration = Duration::from_secs(2);
/// How long anything may take that is not about time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service manager that listens.
pub(super) struct Manager {
    socket: String,
    heard: Receiver<(Instant, String)>,
}

impl Manager {
    /// Listens in the directory of `site`.
    pub(super) fn at(site: &Site) -> Self {
        let socket = site.path("notify");
        let listener = UnixDatagram::bind(&socket).unwrap();
        let (hear, heard) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(len) = listener.recv(&mut bytes) {
                let word = String::from_utf8(bytes[..len].to_vec()).expect("text");
                if hear.send((now(), word)).is_err() {
                    return;
                }
            }
        });
        Self { socket, heard }
    }

    /// Starts a gateway that it manages.
    pub(super) fn start(&self, site: &Site) -> Running {
        let mut command = Command::new(credence());
        command.args(["run", "--config", &site.path("gateway.toml")]);
        command.env("NOTIFY_SOCKET", &self.socket);
        command.env("WATCHDOG_USEC", BITES_AFTER.as_micros().to_string());
        Running::spawn(&mut command)
    }

    /// Waits for a message with this line, and returns it with everything heard before.
    #[track_caller]
    pub(super) fn hears(&self, line: &str) -> Vec<(Instant, String)> {
        let (mut all, since) = (Vec::new(), now());
        while since.elapsed() < PATIENCE {
            let Ok(message) = self.heard.recv_timeout(PATIENCE) else { break };
            let has_come = message.1.lines().any(|said| said == line);
            all.push(message);
            if has_come {
                return all;
            }
        }
        panic!("{line} was never told: {all:?}");
    }

    /// Everything that is heard in so long a time.
    fn hears_for(&self, time: Duration) -> Vec<(Instant, String)> {
        let until = now() + time;
        let next = || self.heard.recv_timeout(until.saturating_duration_since(now())).ok();
        std::iter::from_fn(next).collect()
    }
}

/// When the watchdog was fed.
fn meals(messages: &[(Instant, String)]) -> Vec<Instant> {
    let fed = messages.iter().filter(|(_, said)| said.lines().any(|line| line == "WATCHDOG=1"));
    fed.map(|(at, _)| *at).collect()
}

#[test]
fn the_service_manager_is_told_of_start_reload_and_end() {
    between(
        "gateway::supervised::the_service_manager_is_told_of_start_reload_and_end",
        |_| {
            let site = Site::new("workers = 2");
            let manager = Manager::at(&site);
            let mut running = manager.start(&site);
            let first = manager.hears("READY=1");
            assert_eq!(first.len(), 1, "nothing is told before: {first:?}");
            let status = first[0].1.lines().find_map(|line| line.strip_prefix("STATUS=")).expect("a line");
            assert!(status.contains("packets/s") && status.contains("0 credit records"), "{status}");
            assert_eq!(fetch(running.address(), "/readyz").0, 200, "what is told is so");

            for keys in ["workers = 2", "wrokers = 2"] {
                site.configure(keys);
                running.signal("HUP");
                let told = manager.hears("RELOADING=1").pop().expect("a message").1;
                let since = told.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
                assert!(since.is_some_and(|usec| usec.parse::<u64>().is_ok_and(|usec| usec > 0)), "{told}");
                manager.hears("READY=1");
            }
            running.hears("did you mean `workers`?");

            running.signal("TERM");
            manager.hears("STOPPING=1");
            running.end().expect(0);
        },
        || {},
    );
}

#[test]
fn the_watchdog_is_fed_in_time_and_only_by_a_process_that_gets_on() {
    between(
        "gateway::supervised::the_watchdog_is_fed_in_time_and_only_by_a_process_that_gets_on",
        |_| {
            let site = Site::new("workers = 2");
            let manager = Manager::at(&site);
            let running = manager.start(&site);
            manager.hears("READY=1");
            let fed = meals(&manager.hears_for(BITES_AFTER * 3));
            let longest = fed.windows(2).map(|pair| pair[1] - pair[0]).max().expect("meals");
            println!("fed {} times in {:?}, at most {longest:?} apart", fed.len(), BITES_AFTER * 3);
            assert!(longest < BITES_AFTER, "{longest:?}");

            running.signal("STOP");
            let stopped = now();
            let late = meals(&manager.hears_for(BITES_AFTER * 2));
            let after = late.iter().filter(|at| **at > stopped + BITES_AFTER / 4);
            assert_eq!(after.count(), 0, "nobody feeds for a process that stands still");
            running.signal("CONT");
            manager.hears("WATCHDOG=1");
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}

/// A gateway that uses everything of the kernel: records, opinions, marks, and a program that outlives it.
fn enforcing() -> Site {
    let keys = "workers = 1\ncredit.snapshots = [\"DIR/deny\"]\n[enforce]\nmode = \"on\"\nmark_packet = 7\n\
                on_failure.engine_down = \"static\"";
    let site = Site::new(keys);
    site.snapshot("deny", &format!("{CLIENT}/128\n"));
    site
}

/// Runs a gateway of `site` with these capabilities alone, until it is ready or has ended.
fn with(site: &Site, capabilities: &[String]) -> Result<(), Ran> {
    let all: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    let mut command = Command::new("setpriv");
    command.arg("--no-new-privs").arg(format!("--bounding-set=-all{all}")).arg("--inh-caps=-all");
    command.arg(credence()).args(["run", "--config", &site.path("gateway.toml")]);
    let mut running = Running::spawn(&mut command);
    let begun = wait_for(|| match running.stderr() {
        said if said.contains("enforcing on") => Some(true),
        said if said.contains("credence: ") => Some(false),
        _ => None,
    });
    if !begun.expect("it begins or says why it cannot") {
        return Err(running.end());
    }
    running.address();
    running.signal("TERM");
    running.end().expect(0);
    Ok(())
}

#[test]
fn the_units_capabilities_are_enough_and_none_is_too_many() {
    between(
        "gateway::supervised::the_units_capabilities_are_enough_and_none_is_too_many",
        |_| {
            let mounted = Command::new("mount").args(["-t", "bpf", "bpf", "/sys/fs/bpf"]).status().unwrap();
            assert!(mounted.success(), "the BPF file system cannot be mounted");
            let site = enforcing();
            let named = value_of("AmbientCapabilities");
            assert_eq!(named, value_of("CapabilityBoundingSet"));
            let names = named.split(' ').map(|name| name.to_lowercase().replacen("cap_", "", 1));
            let all: Vec<String> = names.collect();
            with(&site, &all).unwrap_or_else(|ran| panic!("{all:?} are not enough: {}", ran.stderr));
            fs::remove_file("/sys/fs/bpf/credence/wan").expect("the program has outlived its process");
            for without in 0..all.len() {
                let mut fewer = all.clone();
                let name = fewer.remove(without);
                let ran = with(&site, &fewer).expect_err(&format!("{name} is not needed"));
                println!("without {name}: {}", ran.expect(3).stderr.lines().next_back().unwrap_or_default());
            }
        },
        || {},
    );
}
