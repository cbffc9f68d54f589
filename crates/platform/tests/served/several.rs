//! Two processes on one PostgreSQL, either of which may be killed.

use std::collections::{BTreeSet, HashMap};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use credence_credit::ActId;
use credence_feed::Head;
use credence_law::{Object, Signed};
use credence_platform::published::origin;
use credence_platform::serve::now;
use credence_prefix::Prefix;
use credence_sync::feed::{Client, Folder, Kept, Mirror, Pinned, Plan, Timings, Told};
use credence_sync::fetch::{Fetcher, Patience};
use credence_sync::lists::Machine;
use tokio::time::Instant;

use super::postgres::start;
use super::world::{Server, Site, ask, id, run, told};

/// How long acts may wait for another process to lead, on a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(20);
/// How often one is killed: or as often as `CREDENCE_KILLS` says.
const KILLS: usize = 8;

/// A world, and two processes that serve it.
struct Pair {
    sites: [Site; 2],
    addresses: [String; 2],
    is_over: AtomicBool,
    taken: Mutex<Vec<(ActId, Prefix)>>,
    heads: Mutex<HashMap<(u64, u64), Vec<u8>>>,
}

impl Pair {
    fn serve(&self, number: usize) -> Server {
        let [rate, burst] = ["--rate", "--burst"].map(|limit| [limit, "100000"]);
        self.sites[number].serve_on(&self.addresses[number], &[rate, burst].concat())
    }

    /// Hands in one alert after another, each to either until it is taken.
    fn hand_in(&self, member: u16) {
        for number in 1.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let site = number as u16 % 4_096;
            let alert = self.sites[0].alert_by(member, number, site);
            for turn in number as usize.. {
                let address = &self.addresses[turn % 2];
                match ask(address, "POST", "/acts", "", &alert.encode()) {
                    Ok(answer) if matches!(answer.status, 200 | 201) => break,
                    Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                    Err(_) => {}
                }
                thread::sleep(Duration::from_millis(20));
            }
            let prefix = format!("2001:db8:{member}{site:03x}::/48").parse().unwrap();
            self.taken.lock().unwrap().push((id(&alert), prefix));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Looks at what both publish: two heads of one version are two faces.
    fn watch(&self) {
        let mut newest = [(0, 0); 2];
        while !self.is_over.load(Ordering::Relaxed) {
            for (address, newest) in self.addresses.iter().zip(&mut newest) {
                let Ok(answer) = ask(address, "GET", "/feed/head", "", b"") else { continue };
                if answer.status != 200 {
                    continue;
                }
                let signed = Signed::decode(&answer.body).unwrap();
                let head = Object::<Head>::decode(signed.bytes()).unwrap().body;
                let version = (head.session, head.serial);
                assert!(version >= *newest, "{version:?} after {newest:?}");
                *newest = version;
                let mut heads = self.heads.lock().unwrap();
                let known = heads.entry(version).or_insert_with(|| answer.body.clone());
                assert_eq!(*known, answer.body, "two heads are called {version:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn leads(&self, number: usize) -> bool {
        let page = ask(&self.addresses[number], "GET", "/metrics", "", b"");
        page.is_ok_and(|page| page.text().contains("credence_platform_leads 1"))
    }

    /// Waits until so many more were taken; how long that took.
    fn go_on(&self, more: usize) -> Duration {
        let (begun, due) = (Instant::now(), self.taken.lock().unwrap().len() + more);
        while self.taken.lock().unwrap().len() < due {
            assert!(begun.elapsed() < TAKEN_OVER, "nobody takes anything");
            thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    }

    /// A gateway that follows both.
    fn gateway(&self, disk: &Folder) -> Client {
        let world = self.sites[0].world;
        let pinned = Pinned {
            world,
            origin: origin(world, 1),
            witnesses: Vec::new(),
            witness_quorum: 0,
            allow_example: true,
        };
        let mirrors = self.addresses.iter().map(|address| Mirror::parse(&format!("http://{address}"), false));
        let mirrors = mirrors.collect::<Result<_, _>>().unwrap();
        let timings = Timings { refresh: 1, retry: 1, retry_max: 1 };
        let machine = Machine { unix_s: now, chance: || 7 };
        let fetcher = Fetcher::new(Patience::default()).unwrap();
        Client::new(fetcher, Plan { pinned, mirrors, timings }, disk.clone(), machine)
    }
}

/// Follows until everything that was acknowledged is in force, and the load is over.
fn follow(pair: &Pair) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Folder::new(directory.path()).unwrap();
    let mut client = pair.gateway(&disk);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut newest, mut ended) = (0, None);
    loop {
        match runtime.block_on(client.ask()).unwrap() {
            Told::New(offer) => {
                assert!(offer.serial > newest, "{} after {newest}", offer.serial);
                newest = offer.serial;
            }
            Told::Refused(_, why) => assert!(
                ["unreachable", "busy", "absent", "hash", "log", "rollback", "cut", "malformed"]
                    .contains(&why.name()),
                "{why}"
            ),
            Told::Fresh(_) => {}
        }
        if pair.is_over.load(Ordering::Relaxed) {
            let ended = *ended.get_or_insert_with(Instant::now);
            let taken: BTreeSet<_> = pair.taken.lock().unwrap().iter().map(|(_, prefix)| *prefix).collect();
            let held = Kept::read(&disk, pair.sites[0].world).0.held.unwrap().snapshot().unwrap();
            let held: BTreeSet<_> = held.records().iter().map(|record| record.prefix).collect();
            if taken == held {
                return;
            }
            assert!(ended.elapsed() < TAKEN_OVER, "{} of {} are in force", held.len(), taken.len());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn either_of_two_processes_may_be_killed() {
    let cluster = start();
    let site = Site::on(Some(&cluster.database()));
    let sites = [site.twin(), site];
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let pair = Pair {
        sites,
        addresses: [free(), free()],
        is_over: AtomicBool::new(false),
        taken: Mutex::default(),
        heads: Mutex::default(),
    };
    let mut servers = [0, 1].map(|number| Some(pair.serve(number)));
    assert!(pair.leads(0) && !pair.leads(1));
    let standing = ask(&pair.addresses[1], "GET", "/readyz", "", b"").unwrap();
    assert!(standing.status == 200 && standing.text().contains("stands by"), "{}", standing.text());
    let kills = std::env::var("CREDENCE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let mut pauses = Vec::new();
    thread::scope(|scope| {
        for member in [1, 2] {
            let pair = &pair;
            scope.spawn(move || pair.hand_in(member));
        }
        scope.spawn(|| pair.watch());
        scope.spawn(|| follow(&pair));
        // Whatever fails here ends the others as well.
        let _end = End(&pair.is_over);
        for kill in 0..kills {
            pair.go_on(4 + kill % 5);
            // Every third time it is the one that stands by.
            let leader = usize::from(pair.leads(1));
            let victim = if kill % 3 == 2 { 1 - leader } else { leader };
            thread::sleep(Duration::from_millis(kill as u64 * 37 % 50));
            servers[victim].take().unwrap().kill();
            let pause = pair.go_on(3);
            if victim == leader {
                pauses.push(pause);
            }
            servers[victim] = Some(pair.serve(victim));
        }
        pair.go_on(10);
    });
    let taken = pair.taken.lock().unwrap();
    for (id, _) in taken.iter() {
        for address in &pair.addresses {
            let answer = ask(address, "GET", &format!("/acts/{id}"), "", b"").unwrap();
            assert_eq!(answer.status, 200, "{id} was acknowledged and is gone");
        }
    }
    let sessions: BTreeSet<u64> = pair.heads.lock().unwrap().keys().map(|(session, _)| *session).collect();
    assert_eq!(sessions.len(), 1, "whoever leads goes on where the one before has ended");
    let size = ask(&pair.addresses[0], "GET", "/log/checkpoint", "", b"").unwrap().text();
    assert_eq!(size.lines().nth(1).unwrap().parse(), Ok(4 + taken.len()), "nothing is there twice");
    println!(
        "{} acts, {} heads; three acts after a leader's end: {pauses:?}",
        taken.len(),
        pair.heads.lock().unwrap().len()
    );
    servers.into_iter().flatten().for_each(Server::stop);
    let verified = run(&["verify", "--dir", pair.sites[0].dir()]);
    assert!(verified.status.success(), "{}", told(&verified));
}

/// Ends the load when this value goes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
