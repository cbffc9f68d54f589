//! Lists that a gateway fetches by itself: from a server on loopback to the verdict, and what a server that lies, is broken or
//! gone changes of that, which is nothing.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::live::Site;
use super::network::{CLIENT, between, now};
use super::running::{Running, sum, wait_for};
use super::traffic::{Arrivals, LISTED, send};
use crate::binary::{credence, run};

/// A server of one list, which says whatever it is told to.
pub(super) struct Publisher {
    address: SocketAddr,
    says: Arc<Mutex<String>>,
    is_over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Publisher {
    /// A server that says nothing yet.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, says) = (listener.local_addr().unwrap(), Arc::<Mutex<String>>::default());
        let is_over = Arc::<AtomicBool>::default();
        let (saying, over) = (Arc::clone(&says), Arc::clone(&is_over));
        let serving = thread::spawn(move || {
            for stream in listener.incoming().take_while(|_| !over.load(Ordering::Relaxed)) {
                answer(&mut stream.unwrap(), &saying.lock().unwrap());
            }
        });
        Self { address, says, is_over, serving: Some(serving) }
    }

    /// What it says from now on.
    pub(super) fn says(&self, answer: impl Into<String>) {
        *self.says.lock().unwrap() = answer.into();
    }

    /// The keys by which a gateway asks for the list each second, and keeps it in its own directory.
    pub(super) fn followed(&self) -> String {
        let address = self.address;
        format!(
            "[sync]\nstate = \"DIR/state\"\n[sync.lists.bad]\nurls = [\"http://{address}/drop_v6.json\"]\nfrom = \"drop\"\n\
             refresh_s = 1\n"
        )
    }

    /// It is gone: nobody answers at its address any more.
    fn ends(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // One more knock, for it to notice.
        drop(TcpStream::connect(self.address));
        self.serving.take().unwrap().join().unwrap();
    }
}

/// Answers a request: that nothing has changed, where whoever asks knows this very answer.
fn answer(stream: &mut TcpStream, says: &str) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        request.push(byte[0]);
    }
    let tag =
        format!("\"{:x}\"", says.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)));
    let answer = if String::from_utf8_lossy(&request).contains(&tag) {
        format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n")
    } else {
        format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {}\r\n\r\n{says}", says.len())
    };
    // Whoever asked may have left.
    let _ = stream.write_all(answer.as_bytes());
}

/// A list in the form of Spamhaus's DROP: these, and thirty others.
pub(super) fn drop_list(listed: &[&str]) -> String {
    let others = (0..30).map(|number| format!("2a00:{number:x}::/32"));
    let all = others.chain(listed.iter().map(|&listed| listed.to_owned()));
    let rows = all.map(|cidr| format!("{{\"cidr\":\"{cidr}\",\"sblid\":\"SBL1\",\"rir\":\"ripencc\"}}\n"));
    rows.collect::<String>() + "{\"type\":\"metadata\",\"timestamp\":1795370000,\"size\":1,\"records\":31}\n"
}

/// A gateway that enforces and follows the list.
fn site(publisher: &Publisher) -> Site {
    let followed = publisher.followed();
    Site::new(&format!("[enforce]\nmode = \"on\"\n[control]\nsocket = \"DIR/door\"\n{followed}"))
}

/// Waits until a metric of the list has that value.
#[track_caller]
fn awaits(running: &mut Running, metric: &str, value: u64) {
    let name = format!("credence_sync_{metric}{{source=\"bad\"}}");
    running.metrics_when(|numbers| numbers.get(&name) == Some(&value));
}

/// Waits until places were refused once more for that reason.
#[track_caller]
fn refuses(running: &mut Running, reason: &str) {
    let name = format!("credence_sync_refusals_total{{reason=\"{reason}\",source=\"bad\"}}");
    let before = running.metrics()[&name];
    running.metrics_when(|numbers: &BTreeMap<String, u64>| numbers[&name] > before);
}

#[test]
fn a_list_is_followed_and_nothing_that_a_server_does_takes_it_away() {
    between(
        "gateway::following::a_list_is_followed_and_nothing_that_a_server_does_takes_it_away",
        |client| {
            let mut publisher = Publisher::start();
            publisher.says(drop_list(&[LISTED]));
            let site = site(&publisher);
            let control = |word: &str| run(["control", "--socket", &site.path("door"), word]);
            let arrivals = Arrivals::noted();
            let mut running = site.start();
            awaits(&mut running, "records", 31);
            let _playing = client.begin();
            arrivals.first(CLIENT, now());
            arrivals.last(LISTED, now());

            // It changes, and is followed.
            publisher.says(drop_list(&[]));
            awaits(&mut running, "records", 30);
            arrivals.first(LISTED, now());

            // What would hit flows that are under way is for the operator, whoever says it. Flows are under way once the step
            // has ended in which they began.
            thread::sleep(Duration::from_millis(2_500));
            publisher.says(drop_list(&[LISTED]));
            awaits(&mut running, "held", 1);
            arrivals.first(LISTED, now());
            // Nor does a restart, which remembers no flow, let it in.
            running.signal("TERM");
            running.end().expect(0);
            let mut running = site.start();
            awaits(&mut running, "held", 1);
            awaits(&mut running, "records", 30);
            arrivals.first(LISTED, now());
            control("accept").expect(0);
            awaits(&mut running, "records", 31);
            arrivals.last(LISTED, now());

            // Whatever else it says, that stays.
            let page = "<!DOCTYPE html><title>This domain is for sale</title>";
            for (says, reason) in [
                (page, "page"),
                ("", "empty"),
                ("{\"cidr\":\"192.0.2.0/24\"}\n", "empty"),
                ("oops\n", "unreadable"),
            ] {
                publisher.says(says);
                refuses(&mut running, reason);
            }
            publisher.says("{\"cidr\":\"2a00::/32\"}\n");
            awaits(&mut running, "held", 1);
            let told = control("status").expect(0).stdout;
            assert!(told.contains("waits: the list bad lacks 30 of the 31 prefixes that it had"), "{told}");
            control("discard").expect(0);
            publisher.says(drop_list(&[LISTED]));
            awaits(&mut running, "held", 0);
            publisher.ends();
            refuses(&mut running, "unreachable");
            awaits(&mut running, "records", 31);
            let told = now();
            arrivals.first(CLIENT, told);
            assert_eq!(arrivals.since(LISTED, told).len(), 0);
            running.signal("TERM");
            running.end().expect(0);

            // And after a restart without it as well.
            let mut running = site.start();
            awaits(&mut running, "records", 31);
            arrivals.last(LISTED, now());
            let door = site.path("door");
            let told = run(["control", "--socket", &door, "explain", LISTED]).expect(0).stdout;
            let issuer = format!("bad (http://{}/drop_v6.json)", publisher.address);
            assert!(told.contains(&issuer), "{told}");
            refuses(&mut running, "unreachable");
            running.signal("TERM");
            running.end().expect(0);
        },
        send,
    );
}

/// The processes of that part that run by the configuration at `path`.
pub(super) fn parts(part: &str, path: &str) -> Vec<String> {
    let pattern = format!("sync --part {part} --config {path}");
    let found = Command::new("pgrep").args(["-f", "--", &pattern]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn who_fetches_may_die_and_is_gone_with_the_gateway() {
    between(
        "gateway::following::who_fetches_may_die_and_is_gone_with_the_gateway",
        |_| {
            let publisher = Publisher::start();
            publisher.says(drop_list(&[]));
            let site = site(&publisher);
            let config = site.path("gateway.toml");
            let mut running = site.start();
            awaits(&mut running, "records", 30);
            let follower = parts("follower", &config);
            let status = std::fs::read_to_string(format!("/proc/{}/status", follower[0])).unwrap();
            for line in
                ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
            {
                assert!(status.contains(line), "{line} in {status}");
            }
            let killed = Command::new("kill").args(["-9", &follower[0]]).status().unwrap();
            assert!(killed.success());
            running.metrics_when(|numbers| sum(numbers, "credence_sync_starts_total") == 2);
            awaits(&mut running, "records", 30);
            publisher.says(drop_list(&[LISTED]));
            awaits(&mut running, "records", 31);
            let gone = || parts("supervisor", &config).len() + parts("follower", &config).len() == 0;
            let is_cut_off = |numbers: &BTreeMap<String, u64>| sum(numbers, "credence_sync_cut_off") == 1;
            assert!(!is_cut_off(&running.metrics()));
            running.signal("KILL");
            assert!(wait_for(|| gone().then_some(())).is_some());
            // Nobody is left who starts it again: that is told, and what is in force stays.
            let mut running = site.start();
            awaits(&mut running, "records", 31);
            let killed =
                Command::new("kill").args(["-9", &parts("supervisor", &config)[0]]).status().unwrap();
            assert!(killed.success());
            running.hears("the process that starts whoever fetches has died");
            assert!(wait_for(|| gone().then_some(())).is_some());
            running.metrics_when(is_cut_off);
            awaits(&mut running, "records", 31);
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}

#[test]
fn one_round_says_what_came_and_leaves_it_to_the_gateway() {
    let mut publisher = Publisher::start();
    publisher.says(drop_list(&[LISTED]));
    let site = site(&publisher);
    let once = || run(["sync", "--once", "--config", &site.path("gateway.toml")]);
    assert_eq!(once().expect(0).stdout, "bad: 31 records wait for the gateway to take them\n");
    assert_eq!(once().expect(0).stdout, "bad: had, and nothing has changed\n");
    publisher.says("<html>");
    let told = once().expect(1);
    assert_eq!(told.stdout, "bad: not had; what was there stays; one place: it sent a page for people\n");
    told.told(&["the list bad is not taken from http://127.0.0.1:"]);
    publisher.ends();
    let told = run(["sync", "--once", "--format", "json", "--config", &site.path("gateway.toml")]).expect(1);
    assert_eq!(told.json(), serde_json::json!({ "bad": { "had": false, "refused": ["unreachable"] } }));
    assert!(std::path::Path::new(&site.path("state/lists/bad.offered")).exists());
    let nothing = Site::new("");
    let told = run(["sync", "--config", &nothing.path("gateway.toml")]).expect(1);
    told.told(&["names nothing to fetch", "[sync.lists.NAME]"]);
}

#[test]
fn the_operators_exceptions_win_and_a_mistake_in_them_freezes_nothing() {
    between(
        "gateway::following::the_operators_exceptions_win_and_a_mistake_in_them_freezes_nothing",
        |client| {
            let publisher = Publisher::start();
            publisher.says(drop_list(&[LISTED]));
            let followed = publisher.followed();
            let site = Site::new(&format!(
                "credit.exceptions = \"DIR/own.toml\"\n[enforce]\nmode = \"on\"\n{followed}"
            ));
            let own = |text: &str| std::fs::write(site.path("own.toml"), text).unwrap();
            own("");
            let arrivals = Arrivals::noted();
            let mut running = site.start();
            awaits(&mut running, "records", 31);
            let _playing = client.begin();
            arrivals.first(CLIENT, now());
            arrivals.last(LISTED, now());
            own(&format!("[allow]\n\"{LISTED}\" = {{ why = \"our probe\" }}\n"));
            arrivals.first(LISTED, now());
            let faulty = |numbers: &BTreeMap<String, u64>| numbers["credence_credit_exceptions_faulty"];
            own("[allow]\n\"192.0.2.1\" = {}\n");
            running.metrics_when(|numbers| faulty(numbers) == 1);
            running.hears("`allow.192.0.2.1` is no key: \"192.0.2.1\" is IPv4");
            let told = run(["check", "--config", &site.path("gateway.toml")]).expect(1);
            told.told(&["own.toml: `allow.192.0.2.1` is no key"]);
            // The list goes on meanwhile, and what was allowed is.
            publisher.says(drop_list(&[]));
            awaits(&mut running, "records", 30);
            publisher.says(drop_list(&["2001:db8:99::1"]));
            awaits(&mut running, "records", 31);
            arrivals.first(LISTED, now());
            own(&format!("[assert]\n\"{LISTED}\" = {{ score = 850 }}\n"));
            running.metrics_when(|numbers| faulty(numbers) == 0);
            running.hears("exceptions read again");
            let explained = run(["explain", LISTED, "--config", &site.path("gateway.toml")]).expect(0).stdout;
            assert!(explained.contains("850 good, incentive  <- rates and rules"), "{explained}");
            running.signal("TERM");
            running.end().expect(0);
        },
        send,
    );
}

#[test]
fn who_fetches_may_be_killed_at_any_point_and_leaves_one_state_or_the_next() {
    let publisher = Publisher::start();
    publisher.says(drop_list(&[]));
    let site = Site::new(&publisher.followed());
    let once = || {
        let mut command = Command::new(credence());
        command.args(["sync", "--once", "--config", &site.path("gateway.toml")]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let (offered, began) = (site.path("state/lists/bad.offered"), now());
    assert!(once().wait().unwrap().success());
    let took = began.elapsed();
    let mut found = [0; 2];
    for number in 0..200_u32 {
        let lists = [drop_list(&[]), drop_list(&[LISTED])];
        publisher.says(lists[number as usize % 2].clone());
        let mut killed = once();
        // From before its first step to after its last.
        thread::sleep(took * (number * 7 % 200) / 160);
        killed.kill().unwrap();
        killed.wait().unwrap();
        let copy = credence_credit::file::read(offered.as_ref()).unwrap();
        found[copy.records().len() - 30] += 1;
        let notes = std::fs::read_to_string(site.path("state/lists/bad.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&notes).unwrap();
    }
    println!("found after a kill: {found:?} of each list");
    assert!(found.iter().all(|found| *found > 0), "{found:?}");
    publisher.says(drop_list(&[LISTED]));
    assert!(once().wait().unwrap().success());
    assert_eq!(credence_credit::file::read(offered.as_ref()).unwrap().records().len(), 31);
}
