//! Traffic that tests of enforcement watch: three sources that send a numbered datagram a millisecond each, and what of that
//! arrives behind the gateway.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::live::Site;
use super::network::{CLIENT, GATEWAY, ip, now};
use super::running::{Running, wait_for};
use crate::binary::run;

/// A source that is on the operator's deny list.
pub(super) const LISTED: &str = "2001:db8:77::66";
/// A source that is on it as well, and is never blocked: management.
pub(super) const MANAGEMENT: &str = "2001:db8:77::77";
/// Where datagrams go.
const PORT: u16 = 4_000;
/// Where a load goes.
const LOADED_PORT: u16 = 4_001;
/// Flows of a load.
const LOADS: usize = 64;
/// Time between two datagrams of a source.
pub(super) const EVERY: Duration = Duration::from_millis(1);
/// How long the client sends at most.
const SENT_FOR: Duration = Duration::from_secs(60);
/// So many datagrams one behind the other are no accident of a limiter's.
const STEADY: usize = 100;
/// What is promised when the engine goes away.
pub(super) const PROMISED: Duration = Duration::from_millis(150);
/// By how much a machine that does much else may be late.
pub(super) const SLACK: u32 = 5;

/// The client: numbered datagrams from each source, one a millisecond.
pub(super) fn send() {
    for source in [LISTED, MANAGEMENT] {
        ip(&format!("addr replace {source}/64 dev lan nodad"));
    }
    send_from(&[CLIENT, LISTED, MANAGEMENT]);
}

/// Numbered datagrams from each of these addresses, which the client has.
pub(super) fn send_from(sources: &[&str]) {
    send_for(sources, SENT_FOR);
}

/// The same for so long.
pub(super) fn send_for(sources: &[&str], lasts: Duration) {
    let socket = |source: &&str| {
        let socket = UdpSocket::bind(format!("[{source}]:0")).unwrap();
        socket.connect(format!("[{GATEWAY}]:{PORT}")).unwrap();
        socket
    };
    let sockets: Vec<_> = sources.iter().map(socket).collect();
    let began = now();
    for number in 0_u64.. {
        for socket in &sockets {
            // A refusal that came back for an earlier datagram is none of this one's.
            let _ = socket.send(&number.to_be_bytes());
        }
        let due = EVERY * u32::try_from(number + 1).unwrap();
        if due > lasts {
            return;
        }
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
}

/// Many datagrams a millisecond, for so long.
pub(super) fn load_for(a_millisecond: usize, lasts: Duration) {
    let sockets: Vec<_> = (0..LOADS).map(|_| UdpSocket::bind(format!("[{CLIENT}]:0")).unwrap()).collect();
    let to: SocketAddr = format!("[{GATEWAY}]:{LOADED_PORT}").parse().unwrap();
    let (began, mut sent) = (now(), 0);
    while began.elapsed() < lasts {
        let due = a_millisecond * usize::try_from(began.elapsed().as_millis()).unwrap();
        // Who falls behind does not catch up by a burst that no ring has room for.
        sent = sent.max(due.saturating_sub(100 * a_millisecond));
        for socket in sockets.iter().cycle().skip(sent % LOADS).take(due.saturating_sub(sent)) {
            // What a full queue does not take was not sent.
            let _ = socket.send_to(&[0; 64], to);
        }
        sent = sent.max(due);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Where such a load ends. Nobody reads it, so that what does not fit is dropped behind the gateway and nobody is told.
pub(super) fn sink() -> UdpSocket {
    UdpSocket::bind(format!("[{GATEWAY}]:{LOADED_PORT}")).unwrap()
}

/// When something arrived, and its number.
pub(super) type Arrival = (Instant, u64);

/// What arrived, by its source.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<BTreeMap<Ipv6Addr, Vec<Arrival>>>>);

impl Arrivals {
    /// Notes all datagrams from now on.
    pub(super) fn noted() -> Self {
        let arrivals = Self::default();
        let noted = arrivals.clone();
        let socket = UdpSocket::bind(format!("[{GATEWAY}]:{PORT}")).unwrap();
        // Room for seconds, so that what is lost was lost on the way.
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 1 << 24).unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 8];
            while let Ok((8, SocketAddr::V6(from))) = socket.recv_from(&mut bytes) {
                let at = (now(), u64::from_be_bytes(bytes));
                noted.0.lock().unwrap().entry(*from.ip()).or_default().push(at);
            }
        });
        arrivals
    }

    /// Arrivals from a source since a moment.
    pub(super) fn since(&self, source: &str, since: Instant) -> Vec<Arrival> {
        let IpAddr::V6(source) = source.parse().unwrap() else { panic!("{source}") };
        let all = self.0.lock().unwrap();
        all.get(&source).into_iter().flatten().filter(|(at, _)| *at >= since).copied().collect()
    }

    /// How many datagrams of a source are missing between the first and the last that arrived since a moment.
    pub(super) fn lost(&self, source: &str, since: Instant) -> u64 {
        let heard = self.since(source, since);
        heard.windows(2).map(|pair| pair[1].1 - pair[0].1 - 1).sum()
    }

    /// Waits until a source is heard, and says when that was.
    #[track_caller]
    pub(super) fn first(&self, source: &str, since: Instant) -> Instant {
        let first = wait_for(|| self.since(source, since).first().map(|(at, _)| *at));
        first.unwrap_or_else(|| panic!("nothing arrives from {source}"))
    }

    /// Waits until most of what a source sends is missing.
    #[track_caller]
    pub(super) fn misses(&self, source: &str, since: Instant) {
        let missing = || (self.lost(source, since) > 2 * STEADY as u64).then_some(());
        assert!(wait_for(missing).is_some(), "nothing of {source} is ever missing");
    }

    /// Waits until nothing of what a source sends is missing for a while any more, and says when that began.
    #[track_caller]
    pub(super) fn steady(&self, source: &str, since: Instant) -> Instant {
        let steady = wait_for(|| {
            let heard = self.since(source, since);
            heard
                .windows(STEADY)
                .find(|run| run[STEADY - 1].1 - run[0].1 == STEADY as u64 - 1)
                .map(|run| run[0].0)
        });
        steady.unwrap_or_else(|| panic!("something of {source} is always missing"))
    }

    /// Waits until nothing has arrived from a source for a while, and says when the last was; `since` for none.
    #[track_caller]
    pub(super) fn last(&self, source: &str, since: Instant) -> Instant {
        let quiet = EVERY * 200;
        let last = wait_for(|| {
            let last = self.since(source, since).last().map_or(since, |(at, _)| *at);
            (last.elapsed() > quiet).then_some(last)
        });
        last.unwrap_or_else(|| panic!("{source} never falls silent"))
    }
}

/// A gateway that drops what two sources send, and spares one of them.
pub(super) fn site(keys: &str, expires: &str) -> Site {
    let lists = format!("never_block = [\"{MANAGEMENT}\"]");
    let site = Site::new(&format!(
        "workers = 1\nlists.{lists}\ncredit.snapshots = [\"DIR/deny\"]\n[enforce]\n{keys}\n"
    ));
    list(&site, &[LISTED, MANAGEMENT], expires);
    site
}

/// Puts these sources on the deny list.
pub(super) fn list(site: &Site, sources: &[&str], expires: &str) {
    list_for("drop", site, sources, expires);
}

/// Puts these sources on a list that asks for a measure.
pub(super) fn list_for(measure: &str, site: &Site, sources: &[&str], expires: &str) {
    let (from, to) = (site.path("list.txt"), site.path("deny"));
    std::fs::write(&from, sources.iter().map(|source| format!("{source}/128\n")).collect::<String>())
        .unwrap();
    let import =
        ["credit", "import", "--from", "cidr", &from, "-o", &to, "--score", "50", "--measure", measure];
    run(import.into_iter().chain(["--expires", expires])).expect(0);
}

/// The file system for programs that outlive their process, which `ip netns exec` has hidden.
pub(super) fn mount_bpf() {
    let mounted = Command::new("mount").args(["-t", "bpf", "bpf", "/sys/fs/bpf"]).status().unwrap();
    assert!(mounted.success(), "the BPF file system cannot be mounted");
}

/// The counter of what the kernel did.
pub(super) fn did(running: &mut Running, verdict: &str, reason: &str) -> u64 {
    let name = format!("credence_enforce_packets_total{{reason=\"{reason}\",verdict=\"{verdict}\"}}");
    running.metrics()[&name]
}

/// Holds the time between two moments to what is promised.
#[track_caller]
pub(super) fn within_promise(what: &str, from: Instant, to: Instant) {
    let took = to.saturating_duration_since(from);
    println!("{what}: {} ms", took.as_millis());
    assert!(took < PROMISED * SLACK, "{what} took {took:?}");
}
