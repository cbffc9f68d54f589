//! The bridge: how many frames it carries, whether all arrive, and what it adds to the time of a round trip.
//!
//! It makes three network namespaces, a client, a gateway and a host, joined by pairs of veth interfaces, and removes them. The
//! client's kernel sends as many of the smallest frames as it can (test runs of a program on live frames); the host's counts
//! what arrives. Round trips of datagrams between client and host are measured over the bridge and over a pair of interfaces
//! that joins them without one, in turn. Generator, bridge and receiver share the processors of one machine: this bounds what a
//! bridge costs from above, and is no rate of a card's.
//!
//! It needs root, `ip` and `ethtool`; without them it says so.

use std::env;
use std::net::{Ipv6Addr, UdpSocket};
use std::process::{Command, Stdio, id};
use std::time::{Duration, Instant};

use aya::EbpfLoader;
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp as Program};
use credence_benches::prefixes::feed;
use credence_benches::smoke;
use credence_credit::guard::NeverBlock;
use credence_credit::{
    Authority, Cache, EvidenceClass, Guards, Header, Issuer, IssuerId, Measure, Rating, Reason, Record,
    Snapshot,
};
use credence_enforce::{Moment, PINS, Policy, Setup, Stand, Xdp};

/// Holds a program that sends; a test of the crate `credence-enforce` compiles it anew and compares.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../crates/enforce/bpf/compare.bpf.o");

/// Tells the program, when it runs once more, which part is its own.
const ROLE: &str = "CREDENCE_BENCH_ROLE";
/// Where the host is, over the bridge and beside it, and where it answers.
const HOSTS: [(&str, &str); 2] = [("bridge", "fd00:b::2"), ("beside", "fd00:d::2")];
const PORT: u16 = 4_000;
/// Frames that the kernel sends at a time.
const BATCH: u32 = 64;
/// The smallest Ethernet frame, without its checksum.
const FRAME_LEN: usize = 60;

fn main() {
    match env::var(ROLE).as_deref() {
        Ok("gateway") => gateway(),
        Ok("sender") => send(),
        Ok("host") => answer(),
        Ok("pinger") => ping(),
        _ => outside(),
    }
}

/// A namespace that is removed with this value.
struct Namespace(String);

impl Namespace {
    fn new(side: &str) -> Self {
        let name = format!("credence-bench-{}-{side}", id());
        ip(&format!("netns add {name}"));
        ip(&format!("-n {name} link set lo up"));
        Self(name)
    }

    /// A command that runs this very program in the namespace.
    fn part(&self, role: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(env::current_exe().expect("a program")).env(ROLE, role);
        command
    }

    fn run(&self, command: &[&str]) -> String {
        let output =
            Command::new("ip").args(["netns", "exec", &self.0]).args(command).output().expect("ip runs");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}

fn outside() {
    let is_there =
        |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    let can =
        Command::new("ip").args(["netns", "add", "credence-bench-probe"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) || !is_there("ethtool") {
        return println!("bridge: not measured, since it needs root, ip and ethtool");
    }
    ip("netns del credence-bench-probe");
    let (client, gateway, host) = (Namespace::new("c"), Namespace::new("g"), Namespace::new("h"));
    let (c, g, h) = (&client.0, &gateway.0, &host.0);
    ip(&format!("-n {g} link add wan type veth peer name lan netns {c}"));
    ip(&format!("-n {g} link add inner type veth peer name eth netns {h}"));
    ip(&format!("-n {c} link add beside type veth peer name beside netns {h}"));
    for (namespace, interface, address) in [
        (c, "lan", "fd00:b::1"),
        (h, "eth", "fd00:b::2"),
        (c, "beside", "fd00:d::1"),
        (h, "beside", "fd00:d::2"),
    ] {
        ip(&format!("-n {namespace} addr add {address}/64 dev {interface} nodad"));
        ip(&format!("-n {namespace} link set {interface} up"));
    }
    for leg in ["wan", "inner"] {
        ip(&format!("-n {g} link set {leg} up"));
    }
    // Without receive offload a veth drops every frame that a program redirects to its peer; with checksums left to a card that
    // is not there, what a program redirects never gets any.
    for (namespace, interface) in [(&client, "lan"), (&host, "eth")] {
        namespace.run(&["ethtool", "-K", interface, "gro", "on", "tx", "off"]);
    }
    let mut bridge =
        gateway.part("gateway").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut told = String::new();
    let stdout = bridge.stdout.take().expect("it is piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut told)
        .expect("the gateway is ready");
    carry(&client, &host);
    round_trips(&client, &host);
    // It ends with its standard input.
    drop(bridge.stdin.take());
    bridge.wait().expect("the gateway ends");
}

/// Lets the client send, and counts what the host gets.
fn carry(client: &Namespace, host: &Namespace) {
    let arrived = || -> u64 {
        host.run(&["cat", "/sys/class/net/eth/statistics/rx_packets"]).parse().expect("a number")
    };
    let before = arrived();
    let output = client.part("sender").output().expect("the sender runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let (frames, seconds) = told.trim().split_once(' ').expect("frames and seconds");
    let (frames, seconds): (u64, f64) = (frames.parse().expect("frames"), seconds.parse().expect("seconds"));
    std::thread::sleep(Duration::from_millis(500));
    let got = arrived() - before;
    println!(
        "bridge/frames: {frames} of {FRAME_LEN} bytes sent at {:.2} M/s with a million records, {got} arrived ({} other)",
        frames as f64 / seconds / 1e6,
        got as i64 - frames as i64
    );
}

/// The gateway: a bridge with many records, until its standard input ends.
fn gateway() {
    let count = if smoke() { 10_000 } else { 1_000_000 };
    let records = feed(count, 1).into_iter().map(|prefix| Record {
        prefix,
        rating: Rating::Unrated,
        measure: Measure::Drop,
        reasons: Reason::Listed.into(),
        issuer: IssuerId(0),
        evidence: EvidenceClass::Declared,
        authority: Authority::OperatorList,
        signatures: 0,
        expires: u64::from(u32::MAX),
        act: None,
    });
    let issuers = vec![Issuer::new("bench").expect("a name")];
    let snapshot = Snapshot::new(Header::default(), issuers, records.collect()).expect("sorted records");
    let cache = Cache::build(vec![snapshot], &Guards::new(NeverBlock::new([]))).expect("not too many");
    let (mut xdp, mut records) = Xdp::load(&Setup::default()).expect("the kernel takes the program");
    xdp.control().set(&Policy { stand: Stand::Bridge, ..Policy::default() });
    xdp.control().beat(u64::MAX / 2);
    records.publish(&cache, Moment::now()).expect("there is room");
    xdp.join(["wan", "inner"]).expect("both legs are there");
    let _legs = ["wan", "inner"].map(|leg| xdp.attach(leg, PINS.as_ref(), false).expect("the leg is free"));
    println!("ready");
    drop(std::io::read_to_string(std::io::stdin()));
}

/// The client's kernel: as many frames as it can.
fn send() {
    let frames: u32 = if smoke() { 10_000 } else { 2_000_000 };
    let mut ebpf = EbpfLoader::new().load(OBJECT).expect("the object is one");
    let program: &mut Program =
        ebpf.program_mut("sends").expect("the object holds it").try_into().expect("it is one");
    program.load().expect("the verifier takes it");
    let index = std::fs::read_to_string("/sys/class/net/lan/ifindex").expect("lan is there");
    // `struct xdp_md`: where the frame begins and ends, and the interface that it is said to have come in by.
    let context = [0, FRAME_LEN as u32, 0, index.trim().parse().expect("a number"), 0, 0];
    let context: Vec<u8> = context.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 6, 59, 64]);
    frame.extend("2001:db9::1".parse::<Ipv6Addr>().expect("an address").octets());
    frame.extend("2001:db9::2".parse::<Ipv6Addr>().expect("an address").octets());
    frame.resize(FRAME_LEN, 0);
    let mut options = TestRunOptions::new();
    (options.data_in, options.ctx_in) = (Some(frame.as_slice()), Some(context.as_slice()));
    options.repeat = frames;
    options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
    let began = now();
    program.test_run(options).expect("the kernel runs it");
    println!("{frames} {}", began.elapsed().as_secs_f64());
}

/// The host: answers each datagram with the same.
fn answer() {
    let socket = UdpSocket::bind(format!("[::]:{PORT}")).expect("the port is free");
    let mut bytes = [0; 64];
    while let Ok((len, from)) = socket.recv_from(&mut bytes) {
        // Who left misses the answer.
        let _ = socket.send_to(&bytes[..len], from);
    }
}

fn round_trips(client: &Namespace, host: &Namespace) {
    let mut answering = host.part("host").spawn().expect("the host runs");
    let output = client.part("pinger").output().expect("the client runs");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    // It would answer for ever.
    let _ = answering.kill();
    let _ = answering.wait();
}

/// The client: round trips over the bridge and beside it, in turn.
fn ping() {
    let rounds = if smoke() { 100 } else { 20_000 };
    let sockets = HOSTS.map(|(name, host)| {
        let socket = UdpSocket::bind("[::]:0").expect("a port");
        socket.connect(format!("[{host}]:{PORT}")).expect("an address");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
        (name, socket, Vec::with_capacity(rounds))
    });
    let mut sockets = Vec::from(sockets);
    for _ in 0..rounds + 20 {
        for (_, socket, times) in &mut sockets {
            let began = now();
            // Before the host listens there are refusals.
            let _ = socket.send(&[7; 16]);
            if socket.recv(&mut [0; 16]).is_ok() {
                times.push(began.elapsed());
            } else {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    for (name, _, times) in &mut sockets {
        times.sort_unstable();
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
        println!(
            "bridge/round trip/{name}: median {:.1} us, 99 % {:.1}, 99.9 % {:.1} ({} of {} answered)",
            at(0.5),
            at(0.99),
            at(0.999),
            times.len(),
            rounds + 20
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> Instant {
    Instant::now()
}
