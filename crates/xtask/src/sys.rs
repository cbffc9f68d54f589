//! The few system calls that neither the standard library nor a wrapper offers safely. Nothing else here is unsafe.
#![allow(
    unsafe_code,
    reason = "network namespaces, sticky IPv6 options, signals to a process group, a child's use of the machine"
)]

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C or a termination signal has come since [`watch_signals`].
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn note_signal(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Makes SIGINT, SIGTERM and SIGHUP set a flag instead of ending the program, so that whatever it made is taken down.
pub(crate) fn watch_signals() {
    let handler: extern "C" fn(libc::c_int) = note_signal;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    // SAFETY: no arguments, no memory, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Sends a signal to every process of a group; one that is gone already is no error.
pub(crate) fn signal_group(group: u32, signal: libc::c_int) {
    let group = libc::pid_t::try_from(group).expect("process ids fit pid_t");
    assert!(group > 1, "a group of our own children");
    // SAFETY: takes integers only; the group is one that this program made.
    unsafe { libc::kill(-group, signal) };
}

/// Sends a signal to one process that this program started and has not yet reaped.
pub(crate) fn signal_child(pid: u32, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(pid).expect("process ids fit pid_t");
    assert!(pid > 1, "a child of our own");
    // SAFETY: takes integers only; the process is a child that is not reaped yet, so the id is not reused.
    unsafe { libc::kill(pid, signal) };
}

/// How a child of this program ended, the processor time it took, and the most bytes that it had resident; nothing while it
/// runs. After an answer the child is gone.
pub(crate) fn reap(pid: u32) -> Result<Option<(ExitStatus, Duration, u64)>> {
    let pid = libc::pid_t::try_from(pid).expect("process ids fit pid_t");
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to locals that live through the call; the process is a child that only this reaps.
    let reaped = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    if reaped < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: a structure of integers, for which the zeroes it was made of are a value.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        let (seconds, micros) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec));
        Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0))
    };
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    // Linux tells kibibytes.
    let peak_bytes = u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024;
    Ok((reaped == pid).then(|| (ExitStatus::from_raw(status), cpu, peak_bytes)))
}

/// Moves the calling thread, and only it, into the network namespace behind `namespace`.
pub(crate) fn enter_namespace(namespace: &File) -> Result<()> {
    // SAFETY: takes a descriptor that `namespace` keeps open for the length of the call.
    let status = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Sets a socket option of level IPPROTO_IPV6 to `value`, for the options that take a whole header (RFC 3542).
pub(crate) fn set_ipv6_option(
    socket: &impl std::os::fd::AsRawFd,
    option: libc::c_int,
    value: &[u8],
) -> Result<()> {
    let len = libc::socklen_t::try_from(value.len()).expect("option values are short");
    // SAFETY: the pointer and the length describe `value`, which lives through the call.
    let status = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, option, value.as_ptr().cast(), len)
    };
    if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
