//! What a gateway takes to put a feed in force: a hundred issuers' rows from files on disk to the map that packets are looked up in, with
//! every signature checked.
//!
//! Three processes, as in earnest: this one is the publisher and has a directory as its mirror; a `follower` asks for what is new there,
//! checks it and keeps it; a `gateway` reads what was kept, checks it once more and puts it in force. Most of that is done on two cores.
//! Each line is of one step, by milliseconds of processor time of the thread that leads, so that what else runs on the machine hardly
//! counts: where a second core is free, that is how long it takes. `worked` is the processor time of all threads, the reader's included
//! where there is one, and `wall` is by the clock (`taskset -c 0` shows what a single core makes of it):
//!
//! - `apply/<rows>/follower/<step>`: until it is `checked`, until it is on the disk (`kept`), and its memory.
//! - `apply/<rows>/gateway/whole`: all of it: read and `checked`, its `records`, the cache `built`, and `all` of that with the swap. Done by
//!   a process that ends with it (`alone`), and by one in which a thread looks up addresses without pause (`beside`).
//! - `apply/<rows>/gateway/delta`: one in which ten thousand rows are others: read and `checked`, what is other among the records
//!   (`amended`), what is to change in the cache (`found`), whether the guards let it pass (`bounded`), and changed in place (`changed`);
//!   `all` of that with what was held before let go. The rows are those of a hundred issuers, of ten or of one. Medians of every other
//!   delta, while the reader rests (`alone`), and of those `beside` it. `whole` is what the same takes when all is built anew and compared,
//!   as after a change of the rules.
//! - `memory`: what the process holds (`now`) and has held (`most`) in MB, the latter with what was built beside.
//! - `reader`: look-ups a microsecond with nothing beside, while all is built (`whole`), and while deltas are put in force (`delta`); and
//!   the longest time that a batch of 256 took in each, in microseconds.
//!
//! A million rows; `CREDENCE_BENCH_LARGE=1` takes ten million, `CREDENCE_BENCH_SMOKE=1` ten thousand.

#![expect(clippy::disallowed_methods, reason = "what takes how long is the question")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on says where")]

mod gateway;
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use credence_benches::{large, smoke};
use credence_law::party::World;
use credence_memory::allocator::{self, MiMalloc};
use credence_sync::feed::{
    Answer, Done, Folder, Follower, Kept, keep_rules, keep_state, keep_taken, keep_trusted,
};

use rustix::time::{ClockId, Timespec, clock_gettime};

use self::world::{ISSUERS, Publisher, pinned};

/// As the gateway has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Rows that a delta has.
const CHANGED: usize = 10_000;
/// Of how many issuers each; one alone changes all that it says, where there are a million rows.
const SPREADS: [usize; 3] = [ISSUERS as usize, 10, 1];
/// Deltas of each spread: as many while the reader rests as beside it.
const DELTAS: usize = 14;

/// The directories that the processes share.
#[derive(Clone)]
struct Place {
    mirror: PathBuf,
    kept: PathBuf,
    world: World,
}

/// A process that does a step for each line.
struct Helper {
    _process: Child,
    orders: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Helper {
    fn start(part: &str, place: &Place) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(part).arg(&place.mirror).arg(&place.kept).arg(place.world.to_string());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (orders, says) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { _process: process, orders, says: BufReader::new(says) }
    }

    fn step(&mut self, name: &str, rows: usize) {
        writeln!(self.orders, "{name}").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "a process has ended at {name}");
            match line.trim_end() {
                "" => return,
                line => println!("apply/{rows}/{line}"),
            }
        }
    }
}

fn main() {
    allocator::give_back_at_once();
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, part, mirror, kept, world] = &arguments[..] {
        let byte = |at: usize| u8::from_str_radix(&world[2 * at..2 * at + 2], 16).unwrap();
        let world = World(core::array::from_fn(byte));
        let place = Place { mirror: mirror.into(), kept: kept.into(), world };
        return match part.as_str() {
            "follower" => follower(&place),
            "alone" => gateway::alone(&place),
            _ => gateway::run(&place),
        };
    }
    let rows = match (smoke(), large()) {
        (true, _) => 10_000,
        (_, true) => 10_000_000,
        _ => 1_000_000,
    };
    let directory = tempfile::tempdir().unwrap();
    let [mirror, kept] = ["mirror", "kept"].map(|name| directory.path().join(name));
    let mut publisher = Publisher::new(rows, &mirror);
    println!("apply/{rows}/snapshot  bytes_each {:.1}", publisher.snapshot_bytes() as f64 / rows as f64);
    let place = Place { mirror, kept, world: publisher.world() };
    let mut follower = Helper::start("follower", &place);
    follower.step("whole", rows);
    Helper::start("alone", &place).step("whole", rows);
    let mut gateway = Helper::start("gateway", &place);
    gateway.step("whole", rows);
    for spread in SPREADS {
        for _ in 0..if smoke() { 2 } else { DELTAS } {
            publisher.change(CHANGED.min(rows / 100), spread);
            follower.step("delta", rows);
            gateway.step("delta", rows);
        }
        gateway.step(&format!("told {spread}"), rows);
    }
    gateway.step("end", rows);
}

/// Follows the mirror into the directory of what is kept.
fn follower(place: &Place) {
    let mut disk = Folder::new(&place.kept).unwrap();
    let (kept, faults) = Kept::read(&disk, place.world);
    assert!(faults.is_empty(), "{faults:?}");
    let mut follower = Follower::new(pinned(place.world), kept);
    for step in std::io::stdin().lines() {
        let begin = Moment::now();
        let mut refresh = follower.refresh(world::now(&place.mirror));
        let mut rules = None;
        let next = loop {
            let ask = refresh.ask().unwrap();
            let found = fs::read(place.mirror.join(ask.path()));
            let done = refresh.answer(found.map_or(Answer::Missing, Answer::Bytes)).unwrap();
            rules = refresh.take_rules().or(rules);
            match done {
                None => {}
                Some(Done::New(next)) => break next,
                Some(Done::Same) => panic!("nothing is new"),
            }
        };
        let checked = begin.ms();
        if let Some(rules) = rules {
            keep_rules(&mut disk, &rules).unwrap();
            follower.adopt(rules);
        }
        keep_trusted(&mut disk, &next).unwrap();
        let head = next.head.clone();
        follower.commit(*next);
        let held = follower.held().unwrap();
        keep_state(&mut disk, &head, held).unwrap();
        keep_taken(&mut disk, &held.state.root()).unwrap();
        let (kept, step) = (begin.ms(), step.unwrap());
        let (worked, wall) = (begin.worked_ms(), begin.wall_ms());
        println!(
            "follower/{step}  checked {checked:.1}  kept {kept:.1}  worked {worked:.1}  wall {wall:.1}  {}\n",
            memory()
        );
    }
}

/// A moment by the processor time of this thread and of all threads, and by the clock.
#[derive(Clone, Copy)]
struct Moment {
    led: Timespec,
    worked: Timespec,
    wall: Instant,
}

impl Moment {
    fn now() -> Self {
        let [led, worked] = [ClockId::ThreadCPUTime, ClockId::ProcessCPUTime].map(clock_gettime);
        Self { led, worked, wall: Instant::now() }
    }

    /// Milliseconds of this thread's processor time since.
    fn ms(self) -> f64 {
        ms_between(self.led, clock_gettime(ClockId::ThreadCPUTime))
    }

    /// Milliseconds of all threads' processor time since.
    fn worked_ms(self) -> f64 {
        ms_between(self.worked, clock_gettime(ClockId::ProcessCPUTime))
    }

    /// Milliseconds since by the clock.
    fn wall_ms(self) -> f64 {
        self.wall.elapsed().as_secs_f64() * 1e3
    }
}

fn ms_between(one: Timespec, other: Timespec) -> f64 {
    (other.tv_sec - one.tv_sec) as f64 * 1e3 + (other.tv_nsec - one.tv_nsec) as f64 / 1e6
}

/// What this process holds and has held.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mb = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
    };
    format!("now_mb {}  most_mb {}", mb("VmRSS:"), mb("VmHWM:"))
}

/// The middle of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Writes a file of the mirror.
fn put(mirror: &Path, path: &str, bytes: &[u8]) {
    let path = mirror.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
