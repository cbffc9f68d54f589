//! The capture that `credence demo` replays: half a minute at the edge of a small access network.
//!
//! Customers hold 2001:db8:c000::/36, a /56 each; the world beyond the gate is 3fff::/20 and the rest of 2001:db8::/32.
//! All packets cross a real router between real stacks; only the flood and the overlapping fragments are written by hand,
//! since no stack sends them.
//!
//! | who | what |
//! |---|---|
//! | sixteen subscribers | name look-ups, web pages over TCP, QUIC, echo |
//! | six visitors | pages from a customer's web server, before, during and after the flood |
//! | 3fff:666:1:2::bad | scans the ports of a customer, then one port of many customers |
//! | 3fff:bad:0:1::/64 | a flood of SYNs from forged sources against that web server; no handshake is completed |
//! | 2001:db8:e7ad::5 | fragments that overlap |
//! | 2001:db8:c000:1300::66 | a customer's device that knocks at telnet ports of the world |
//! | 2001:db8:c000:900::5 | a VXLAN tunnel to 3fff:77::5 with a conversation inside |

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::actors::{self, Server};
use super::built::quic;
use super::forge::{Ends, flag, fragment, proto};
use super::frames::Recording;
use super::lab::{Lab, Namespace, Recorder, join};
use crate::process::{now, pause};

/// Length of the scene.
const LENGTH: Duration = Duration::from_secs(30);

/// Time until a new virtual link carries packets.
const LINK_SETTLES: Duration = Duration::from_millis(1_500);

/// Bytes kept of each frame: every header, little else.
const SNAP: usize = 128;

/// Half a kibibyte to ten: what a small page weighs.
const PAGE_LEN: std::ops::Range<u64> = 512..10_240;

const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc000, 0x8000, 0, 0, 0, 0x80);
const RESOLVER: Ipv6Addr = Ipv6Addr::new(0x3fff, 0x53, 0, 0, 0, 0, 0, 0x53);
const SCANNER: Ipv6Addr = Ipv6Addr::new(0x3fff, 0x666, 1, 2, 0, 0, 0, 0xbad);
const EVADER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe7ad, 0, 0, 0, 0, 5);
const INFECTED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc000, 0x1300, 0, 0, 0, 0x66);

/// The web site number `site` of the world.
const fn site(site: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x3fff, 0x100, site, 0, 0, 0, 0, 0x443)
}

/// A device of subscriber `number`, each with a /56.
const fn subscriber(number: u16, device: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xc000, (number + 1) << 8 | 1, 0x0200, 0x5eff, 0xfe00, device)
}

/// A small generator of numbers (xorshift), seeded by each actor: the scene needs variety, not secrecy.
struct Dice(u64);

impl Dice {
    fn new(actor: u16) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ u64::from(actor) << 17)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    fn wait(&mut self, range_ms: std::ops::Range<u64>) -> Result<()> {
        pause(Duration::from_millis(self.within(range_ms)))
    }
}

/// Records the scene.
pub(crate) fn scene() -> Result<Recording> {
    let lab = Lab::without_addresses()?;
    let recorder = stage(&lab)?;
    let servers = open_servers(&lab)?;
    let end = now() + LENGTH;
    for actor in cast(&lab, end) {
        join(actor)?;
    }
    drop(servers);
    Ok(recorder.stop()?.snapped(SNAP))
}

/// Addresses and routes; the recorder starts before the hosts come up, so that they are seen to find each other.
fn stage(lab: &Lab) -> Result<Recorder> {
    lab.gate.up("g0", &["fe80::1/64"])?;
    lab.gate.up("g1", &["fe80::1/64"])?;
    let recorder = Recorder::start(&lab.gate, "g1", "")?;
    lab.left.up("l0", &["fe80::2/64"])?;
    lab.right.up("r0", &["fe80::2/64"])?;
    for (host, interface) in [(&lab.left, "l0"), (&lab.right, "r0")] {
        host.ip(&format!("-6 route add default via fe80::1 dev {interface}"))?;
    }
    // Each side holds every address of its prefixes, but for those where nobody answers: in the same table, since that of
    // local addresses is asked before any other.
    lab.left.ip("-6 route add local 2001:db8:c000::/36 dev lo")?;
    lab.left.ip("-6 route add blackhole 2001:db8:cfff::/48 table local")?;
    lab.right.ip("-6 route add local 3fff::/20 dev lo")?;
    lab.right.ip("-6 route add local 2001:db8:e7ad::/48 dev lo")?;
    lab.right.ip("-6 route add blackhole 3fff:bad:0:1::/64 table local")?;
    lab.right.ip("-6 route add blackhole 3fff:dead::/32 table local")?;
    lab.left.sysctl("ipv4/tcp_synack_retries", "1")?;
    stretch_tunnel(&lab.left, "2001:db8:c000:900::5", "3fff:77::5", "fd77::1/64")?;
    stretch_tunnel(&lab.right, "3fff:77::5", "2001:db8:c000:900::5", "fd77::2/64")?;
    // An address of its own, so that errors about what it is sent come from it.
    lab.left.ip(&format!("address add {SERVER}/128 dev lo nodad"))?;
    lab.gate.ip("-6 route add 2001:db8:c000::/36 via fe80::2 dev g0")?;
    lab.gate.ip("-6 route add default via fe80::2 dev g1")?;
    pause(LINK_SETTLES)?;
    Ok(recorder)
}

fn stretch_tunnel(host: &Namespace, local: &str, remote: &str, inner: &str) -> Result<()> {
    // The kernel wants an end of its own to stand on an interface.
    host.ip(&format!("address add {local}/128 dev lo nodad"))?;
    host.ip(&format!("link add v0 type vxlan id 77 local {local} remote {remote} dstport 4789"))?;
    host.up("v0", &[inner])
}

fn open_servers(lab: &Lab) -> Result<Vec<Server>> {
    let mut servers = vec![Server::tcp(&lab.left, 443)?, Server::tcp(&lab.right, 443)?];
    servers.push(Server::datagrams(&lab.right, 0, (RESOLVER, 53).into(), |query| vec![name_answer(query)])?);
    for number in 0..4 {
        servers.push(Server::datagrams(&lab.right, 0, (site(number), 443).into(), quic_reply)?);
    }
    Ok(servers)
}

/// Everyone on stage, each on a thread of their own until `end`.
fn cast(lab: &Lab, end: Instant) -> Vec<JoinHandle<Result<()>>> {
    let mut actors = Vec::new();
    for number in 0..16 {
        actors.push(lab.left.spawn(move || subscribe(number, end)));
    }
    for number in 0..6 {
        actors.push(lab.right.spawn(move || visit(number, end)));
    }
    actors.push(lab.right.spawn(move || scan(end)));
    actors.push(lab.right.spawn(move || flood(end)));
    actors.push(lab.right.spawn(move || evade(end)));
    actors.push(lab.left.spawn(move || spread(end)));
    actors.push(lab.left.spawn(move || cross_tunnel(end)));
    actors
}

/// A subscriber looks up a name, then reads a page over TCP or QUIC, or checks a host with echo; then rests.
fn subscribe(number: u16, end: Instant) -> Result<()> {
    let mut dice = Dice::new(number);
    dice.wait(0..2_000)?;
    while now() < end {
        let device = u16::try_from(dice.within(1..4))?;
        let source = subscriber(number, device);
        let resolver = actors::datagrams(0, source, (RESOLVER, 53).into())?;
        actors::exchange(&resolver, &name_query(&mut dice), 1)?;
        let site = site(u16::try_from(dice.within(0..4))?);
        match dice.within(0..8) {
            0 => actors::ping(source, site, 56, 2, true)?,
            1..3 => browse_quic(source, site, &mut dice)?,
            _ => actors::fetch(source, (site, 443).into(), usize::try_from(dice.within(PAGE_LEN))?)?,
        }
        dice.wait(400..2_400)?;
    }
    Ok(())
}

/// A visitor of the customer's web server.
fn visit(number: u16, end: Instant) -> Result<()> {
    let mut dice = Dice::new(100 + number);
    let source = Ipv6Addr::new(0x3fff, 0x200, number, 1, 0x0200, 0x5eff, 0xfe00, 1);
    while now() < end {
        dice.wait(300..2_500)?;
        // During the flood the server may be slow to take a connection: that too is what a gateway sees.
        let _ = actors::fetch(source, (SERVER, 443).into(), usize::try_from(dice.within(PAGE_LEN))?);
    }
    Ok(())
}

/// Six hundred ports of one customer, then one port of three hundred customers, at fifty a second.
fn scan(end: Instant) -> Result<()> {
    let ports = (1..601).map(|port| SocketAddr::from((SERVER, port)));
    let hosts = (0..300u16).map(|host| {
        let net = if host % 3 == 0 { 0xcfff } else { 0xc000 };
        let address = Ipv6Addr::new(0x2001, 0xdb8, net, (host % 64) << 8, 0, 0, 0, host);
        SocketAddr::from((address, 22))
    });
    pause(Duration::from_secs(4))?;
    for target in ports.chain(hosts).take_while(|_| now() < end) {
        actors::knock(SCANNER, target)?;
        pause(Duration::from_millis(20))?;
    }
    Ok(())
}

/// SYNs from random interface identifiers of one /64, a hundred a second for fifteen seconds.
fn flood(end: Instant) -> Result<()> {
    const COUNT: u32 = 1_500;
    let mut dice = Dice::new(200);
    let socket = actors::packet_socket()?;
    pause(Duration::from_secs(9))?;
    for _ in (0..COUNT).take_while(|_| now() < end) {
        let host = u128::from(dice.next());
        let source = Ipv6Addr::from(u128::from(Ipv6Addr::new(0x3fff, 0xbad, 0, 1, 0, 0, 0, 0)) | host);
        let ends = Ends::new(source, SERVER);
        let port = u16::try_from(dice.within(1_024..65_536))?;
        let sequence = u32::try_from(dice.within(0..1 << 32))?;
        let segment = ends.tcp((port, 443), sequence, 0, flag::SYN, b"");
        actors::send_packet(&socket, &ends.packet(&[], proto::TCP, &segment))?;
        pause(Duration::from_millis(10))?;
    }
    Ok(())
}

/// Datagrams in three pieces, of which the last writes over the first two.
fn evade(end: Instant) -> Result<()> {
    let mut dice = Dice::new(300);
    let socket = actors::packet_socket()?;
    let ends = Ends::new(EVADER, SERVER);
    pause(Duration::from_secs(6))?;
    while now() < end {
        let id = u32::try_from(dice.within(0..1 << 32))?;
        let (benign, evil) = (ends.udp(40_000, 5_300, &[b'b'; 152]), ends.udp(40_000, 22, &[b'e'; 152]));
        let send = |bytes: &[u8], units: u16, more: bool| {
            let packet = ends.packet(&[fragment(units, more, id)], proto::UDP, bytes);
            actors::send_packet(&socket, &packet)
        };
        send(&benign[..80], 0, true)?;
        send(&benign[80..], 10, false)?;
        send(&evil[..120], 0, true)?;
        dice.wait(200..500)?;
    }
    Ok(())
}

/// A device of a customer's that looks for others like it.
fn spread(end: Instant) -> Result<()> {
    let mut dice = Dice::new(400);
    pause(Duration::from_secs(3))?;
    while now() < end {
        let address = Ipv6Addr::new(0x3fff, 0xdead, u16::try_from(dice.within(0..0x1_0000))?, 0, 0, 0, 0, 1);
        let target = if dice.within(0..2) == 0 { address } else { site(u16::try_from(dice.within(0..4))?) };
        let port = if dice.within(0..3) == 0 { 2_323 } else { 23 };
        actors::knock(INFECTED, (target, port).into())?;
        dice.wait(40..120)?;
    }
    Ok(())
}

/// Pages read through the tunnel.
fn cross_tunnel(end: Instant) -> Result<()> {
    let mut dice = Dice::new(500);
    let far: Ipv6Addr = "fd77::2".parse()?;
    pause(Duration::from_secs(2))?;
    while now() < end {
        actors::fetch(Ipv6Addr::UNSPECIFIED, (far, 443).into(), usize::try_from(dice.within(PAGE_LEN))?)?;
        dice.wait(1_500..3_000)?;
    }
    Ok(())
}

/// A question for the address of one of four names (RFC 1035, section 4; type AAAA by RFC 3596).
fn name_query(dice: &mut Dice) -> Vec<u8> {
    let [high, low, ..] = dice.next().to_be_bytes();
    let letter = b'a' + u8::try_from(dice.within(0..4)).unwrap_or(0);
    let mut query = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend([1, letter, 7]);
    query.extend(b"example\x03org\0");
    query.extend([0, 28, 0, 1]);
    query
}

/// The answer to such a question, with one address.
fn name_answer(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16]);
    answer.extend(site(0).octets());
    answer
}

/// What turns a client's connection id into its server's and back, so that the server needs no memory.
const ID_MASK: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// The QUIC client's side: Initial, Handshake, then requests with short headers.
fn browse_quic(source: Ipv6Addr, site: Ipv6Addr, dice: &mut Dice) -> Result<()> {
    let socket: UdpSocket = actors::datagrams(0, source, (site, 443).into())?;
    let (first, client) = (dice.next().to_be_bytes(), dice.next());
    let server = (client ^ ID_MASK).to_be_bytes();
    let client = client.to_be_bytes();
    actors::exchange(&socket, &quic::long(0, 1, &first, &client, 1_150), 2)?;
    socket.send(&quic::long(2, 1, &server, &client, 80))?;
    for _ in 0..dice.within(1..5) {
        let request_len = usize::try_from(dice.within(60..300))?;
        actors::exchange(&socket, &quic::short(&server, request_len), 3)?;
    }
    Ok(())
}

/// The QUIC server's side. A datagram that is no QUIC of ours is not answered.
fn quic_reply(request: &[u8]) -> Vec<Vec<u8>> {
    let client_of = |server: &[u8]| -> Option<[u8; 8]> {
        Some((u64::from_be_bytes(server.try_into().ok()?) ^ ID_MASK).to_be_bytes())
    };
    let initial = || {
        let client: [u8; 8] = request.get(15..23)?.try_into().ok()?;
        let server = (u64::from_be_bytes(client) ^ ID_MASK).to_be_bytes();
        let greeting =
            [quic::long(0, 1, &client, &server, 120), quic::long(2, 1, &client, &server, 900)].concat();
        Some(vec![greeting, quic::long(2, 1, &client, &server, 600)])
    };
    let data = || {
        let client = client_of(request.get(1..9)?)?;
        Some(vec![quic::short(&client, 1_100), quic::short(&client, 1_100), quic::short(&client, 400)])
    };
    let reply = match request.first().map(|first| first & 0xf0) {
        Some(0xc0) => initial(),
        Some(0x40) => data(),
        _ => None,
    };
    reply.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_server_answers_with_the_ids_of_the_handshake() -> Result<()> {
        let (first, client) = ([1; 8], [2; 8]);
        let replies = quic_reply(&quic::long(0, 1, &first, &client, 100));
        let server: &[u8] = replies[0].get(15..23).context("a source id")?;
        assert_eq!(&replies[0][6..14], &client);
        assert_ne!(server, client);
        let data = quic_reply(&quic::short(server, 50));
        assert!(data.iter().all(|packet| packet[1..9] == client));
        assert_eq!(quic_reply(b"GET /"), Vec::<Vec<u8>>::new());
        Ok(())
    }

    #[test]
    fn an_answer_repeats_its_question() {
        let query = name_query(&mut Dice::new(1));
        let answer = name_answer(&query);
        assert_eq!(answer[..2], query[..2]);
        assert_eq!(answer[12..query.len()], query[12..]);
    }
}
