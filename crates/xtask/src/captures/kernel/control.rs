//! ICMPv6: errors, echo, neighbour discovery, multicast listener discovery, path MTU.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::super::actors::{self, Server};
use super::super::frames::Recording;
use super::super::lab::{Lab, Recorder};
use super::{LEFT, RIGHT, recorded, right};
use crate::process::pause;

/// Echo, port unreachable, no route, prohibited, address unreachable, and hop limit exceeded.
pub(crate) fn errors() -> Result<Recording> {
    // On the left cable, where both the questions and the gate's own answers pass.
    recorded("g0", "", |lab| {
        lab.gate.ip("-6 route add unreachable 2001:db8:f0::/48")?;
        lab.gate.ip("-6 route add prohibit 2001:db8:f1::/48")?;
        lab.left.enter(|| {
            actors::ping(LEFT, RIGHT, 56, 3, true)?;
            let send = |peer: &str, port| -> Result<_> {
                let peer: Ipv6Addr = peer.parse()?;
                let socket = actors::datagrams(0, LEFT, SocketAddr::from((peer, port)))?;
                socket.send(b"anyone there?")?;
                Ok(socket)
            };
            send("2001:db8:2::10", 9)?;
            send("2001:db8:f0::1", 9)?;
            send("2001:db8:f1::1", 9)?;
            // Nobody holds this address: the gate asks three times and gives up after three seconds.
            let _waiting = send("2001:db8:2::99", 9)?;
            let short_lived = actors::icmp_socket(LEFT)?;
            short_lived.set_unicast_hops_v6(1)?;
            short_lived.send_to(&[128, 0, 0, 0, 0, 1, 0, 1], &SocketAddr::from((RIGHT, 0)).into())?;
            pause(Duration::from_millis(3_500))
        })
    })
}

/// A link of the gate's that is too narrow for the left host's packets.
pub(crate) fn packet_too_big() -> Result<Recording> {
    recorded("g0", "", |lab| {
        lab.gate.ip("link set g1 mtu 1280")?;
        let _web = Server::tcp(&lab.right, 443)?;
        let _upload = Server::tcp(&lab.left, 8_443)?;
        let _echo = Server::datagrams(&lab.right, 0, right(5_300), |request| vec![request[..100].to_vec()])?;
        // The left host sends the long answer here, and learns on the way.
        lab.right.enter(|| actors::fetch(RIGHT, SocketAddr::from((LEFT, 8_443)), 20_000))?;
        lab.left.enter(|| {
            let socket = actors::datagrams(0, LEFT, right(5_300))?;
            socket.send(&[b'b'; 1_400])?;
            pause(Duration::from_millis(100))?;
            actors::exchange(&socket, &[b'b'; 1_400], 1)
        })
    })
}

/// A host joins a link: duplicate address detection, router solicitation and advertisement, address configuration,
/// multicast listener reports and queries with the router alert, address resolution, and a duplicate address.
pub(crate) fn neighbours() -> Result<Recording> {
    let lab = Lab::without_addresses()?;
    for (host, interface) in [(&lab.right, "r0"), (&lab.left, "l0")] {
        host.sysctl(&format!("ipv6/conf/{interface}/accept_ra"), "1")?;
        host.sysctl(&format!("ipv6/conf/{interface}/router_solicitation_delay"), "1")?;
    }
    lab.gate.ip("link set g1 up")?;
    let recorder = Recorder::start(&lab.gate, "g1", "")?;
    lab.right.ip("link set r0 up")?;
    pause(Duration::from_millis(2_500))?;
    lab.gate.ip("address add 2001:db8:2::1/64 dev g1")?;
    pause(Duration::from_millis(1_500))?;
    lab.gate.enter(advertise_router)?;
    lab.gate.enter(query_listeners)?;
    pause(Duration::from_millis(2_000))?;
    // An address that the gate holds already.
    lab.right.ip("address add 2001:db8:2::1/64 dev r0")?;
    lab.right.ip("address add 2001:db8:2::10/64 dev r0")?;
    pause(Duration::from_millis(1_500))?;
    lab.right.enter(|| actors::ping(RIGHT, "2001:db8:2::1".parse()?, 56, 2, false))?;
    let held = lab.right.enter(|| Ok(std::net::UdpSocket::bind((RIGHT, 0)).is_ok()))?;
    ensure!(held, "the right host holds its address");
    recorder.stop()
}

/// All nodes on the link of the gate's `g1`.
fn all_nodes() -> Result<socket2::SockAddr> {
    let index = std::fs::read_to_string("/proc/thread-self/net/if_inet6")?
        .lines()
        .find(|line| line.ends_with("g1"))
        .and_then(|line| u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok())
        .context("the gate has an interface g1")?;
    let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    Ok(SocketAddrV6::new(nodes, 0, 0, index).into())
}

/// A router advertisement with one prefix for address configuration (RFC 4861, section 4.2).
fn advertise_router() -> Result<()> {
    let prefix: Ipv6Addr = "2001:db8:2:5a::".parse()?;
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend([3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0]);
    message.extend(prefix.octets());
    let socket = actors::icmp_socket(Ipv6Addr::UNSPECIFIED)?;
    socket.set_multicast_hops_v6(255)?;
    socket.send_to(&message, &all_nodes()?)?;
    Ok(())
}

/// A general query (RFC 3810, section 5.1), behind the router alert that it must carry.
fn query_listeners() -> Result<()> {
    let mut message = vec![130, 0, 0, 0, 0x03, 0xe8, 0, 0];
    message.extend([0; 16]);
    message.extend([2, 125, 0, 0]);
    let socket = actors::icmp_socket(Ipv6Addr::UNSPECIFIED)?;
    socket.set_multicast_hops_v6(1)?;
    let router_alert = [0, 0, 5, 2, 0, 0, 1, 0];
    crate::sys::set_ipv6_option(&socket, libc::IPV6_HOPOPTS, &router_alert)?;
    socket.send_to(&message, &all_nodes()?)?;
    Ok(())
}
