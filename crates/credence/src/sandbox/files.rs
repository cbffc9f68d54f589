//! No file but those that are needed, and no way to other hosts but for the process whose task that is (landlock(7)).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

/// The version whose rights are asked for. Of those that a kernel does not know yet, nothing is asked.
const RIGHTS: ABI = ABI::V6;

/// What is read while the engine runs, besides configuration and snapshots: how many processors there are, for the kernel's
/// counters; how many of them this process may use; and what interfaces that come back are like.
const SYSTEM: [&str; 3] = ["/proc", "/sys/devices", "/sys/fs/cgroup"];

/// What the C library reads to find a host by its name (nsswitch.conf(5), resolv.conf(5), gai.conf(5)), and the time zone.
const NAMES: [&str; 7] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/localtime",
];

/// The variable that names the service manager's socket (sd_notify(3)).
const MANAGER: &str = "NOTIFY_SOCKET";

/// Leaves this thread, and all that it starts, only the directories of `files`, the directory `copies` and what the kernel tells,
/// to be read, and returns what came of that in words.
/// Under `pins` names of programs that outlive the process come and go.
///
/// Nothing else can be written, made, removed or executed, since whatever is written to is open; no port can be listened on and
/// nobody connected to by TCP. Directories are left instead of files, because a file is replaced by a new one of its name.
///
/// # Errors
/// When the kernel cannot do it.
pub(super) fn confine(
    files: &[PathBuf],
    copies: Option<&Path>,
    pins: Option<&Path>,
) -> anyhow::Result<String> {
    let name = AccessFs::MakeReg | AccessFs::RemoveFile;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))?
        .handle_access(AccessNet::from_all(RIGHTS))?
        .scope(scope(env::var(MANAGER).is_ok_and(|socket| socket.starts_with('@'))))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read()))?
        .add_rules(path_beneath_rules(files.iter().flat_map(|file| directories(file)), read()))?
        .add_rules(path_beneath_rules(copies, read()))?
        .add_rules(path_beneath_rules(pins, name))?
        .restrict_self()?;
    told(&status, "what a reload reads")
}

/// Leaves this thread, and all that it starts, the directory `kept` to keep files in, the files and directories `reads` to be read, and what
/// finding a host by its name reads, and returns what came of that in words. It may connect to others, and nobody to it.
///
/// # Errors
/// When the kernel cannot do it.
pub(super) fn confine_follower(kept: &Path, reads: &[PathBuf]) -> anyhow::Result<String> {
    let links = NAMES.iter().filter_map(|file| fs::canonicalize(file).ok());
    // What a link leads to is replaced by a new file of its name whenever the network changes.
    let moving =
        links.filter(|file| !file.starts_with("/etc")).filter_map(|file| Some(file.parent()?.to_owned()));
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))?
        .handle_access(AccessNet::BindTcp)?
        .scope(scope(false))?
        .create()?
        .add_rules(path_beneath_rules(NAMES, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(moving, read()))?
        .add_rules(path_beneath_rules(reads, read()))?
        .add_rules(path_beneath_rules([kept], AccessFs::from_all(RIGHTS) & !AccessFs::Execute))?
        .restrict_self()?;
    told(&status, "its own directory and the files that names are found by")
}

/// The right to read.
fn read() -> landlock::BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// What the kernel made of it, in words.
///
/// # Errors
/// When it does not have it.
fn told(status: &RestrictionStatus, left: &str) -> anyhow::Result<String> {
    match status.ruleset {
        RulesetStatus::NotEnforced => bail!(
            "this kernel has no landlock (CONFIG_SECURITY_LANDLOCK, and `landlock` in its parameter `lsm`)"
        ),
        RulesetStatus::FullyEnforced => Ok(format!("landlock leaves it {left}")),
        RulesetStatus::PartiallyEnforced => Ok(format!(
            "landlock, as far as this kernel has it{}, leaves it {left}",
            version(status.landlock)
        )),
    }
}

/// Whether this kernel has landlock.
pub(crate) fn has_landlock() -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset.handle_access(AccessFs::from_all(ABI::V1)).is_ok()
}

/// Whom signals and datagrams do not reach: all that is outside, but a service manager that listens at an abstract address.
fn scope(manager_is_abstract: bool) -> landlock::BitFlags<Scope> {
    if manager_is_abstract { Scope::Signal.into() } else { Scope::from_all(RIGHTS) }
}

fn version(status: LandlockStatus) -> String {
    match status {
        LandlockStatus::Available { effective_abi, .. } => format!(" (version {})", effective_abi as i32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => String::new(),
    }
}

/// The directory of a file's name and, where that is a link, of what it leads to.
fn directories(file: &Path) -> impl Iterator<Item = PathBuf> {
    let target = fs::canonicalize(file).ok();
    [Some(file.to_path_buf()), target].into_iter().flatten().filter_map(|path| {
        let directory = path.parent()?;
        Some(if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory.to_path_buf() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_directory_lies_in_the_present_one() {
        assert_eq!(directories(Path::new("no-such.toml")).collect::<Vec<_>>(), [PathBuf::from(".")]);
    }

    #[test]
    fn both_ends_of_a_link_are_left() {
        let site = tempfile::tempdir().unwrap();
        let at = |name: &str| site.path().canonicalize().unwrap().join(name);
        for directory in ["shelf", "desk"] {
            fs::create_dir(at(directory)).unwrap();
        }
        fs::write(at("shelf/credit"), "").unwrap();
        std::os::unix::fs::symlink(at("shelf/credit"), at("desk/credit")).unwrap();
        assert_eq!(directories(&at("desk/credit")).collect::<Vec<_>>(), [at("desk"), at("shelf")]);
    }
}
