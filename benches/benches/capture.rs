//! What it costs to read frames off an interface, and whether any is lost.
//!
//! A pair of interfaces in a network namespace of the bench's own: the kernel sends frames of 64 bytes by one end as fast
//! as it can, and each backend in turn reads them at the other. Per backend and round this prints what was offered and seen, what
//! the kernel says was lost, and the processor time of the reading thread a frame, system calls and waits included; at the
//! end the medians beside each other. Reader and sender have a core each; what the kernel does for a frame on its way into a
//! ring is done on the sender's.
//!
//! It needs root, and the programs `unshare`, `ip` and `ethtool`; without them it says so.

use std::env;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use aya::Ebpf;
use aya::programs::{ProgramError, TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use credence_benches::smoke;
use credence_capture::{Backend, LiveConfig, Poll, Source, live};
use credence_engine::clock::Stopwatch;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The program, compiled. A test of the crate `credence-capture` compiles it anew and compares.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../crates/capture/bpf/generate.bpf.o");

/// Tells the bench, when it runs itself a second time, that it is inside its namespace.
const INSIDE: &str = "CREDENCE_BENCH_INSIDE";

/// Frames that are sent in one call, which begins with some milliseconds of preparation, and how many the kernel takes at once.
const CALL: u32 = 500_000;
const BATCH: u32 = 64;

/// Backends with the names that are printed. The first is what the others are compared with.
const BACKENDS: [(Backend, &str); 3] =
    [(Backend::AfPacket, "ring"), (Backend::AfXdp, "af_xdp"), (Backend::Pnet, "pnet")];

/// What came of reading for a while.
struct Round {
    offered: u64,
    seen: u64,
    dropped: u64,
    took: Duration,
    /// Processor time of the reader.
    cpu: Duration,
}

impl Round {
    fn ns_a_frame(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.seen.max(1) as f64
    }

    fn told(&self, name: &str) {
        let Self { offered, seen, dropped, took, .. } = self;
        let mpps = *offered as f64 / took.as_secs_f64() / 1e6;
        let lost = offered.saturating_sub(*seen);
        let share = 100.0 * lost as f64 / *offered as f64;
        let ns = self.ns_a_frame();
        println!(
            "capture/{name:<7} {offered:>9} offered at {mpps:.2} Mpps, {seen:>9} seen, {lost} lost ({share:.1} %), of which the \
             kernel tells {dropped}; {ns:.1} ns a frame"
        );
    }
}

/// An Ethernet frame of 64 bytes: an IPv6 packet without a next header, from 2001:db8::1 to 2001:db8::2.
fn frame() -> [u8; 64] {
    let mut frame = [0; 64];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame[12..16].copy_from_slice(&[0x86, 0xdd, 0x60, 0]);
    (frame[19], frame[20], frame[21]) = (10, 59, 64);
    frame[22..26].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
    frame[38..42].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
    (frame[37], frame[53]) = (1, 2);
    frame
}

/// Sends so many frames by the interface with that index, as fast as the kernel does that.
fn send(program: &Xdp, interface: u32, frames: u32) -> Result<(), ProgramError> {
    let frame = frame();
    // `struct xdp_md`: where data begins and ends, metadata, and where the frame is said to have come from.
    let context: Vec<u8> =
        [0, frame.len() as u32, 0, interface, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut left = frames;
    while left > 0 {
        let now = left.min(CALL);
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.ctx_in = Some(&context);
        options.repeat = now;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        program.test_run(options)?;
        left -= now;
    }
    Ok(())
}

/// Reads until the sender has ended and nothing comes any more; how many frames of the bench that were.
fn read(source: &mut dyn Source, ended: &AtomicBool) -> u64 {
    let (mut seen, mut idle) = (0, 0);
    while idle < 3 {
        let over = ended.load(Relaxed);
        let polled = source.poll(&mut |frames| {
            // A byte of each is looked at, as a parser would.
            seen += frames.iter().filter(|frame| frame.bytes.get(20) == Some(&59)).count() as u64;
        });
        idle = if over && polled.expect("the interface is there") == Poll::Idle { idle + 1 } else { 0 };
    }
    seen
}

fn round(program: &Xdp, backend: Backend, frames: u32) -> Result<Round, ProgramError> {
    let config = LiveConfig { backend, ignore_outgoing: true, ..LiveConfig::new("far") };
    let mut source = live(&config).expect("the interface can be captured on").remove(0);
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).expect("a socket to ask by");
    let interface = name_to_index(socket, "near").expect("the interface is there");
    let ended = AtomicBool::new(false);
    pin(0);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            pin(1);
            let clock = Stopwatch::start();
            let sent = send(program, interface, frames);
            let took = clock.elapsed();
            ended.store(true, Relaxed);
            sent.map(|()| took)
        });
        let before = processor_time();
        let seen = read(source.as_mut(), &ended);
        let cpu = processor_time() - before;
        let took = sender.join().expect("the sender ends")?;
        Ok(Round { offered: frames.into(), seen, dropped: source.kernel_drops(), took, cpu })
    })
}

/// Processor time of this thread so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Keeps this thread on a core, where there is one of that number.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    // On a machine with one core, both share it.
    let _ = sched_setaffinity(None, &cores);
}

/// Makes the pair of interfaces; whether that could be done.
fn interfaces() -> bool {
    let done = |command: &str| {
        let (program, arguments) = command.split_once(' ').expect("a program and arguments");
        let mut command = Command::new(program);
        command.args(arguments.split(' ')).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    [
        "ip link add near type veth peer name far",
        "ip link set near addrgenmode none",
        "ip link set far addrgenmode none",
        // Without it the kernel's own frames are dropped on their way from one end to the other, without a word.
        "ethtool -K near gro on",
        "ethtool -K far gro on",
        "ip link set near up",
        "ip link set far up",
    ]
    .into_iter()
    .all(done)
}

fn measure() -> Result<(), aya::EbpfError> {
    let mut ebpf = Ebpf::load(OBJECT)?;
    let program = ebpf.program_mut("generate").expect("the object holds the program");
    let program: &mut Xdp = program.try_into().expect("it is one");
    program.load().expect("the verifier takes the program");
    let (rounds, frames) = if smoke() { (1, 50_000) } else { (7, 2_000_000) };
    let mut costs = BACKENDS.map(|_| Vec::new());
    for _ in 0..rounds {
        for ((backend, name), costs) in BACKENDS.into_iter().zip(&mut costs) {
            match round(program, backend, frames) {
                Ok(round) => {
                    round.told(name);
                    costs.push(round.ns_a_frame());
                }
                Err(error) => {
                    println!("capture/{name}: not measured, since the kernel does not send: {error}");
                }
            }
        }
    }
    let median = |costs: &mut Vec<f64>| {
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let medians = costs.each_mut().map(median);
    for ((_, name), ns) in BACKENDS.into_iter().zip(medians) {
        println!("capture/{name:<7} {ns:.1} ns a frame in the median, {:.1} times the ring", ns / medians[0]);
    }
    Ok(())
}

fn main() {
    // As with the other benches, a word that is no option picks what is run.
    let picked = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if picked.is_some_and(|picked| !"capture".contains(&*picked)) {
        return;
    }
    if env::var_os(INSIDE).is_none() {
        let itself = env::current_exe().expect("the bench is a program");
        let inside = Command::new("unshare").arg("--net").arg(itself).env(INSIDE, "1").status();
        if !inside.is_ok_and(|status| status.success()) {
            println!("capture: not measured, since it needs root and the program `unshare`");
        }
        return;
    }
    if !interfaces() {
        return println!("capture: not measured, since it needs root and the programs `ip` and `ethtool`");
    }
    if let Err(error) = measure() {
        println!("capture: not measured, since programs may not be loaded here: {error}");
    }
}
