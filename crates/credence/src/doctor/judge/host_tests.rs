//! Hosts of all kinds.

use super::*;
use crate::doctor::finding::State;

/// A host that has everything.
fn sound() -> HostFacts {
    HostFacts {
        kernel: Ok("6.12.1-amd64".to_owned()),
        capabilities: Ok(Capabilities(u64::MAX)),
        memlock: None,
        ring: Trial::Works,
        fanout: Trial::Works,
        xdp_socket: Trial::Works,
        xdp_program: Trial::Works,
        nftables: Trial::Works,
        tcx: Ok(true),
        btf: true,
        bpffs: Ok(true),
        jit: Ok(1),
        membarrier: true,
        landlock: true,
        seccomp: true,
        processors: Ok(Processors { online: vec![0, 1, 2, 3], allowed: vec![0, 1, 2, 3] }),
        huge_pages: Ok(HugePages { mode: "madvise".to_owned(), reserved: 0 }),
        clock: Ok(Clock { current: "tsc".to_owned(), available: vec!["tsc".to_owned()] }),
        authorities: Some("/etc/ssl/certs/ca-certificates.crt"),
    }
}

fn needs() -> Needs {
    Needs {
        file: "FILE".to_owned(),
        interfaces: Vec::new(),
        workers: 4,
        queues: 1,
        ring: false,
        enforcement: false,
        nftables: false,
        pinning: false,
        authorities: false,
    }
}

/// The finding of that name.
fn finding(facts: &HostFacts, needs: &Needs, name: &str) -> Finding {
    let all = findings(facts, needs, "/usr/bin/credence");
    all.into_iter().find(|finding| finding.name == name).unwrap_or_else(|| panic!("no finding {name}"))
}

/// Requires that a host with these facts has exactly this shortcoming, told and mended in these words.
#[track_caller]
fn check(facts: &HostFacts, name: &str, state: State, told: &str, cure: &str) {
    let all = findings(facts, &needs(), "/usr/bin/credence");
    for finding in all.iter().filter(|finding| finding.name != name) {
        assert_eq!(finding.state, State::Good, "{finding:?}");
    }
    let found = finding(facts, &needs(), name);
    assert_eq!(found.state, state, "{found:?}");
    assert!(found.found.contains(told), "{found:?}");
    assert!(found.cures.iter().any(|command| command.contains(cure)), "{found:?}");
}

#[test]
fn a_host_that_has_everything_needs_no_cure() {
    for finding in findings(&sound(), &needs(), "credence") {
        assert_eq!((finding.state, finding.cures.len()), (State::Good, 0), "{finding:?}");
    }
}

#[test]
fn names_are_told_once_each() {
    let mut names: Vec<_> =
        findings(&sound(), &needs(), "credence").iter().map(|finding| finding.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn each_shortcoming_is_told_with_its_cure() {
    use State::{CouldBeBetter, Missing};
    let old = HostFacts { kernel: Ok("5.4.0-200-generic".to_owned()), ..sound() };
    check(&old, "kernel", CouldBeBetter, "5.9 or later", "linux-image");
    let unmounted = HostFacts { bpffs: Ok(false), ..sound() };
    check(&unmounted, "bpffs", CouldBeBetter, "outlive", "mount -t bpf bpf /sys/fs/bpf");
    let interpreted = HostFacts { jit: Ok(0), ..sound() };
    check(&interpreted, "BPF compiler", CouldBeBetter, "interpreted", "bpf_jit_enable=1");
    let before_tcx = HostFacts { tcx: Ok(false), ..sound() };
    check(&before_tcx, "tcx", CouldBeBetter, "cannot be marked", "linux-image");
    let no_xdp = HostFacts { xdp_program: Trial::Fails("unknown".to_owned()), ..sound() };
    check(&no_xdp, "XDP program", Missing, "CONFIG_BPF_SYSCALL", "linux-image");
    let no_rules = HostFacts { nftables: Trial::Fails("no program nft".to_owned()), ..sound() };
    check(&no_rules, "nftables", CouldBeBetter, "no program nft", "apt-get install nftables");
    let isolated = HostFacts { membarrier: false, ..sound() };
    check(&isolated, "membarrier", CouldBeBetter, "nohz_full", "update-grub");
    let open = HostFacts { landlock: false, ..sound() };
    check(&open, "landlock", CouldBeBetter, "all files", "linux-image");
    let permissive = HostFacts { seccomp: false, ..sound() };
    check(&permissive, "seccomp", CouldBeBetter, "all system calls", "linux-image");
    let pages = HugePages { mode: "never".to_owned(), reserved: 3 };
    check(
        &HostFacts { huge_pages: Ok(pages), ..sound() },
        "huge pages",
        CouldBeBetter,
        "never; 3 set aside",
        "echo madvise",
    );
    let few = Processors { online: vec![0, 1, 2, 3], allowed: vec![1] };
    check(
        &HostFacts { processors: Ok(few), ..sound() },
        "cores",
        CouldBeBetter,
        "1 of 4 may be used",
        "workers = 0",
    );
    let undescribed = HostFacts { btf: false, ..sound() };
    check(&undescribed, "BTF", CouldBeBetter, "CONFIG_DEBUG_INFO_BTF", "linux-image");
}

#[test]
fn a_slow_clock_is_mended_by_a_fast_one_where_there_is_one() {
    let clock = |available: &[&str]| {
        let available = available.iter().map(|&name| name.to_owned()).collect();
        HostFacts { clock: Ok(Clock { current: "hpet".to_owned(), available }), ..sound() }
    };
    check(&clock(&["hpet", "tsc"]), "clock", State::CouldBeBetter, "hpet", "echo tsc > ");
    check(&clock(&["hpet", "acpi_pm"]), "clock", State::CouldBeBetter, "hpet", "dmesg");
}

#[test]
fn locked_memory_is_judged_by_privilege_and_limit() {
    let ordinary = |memlock| HostFacts { capabilities: Ok(Capabilities(!(1 << 14))), memlock, ..sound() };
    check(
        &ordinary(Some(8 << 20)),
        "locked memory",
        State::CouldBeBetter,
        "8 MiB may be locked",
        "ulimit -l",
    );
    for facts in [ordinary(None), ordinary(Some(64 << 20)), HostFacts { memlock: Some(0), ..sound() }] {
        assert_eq!(finding(&facts, &needs(), "locked memory").state, State::Good, "{facts:?}");
    }
}

#[test]
fn without_privileges_nothing_is_guessed() {
    let facts = HostFacts {
        capabilities: Ok(Capabilities(0)),
        ring: Trial::Forbidden,
        fanout: Trial::Forbidden,
        xdp_socket: Trial::Forbidden,
        xdp_program: Trial::Forbidden,
        nftables: Trial::Forbidden,
        ..sound()
    };
    let capture = finding(&facts, &needs(), "capture privilege");
    assert!(
        capture.is_fatal() && capture.cures == ["setcap cap_net_raw=ep /usr/bin/credence"],
        "{capture:?}"
    );
    let enforcement = finding(&facts, &needs(), "enforcement privileges");
    assert_eq!((enforcement.state, enforcement.is_fatal()), (State::Missing, false), "{enforcement:?}");
    for name in ["AF_PACKET ring", "packet fan-out", "AF_XDP socket", "XDP program", "nftables"] {
        let found = finding(&facts, &needs(), name);
        assert_eq!(found.state, State::Unknown, "{found:?}");
        assert!(found.found.contains("without CAP_"), "{found:?}");
    }
}

#[test]
fn what_is_missing_counts_only_where_it_is_needed() {
    let no_ring =
        HostFacts { ring: Trial::Fails("x".to_owned()), fanout: Trial::Fails("x".to_owned()), ..sound() };
    for (ring, queues) in [(false, 1), (true, 1), (false, 4)] {
        let needs = Needs { ring, queues, ..needs() };
        assert_eq!(finding(&no_ring, &needs, "AF_PACKET ring").is_fatal(), ring);
        assert_eq!(finding(&no_ring, &needs, "packet fan-out").is_fatal(), queues > 1);
    }
}

#[test]
fn enforcement_cannot_do_without_what_observing_can() {
    let poor = HostFacts {
        kernel: Ok("5.4.0".to_owned()),
        capabilities: Ok(Capabilities(1 << 13)),
        xdp_program: Trial::Fails("x".to_owned()),
        nftables: Trial::Fails("x".to_owned()),
        bpffs: Ok(false),
        membarrier: false,
        ..sound()
    };
    let fatal = |needs: Needs| {
        let all = findings(&poor, &needs, "credence");
        all.into_iter().filter(Finding::is_fatal).map(|finding| finding.name).collect::<Vec<_>>()
    };
    assert!(fatal(needs()).is_empty());
    let enforcing = Needs { enforcement: true, ..needs() };
    assert_eq!(fatal(enforcing.clone()), ["kernel", "enforcement privileges", "XDP program", "membarrier"]);
    assert!(fatal(Needs { pinning: true, ..enforcing }).contains(&"bpffs"));
    assert_eq!(fatal(Needs { nftables: true, ..needs() }), ["nftables"]);
}

#[test]
fn what_cannot_be_looked_at_says_why() {
    let why = || Err::<_, String>("it is locked away".to_owned());
    let facts = HostFacts {
        kernel: why().map(|()| String::new()),
        tcx: why().map(|()| true),
        clock: Err("it is locked away".to_owned()),
        ..sound()
    };
    for name in ["kernel", "tcx", "clock"] {
        let found = finding(&facts, &needs(), name);
        assert_eq!((found.state, found.found.as_str()), (State::Unknown, "it is locked away"));
    }
    let odd = HostFacts { kernel: Ok("next".to_owned()), ..sound() };
    assert_eq!(finding(&odd, &needs(), "kernel").state, State::Unknown);
}

#[test]
fn without_authorities_nothing_is_fetched_and_all_else_works() {
    let facts = HostFacts { authorities: None, ..sound() };
    check(&facts, "trusted authorities", State::CouldBeBetter, "none", "ca-certificates");
    let needs = Needs { authorities: true, ..needs() };
    assert!(finding(&facts, &needs, "trusted authorities").is_fatal());
    assert!(!finding(&sound(), &needs, "trusted authorities").is_fatal());
}
