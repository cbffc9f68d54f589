//! The system calls that are left (seccomp(2)), to the engine and to the process that talks to other hosts.
//!
//! Three filters are stacked, of which the kernel heeds the strictest. What no fault of ours could be ends the process at once:
//! starting a program, looking into another process, changing the kernel or what is mounted. Whoever does that inside a gateway
//! has taken it over, and what happens to traffic then is what `enforce.on_failure` says of an engine that is down. All else
//! that is not listed fails with `EPERM`: a library that tries something new one day gets an answer that it can live with, and
//! the gateway stays. `clone3` fails with `ENOSYS`, since its flags lie in memory, where no filter can look; the C library uses
//! `clone` then, of which only new threads are allowed.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::process;

use anyhow::Context;
use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Calls, each with the rules of which one must match; none means that it always does.
type Calls = BTreeMap<c_long, Vec<SeccompRule>>;

/// What is allowed with any arguments.
const ALLOWED: &[c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_get_mempolicy,
    // Threads, and memory that other threads or the kernel's programs may still look at.
    libc::SYS_clone3, // as far as this filter goes
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getcpu,
    libc::SYS_membarrier,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals.
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    // Who and where.
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    // Files. Which, landlock says.
    libc::SYS_openat,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    // Sockets, those that are open and those that `FAMILIES` allows.
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
];

/// Calls that this architecture has beside newer ones, and that its C library still makes.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_time,
];
/// This architecture came after them.
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// The families of sockets that may be opened: local ones to ask about an interface and to tell the service manager, and those
/// of a capture that is opened again. None reaches another host by its address.
const FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_PACKET, libc::AF_XDP, libc::AF_NETLINK];

/// What may be asked of a descriptor: about interfaces, whether it is a terminal, and not to wait.
const QUESTIONS: &[u64] = &[
    libc::SIOCGIFNAME,
    libc::SIOCGIFINDEX,
    libc::SIOCGIFFLAGS,
    libc::SIOCGIFHWADDR,
    libc::SIOCGIFMTU,
    SIOCETHTOOL,
    libc::TCGETS,
    libc::FIONBIO,
];
/// As [`FAMILIES`], for the process that talks to other hosts: by address, and local ones to ask who has one.
const FAMILIES_OF_FOLLOWER: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// As [`QUESTIONS`], for the process that talks to other hosts: whether it is a terminal, not to wait, and how much has come.
const QUESTIONS_OF_FOLLOWER: &[u64] = &[libc::TCGETS, libc::FIONBIO, libc::FIONREAD];

/// What a process needs that keeps files. Where, landlock says.
const FILES_KEPT: &[c_long] = &[
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_flock,
    libc::SYS_ftruncate,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    // The resolver of the C library asks for both families of addresses at once.
    libc::SYS_sendmmsg,
];

/// As [`OLDER`], for [`FILES_KEPT`].
#[cfg(target_arch = "x86_64")]
const FILES_KEPT_OLDER: &[c_long] =
    &[libc::SYS_chmod, libc::SYS_link, libc::SYS_mkdir, libc::SYS_rename, libc::SYS_unlink, libc::SYS_rmdir];
/// This architecture came after them.
#[cfg(not(target_arch = "x86_64"))]
const FILES_KEPT_OLDER: &[c_long] = &[];

/// Asks an interface's driver (linux/sockios.h).
const SIOCETHTOOL: u64 = 0x8946;

/// What a run does with programs of the kernel's once it is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Programs {
    /// Nothing.
    None,
    /// It joins those that it has to interfaces that come back, and gives that a name where it outlives the process.
    Joined,
    /// It loads them anew, as a capture does that brings a program of its own.
    Loaded,
}

/// Operations on elements of maps (`enum bpf_cmd` of linux/bpf.h): look up, update, delete and go on to the next, singly and by
/// batches; and what an object is.
const ON_MAPS: [u32; 10] = [1, 2, 3, 4, 15, 21, 24, 25, 26, 27];

/// To pin an object, and to make a link of a program that is loaded.
const JOINING: [u32; 2] = [6, 28];

/// To take away the name of the link before.
#[cfg(target_arch = "x86_64")]
const UNNAMING: &[c_long] = &[libc::SYS_unlink, libc::SYS_unlinkat];
#[cfg(not(target_arch = "x86_64"))]
const UNNAMING: &[c_long] = &[libc::SYS_unlinkat];

/// What a thread may change of itself: its name, and that of its memory.
const OF_ITSELF: [i32; 2] = [libc::PR_SET_NAME, libc::PR_SET_VMA];

/// What only an intruder asks for.
const HOSTILE: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_open_by_handle_at,
];

/// What the process does that is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It runs the engine, and does this with programs of the kernel's.
    Engine(Programs),
    /// It talks to other hosts and keeps files, and has nothing to do with packets.
    Follower,
}

/// Leaves this process, all its threads and those that they start, the calls that its role makes, and returns what came
/// of that in words.
///
/// # Errors
/// When the kernel takes no filter.
pub(super) fn confine(role: Role) -> anyhow::Result<String> {
    let (none, never) = (SeccompAction::Errno(libc::EPERM as u32), SeccompAction::KillProcess);
    let calls = match role {
        Role::Engine(programs) => engine(programs)?,
        Role::Follower => follower()?,
    };
    let told = format!("seccomp leaves it {} system calls", calls.len());
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    let programs = [
        program(always(HOSTILE).collect(), SeccompAction::Allow, never)?,
        program(always(&[libc::SYS_clone3]).collect(), SeccompAction::Allow, unknown)?,
        // The last, since it leaves no call that takes another.
        program(calls, none, SeccompAction::Allow)?,
    ];
    for program in &programs {
        apply_filter_all_threads(program)
            .context("this kernel takes no filter of system calls (CONFIG_SECCOMP_FILTER)")?;
    }
    Ok(told)
}

/// The program that does `then` to `calls`, and `otherwise` to all others.
fn program(calls: Calls, otherwise: SeccompAction, then: SeccompAction) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(calls, otherwise, then, TargetArch::try_from(ARCH)?)?.try_into()
}

/// What is allowed to an engine that does this with programs of the kernel's.
fn engine(programs: Programs) -> Result<Calls, BackendError> {
    let mut calls = everyone(FAMILIES, QUESTIONS)?;
    let joining = JOINING.into_iter().filter(|_| programs == Programs::Joined);
    calls.extend([one_of(libc::SYS_bpf, 0, ON_MAPS.into_iter().chain(joining).map(u64::from))?]);
    match programs {
        Programs::None => {}
        Programs::Joined => calls.extend(always(UNNAMING)),
        Programs::Loaded => calls.extend(always(&[libc::SYS_bpf])),
    }
    Ok(calls)
}

/// What is allowed to the process that talks to other hosts.
fn follower() -> Result<Calls, BackendError> {
    let mut calls = everyone(FAMILIES_OF_FOLLOWER, QUESTIONS_OF_FOLLOWER)?;
    calls.extend(always(FILES_KEPT).chain(always(FILES_KEPT_OLDER)));
    Ok(calls)
}

/// What is allowed in either role, with sockets of these families and these questions about descriptors.
fn everyone(families: &[i32], questions: &[u64]) -> Result<Calls, BackendError> {
    let mut calls: Calls = always(ALLOWED).chain(always(OLDER)).collect();
    calls.extend([
        one_of(libc::SYS_socket, 0, families.iter().map(|family| *family as u64))?,
        one_of(libc::SYS_ioctl, 1, questions.iter().copied())?,
        one_of(libc::SYS_prctl, 0, OF_ITSELF.map(|option| option as u64))?,
        // A thread, and no process.
        bits(libc::SYS_clone, 0, libc::CLONE_THREAD, libc::CLONE_THREAD)?,
        // A signal to itself, which is how it ends after a fault of its own.
        one_of(libc::SYS_tgkill, 0, [process::id().into()])?,
        // Its limits are asked for, and not changed.
        nowhere(libc::SYS_prlimit64, 2)?,
        // No memory that was written is ever executed.
        bits(libc::SYS_mmap, 2, libc::PROT_EXEC, 0)?,
        bits(libc::SYS_mprotect, 2, libc::PROT_EXEC, 0)?,
    ]);
    Ok(calls)
}

/// Calls with any arguments.
fn always(calls: &[c_long]) -> impl Iterator<Item = (c_long, Vec<SeccompRule>)> {
    calls.iter().map(|call| (*call, Vec::new()))
}

/// A call whose argument is one of `values`; the kernel looks at the lower half of it alone.
fn one_of(
    call: c_long,
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<(c_long, Vec<SeccompRule>), BackendError> {
    let rules =
        values.into_iter().map(|value| rule(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value));
    Ok((call, rules.collect::<Result<_, _>>()?))
}

/// A call of whose argument the bits of `mask` are those of `value`.
fn bits(
    call: c_long,
    argument: u8,
    mask: i32,
    value: i32,
) -> Result<(c_long, Vec<SeccompRule>), BackendError> {
    let operator = SeccompCmpOp::MaskedEq(mask as u64);
    Ok((call, vec![rule(argument, SeccompCmpArgLen::Dword, operator, value as u64)?]))
}

/// A call whose argument, a pointer, leads nowhere.
fn nowhere(call: c_long, argument: u8) -> Result<(c_long, Vec<SeccompRule>), BackendError> {
    Ok((call, vec![rule(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?]))
}

fn rule(
    argument: u8,
    len: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, len, operator, value)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kills_is_nowhere_allowed_and_no_new_way_in_is_open() {
        let others =
            [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_seccomp, libc::SYS_listen];
        let engines =
            [Programs::None, Programs::Joined, Programs::Loaded].map(|programs| engine(programs).unwrap());
        for allowed in engines.into_iter().chain([follower().unwrap()]) {
            for call in HOSTILE.iter().chain(&others) {
                assert!(!allowed.contains_key(call), "{call}");
            }
        }
        assert!(!follower().unwrap().contains_key(&libc::SYS_bpf));
    }

    #[test]
    fn every_call_is_listed_once() {
        let kept = FILES_KEPT.iter().chain(FILES_KEPT_OLDER);
        let listed: Vec<_> = ALLOWED.iter().chain(OLDER).chain(HOSTILE).chain(kept).collect();
        let distinct: std::collections::BTreeSet<_> = listed.iter().collect();
        assert_eq!(listed.len(), distinct.len());
    }
}
