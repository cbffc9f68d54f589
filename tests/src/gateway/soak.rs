//! A gateway over a long time: load, changes of its feed, and fault upon fault, while nothing that it holds grows.

use std::env;
use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use credence_credit::{ActId, Measure, Score};
use credence_feed::Head;
use credence_law::{Object, Signed};
use credence_platform::example::{CAMPUS, VISITORS};
use credence_prefix::Prefix;

use super::fed::{Alliance, VISITOR, awaits};
use super::following::parts;
use super::live::{Site, quiet};
use super::network::{CLIENT, Client, between, ip, now};
use super::running::{Running, balances, exchange, fetch, sum, wait_for};
use super::traffic::{Arrivals, load_for, mount_bpf, send_for, sink};

/// Networks that alerts begin and end about.
const SUBJECTS: usize = 32;
/// A decision counts for an hour by itself; it is taken anew before.
const DECIDED_EACH: Duration = Duration::from_secs(1_200);
/// What may come to be touched after the first round of memory that a process holds from its start.
const TOUCHED_KIB: u64 = 16_384;
/// What the gateway may grow by in an hour, when it has had so long for that.
const GROWS_KIB_AN_HOUR: f64 = 1_024.0;
const SETTLES: Duration = Duration::from_secs(600);
/// Files that are open for a moment: who asks for the page.
const GUESTS: usize = 3;

/// How long it lasts, and how hard it is.
struct Plan {
    rounds: usize,
    /// From one fault to the next, half of which it stays.
    round: Duration,
    /// From one change of the feed to the next.
    change: Duration,
    /// Packets a millisecond.
    load: usize,
}

/// A round with each of the faults; an hour of them at length.
fn plan() -> Plan {
    let at_length = env::var_os("CREDENCE_AT_LENGTH").is_some_and(|value| value == "1");
    let seconds = Duration::from_secs;
    if at_length {
        Plan { rounds: 60, round: seconds(60), change: seconds(30), load: 150 }
    } else {
        Plan { rounds: FAULTS.len(), round: seconds(4), change: seconds(2), load: 10 }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Whoever fetches is killed.
    FetchingDies,
    /// Whoever fetches stands still.
    FetchingStandsStill,
    /// The whole gateway does.
    GatewayStandsStill,
    /// The configuration is read again.
    Reload,
    /// The platform says that it is away.
    Away,
    /// A bit of whatever it gives is another.
    Garbled,
    /// It takes questions and does not answer.
    Silent,
    /// Whoever asks for the page leaves before the answer.
    RudeGuests,
}

const FAULTS: [Fault; 8] = [
    Fault::FetchingDies,
    Fault::Away,
    Fault::GatewayStandsStill,
    Fault::Garbled,
    Fault::Reload,
    Fault::Silent,
    Fault::FetchingStandsStill,
    Fault::RudeGuests,
];

/// What stands between the platform and who asks it.
#[derive(Clone, Default)]
struct Between(Arc<AtomicU8>);

impl Between {
    fn set(&self, fault: Option<Fault>) {
        self.0.store(fault.map_or(u8::MAX, |fault| fault as u8), Ordering::Relaxed);
    }

    fn is(&self, fault: Fault) -> bool {
        self.0.load(Ordering::Relaxed) == fault as u8
    }

    async fn answer(self, request: Request, next: Next) -> Response {
        if self.is(Fault::Away) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        while self.is(Fault::Silent) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let is_stream = request.uri().path() == "/feed/events";
        let answer = next.run(request).await;
        if is_stream || !self.is(Fault::Garbled) {
            return answer;
        }
        let (head, body) = answer.into_parts();
        let mut bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        Response::from_parts(head, Body::from(bytes))
    }
}

/// What a gateway holds at a moment.
#[derive(Clone, Copy, Debug)]
struct Held {
    at: Instant,
    /// Its own memory, and that of whoever fetches, without what they share with others, in KiB.
    kib: [u64; 2],
    /// Its open files.
    files: usize,
}

/// The memory of a process that it shares with no other, in KiB.
fn own_kib(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// How many KiB an hour the memory grows by: the slope of the line of least squares.
fn slope(held: &[Held]) -> f64 {
    let first = held[0].at;
    let points = held.iter().map(|held| ((held.at - first).as_secs_f64() / 3_600.0, held.kib[0] as f64));
    let count = held.len() as f64;
    let (mean_x, mean_y) = points.clone().fold((0.0, 0.0), |(x, y), p| (x + p.0 / count, y + p.1 / count));
    let (above, below) = points.fold((0.0, 0.0), |(above, below), (x, y)| {
        (above + (x - mean_x) * (y - mean_y), below + (x - mean_x).powi(2))
    });
    above / below
}

struct Soak {
    alliance: Alliance,
    between: Between,
    running: Running,
    site: Site,
    /// Alerts in force, by their subject.
    alerts: [Option<ActId>; SUBJECTS],
    changes: usize,
    decided: Instant,
}

impl Soak {
    /// A network that traffic does not come from.
    fn subject(number: usize) -> Prefix {
        Prefix::containing((0x2001_0db8 << 96) | (u128::from(CAMPUS) << 92) | ((number as u128) << 80), 48)
    }

    fn decide(&mut self) {
        self.alliance.decide(Prefix::containing(VISITORS.first(), 48));
        self.decided = now();
    }

    /// Alerts and liftings in turn.
    fn change(&mut self) {
        if self.decided.elapsed() > DECIDED_EACH {
            self.decide();
        }
        let number = self.changes % SUBJECTS;
        self.changes += 1;
        let said = (Measure::RateLimit, Score::new(400).unwrap());
        let alliance = &mut self.alliance;
        self.alerts[number] = match self.alerts[number].take() {
            Some(act) => {
                alliance.submit(|parties, now| parties.lift(CAMPUS, act, now));
                None
            }
            None => {
                Some(alliance.submit(|parties, now| parties.alert(CAMPUS, Self::subject(number), said, now)))
            }
        };
    }

    /// Sends whoever fetches the signal of that name.
    fn signal(&self, name: &str) {
        for pid in parts("follower", &self.site.path("gateway.toml")) {
            // It may have ended.
            let _ = Command::new("kill").args([format!("-{name}"), pid]).output();
        }
    }

    fn begin(&self, fault: Fault) {
        match fault {
            Fault::FetchingDies => self.signal("KILL"),
            Fault::FetchingStandsStill => self.signal("STOP"),
            Fault::GatewayStandsStill => self.running.signal("STOP"),
            Fault::Reload => self.running.signal("HUP"),
            Fault::Away | Fault::Garbled | Fault::Silent => self.between.set(Some(fault)),
            Fault::RudeGuests => {}
        }
    }

    fn goes_on(&mut self, fault: Fault) {
        if fault == Fault::RudeGuests {
            let address = self.running.address();
            for bytes in [b"GET /metrics HTTP/1.1\r\n\r\n".as_slice(), b"GET /met", b"\0\xff\r\n\r\n", b""] {
                let guest = TcpStream::connect(address).unwrap();
                std::io::Write::write_all(&mut &guest, bytes).unwrap();
            }
        }
    }

    fn end(&self, fault: Fault) {
        match fault {
            Fault::FetchingStandsStill => self.signal("CONT"),
            Fault::GatewayStandsStill => self.running.signal("CONT"),
            _ => self.between.set(None),
        }
    }

    /// Waits until the gateway has what the platform says now.
    #[track_caller]
    fn follows(&mut self) {
        let bytes = exchange(self.alliance.address(), "GET /feed/head", b"").1;
        let head = Object::<Head>::decode(Signed::decode(&bytes).unwrap().bytes()).unwrap().body;
        let (serial, records) = (
            "credence_sync_serial{source=\"feed\"}".to_owned(),
            "credence_sync_records{source=\"feed\"}".to_owned(),
        );
        let expected = 1 + self.alerts.iter().flatten().count() as u64;
        // Two patiences: who lost the doorbell asks within 15 seconds, and who died is started again.
        let address = self.running.address();
        let found = (0..2).find_map(|_| {
            wait_for(|| {
                let (status, page) = fetch(address, "/metrics");
                let value = |name: &str| {
                    let line = page.lines().find_map(|line| line.strip_prefix(name))?;
                    line.trim().parse::<f64>().ok()
                };
                let is_there = value(&serial)? >= head.serial as f64 && value(&records)? == expected as f64;
                (status == 200 && is_there).then_some(())
            })
        });
        assert!(
            found.is_some(),
            "{expected} records of serial {} never came:\n{}",
            head.serial,
            self.running.stderr()
        );
    }

    fn held(&self) -> Held {
        let pid = self.running.pid().to_string();
        let fetching = parts("follower", &self.site.path("gateway.toml"));
        Held {
            at: now(),
            kib: [own_kib(&pid), own_kib(&fetching[0])],
            files: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        }
    }

    /// A round with a fault in its first half; what is held at its end.
    fn round(&mut self, fault: Fault, plan: &Plan) -> Held {
        let (began, mut changed) = (now(), now());
        self.begin(fault);
        let mut is_over = false;
        while began.elapsed() < plan.round {
            if changed.elapsed() >= plan.change {
                self.change();
                changed = now();
            }
            if !is_over && began.elapsed() * 2 >= plan.round {
                self.end(fault);
                is_over = true;
            }
            if !is_over {
                self.goes_on(fault);
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.follows();
        self.held()
    }
}

/// The fault of a round: each once, and then as a generator of full period draws them (Numerical Recipes, 1992, 7.1).
fn drawn(round: usize) -> Fault {
    let draw = |_| (0..round).fold(1_u32, |x, _| x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)) >> 16;
    FAULTS.get(round).copied().unwrap_or_else(|| FAULTS[draw(()) as usize % FAULTS.len()])
}

/// The client: a datagram a millisecond from two addresses, and the load.
fn send() {
    let plan = plan();
    ip(&format!("addr replace {VISITOR}/128 dev lan nodad"));
    // Until it is killed, or this has lasted far too long.
    let lasts = plan.round * u32::try_from(plan.rounds).unwrap() * 20;
    thread::spawn(move || send_for(&[CLIENT, VISITOR], lasts));
    load_for(plan.load, lasts);
}

fn soaked(client: &Client) {
    let plan = plan();
    mount_bpf();
    // Else the kernel brings pages that were never touched together with others that were, once in a while, and that is no growth.
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    ip(&format!("route replace {VISITOR}/128 dev wan"));
    let alliance = Alliance::start();
    let between = Between::default();
    between.set(None);
    let site = Site::new(&format!(
        "workers = 1\n[enforce]\nmode = \"on\"\non_failure.engine_down = \"static\"\non_failure.worker_stuck = \"static\"\n{}",
        alliance.followed_through(Duration::from_secs(5), |platform| {
            let between = between.clone();
            platform.layer(from_fn(move |request, next| between.clone().answer(request, next)))
        })
    ));
    let mut running = site.start();
    let asked = "credence_sync_last_success_timestamp_seconds{source=\"feed\"}";
    running.metrics_when(|numbers| numbers.get(asked).is_some_and(|at_s| *at_s > 0));
    let mut soak =
        Soak { alliance, between, running, site, alerts: [None; SUBJECTS], changes: 0, decided: now() };
    soak.decide();
    awaits(&mut soak.running, "records", 1, now());
    let _sink = sink();
    let (before, carried_before) = quiet(&mut soak.running);
    let arrivals = Arrivals::noted();
    let playing = client.begin();
    let began = arrivals.first(CLIENT, now());
    let mut seen: Vec<Held> = Vec::new();
    for round in 0..plan.rounds {
        let fault = drawn(round);
        let held = soak.round(fault, &plan);
        let (lost, listed) = (arrivals.lost(CLIENT, began), arrivals.since(VISITOR, began).len());
        println!("round {round}, {fault:?}: {:?} KiB, {} files", held.kib, held.files);
        assert_eq!(
            (listed, lost),
            (0, 0),
            "what was decided is on the wire, and nothing else, whatever happens"
        );
        seen.push(held);
        let first = seen[0];
        for (now, first) in held.kib.iter().zip(first.kib) {
            assert!(*now <= first + TOUCHED_KIB, "{held:?} after {first:?}");
        }
        assert!(held.files <= first.files + GUESTS, "{held:?} after {first:?}");
    }
    let took = began.elapsed();
    drop(playing);
    let (after, carried_after) = quiet(&mut soak.running);
    let count = |metric| sum(&after, metric) - sum(&before, metric);
    let dropped = "credence_enforce_packets_total{reason=\"listed\",verdict=\"drop\"}";
    let explained = [
        count("credence_received_packets_total"),
        count("credence_kernel_drops_total"),
        after[dropped] - before[dropped],
    ];
    let carried = carried_after - carried_before;
    println!("{carried} frames in {took:?}: [received, lost in the kernel, dropped] are {explained:?}");
    assert_eq!(carried, explained.iter().sum::<u64>(), "each frame is accounted for");
    assert!(balances(&after));
    let settled: Vec<_> = seen.iter().filter(|held| held.at - began > SETTLES).copied().collect();
    if settled.len() > 2 {
        let grows = slope(&settled);
        println!("the gateway grows by {grows:.0} KiB an hour");
        assert!(grows < GROWS_KIB_AN_HOUR, "{settled:?}");
    }
    soak.running.signal("TERM");
    soak.running.end().expect(0);
}

#[test]
fn a_gateway_grows_in_nothing_and_loses_nothing_unexplained_at_length() {
    between(
        "gateway::soak::a_gateway_grows_in_nothing_and_loses_nothing_unexplained_at_length",
        soaked,
        send,
    );
}
