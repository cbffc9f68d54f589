//! The unit under a systemd of its own: user, capabilities, filters of system calls, watchdog and restart, for real.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::network::{WAN, between};
use super::running::wait_for;
use crate::binary::{credence, root};
use crate::deploy::programs::SYSTEMD_ANALYZE;
use crate::deploy::{deployed, text};

/// What the unit leans on, each of which is nothing here.
const TARGETS: [&str; 5] = ["sysinit", "basic", "shutdown", "network", "multi-user"];

/// Asks the manager about the service, and says how each question was answered.
const PROBE: &str = r#"
ask() { echo "$1: $(eval "$2" 2>&1 | tr '\n' ' ')"; }
pid() { systemctl show --property MainPID --value credence; }
of() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(pid)/status"; }
wait_for() { for _ in $(seq 100); do [ "$(eval "$1" 2>&1)" = "$2" ] && return; sleep 0.1; done; false; }
ask active 'systemctl is-active credence'
ask user 'stat -c %U /proc/$(pid)'
ask bounding 'of CapBnd'
ask privileges 'of NoNewPrivs'
ask filter 'of Seccomp'
ask status 'systemctl show --property StatusText --value credence'
ask alerts 'stat -c "%a %U" /var/log/credence/alerts.json'
ask left 'ls /sys/fs/bpf/credence'
before=$(pid)
# The signal takes a moment to be seen, and the service is "reloading" for another.
ask reload 'systemctl reload credence && sleep 1 && wait_for "systemctl is-active credence" active && [ $(pid) = '$before' ] && echo active'
systemctl kill --signal KILL credence
wait_for 'systemctl show --property NRestarts --value credence' 1
wait_for 'systemctl is-active credence' active
ask restarted '[ "$(pid)" != '$before' ] && systemctl is-active credence'
systemctl stop credence
ask result 'systemctl show --property Result --value credence'
echo end
"#;

/// A systemd that is ended with this value, and everything in it.
struct Booted(Child);

impl Drop for Booted {
    fn drop(&mut self) {
        // The script ends what it started, and leaves nothing behind.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Writes what the systemd is to find: units, the configuration, and the probe.
fn furnish(directory: &Path) {
    let units = directory.join("units");
    fs::create_dir(&units).unwrap();
    for target in TARGETS {
        fs::write(units.join(format!("{target}.target")), "[Unit]\nDefaultDependencies=no\n").unwrap();
    }
    // What is installed lies where no other protection hides it.
    let unit = text("systemd/credence.service").replace("/usr/bin/credence", "/run/installed/credence");
    fs::write(units.join("credence.service"), unit).unwrap();
    let (probe, answers) = (directory.join("probe.sh"), directory.join("answers"));
    fs::write(&probe, PROBE).unwrap();
    let service = format!(
        "[Unit]\nDefaultDependencies=no\nRequires=credence.service\nAfter=credence.service\n\
         [Service]\nType=oneshot\nExecStart=/bin/sh {}\nStandardOutput=file:{}\n",
        probe.display(),
        answers.display()
    );
    // The probe outlives the service, which it kills and stops.
    fs::write(units.join("probe.service"), service.replace("Requires=", "Wants=")).unwrap();
    let config = format!(
        "interface = \"{WAN}\"\nworkers = 2\nenforce.mode = \"on\"\nenforce.on_failure.engine_down = \"static\"\n\
         alerts.path = \"/var/log/credence/alerts.json\"\ncontrol.socket = \"/run/credence/control.sock\"\n"
    );
    fs::write(directory.join("credence.toml"), config).unwrap();
}

#[test]
fn a_real_systemd_starts_reloads_restarts_and_stops_the_unit() {
    if SYSTEMD_ANALYZE.find().is_none() {
        return;
    }
    between("gateway::booted::a_real_systemd_starts_reloads_restarts_and_stops_the_unit", |_| boot(), || {});
}

fn boot() {
    let directory = TempDir::new().unwrap();
    furnish(directory.path());
    let log = directory.path().join("log");
    let mut command = Command::new(root().join("tests/src/gateway/booted.sh"));
    command.arg(directory.path()).arg(credence()).arg(deployed(""));
    command.stdin(Stdio::null()).stdout(fs::File::create(&log).unwrap());
    command.stderr(fs::OpenOptions::new().append(true).open(&log).unwrap());
    let booted = Booted(command.spawn().unwrap());
    let answers = || fs::read_to_string(directory.path().join("answers")).unwrap_or_default();
    let ended = wait_for(|| answers().ends_with("end\n").then(answers));
    drop(booted);
    let told = fs::read_to_string(&log).unwrap();
    let answers = ended.unwrap_or_else(|| panic!("no end:\n{}\n{told}", answers()));
    println!("{answers}");
    let says = |line: &str| {
        assert!(answers.lines().any(|said| said.trim_end() == line), "{line}:\n{answers}\n{told}");
    };
    says("active: active");
    says("user: credence");
    says("bounding: 000000c000003000");
    says("privileges: 1");
    says("filter: 2");
    says("alerts: 640 credence");
    says(&format!("left: {WAN}"));
    says("reload: active");
    says("restarted: active");
    says("result: success");
    assert!(answers.contains("0 credit records"), "{answers}");
}
