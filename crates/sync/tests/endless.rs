//! Servers without end, and what listening to them costs in memory.
//!
//! A test of its own, since the memory of the whole process is looked at: the largest amount that was resident since the mark was set
//! (`VmHWM` in proc_pid_status(5), set back by writing 5 to `clear_refs`, proc_pid_clear_refs(5)).

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a place and a cause")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use credence_sync::fetch::{Fetched, Fetcher, Patience, Place, Refused, Validators};
use tokio::runtime::{Builder, Runtime};

const OK: &str = "HTTP/1.1 200 OK\r\n";
const MIB: u64 = 1 << 20;
/// What any answer may cost beside the bytes that are asked for, in bytes.
const COST_MAX: u64 = 8 * MIB;
/// The most bytes of a head.
const METADATA: u64 = MIB;
/// Such as the longest shard of a feed.
const MUCH: u64 = 1 << 30;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Tests have less of it than gateways, and a fast network.
const PATIENCE: Patience =
    Patience { connect: ms(1_000), idle: ms(500), total: ms(2_000), window: ms(400), least: 1_000 };

/// A server that says `first`, and then `again` as often as somebody hears it.
fn saying(first: impl Into<String>, again: impl Into<String>) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::parse(&format!("http://{}/file", listener.local_addr().unwrap()), false).unwrap();
    let (first, again) = (first.into(), again.into());
    // Many at once, so that it is the listener who sets the pace.
    let again = again.repeat(65_536 / again.len().max(1));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                request.push(byte[0]);
            }
            let mut said = stream.write_all(first.as_bytes());
            while said.is_ok() && !again.is_empty() {
                said = stream.write_all(again.as_bytes());
            }
            if said.is_ok() {
                thread::sleep(ms(3_000));
            }
        }
    });
    place
}

/// What is resident now, and the most that was since the mark was set, in bytes.
fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// What `work` comes to, and by how many bytes this process grew at most meanwhile.
fn grown<T>(work: impl FnOnce() -> T) -> (T, u64) {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, _) = resident();
    let done = work();
    (done, resident().1.saturating_sub(before))
}

fn fetch(runtime: &Runtime, fetcher: &Fetcher, place: &Place, most: u64) -> Result<Fetched, Refused> {
    let fetched = runtime.block_on(fetcher.fetch(place, most, &Validators::default()));
    fetched.map_err(|failure| failure.why)
}

#[test]
fn whatever_has_no_end_costs_no_more_than_what_was_asked_for() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let fetcher = Fetcher::new(PATIENCE).unwrap();
    let line = "x".repeat(4_094);
    // Whatever the first answer costs is no matter of its length.
    let short = saying(format!("{OK}Content-Length: 3\r\n\r\nabc"), "");
    assert!(matches!(fetch(&runtime, &fetcher, &short, METADATA), Ok(Fetched::Body { .. })));
    // The gauge shows what is taken.
    let kept = saying(format!("{OK}Connection: close\r\n\r\n"), &line);
    let (refused, cost) = grown(|| fetch(&runtime, &fetcher, &kept, 64 * MIB));
    assert_eq!(refused, Err(Refused::TooLong));
    assert!(
        (64 * MIB..=2 * 64 * MIB + COST_MAX).contains(&cost),
        "64 MiB that were asked for took {cost} bytes"
    );

    let chunked = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("fff\r\n{line}x\r\n");
    let cases = [
        ("a body in chunks", &*chunked, &*chunk, METADATA, &[Refused::TooLong][..]),
        ("a body until the end", &format!("{OK}\r\n"), &line, METADATA, &[Refused::TooLong]),
        (
            "an absurd length",
            &format!("{OK}Content-Length: 9999999999999\r\n\r\n"),
            &line,
            MUCH,
            &[Refused::TooLong],
        ),
        (
            "a length of which nothing comes",
            &format!("{OK}Content-Length: {MUCH}\r\n\r\nx"),
            "",
            MUCH,
            &[Refused::Idle],
        ),
        ("header lines", OK, "X-Header: value\r\n", MUCH, &[Refused::Malformed]),
        ("one header line", &format!("{OK}X: "), &line, MUCH, &[Refused::Malformed]),
        ("one name of a header", OK, &line, MUCH, &[Refused::Malformed]),
        ("a first line", "HTTP/1.1 200 ", &line, MUCH, &[Refused::Malformed]),
        (
            "answers before the answer",
            "",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            MUCH,
            &[Refused::Idle],
        ),
        ("the length of a chunk", &chunked, "0", MUCH, &[Refused::Idle]),
        ("the extension of a chunk", &format!("{chunked}5;x="), &line, MUCH, &[Refused::Cut, Refused::Idle]),
        (
            "trailers",
            &format!("{chunked}0\r\n"),
            "X-Trailer: value\r\n",
            MUCH,
            &[Refused::Cut, Refused::Idle],
        ),
    ];
    for (name, first, again, most, why) in cases {
        let place = saying(first, again);
        let (fetched, cost) = grown(|| fetch(&runtime, &fetcher, &place, most));
        let word = fetched.expect_err(name);
        eprintln!("{name}: {word:?}, {cost} bytes");
        assert!(why.contains(&word), "{name}: {word:?}");
        let asked_for = if most == METADATA { 2 * METADATA } else { 0 };
        assert!(cost <= asked_for + COST_MAX, "{name}: {cost} bytes");
    }

    // A doorbell that tells of one event and never comes to its end.
    let bell = saying(format!("{OK}Content-Type: text/event-stream\r\n\r\n:"), &line);
    let (_, cost) = grown(|| {
        runtime.block_on(async {
            tokio::time::timeout(ms(1_000), fetcher.listen(&bell, || true)).await.expect_err("it has no end")
        })
    });
    assert!(cost <= COST_MAX, "the doorbell: {cost} bytes");
}
