//! One platform process and everybody who follows it, by HTTP over the loopback interface, on the same cores.
//!
//! | what | how |
//! |---|---|
//! | `fanout` | 1,000 clients, each as a gateway has it, with its doorbell, its connections and its folder; an act a second for twenty seconds; from the acknowledgement of an act until a client has written down and believes the head that states it, and until the last client has |
//! | `polled` | 10,000 who poll every 15 seconds for a minute, each at its moment whatever became of others: what a client asks for first, which is the rule behind those that it knows, and the head if it is another one; from the moment to the end of the second answer, while an act a second is published |
//!
//! Who polls is not 10,000 connections: each of 256 goes on with one poll after the other, and a poll that had to wait for the one
//! before it is counted from its own moment on. Folders lie where `CREDENCE_BENCH_DIR` says, or with other temporary files.
//! `CREDENCE_BENCH_CLIENTS`, `CREDENCE_BENCH_UPDATES` and `CREDENCE_BENCH_POLLERS` choose other numbers, of which 0 leaves one out;
//! `CREDENCE_BENCH_SMOKE=1` shows that all of it runs, and measures nothing.

#![expect(clippy::disallowed_methods, reason = "what takes how long is the question")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on says where")]

mod fanout;
mod platform;
mod polled;

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// How much is measured.
#[derive(Clone, Copy)]
struct Scale {
    clients: usize,
    updates: u32,
    pollers: usize,
    polls: u32,
}

impl Scale {
    fn chosen() -> Self {
        if std::env::var_os("CREDENCE_BENCH_SMOKE").is_some_and(|value| value == "1") {
            return Self { clients: 8, updates: 2, pollers: 300, polls: 1 };
        }
        let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<usize>().ok());
        Self {
            clients: number("CREDENCE_BENCH_CLIENTS").unwrap_or(1_000),
            updates: number("CREDENCE_BENCH_UPDATES").unwrap_or(20) as u32,
            pollers: number("CREDENCE_BENCH_POLLERS").unwrap_or(10_000),
            polls: 4,
        }
    }
}

fn main() {
    // Each client has a few connections of its own.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit }).unwrap();
    if let Some(directory) = std::env::var_os(platform::DIRECTORY) {
        return platform::serve(directory.as_ref());
    }
    let scale = Scale::chosen();
    if scale.clients > 0 {
        fanout::run(scale);
    }
    if scale.pollers > 0 {
        polled::run(scale);
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

/// A directory for what is measured.
fn directory() -> TempDir {
    match std::env::var_os("CREDENCE_BENCH_DIR") {
        Some(parent) => TempDir::new_in(parent).unwrap(),
        None => TempDir::new().unwrap(),
    }
}

/// Prints the middle one, one in a hundred and the longest, and how many there were.
fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let ms = |place: usize| took[place.min(took.len() - 1)].as_secs_f64() * 1e3;
    let (median, p99, longest) = (ms(took.len() / 2), ms(took.len() * 99 / 100), ms(took.len() - 1));
    println!("{what}: median {median:.0} ms, p99 {p99:.0} ms, longest {longest:.0} ms, of {}", took.len());
}

/// The processor time that a process has taken so far, by what the kernel says of it in clock ticks, of which there are a hundred a
/// second (proc(5)).
fn processor(process: u32) -> Duration {
    let told = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let behind_name = told.rsplit_once(')').unwrap().1;
    let ticks: u64 =
        behind_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
