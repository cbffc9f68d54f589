//! How the host is for credence.

use crate::doctor::finding::Finding;
use crate::doctor::host::{Capabilities, Capability, Clock, HostFacts, HugePages, Trial};
use crate::doctor::needs::Needs;
use crate::processors::Processors;
use crate::tree::Fact;

/// The first release with links that hold an XDP program (5.9), in which enforcement is held.
const KERNEL_MIN: (u32, u32) = (5, 9);
/// Memory that may be locked below which an `AF_XDP` socket's frames may not fit: the 64 MiB of one queue's ring.
const MEMLOCK_MIN: u64 = 64 << 20;
/// Clocks that are read without a system call.
const FAST_CLOCKS: [&str; 6] =
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "xen", "riscv_clocksource"];
/// The file that says when the kernel makes large pages.
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// The file that says which clock is read.
const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// What is found of a host, of which `needs` asks so much; `program` is this program, as a word of a command.
pub(in crate::doctor) fn findings(facts: &HostFacts, needs: &Needs, program: &str) -> Vec<Finding> {
    let capture = capture_privilege(&facts.capabilities, program);
    let enforcement = enforcement_privileges(&facts.capabilities, program).needed(needs.enforcement);
    vec![
        kernel(&facts.kernel, needs),
        capture,
        enforcement,
        locked_memory(&facts.capabilities, facts.memlock),
        ring(&facts.ring, needs),
        fanout(&facts.fanout, needs),
        xdp_socket(&facts.xdp_socket),
        xdp_program(&facts.xdp_program).needed(needs.enforcement),
        nftables(&facts.nftables, needs),
        tcx(&facts.tcx),
        bpffs(&facts.bpffs, needs),
        btf(facts.btf),
        jit(&facts.jit),
        membarrier(facts.membarrier, needs),
        landlock(facts.landlock),
        seccomp(facts.seccomp),
        processors(&facts.processors, needs),
        huge_pages(&facts.huge_pages),
        clock(&facts.clock),
        authorities(facts.authorities, needs),
    ]
}

/// Whom a server's certificate is checked by.
fn authorities(file: Option<&str>, needs: &Needs) -> Finding {
    const NAME: &str = "trusted authorities";
    match file {
        Some(file) => Finding::good(NAME, format!("those of {file}")),
        None => {
            let found = "none, without which nothing can be fetched over https".to_owned();
            lacking(NAME, needs.authorities, found).cure("apt-get install ca-certificates")
        }
    }
}

/// A shortcoming: missing where the configuration cannot do without, and otherwise what could be better.
pub(super) fn lacking(name: &'static str, needed: bool, found: String) -> Finding {
    if needed { Finding::missing(name, found).needed(true) } else { Finding::could_be_better(name, found) }
}

/// The finding of a fact, or the word that there is none and why.
pub(super) fn known<T>(name: &'static str, fact: &Fact<T>, judge: impl FnOnce(&T) -> Finding) -> Finding {
    match fact {
        Ok(fact) => judge(fact),
        Err(why) => Finding::unknown(name, why.clone()),
    }
}

fn kernel(release: &Fact<String>, needs: &Needs) -> Finding {
    known("kernel", release, |release| {
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
            return Finding::unknown("kernel", format!("release \"{release}\" has no number"));
        };
        if (major, minor) >= KERNEL_MIN {
            return Finding::good("kernel", format!("Linux {release}"));
        }
        let (least_major, least_minor) = KERNEL_MIN;
        let found =
            format!("Linux {release}; enforcement by XDP links needs {least_major}.{least_minor} or later");
        lacking("kernel", needs.enforcement, found)
            .cure("apt-get install linux-image-$(dpkg --print-architecture) && systemctl reboot")
    })
}

fn capture_privilege(held: &Fact<Capabilities>, program: &str) -> Finding {
    known("capture privilege", held, |held| {
        if held.has(Capability::NetRaw) {
            return Finding::good("capture privilege", "CAP_NET_RAW is held");
        }
        Finding::missing(
            "capture privilege",
            "CAP_NET_RAW is not held, without which nothing can be captured",
        )
        .cure(format!("setcap cap_net_raw=ep {program}"))
    })
    .needed(true)
}

fn enforcement_privileges(held: &Fact<Capabilities>, program: &str) -> Finding {
    const NAME: &str = "enforcement privileges";
    known(NAME, held, |held| {
        let wanted = [
            ("CAP_NET_ADMIN", Capability::NetAdmin),
            ("CAP_BPF", Capability::Bpf),
            ("CAP_PERFMON", Capability::PerfMon),
        ];
        let lacking = wanted.iter().filter(|(_, capability)| !held.has(*capability)).map(|(name, _)| *name);
        let lacking: Vec<_> = lacking.collect();
        if lacking.is_empty() {
            return Finding::good(NAME, "CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON are held");
        }
        let found = format!("not held: {}; only observing does without", lacking.join(", "));
        // A file's capabilities are set together: those for capture have to be named again.
        Finding::missing(NAME, found)
            .cure(format!("setcap cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon=ep {program}"))
    })
}

fn locked_memory(held: &Fact<Capabilities>, limit: Option<u64>) -> Finding {
    const NAME: &str = "locked memory";
    let is_exempt = held.as_ref().is_ok_and(|held| held.has(Capability::IpcLock));
    match limit {
        _ if is_exempt => Finding::good(NAME, "CAP_IPC_LOCK is held, so that no limit applies"),
        None => Finding::good(NAME, "without limit"),
        Some(limit) if limit >= MEMLOCK_MIN => {
            Finding::good(NAME, format!("{} may be locked", mebibytes(limit)))
        }
        Some(limit) => {
            let (limit, least) = (mebibytes(limit), mebibytes(MEMLOCK_MIN));
            let found =
                format!("{limit} may be locked; AF_XDP, and before Linux 5.11 XDP too, may need {least}");
            Finding::could_be_better(NAME, found)
                .cure("ulimit -l unlimited   # in a unit: LimitMEMLOCK=infinity")
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn ring(trial: &Trial, needs: &Needs) -> Finding {
    const NAME: &str = "AF_PACKET ring";
    let found = if needs.ring { "configured as the backend" } else { "some 35 times cheaper than without" };
    match trial {
        Trial::Works => Finding::good(NAME, format!("a TPACKET_V3 ring works; {found}")),
        Trial::Forbidden => forbidden(NAME, "CAP_NET_RAW"),
        Trial::Fails(why) => Finding::missing(NAME, why.clone()).cure("modprobe af_packet"),
    }
    .needed(needs.ring)
}

fn fanout(trial: &Trial, needs: &Needs) -> Finding {
    const NAME: &str = "packet fan-out";
    match trial {
        Trial::Works => Finding::good(NAME, "several sockets can share an interface"),
        Trial::Forbidden => forbidden(NAME, "CAP_NET_RAW"),
        Trial::Fails(why) => {
            let one_queue = format!("sed -i 's/^queues *=.*/queues = 1/' {}", needs.file);
            Finding::missing(NAME, why.clone()).cure(one_queue)
        }
    }
    .needed(needs.queues > 1)
}

fn xdp_socket(trial: &Trial) -> Finding {
    const NAME: &str = "AF_XDP socket";
    match trial {
        Trial::Works => Finding::good(NAME, "such sockets can be opened"),
        Trial::Forbidden => forbidden(NAME, "CAP_NET_RAW"),
        Trial::Fails(why) => Finding::missing(NAME, format!("{why}; the kernel needs CONFIG_XDP_SOCKETS"))
            .cure("apt-get install linux-image-$(dpkg --print-architecture) && systemctl reboot"),
    }
}

fn xdp_program(trial: &Trial) -> Finding {
    const NAME: &str = "XDP program";
    match trial {
        Trial::Works => Finding::good(NAME, "a program was loaded for a trial, and attached nowhere"),
        Trial::Forbidden => forbidden(NAME, "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"),
        Trial::Fails(why) => Finding::missing(NAME, format!("{why}; the kernel needs CONFIG_BPF_SYSCALL"))
            .cure("apt-get install linux-image-$(dpkg --print-architecture) && systemctl reboot"),
    }
}

fn nftables(trial: &Trial, needs: &Needs) -> Finding {
    const NAME: &str = "nftables";
    let finding = match trial {
        Trial::Works => {
            Finding::good(NAME, "rules were tried and not put in force; they can stand in for XDP")
        }
        Trial::Forbidden => forbidden(NAME, "CAP_NET_ADMIN"),
        Trial::Fails(why) => lacking(NAME, needs.nftables, why.clone()).cure("apt-get install nftables"),
    };
    finding.needed(needs.nftables)
}

fn forbidden(name: &'static str, privileges: &str) -> Finding {
    Finding::unknown(name, format!("it cannot be tried without {privileges}"))
}

fn tcx(has: &Fact<bool>) -> Finding {
    known("tcx", has, |has| {
        if *has {
            return Finding::good("tcx", "packets can be marked at tcx");
        }
        Finding::could_be_better(
            "tcx",
            "this kernel has no tcx links (Linux 6.6), so that packets cannot be marked",
        )
        .cure("apt-get install linux-image-$(dpkg --print-architecture) && systemctl reboot")
    })
}

fn bpffs(mounted: &Fact<bool>, needs: &Needs) -> Finding {
    known("bpffs", mounted, |mounted| {
        if *mounted {
            return Finding::good("bpffs", "mounted at /sys/fs/bpf");
        }
        let found = "not mounted at /sys/fs/bpf, so that enforcement cannot outlive the process";
        lacking("bpffs", needs.pinning, found.to_owned()).cure("mount -t bpf bpf /sys/fs/bpf")
    })
}

fn btf(is_there: bool) -> Finding {
    if is_there {
        return Finding::good("BTF", "the kernel describes its types in /sys/kernel/btf/vmlinux");
    }
    let found = "/sys/kernel/btf/vmlinux is not there; the kernel needs CONFIG_DEBUG_INFO_BTF";
    Finding::could_be_better("BTF", found)
        .cure("apt-get install linux-image-$(dpkg --print-architecture) && systemctl reboot")
}

fn jit(setting: &Fact<u32>) -> Finding {
    known("BPF compiler", setting, |setting| match setting {
        0 => Finding::could_be_better(
            "BPF compiler",
            "XDP programs are interpreted, many times slower than compiled",
        )
        .cure("sysctl -w net.core.bpf_jit_enable=1"),
        _ => Finding::good("BPF compiler", "XDP programs are compiled to machine code"),
    })
}

fn membarrier(has_global: bool, needs: &Needs) -> Finding {
    if has_global {
        return Finding::good(
            "membarrier",
            "the kernel can wait until no XDP program is at work on old records",
        );
    }
    let found =
        "MEMBARRIER_CMD_GLOBAL is refused, as with `nohz_full`; enforcement cannot change its records";
    lacking("membarrier", needs.enforcement, found.to_owned())
        .cure("sed -i 's/nohz_full=[^ \"]*//' /etc/default/grub && update-grub && systemctl reboot")
}

fn landlock(is_there: bool) -> Finding {
    if is_there {
        return Finding::good("landlock", "a run can shut itself out of files and new connections");
    }
    let found = "this kernel has no landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK), so that a run keeps its way to all files";
    Finding::could_be_better("landlock", found)
        .cure("apt-get install linux-image-$(dpkg --print-architecture) && systemctl reboot")
}

fn seccomp(is_there: bool) -> Finding {
    if is_there {
        return Finding::good("seccomp", "a run can give up the system calls that it never makes");
    }
    let found = "this kernel has no seccomp (CONFIG_SECCOMP_FILTER), so that a run keeps all system calls";
    Finding::could_be_better("seccomp", found)
        .cure("apt-get install linux-image-$(dpkg --print-architecture) && systemctl reboot")
}

fn processors(processors: &Fact<Processors>, needs: &Needs) -> Finding {
    known("cores", processors, |Processors { online, allowed }| {
        let (workers, may, are) = (needs.workers, allowed.len(), online.len());
        let found = format!("{may} of {are} may be used, for {workers} workers");
        if workers > may {
            return Finding::could_be_better("cores", format!("{found}, which will take turns"))
                .cure(format!("sed -i 's/^workers *=.*/workers = 0/' {}", needs.file));
        }
        Finding::good("cores", found)
    })
}

fn huge_pages(pages: &Fact<HugePages>) -> Finding {
    known("huge pages", pages, |HugePages { mode, reserved }| {
        let found =
            format!("transparent huge pages: {mode}; {reserved} set aside, of which credence uses none");
        if mode == "never" {
            let found = format!("{found}; look-ups in large tables take up to twice as long on small pages");
            return Finding::could_be_better("huge pages", found)
                .cure(format!("echo madvise > {HUGE_PAGES}"));
        }
        Finding::good("huge pages", found)
    })
}

fn clock(clock: &Fact<Clock>) -> Finding {
    known("clock", clock, |Clock { current, available }| {
        if FAST_CLOCKS.contains(&current.as_str()) {
            return Finding::good("clock", format!("{current}, which is read without a system call"));
        }
        let finding =
            Finding::could_be_better("clock", format!("{current}, which takes a microsecond to read"));
        match FAST_CLOCKS.iter().find(|fast| available.iter().any(|name| name == *fast)) {
            Some(fast) => finding.cure(format!("echo {fast} > {CLOCK}")),
            None => finding.cure("dmesg | grep -i clocksource   # says why the kernel gave up a faster one"),
        }
    })
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
