//! The unit of systemd, judged by its own tools. What the program tells the service manager, and with which privileges it
//! runs, the stories of the gateway show.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::programs::{SYSTEMD_ANALYZE, succeeds};
use super::{deployed, text};
use crate::binary::credence;

/// The unit.
const UNIT: &str = "systemd/credence.service";
/// The most that may be left open, in tenths: 23 as systemd 252 counts, and what another version may see otherwise.
const EXPOSURE_MAX: &str = "25";

/// What may be left open, as systemd calls it, and why.
const LEFT_OPEN: &[(&str, &str)] = &[
    ("AmbientCapabilities", "the four that the program needs, without being root"),
    ("CapabilityBoundingSet_CAP_BPF", "it loads a program into the kernel"),
    ("CapabilityBoundingSet_CAP_NET_ADMIN", "it joins that to an interface"),
    ("CapabilityBoundingSet_CAP_NET_BIND_SERVICE_BROADCAST_RAW", "it opens packet sockets"),
    ("DeviceAllow", "ProtectClock= leaves the clock readable"),
    ("IPAddressDeny", "`[sync]` fetches lists from wherever they are; what captures cannot reach out"),
    ("PrivateNetwork", "it reads the host's interfaces"),
    ("PrivateUsers", "capabilities over the host's network are void in a user namespace"),
    ("RestrictAddressFamilies_AF_INET_INET6", "the metrics page and `[sync]`"),
    ("RestrictAddressFamilies_AF_NETLINK", "interfaces are listed and joined over it"),
    ("RestrictAddressFamilies_AF_PACKET", "packet sockets"),
    ("RestrictAddressFamilies_AF_UNIX", "the service manager and `credence control`"),
    ("RestrictAddressFamilies_OTHER", "AF_XDP"),
    ("RootDirectoryOrRootImage", "it is installed in the host"),
    ("SystemCallFilter_privileged", "bpf and capset"),
    ("SystemCallFilter_resources", "threads are bound to cores"),
    ("UMask", "the group reads alerts"),
];

/// The value of a key that the unit has once.
pub(crate) fn value_of(key: &str) -> String {
    let unit = text(UNIT);
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("the unit has no {key}="));
    assert_eq!(values.next(), None, "{key}= is there twice");
    value.to_owned()
}

/// The unit with the binary of these tests in the place of the installed one.
fn unit() -> (TempDir, std::path::PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("credence.service");
    let binary = credence().display().to_string();
    fs::write(&path, text(UNIT).replace("/usr/bin/credence", &binary)).unwrap();
    (directory, path)
}

#[test]
fn systemd_finds_nothing_to_object_to() {
    let Some(analyze) = SYSTEMD_ANALYZE.find() else { return };
    let (_directory, unit) = unit();
    // Unknown keys and bad values are only told, with a code of 0.
    let told = succeeds(Command::new(analyze).arg("verify").arg(unit));
    assert_eq!(told, "");
}

#[test]
fn nothing_is_left_open_without_a_reason() {
    let Some(analyze) = SYSTEMD_ANALYZE.find() else { return };
    let (_directory, unit) = unit();
    let judge = |option: &str| {
        let mut command = Command::new(&analyze);
        succeeds(command.args(["security", "--offline=true", option]).arg(&unit))
    };
    judge(&format!("--threshold={EXPOSURE_MAX}"));
    let checks: Value = serde_json::from_str(&judge("--json=short")).expect("JSON");
    let open = checks.as_array().expect("checks").iter().filter(|check| check["set"] == false);
    for check in open {
        // One of the names ends in a bracket too many.
        let name = check["json_field"].as_str().expect("a name").trim_end_matches(')');
        assert!(LEFT_OPEN.iter().any(|(known, _)| *known == name), "{name} is left open: {check}");
    }
}

#[test]
fn the_user_and_the_place_in_the_bpf_file_system_can_be_made() {
    if SYSTEMD_ANALYZE.find().is_none() {
        return;
    }
    let root = TempDir::new().unwrap();
    let under = format!("--root={}", root.path().display());
    let mut users = Command::new("systemd-sysusers");
    succeeds(users.args(["--dry-run", &under]).arg(deployed("systemd/credence.sysusers.conf")));
    let user = value_of("User");
    assert!(text("systemd/credence.sysusers.conf").contains(&format!("\nu {user} ")));
    let place = value_of("ReadWritePaths");
    let place = place.trim_start_matches('-');
    assert!(text("systemd/credence.tmpfiles.conf").contains(&format!("\nd {place} 0700 {user} {user} -\n")));
}
