//! In steady state the line makes no system call and reads no clock: a thread that would be killed for either survives it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, reason = "a test")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use credence_capture::Frame;
use credence_credit::Published;
use credence_engine::clock::unix_ns;
use credence_engine::{LineConfig, Own, Worker};
use rustix::process::{TimeStampCounterReadability, set_time_stamp_counter_readability};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Names what a child of this test does besides its batches.
const ALSO: &str = "CREDENCE_CONFINED_ALSO";
const START_NS: u64 = 1_780_000_000_000_000_000;
const BATCHES: u64 = 1_000;
const BATCH: usize = 100;

/// Takes from this thread every system call but those by which a thread ends, and the counter that clocks are read from.
fn confine() {
    let ending = [
        libc::SYS_exit,
        libc::SYS_futex,
        libc::SYS_madvise,
        libc::SYS_munmap,
        libc::SYS_rt_sigprocmask,
        libc::SYS_sigaltstack,
    ];
    let rules: BTreeMap<_, _> = ending.into_iter().map(|call| (call, Vec::new())).collect();
    let filter =
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)
            .expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a short filter");
    set_time_stamp_counter_readability(TimeStampCounterReadability::RaiseSIGSEGV).expect("the kernel has it");
    seccompiler::apply_filter(&program).expect("the kernel has it");
}

/// A TCP segment of one of the hosts of a batch, in Ethernet.
fn frame(host: u8) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
    bytes.extend([0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    bytes.extend([0x2a, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0x9c, 0x40, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes
}

fn batch(worker: &mut Worker, bytes: &[Vec<u8>], number: u64) {
    let frames: [Frame<'_>; BATCH] = std::array::from_fn(|i| Frame {
        number: number * BATCH as u64 + i as u64,
        ts_ns: START_NS + number * 10_000_000 + i as u64,
        wire_len: bytes[i].len() as u32,
        linktype: 1,
        bytes: &bytes[i],
    });
    worker.process(&frames);
}

/// Runs batches on a confined thread, and whatever the environment asks for besides.
#[test]
fn confined() {
    let also = std::env::var(ALSO).unwrap_or_default();
    let own = Arc::new(Own::default());
    let counters = Arc::clone(&own);
    let thread = std::thread::spawn(move || {
        let bytes: Vec<_> = (0..BATCH as u8).map(frame).collect();
        let config = LineConfig { flows: 1 << 10, ..LineConfig::default() };
        let mut worker = Worker::new(Arc::new(config), Published::default().reader(), counters);
        confine();
        (0..BATCHES).for_each(|number| batch(&mut worker, &bytes, number));
        match also.as_str() {
            "call" => assert!(black_box(std::fs::exists("/")).is_ok()),
            "clock" => assert!(black_box(unix_ns()) > 0),
            _ => {}
        }
    });
    thread.join().expect("it ends by itself");
    assert_eq!(own.scored.value(), BATCHES * BATCH as u64);
}

/// How the test above ends when it does something else as well.
fn confined_and(also: &str) -> ExitStatus {
    let program = std::env::current_exe().expect("this test");
    let mut command = Command::new(program);
    command.args(["--exact", "confined"]).env(ALSO, also).output().expect("it starts").status
}

#[test]
fn a_confined_thread_that_calls_the_kernel_is_killed() {
    assert_eq!(confined_and("call").signal(), Some(libc::SIGSYS));
}

#[test]
fn a_confined_thread_that_reads_the_clock_is_killed() {
    // By the counter, or where the clock is a system call by that.
    assert!(matches!(confined_and("clock").signal(), Some(libc::SIGSEGV | libc::SIGSYS)));
}
