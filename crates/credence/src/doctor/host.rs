//! What is found out about the host itself. What is harmless to try is tried, rather than guessed from a version.

use std::fs::File;
use std::io::{self, Read};

use aya::programs::{ProgramError, ProgramType};
use aya::sys::is_program_supported;
use credence_capture::{Backend, Error, LiveConfig, live};
use credence_enforce::nft;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{MembarrierQuery, membarrier_query};

use crate::processors::Processors;
use crate::sandbox;
use crate::tree::{Fact, Tree};

/// The smallest ring that every kernel grants: two blocks of 64 KiB, the largest pages there are.
const TRIAL_BLOCK_BYTES: usize = 64 * 1024;
/// Every network namespace has this interface.
const LOOPBACK: &str = "lo";
/// The kernel's description of its own types and functions.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// The function that is there exactly when the kernel has tcx links.
const TCX: &[u8] = b"tcx_link_attach";
/// The most that is read of the description: some ten times its usual length.
const BTF_MAX: u64 = 64 << 20;

/// What came of trying something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// It works.
    Works,
    /// This user may not; whether it would work is not known.
    Forbidden,
    /// It does not work, for this reason.
    Fails(String),
}

/// A capability by its number (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capability {
    NetAdmin = 12,
    NetRaw = 13,
    IpcLock = 14,
    SysAdmin = 21,
    PerfMon = 38,
    Bpf = 39,
}

/// The capabilities in effect, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capabilities(pub(super) u64);

impl Capabilities {
    /// Whether that capability is in effect. Whoever has `CAP_SYS_ADMIN` has `CAP_BPF` and `CAP_PERFMON`.
    pub(super) const fn has(self, capability: Capability) -> bool {
        let implied = match capability {
            Capability::Bpf | Capability::PerfMon => 1 << Capability::SysAdmin as u64,
            _ => 0,
        };
        self.0 & (1 << capability as u64 | implied) != 0
    }
}

/// Memory in large pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HugePages {
    /// When the kernel makes them by itself: `always`, `madvise` or `never`.
    pub(super) mode: String,
    /// Pages that were set aside.
    pub(super) reserved: u64,
}

/// The clock that times are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) current: String,
    pub(super) available: Vec<String>,
}

/// Everything that is known of the host.
#[derive(Clone, Debug)]
pub(super) struct HostFacts {
    pub(super) kernel: Fact<String>,
    pub(super) capabilities: Fact<Capabilities>,
    /// Bytes that may be locked in memory; none without a limit.
    pub(super) memlock: Option<u64>,
    pub(super) ring: Trial,
    pub(super) fanout: Trial,
    pub(super) xdp_socket: Trial,
    pub(super) xdp_program: Trial,
    pub(super) nftables: Trial,
    pub(super) tcx: Fact<bool>,
    pub(super) btf: bool,
    pub(super) bpffs: Fact<bool>,
    pub(super) jit: Fact<u32>,
    pub(super) membarrier: bool,
    pub(super) landlock: bool,
    pub(super) seccomp: bool,
    pub(super) processors: Fact<Processors>,
    pub(super) huge_pages: Fact<HugePages>,
    pub(super) clock: Fact<Clock>,
    /// The file of the authorities that this host trusts, if there is one.
    pub(super) authorities: Option<&'static str>,
}

/// Where distributions keep the authorities that programs trust.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

impl HostFacts {
    /// What there is to know of this host, whose files lie in `tree`.
    pub(super) fn gather(tree: &Tree) -> Self {
        Self {
            kernel: tree.text("/proc/sys/kernel/osrelease"),
            capabilities: capabilities(tree),
            memlock: getrlimit(Resource::Memlock).current,
            ring: try_ring(1),
            fanout: try_ring(2),
            xdp_socket: try_xdp_socket(),
            xdp_program: try_xdp_program(),
            nftables: try_nftables(&capabilities(tree)),
            tcx: has_tcx(tree),
            btf: tree.has(BTF),
            bpffs: has_bpffs(tree),
            jit: jit(tree),
            membarrier: membarrier_query().contains(MembarrierQuery::GLOBAL),
            landlock: sandbox::has_landlock(),
            seccomp: tree.value("/proc/self/status", "Seccomp:").is_ok(),
            processors: Processors::of(tree),
            huge_pages: huge_pages(tree),
            clock: clock(tree),
            authorities: AUTHORITIES.into_iter().find(|file| tree.has(file)),
        }
    }
}

fn capabilities(tree: &Tree) -> Fact<Capabilities> {
    let bits = tree.value("/proc/self/status", "CapEff:")?;
    u64::from_str_radix(&bits, 16)
        .map(Capabilities)
        .map_err(|_| format!("\"{bits}\" is no set of capabilities"))
}

/// Opens rings on the loopback interface, and closes them at once.
fn try_ring(queues: usize) -> Trial {
    let config = LiveConfig {
        backend: Backend::AfPacket,
        queues,
        block_bytes: TRIAL_BLOCK_BYTES,
        blocks: 2,
        promiscuous: false,
        ..LiveConfig::new(LOOPBACK)
    };
    match live(&config) {
        Ok(_) => Trial::Works,
        Err(Error::Privilege { .. }) => Trial::Forbidden,
        Err(error) => Trial::Fails(error.to_string()),
    }
}

fn try_xdp_socket() -> Trial {
    match rustix::net::socket(AddressFamily::XDP, SocketType::RAW, None) {
        Ok(_) => Trial::Works,
        Err(error) => refusal(&error.into()),
    }
}

/// Loads a program that does nothing and attaches it nowhere.
fn try_xdp_program() -> Trial {
    match is_program_supported(ProgramType::Xdp) {
        Ok(true) => Trial::Works,
        Ok(false) => Trial::Fails("the kernel knows no XDP programs".to_owned()),
        Err(ProgramError::SyscallError(error)) => refusal(&error.io_error),
        Err(error) => Trial::Fails(error.to_string()),
    }
}

/// Lets the kernel look at rules, and put none in force.
fn try_nftables(held: &Fact<Capabilities>) -> Trial {
    match nft::try_out(LOOPBACK) {
        Ok(()) => Trial::Works,
        Err(_) if held.as_ref().is_ok_and(|held| !held.has(Capability::NetAdmin)) => Trial::Forbidden,
        Err(error) => Trial::Fails(error.to_string()),
    }
}

fn refusal(error: &io::Error) -> Trial {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Trial::Forbidden,
        _ => Trial::Fails(error.to_string()),
    }
}

/// Whether the kernel has tcx links, by what it tells of its own functions: distributions carry features to older
/// releases, and attaching one to see would touch traffic.
fn has_tcx(tree: &Tree) -> Fact<bool> {
    let mut told = Vec::new();
    File::open(tree.at(BTF))
        .and_then(|file| file.take(BTF_MAX).read_to_end(&mut told))
        .map_err(|error| format!("{BTF} cannot be read: {error}"))?;
    // Names end in NUL and follow each other.
    Ok(told.split(|byte| *byte == 0).any(|name| name == TCX))
}

/// Whether programs and maps can be pinned where everybody looks for them.
fn has_bpffs(tree: &Tree) -> Fact<bool> {
    let mounts = tree.text("/proc/self/mounts")?;
    let is_it = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some("/sys/fs/bpf") && fields.next() == Some("bpf")
    };
    Ok(mounts.lines().any(is_it))
}

fn jit(tree: &Tree) -> Fact<u32> {
    let setting = tree.number("/proc/sys/net/core/bpf_jit_enable");
    setting.map_err(|error| format!("{error}; only the first network namespace has it"))
}

fn huge_pages(tree: &Tree) -> Fact<HugePages> {
    let modes = tree.text("/sys/kernel/mm/transparent_hugepage/enabled")?;
    // The one in force stands in brackets.
    let in_force = modes.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let (mode, _) = in_force.ok_or_else(|| format!("\"{modes}\" names no mode in force"))?;
    let reserved = tree.value("/proc/meminfo", "HugePages_Total:").ok().and_then(|pages| pages.parse().ok());
    Ok(HugePages { mode: mode.to_owned(), reserved: reserved.unwrap_or(0) })
}

fn clock(tree: &Tree) -> Fact<Clock> {
    let file =
        |name: &str| tree.text(&format!("/sys/devices/system/clocksource/clocksource0/{name}_clocksource"));
    let available = file("available")?.split_whitespace().map(str::to_owned).collect();
    Ok(Clock { current: file("current")?, available })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A host of these files.
    fn host(files: &[(&str, &str)]) -> (TempDir, Tree) {
        let directory = TempDir::new().unwrap();
        for (path, text) in files {
            let path = directory.path().join(&path[1..]);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let tree = Tree::new(directory.path());
        (directory, tree)
    }

    #[test]
    fn files_of_a_host_are_read() {
        let clock_files = "/sys/devices/system/clocksource/clocksource0";
        let (_directory, tree) = host(&[
            ("/proc/self/status", "CapEff:\t0000000000003000\nCpus_allowed_list:\t0-1\n"),
            ("/sys/devices/system/cpu/online", "0-3\n"),
            ("/proc/self/mounts", "none /sys/fs/bpf bpf rw 0 0\nproc /proc proc rw 0 0\n"),
            ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("/proc/meminfo", "HugePages_Total:      12\n"),
            (BTF, "x\0tcx_link_attach\0y"),
            (&format!("{clock_files}/available_clocksource"), "tsc hpet \n"),
            (&format!("{clock_files}/current_clocksource"), "hpet\n"),
        ]);
        let held = capabilities(&tree).unwrap();
        assert!(held.has(Capability::NetAdmin) && held.has(Capability::NetRaw) && !held.has(Capability::Bpf));
        assert_eq!(Processors::of(&tree), Ok(Processors { online: vec![0, 1, 2, 3], allowed: vec![0, 1] }));
        assert_eq!((has_bpffs(&tree), has_tcx(&tree)), (Ok(true), Ok(true)));
        assert_eq!(huge_pages(&tree), Ok(HugePages { mode: "madvise".to_owned(), reserved: 12 }));
        let available = vec!["tsc".to_owned(), "hpet".to_owned()];
        assert_eq!(clock(&tree), Ok(Clock { current: "hpet".to_owned(), available }));
    }

    #[test]
    fn names_that_merely_contain_a_feature_are_not_it() {
        let (_directory, tree) = host(&[
            (BTF, "x\0bpf_tcx_link_attach_old\0y"),
            ("/proc/self/mounts", "bpf /run/bpf bpf rw 0 0\nx /sys/fs/bpf tmpfs rw 0 0\n"),
        ]);
        assert_eq!((has_bpffs(&tree), has_tcx(&tree)), (Ok(false), Ok(false)));
    }

    #[test]
    fn what_a_host_does_not_tell_is_not_guessed() {
        let (_directory, tree) =
            host(&[("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise never")]);
        assert!(huge_pages(&tree).unwrap_err().contains("no mode in force"));
        for reason in
            [has_tcx(&tree).unwrap_err(), clock(&tree).unwrap_err(), capabilities(&tree).unwrap_err()]
        {
            assert!(reason.contains("cannot be read"), "{reason}");
        }
    }

    #[test]
    fn whoever_administers_the_system_may_load_programs() {
        assert!(Capabilities(1 << 21).has(Capability::Bpf));
        assert!(!Capabilities(1 << 21).has(Capability::NetRaw));
    }
}
