//! A bump in the wire: two hosts that meet through a bridge of the kernel's program, and through nothing else.

use std::net::UdpSocket;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::live::Site;
use super::network::{CLIENT, Client, WAN, between, ip};
use super::running::{balances, sum, wait_for};
use crate::binary::run;

/// The bridge's other leg.
const INNER: &str = "inner";
/// The host behind it.
const HOST: &str = "2001:db8:77::99";
/// An address of the client that is on the operator's deny list.
const LISTED: &str = "2001:db8:77::66";
/// Where datagrams go.
const PORT: u16 = 4_000;
/// What the links carry at most, in bytes: more than lies in one piece of memory.
const MTU: usize = 9_000;
/// Datagrams of the client to the host, while the gateway looks on.
const DATAGRAMS: u64 = 5_000;

/// The namespace of the host behind the bridge, removed with this value.
struct Host(String);

impl Host {
    /// A host behind the leg `INNER` of this namespace.
    fn new(client: &Client) -> Self {
        let host = Self(format!("{}h", client.namespace()));
        ip(&format!("netns add {}", host.0));
        host.plug_in();
        ip(&format!("-n {} link set lan mtu {MTU}", client.namespace()));
        ip(&format!("link set {WAN} mtu {MTU}"));
        let there = ["netns", "exec", client.namespace(), "ethtool", "-K", "lan", "gro", "on"];
        assert!(Command::new("ip").args(there).status().unwrap().success());
        // The gateway itself is no host on this link.
        ip(&format!("addr flush dev {WAN}"));
        host
    }

    /// Joins the host to the leg.
    fn plug_in(&self) {
        ip(&format!("link add {INNER} mtu {MTU} type veth peer name eth mtu {MTU} netns {}", self.0));
        ip(&format!("link set {INNER} up"));
        ip(&format!("-n {} addr add {HOST}/64 dev eth nodad", self.0));
        ip(&format!("-n {} link set eth up", self.0));
        // Without it a veth drops every frame that a program redirects to its peer.
        self.inside(&["ethtool", "-K", "eth", "gro", "on"]);
    }

    /// Runs a command in the host's namespace; whether it succeeded.
    fn inside(&self, command: &[&str]) -> bool {
        Command::new("ip").args(["netns", "exec", &self.0]).args(command).output().unwrap().status.success()
    }

    /// Whether the host hears the client, both ways, neighbour discovery included.
    fn reaches_client(&self) -> bool {
        self.inside(&["ping", "-6", "-c", "1", "-W", "1", CLIENT])
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A panic here would hide the one that may be under way.
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

/// The client: datagrams from an address that is welcome and from one that is not.
fn send() {
    ip(&format!("addr replace {LISTED}/64 dev lan nodad"));
    for source in [CLIENT, LISTED] {
        let socket = UdpSocket::bind(format!("[{source}]:0")).unwrap();
        socket.connect(format!("[{HOST}]:{PORT}")).unwrap();
        for number in 0..DATAGRAMS {
            // A refusal that came back for an earlier datagram is none of this one's.
            let _ = socket.send(&number.to_be_bytes()).or_else(|_| socket.send(&number.to_be_bytes()));
            if number % 16 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[test]
fn a_bridge_carries_all_but_what_is_listed_and_does_not_go_dark() {
    between("gateway::bridge::a_bridge_carries_all_but_what_is_listed_and_does_not_go_dark", bridge, send);
}

fn bridge(client: &Client) {
    assert!(Command::new("mount").args(["-t", "bpf", "bpf", "/sys/fs/bpf"]).status().unwrap().success());
    let host = Host::new(client);
    let keys = format!("mode = \"on\"\nstand = \"bridge\"\nother_leg = \"{INNER}\"");
    let site = Site::new(&format!("workers = 1\ncredit.snapshots = [\"DIR/deny\"]\n[enforce]\n{keys}\n"));
    site.snapshot("deny", &format!("{LISTED}/128\n"));
    assert!(!host.reaches_client(), "there is no way but the bridge");

    let mut running = site.start();
    let joined = wait_for(|| host.reaches_client().then_some(()));
    assert!(joined.is_some(), "the bridge carries nothing: {}", running.stderr());
    for leg in [WAN, INNER] {
        let flags = std::fs::read_to_string(format!("/sys/class/net/{leg}/flags")).unwrap();
        let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap();
        assert_eq!(flags & 0x100, 0x100, "{leg} takes frames for other stations");
    }
    client.act();
    let dropped = "credence_enforce_packets_total{reason=\"listed\",verdict=\"drop\"}";
    let numbers = running.metrics_when(|numbers| numbers[dropped] >= DATAGRAMS && balances(numbers));
    // The engine has seen what was carried, and lost none of it.
    assert!(sum(&numbers, "credence_scored_packets_total") >= DATAGRAMS);
    assert_eq!(sum(&numbers, "credence_kernel_drops_total"), 0);
    running.hears("the bridge between");

    let payload = (MTU - 40 - 8).to_string();
    assert!(host.inside(&["ping", "-6", "-c", "1", "-W", "1", "-M", "do", "-s", &payload, CLIENT]));

    // A leg goes, and comes back.
    ip(&format!("link del {INNER}"));
    assert!(!host.reaches_client());
    host.plug_in();
    let joined = wait_for(|| host.reaches_client().then_some(()));
    assert!(joined.is_some(), "the bridge carries nothing any more: {}", running.stderr());

    // The process dies, and the wire stays a wire.
    running.signal("KILL");
    drop(running);
    assert!(host.reaches_client(), "the wire is dark");
    run(["detach", WAN, INNER]).expect(0);
    assert!(!host.reaches_client(), "the bridge is gone");
}
