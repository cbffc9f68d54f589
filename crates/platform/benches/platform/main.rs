//! The platform as one process under load, by HTTP over the loopback interface, with clients on the same cores.
//!
//! | what | how |
//! |---|---|
//! | `submit/paced` | 500 signed acts a second by five members on a connection each, each act at its moment whatever became of those before; from that moment to the answer |
//! | `submit/full` | five members that hand in one act after another as fast as they are answered: a member's acts are numbered, and do not overtake each other |
//! | `submit/together` | one connection that hands in 256 acts at once |
//! | `visible` | from an act's moment until a checkpoint behind it is there to be fetched |
//! | `inquire` | 16 connections that look one subject after another up, while nothing is handed in |
//! | `start` | the journal read and checked again, act by act, until the process listens |
//! | `record` | the institution's own record, which `/metrics` tells, of a book of as many acts as `size` has; the shortest and the middle of nine |
//! | `round` | an act that is new until a head states it that every gateway would believe, without a server, with a hundredth, a tenth and all of the records that `size` has in force; and beside it what it takes to look at all of them once |
//! | `size` | a journal with one act for each of many subjects: a million, or as many as in `CREDENCE_BENCH_SUBJECTS` |
//!
//! The journal is a file, or with `CREDENCE_BENCH_DATABASE` in a PostgreSQL database of that URL; `size` is of a file alone.
//! `CREDENCE_BENCH_ONLY=round` leaves the others out. `CREDENCE_BENCH_SMOKE=1` shows that all of it runs, and measures nothing.

#![expect(clippy::disallowed_methods, reason = "what takes how long is the question")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on says where")]

mod client;
mod feed;
mod record;
mod site;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_platform::desk::Entry;
use credence_platform::store::{Address, Store};
use serde_json::json;

use self::client::Client;
use self::site::{MEMBERS, Served, Site};

/// Connections of those who look subjects up.
const CONNECTIONS: usize = 16;
/// Acts that are handed in a second, where they come at their moments.
const PACE: u32 = 500;

/// How much is measured.
struct Scale {
    seconds: u32,
    full: usize,
    together: usize,
    inquiries: usize,
    subjects: u64,
}

impl Scale {
    fn chosen() -> Self {
        if std::env::var_os("CREDENCE_BENCH_SMOKE").is_some_and(|value| value == "1") {
            return Self { seconds: 1, full: 160, together: 1, inquiries: 320, subjects: 2_000 };
        }
        let subjects = std::env::var("CREDENCE_BENCH_SUBJECTS").ok().and_then(|count| count.parse().ok());
        let subjects = subjects.unwrap_or(1_000_000);
        Self { seconds: 20, full: 20_000, together: 40, inquiries: 100_000, subjects }
    }
}

fn main() {
    let scale = Scale::chosen();
    [100, 10, 1].into_iter().for_each(|part| feed::round(scale.subjects / part));
    if std::env::var_os("CREDENCE_BENCH_ONLY").is_some_and(|only| only == "round") {
        return;
    }
    let site = Site::new();
    let mut acts = site.acts();
    let mut served = site.serve();
    paced(&served, &acts.take(scale.seconds * PACE));
    full(&served, &acts.take(scale.full as u32));
    together(&served, &mut acts, scale.together);
    inquire(&served, scale.inquiries);
    let entries = served.entries();
    served.stop();
    let begin = Instant::now();
    served = site.serve();
    let seconds = begin.elapsed().as_secs_f64();
    println!("start: {entries} acts in {seconds:.2} s, {:.0} a second", entries as f64 / seconds);
    served.stop();
    record::record(scale.subjects);
    if let Address::File(_) = site.address() {
        size(&site, scale.subjects);
    }
}

/// Runs `each` with the numbers from 0 on, dealt out in turn to as many connections as there are `clients`. Returns what each took.
fn spread(
    served: &Served,
    clients: usize,
    count: usize,
    each: impl Fn(&mut Client, usize) -> Duration + Sync,
) -> Vec<Duration> {
    let work = &|first: usize| {
        let mut client = Client::connect(served.address());
        (first..count).step_by(clients).map(|number| each(&mut client, number)).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..clients).map(|first| scope.spawn(move || work(first))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Prints the rate, and how long the middle one, one in a hundred and the longest took.
fn tell(what: &str, whole: Duration, mut took: Vec<Duration>) {
    took.sort_unstable();
    let ms = |place: usize| took[place.min(took.len() - 1)].as_secs_f64() * 1e3;
    let rate = took.len() as f64 / whole.as_secs_f64();
    let (median, p99, longest) = (ms(took.len() / 2), ms(took.len() * 99 / 100), ms(took.len() - 1));
    println!("{what}: {rate:.0} a second; median {median:.2} ms, p99 {p99:.2} ms, longest {longest:.2} ms");
}

fn paced(served: &Served, acts: &[Vec<u8>]) {
    let begin = Instant::now();
    let moment = |number: usize| begin + Duration::from_secs(1) / PACE * number as u32;
    let visible = Mutex::new(Vec::new());
    let took = spread(served, MEMBERS, acts.len(), |client, number| {
        thread::sleep(moment(number).saturating_duration_since(Instant::now()));
        let place = client.hand_in(&acts[number]);
        let took = moment(number).elapsed();
        if number % 50 == 0 {
            while client.published() <= place {}
            visible.lock().unwrap().push(moment(number).elapsed());
        }
        took
    });
    let whole = begin.elapsed();
    tell("submit/paced", whole, took);
    tell("visible", whole, visible.into_inner().unwrap());
}

fn full(served: &Served, acts: &[Vec<u8>]) {
    let begin = Instant::now();
    let took = spread(served, MEMBERS, acts.len(), |client, number| {
        let begin = Instant::now();
        client.hand_in(&acts[number]);
        begin.elapsed()
    });
    tell("submit/full", begin.elapsed(), took);
}

fn together(served: &Served, acts: &mut site::Acts<'_>, times: usize) {
    let mut client = Client::connect(served.address());
    let bodies = (0..times).map(|_| {
        let acts: Vec<_> = acts.take(256).iter().map(|act| STANDARD.encode(act)).collect();
        json!({ "acts": acts }).to_string()
    });
    let bodies: Vec<_> = bodies.collect();
    let begin = Instant::now();
    for body in &bodies {
        let answer = client.ask("POST", "/acts", "Content-Type: application/json\r\n", body.as_bytes());
        assert_eq!(answer.matches("\"status\":201").count(), 256, "{answer}");
    }
    let rate = (times * 256) as f64 / begin.elapsed().as_secs_f64();
    println!("submit/together: {rate:.0} a second, 256 at once");
}

fn inquire(served: &Served, count: usize) {
    let begin = Instant::now();
    let took = spread(served, CONNECTIONS, count, |client, number| {
        let begin = Instant::now();
        let subject = format!("/subjects/2001:db8:1{:03x}:{:x}::1", number % 4_096, number % 7_919);
        assert!(client.ask("GET", &subject, "", b"").contains("\"score\""));
        begin.elapsed()
    });
    tell("inquire", begin.elapsed(), took);
}

/// Writes acts about so many subjects into a journal of its own. What they say is copied, and their signatures hold for none of
/// them: a database takes them for bytes.
fn size(site: &Site, subjects: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.db");
    let act = site.acts().take(1).remove(0);
    let entry = |place: u64| {
        let mut sent = act.clone();
        // Nothing that a database could find twice.
        let stir = |at: usize| place.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(at as u32) as u8;
        sent.iter_mut().enumerate().skip(60).for_each(|(at, byte)| *byte ^= stir(at));
        let mut id = [0; 32];
        id.iter_mut().enumerate().for_each(|(at, byte)| *byte = stir(at * 7) ^ stir(at * 11 + 3));
        id[..8].copy_from_slice(&place.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        Entry {
            place,
            accepted: 1_800_000_000 + place,
            id: credence_credit::ActId(id),
            salt: None,
            sent: Some(sent),
        }
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(&Address::File(path.clone())).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        for first in (0..subjects).step_by(4_096) {
            let entries: Vec<_> = (first..subjects.min(first + 4_096)).map(entry).collect();
            writer.append(&entries).await.unwrap();
        }
        writer.close().await.unwrap();
        store.close().await;
    });
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("size: {subjects} acts in {:.1} MB, {} bytes each", bytes as f64 / 1e6, bytes / subjects);
}
